"""``course.toml`` as typed objects. This module is the only reader of that file."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from course_utils.core.errors import CourseError

FILE_NAME = "course.toml"
_LESSON_ID = re.compile(r"\d\d")
_SLUG = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


class ManifestError(CourseError, ValueError):
    """``course.toml`` is missing or breaks a rule. The text says which one and what to change."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: ``id`` such as ``"01.2"``, its title, the minutes it takes, and hints from vague to plain."""

    id: str
    title: str
    minutes: int
    hints: tuple[str, ...]

    @property
    def lesson_id(self) -> str:
        return self.id.split(".")[0]


@dataclass(frozen=True)
class Lesson:
    """One lesson. ``needs`` holds the ids of the lessons to read before it."""

    id: str
    slug: str
    title: str
    promise: str
    minutes: int
    needs: tuple[str, ...]
    objectives: tuple[str, ...]
    exercises: tuple[Exercise, ...]

    @property
    def file_name(self) -> str:
        """The notebook's name, the same in ``notebooks/``, ``solutions/`` and ``exercises/``."""
        return f"{self.id}_{self.slug}.ipynb"


@dataclass(frozen=True)
class Course:
    """The whole course, and ``root``, the folder that holds ``course.toml``."""

    root: Path
    title: str
    lessons: tuple[Lesson, ...]

    def lesson(self, lesson_id: str) -> Lesson:
        """The lesson with this id; ``KeyError`` names the ids there are."""
        for lesson in self.lessons:
            if lesson.id == lesson_id:
                return lesson
        raise KeyError(f"there is no lesson {lesson_id!r}; the lessons are {', '.join(x.id for x in self.lessons)}")

    def exercise(self, exercise_id: str) -> Exercise:
        """The exercise with this id; ``KeyError`` names the ids there are."""
        for exercise in self.exercises():
            if exercise.id == exercise_id:
                return exercise
        known = ", ".join(x.id for x in self.exercises())
        raise KeyError(f"there is no exercise {exercise_id!r}; the exercises are {known}")

    def exercises(self) -> Iterator[Exercise]:
        """All exercises in course order."""
        for lesson in self.lessons:
            yield from lesson.exercises

    def neighbours(self, lesson: Lesson) -> tuple[Lesson | None, Lesson | None]:
        """The lessons before and after this one."""
        at = self.lessons.index(lesson)
        before = self.lessons[at - 1] if at else None
        after = self.lessons[at + 1] if at + 1 < len(self.lessons) else None
        return before, after

    def notebook(self, lesson: Lesson) -> Path:
        return self.root / "notebooks" / lesson.file_name

    def solution(self, lesson: Lesson) -> Path:
        return self.root / "solutions" / lesson.file_name

    def exercise_notebook(self, lesson: Lesson) -> Path:
        return self.root / "exercises" / lesson.file_name


def course_root() -> Path:
    """The folder of the course: ``COURSE_ROOT`` if set, else the folder that holds this package."""
    named = os.environ.get("COURSE_ROOT")
    return Path(named) if named else Path(__file__).resolve().parents[2]


def load(root: Path | None = None) -> Course:
    """Read and check ``course.toml`` in ``root`` (default: :func:`course_root`). Raises :class:`ManifestError`."""
    return _load((root or course_root()).resolve())


@lru_cache(maxsize=8)
def _load(root: Path) -> Course:
    path = root / FILE_NAME
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"{FILE_NAME} is not in {root}; start from the folder of the course") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{FILE_NAME} cannot be read ({error}); save it as a UTF-8 file") from None
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{FILE_NAME} is not valid TOML: {error}; correct that line") from None
    course = _Reader(data, "course.toml")
    title = course.text("title")
    lessons = tuple(_lesson(_Reader(item, f"lesson {n}")) for n, item in enumerate(course.tables("lessons")))
    course.done()
    _check_order(lessons)
    return Course(root, title, lessons)


def _lesson(item: _Reader) -> Lesson:
    item.where = f"lesson {item.text('id')}"
    lesson = Lesson(
        id=item.text("id"),
        slug=item.text("slug"),
        title=item.text("title"),
        promise=item.text("promise"),
        minutes=item.minutes(),
        needs=item.texts("needs", least=0),
        objectives=item.texts("objectives", least=1),
        exercises=tuple(_exercise(_Reader(x, "exercise")) for x in item.tables("exercises")),
    )
    item.done()
    if not _LESSON_ID.fullmatch(lesson.id):
        raise ManifestError(f"{item.where}: an id is two digits; change {lesson.id!r}")
    if not _SLUG.fullmatch(lesson.slug):
        raise ManifestError(f"{item.where}: a slug is lower case words joined by _; change {lesson.slug!r}")
    for n, exercise in enumerate(lesson.exercises, start=1):
        if exercise.id != f"{lesson.id}.{n}":
            raise ManifestError(f"{item.where}: exercise {n} has id {exercise.id!r}; write {lesson.id}.{n}")
    return lesson


def _exercise(item: _Reader) -> Exercise:
    item.where = f"exercise {item.text('id')}"
    exercise = Exercise(item.text("id"), item.text("title"), item.minutes(), item.texts("hints", least=2))
    item.done()
    return exercise


def _check_order(lessons: tuple[Lesson, ...]) -> None:
    if not lessons:
        raise ManifestError(f"{FILE_NAME} names no lesson; add a [[lessons]] table")
    seen: list[str] = []
    for lesson in lessons:
        if seen and lesson.id <= seen[-1]:
            raise ManifestError(
                f"lesson {lesson.id} stands after lesson {seen[-1]}; put the lessons in order, each once"
            )
        for need in lesson.needs:
            if need not in seen:
                raise ManifestError(f"lesson {lesson.id} needs {need!r}, which is not an earlier lesson; change needs")
        seen.append(lesson.id)


class _Reader:
    """Takes typed values out of one TOML table and complains about the ones that are left."""

    def __init__(self, table: Any, where: str) -> None:
        if not isinstance(table, dict):
            raise ManifestError(f"{where}: expected a table; write it as [[…]] with key = value lines")
        self.table = table
        self.where = where
        self.taken: set[str] = set()

    def _take(self, key: str, kind: type, default: Any = None) -> Any:
        self.taken.add(key)
        value = self.table.get(key, default)
        if value is None:
            raise ManifestError(f"{self.where}: {key} is missing; add it")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ManifestError(f"{self.where}: {key} is a {type(value).__name__}; write a {kind.__name__}")
        return value

    def text(self, key: str) -> str:
        value: str = self._take(key, str)
        if not value.strip():
            raise ManifestError(f"{self.where}: {key} is empty; write it")
        return value

    def minutes(self) -> int:
        value: int = self._take("minutes", int)
        if value <= 0:
            raise ManifestError(f"{self.where}: minutes is {value}; write how long it takes")
        return value

    def texts(self, key: str, least: int) -> tuple[str, ...]:
        values = self._take(key, list, default=[] if least == 0 else None)
        if len(values) < least or not all(isinstance(x, str) and x.strip() for x in values):
            raise ManifestError(f"{self.where}: {key} needs at least {least} texts, none empty; complete it")
        return tuple(values)

    def tables(self, key: str) -> list[Any]:
        return self._take(key, list, default=[])

    def done(self) -> None:
        left = sorted(set(self.table) - self.taken)
        if left:
            known = ", ".join(sorted(self.taken))
            raise ManifestError(f"{self.where}: unknown key {left[0]!r}; the keys are {known}")
