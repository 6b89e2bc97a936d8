"""The inputs on which a conversion is compared with eager, and calls with them."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from course_utils.core.cases import Case, as_cases, other_sizes, other_values
from course_utils.core.errors import one_line


def inputs_of(example_inputs: Any, others: Any) -> list[Case]:
    """The example, the inputs that were given, and inputs of other sizes and values made from the example."""
    names = itertools.chain(["the example"], map("other {}".format, itertools.count(1)))
    example, *given = _named(example_inputs, names)
    given += [] if others is None or (isinstance(others, (list, tuple)) and not others) else _named(others, names)
    return [example, *given, *other_values(example), *other_sizes(example)]


def _named(inputs: Any, names: Iterator[str]) -> list[Case]:
    """The cases, those without a name of their own with the next of `names`."""
    unnamed = re.compile(r"the input|input \d+").fullmatch
    return [replace(case, name=next(names)) if unnamed(case.name) else case for case in as_cases(inputs)]


def is_made_size(name: str) -> bool:
    """Is it an input of another size, beyond the batch, that was made here?"""
    return re.fullmatch(r"size \d+ in dimension [1-9]\d*", name) is not None


def call(model: Callable[..., Any], case: Case) -> Any:
    """What the model returns for a copy of the input."""
    args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
    return model(*args, **kwargs)


def error_of(model: Callable[..., Any], case: Case) -> str:
    """What the model raises for this input, in one line, or nothing."""
    try:
        call(model, case)
    except Exception as error:
        return one_line(error)
    return ""
