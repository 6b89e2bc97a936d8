"""What a model is called with: one rule for every tool's inputs, and further inputs made from an example.

as_cases(x)                    # a Tensor: one case with one argument
as_cases((x, 3))               # a tuple: one case, the positional arguments
as_cases(Case((x,), {"n": 3})) # keyword arguments, or a name
as_cases([x, (x, 3)])          # a list: several cases, each of one of the forms above
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from course_utils.core.values import brief, leaves, map_tensors

__all__ = [
    "Case",
    "as_case",
    "as_cases",
    "batch_sizes",
    "leaves",
    "map_tensors",
    "other_ranks",
    "other_sizes",
    "other_values",
]


@dataclass(frozen=True)
class Case:
    """One input: positional and keyword arguments, and a name for the report."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.args, tuple):
            raise TypeError(f"Case.args is a tuple of arguments, got {type(self.args).__name__}; write Case((x,)).")

    @property
    def leaves(self) -> list[Any]:
        """The leaves of all arguments, in order."""
        return list(leaves((self.args, dict(self.kwargs))))

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the leaves."""
        return [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]

    @property
    def size(self) -> int:
        """The number of elements in all tensors: a small case is shown before a large one."""
        return sum(leaf.numel() if isinstance(leaf, Tensor) else 1 for leaf in self.leaves)

    @property
    def text(self) -> str:
        parts = [brief(a) for a in self.args] + [f"{k}={brief(v)}" for k, v in self.kwargs.items()]
        return ", ".join(parts) or "no arguments"

    def changed(self, fn: Callable[[Tensor], Any], name: str = "") -> Case:
        """The same call with ``fn(tensor)`` in place of each tensor."""
        args, kwargs = map_tensors((self.args, dict(self.kwargs)), fn)
        return Case(args, kwargs, name or self.name)


def as_cases(inputs: Any) -> list[Case]:
    """Read the inputs of a tool; raise TypeError or ValueError where they say nothing usable."""
    entries = inputs if isinstance(inputs, list) else [inputs]
    if not entries or (isinstance(inputs, tuple) and not inputs):
        raise ValueError(
            "inputs is empty, so nothing would be checked; give at least one case, such as torch.randn(2, 3)."
        )
    cases = []
    for i, entry in enumerate(entries):
        if isinstance(entry, Tensor):
            case = Case((entry,))
        elif isinstance(entry, tuple):
            case = Case(entry)
        elif isinstance(entry, Case):
            case = entry
        else:
            raise TypeError(
                f"inputs holds a {type(entry).__name__}; a case is a Tensor, a tuple of arguments, "
                "or Case(args, kwargs, name). Wrap a single argument of another type in a tuple: (value,)."
            )
        cases.append(case if case.name else replace(case, name=f"input {i + 1}" if len(entries) > 1 else "the input"))
    return cases


def as_case(inputs: Any, name: str = "") -> Case:
    """Read inputs that must be one case, as an example is. A ``name`` replaces the one that it has."""
    cases = as_cases(inputs)
    if len(cases) > 1:
        raise ValueError(f"one input is asked for, and this is a list of {len(cases)}; give one of them.")
    return replace(cases[0], name=name) if name else cases[0]


# --- more cases from one ---------------------------------------------------------------------------------------------


def batch_sizes(args: Any, sizes: tuple[int, ...] = (1, 2, 5), dim: int = 0) -> list[Case]:
    """Cases of other batch sizes made from one: every tensor argument that has the first one's size along
    `dim` (nested ones too) is cut, or repeated from its beginning, to each of `sizes`. Size 0 gives an empty
    batch.

    args: a Tensor, a tuple of positional arguments, or a Case. Raises ValueError where no tensor has
    dimension `dim`, or a batch of 0 would have to grow.
    """
    case = as_case(args)
    tensors = case.tensors
    if not tensors or tensors[0].dim() <= dim:
        raise ValueError(f"no tensor argument has a dimension {dim} to vary; give a batch, such as torch.randn(4, 3).")
    batch = tensors[0].shape[dim]
    if not batch and any(sizes):
        raise ValueError("the given batch is empty and cannot be repeated; give at least one row.")

    def resized(size: int) -> Case:
        def resize(value: Tensor) -> Tensor:
            if value.dim() <= dim or value.shape[dim] != batch:
                return value
            return value.index_select(dim, torch.arange(size, device=value.device) % max(batch, 1))

        return case.changed(resize, f"{'' if case.name == 'the input' else case.name + ', '}batch {size}")

    return [resized(size) for size in sizes]


def other_values(example: Case) -> list[Case]:
    """The example with other values in its tensors: negated, all zero, times ten, noise.

    Integers, which may index something, are set to zero or turned round, and not negated or multiplied.
    """
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "negated": lambda x: -x if x.is_floating_point() else x,
        "all zero": torch.zeros_like,
        "times ten": lambda x: x * 10 if x.is_floating_point() else x,
        "noise": _noise,
    }
    return [example.changed(change, name) for name, change in changes.items()] if example.tensors else []


def other_sizes(example: Case) -> list[Case]:
    """The example half as large again in each dimension of its first tensor; in the first one at size 1 too."""
    if not example.tensors:
        return []
    made = []
    for dim, size in enumerate(example.tensors[0].shape):
        larger = size + (size + 1) // 2
        for new in sorted(({1, larger} if dim == 0 else {larger}) - {0, size}):
            (case,) = batch_sizes(example, (new,), dim)
            made.append(replace(case, name=f"size {new} in dimension {dim}"))
    return made


def other_ranks(example: Case) -> list[Case]:
    """The example with an extra dimension, and with one less, in every tensor; those that can be made."""
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "an extra dimension": lambda x: x.unsqueeze(0),
        "one dimension less": lambda x: x.select(0, 0).clone(),
    }
    made = []
    for name, change in changes.items():
        with contextlib.suppress(IndexError, RuntimeError):
            made.append(example.changed(change, name))
    return made if example.tensors else []


def _noise(x: Tensor) -> Tensor:
    if x.is_floating_point():
        return torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x)
    return x.flip(tuple(range(x.dim())))
