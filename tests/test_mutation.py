"""Planted faults: each is one change of the answer, in its block alone, and a check that passes one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils.authoring import mutation, portable
from course_utils.authoring.mutation import Explained, Mutant, mutants, read_explained
from course_utils.classroom import manifest, notebook_files
from course_utils.classroom.answer_cells import exercise_of
from tests import tiny_course

SOURCE = """
def given(x):
    return x + 1


def clipped(x, model):
    ### BEGIN SOLUTION
    model.eval()
    if x > 0 and not x == 2:
        return pow(x, 3)
    return x - 1
    ### END SOLUTION


check("90.1", clipped)
"""


def planted() -> set[tuple[str, str]]:
    return {(x.before, x.after) for x in mutants("90.1", SOURCE)}


@pytest.mark.parametrize(
    "change",
    [
        ("if x > 0 and (not x == 2):", "if x >= 0 and (not x == 2):"),
        ("if x > 0 and (not x == 2):", "if x > 0 or not x == 2:"),
        ("if x > 0 and (not x == 2):", "if x > 0 and x == 2:"),
        ("if x > 0 and (not x == 2):", "if x > 0 and (not x != 2):"),
        ("if x > 0 and (not x == 2):", "if False:"),
        ("if x > 0 and (not x == 2):", "if x > 1 and (not x == 2):"),
        ("return pow(x, 3)", "return pow(3, x)"),
        ("return pow(x, 3)", "return pow(x, 4)"),
        ("return x - 1", "return x + 1"),
        ("return x - 1", "return x.sub_(1)"),
        ("model.eval()", "pass"),
        ("model.eval()", "model"),
    ],
    ids=lambda change: change[1],
)
def test_faults_of_each_kind_are_planted(change: tuple[str, str]) -> None:
    assert change in planted()


def test_what_only_keeps_messages_off_the_screen_is_left_alone() -> None:
    quiet = """
### BEGIN SOLUTION
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    traced = trace(model, check_trace=False)
### END SOLUTION
"""
    assert mutants("90.1", quiet) == []
    loud = quiet.replace("warnings.catch_warnings()", "torch.no_grad()").replace("check_trace", "strict")
    assert {x.after for x in mutants("90.1", loud)} == {
        "",
        "traced = trace(model, strict=True)",
        "traced = trace(model)",
    }


def test_arguments_that_may_be_exchanged_are_not() -> None:
    assert all(
        "max(3, x)" not in after
        for _, after in {(m.before, m.after) for m in mutants("90.1", SOURCE.replace("pow", "max"))}
    )


def test_what_is_given_is_left_alone() -> None:
    assert not any(before == "return x + 1" for before, _ in planted())
    assert all("def given(x):\n    return x + 1\n" in mutant.source for mutant in mutants("90.1", SOURCE))


def test_a_program_in_a_text_gets_faults_of_its_own() -> None:
    inner = "def test_same():\n    assert given(2) == 3"
    planted = mutants("90.1", f"### BEGIN SOLUTION\ngate = {inner!r}\nname = 'a text'\n### END SOLUTION\n")
    changes = ("assert given(2) != 3", "assert given(3) == 3", "assert given(2) == 4")
    assert {(x.before, x.after) for x in planted} == {("assert given(2) == 3", after) for after in changes}
    for mutant in planted:
        space: dict[str, str] = {}
        exec(mutant.source, space)
        assert space["gate"] == f"def test_same():\n    {mutant.after}"


def test_long_answers_get_a_spread_of_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    every = mutants("90.1", SOURCE)
    monkeypatch.setattr(mutation, "MOST", 5)
    some = mutants("90.1", SOURCE)
    assert 1 < len(some) <= 5 < len(every) and set(some) < set(every)


def test_the_faults_of_the_tiny_course_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    course = tiny_course.copy_to(tmp_path)
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    verdicts = list(mutation.run_lesson(course, course.lesson("90")))
    assert {x.mutant.exercise_id for x in verdicts} <= {"90.1", "90.2"}
    assert verdicts and not all(x.survived for x in verdicts)


def test_a_survivor_can_be_explained() -> None:
    mutant = Mutant("90.1", "return pow(x, 3)", "return pow(3, x)", "")
    assert Explained("90.1", "return pow(x, 3)", "return pow(3, x)", "the same").covers(mutant)
    assert Explained("90.1", "return pow(x, 3)", "*", "the same").covers(mutant)
    assert not Explained("90.2", "return pow(x, 3)", "*", "the same").covers(mutant)
    assert not Explained("90.1", "return pow(x, 3)", "return pow(x, 4)", "the same").covers(mutant)


def test_an_explanation_needs_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "mutants.toml"
    path.write_text('[[mutant]]\nexercise = "90.1"\nbefore = "a"\nafter = "b"\nreason = " "\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"\[\[mutant\]\] number 1 needs"):
        read_explained(path)


def test_every_explained_fault_can_still_be_planted() -> None:
    """A line whose answer has changed is out of date."""

    course = manifest.load(tiny_course.ROOT)
    lines = read_explained(tiny_course.ROOT / mutation.EXPLAINED)
    stale = []
    for line in lines:
        lesson = course.lesson(line.exercise.split(".")[0])
        sources = [cell.source for cell in notebook_files.read(course.solution(lesson)).cells]
        source = next(x for x in sources if exercise_of(x) == line.exercise)
        if not any(line.covers(mutant) for mutant in mutants(line.exercise, source)):
            stale.append(f"{line.exercise}: {line.before}")
    assert stale == []


# --- other machines


@pytest.mark.parametrize(
    ("text", "passed", "failed"),
    [
        ("....\n4 passed in 1.20s\n", 4, ()),
        ("F.\nFAILED tests/a.py::b - x\n1 failed, 3 passed in 1s\n", 3, ("tests/a.py::b",)),
        ("ERROR notebooks/a.ipynb\n1 error in 1s\n", 0, ("notebooks/a.ipynb",)),
        ("no tests ran in 0.01s\n", 0, ()),
    ],
)
def test_pytests_own_words_are_read(text: str, passed: int, failed: tuple[str, ...]) -> None:
    assert portable.outcome_of(text) == (passed, failed)


@pytest.mark.parametrize(
    ("passed", "failed", "code", "ok"), [(3, (), 0, True), (3, ("a",), 1, False), (0, (), 0, False)]
)
def test_a_row_is_ok_when_something_ran_and_nothing_failed(passed, failed, code, ok) -> None:
    row = portable.Row(portable.SURROUNDINGS[0], passed, failed, 1.0, code)
    assert row.ok is ok and ("ok" in str(row)) is ok


def test_a_surrounding_sets_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text(
        "import os, shutil\n"
        "def test_it():\n"
        "    assert os.environ['ATEN_CPU_CAPABILITY'] == 'default' and not shutil.which('cc')\n",
        encoding="utf-8",
    )
    chosen = portable.Surrounding("x", "y", {"ATEN_CPU_CAPABILITY": "default"}, compiler=False, busy=True)
    row = portable.run(tmp_path, chosen, ("test_it.py",))
    assert row.ok, (tmp_path / portable.LOGS / "x.log").read_text(encoding="utf-8")
