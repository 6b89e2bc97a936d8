"""Answers to 02.2 Five repairs."""

# Learners write both old and new types, and the compiler does not take all that ruff proposes.
# ruff: noqa: UP006, UP035

from typing import Dict, List

import torch
from torch import Tensor

from tests.answers import right, wrong

LOW, HIGH = -1.0, 1.0


def clipped(x):
    top = 0.0
    big = bool(x.abs().max() > 1)
    if big:
        top = 1.0
    return x.clamp(-top, top) if big else x


def first_negative(x):
    found = 0
    for n in range(x.size(0)):
        found = n
        if bool(x[n] < 0):
            break
    return found


def blend(x, weights: List[float]):
    total = weights[0] * x[0]
    for n in range(1, len(weights)):
        total = total + weights[n] * x[n]
    return total


def bounded(x, margin: float = 0.0):
    low, high = -1.0, 1.0
    return x.clamp(low - margin, high + margin)


def lookup(table: Dict[str, Tensor], key: str):
    return table[key] if key in table else torch.zeros(1)


def not_written(x):
    raise NotImplementedError


def neither_written(table, key):
    raise NotImplementedError


@wrong("`clipped` does not compile")
def defined_in_one_branch():
    def still_half(x):
        if bool(x.abs().max() > 1):
            top = 1.0
        return x.clamp(-top, top)

    return [still_half, first_negative, blend, bounded, lookup]


@wrong("`clipped` compiles and differs from the given one")
def clips_the_small_ones_away():
    def clipped_to_nothing(x):
        top = 0.0
        if bool(x.abs().max() > 1):
            top = 1.0
        return x.clamp(-top, top)

    return [clipped_to_nothing, first_negative, blend, bounded, lookup]


@wrong("`clipped` compiles and differs from the given one")
def looks_at_the_largest_only():
    def clipped_above(x):
        if bool(x.max() > 1):
            return x.clamp(-1.0, 1.0)
        return x

    return [clipped_above, first_negative, blend, bounded, lookup]


@wrong("`clipped` compiles and differs from the given one")
def clips_beyond_two():
    def clipped_late(x):
        if bool(x.abs().max() > 2):
            return x.clamp(-1.0, 1.0)
        return x

    return [clipped_late, first_negative, blend, bounded, lookup]


@wrong("undefined value n")
def loop_variable_after_the_loop():
    def first(x):
        for n in range(x.size(0)):
            if bool(x[n] < 0):
                break
        return n

    return [clipped, first, blend, bounded, lookup]


@wrong("`first_negative` compiles and differs from the given one")
def zero_where_none_is_negative():
    def first(x):
        for n in range(x.size(0)):
            if bool(x[n] < 0):
                return n
        return 0

    return [clipped, first, blend, bounded, lookup]


@wrong("`first_negative` compiles and differs from the given one")
def the_last_negative():
    def last(x):
        found = x.size(0) - 1
        for n in range(x.size(0)):
            if bool(x[n] < 0):
                found = n
        return found

    return [clipped, last, blend, bounded, lookup]


@wrong("`first_negative` compiles and differs from the given one")
def zeros_count():
    def first(x):
        for n in range(x.size(0)):
            if bool(x[n] <= 0):
                return n
        return x.size(0) - 1

    return [clipped, first, blend, bounded, lookup]


@wrong("Cannot input a tensor of")
def total_kept_as_int():
    def sum_of_ints(x, weights: List[float]):
        total = 0
        for n, weight in enumerate(weights):
            total = total + weight * x[n]
        return total

    return [clipped, first_negative, sum_of_ints, bounded, lookup]


@wrong("Cannot input a tensor of dimension other than 0 as a scalar argument")
def total_started_as_float():
    def sum_of_floats(x, weights: List[float]):
        total = 0.0
        for n, weight in enumerate(weights):
            total = total + weight * x[n]
        return total

    return [clipped, first_negative, sum_of_floats, bounded, lookup]


@wrong("`blend` compiles and differs from the given one")
def all_rows_weighted():
    def mean_of_rows(x, weights: List[float]):
        return x.sum(0) * weights[0]

    return [clipped, first_negative, mean_of_rows, bounded, lookup]


@wrong("python value of type 'float' cannot be used as a value")
def globals_kept():
    def bounded_by_globals(x, margin: float = 0.0):
        return x.clamp(LOW - margin, HIGH + margin)

    return [clipped, first_negative, blend, bounded_by_globals, lookup]


@wrong("can't take variable number of arguments or use keyword-only arguments with defaults")
def star_kept():
    def bounded_by_keyword(x, *, margin: float = 0.0):
        return x.clamp(-1.0 - margin, 1.0 + margin)

    return [clipped, first_negative, blend, bounded_by_keyword, lookup]


@wrong("`bounded` compiles and differs from the given one")
def margin_added_to_both():
    def shifted(x, margin: float = 0.0):
        return x.clamp(-1.0 + margin, 1.0 + margin)

    return [clipped, first_negative, blend, shifted, lookup]


@wrong("try blocks aren't supported")
def try_kept():
    def by_exception(table: Dict[str, Tensor], key: str):
        try:
            return table[key]
        except KeyError:
            return torch.zeros(1)

    return [clipped, first_negative, blend, bounded, by_exception]


@wrong("`lookup` compiles and differs from the given one")
def untested():
    def trusting(table: Dict[str, Tensor], key: str):
        return table[key]

    return [clipped, first_negative, blend, bounded, trusting]


@wrong("3 of 5 are right. Still to write: `bounded`, `lookup`")
def two_left():
    return [clipped, first_negative, blend, not_written, neither_written]


@wrong("not a list of five functions")
def one_function():
    return clipped


@right
def other_ways():
    def clamp_always(x):
        return x.clamp(-1.0, 1.0)

    def by_argmax(x):
        negative = x < 0
        return int(negative.int().argmax()) if bool(negative.any()) else x.size(0) - 1

    def by_tensor(x, weights: List[float]):
        factors = torch.tensor(weights)
        shape = [len(weights)] + [1] * (x.dim() - 1)
        return (factors.view(shape) * x[: len(weights)]).sum(0)

    def by_minimum(x, margin: float = 0.0):
        return torch.clamp(torch.clamp(x, max=1.0 + margin), min=-1.0 - margin)

    def stored_first(table: Dict[str, Tensor], key: str):
        found = torch.zeros(1)
        if key in table:
            found = table[key]
        return found

    return [clamp_always, by_argmax, by_tensor, by_minimum, stored_first]


@right
def a_tuple_some_scripted():
    return (torch.jit.script(clipped), first_negative, blend, torch.jit.script(bounded), lookup)
