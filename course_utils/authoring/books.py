"""The notebooks of the course and its other files, as they are on disk."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.classroom.answer_cells import exercise_of
from course_utils.classroom.manifest import Course, Lesson

FOLDERS = {"lesson": "notebooks", "solutions": "solutions", "exercises": "exercises"}


@dataclass(frozen=True)
class Cell:
    """One cell as its file has it; ``source`` and ``outputs`` texts are joined."""

    id: str
    kind: str
    source: str
    tags: tuple[str, ...]
    count: int | None
    outputs: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Book:
    """One notebook of the course: ``name`` relative to the course, ``kind`` one of ``FOLDERS``."""

    name: str
    kind: str
    lesson: Lesson
    cells: tuple[Cell, ...]

    def answered(self, cell: Cell) -> str | None:
        """The exercise that this cell answers: lessons show checks too, and hold no answers."""
        return exercise_of(cell.source) if cell.kind == "code" and self.kind != "lesson" else None


def paths(course: Course) -> Iterator[tuple[str, Lesson, Path]]:
    """Kind, lesson and path of each notebook that should be there and is."""
    for kind, folder in FOLDERS.items():
        for lesson in course.lessons:
            path = course.root / folder / lesson.file_name
            if (kind == "lesson" or lesson.exercises) and path.is_file():
                yield kind, lesson, path


def books(course: Course, *kinds: str) -> Iterator[Book]:
    """The notebooks of these kinds that can be read; `notebooks_are_canonical` names the others."""
    for kind, lesson, path in paths(course):
        book = read(course, kind, lesson, path) if kind in kinds else ""
        if isinstance(book, Book):
            yield book


def read(course: Course, kind: str, lesson: Lesson, path: Path) -> Book | str:
    """The notebook, or a sentence on why it cannot be read. Not by nbformat, which repairs what is to be found here."""
    name = name_of(course, path)
    try:
        cells = cells_of(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{name}: it is not a notebook ({type(error).__name__}: {error}); restore it from git"
    return Book(name, kind, lesson, cells)


def cells_of(notebook: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The cells of a notebook as JSON has them. KeyError, TypeError or AttributeError for what is not a notebook."""
    return tuple(_cell(item) for item in notebook["cells"])


def _cell(item: Mapping[str, Any]) -> Cell:
    return Cell(
        id=str(item.get("id", "")),
        kind=item["cell_type"],
        source=joined(item["source"]),
        tags=tuple(item["metadata"].get("tags", ())),
        count=item.get("execution_count"),
        outputs=tuple(item.get("outputs", ())),
    )


def joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


def name_of(course: Course, path: Path) -> str:
    return path.relative_to(course.root).as_posix()


def tracked_files(root: Path) -> list[Path]:
    """The files that git tracks or would track; without git, every file outside hidden and made folders."""
    listed = None
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        try:
            listed = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8").split("\0")
        except (OSError, subprocess.CalledProcessError):
            listed = None
    if listed is not None:
        return sorted({root / name for name in listed if name and (root / name).is_file()})
    made = {".git", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints", "kept"}
    found = (path for path in root.rglob("*") if not made.intersection(path.relative_to(root).parts))
    return sorted(path for path in found if path.is_file())


def tracked_texts(course: Course) -> Iterator[tuple[str, str]]:
    """Name and text of each tracked file that is a text."""
    for path in tracked_files(course.root):
        try:
            yield name_of(course, path), path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
