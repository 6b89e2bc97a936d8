"""What concerns one exercise, in seconds: rules, stub, worked answer, wrong answers and unusual right ones."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.authoring import rules
from course_utils.authoring.mutation import CellRunner
from course_utils.classroom import exercises, generate, notebook_files
from course_utils.classroom.answer_cells import exercise_of
from course_utils.classroom.manifest import Course, Exercise

LEAST_WRONG = 3
LEAST_RIGHT = 2


@dataclass(frozen=True)
class Line:
    """One line of the report."""

    ok: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok     ' if self.ok else 'problem'}  {self.text}"


def examine(course: Course, exercise: Exercise) -> Iterator[Line]:
    """Look at one exercise from all sides; a line comes as soon as it is known."""
    broken = rules.problems_of(course, exercise)
    yield from (Line(False, problem) for problem in broken)
    if not broken:
        yield Line(True, "the rules are kept in its files")
    yield from notebooks_of(course, exercise)
    yield from answers_of(exercise, _load_answers(course, exercise))


def notebooks_of(course: Course, exercise: Exercise) -> Iterator[Line]:
    """Whether the untouched exercise is not attempted, and the worked answer passes."""
    lesson = course.lesson(exercise.lesson_id)
    solution = notebook_files.read(course.solution(lesson))
    stub = generate.exercise_from(solution, course, lesson)
    for what, notebook, wanted in (
        ("the untouched exercise", stub, exercises.Status.NOT_ATTEMPTED),
        ("the worked answer", solution, exercises.Status.PASSED),
    ):
        sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        try:
            outcome = outcome_of(sources, exercise.id)
        except Exception as error:
            yield Line(False, f"{what}: a cell of solutions/{lesson.file_name} raises {type(error).__name__}: {error}")
            continue
        if outcome is None:
            yield Line(False, f'{what}: no cell ends in check("{exercise.id}", …); write it')
        elif outcome.status is wanted:
            yield Line(True, f"{what}: {wanted}")
        else:
            yield Line(False, f'{what} must get "{wanted}", and gets\n{outcome!r}')


def outcome_of(sources: Iterable[str], exercise_id: str) -> exercises.Outcome | None:
    """Run the code cells of a notebook down to the one that answers the exercise; what `check` says there."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = CellRunner(f"cells_of_{exercise_id.replace('.', '_')}", Path(folder))
        for source in sources:
            runner.only = exercise_id
            runner.run(source)
            if exercise_of(source) == exercise_id:
                return runner.outcome
    return None


def _load_answers(course: Course, exercise: Exercise) -> list[Any]:
    sys.path.insert(0, str(course.root))
    try:
        from tests import answers
    finally:
        sys.path.remove(str(course.root))
    return answers.load(only=exercise.id)


def answers_of(exercise: Exercise, mine: Sequence[Any]) -> Iterator[Line]:
    """Whether there are enough answers (of tests/answers), and each gets what it must."""
    for word, least, some in (
        ("wrong", LEAST_WRONG, [x for x in mine if not x.is_right]),
        ("right", LEAST_RIGHT, [x for x in mine if x.is_right]),
    ):
        if len(some) < least:
            name = f"tests/answers/ex_{exercise.id.replace('.', '_')}.py"
            yield Line(False, f"{len(some)} {word} answers, at least {least} are needed; write more in {name}")
    for answer in mine:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = exercises.evaluate(exercise.id, answer.make())
        what = f"{'right' if answer.is_right else 'wrong'} answer {answer.name}"
        if outcome.status == answer.status and answer.part in repr(outcome):
            yield Line(True, f"{what}: {outcome.what or outcome.status}")
        else:
            wanted = f'"{answer.status}"' + (f" with {answer.part!r}" if answer.part else "")
            yield Line(False, f"{what} must get {wanted}, and gets\n{outcome!r}")
