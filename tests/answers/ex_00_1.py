"""Answers to 00.1: trace a function that subtracts the mean of its input."""

import torch

from tests.answers import right, wrong


def centre(x):
    return x - x.mean()


@wrong("The result differs from `x - x.mean()`")
def mean_taken_out_of_the_tensors():
    return torch.jit.trace(lambda x: x - float(x.mean()), torch.ones(3))


@wrong("The result differs from `x - x.mean()`")
def mean_of_the_example_as_item():
    return torch.jit.trace(lambda x: x - x.mean().item(), torch.arange(3.0))


@wrong("nothing was traced")
def not_traced():
    return centre


@wrong("The greatest value is subtracted")
def maximum_instead_of_mean():
    return torch.jit.trace(lambda x: x - x.max(), torch.ones(3))


@wrong("The result differs from `x - x.mean()`")
def mean_of_each_row():
    return torch.jit.trace(lambda x: x - x.mean(-1, keepdim=True), torch.ones(2, 3))


@wrong("not callable", status="your code raised")
def the_result_instead_of_the_trace():
    return torch.jit.trace(centre, torch.ones(3))(torch.ones(3))


@right
def traced():
    return torch.jit.trace(centre, torch.ones(3))


@right
def traced_from_the_sum():
    return torch.jit.trace(lambda x: x - x.sum() / x.numel(), torch.ones(2, 2))


@wrong("compiled from its source, not traced")
def scripted():
    return torch.jit.script(centre)


class Centre(torch.nn.Module):
    def forward(self, x):
        return torch.sub(x, torch.mean(x))


@right
def traced_module():
    return torch.jit.trace(Centre(), torch.ones(5))


@wrong("for numbers that are not whole")
def mean_in_half_precision():
    return torch.jit.trace(lambda x: x - x.half().mean(), torch.ones(3))


@wrong("Your function changes its input")
def in_place():
    return torch.jit.trace(lambda x: x.sub_(x.mean()), torch.ones(3))
