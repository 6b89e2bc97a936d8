"""ExecuTorch, the runtime for phones, from an environment of its own; where that is absent, its stored result.

`make executorch` lays ``.venv/executorch`` on top of the course's environment: its own packages are those of
``requirements-executorch.lock``, and torch comes from below. The course's lock and environment stay as they are.

    python -m course_utils.classroom.backends.executorch install     what `make executorch` calls
    python -m course_utils.classroom.backends.executorch record      run the digits, write stored.json
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from course_utils.classroom.backends import side_environment
from course_utils.core.status_line import status_line

ROOT = Path(__file__).resolve().parents[4]
LOCK = ROOT / "requirements-executorch.lock"
STORED = Path(__file__).with_name("stored.json")
PROGRAM = Path(__file__).with_name("program.py")
TOLERANCE = 1e-4
BATCHES = (1, 2, 5, 64)
SECONDS = 300


class EdgeError(RuntimeError):
    """ExecuTorch is not there, or its process failed. The text says what to do."""


@dataclass(frozen=True)
class Run:
    """What ExecuTorch gave for each batch, and what the .pte file is made of.

    room: the largest batch that its memory is planned for. refuses_more: whether a batch of one more raises.
    delegated: the number of pieces handed to XNNPACK. left: the operators that run on ExecuTorch's own kernels.
    """

    outputs: list[Any]
    room: int
    refuses_more: bool
    delegated: int
    left: list[str]
    kilobytes: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Report:
    """The digits in ExecuTorch. ``date`` is empty when it was run now, else the day on which it was stored.

    batches: the sizes that were run. within: whether every score was within 1e-4 of eager. same_digits: on how many
    of ``images`` both read the same digit. The others are as in :class:`Run`.
    """

    batches: list[int]
    within: bool
    same_digits: int
    images: int
    room: int
    refuses_more: bool
    delegated: int
    left: list[str]
    kilobytes: int
    versions: dict[str, str]
    date: str = ""

    @property
    def origin(self) -> str:
        """Where the numbers are from, and how to make them yourself."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        if self.date:
            return (
                f"{versions}: stored on {self.date}; ExecuTorch is not installed here; to install it: make executorch"
            )
        return f"{versions}: run here and now"

    @property
    def _more(self) -> str:
        return "is refused" if self.refuses_more else "is taken all the same"

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [
            ("batches", ", ".join(map(str, self.batches))),
            ("scores within 1e-4 of eager", "yes" if self.within else "NO"),
            ("same digit as eager", f"{self.same_digits} of {self.images}"),
            ("memory planned for batches up to", f"{self.room}; {self.room + 1} {self._more}"),
            ("pieces handed to XNNPACK", str(self.delegated)),
            ("operators left to portable kernels", ", ".join(self.left) or "none"),
            ("size of the .pte file", f"less than {50 * (self.kilobytes // 50 + 1)} kB"),
        ]

    def __repr__(self) -> str:
        width = max(len(label) for label, _ in self.rows)
        return "\n".join([self.origin, *(f"  {label:<{width}}  {text}" for label, text in self.rows)])

    def _repr_html_(self) -> str:
        cell = "text-align:left;padding:2px 16px 2px 0"
        rows = "".join(
            f'<tr><td style="{cell}">{escape(label)}</td><td style="{cell}">{escape(text)}</td></tr>'
            for label, text in self.rows
        )
        return f'<div>{escape(self.origin)}</div><table style="border-collapse:collapse">{rows}</table>'


def home() -> Path:
    """Where ExecuTorch's environment is, or would be: inside the environment of this Python."""
    return side_environment.place("executorch")


def interpreter() -> Path | None:
    """The Python of ExecuTorch's environment; None where `make executorch` was not run to its end."""
    return side_environment.interpreter(home())


def install() -> None:
    """Make the environment: the locked packages, and a path to the course's own packages below them.

    Raises :class:`EdgeError`; the installer's own words were shown.
    """
    if not side_environment.make(home(), LOCK):
        raise EdgeError(
            "the installer stopped; its own words are above. ExecuTorch has no build for every system: "
            "where it has none, the lesson shows the stored result."
        )


def run(exported: Any, batches: Sequence[Any], *, seconds: float = SECONDS) -> Run:
    """Lower an exported program to a .pte file, run it with each batch, and return what came back.

    exported: from ``torch.export.export``, with one input. batches: tensors for that input. Importing and lowering
    take 10 to 30 s; a line says how far it is. Raises :class:`EdgeError` where ExecuTorch is absent or fails.
    """
    import torch

    python = interpreter()
    if python is None:
        raise EdgeError("ExecuTorch is not installed here; run `make executorch`, or show `stored()`.")
    with tempfile.TemporaryDirectory() as name, status_line() as show:
        folder = Path(name)
        torch.export.save(exported, folder / "model.pt2")
        torch.save(list(batches), folder / "batches.pt")
        with (folder / "errors.txt").open("w", encoding="utf-8") as errors:
            command = [str(python), str(PROGRAM), name]
            environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8", env=environment
            ) as process:
                alarm = threading.Timer(seconds, process.kill)
                alarm.start()
                try:
                    assert process.stdout is not None
                    for line in process.stdout:
                        show(f"ExecuTorch: {line.strip()} …")
                    code = process.wait()
                except BaseException:
                    process.kill()
                    raise
                finally:
                    alarm.cancel()
        if code:
            words = (folder / "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = words[-1] if words else f"exit code {code}"
            raise EdgeError(f"ExecuTorch stopped: {last}. Run `make executorch` again, or show `stored()`.")
        return Run(**torch.load(folder / "answers.pt", weights_only=True))


def stored() -> Report:
    """The result of `python -m course_utils.classroom.backends.executorch record`, with its versions and date."""
    return Report(**json.loads(STORED.read_text(encoding="utf-8")))


def digits(model: Any, images: Any, *, batches: Sequence[int] = BATCHES) -> Report:
    """Run a classifier in ExecuTorch on the first images, in batches of these sizes; without ExecuTorch, `stored()`.

    model: takes (batch, 1, 8, 8) images and gives (batch, 10) scores, in eval mode. Raises :class:`EdgeError` when
    ExecuTorch is there and fails.
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
    return Report(
        batches=list(batches),
        within=all(bool((a - b).abs().max() < TOLERANCE) for a, b in zip(eager, outputs, strict=True)),
        same_digits=sum(int((a.argmax(1) == b.argmax(1)).sum()) for a, b in zip(eager, outputs, strict=True)),
        images=sum(batches),
        **facts,
    )


def record() -> Report:
    """Run the digits now and write stored.json."""
    from course_utils.classroom import models

    if interpreter() is None:
        raise EdgeError("there is nothing to record: ExecuTorch is not installed here; run `make executorch` first.")
    found = digits(models.train_digit_net(), models.digit_images()[2])
    today = datetime.date.today().isoformat()
    STORED.write_text(json.dumps({**asdict(found), "date": today}, indent=1) + "\n", encoding="utf-8")
    return found
