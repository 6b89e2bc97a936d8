"""What is made from something else: exercises/ from solutions/, headers, footers and the README table from course.toml.

Every function returns text or a notebook; :func:`derived_files` pairs each derived file with the text it must have, so
that one loop writes them all and one test compares them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.classroom import notebook_files
from course_utils.classroom.manifest import Course, Lesson
from course_utils.core.errors import CourseError

_BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION[ \t]*\n.*?^[ \t]*### END SOLUTION[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_MARKER = re.compile(r"(?:BEGIN|END) SOLUTION", re.IGNORECASE)
_EXERCISE = re.compile(r"^## (?P<id>\d\d\.\d+) · ", re.MULTILINE)
_CHECKS = re.compile(r"^check\(", re.MULTILINE)
_TABLE = re.compile(r"(<!-- lessons -->\n).*?(<!-- /lessons -->)", re.DOTALL)
SOLUTION_ONLY = "solution-only"


class DeriveError(CourseError, ValueError):
    """A source cannot be turned into what is made from it. The text says which cell and what to change."""


def derived_files(course: Course) -> Iterator[tuple[Path, str]]:
    """Every derived file with its text: lessons and solutions (their header and footer), exercises, README."""
    for lesson in course.lessons:
        yield course.notebook(lesson), notebook_files.to_text(with_frame(course, lesson, "lesson"))
        if lesson.exercises:
            solution = with_frame(course, lesson, "solutions")
            yield course.solution(lesson), notebook_files.to_text(solution)
            yield course.exercise_notebook(lesson), notebook_files.to_text(exercise_from(solution, course, lesson))
    readme = course.root / "README.md"
    yield readme, readme_with_table(readme.read_text(encoding="utf-8"), course)


def with_frame(course: Course, lesson: Lesson, kind: str) -> NotebookNode:
    """The lesson's notebook or solutions with the header and footer cells that course.toml asks for."""
    path = course.notebook(lesson) if kind == "lesson" else course.solution(lesson)
    notebook = notebook_files.read(path)
    inner = [cell for cell in notebook.cells if cell.id not in ("header", "footer")]
    notebook.cells = [
        _markdown("header", header(course, lesson, kind)),
        *inner,
        _markdown("footer", footer(course, lesson, kind)),
    ]
    return notebook


def exercise_from(solution: NotebookNode, course: Course, lesson: Lesson) -> NotebookNode:
    """The learner's notebook: answers cut out, solution-only cells dropped, no outputs.

    It begins with the learner's progress. Each answer cell imports `check` itself: run in a fresh kernel, it then says
    what else to run first (see `in_notebook`).
    """
    cells = []
    for cell in solution.cells:
        if SOLUTION_ONLY in cell.metadata.get("tags", []):
            continue
        cell = nbformat.from_dict(cell)
        cell.metadata = nbformat.from_dict({})
        # JupyterLab's own anchor of this heading has a · in it, and links to that lead nowhere.
        cell.source = _EXERCISE.sub(r'<a id="\g<id>"></a>\n\n\g<0>', cell.source)
        if cell.cell_type == "code":
            cell.source = cut_answer(cell.source, where=f"solutions/{lesson.file_name}, cell {cell.id}")
            if _CHECKS.search(cell.source):
                cell.source = f"from course_utils import check\n\n{cell.source}"
            cell.outputs, cell.execution_count = [], None
        cells.append(cell)
    progress = f'from course_utils import check, hint, reset, status\n\nstatus("{lesson.id}")'
    cells[:1] = [_markdown("header", header(course, lesson, "exercises")), _code("progress", progress)]
    cells[-1] = _markdown("footer", footer(course, lesson, "exercises"))
    return nbformat.from_dict({**solution, "cells": cells})


def cut_answer(source: str, where: str) -> str:
    """Replace each block between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` by the place for an answer.

    A block inside a function or class leaves ``raise NotImplementedError``; a block at the left margin leaves only the
    comment, and the line above it (``name = ...``) is what the learner replaces.
    """

    def place(match: re.Match[str]) -> str:
        if len(_MARKER.findall(match[0])) > 2:
            return match[0]  # one block that runs into the next: its own end is missing
        indent = match["indent"]
        body = f"{indent}raise NotImplementedError\n" if indent else ""
        return f"{indent}# YOUR CODE HERE\n{body}"

    cut = _BLOCK.sub(place, source)
    if _MARKER.search(cut):
        raise DeriveError(f"{where}: a solution marker has no partner; write ### BEGIN SOLUTION … ### END SOLUTION")
    return cut.rstrip("\n")


