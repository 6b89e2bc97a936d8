"""A learner's own progress: one small readable file beside ``course.toml`` that git ignores.

A write goes to a second file that then replaces the first, so a crash half-way loses nothing. A file that cannot be
read as progress is set aside under another name, said in :attr:`Progress.notice`, and never stops a check.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from course_utils.classroom import manifest

FILE_NAME = "progress.json"
FORMAT = 1
ABOUT = "Progress in the TorchScript course. Delete this file to start afresh."


@dataclass
class Record:
    """What is known of one exercise. ``passed`` is the local time of the first pass, or an empty text."""

    status: str = "not attempted"
    attempts: int = 0
    hints: int = 0
    passed: str = ""


@dataclass
class Progress:
    """All records by exercise id. ``notice`` is a sentence for the learner when something was wrong with the file."""

    path: Path
    records: dict[str, Record] = field(default_factory=dict)
    notice: str = ""

    def of(self, exercise_id: str) -> Record:
        """The record of this exercise; an empty one if it was never tried."""
        return self.records.get(exercise_id, Record())


def default_path(root: Path | None = None) -> Path:
    """``COURSE_PROGRESS_FILE`` if set, else ``progress.json`` in the folder of the course."""
    named = os.environ.get("COURSE_PROGRESS_FILE")
    return Path(named) if named else (root or manifest.course_root()) / FILE_NAME


def load(path: Path | None = None) -> Progress:
    """Read the file; a missing one is an empty progress, a broken or foreign one is set aside. Never raises."""
    path = path or default_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Progress(path)
    except (OSError, UnicodeDecodeError) as error:
        return _set_aside(path, f"it cannot be read ({type(error).__name__})")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return _set_aside(path, "it is not valid JSON")
    try:
        return Progress(path, _records(data))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _set_aside(path, f"it is not a progress file of this course ({error})")


def record_attempt(exercise_id: str, status: str, path: Path | None = None) -> Progress:
    """Note the outcome of a check, and return the progress as it is now on disk.

    A passed exercise stays passed. A check of an untouched cell is no attempt: "Run All" checks every cell.
    """
    progress = load(path)
    if status == "not attempted":
        return progress
    record = progress.records.setdefault(exercise_id, Record())
    record.attempts += 1
    if record.status != "passed":
        record.status = status
    if status == "passed" and not record.passed:
        record.passed = datetime.now().strftime("%Y-%m-%d %H:%M")
    _save(progress)
    return progress


def record_hint(exercise_id: str, level: int, path: Path | None = None) -> Progress:
    """Note that hints up to ``level`` were shown."""
    progress = load(path)
    record = progress.records.setdefault(exercise_id, Record())
    record.hints = max(record.hints, level)
    _save(progress)
    return progress


def _records(data: Any) -> dict[str, Record]:
    if data["format"] != FORMAT:
        raise ValueError(f"its format is {data['format']!r}, this course writes {FORMAT}")
    records = {}
    for exercise_id, item in data["exercises"].items():
        record = Record(**item)
        counts_are_right = all(type(n) is int and n >= 0 for n in (record.attempts, record.hints))
        texts_are_right = isinstance(record.status, str) and isinstance(record.passed, str)
        if not (counts_are_right and texts_are_right):
            raise ValueError(f"the record of {exercise_id!r} is damaged")
        records[exercise_id] = record
    return records


def _save(progress: Progress) -> None:
    exercises = {key: asdict(progress.records[key]) for key in sorted(progress.records)}
    text = json.dumps({"about": ABOUT, "format": FORMAT, "exercises": exercises}, indent=2) + "\n"
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=progress.path.parent, prefix=".progress-", suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, progress.path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        reason = error.strerror or type(error).__name__
        progress.notice = (
            f"{progress.notice} Your progress could not be saved ({reason}). "
            f"Make {progress.path.resolve().parent.name}/ writable, then check again."
        ).strip()


def _set_aside(path: Path, why: str) -> Progress:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    kept = path.with_name(f"{path.stem}.set-aside-{stamp}{path.suffix}")
    try:
        os.replace(path, kept)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Progress(
            path, notice=f"{path.name} was not used: {why}. It could not be moved away ({reason}); move it yourself."
        )
    return Progress(path, notice=f"{path.name} was not used: {why}. It is kept as {kept.name}; a new one was started.")
