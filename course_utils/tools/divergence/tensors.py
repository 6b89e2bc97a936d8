"""The tensors of an input: their dimensions that belong together, and changes of one tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from course_utils.core.cases import Case

Place = tuple[int, int]  # a dimension: (number of the tensor, dimension)


def tensors_of(case: Case) -> list[Tensor]:
    return [x.detach() for x in case.tensors]


def is_float(t: Tensor) -> bool:
    return t.is_floating_point()


def is_integer(t: Tensor) -> bool:
    return not (t.is_floating_point() or t.is_complex() or t.dtype == torch.bool)


def tied(examples: list[list[Tensor]]) -> set[tuple[Place, Place]]:
    """Pairs of dimensions of two tensors that have one size in every example."""
    found = None
    for tensors in examples:
        places = [(i, d) for i, t in enumerate(tensors) for d in range(t.dim())]
        equal = {(p, q) for p in places for q in places if p[0] != q[0] and size_of(tensors, p) == size_of(tensors, q)}
        found = equal if found is None else found & equal
    return found or set()


def groups(tensors: list[Tensor]) -> list[list[Place]]:
    """Dimensions that may have to change together: of one size and place, of one size, and each alone."""
    places = [(i, d) for i, t in enumerate(tensors) for d in range(t.dim())]
    size = {p: size_of(tensors, p) for p in places}
    rest = [p for p in places if p != (0, 0)]
    found = [[q for q in places if q[1] == p[1] and size[q] == size[p]] for p in rest if p[1]]
    found += [[q for q in rest if size[q] == size[p] and q[1]] for p in rest if p[1]]
    found += [[p] for p in (rest if len(tensors) == 1 else places)]
    return [list(group) for group in dict.fromkeys(map(tuple, found))]


def batch_group(tensors: list[Tensor]) -> list[Place]:
    n = tensors[0].shape[0]
    return [(i, 0) for i, t in enumerate(tensors) if t.dim() and t.shape[0] == n]


def lengths_of(tensors: list[Tensor]) -> dict[int, Place]:
    """Tensors of one integer for each row of another one, none greater than the size of another dimension of that."""
    found: dict[int, Place] = {}
    for i, t in enumerate(tensors):
        if t.dim() != 1 or not is_integer(t) or not t.numel() or t.min() < 1:
            continue
        hosts = [
            (host.shape[dim], (j, dim))
            for j, host in enumerate(tensors)
            for dim in range(host.dim())
            if host.shape[dim] >= t.max() and t.numel() in (*host.shape[:dim], *host.shape[dim + 1 :])
        ]
        if hosts:
            found[i] = min(hosts)[1]
    return found


def size_of(tensors: list[Tensor], place: Place) -> int:
    return tensors[place[0]].shape[place[1]]


def all_and_each(chosen: list[int]) -> list[list[int]]:
    return [chosen] if len(chosen) < 2 else [chosen, *([i] for i in chosen)]


def integers(t: Tensor) -> Tensor:
    """…, -1, 0, 1, …"""
    return (torch.arange(t.numel()) - t.numel() // 2).reshape(t.shape).to(t.dtype)


def only_index(t: Tensor, dim: int, at: int) -> Tensor:
    made = torch.zeros_like(t)
    made.select(dim, at).copy_(t.select(dim, at))
    return made


def outlier(t: Tensor, value: float | None = None) -> Tensor:
    """Small values and 100 among them; or the tensor with `value` in it."""
    made = (t.clone() if value is not None else t * 0.1 if is_float(t) else torch.zeros_like(t)).contiguous()
    made.view(-1)[t.numel() // 2] = value if value is not None else 100
    return made


def cast(t: Tensor, dtype: torch.dtype) -> Tensor:
    """To an integer dtype by tenths, so that numbers between 0 and 1 do not all become 0."""
    if is_float(t) and not dtype.is_floating_point:
        t = (t * 10).round()
    return (t.abs().clamp(max=255) if dtype == torch.uint8 else t).to(dtype)
