"""Answers to 02.2 Five compile errors."""

# Learners write both old and new types, and the compiler does not take all that ruff proposes.
# ruff: noqa: UP006, UP035

from typing import List

import torch
from torch import Tensor

from tests.answers import right, wrong

GAIN = 0.5


def clipped(x):
    top = 0.0
    big = bool(x.abs().max() > 1)
    if big:
        top = 1.0
    return x.clamp(-top, top) if big else x


def average(x):
    total = 0.0
    for n in range(x.size(0)):
        total = total + float(x[n])
    return total / x.size(0)


def scaled(x, gain: float = 0.5):
    return x * gain


def joined(parts: List[Tensor]):
    return torch.cat(parts)


def inverse_or_zero(x):
    inverse, failed = torch.linalg.inv_ex(x)
    if bool(failed.any()):
        return torch.zeros_like(x)
    return inverse


def not_written(x):
    raise NotImplementedError


@wrong("`clipped` does not compile")
def defined_in_one_branch():
    def still_half(x):
        if bool(x.abs().max() > 1):
            top = 1.0
        return x.clamp(-top, top)

    return [still_half, average, scaled, joined, inverse_or_zero]


@wrong("`clipped` compiles and differs from the given one")
def clips_the_small_ones_away():
    def clipped_to_nothing(x):
        top = 0.0
        if bool(x.abs().max() > 1):
            top = 1.0
        return x.clamp(-top, top)

    return [clipped_to_nothing, average, scaled, joined, inverse_or_zero]


@wrong("`average` compiles and differs from the given one")
def total_kept_as_int():
    def average_of_ints(x):
        total = 0
        for n in range(x.size(0)):
            total = total + int(x[n])
        return total / x.size(0)

    return [clipped, average_of_ints, scaled, joined, inverse_or_zero]


@wrong("python value of type 'float' cannot be used as a value")
def global_kept():
    def scaled_by_global(x):
        return x * GAIN

    return [clipped, average, scaled_by_global, joined, inverse_or_zero]


@wrong("`joined` does not compile")
def list_not_annotated():
    def joined_star(*parts):
        return torch.cat(parts)

    return [clipped, average, scaled, joined_star, inverse_or_zero]


@wrong("`inverse_or_zero` compiles and differs from the given one")
def pseudo_inverse():
    def pinv(x):
        return torch.linalg.pinv(x)

    return [clipped, average, scaled, joined, pinv]


@wrong("3 of 5 are right. Still to write: `joined`, `inverse_or_zero`")
def two_left():
    return [clipped, average, scaled, not_written, not_written]


@wrong("not a list of five functions")
def one_function():
    return clipped


@right
def other_ways():
    def clamp_always(x):
        return x.clamp(-1.0, 1.0)

    def mean(x):
        return float(x.sum()) / len(x)

    def half(x):
        gain = 0.5
        return x * gain

    def inverse_by_rank(x):
        if bool((torch.linalg.matrix_rank(x) < x.size(-1)).any()):
            return torch.zeros_like(x)
        return torch.linalg.inv(x)

    return [clamp_always, mean, half, joined, inverse_by_rank]


@right
def a_tuple_some_scripted():
    return (torch.jit.script(clipped), average, scaled, torch.jit.script(joined), inverse_or_zero)


@wrong("`clipped` compiles and differs from the given one")
def looks_at_the_largest_only():
    def clipped_above(x):
        if bool(x.max() > 1):
            return x.clamp(-1.0, 1.0)
        return x

    return [clipped_above, average, scaled, joined, inverse_or_zero]


@wrong("`inverse_or_zero` compiles and differs from the given one")
def small_determinants_are_zero():
    def inverse_by_size(x):
        if bool((torch.linalg.det(x).abs() < 1e-3).any()):
            return torch.zeros_like(x)
        return torch.linalg.inv(x)

    return [clipped, average, scaled, joined, inverse_by_size]


@wrong("`inverse_or_zero` compiles and differs from the given one")
def zeros_if_all_fail():
    def inverse_unless_all(x):
        inverse, failed = torch.linalg.inv_ex(x)
        if bool((failed > 0).all()):
            return torch.zeros_like(x)
        return inverse

    return [clipped, average, scaled, joined, inverse_unless_all]


@wrong("`inverse_or_zero` compiles and differs from the given one")
def zeros_for_the_member():
    def inverse_of_each(x):
        inverse, failed = torch.linalg.inv_ex(x)
        return torch.where((failed > 0)[..., None, None], torch.zeros_like(x), inverse)

    return [clipped, average, scaled, joined, inverse_of_each]


@wrong("`inverse_or_zero` compiles and differs from the given one")
def numbers_from_nan():
    def inverse_without_nan(x):
        return torch.nan_to_num(torch.linalg.inv_ex(x)[0], 0.0, 0.0, 0.0)

    return [clipped, average, scaled, joined, inverse_without_nan]


@wrong("`clipped` compiles and differs from the given one")
def clips_beyond_two():
    def clipped_late(x):
        if bool(x.abs().max() > 2):
            return x.clamp(-1.0, 1.0)
        return x

    return [clipped_late, average, scaled, joined, inverse_or_zero]
