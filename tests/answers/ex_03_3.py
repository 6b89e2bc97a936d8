"""Answers to 03.3: rounding that autograd does not see."""

import torch

from tests.answers import right, wrong


@wrong("The trace has the right values and the wrong gradient")
def no_grad_again():
    def quantised_in_trace(x):
        with torch.no_grad():
            step = x.abs().max() / 7
            lost = (x / step).round() * step - x
        return x + lost

    return quantised_in_trace


@wrong("The function itself has the right values and the wrong gradient")
def nothing_hidden():
    def quantised_in_trace(x):
        step = x.abs().max() / 7
        return (x / step).round() * step

    return quantised_in_trace


@wrong("The function itself has the right values and the wrong gradient")
def only_the_rounding_hidden():
    def quantised_in_trace(x):
        step = x.abs().max() / 7
        return x + (x / step).round().detach() * step - x

    return quantised_in_trace


@wrong("no gradient at all")
def everything_hidden():
    def quantised_in_trace(x):
        step = x.abs().max() / 7
        return ((x / step).round() * step).detach()

    return quantised_in_trace


@wrong("The values of the trace differ")
def a_number():
    def quantised_in_trace(x):
        step = float(x.abs().max()) / 7
        return x + ((x / step).round() * step - x).detach()

    return quantised_in_trace


@wrong("returns different values from the given one")
def without_the_sign():
    def quantised_in_trace(x):
        step = x.max() / 7
        return x + ((x / step).round() * step - x).detach()

    return quantised_in_trace


@wrong("returns different values from the given one")
def a_step_for_each_row():
    def quantised_in_trace(x):
        step = x.abs().amax(-1, keepdim=True) / 7
        return x + ((x / step).round() * step - x).detach()

    return quantised_in_trace


@wrong("returns different values from the given one")
def rounded_down():
    def quantised_in_trace(x):
        step = x.abs().max() / 7
        return x + ((x / step).floor() * step - x).detach()

    return quantised_in_trace


@right
def detached_before():
    def quantised_in_trace(x):
        seen = x.detach()
        step = seen.abs().max() / 7
        return x + (seen / step).round() * step - seen

    return quantised_in_trace


@right
def by_infinity_norm():
    def quantised_in_trace(x):
        step = torch.linalg.vector_norm(x.detach(), float("inf")) / 7
        return (x - x.detach()) + torch.round(x.detach() / step) * step

    return quantised_in_trace


def scripted_no_grad(x):
    with torch.no_grad():
        step = x.abs().max() / 7
        lost = (x / step).round() * step - x
    return x + lost


@wrong("Your function is scripted, or calls a part that is")
def scripted():
    return torch.jit.script(scripted_no_grad)