def header(course: Course, lesson: Lesson, kind: str) -> str:
    """The first cell: title, promise, minutes, what to read before, objectives (or, for exercises, what to do)."""
    if kind == "lesson":
        needs = ", ".join(_link(course.lesson(x), "") for x in lesson.needs) or "nothing"
        goals = "\n".join(f"- {goal}" for goal in lesson.objectives)
        return (
            f"# {lesson.id} · {lesson.title}\n\n{lesson.promise}\n\n"
            f"**{lesson.minutes} minutes** · needs: {needs}\n\nAfterwards you can:\n\n{goals}"
        )
    minutes = sum(exercise.minutes for exercise in lesson.exercises)
    items = "\n".join(f"- {x.id} · {x.title} ({x.minutes} min)" for x in lesson.exercises)
    back = f"[lesson {lesson.id}](../notebooks/{lesson.file_name})"
    if kind == "solutions":
        about = f"One worked answer each, and why it works. Lesson: {back}."
        return f"# Solutions {lesson.id} · {lesson.title}\n\n{about}\n\n{items}"
    return (
        f"# Exercises {lesson.id} · {lesson.title}\n\n**{minutes} minutes** · after {back}\n\n{items}\n\n"
        "Run the cells from the top. Where one says `YOUR CODE HERE`, write your answer and run the cell: "
        "its check tells you what it saw.\n\n"
        f'In a new cell, `hint("{lesson.id}.1")` gives help (run it again for a more specific hint), `status()` shows '
        f'your progress, and `reset("{lesson.id}")` resets this notebook and keeps a copy of yours. '
        f"In a terminal: `course hint {lesson.id}.1`, `course status`, `course reset {lesson.id}`."
    )


def footer(course: Course, lesson: Lesson, kind: str) -> str:
    """The last cell: previous, exercises, next."""
    before, after = course.neighbours(lesson)
    folder = "" if kind == "lesson" else "../notebooks/"
    parts = []
    if kind == "lesson":
        parts.append(f"Previous: {_link(before, '')}" if before else "")
        if lesson.exercises:
            parts.append(f"Exercises: [{lesson.id} · {lesson.title}](../exercises/{lesson.file_name})")
    else:
        parts.append(f"Lesson: {_link(lesson, folder)}")
    parts.append(f"Next: {_link(after, folder)}" if after else "")
    return "---\n" + " · ".join(part for part in parts if part)


def readme_with_table(readme: str, course: Course) -> str:
    """The README with the table of lessons between its two markers made again."""
    if not _TABLE.search(readme):
        raise DeriveError("README.md: the markers <!-- lessons --> and <!-- /lessons --> are missing; put them back")
    rows = ["| lesson | minutes | afterwards you can | exercises |", "|---|---|---|---|"]
    for lesson in course.lessons:
        name = f"[{lesson.id} · {lesson.title}](notebooks/{lesson.file_name})"
        goals = "; ".join(goal.rstrip(".") for goal in lesson.objectives)
        extra = sum(x.minutes for x in lesson.exercises)
        work = f"[{len(lesson.exercises)} ({extra} min)](exercises/{lesson.file_name})" if lesson.exercises else "–"
        rows.append(f"| {name} | {lesson.minutes} | {goals} | {work} |")
    return _TABLE.sub(lambda match: match[1] + "\n".join(rows) + "\n" + match[2], readme)


def _link(lesson: Lesson, folder: str) -> str:
    return f"[{lesson.id} · {lesson.title}]({folder}{lesson.file_name})"


def _code(cell_id: str, source: str) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(source)
    cell.id = cell_id
    return cell


def _markdown(cell_id: str, source: str) -> NotebookNode:
    cell = nbformat.v4.new_markdown_cell(source)
    cell.id = cell_id
    return cell
