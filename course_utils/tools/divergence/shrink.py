"""Shrink a diverging input to a minimal failing example: fewer elements, then rounder and smaller values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from course_utils.tools.divergence.moves import Change, Moves
from course_utils.tools.divergence.report import Divergence
from course_utils.tools.divergence.tensors import all_and_each, groups, tensors_of

STEPS = 200


def shrink(
    found: Divergence, diverges: Callable[[list[Tensor]], Divergence | None], moves: Moves, until: float
) -> Divergence:
    """Try lighter inputs, and go on from each that still diverges, until none does or the time is over."""
    steps, progress = 0, True
    while progress:
        progress = False
        tensors = tensors_of(found.case)
        for new in _lighter(tensors, found.kind, moves):
            steps += 1
            if steps > STEPS or time.monotonic() > until:
                return found
            if moves.within(new) and _weight(new) < _weight(tensors) and (smaller := diverges(new)):
                found, progress = smaller, True
                break
    return found


def _weight(tensors: list[Tensor]) -> tuple[float, ...]:
    """Fewer elements are lighter, then fewer values that are not whole, fewer that are not 0, smaller ones."""
    values = [t.detach().double().nan_to_num(0, 1e30, -1e30).flatten() for t in tensors if not t.is_complex()]
    flat = torch.cat(values) if values else torch.zeros(0)
    size = float(sum(t.numel() for t in tensors))
    fractions = float((flat != flat.round()).sum())
    return size, fractions, float((flat != 0).sum()), float(flat.abs().sum()), float((flat < 0).sum())


def _lighter(tensors: list[Tensor], kind: str, moves: Moves) -> Iterator[list[Tensor]]:
    """Lighter versions, the boldest first."""
    yield from _fewer_elements(tensors, kind, moves)
    usable = [i for i, t in enumerate(tensors) if t.numel() and t.dtype != torch.bool and not t.is_complex()]
    changes: list[Change] = [
        torch.zeros_like,
        torch.ones_like,
        lambda t: -torch.ones_like(t),
        torch.round,
        lambda t: t.round() // 2,
    ]
    for change in changes:
        for chosen in all_and_each(usable) if usable else ():
            yield [change(t) if i in chosen else t for i, t in enumerate(tensors)]
    if sum(t.numel() for t in tensors) <= 32:
        yield from _rounder_values(tensors, usable)


def _fewer_elements(tensors: list[Tensor], kind: str, moves: Moves) -> Iterator[list[Tensor]]:
    """Sizes of at least 1, the first and the last part of each."""
    places = [(i, d) for i, t in enumerate(tensors) for d in range(t.dim())]
    batch = [p for p in places if p[1] == 0 and tensors[p[0]].shape[0] == tensors[0].shape[0]]
    for group in [batch] * bool(batch) + groups(tensors) + [[p] for p in places[:1]]:
        if moves.is_split(kind, group):
            continue
        n = tensors[group[0][0]].shape[group[0][1]]
        for size in dict.fromkeys((1, 2, n // 2, n - 1)):
            for start in (0, n - size) if 0 < size < n else ():
                made = list(tensors)
                for i, d in group:
                    made[i] = made[i].narrow(d, start, size).clone()
                yield moves.with_lengths(tensors, made)


def _rounder_values(tensors: list[Tensor], usable: list[int]) -> Iterator[list[Tensor]]:
    for i in usable:
        for at, value in enumerate(tensors[i].flatten().tolist()):
            near = (round(value), int(value / 2)) if abs(value) < 1e9 else ()
            for new in dict.fromkeys((0, 1, -1, *near)):
                made = [t.clone(memory_format=torch.contiguous_format) for t in tensors]
                made[i].view(-1)[at] = new
                yield made
