"""Every exercise notebook runs untouched from top to bottom, and each of its checks says "not attempted"."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from course_utils import manifest
from course_utils.authoring import notebooks
from tests import tiny_course
from tests.tiny_course import ROOT

COURSE = manifest.load(ROOT) if (ROOT / "course.toml").exists() else None
LESSONS = [lesson for lesson in COURSE.lessons if lesson.exercises] if COURSE else []


def problems(course: manifest.Course, lesson: manifest.Lesson) -> list[str]:
    """Run the lesson's exercises in a fresh kernel; name each check that does not say "not attempted"."""
    path = course.exercise_notebook(lesson)
    cells = {cell.id: cell for cell in notebooks.run(path).cells}
    found = []
    for exercise in lesson.exercises:
        cell = cells.get("answer-" + exercise.id.replace(".", "-"))
        texts = [output.data.get("text/plain", "") for output in cell.outputs if "data" in output] if cell else []
        if not any(re.match(rf"○ {re.escape(exercise.id)} .*: not attempted$", x, re.MULTILINE) for x in texts):
            found.append(f"{exercise.id} says {texts}")
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.file_name)
def test_an_untouched_exercise_is_not_attempted(lesson: manifest.Lesson) -> None:
    assert COURSE is not None
    assert problems(COURSE, lesson) == []


def test_an_exercise_that_answers_itself_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    course = tiny_course.copy_to(tmp_path)
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    lesson = course.lesson("90")
    assert problems(course, lesson) == []
    tiny_course.set_source(course.exercise_notebook(lesson), "answer-90-2", 'check("90.2", "trace")')
    [problem] = problems(course, lesson)
    assert problem.startswith("90.2 says ['✓ 90.2 Name a word: passed")
