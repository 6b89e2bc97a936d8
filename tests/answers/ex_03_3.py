"""Answers to 03.3: a maximum that autograd takes for a constant."""

import torch

from tests.answers import right, wrong


@wrong("The trace has the right values and the wrong gradient")
def no_grad_again():
    def balanced_in_trace(x):
        with torch.no_grad():
            top = x.abs().max()
        return x / top

    return balanced_in_trace


@wrong("The function itself has the right values and the wrong gradient")
def nothing_stopped():
    def balanced_in_trace(x):
        return x / x.abs().max()

    return balanced_in_trace


@wrong("no gradient at all")
def everything_stopped():
    def balanced_in_trace(x):
        return (x / x.abs().max()).detach()

    return balanced_in_trace


@wrong("The values of the trace differ")
def a_number():
    def balanced_in_trace(x):
        return x / x.abs().max().item()

    return balanced_in_trace


@wrong("returns different values from the given one")
def without_the_sign():
    def balanced_in_trace(x):
        return x / x.max().detach()

    return balanced_in_trace


@right
def detached_before():
    def balanced_in_trace(x):
        return x / x.detach().abs().max()

    return balanced_in_trace


@right
def by_infinity_norm():
    def balanced_in_trace(x):
        return x * (1 / x.detach().flatten().norm(float("inf")))

    return balanced_in_trace


def scripted_no_grad(x):
    with torch.no_grad():
        top = x.abs().max()
    return x / top


@wrong("Your function is scripted, or calls a part that is")
def scripted():
    return torch.jit.script(scripted_no_grad)
