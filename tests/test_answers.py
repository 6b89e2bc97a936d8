"""Wrong answers get their intended message, unusual right ones pass, and no message gives a solution away."""

from __future__ import annotations

import inspect
import re
import warnings
from functools import cache
from pathlib import Path

import pytest

from course_utils.authoring.check_exercise import LEAST_RIGHT, LEAST_WRONG
from course_utils.classroom import exercises, manifest, notebook_files
from course_utils.classroom.answer_cells import exercise_of
from tests import answers
from tests.answers import Answer

MISTAKES_PER_MESSAGE = 3
SHORTEST_TELLING_LINE = 12

ROOT = Path(__file__).resolve().parent.parent
COURSE = manifest.load(ROOT)
EXERCISES = list(COURSE.exercises())
ANSWERS = answers.load()


@cache
def outcome_of(answer: Answer) -> exercises.Outcome:
    with warnings.catch_warnings():
        # In a notebook a conversion warns in red and goes on; here a warning is an error.
        warnings.simplefilter("ignore")
        given = answer.make()
    return exercises.evaluate(answer.exercise_id, given)


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_an_answer_gets_its_outcome(answer: Answer) -> None:
    outcome = outcome_of(answer)
    assert outcome.status == answer.status, f"\n{outcome!r}"
    assert answer.part in repr(outcome), f"\n{outcome!r}"


@pytest.mark.parametrize("answer", [x for x in ANSWERS if not x.is_right], ids=str)
def test_no_message_gives_the_solution_away(answer: Answer) -> None:
    shown = repr(outcome_of(answer))
    secret = solution_lines(answer.exercise_id) - lines_of(inspect.getmodule(answer.make))
    assert [line for line in secret if line in shown] == [], f"\n{shown}"


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_an_exercise_has_enough_answers(exercise: manifest.Exercise) -> None:
    mine = [x for x in ANSWERS if x.exercise_id == exercise.id]
    wrong, right = [x for x in mine if not x.is_right], [x for x in mine if x.is_right]
    assert len(wrong) >= LEAST_WRONG and len(right) >= LEAST_RIGHT, (
        f"{len(wrong)} wrong and {len(right)} right; write more in tests/answers/ex_{exercise.id.replace('.', '_')}.py"
    )


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_different_mistakes_get_different_messages(exercise: manifest.Exercise) -> None:
    """By what the message says first: the table below it differs for every number anyway."""
    outcomes = [outcome_of(x) for x in ANSWERS if x.exercise_id == exercise.id and not x.is_right]
    said = {outcome.what for outcome in outcomes}
    assert len(said) > 1 and MISTAKES_PER_MESSAGE * len(said) >= len(outcomes), said


def test_every_answer_belongs_to_an_exercise() -> None:
    assert {x.exercise_id for x in ANSWERS} - {x.id for x in EXERCISES} == set()


@cache
def solution_lines(exercise_id: str) -> frozenset[str]:
    """The code lines of the worked answer that are long enough to tell something."""
    solution = notebook_files.read(COURSE.solution(COURSE.lesson(exercise_id.split(".")[0])))
    cell = next(x for x in solution.cells if exercise_of(x.source) == exercise_id)
    blocks = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.DOTALL)
    assert blocks
    lines = (line.strip() for block in blocks for line in block.splitlines())
    return frozenset(x for x in lines if len(x) >= SHORTEST_TELLING_LINE and not x.startswith(("#", '"""')))


def lines_of(module: object) -> set[str]:
    """What a learner wrote may be shown to her again."""
    return {line.strip() for line in inspect.getsource(module).splitlines()}


class TestTheRegistry:
    """`tests.answers.load` on small packages of its own."""

    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        folder = tmp_path / f"answers_{tmp_path.name.replace('-', '_')}"
        folder.mkdir()
        (folder / "__init__.py").write_text("", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        def write(name: str, text: str) -> list[Answer]:
            (folder / name).write_text(f"from tests.answers import right, wrong\n{text}", encoding="utf-8")
            return answers.load(folder, folder.name)

        return write

    def test_answers_come_in_the_order_of_the_file(self, package) -> None:
        text = "@wrong('five', status='your code raised')\ndef zebra(): return 1\n@right\ndef ant(): return 2\n"
        zebra, ant = package("ex_90_1.py", text)
        assert (zebra.exercise_id, zebra.name) == ("90.1", "zebra")
        assert (zebra.status, zebra.part) == ("your code raised", "five")
        assert (ant.name, ant.status, ant.is_right, str(ant)) == ("ant", "passed", True, "90.1-ant")
        assert (zebra.make(), ant.make()) == (1, 2)

    def test_a_module_without_answers_is_refused(self, package) -> None:
        with pytest.raises(ValueError, match=r"ex_90_1\.py: no function in it is marked"):
            package("ex_90_1.py", "def forgotten(): return 1\n")

    def test_a_misnamed_module_is_refused(self, package) -> None:
        with pytest.raises(ValueError, match=r"exercise_90\.py: a module of answers is called"):
            package("exercise_90.py", "")

    @pytest.mark.parametrize("part", ["", "  "])
    def test_a_wrong_answer_names_a_part_of_its_message(self, part: str) -> None:
        with pytest.raises(ValueError, match="needs a part of its message"):
            answers.wrong(part)

    def test_a_wrong_answer_cannot_pass(self) -> None:
        with pytest.raises(ValueError, match="not 'passed'"):
            answers.wrong("five", status="passed")
