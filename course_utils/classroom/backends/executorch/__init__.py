"""ExecuTorch, the runtime for phones, from an environment of its own; where that is absent, its recorded result.

`make executorch` lays ``.venv/executorch`` on top of the course's environment: its own packages are those of
``requirements-executorch.lock``, and torch comes from below. The course's lock and environment stay as they are.

    python -m course_utils.classroom.backends.executorch      what `make executorch` calls
"""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from course_utils.classroom.backends import recorded, side_environment
from course_utils.core.errors import CourseError
from course_utils.core.limits import run_command
from course_utils.core.report import Report as BaseReport
from course_utils.core.report import html_table, text_table
from course_utils.core.status_line import status_line

ROOT = Path(__file__).resolve().parents[4]
LOCK = ROOT / "requirements-executorch.lock"
PROGRAM = Path(__file__).with_name("program.py")
TOLERANCE = 1e-4
BATCHES = (1, 2, 5, 64)
SECONDS = 300


class ExecuTorchError(CourseError):
    """ExecuTorch is not there, or its process failed. The text says what to do."""


@dataclass(frozen=True)
class Run:
    """What ExecuTorch gave for each batch, and what the .pte file is made of.

    room: the largest batch that its memory is planned for. raises_more: whether a batch of one more raises.
    delegated: the number of pieces handed to XNNPACK. left: the operators that run on ExecuTorch's own kernels.
    """

    outputs: list[Any]
    room: int
    raises_more: bool
    delegated: int
    left: list[str]
    kilobytes: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Report(BaseReport):
    """The digits in ExecuTorch. ``date`` is empty when it was run now, else the day on which it was recorded.

    batches: the sizes that were run. within: whether every score was within 1e-4 of eager. same_digits: on how many
    of ``images`` both read the same digit. The others are as in :class:`Run`.
    """

    batches: list[int]
    within: bool
    same_digits: int
    images: int
    room: int
    raises_more: bool
    delegated: int
    left: list[str]
    kilobytes: int
    versions: dict[str, str]
    date: str = ""

    @property
    def headline(self) -> str:
        """Where the numbers are from, and how to make them yourself."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        if self.date:
            return (
                f"{versions}: recorded on {self.date}; ExecuTorch is not installed here; to install it: make executorch"
            )
        return f"{versions}: run here and now"

    @property
    def findings(self) -> tuple[str, ...]:
        """What differs from eager."""
        same = self.within and self.same_digits == self.images
        return () if same else (f"{self.same_digits} of {self.images} digits as in eager, scores close: {self.within}",)

    @property
    def rows(self) -> list[tuple[str, str]]:
        more = "raises" if self.raises_more else "runs all the same"
        return [
            ("batches", ", ".join(map(str, self.batches))),
            ("scores within 1e-4 of eager", "yes" if self.within else "NO"),
            ("same digit as eager", f"{self.same_digits} of {self.images}"),
            ("memory planned for batches up to", f"{self.room}; {self.room + 1} {more}"),
            ("pieces handed to XNNPACK", str(self.delegated)),
            ("operators left to portable kernels", ", ".join(self.left) or "none"),
            ("size of the .pte file", f"less than {50 * (self.kilobytes // 50 + 1)} kB"),
        ]

    def text(self) -> str:
        return f"{self.headline}\n{textwrap.indent(text_table((), self.rows), '  ')}"

    def html_parts(self) -> list[str]:
        return [html_table((), self.rows)]


def home() -> Path:
    """Where ExecuTorch's environment is, or would be: inside the environment of this Python."""
    return side_environment.place("executorch")


def interpreter() -> Path | None:
    """The Python of ExecuTorch's environment; None where `make executorch` was not run to its end."""
    return side_environment.interpreter(home())


def install() -> None:
    """Make the environment: the locked packages, and a path to the course's own packages below them.

    Raises :class:`ExecuTorchError`; the installer's own words were shown.
    """
    if not side_environment.make(home(), LOCK):
        raise ExecuTorchError(
            "the installer stopped; its own words are above. ExecuTorch has no build for every system: "
            "where it has none, the lesson shows the stored result."
        )


def run(exported: Any, batches: Sequence[Any], *, seconds: float = SECONDS) -> Run:
    """Lower an exported program to a .pte file, run it with each batch, and return what came back.

    exported: from ``torch.export.export``, with one input. batches: tensors for that input. Importing and lowering
    take 10 to 30 s; a line says how far it is. Raises :class:`ExecuTorchError` where ExecuTorch is absent or fails.
    """
    import torch

    python = interpreter()
    if python is None:
        raise ExecuTorchError("ExecuTorch is not installed here; run `make executorch`, or show `stored()`.")
    with tempfile.TemporaryDirectory() as name, status_line() as show:
        folder = Path(name)
        torch.export.save(exported, folder / "model.pt2")
        torch.save(list(batches), folder / "batches.pt")
        ended = run_command(
            [str(python), str(PROGRAM), name], seconds=seconds, on_line=lambda line: show(f"ExecuTorch: {line} …")
        )
        if ended.code:
            why = f"it was not done after {seconds:g} s" if ended.late else ended.last_words
            raise ExecuTorchError(f"ExecuTorch stopped: {why}. Run `make executorch` again, or show `stored()`.")
        return Run(**torch.load(folder / "answers.pt", weights_only=True))


def stored() -> Report:
    """The result that `python -m course_utils.authoring store` recorded, with its versions and date."""
    return Report(**recorded.results("executorch")["digits"], date=recorded.about("executorch")["date"])


def digits(model: Any, images: Any, *, batches: Sequence[int] = BATCHES) -> Report:
    """Run a classifier in ExecuTorch on the first images, in batches of these sizes; without ExecuTorch, `stored()`.

    model: takes (batch, 1, 8, 8) images and gives (batch, 10) scores, in eval mode. Raises :class:`ExecuTorchError`
    when ExecuTorch is there and fails.
    """
    import torch

    if interpreter() is None:
        return stored()
    chosen = [images[:size].contiguous() for size in batches]
    # ExecuTorch plans its memory for the largest batch. With a small example it plans for less than `max` says (seen in
    # 1.5.1: an example of 2 and max=64 give room for 15), so the example is the largest batch.
    largest = max(*batches, 2)
    batch = torch.export.Dim("batch", min=1, max=largest)
    exported = torch.export.export(model, (images[:largest],), dynamic_shapes=({0: batch},))
    found = run(exported, chosen)
    with torch.no_grad():
        eager = [model(x) for x in chosen]
    facts = asdict(found)
    outputs = facts.pop("outputs")
    report = Report(
        batches=list(batches),
        within=all(bool((a - b).abs().max() < TOLERANCE) for a, b in zip(eager, outputs, strict=True)),
        same_digits=sum(int((a.argmax(1) == b.argmax(1)).sum()) for a, b in zip(eager, outputs, strict=True)),
        images=sum(batches),
        **facts,
    )
    facts = asdict(report)
    del facts["date"]
    recorded.keep("executorch", "digits", facts)
    return report
