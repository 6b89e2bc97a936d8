"""Every piece of a new exercise: its entry in course.toml, its cells, its check, and answers that try the check.

The pieces work as they are written here, around the function that returns its input. A rule finds the ones that nobody
has replaced yet (`PLACEHOLDER`).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import v4

from course_utils.classroom import generate, notebook_files
from course_utils.classroom.answer_cells import id_for
from course_utils.classroom.manifest import Course, Lesson

PLACEHOLDER = re.compile(r"[Rr]eplace this (?:hint|text|line)")

_ENTRY = """\
[[lessons.exercises]]
id = "{id}"
title = "{title}"
minutes = 5
hints = [
  "Replace this hint: name the part of lesson {lesson}, or the operator, that the answer needs.",
  "Replace this hint: say what to do with it, and leave the last step to the reader.",
]
"""
_TASK = """\
## {id} · {title}

Replace this text: what is given, and what is wrong with it. *Write `{name}` so that it returns its input.*"""
_ANSWER = """\
def {name}(x):
    ### BEGIN SOLUTION
    return x  # replace this line with the worked answer
    ### END SOLUTION


check("{id}", {name})"""
_WHY = "Replace this text: why the answer works, and which other answers are equally good."
_MODULE = '''\
"""What right answers to the exercises of lesson {lesson} must do."""

from __future__ import annotations
'''
_IMPORTS = {
    "typing": ["Any"],
    "torch": ["Tensor"],
    "course_utils.classroom.checks": ["check_for", "expect_parity"],
    "course_utils.classroom.checks.shared": ["noise"],
}
_CHECK = '''

@check_for("{id}")
def {name}(answer: Any) -> None:
    """Replace this line: what the answer is, and what it must do."""

    def reference(x: Tensor) -> Tensor:
        return x

    expect_parity(
        reference,
        answer,
        [noise(3, 4, seed=1), noise(1, 4, seed=2)],
        "Your function returns a different result from the given one.",
        look_at="replace this text: where to look next, never the solution",
    )
'''
_ANSWERS = '''\
"""Answers to {id}. Replace this text: what a right answer does, in a line."""

import torch

from tests.answers import right, wrong


@wrong("returns a different result")
def adds_one():
    """Replace this text: three mistakes that people make, each with a part of the message that it must get."""
    return lambda x: x + 1


@wrong("returns a different result")
def turns_the_sign():
    return lambda x: -x


@wrong("returns a different result")
def another_shape():
    return lambda x: x.flatten()


@right
def a_copy():
    """Replace this text: two answers that are right and unusual."""
    return lambda x: x.clone()


@right
def by_an_operator():
    return torch.nn.Identity()
'''


class NewExerciseError(ValueError):
    """The exercise cannot be added; the text says why and what to do. Nothing was written."""


def write(course: Course, exercise_id: str, title: str) -> list[Path]:
    """Write the pieces of an exercise and return their files. Raises NewExerciseError, before anything is written."""
    lesson = _lesson_for(course, exercise_id, title)
    values = {"id": exercise_id, "title": title, "lesson": lesson.id, "name": "answer_" + exercise_id.replace(".", "_")}
    manifest_file = course.root / "course.toml"
    check_file = course.root / "course_utils" / "classroom" / "checks" / f"lesson_{lesson.id}.py"
    answers_file = course.root / "tests" / "answers" / f"ex_{exercise_id.replace('.', '_')}.py"
    if answers_file.exists():
        raise NewExerciseError(f"{answers_file.name} exists already; move it away, then try again")
    notebook = _with_cells(course, lesson, values)
    entry = _with_entry(manifest_file.read_text(encoding="utf-8"), lesson, _ENTRY.format(**values))
    module = check_file.read_text(encoding="utf-8") if check_file.is_file() else _MODULE.format(**values)

    notebook_files.write(notebook, course.solution(lesson))
    for path, text in (
        (manifest_file, entry),
        (check_file, _with_imports(module) + _CHECK.format(**values)),
        (answers_file, _ANSWERS.format(**values)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    for command in (["check", "--quiet", "--select=I", "--fix"], ["format", "--quiet"]):  # the new imports in order
        subprocess.run([sys.executable, "-m", "ruff", *command, str(check_file)], check=False)
    return [manifest_file, course.solution(lesson), check_file, answers_file]


def _lesson_for(course: Course, exercise_id: str, title: str) -> Lesson:
    match = re.fullmatch(r"(\d\d)\.([1-9]\d*)", exercise_id)
    if match is None:
        raise NewExerciseError(f"{exercise_id!r} is not the id of an exercise; write the lesson and a number, as 01.6")
    if not title.strip() or any(x in title for x in '"\\\n'):
        raise NewExerciseError('give a title, without quotes and backslashes: TITLE="A trace for every size"')
    try:
        lesson = course.lesson(match[1])
    except KeyError as error:
        raise NewExerciseError(str(error.args[0])) from None
    number, following = int(match[2]), f"{lesson.id}.{len(lesson.exercises) + 1}"
    if number <= len(lesson.exercises):
        raise NewExerciseError(f"there is an exercise {exercise_id} already; the next one of its lesson is {following}")
    if exercise_id != following:
        raise NewExerciseError(f"the next exercise of lesson {lesson.id} is {following}; the numbers have no gaps")
    return lesson


def _with_entry(text: str, lesson: Lesson, entry: str) -> str:
    """course.toml with the entry after the lesson's last one: above the next lesson, with the blank lines kept."""
    start = re.search(rf'^\[\[lessons\]\]\s*\nid = "{lesson.id}"', text, re.MULTILINE)
    if start is None:
        raise NewExerciseError(
            f'course.toml: id = "{lesson.id}" is not the first line of its [[lessons]]; move it there'
        )
    following = re.search(r"^\[\[lessons\]\]", text[start.end() :], re.MULTILINE)
    end = start.end() + following.start() if following else len(text)
    before = text[:end].rstrip("\n")
    return f"{before}\n\n{entry}{text[len(before) + 1 :]}"


def _with_cells(course: Course, lesson: Lesson, values: dict[str, str]) -> nbformat.NotebookNode:
    """The solutions notebook with the three cells of the exercise above its footer; a new one for the first."""
    path = course.solution(lesson)
    if path.is_file():
        notebook = notebook_files.read(path)
    else:
        setup = v4.new_code_cell("from course_utils import check", id="setup")
        notebook = v4.new_notebook(cells=[v4.new_markdown_cell("", id="header"), setup], nbformat_minor=5)
    answer = id_for(values["id"])
    why = v4.new_markdown_cell(_WHY, id=answer.replace("answer", "why"))
    why.metadata["tags"] = [generate.SOLUTION_ONLY]
    last = len(notebook.cells) - (notebook.cells[-1].id == "footer")
    notebook.cells[last:last] = [
        v4.new_markdown_cell(_TASK.format(**values), id=answer.replace("answer", "task")),
        v4.new_code_cell(_ANSWER.format(**values), id=answer),
        why,
    ]
    return notebook


def _with_imports(module: str) -> str:
    """The module with the imports that a new check needs and that are missing in it."""
    tree = ast.parse(module)
    there = {x.asname or x.name for node in tree.body if isinstance(node, ast.ImportFrom) for x in node.names}
    new = {name: sorted(set(names) - there) for name, names in _IMPORTS.items()}
    missing = [f"from {name} import {', '.join(names)}" for name, names in new.items() if names]
    lines = module.splitlines()
    last = max(x.end_lineno or 0 for x in tree.body if isinstance(x, (ast.Import, ast.ImportFrom)))
    return "\n".join([*lines[:last], *missing, *lines[last:]]) + "\n"
