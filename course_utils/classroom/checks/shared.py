"""What the checks of several lessons use: hidden inputs, a file that acts on load, a verdict on an answer's type."""

# No `from __future__ import annotations`: the module here is scripted.

import contextlib
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from course_utils.classroom.checks import NotYet

NOTHING = "Your function returns nothing."


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Numbers from 0 to 1 that a learner has not seen, the same ones for a seed, whatever ran before."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def first_export() -> None:
    """What the first torch.export of a process costs: seconds of imports. For ``check_for(…, first_use=…)``."""
    torch.export.export(nn.ReLU(), (torch.zeros(2),))


def first_onnx_export() -> None:
    """What the first export to ONNX costs, by today's exporter, and the first session of onnxruntime."""
    import onnxruntime  # noqa: F401

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(nn.ReLU(), (torch.zeros(2),), dynamo=True, verbose=False)


class WritesOnLoad(nn.Module):
    """Scripted and saved, its archive writes a file at `path` while it is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.path)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tensor([1.0, 2.0])


def expect_program(given: Any, look_at: str) -> None:
    """Raise :class:`NotYet` for what is no ExportedProgram; `look_at` says where one comes from in this exercise."""
    if given is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the program")
    if not isinstance(given, ExportedProgram):
        raise NotYet(
            "Your function does not return an ExportedProgram.",
            seen={"you gave": f"an object of type {type(given).__name__}"},
            look_at=look_at,
        )
