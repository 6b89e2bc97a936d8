"""Answers to 02.6 Agree with Python."""

# Learners write both old and new types, and the compiler does not take all that ruff proposes.
# ruff: noqa: UP006, UP031, UP032, UP035, RUF005

from typing import List

import torch

from tests.answers import right, wrong


@wrong("The square differs from Python's, scripted")
def power_kept():
    def summary(values: List[int], n: int):
        longer = values + [n]
        return longer, n**2, f"{len(longer)} values, last {n}"

    return summary


@wrong("4611686014132420609")
def power_cut_to_int():
    def summary(values: List[int], n: int):
        longer = values + [n]
        return longer, int(n**2), f"{len(longer)} values, last {n}"

    return summary


@wrong("The text differs from Python's, scripted")
def format_kept():
    def summary(values: List[int], n: int):
        longer = values + [n]
        return longer, n * n, "{:d} values, last {:d}".format(len(longer), n)

    return summary


@wrong("changes the caller's list")
def list_appended():
    def summary(values: List[int], n: int):
        values.append(n)
        return values, n * n, f"{len(values)} values, last {n}"

    return summary


@wrong("It does not compile")
def copied_by_star():
    def summary(values: List[int], n: int):
        longer = [*values, n]
        return longer, n * n, f"{len(longer)} values, last {n}"

    return summary


@right
def copied_and_percent():
    def summary(values: List[int], n: int):
        longer = values.copy()
        longer.append(n)
        return longer, n * n, "%d values, last %d" % (len(longer), n)

    return summary


@right
def comprehension_and_format():
    def summary(values: List[int], n: int):
        longer = [value for value in values]
        longer += [n]
        return longer, n * n, "{} values, last {}".format(len(longer), n)

    return summary


@right
def already_scripted():
    return torch.jit.script(copied_and_percent())


@wrong("The text differs from Python's, in Python")
def number_without_its_sign():
    def summary(values: List[int], n: int):
        longer = values + [n]
        return longer, n * n, f"{len(longer)} values, last {abs(n)}"

    return summary


@wrong("The list differs from Python's, in Python")
def list_sorted():
    def summary(values: List[int], n: int):
        longer = sorted(values + [n])
        return longer, n * n, f"{len(longer)} values, last {n}"

    return summary


@wrong("does not return the three results")
def two_results():
    def summary(values: List[int], n: int):
        return values + [n], n * n

    return summary
