"""``check("01.2", answer)`` and ``hint("01.2")``: the two calls a learner makes.

``check`` runs the lesson's check on the answer under a time and memory limit, records the outcome, and returns it as
an object that the notebook shows as a small card and a terminal as plain text. It never raises for an answer.
"""

from __future__ import annotations

import linecache
import re
import sysconfig
import traceback
import warnings
from dataclasses import dataclass, replace
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any

from course_utils.classroom import calls, cards, checks, manifest, progress
from course_utils.classroom.calls import MARKS
from course_utils.classroom.cards import prose
from course_utils.classroom.in_notebook import is_demonstration, run_above
from course_utils.core import limits
from course_utils.core.errors import compiled_line, one_line


class Status(StrEnum):
    """The four outcomes of a check."""

    NOT_ATTEMPTED = "not attempted"
    NOT_YET = "not yet"
    RAISED = "your code raised"
    PASSED = "passed"


_REPORT = "Get the newest course with `course update`; if it says this again, report it to the course's authors."
_SEEN = "margin:0;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;background:transparent;color:inherit"
_NAMELESS = "Could not get name of python class object"
_LINES_SHOWN = 8
_SCRIPTED_STUB = re.compile(r"^[ \t]*raise NotImplementedError[ \t]*\n[ \t]*~+ <--- HERE", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """The result of one check: what happened, what was seen (label, text), and what to do next."""

    exercise_id: str
    title: str
    status: Status
    what: str = ""
    seen: tuple[tuple[str, str], ...] = ()
    next_step: str = ""
    printed: str = ""
    notice: str = ""
    tally: str = ""
    next_place: str = ""
    """Where the next exercise begins, relative to a notebook; empty where the next step is not one."""

    @property
    def _title(self) -> str:
        tally = f" ({self.tally} in this lesson)" if self.tally else ""
        return f"{MARKS[self.status]} {f'{self.exercise_id} {self.title}'.rstrip()}: {self.status}{tally}"

    def __repr__(self) -> str:
        lines = [self._title]
        if self.what:
            lines.append(f"  {self.what}")
        width = max((len(label) for label, _ in self.seen), default=0)
        for label, text in self.seen:
            first, *rest = text.splitlines() or [""]
            lines.append(f"    {label:<{width}}  {first}")
            lines += [f"    {'':<{width}}  {line}" for line in rest]
        if self.printed:
            lines += ["  Your answer printed:", *(f"    {line}" for line in self.printed.rstrip().splitlines())]
        if self.next_step:
            lines.append(f"  Next: {self.next_step}")
        if self.notice:
            lines.append(f"  Note: {self.notice}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        seen = [[escape(label), f'<pre style="{_SEEN}">{escape(text)}</pre>'] for label, text in self.seen]
        printed = f'<pre style="{_SEEN}">{escape(self.printed.rstrip())}</pre>'
        parts = [
            f"<b>{escape(self._title)}</b>",
            f"<div>{prose(self.what)}</div>" if self.what else "",
            cards.rows(seen) if seen else "",
            f"<div>Your answer printed:</div>{printed}" if self.printed else "",
            f"<div><i>Next:</i> {cards.link(self.next_step, self.next_place)}</div>" if self.next_step else "",
            f"<div><i>Note:</i> {prose(self.notice)}</div>" if self.notice else "",
        ]
        return cards.card("".join(parts), strong=self.status is Status.PASSED)


@dataclass(frozen=True)
class Hint:
    """One hint of an exercise: its level, how many there are, and its text."""

    exercise_id: str
    level: int
    levels: int
    text: str

    @property
    def offer(self) -> str:
        if self.level < self.levels:
            return f'More help: hint("{self.exercise_id}", {self.level + 1})'
        return "That was the last hint. The worked answer is in the solutions folder, under the same name."

    def __repr__(self) -> str:
        return f"Hint {self.level} of {self.levels} for {self.exercise_id}: {self.text}\n  {self.offer}"

    def _repr_html_(self) -> str:
        head = f"<b>Hint {self.level} of {self.levels} for {escape(self.exercise_id)}</b>"
        return cards.card(f"{head}<div>{prose(self.text)}</div><div><i>{escape(self.offer)}</i></div>")


def check(exercise_id: str, answer: Any = ..., *, seconds: float = limits.SECONDS) -> Outcome:
    """Check ``answer`` and record the outcome in the learner's progress.

    exercise_id: such as ``"01.2"``. answer: what the exercise asks for; ``...`` (the dots of an untouched cell) and
    ``None`` count as not attempted. seconds: the processor time that the answer may take. Never raises for an answer.
    """
    outcome = evaluate(exercise_id, answer, seconds=seconds)
    if is_demonstration() or not outcome.title:
        return outcome
    done = progress.record_attempt(exercise_id, str(outcome.status))
    tally = calls.tally(exercise_id, done) if outcome.status is Status.PASSED else ""
    return replace(outcome, notice=done.notice, tally=tally)


def evaluate(exercise_id: str, answer: Any, *, seconds: float = limits.SECONDS) -> Outcome:
    """What :func:`check` finds, with nothing recorded."""
    try:
        exercise = manifest.load().exercise(exercise_id)
    except (KeyError, manifest.ManifestError) as error:
        text = str(error.args[0])
        return Outcome(str(exercise_id), "", Status.RAISED, text, next_step="Correct the exercise number in the cell.")
    try:
        run = checks.find(exercise.id)
    except Exception as error:
        text = f"The course's own check cannot be used: {one_line(error)}."
        return Outcome(exercise.id, "", Status.RAISED, text, next_step="Your answer was not looked at. " + _REPORT)
    start = Outcome(exercise.id, exercise.title, Status.NOT_ATTEMPTED)
    if answer is None or answer is ...:
        return replace(start, next_step=_invitation(exercise.id))
    import course_utils.classroom.checks.trust  # noqa: F401 (in this process, so that the fork of each check finds it loaded)

    try:
        warm_up = checks.first_use(exercise.id)
        result = limits.run_limited(lambda: _judge(run, answer), seconds=seconds, warm_up=warm_up)
    except limits.LimitError as error:
        return replace(start, status=Status.RAISED, what=str(error), next_step=f'A hint: hint("{exercise.id}")')
    except Exception as error:  # such as an exception of the answer whose own text cannot be made
        what = one_line(error)
        return replace(start, status=Status.RAISED, what=what, next_step=_after(exercise, Status.RAISED))
    status, what, seen, next_step = result.value
    following = _following(exercise) if status is Status.PASSED else None
    return replace(
        start,
        status=status,
        what=what,
        seen=seen,
        next_step=next_step or _after(exercise, status, bool(seen)),
        next_place=calls.place(manifest.load(), following) if following else "",
        printed=_shortened(result.printed),
    )


def _shortened(printed: str) -> str:
    """The first lines of what the answer printed: torch prints whole graphs beside some of its errors."""
    lines = printed.splitlines()
    if len(lines) <= _LINES_SHOWN + 1:
        return printed
    return "\n".join([*lines[:_LINES_SHOWN], f"… and {len(lines) - _LINES_SHOWN} more lines"])


def hint(exercise_id: str, level: int | None = None) -> Hint:
    """The hint at ``level`` (1 is the vaguest), or the next one not yet shown. ``ValueError`` names what there is."""
    try:
        exercise = manifest.load().exercise(exercise_id)
    except KeyError as error:
        raise ValueError(error.args[0]) from None
    levels = len(exercise.hints)
    if level is None:
        level = min(progress.load().of(exercise_id).hints + 1, levels)
    if not 1 <= level <= levels:
        raise ValueError(f"exercise {exercise_id} has hints 1 to {levels}; ask for one of these")
    if not is_demonstration():
        progress.record_hint(exercise_id, level)
    return Hint(exercise_id, level, levels, exercise.hints[level - 1])


def _judge(run: checks.Check, answer: Any) -> tuple[Status, str, tuple[tuple[str, str], ...], str]:
    """Run the check; everything it returns is plain text, so that it can cross a process border."""
    try:
        with warnings.catch_warnings():
            # The check says in words what a warning of a conversion on hidden inputs would say in red.
            warnings.simplefilter("ignore")
            _run(run, answer)
    except checks.NotYet as verdict:
        return Status.NOT_YET, verdict.what, tuple(verdict.seen.items()), verdict.look_at
    except BaseException as error:
        if limits.is_out_of_memory(error):
            raise
        if _is_untouched(error):
            return Status.NOT_ATTEMPTED, "", (), ""
        return Status.RAISED, one_line(error), _where(error), run_above(error)
    return Status.PASSED, "", (), ""


def _run(run: checks.Check, answer: Any) -> None:
    """The check itself, on an answer that stands on its own and a torch that nobody changed, before or meanwhile."""
    from course_utils.classroom.checks import trust

    trust.expect_torch_unchanged()
    trust.forget_dead_builtins()
    trust.expect_own_work(answer)
    try:
        run(answer)
    except RuntimeError as error:
        function = trust.by_function(answer)
        if function is None or _NAMELESS not in str(error):
            raise
        # A callable object or a partial is as right as a function; torch.jit.trace cannot take it by itself.
        run(function)
    finally:
        trust.expect_torch_unchanged()


def _is_untouched(error: BaseException) -> bool:
    """Whether this is the stub's ``raise NotImplementedError``, in Python or compiled; torch's own come with a text."""
    return (isinstance(error, NotImplementedError) and not str(error)) or bool(_SCRIPTED_STUB.search(str(error)))


def _where(error: BaseException) -> tuple[tuple[str, str], ...]:
    """The innermost line of the learner's own code: of a notebook cell, or of a file outside torch and the course.

    For an error of compiled code that is the line the error itself points at.
    """
    if line := compiled_line(error):
        return (("at", line),)
    others = (str(Path(__file__).resolve().parents[1]), sysconfig.get_path("stdlib"))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        own = "site-packages" not in frame.filename and not frame.filename.startswith(others)
        source = linecache.getline(frame.filename, frame.lineno or 0).strip()
        if own and source:
            return (("in", f"{frame.name}, line {frame.lineno}"), ("code", source))
    return ()


def _invitation(exercise_id: str) -> str:
    return f'Write your answer in the cell, then run it. A first hint: hint("{exercise_id}")'


def _after(exercise: manifest.Exercise, status: Status, seen: bool = False) -> str:
    offer = f'A hint: hint("{exercise.id}")'
    if status is Status.NOT_ATTEMPTED:
        return _invitation(exercise.id)
    if status is Status.RAISED:
        where = "Start at the line above" if seen else "Call your answer in a cell of its own to see the whole error"
        return f"{where}. {offer}"
    if status is Status.NOT_YET:
        return f"Try your answer on the input above, in a cell of its own. {offer}" if seen else offer
    if following := _following(exercise):
        return f"{following.id} {following.title}"
    return "That was the last exercise of this lesson. The solutions notebook says why each answer works."


def _following(exercise: manifest.Exercise) -> manifest.Exercise | None:
    """The next exercise of the same lesson."""
    siblings = manifest.load().lesson(exercise.lesson_id).exercises
    return next(iter(siblings[siblings.index(exercise) + 1 :]), None)
