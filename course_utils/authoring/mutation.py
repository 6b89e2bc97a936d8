"""Plant faults in the worked answers and see which of them the checks let pass: ``make mutants``.

Each fault is one change of the code between ``### BEGIN SOLUTION`` and ``### END SOLUTION``: an operator exchanged, a
number moved by one, a branch or a statement dropped, a mode or a copy left out, a keyword left out, two arguments
exchanged, the last of several things left out, an operation done in place. An answer that is the text of a Python file
gets them in that file. A check that passes such an answer has a
hole, or the change makes no difference that the task asks about; ``tests/mutants.toml`` says which survivors are of
the second kind, and why.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import linecache
import re
import sys
import tempfile
import tomllib
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import course_utils
from course_utils.classroom import exercises, notebook_files
from course_utils.classroom.answer_cells import exercise_of
from course_utils.classroom.manifest import Course, Exercise, Lesson
from course_utils.core import limits

EXPLAINED = Path("tests") / "mutants.toml"
MOST = 60  # faults of one answer: beyond that, every n-th is taken, so that long answers do not take an hour
_SECONDS = 60.0
_BLOCK = re.compile(r"^[ \t]*### BEGIN SOLUTION[ \t]*\n(.*?)^[ \t]*### END SOLUTION", re.DOTALL | re.MULTILINE)
_COMPARE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_IN_PLACE = {ast.Add: "add_", ast.Sub: "sub_", ast.Mult: "mul_", ast.Div: "div_"}
# Called without arguments, each of these changes how a result comes about, and often not what it looks like.
_QUIET_KEYWORDS = {"check_trace", "verbose"}
_LEFT_OUT = {"eval", "train", "clone", "detach", "contiguous", "abs", "all", "any", "double", "float", "long", "cpu"}


@dataclass(frozen=True)
class Mutant:
    """One planted fault: the exercise, the line of the answer cell before and after, and the whole cell after."""

    exercise_id: str
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.exercise_id}: {self.before}  →  {self.after or 'left out'}"


@dataclass(frozen=True)
class Verdict:
    """What the check said to a mutant: "passed" is a survivor; "raised" means that the cell itself did."""

    mutant: Mutant
    status: str

    @property
    def survived(self) -> bool:
        return self.status == "passed"


@dataclass(frozen=True)
class Explained:
    """A survivor that is not a hole in a check, with the reason; ``after = "*"`` is for any change of the line."""

    exercise: str
    before: str
    after: str
    reason: str

    def covers(self, mutant: Mutant) -> bool:
        line = (self.exercise, self.before) == (mutant.exercise_id, mutant.before)
        return line and self.after in ("*", mutant.after)


def read_explained(path: Path) -> list[Explained]:
    """The lines of ``tests/mutants.toml``. ``ValueError`` for one with other keys or without a reason."""
    lines = []
    for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", []), start=1):
        if set(entry) != {"exercise", "before", "after", "reason"} or not entry["reason"].strip():
            raise ValueError(f"{path.name}: [[mutant]] number {number} needs exercise, before, after and a reason")
        lines.append(Explained(**entry))
    return lines


def mutants(exercise_id: str, source: str) -> list[Mutant]:
    """All single faults of an answer cell, at most :data:`MOST`, spread over the cell."""
    wanted = _solution_lines(source)
    found: dict[str, Mutant] = {}
    tree = ast.parse(source)
    original = ast.unparse(tree).splitlines()
    quiet = {x for node in ast.walk(tree) for part in _quiet_parts(node) for x in ast.walk(part)}
    for number, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", 0) not in wanted or node in quiet:
            continue
        for change in _changes(node):
            changed_tree = copy.deepcopy(tree)
            twin = list(ast.walk(changed_tree))[number]
            if not change(twin, changed_tree):
                continue
            try:
                text = ast.unparse(ast.fix_missing_locations(changed_tree))
                compile(text, "mutant", "exec")
            except (SyntaxError, ValueError):
                continue
            before, after = _difference(original, text.splitlines())
            if text != ast.unparse(tree):
                found.setdefault(text, Mutant(exercise_id, before, after, text))
    for fault in _in_texts(exercise_id, tree, wanted):
        found.setdefault(fault.source, fault)
    every = list(found.values())
    step = max(1, -(-len(every) // MOST))
    return every[::step]


def _in_texts(exercise_id: str, tree: ast.AST, wanted: set[int]) -> Iterator[Mutant]:
    """The faults of a program that the answer holds as a text, such as a test file; of C++, none."""
    for number, node in enumerate(ast.walk(tree)):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno in wanted):
            continue
        with contextlib.suppress(SyntaxError):
            if not any(isinstance(x, ast.FunctionDef) for x in ast.walk(ast.parse(node.value))):
                continue
            for inner in mutants(exercise_id, f"### BEGIN SOLUTION\n{node.value}\n### END SOLUTION"):
                changed_tree = copy.deepcopy(tree)
                _put(list(ast.walk(changed_tree))[number], "value", inner.source)
                yield Mutant(exercise_id, inner.before, inner.after, ast.unparse(changed_tree))


def run_lesson(course: Course, lesson: Lesson, only: str = "") -> Iterator[Verdict]:
    """Judge the mutants of a lesson's answers. The cells above each answer run once, each mutant in a fork of them.

    Raises ``RuntimeError`` when a worked answer itself does not pass: then a verdict on its mutants says nothing.
    """
    solution = notebook_files.read(course.solution(lesson))
    by_id = {exercise.id: exercise for exercise in lesson.exercises}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = CellRunner(f"mutants_of_{lesson.id}", Path(folder))
        for cell in (x for x in solution.cells if x.cell_type == "code"):
            exercise = by_id.get(exercise_of(cell.source) or "")
            if exercise and only in ("", exercise.id):
                yield from _judge_all(runner, exercise, cell.source)
            runner.run(cell.source)


def _judge_all(runner: CellRunner, exercise: Exercise, source: str) -> Iterator[Verdict]:
    worked = runner.judge(ast.unparse(ast.parse(source)))
    if worked != "passed":
        raise RuntimeError(f"{exercise.id}: the worked answer itself gets {worked!r} here; run its solutions notebook")
    for mutant in mutants(exercise.id, source):
        yield Verdict(mutant, runner.judge(mutant.source))


class CellRunner:
    """A module in which the cells of a notebook run one after the other, each from a file that torch can read."""

    def __init__(self, name: str, folder: Path) -> None:
        self.module = types.ModuleType(name)
        sys.modules[name] = self.module
        self.folder = folder
        self.count = 0
        self.outcome: exercises.Outcome | None = None
        """What the last check said."""
        self.only = ""
        """The one exercise whose check is carried out; "" for all."""

    def run(self, source: str) -> None:
        self.count += 1
        path = self.folder / f"cell_{self.count}.py"
        path.write_text(source, encoding="utf-8")
        linecache.checkcache(str(path))
        self.module.__file__ = str(path)
        # A cell may take `check` from the course; what it gives is noted here, and judged as a learner's would be.
        noted = mock.patch.object(course_utils, "check", self._check)
        with contextlib.redirect_stdout(io.StringIO()), noted:
            # Not with this file's own `from __future__ import annotations`: torch reads the annotations of classes.
            exec(compile(source, str(path), "exec", dont_inherit=True), self.module.__dict__)

    def judge(self, source: str) -> str:
        def work() -> str:
            self.outcome = None
            self.run(source)
            return str(self.outcome.status) if self.outcome else "no check"

        try:
            return limits.run_limited(work, seconds=_SECONDS).value
        except limits.LimitError as error:
            return f"stopped: {error}"
        except BaseException:
            return "raised"

    def _check(self, exercise_id: str, answer: Any = ..., **options: Any) -> None:
        if self.only in ("", exercise_id):
            self.outcome = exercises.evaluate(exercise_id, answer, **options)


def _solution_lines(source: str) -> set[int]:
    lines: set[int] = set()
    for match in _BLOCK.finditer(source):
        first = source[: match.start(1)].count("\n") + 1
        lines |= set(range(first, first + match[1].count("\n") + 1))
    return lines


def _difference(old: list[str], new: list[str]) -> tuple[str, str]:
    """The first line that differs, before and after; an empty "after" where lines only went."""
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    before = old[start].strip() if start < len(old) else ""
    after = new[start].strip() if start < len(new) and len(new) >= len(old) else ""
    if len(new) < len(old) and start < len(new) and new[start].strip() not in (x.strip() for x in old[start + 1 :]):
        after = new[start].strip()
    return before, after


_Change = Callable[[ast.AST, ast.AST], bool]


def _changes(node: ast.AST) -> Iterator[_Change]:
    """The faults that may be planted at a node: functions that change its twin in a copy of the tree."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        yield lambda twin, tree: _set(twin.ops, 0, _COMPARE[type(twin.ops[0])]())
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield lambda twin, tree: _put(twin, "op", _ARITHMETIC[type(twin.op)]())
    if isinstance(node, ast.BinOp) and type(node.op) in _IN_PLACE and isinstance(node.left, ast.Name):
        yield lambda twin, tree: _replace(tree, twin, _method(twin.left, _IN_PLACE[type(twin.op)], twin.right))
    if isinstance(node, ast.BoolOp):
        yield lambda twin, tree: _put(twin, "op", ast.Or() if isinstance(twin.op, ast.And) else ast.And())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield lambda twin, tree: _replace(tree, twin, twin.operand)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield lambda twin, tree: _put(twin, "value", twin.value + 1)
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield lambda twin, tree: _put(twin, "value", not twin.value)
    if isinstance(node, ast.If):
        yield lambda twin, tree: _put(twin, "test", ast.Constant(True))
        yield lambda twin, tree: _put(twin, "test", ast.Constant(False))
    if isinstance(node, (ast.Break, ast.Continue, ast.Expr, ast.AugAssign, ast.Raise, ast.Delete)):
        yield lambda twin, tree: _replace(tree, twin, ast.Pass())
    if isinstance(node, ast.IfExp):
        yield lambda twin, tree: _replace(tree, twin, twin.body)
        yield lambda twin, tree: _replace(tree, twin, twin.orelse)
    if isinstance(node, ast.Assign) and _uses_its_own(node):
        yield lambda twin, tree: _replace(tree, twin, ast.Pass())
    if isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        yield lambda twin, tree: _drop(twin.elts, -1)
    if isinstance(node, ast.With) and not list(_quiet_parts(node)):
        yield _unwrap
    if isinstance(node, ast.Call):
        for number, keyword in enumerate(node.keywords):
            if keyword.arg in _QUIET_KEYWORDS:
                continue
            yield lambda twin, tree, number=number: _drop(twin.keywords, number)
        if len(node.args) > 1 and not any(isinstance(x, ast.Starred) for x in node.args[:2]) and not _either_way(node):
            yield _exchange
        if isinstance(node.func, ast.Attribute) and node.func.attr in _LEFT_OUT and not node.args:
            yield lambda twin, tree: _replace(tree, twin, twin.func.value)


