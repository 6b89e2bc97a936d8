"""`make exercise` and `make check`: each piece of a new exercise is written, works, and is missed when it is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from course_utils.authoring import check_exercise, new_exercise
from course_utils.authoring.__main__ import app
from course_utils.classroom import exercises, generate, manifest, notebook_files
from tests import tiny_course
from tests.tiny_course import COUNTING, ROOT, read, set_source

ID, TITLE = "90.3", "Keep the input"
PIECES = (
    "course.toml",
    f"solutions/{COUNTING}",
    "course_utils/classroom/checks/lesson_90.py",
    "tests/answers/ex_90_3.py",
)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> manifest.Course:
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    return tiny_course.copy_to(tmp_path)


def files(root: Path) -> dict[str, bytes]:
    return {x.relative_to(root).as_posix(): x.read_bytes() for x in root.rglob("*") if x.is_file()}


def reloaded(course: manifest.Course) -> manifest.Course:
    manifest._load.cache_clear()
    return manifest.load(course.root)


def test_every_piece_is_written_and_what_is_made_from_them(course: manifest.Course) -> None:
    before = files(course.root)
    done = CliRunner().invoke(app, ["new", ID, TITLE])
    assert done.exit_code == 0, done.output
    after = files(course.root)
    changed = {name for name, content in after.items() if before.get(name) != content}
    assert changed == {*PIECES, f"exercises/{COUNTING}", "README.md"}
    assert f"make check ID={ID}" in done.output and "make run LESSON=90" in done.output
    exercise = reloaded(course).exercise(ID)
    assert exercise.title == TITLE and len(exercise.hints) == 2
    cells = read(course.root / "solutions" / COUNTING)["cells"][-4:]
    assert [x["id"] for x in cells] == ["task-90-3", "answer-90-3", "why-90-3", "footer"]
    assert "".join(cells[0]["source"]).startswith(f"## {ID} · {TITLE}\n")
    assert cells[2]["metadata"] == {"tags": ["solution-only"]}
    stub = generate.exercise_from(
        notebook_files.read(course.solution(course.lesson("90"))), course, course.lesson("90")
    )
    assert "return x" not in notebook_files.to_text(stub)


def test_the_entry_leaves_the_rest_of_the_list_as_it_was(course: manifest.Course) -> None:
    path = course.root / "course.toml"
    before = path.read_text(encoding="utf-8").splitlines()
    new_exercise.write(course, ID, TITLE)
    after = path.read_text(encoding="utf-8").splitlines()
    start = next(n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    added = len(after) - len(before)
    assert before == after[:start] + after[start + added :]
    assert [x.id for x in reloaded(course).lessons[0].exercises] == ["90.1", "90.2", "90.3"]


def test_a_lesson_gets_its_first_exercise(course: manifest.Course) -> None:
    assert CliRunner().invoke(app, ["new", "91.1", TITLE]).exit_code == 0
    ids = [x["id"] for x in read(course.root / "exercises" / "91_leaving.ipynb")["cells"]]
    assert ids == ["header", "progress", "setup", "task-91-1", "answer-91-1", "footer"]


@pytest.mark.parametrize(
    ("exercise_id", "title", "says"),
    [
        ("90.2", TITLE, "the next one of its lesson is 90.3"),
        ("90.4", TITLE, "90.3"),
        ("95.1", TITLE, "the lessons are 90, 91"),
        ("90", TITLE, "as 01.6"),
        ("90.03", TITLE, "as 01.6"),
        ("", TITLE, "as 01.6"),
        (ID, " ", "give a title"),
        (ID, 'a "quoted" one', "without quotes"),
    ],
)
def test_what_cannot_be_added_is_refused_and_nothing_is_written(
    exercise_id: str, title: str, says: str, course: manifest.Course
) -> None:
    before = files(course.root)
    done = CliRunner().invoke(app, ["new", exercise_id, title])
    assert done.exit_code == 2 and says in done.output
    assert files(course.root) == before


def test_answers_that_are_there_are_not_overwritten(course: manifest.Course) -> None:
    path = course.root / PIECES[-1]
    path.parent.mkdir()
    path.write_text("mine", encoding="utf-8")
    before = files(course.root)
    assert CliRunner().invoke(app, ["new", ID, TITLE]).exit_code == 2
    assert files(course.root) == before


def test_check_without_an_exercise_looks_at_the_rules_of_all(course: manifest.Course) -> None:
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 0 and "rules of the course are kept" in done.output
    set_source(course.root / "notebooks" / COUNTING, "count-why", "Simply count.")
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 1 and "'Simply'" in done.output


def test_check_knows_no_other_exercise(course: manifest.Course) -> None:
    done = CliRunner().invoke(app, ["check", "90.7"])
    assert done.exit_code == 2 and "the exercises are 90.1, 90.2" in done.output


@pytest.mark.parametrize(
    ("cell_id", "source", "problem"),
    [
        (
            "answer-90-2",
            'word = "graphs"\ncheck("90.2", word)',
            'the worked answer must get "passed", and gets\n△ 90.2',
        ),
        ("answer-90-2", 'word = ...\n### BEGIN SOLUTION\nword = 5\n### END SOLUTION\ncheck("90.2", word)', "TypeError"),
        (
            "answer-90-2",
            'word = "trace"\ncheck("90.2", word)',
            'the untouched exercise must get "not attempted", and gets\n✓',
        ),
        ("answer-90-2", 'word = "trace"', "no cell ends in check"),
        ("setup", "1 / 0", "raises ZeroDivisionError"),
    ],
)
def test_a_notebook_that_does_not_do_its_work_is_a_problem(
    cell_id: str, source: str, problem: str, course: manifest.Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(course.root)
    exercise = course.exercise("90.2")
    assert [line.ok for line in check_exercise.notebooks_of(course, exercise)] == [True, True]
    set_source(course.root / "solutions" / COUNTING, cell_id, source)
    lines = list(check_exercise.notebooks_of(course, exercise))
    assert any(not line.ok and problem in line.text for line in lines), lines


def test_an_answer_with_another_outcome_is_a_problem(course: manifest.Course) -> None:
    from tests.answers import Answer

    exercise = course.exercise("90.2")
    some = [
        Answer("90.2", "long", lambda: "graphs", "not yet", "6 letters"),
        Answer("90.2", "short", lambda: "if", "not yet", "5 letters"),
        Answer("90.2", "fine", lambda: "trace", "passed", ""),
    ]
    few, _, long, short, fine = check_exercise.answers_of(exercise, some)
    assert [line.ok for line in (few, long, short, fine)] == [False, True, False, True]
    assert "2 wrong answers, at least 3" in few.text
    assert "wrong answer short must get \"not yet\" with '5 letters', and gets\n△ 90.2" in short.text


def test_a_new_exercise_of_the_real_course_works_at_once_and_says_what_is_left(tmp_path: Path) -> None:
    """In a copy of the repository: only the texts to replace and the outputs are missing."""
    from course_utils.authoring.books import tracked_files

    for path in tracked_files(ROOT):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "course_utils.authoring", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300
        )

    assert run("new", "00.2", TITLE).returncode == 0
    done = run("check", "00.2")
    assert done.returncode == 1, done.stdout + done.stderr
    first, *lines, last = done.stdout.splitlines()
    assert first == f"00.2 {TITLE}" and last.endswith("problems; correct them and run this again.")
    problems = [line for line in lines if line.startswith("problem")]
    assert problems and all(
        "what make exercise wrote" in x or "was never run" in x or "alternative text" in x for x in problems
    ), done.stdout
    assert [line.split(":")[0] for line in lines if line.startswith("ok")] == [
        "ok       the untouched exercise", "ok       the worked answer", "ok       wrong answer adds_one",
        "ok       wrong answer turns_the_sign", "ok       wrong answer another_shape", "ok       right answer a_copy",
        "ok       right answer by_an_operator",
    ]  # fmt: skip
    assert exercises.Status.PASSED in done.stdout
