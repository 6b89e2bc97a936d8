"""The inputs on which a conversion is compared with eager: the example, those that were given, and variations."""

from __future__ import annotations

import contextlib
import copy
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_utils.core.cases import Case, as_cases, batch_sizes, leaves, map_tensors
from course_utils.core.errors import one_line

_MADE_SIZE = re.compile(r"size \d+ in dimension [1-9]\d*")


def inputs_of(example_inputs: Any, others: Any) -> list[Case]:
    """The example, the inputs that were given, and inputs of other sizes and values made from the example."""
    names = itertools.chain(["the example"], map("other {}".format, itertools.count(1)))
    example, *given = _named(example_inputs, names)
    given += [] if others is None or (isinstance(others, (list, tuple)) and not others) else _named(others, names)
    made = [_mapped(example, name, change) for name, change in CHANGES.items()]
    tensors = _tensors(example)
    for dim, size in enumerate(tensors[0].shape if tensors else ()):
        half_more = size + (size + 1) // 2
        for new in sorted(({1, half_more} if dim == 0 else {half_more}) - {size, 0}):
            (case,) = batch_sizes(example, (new,), dim)
            made.append(Case(case.args, case.kwargs, f"size {new} in dimension {dim}"))
    return [example, *given, *made]


def _named(inputs: Any, names: Iterator[str]) -> list[Case]:
    """The cases, those without a name of their own with the next of `names`."""
    given = inputs if isinstance(inputs, list) else [inputs]
    own = [x.name if isinstance(x, Case) else "" for x in given]
    return [Case(x.args, x.kwargs, name or next(names)) for x, name in zip(as_cases(inputs), own, strict=True)]


def other_ranks(example: Case) -> list[Case]:
    """The example with an extra dimension, and with one fewer, in every tensor."""
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "an extra dimension": lambda x: x.unsqueeze(0),
        "one dimension fewer": lambda x: x.select(0, 0).clone(),
    }
    found = []
    for name, change in changes.items():
        with contextlib.suppress(IndexError, RuntimeError):
            found.append(_mapped(example, name, change))
    return found


def is_made_size(name: str) -> bool:
    """Is it an input of another size, beyond the batch, that was made here?"""
    return _MADE_SIZE.fullmatch(name) is not None


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


def _noise(x: Tensor) -> Tensor:
    """Values from a normal distribution; integers are reversed, since they may index something."""
    if x.is_floating_point():
        return torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x)
    return x.flip(tuple(range(x.dim())))


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "negated": lambda x: -x if x.is_floating_point() else x,
    "all zero": torch.zeros_like,
    "times ten": lambda x: x * 10 if x.is_floating_point() else x,
    "noise": _noise,
}


def _mapped(case: Case, name: str, change: Callable[[Tensor], Tensor]) -> Case:
    args, kwargs = map_tensors((case.args, dict(case.kwargs)), change)
    return Case(args, kwargs, name)


def _tensors(case: Case) -> list[Tensor]:
    return [x for x in leaves((case.args, dict(case.kwargs))) if isinstance(x, Tensor)]