def _quiet_parts(node: ast.AST) -> Iterator[ast.AST]:
    """What keeps messages off the screen and does nothing else: no answer becomes another without it."""
    if isinstance(node, ast.With) and all(_filters_warnings(item.context_expr) for item in node.items):
        yield from node.items
    if isinstance(node, ast.Expr) and _filters_warnings(node.value):
        yield node
    if isinstance(node, ast.keyword) and node.arg in _QUIET_KEYWORDS:
        yield node


def _filters_warnings(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("warnings.")


def _uses_its_own(node: ast.Assign) -> bool:
    """Whether the statement changes what a name stands for: without it, the name is there all the same."""
    names = {x.id for target in node.targets for x in ast.walk(target) if isinstance(x, ast.Name)}
    return bool(names & {x.id for x in ast.walk(node.value) if isinstance(x, ast.Name)})


def _either_way(node: ast.Call) -> bool:
    """Whether the function gives the same when its first two arguments are exchanged."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("min", "max", "minimum", "maximum", "equal", "allclose", "check_parity")


def _exchange(twin: ast.AST, tree: ast.AST) -> bool:
    assert isinstance(twin, ast.Call)
    twin.args[:2] = [twin.args[1], twin.args[0]]
    return True


def _set(items: list, index: int, value: ast.AST) -> bool:
    items[index] = value
    return True


def _drop(items: list, index: int) -> bool:
    del items[index]
    return True


def _put(node: ast.AST, name: str, value: Any) -> bool:
    setattr(node, name, value)
    return True


def _method(target: ast.expr, name: str, argument: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(target, name, ast.Load()), [argument], [])


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> bool:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
                return True
            if isinstance(value, list) and any(x is old for x in value):
                value[[x is old for x in value].index(True)] = new
                return True
    return False


def _unwrap(twin: ast.AST, tree: ast.AST) -> bool:
    """Put the body of a ``with`` in its place."""
    assert isinstance(twin, ast.With)
    for parent in ast.walk(tree):
        for _, value in ast.iter_fields(parent):
            if isinstance(value, list) and any(x is twin for x in value):
                index = [x is twin for x in value].index(True)
                value[index : index + 1] = twin.body
                return True
    return False
