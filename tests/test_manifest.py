"""``course.toml``: what is read, and the sentence for each broken rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.classroom import manifest
from course_utils.classroom.manifest import Course, Exercise, Lesson, ManifestError

Write = Callable[[str], Path]

LESSON = """
[[lessons]]
id = "01"
slug = "tracing"
title = "Tracing"
promise = "You trace."
minutes = 25
objectives = ["trace a function"]
"""
EXERCISE = """
[[lessons.exercises]]
id = "01.1"
title = "Trace it"
minutes = 5
hints = ["vague", "plain"]
"""
GOOD = 'title = "Course"\n' + LESSON + EXERCISE


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        (tmp_path / "course.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_a_course_is_read(write: Write) -> None:
    course = manifest.load(write(GOOD))
    exercise = Exercise("01.1", "Trace it", 5, ("vague", "plain"))
    lesson = Lesson("01", "tracing", "Tracing", "You trace.", 25, (), ("trace a function",), (exercise,))
    assert (course.title, course.lessons) == ("Course", (lesson,))
    assert exercise.lesson_id == "01"
    assert lesson.file_name == "01_tracing.ipynb"
    assert course.notebook(lesson) == course.root / "notebooks" / "01_tracing.ipynb"
    assert course.solution(lesson) == course.root / "solutions" / "01_tracing.ipynb"
    assert course.exercise_notebook(lesson) == course.root / "exercises" / "01_tracing.ipynb"


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


BROKEN = {
    "no TOML": ("title = ", "course.toml is not valid TOML: "),
    "title missing": (changed('title = "Course"', ""), "course.toml: title is missing; add it"),
    "title empty": (changed('"Course"', '" "'), "course.toml: title is empty; write it"),
    "title a number": (changed('"Course"', "3"), "course.toml: title is a int; write a str"),
    "no lesson": ('title = "Course"', "course.toml names no lesson; add a [[lessons]] table"),
    "lessons a text": ('title = "Course"\nlessons = "01"', "course.toml: lessons is a str; write a list"),
    "a lesson is a text": ('title = "C"\nlessons = ["01"]', "lesson 0: expected a table; write it as [[…]]"),
    "key of the course unknown": ('author = "me"\n' + GOOD, "course.toml: unknown key 'author'; the keys are"),
    "key of a lesson unknown": (changed("promise", 'autor = "me"\npromise'), "lesson 01: unknown key 'autor'"),
    "key of an exercise unknown": (GOOD + "points = 3", "exercise 01.1: unknown key 'points'; the keys are hints"),
    "lesson without id": (changed('id = "01"\n', ""), "lesson 0: id is missing; add it"),
    "lesson without slug": (changed('slug = "tracing"', ""), "lesson 01: slug is missing; add it"),
    "lesson without promise": (changed('promise = "You trace."', ""), "lesson 01: promise is missing; add it"),
    "lesson without minutes": (changed("minutes = 25", ""), "lesson 01: minutes is missing; add it"),
    "id of one digit": (changed('"01"', '"1"'), "lesson 1: an id is two digits; change '1'"),
    "id with a line end": (changed('"01"', '"01\\n"'), "an id is two digits; change '01\\n'"),
    "slug with capitals": (changed('"tracing"', '"Tracing"'), "lesson 01: a slug is lower case words joined by _"),
    "slug out of the folder": (changed('"tracing"', '"../x"'), "change '../x'"),
    "minutes zero": (changed("minutes = 25", "minutes = 0"), "lesson 01: minutes is 0; write how long it takes"),
    "minutes negative": (changed("minutes = 5", "minutes = -5"), "exercise 01.1: minutes is -5; write how long"),
    "minutes a fraction": (changed("= 25", "= 2.5"), "lesson 01: minutes is a float; write a int"),
    "minutes a truth value": (changed("= 25", "= true"), "lesson 01: minutes is a bool; write a int"),
    "no objective": (changed('["trace a function"]', "[]"), "lesson 01: objectives needs at least 1 texts"),
    "objectives missing": (changed('objectives = ["trace a function"]', ""), "lesson 01: objectives is missing"),
    "objective empty": (changed('["trace a function"]', '["a", ""]'), "objectives needs at least 1 texts, none empty"),
    "objective a number": (changed('["trace a function"]', "[1]"), "objectives needs at least 1 texts"),
    "one hint": (changed(', "plain"', ""), "exercise 01.1: hints needs at least 2 texts, none empty; complete it"),
    "exercise without title": (changed('title = "Trace it"', ""), "exercise 01.1: title is missing; add it"),
    "exercise of another lesson": (changed('"01.1"', '"02.1"'), "lesson 01: exercise 1 has id '02.1'; write 01.1"),
    "exercise out of order": (changed('"01.1"', '"01.2"'), "lesson 01: exercise 1 has id '01.2'; write 01.1"),
    "lesson twice": (GOOD + LESSON, "lesson 01 stands after lesson 01; put the lessons in order, each once"),
    "lessons out of order": (GOOD + LESSON.replace("01", "00"), "lesson 00 stands after lesson 01"),
    "needs itself": (
        changed("minutes = 25", 'minutes = 25\nneeds = ["01"]'),
        "lesson 01 needs '01', which is not an earlier",
    ),
    "needs a later one": (
        changed("minutes = 25", 'minutes = 25\nneeds = ["02"]') + LESSON.replace("01", "02"),
        "lesson 01 needs '02', which is not an earlier lesson; change needs",
    ),
}


@pytest.mark.parametrize("text, says", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_rule_is_said(text: str, says: str, write: Write) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest.load(write(text))
    assert says in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"course\.toml is not in .*; start from the folder of the course"):
        manifest.load(tmp_path)


def test_a_file_that_is_not_utf8_is_said(tmp_path: Path) -> None:
    (tmp_path / "course.toml").write_bytes('title = "Größe"'.encode("latin-1"))
    with pytest.raises(ManifestError, match=r"cannot be read .*; save it as a UTF-8 file"):
        manifest.load(tmp_path)


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "course.toml").mkdir()
    with pytest.raises(ManifestError, match=r"course\.toml cannot be read"):
        manifest.load(tmp_path)


def test_lessons_and_exercises_are_found_by_id(write: Write) -> None:
    course = manifest.load(write(GOOD + LESSON.replace("01", "02") + 'needs = ["01"]\n'))
    assert course.lesson("02").needs == ("01",)
    assert course.exercise("01.1").title == "Trace it"
    with pytest.raises(KeyError, match="there is no lesson '1'; the lessons are 01, 02"):
        course.lesson("1")
    with pytest.raises(KeyError, match=r"there is no exercise '02\.1'; the exercises are 01\.1"):
        course.exercise("02.1")


def test_neighbours(write: Write) -> None:
    course = manifest.load(write(GOOD + LESSON.replace("01", "02") + LESSON.replace("01", "05")))
    first, second, third = course.lessons
    assert course.neighbours(first) == (None, second)
    assert course.neighbours(second) == (first, third)
    assert course.neighbours(third) == (second, None)


def test_the_root_can_be_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(GOOD)
    monkeypatch.setenv("COURSE_ROOT", str(root))
    assert manifest.load().root == root.resolve()
    monkeypatch.delenv("COURSE_ROOT")
    assert manifest.course_root() == Path(manifest.__file__).resolve().parents[2]


# --- round trip

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip)
TEXTS = st.lists(TEXT, min_size=2, max_size=3).map(tuple)


@st.composite
def courses(draw: st.DrawFn) -> Course:
    ids = sorted(f"{n:02}" for n in draw(st.sets(st.integers(0, 99), min_size=1, max_size=4)))
    lessons = []
    for at, lesson_id in enumerate(ids):
        exercises = tuple(
            Exercise(f"{lesson_id}.{n}", draw(TEXT), draw(st.integers(1, 99)), draw(TEXTS))
            for n in range(1, draw(st.integers(0, 3)) + 1)
        )
        needs = tuple(sorted(draw(st.sets(st.sampled_from(ids[:at]))))) if at else ()
        slug = draw(st.from_regex(r"[a-z0-9]{1,4}(_[a-z0-9]{1,4}){0,2}", fullmatch=True))
        minutes = draw(st.integers(1, 999))
        lessons.append(Lesson(lesson_id, slug, draw(TEXT), draw(TEXT), minutes, needs, draw(TEXTS), exercises))
    return Course(Path(), draw(TEXT), tuple(lessons))


def value(x: Any) -> str:
    if isinstance(x, tuple):
        return "[" + ", ".join(value(item) for item in x) + "]"
    return str(x) if isinstance(x, int) else '"' + x.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(course: Course) -> str:
    lines = [f"title = {value(course.title)}"]
    for lesson in course.lessons:
        lines.append("[[lessons]]")
        lines += [f"{k} = {value(v)}" for k, v in vars(lesson).items() if k != "exercises"]
        for exercise in lesson.exercises:
            lines.append("[[lessons.exercises]]")
            lines += [f"{k} = {value(v)}" for k, v in vars(exercise).items()]
    return "\n".join(lines)


@settings(deadline=None, max_examples=40)
@given(course=courses())
def test_what_is_written_is_read(course: Course, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("course").resolve()
    (root / "course.toml").write_text(written(course), encoding="utf-8")
    assert manifest.load(root) == Course(root, course.title, course.lessons)
