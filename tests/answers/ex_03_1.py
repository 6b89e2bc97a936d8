"""Answers to 03.1: inputs for a trace whose lost branch needs both a size and a value."""

import torch

from tests.answers import right, wrong


@wrong("too short to reach the branch")
def loud_and_short():
    return torch.tensor([9.0, -9.0, 9.0])


@wrong("no value reaches the branch")
def long_and_quiet():
    return torch.rand(8, generator=torch.Generator().manual_seed(0))


@wrong("no value reaches the branch")
def negative_and_quiet():
    return -torch.tensor([0.1, 0.2, 0.3, 0.4])


@wrong("The answer is not a tensor")
def a_list():
    return [0.0, 0.0, 0.0, 5.0]


@wrong("refuses this input")
def a_number():
    return torch.tensor(5.0)


@right
def rows():
    return torch.full((5, 2), -3.0)


@right
def integers():
    return torch.tensor([0, 0, 0, 2])


@right
def infinite():
    return torch.tensor([0.0, 0.0, 0.0, float("inf")])


@wrong("NaN makes the comparison false")
def all_nan():
    return torch.full((4,), float("nan"))


@wrong("NaN makes the comparison false")
def nan_beside_a_large_value():
    return torch.tensor([float("nan"), 50.0, 0.0, 0.0])
