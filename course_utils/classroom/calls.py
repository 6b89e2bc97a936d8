"""``status()`` and ``reset("01")``: the commands of these names as calls in a cell.

Both return an object that a notebook shows as a small card and a terminal as text. `check` and `hint` are in
`course_utils.classroom.exercises`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from course_utils.classroom import cards, learner_files, manifest, progress
from course_utils.classroom.manifest import Course, Exercise, Lesson

MARKS = {"not attempted": "○", "not yet": "△", "your code raised": "✗", "passed": "✓"}


@dataclass(frozen=True)
class Overview:
    """How far the learner is: in one lesson, exercise by exercise, or in all of them, lesson by lesson.

    ``rows`` hold texts; ``targets`` holds for each row what its first and its last text link to in a notebook.
    """

    headline: str
    rows: tuple[tuple[str, ...], ...]
    targets: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...] = ()
    notice: str = ""

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in self.rows]
        return "\n".join([*lines, self.headline, *([f"Note: {self.notice}"] if self.notice else [])])

    def _repr_html_(self) -> str:
        cells = [
            [cards.link(row[0], first), *map(escape, row[1:-1]), cards.link(row[-1], last)]
            for row, (first, last) in zip(self.rows, self.targets, strict=True)
        ]
        links = " · ".join(cards.link(*item) for item in self.links)
        notice = f"<div><i>Note:</i> {cards.prose(self.notice)}</div>" if self.notice else ""
        parts = [f"<b>{cards.prose(self.headline)}</b>", cards.rows(cells), f"<div>{links}</div>" if links else ""]
        return cards.card("".join([*parts, notice]))


@dataclass(frozen=True)
class Reset:
    """What :func:`reset` did, in a sentence, and what to do so that JupyterLab shows it."""

    done: str
    then: str = "If it is open, show the new one: in the menu, File > Reload Notebook from Disk."

    def __repr__(self) -> str:
        return f"{self.done}\n{self.then}"

    def _repr_html_(self) -> str:
        return cards.card(f"<b>{escape(self.done)}</b><div>{escape(self.then)}</div>")


def status(lesson: str | None = None) -> Overview:
    """Show which exercises are passed: a row a lesson, or for a lesson such as ``"03"`` a row an exercise.

    Raises ValueError for a lesson that does not exist; the text names those that do.
    """
    course, done = manifest.load(), progress.load()
    if lesson is not None:
        return _of_lesson(course, lesson_named(course, lesson), done)
    rows, targets = [], []
    for item in (x for x in course.lessons if x.exercises):
        passed, following = _passed(item.exercises, done)
        mark = "✓" if following is None else " "
        name = f"{mark} {item.id} {item.title}"
        rows.append((name, f"{passed} of {len(item.exercises)}", f"next {following.id}" if following else ""))
        targets.append((f"../exercises/{item.file_name}", place(course, following) if following else ""))
    return Overview(
        _headline(course, tuple(course.exercises()), done, "course"), tuple(rows), tuple(targets), notice=done.notice
    )


def reset(lesson: str) -> Reset:
    """Reset a lesson's exercise notebook; the learner's version is kept in ``exercises/kept/``.

    Raises ValueError for a lesson that does not exist, and `LearnerFilesError` where it cannot be written.
    """
    course = manifest.load()
    found = lesson_named(course, lesson)
    kept = learner_files.reset(course, found.id)
    state = f"your version is in {kept.as_posix()}" if kept else "you had not changed it"
    return Reset(f"Exercise notebook {found.id} has been reset; {state}.")


def tally(exercise_id: str, done: progress.Progress) -> str:
    """How much of the lesson of this exercise is passed: ``2 of 5``."""
    exercises = manifest.load().lesson(exercise_id.split(".")[0]).exercises
    return f"{_passed(exercises, done)[0]} of {len(exercises)}"


def place(course: Course, exercise: Exercise) -> str:
    """Where an exercise begins, for a link in any notebook of the course; `generate` puts the anchor there."""
    return f"../exercises/{course.lesson(exercise.lesson_id).file_name}#{exercise.id}"


def lesson_named(course: Course, given: str) -> Lesson:
    """The lesson meant by 01, 1, 01.2, 01_tracing or its file. ValueError for anything else."""
    name = Path(given).name
    number = re.match(r"(\d+)(?:[._].*)?$", name)
    meant = number[1].zfill(2) if number else name
    for lesson in course.lessons:
        if lesson.id == meant and (name.partition("_")[1] == "" or name.removesuffix(".ipynb") in lesson.file_name):
            return lesson
    near = [x.id for x in course.lessons if x.id == meant or (len(name) > 2 and name.lower() in x.file_name)]
    known = ", ".join(x.id for x in course.lessons)
    raise ValueError(
        f"there is no lesson {given!r}; " + (f"did you mean {near[0]}?" if near else f"the lessons are {known}")
    )


def _of_lesson(course: Course, lesson: Lesson, done: progress.Progress) -> Overview:
    rows = []
    for exercise in lesson.exercises:
        record = done.of(exercise.id)
        name = f"{MARKS.get(record.status, '○')} {exercise.id} {exercise.title}"
        used = filter(None, [_count(record.attempts, "attempt"), _count(record.hints, "hint")])
        rows.append((name, record.status, ", ".join(used)))
    links = (
        (f"Lesson {lesson.id} · {lesson.title}", f"../notebooks/{lesson.file_name}"),
        ("Worked answers", f"../solutions/{lesson.file_name}"),
    )
    return Overview(
        _headline(course, lesson.exercises, done, "lesson"),
        tuple(rows),
        tuple((place(course, exercise), "") for exercise in lesson.exercises),
        links if lesson.exercises else links[:1],
        done.notice,
    )


def _headline(course: Course, exercises: tuple[Exercise, ...], done: progress.Progress, whole: str) -> str:
    passed, following = _passed(exercises, done)
    counted = f"{passed} of {len(exercises)} passed."
    if following is None:
        return f"{counted} The {whole} is complete." if exercises else "This lesson has no exercises."
    where = "" if whole == "lesson" else f", in exercises/{course.lesson(following.lesson_id).file_name}"
    return f"{counted} Next: {following.id} {following.title}{where}"


def _passed(exercises: tuple[Exercise, ...], done: progress.Progress) -> tuple[int, Exercise | None]:
    """How many are passed, and the first that is not."""
    left = [x for x in exercises if done.of(x.id).status != "passed"]
    return len(exercises) - len(left), left[0] if left else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}" if number else ""
