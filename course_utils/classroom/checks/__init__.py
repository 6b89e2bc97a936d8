"""What a right answer must do: one module a lesson, one function an exercise.

A check calls the answer on inputs that the learner has not seen. It returns nothing when the answer is right, and
raises :class:`NotYet` with what was seen when it is not. Any other exception is the answer's own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], None]
_REGISTERED: dict[str, Check] = {}
_FIRST_USES: dict[str, Callable[[], object]] = {}


class NotYet(Exception):
    """The answer runs, and is not right yet.

    what: one sentence on what is wrong, from the learner's side.
    seen: label and text pairs shown as a table, such as the input, eager's result and the converted one.
    look_at: where to look next. Never the solution.
    """

    def __init__(self, what: str, *, seen: dict[str, object] | None = None, look_at: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.seen = {label: str(text) for label, text in (seen or {}).items() if str(text)}
        self.look_at = look_at


def check_for(exercise_id: str, *, first_use: Callable[[], object] | None = None) -> Callable[[Check], Check]:
    """Register the decorated function as the check of this exercise.

    first_use: called before the answer's time begins, for what the first use of a library costs (an exporter imports
    for seconds). It must not depend on the answer.
    """

    def register(function: Check) -> Check:
        _REGISTERED[exercise_id] = function
        if first_use is not None:
            _FIRST_USES[exercise_id] = first_use
        return function

    return register


def first_use(exercise_id: str) -> Callable[[], object] | None:
    """What to call before the time of an answer to this exercise begins, if anything."""
    return _FIRST_USES.get(exercise_id)


def find(exercise_id: str) -> Check:
    """The check of this exercise; its lesson's module is loaded on first use. ``KeyError`` if there is none."""
    if exercise_id not in _REGISTERED:
        name = f"{__name__}.lesson_{exercise_id.split('.')[0]}"
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    if exercise_id not in _REGISTERED:
        raise KeyError(f"exercise {exercise_id!r} has no check; write one in checks/lesson_{exercise_id[:2]}.py")
    return _REGISTERED[exercise_id]


def expect_parity(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    inputs: Any,
    what: str,
    look_at: str = "",
    **options: Any,
) -> None:
    """Raise :class:`NotYet` with the first difference between the two, at the smallest input that shows it.

    ``inputs`` and ``options`` go to `tools.parity.check_parity`. An eager candidate that raises on the
    first input raises here; a compiled one that raises differs.
    """
    from course_utils.tools.parity import check_parity

    report = check_parity(reference, candidate, inputs, **options)
    if report.ok:
        return
    finding = report.findings[0]
    if finding.kind == "raises" and not isinstance(candidate, _compiled()):
        # The parity check takes an error as one of many differences. Here it is the learner's own.
        first = inputs[0] if isinstance(inputs, list) else inputs
        candidate(*first if isinstance(first, tuple) else (first,))
    seen = {
        "input": finding.input,
        "eager": finding.reference,
        "yours": finding.candidate,
        "difference": finding.detail,
    }
    raise NotYet(what, seen=seen, look_at=look_at or finding.hint)


def _compiled() -> tuple[type, ...]:
    import torch

    return (torch.jit.ScriptModule, torch.jit.ScriptFunction)


def expect_traced(answer: Any, what: str = "Your answer is not a trace.") -> None:
    """Raise :class:`NotYet` unless ``answer`` is a traced or scripted function or module."""
    if not isinstance(answer, _compiled()):
        raise NotYet(
            what,
            seen={"you gave": f"an object of type {type(answer).__name__}"},
            look_at="what `torch.jit.trace` returns: a ScriptFunction or a ScriptModule",
        )
