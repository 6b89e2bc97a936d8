"""Answers to 01.2: scale by the root of the width, add the number of the step, for any sizes."""

import math

import torch

from tests.answers import right, wrong


@wrong("is not correct for width 16")
def root_by_math():
    def placed(x):
        return x / math.sqrt(x.shape[2]) + torch.arange(x.shape[1]).unsqueeze(1)

    return placed


@wrong("is not correct for 9")
def steps_by_range():
    def placed(x):
        steps = torch.tensor([[float(i)] for i in range(x.shape[1])])
        return x / x.shape[2] ** 0.5 + steps

    return placed


@wrong("is not correct for 9")
def steps_by_stack():
    def placed(x):
        scaled = x / x.shape[2] ** 0.5
        return torch.stack([scaled[:, i] + i for i in range(x.shape[1])], dim=1)

    return placed


@wrong("The function itself")
def root_of_the_length():
    def placed(x):
        return x / x.shape[1] ** 0.5 + torch.arange(x.shape[1]).unsqueeze(1)

    return placed


@wrong("The function itself")
def position_along_the_width():
    def placed(x):
        return x / x.shape[2] ** 0.5 + torch.arange(x.shape[2])

    return placed


@right
def by_recorded_sizes():
    def placed(x):
        return x / x.shape[2] ** 0.5 + torch.arange(x.shape[1]).unsqueeze(1)

    return placed


@right
def by_cumulative_sum():
    def placed(x):
        steps = torch.ones_like(x[:, :, :1]).cumsum(1) - 1
        return x * x.size(-1) ** -0.5 + steps

    return placed


@right
def by_tensor_root():
    def placed(x):
        width = torch.ones_like(x[0, 0]).sum()
        return x / width.sqrt() + torch.arange(x.size(1))[:, None]

    return placed


@right
def already_traced():
    return torch.jit.trace(by_recorded_sizes(), torch.rand(1, 3, 2))


@wrong("is not correct for 2049")
def a_table_of_64_steps():
    def placed(x):
        return x / x.shape[2] ** 0.5 + torch.arange(64.0)[:, None][: x.shape[1]]

    return placed


@wrong("is not correct for 2049")
def a_table_of_1000_steps():
    def placed(x):
        return x / x.shape[2] ** 0.5 + torch.arange(1000.0)[:, None][: x.shape[1]]

    return placed


@wrong("Your function changes its input")
def in_place():
    def placed(x):
        x /= x.shape[2] ** 0.5
        return x + torch.arange(x.shape[1]).unsqueeze(1)

    return placed
