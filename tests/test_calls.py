"""``status()`` and ``reset("01")`` in a cell. What they say in a terminal is tested with the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils import reset, status
from course_utils.classroom import manifest, progress
from tests import tiny_course
from tests.tiny_course import COUNTING, set_source


@pytest.fixture(autouse=True)
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> manifest.Course:
    course = tiny_course.copy_to(tmp_path / "course")
    monkeypatch.setenv("COURSE_ROOT", str(course.root))
    monkeypatch.setenv("COURSE_PROGRESS_FILE", str(tmp_path / "progress.json"))
    return course


def test_the_card_of_the_course_has_a_row_a_lesson_with_links() -> None:
    progress.record_attempt("90.1", "passed")
    html = status()._repr_html_()
    assert f"<b>1 of 2 passed. Next: 90.2 Name a word, in exercises/{COUNTING}</b>" in html
    assert f'<a href="../exercises/{COUNTING}">  90 Counting</a>' in html
    assert f'<a href="../exercises/{COUNTING}#90.2">next 90.2</a>' in html
    assert html.count("<tr") == 1, "a lesson without exercises has no row"


def test_the_card_of_a_lesson_links_to_the_lesson_and_its_answers() -> None:
    progress.record_attempt("90.1", "not yet")
    html = status("90")._repr_html_()
    for text, target in (
        ("△ 90.1 Count the vowels", f"exercises/{COUNTING}#90.1"),
        ("○ 90.2 Name a word", f"exercises/{COUNTING}#90.2"),
        ("Lesson 90 · Counting", f"notebooks/{COUNTING}"),
        ("Worked answers", f"solutions/{COUNTING}"),
    ):
        assert f'<a href="../{target}">{text}</a>' in html
    assert "1 attempt<" in html and "0 of 2 passed. Next: 90.1 Count the vowels" in html
    assert status("91").headline == "This lesson has no exercises."
    assert repr(status("91")) == "This lesson has no exercises."


def test_a_link_of_a_card_names_an_anchor_of_the_exercise_notebook(course: manifest.Course) -> None:
    notebook = (course.root / "exercises" / COUNTING).read_text(encoding="utf-8")
    assert [f'<a id=\\"{x.id}\\"></a>' in notebook for x in course.exercises()] == [True, True]


def test_a_problem_with_progress_is_a_note() -> None:
    progress.default_path().write_text("{", encoding="utf-8")
    assert "<i>Note:</i> progress.json was not used" in status()._repr_html_()


def test_reset_says_how_to_show_the_new_notebook(course: manifest.Course) -> None:
    set_source(course.root / "exercises" / COUNTING, "answer-90-2", "word = 'mine'")
    html = reset("90")._repr_html_()
    assert "Exercise notebook 90 has been reset; your version is in exercises/kept/90_counting." in html
    assert "File &gt; Reload Notebook from Disk" in html
    assert repr(reset("90")).startswith("Exercise notebook 90 has been reset; you had not changed it.\n")


@pytest.mark.parametrize("call", [status, reset])
def test_an_unknown_lesson_is_told(call) -> None:
    with pytest.raises(ValueError, match="there is no lesson '77'; the lessons are 90, 91"):
        call("77")
