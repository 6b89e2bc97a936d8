"""Every exercise notebook runs untouched from top to bottom, and each of its checks says "not attempted"."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from pathlib import Path

import pytest

from course_utils.authoring import notebooks
from course_utils.classroom import manifest, notebook_files
from course_utils.classroom.answer_cells import exercise_of
from course_utils.core import limits
from tests import tiny_course
from tests.tiny_course import ROOT

COURSE = manifest.load(ROOT)
LESSONS = [lesson for lesson in COURSE.lessons if lesson.exercises]
IMPORTED_ONCE = ("torch", "torchvision", "sklearn.datasets", "matplotlib.pyplot", "course_utils.tools.parity")
FORKS = sys.platform == "linux"


def problems(course: manifest.Course, lesson: manifest.Lesson) -> list[str]:
    """Run the lesson's exercises untouched; name each cell that fails and each check with another verdict.

    On Linux the cells run in IPython's shell in a fork of this process, where what they import is imported already;
    elsewhere in a kernel of their own.
    """
    path = course.exercise_notebook(lesson)
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    told = limits.run_limited(lambda: in_a_shell(path), seconds=200).value if FORKS else in_a_kernel(path)
    cells = [cell for cell in notebook_files.read(path).cells if cell.cell_type == "code"]
    id_of = {exercise_of(cell.source): cell.id for cell in cells}
    found = [f"cell {cell_id} raises {text}" for cell_id, text in told.items() if text.startswith("raised ")]
    for exercise in lesson.exercises:
        text = told.get(id_of.get(exercise.id, ""), "no such cell")
        if not re.match(rf"○ {re.escape(exercise.id)} .*: not attempted$", text, re.MULTILINE):
            found.append(f"{exercise.id} says {text}")
    return found


def in_a_shell(path: Path) -> dict[str, str]:
    """What each code cell's value is, as text, by the cell's id; "raised …" for a cell that fails."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    os.chdir(path.parent)
    os.environ["JPY_SESSION_NAME"] = str(path)
    warnings.simplefilter("ignore")  # in a notebook a warning is shown; in this test run it would be an error
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    sys.modules["__main__"] = shell.user_module
    told = {}
    for cell in notebook_files.read(path).cells:
        if cell.cell_type == "code":
            result = shell.run_cell(cell.source, store_history=True)
            error = result.error_before_exec or result.error_in_exec
            told[cell.id] = f"raised {type(error).__name__}: {error}" if error else repr(result.result)
    return told


def in_a_kernel(path: Path) -> dict[str, str]:
    told = {}
    for cell in notebooks.run(path).cells:
        if cell.cell_type == "code":
            told[cell.id] = "".join(x.data.get("text/plain", "") for x in cell.outputs if "data" in x)
    return told


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.file_name)
def test_an_untouched_exercise_is_not_attempted(lesson: manifest.Lesson) -> None:
    assert problems(COURSE, lesson) == []


def test_an_exercise_that_answers_itself_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    course = tiny_course.copy_to(tmp_path)
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(tmp_path)
    lesson = course.lesson("90")
    assert problems(course, lesson) == []
    tiny_course.set_source(course.exercise_notebook(lesson), "answer-90-2", 'check("90.2", "trace")')
    [problem] = problems(course, lesson)
    assert problem.startswith("90.2 says ✓ 90.2 Name a word: passed")
