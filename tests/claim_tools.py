"""What the claims of several lessons use: errors as text, cells of a lesson, and three models that count calls."""

# No `from __future__ import annotations`: the models here are scripted.

import contextlib
import copy
import io
import json
import logging
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom import notebook_files

ROOT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """torch.export prints half a graph when it raises, and logs what it gives in to."""
    level = logging.getLogger("torch").level
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.getLogger("torch").setLevel(level)


def error_of(act: Callable[[], Any]) -> str:
    """What `act` raises and the cause of it, as text; empty where it raises nothing."""
    try:
        with quiet():
            act()
    except Exception as error:
        said, cause = f"{type(error).__name__}: {error}", error.__cause__ or error.__context__
        return f"{said} {cause}" if cause else said
    return ""


def from_cell(lesson: str, cell_id: str, **names: Any) -> types.SimpleNamespace:
    """What a cell of a lesson defines, run with these names there already."""
    cells = {cell.id: cell.source for cell in notebook_files.read(ROOT / lesson).cells}
    space: dict[str, Any] = {"torch": torch, "nn": nn, "copy": copy, "json": json, "vad_file": None, **names}
    exec(cells[cell_id], space)
    return types.SimpleNamespace(**space)


class InInt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x * self.calls

    @torch.jit.export
    def reset(self) -> None:
        self.calls = 0


class InTensor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x * self.calls

    @torch.jit.export
    def reset(self) -> None:
        self.calls = torch.zeros(1)


class InBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls

    @torch.jit.export
    def reset(self) -> None:
        self.calls.zero_()
