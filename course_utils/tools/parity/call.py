"""One call of one side: its own arguments, a known random seed, the surroundings that a mode asks for."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.cases import Case
from course_utils.core.errors import one_line
from course_utils.core.values import leaves
from course_utils.tools.parity.compare import located
from course_utils.tools.parity.state import moved, owned, private_copy, seed_everything, streams


@dataclass
class Outcome:
    """What one call gave: a result or an error, the arguments afterwards, state and random streams."""

    result: Any = None
    error: Exception | None = None
    arguments: Any = None
    delta: dict[str, Any] = field(default_factory=dict)
    drew: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()  # which outputs lie in one piece of memory, with each other or an argument
    streams: dict[str, Any] = field(default_factory=dict)
    grads: dict[str, Tensor | None] | None = None
    grad_error: Exception | None = None


@contextlib.contextmanager
def _surroundings(words: list[str]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if "inference" in words:
            stack.enter_context(torch.inference_mode())
        if "no_grad" in words:
            stack.enter_context(torch.no_grad())
        if "grad" in words:
            stack.enter_context(torch.enable_grad())
        if "autocast" in words:
            stack.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
        yield


def call_once(fn: Callable[..., Any], case: Case, seed: int, words: list[str], grads: bool) -> Outcome:
    try:
        args, kwargs = private_copy((case.args, dict(case.kwargs)))
    except Exception as error:
        raise TypeError(
            f"the arguments of {case.name} cannot be copied ({one_line(error)}), "
            "so the two sides would share them; give tensors, numbers, strings, lists, tuples or dicts."
        ) from error
    wanted: dict[str, Tensor] = {}
    if grads:
        floats = [
            t for t in leaves((args, kwargs)) if isinstance(t, Tensor) and (t.is_floating_point() or t.is_complex())
        ]
        wanted = {f"argument {i}": t.requires_grad_() for i, t in enumerate(floats)}
        wanted |= {p: t for p, t in _parameters(fn).items() if t.requires_grad}
    outcome = Outcome(arguments=(args, kwargs))
    seed_everything(seed)
    before = streams()
    try:
        with _surroundings(words):
            outcome.result = fn(*args, **kwargs)
    except Exception as error:
        outcome.error = error
    outcome.streams = streams()
    outcome.drew = moved(before, outcome.streams)
    if grads and outcome.error is None:
        try:
            outcome.grads = _gradients(outcome.result, wanted)
        except Exception as error:
            outcome.grad_error = error
    if outcome.error is None:
        outcome.shares = _shared(outcome.result, args, kwargs)
    outcome.result = released(outcome.result)
    return outcome


def _shared(result: Any, args: Any, kwargs: Any) -> tuple[str, ...]:
    """Pairs of an output and another output or an argument whose memory overlaps, in words."""
    outputs = list(located(result, "out"))[:64]
    others = [*located(args, "args"), *located(kwargs, "kwargs")][:64]
    found = []
    for i, (name, first, last) in enumerate(outputs):
        for other, begin, end in [*others, *outputs[:i]]:
            if first < end and begin < last:
                found.append(f"{name} with {other}")
    return tuple(found)


def _parameters(fn: Callable[..., Any]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for prefix, root in owned(fn):
        if isinstance(root, nn.Module):
            for name, p in root.named_parameters(prefix=prefix):
                found[name.replace("_orig_mod.", "")] = p
    return found


def _gradients(result: Any, wanted: dict[str, Tensor]) -> dict[str, Tensor | None] | None:
    """Gradients of a weighted sum of all differentiable outputs: sum(out * cos([0, 1, 2, ...]))."""
    terms = []
    for leaf in leaves(result):
        if isinstance(leaf, Tensor) and leaf.requires_grad:
            weights = torch.arange(leaf.numel(), dtype=torch.float64).cos().reshape(leaf.shape)
            real = torch.view_as_real(leaf).sum(-1) if leaf.is_complex() else leaf
            terms.append((real * weights.to(real.dtype)).sum().double())
    if not terms or not wanted:
        return None
    values = torch.autograd.grad(torch.stack(terms).sum(), list(wanted.values()), allow_unused=True)
    return dict(zip(wanted, values, strict=True))


def released(value: Any, copied: bool = False) -> Any:
    """The same result without its autograd graph, requires_grad kept; with `copied`, in memory of its own."""
    memo: dict[int, Any] = {}
    for leaf in leaves(value):
        if isinstance(leaf, Tensor):
            free = leaf.detach().clone() if copied else leaf.detach()
            memo[id(leaf)] = free.requires_grad_(leaf.requires_grad)
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # an object that cannot be copied; compare says what it thinks of it
        return value
