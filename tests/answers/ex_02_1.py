"""Answers to 02.1 Annotate a function."""

# Learners write both old and new types, and the compiler does not take all that ruff proposes.
# ruff: noqa: UP006, UP035, UP045

from typing import List, Optional

import torch
from torch import Tensor, nn

from tests.answers import right, wrong


@wrong("It does not compile")
def nothing_annotated():
    def padded(rows, lengths, fill=0.0, limit=None):
        width = max(lengths)
        if limit is not None:
            width = min(width, limit)
        filled = []
        kept = []
        for n, length in enumerate(lengths):
            row = rows[n, : min(length, width)]
            filled.append(nn.functional.pad(row, [0, width - row.size(0)], value=fill))
            kept.append(row.size(0))
        return torch.stack(filled), kept

    return padded


@wrong("previously matched to type Tensor")
def list_forgotten():
    def padded(rows, lengths: List[int], fill: float = 0.0, limit: Optional[int] = None):
        width = max(lengths)
        if limit is not None:
            width = min(width, limit)
        filled = []
        kept = []
        for n, length in enumerate(lengths):
            row = rows[n, : min(length, width)]
            filled.append(nn.functional.pad(row, [0, width - row.size(0)], value=fill))
            kept.append(row.size(0))
        return torch.stack(filled), kept

    return padded


@wrong("cannot be called with `fill=-0.5`")
def fill_is_int():
    def padded(rows, lengths: List[int], fill: int = 0, limit: Optional[int] = None):
        width = max(lengths)
        if limit is not None:
            width = min(width, limit)
        filled = []
        kept: List[int] = []
        for n, length in enumerate(lengths):
            row = rows[n, : min(length, width)]
            filled.append(nn.functional.pad(row, [0, width - row.size(0)], value=float(fill)))
            kept.append(row.size(0))
        return torch.stack(filled), kept

    return padded


@wrong("Unknown type name 'int | None'")
def union_in_quotes():
    def padded(rows, lengths: List[int], fill: float = 0.0, limit: "int | None" = None):
        width = max(lengths)
        if limit is not None:
            width = min(width, limit)
        kept = [min(m, width, rows.size(1)) for m in lengths]
        filled = [torch.cat([rows[n, :m], torch.full((width - m,), fill)]) for n, m in enumerate(kept)]
        return torch.stack(filled), kept

    return padded


@wrong("Not yet scripted, it differs from the given function")
def limit_is_dropped():
    def padded(rows: Tensor, lengths: List[int], fill: float = 0.0, limit: int = 1000):
        filled: List[Tensor] = []
        kept: List[int] = []
        for n, length in enumerate(lengths):
            row = rows[n, :length]
            filled.append(nn.functional.pad(row, [0, max(lengths) - row.size(0)], value=fill))
            kept.append(row.size(0))
        return torch.stack(filled), kept

    return padded


@right
def new_style_types():
    def padded(
        rows: Tensor, lengths: list[int], fill: float = 0.0, limit: int | None = None
    ) -> tuple[Tensor, list[int]]:
        width = max(lengths)
        if limit is not None:
            width = min(width, limit)
        filled: list[Tensor] = []
        kept: list[int] = []
        for n, length in enumerate(lengths):
            row = rows[n, : min(length, width)]
            filled.append(nn.functional.pad(row, [0, width - row.size(0)], value=fill))
            kept.append(row.size(0))
        return torch.stack(filled), kept

    return padded


@right
def comprehensions_and_jit_annotate():
    def padded(rows, lengths: List[int], fill: float = 0.0, limit: Optional[int] = None):
        width = max(lengths) if limit is None else min(max(lengths), limit)
        kept = torch.jit.annotate(List[int], [])
        out = torch.full([len(lengths), width], fill)
        for n, length in enumerate(lengths):
            kept.append(min(length, width, rows.size(1)))
            out[n, : kept[n]] = rows[n, : kept[n]]
        return out, kept

    return padded


@right
def already_scripted():
    return torch.jit.script(new_style_types())


@wrong("the type in the schema of `limit`, a Tensor")
def limit_is_a_tensor():
    def padded(rows, lengths: List[int], fill: float = 0.0, limit=None):
        width = max(lengths)
        if limit is not None:
            width = min(width, int(limit))
        filled = []
        kept: List[int] = []
        for n, length in enumerate(lengths):
            row = rows[n, : min(length, width)]
            filled.append(nn.functional.pad(row, [0, width - row.size(0)], value=fill))
            kept.append(row.size(0))
        return torch.stack(filled), kept

    return padded


@wrong("Not yet scripted, it differs from the given function")
def limit_of_zero_is_no_limit():
    def padded(rows, lengths: List[int], fill: float = 0.0, limit: Optional[int] = None):
        width = max(lengths)
        if limit is not None and limit > 0:
            width = min(width, limit)
        filled = []
        kept: List[int] = []
        for n, length in enumerate(lengths):
            row = rows[n, : min(length, width)]
            filled.append(nn.functional.pad(row, [0, width - row.size(0)], value=fill))
            kept.append(row.size(0))
        return torch.stack(filled), kept

    return padded


@wrong("Not yet scripted, it differs from the given function")
def counts_beyond_the_row():
    def padded(rows, lengths: List[int], fill: float = 0.0, limit: Optional[int] = None):
        width = max(lengths)
        if limit is not None:
            width = min(width, limit)
        filled = []
        kept: List[int] = []
        for n, length in enumerate(lengths):
            row = rows[n, : min(length, width)]
            filled.append(nn.functional.pad(row, [0, width - row.size(0)], value=fill))
            kept.append(min(length, width))
        return torch.stack(filled), kept

    return padded


@wrong("cannot be called with `limit=None`")
def no_limit_is_minus_one():
    def padded(rows, lengths: List[int], fill: float = 0.0, limit: int = -1):
        width = max(lengths)
        if limit is not None and limit != -1:
            width = min(width, limit)
        filled = []
        kept: List[int] = []
        for n, length in enumerate(lengths):
            row = rows[n, : min(length, width)]
            filled.append(nn.functional.pad(row, [0, width - row.size(0)], value=fill))
            kept.append(row.size(0))
        return torch.stack(filled), kept

    return padded


@wrong("the underlined part: the type of each name in it")
def tested_by_its_truth():
    def padded(rows, lengths: List[int], fill: float = 0.0, limit: Optional[int] = None):
        width = max(lengths)
        if limit:
            width = min(width, limit)
        elif limit == 0:
            width = 0
        return rows[:, :width], lengths

    padded_in_python = comprehensions_and_jit_annotate()

    def either(rows, lengths: List[int], fill: float = 0.0, limit: Optional[int] = None):
        if torch.jit.is_scripting():
            return padded(rows, lengths, fill, limit)
        return padded_in_python(rows, lengths, fill, limit)

    return either
