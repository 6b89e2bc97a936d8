"""Trace or compile one module, and compare the result with eager."""

from __future__ import annotations

import copy
import inspect
import linecache
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from course_utils.core.cases import Case
from course_utils.core.errors import compiled_line, one_line
from course_utils.core.report import cut
from course_utils.tools.advice.inputs import call, is_made_size
from course_utils.tools.advice.records import Fields, fields_only, record_of
from course_utils.tools.advice.report import Evidence
from course_utils.tools.bisection.compiling import copied, file_name, fresh_types
from course_utils.tools.parity import ParityReport, check_parity

NO_VALUE = "equal, but empty on every input: no value was compared"
NO_DECISION = ("Encountering a list at the output",)  # TracerWarnings about the result, not about the path
TWO_KINDS = "positional and keyword examples cannot be traced together; give one kind"
ENDS_THE_PROCESS = "an error caught inside a trace can end the process"


@dataclass(frozen=True)
class Attempt:
    """A conversion and what became of it.

    error: what the conversion raised. not_tried: why there was none. differs: the first difference from eager.
    decisions, places: the source lines that gave a TracerWarning, and the same with their files. member: eager's result
    is this member of the tuple that comes back. exact: bitwise identical on every input. wrapped: the class that eager
    returns, where the trace returns its tensors as a dict. raises_at: sizes made from the example at which it raises,
    where it differs in nothing else.
    """

    converted: Callable[..., Any] | None = None
    error: str = ""
    not_tried: str = ""
    differs: str = ""
    decisions: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    member: int | None = None
    exact: bool = False
    wrapped: str = ""
    raises_at: tuple[str, ...] = ()

    @property
    def matches(self) -> bool:
        return self.converted is not None and not self.differs

    @property
    def clean(self) -> bool:
        return self.matches and not self.decisions

    def evidence(self, step: str) -> list[Evidence]:
        """One line for the result, and one for the decisions that a trace had to take."""
        if self.not_tried:
            found = [Evidence(step, "not tried", self.not_tried)]
        elif self.converted is None:
            found = [Evidence(step, "raises", self.error)]
        elif self.differs:
            found = [Evidence(step, "differs", self.differs)]
        else:
            text = "bitwise identical" if self.exact else "equal within tolerance"
            text += "" if self.member is None else f"; eager's result is member {self.member} of a tuple"
            text += f"; eager returns {self.wrapped}, the trace its tensors as a dict" if self.wrapped else ""
            found = [Evidence(step, "matches", text)]
        if self.decisions:
            shown = "; ".join(self.decisions[:3])
            more = f"; and {len(self.decisions) - 3} more" if len(self.decisions) > 3 else ""
            found.append(Evidence(step, "warned", f"a tensor became a Python value at {shown}{more}"))
        return found


def script(module: Callable[..., Any], reference: Callable[..., Any], cases: list[Case]) -> Attempt:
    """Compile the module and compare it."""
    try:
        with fresh_types():
            converted = torch.jit.script(module)
    except Exception as error:
        return Attempt(error=compiler_says(error))
    return compare(reference, Attempt(converted), cases)


def trace(module: Callable[..., Any], reference: Callable[..., Any], cases: list[Case]) -> Attempt:
    """Trace the module, through a wrapper where it returns a record, and compare it."""
    attempt = _traced(module, cases[0])
    if attempt.converted is None and attempt.error != TWO_KINDS and (wrapped := record_of(module, cases[0])):
        again = _traced(fields_only(module), cases[0])
        attempt = replace(again, error=attempt.error, wrapped=wrapped)
        reference = fields_only(copied(reference))
    return attempt if attempt.converted is None else compare(reference, attempt, cases)


def compare(reference: Callable[..., Any], attempt: Attempt, cases: list[Case]) -> Attempt:
    """The attempt, with what differs from eager on these inputs, and which member of a tuple is eager's result."""
    converted = attempt.converted
    assert converted is not None
    try:
        member = _member_of(reference, converted, cases[0])
        candidate = converted if member is None else lambda *args, **kwargs: converted(*args, **kwargs)[member]
        # torchvision's detectors note in the compiled model that they have warned: there is no state to compare.
        state = member is None
        # TorchScript profiles the first call and optimises the next: the example is called three times.
        reports = [check_parity(copied(reference), candidate, cases[:1], calls=3, check_state=state)]
        if reports[0].ok and len(cases) > 1:
            reports.append(check_parity(copied(reference), candidate, cases[1:], calls=1, check_state=state))
    except Exception as error:  # an output that cannot be compared is no proof
        return replace(attempt, differs=f"could not be compared: {one_line(error)}")
    attempt = replace(attempt, member=member)
    if not reports[-1].ok:
        f = reports[-1].findings[0]
        differs = f"{f.kind}, {f.where.case}: reference {cut(f.reference, 90)} | candidate {cut(f.candidate, 90)}"
        return replace(attempt, differs=differs, raises_at=_sizes_that_raise(reports))
    if not any(report.worst.elements for report in reports):
        return replace(attempt, differs=NO_VALUE)
    return replace(attempt, exact=all(report.worst.bit_equal for report in reports))


def compiler_says(error: Exception) -> str:
    """The compiler's sentence, and the line of source that it points at."""
    line = compiled_line(error)
    return cut(one_line(error), 160) + (f" (at `{cut(line, 70)}`)" if line else "")


def _sizes_that_raise(reports: list[ParityReport]) -> tuple[str, ...]:
    """The sizes beyond the batch at which the conversion raises, where it differs in nothing else."""
    findings = reports[-1].findings
    raises = all(f.kind == "raises" and f.reference.startswith("returns ") for f in findings)
    names = dict.fromkeys(where.case for f in findings for where in (f.where, *f.also))
    compared = any(report.worst.elements for report in reports)
    return tuple(names) if raises and compared and all(map(is_made_size, names)) else ()


def _member_of(reference: Callable[..., Any], converted: Callable[..., Any], case: Case) -> int | None:
    """Where the conversion returns a tuple and eager does not: the place of eager's result in it."""
    try:
        eager, tried = call(copied(reference), case), call(copied(converted), case)
    except Exception:
        return None
    if not isinstance(tried, tuple) or isinstance(eager, tuple):
        return None
    equal = (check_parity(lambda: eager, lambda member=member: member, Case(), calls=1).ok for member in tried)
    return next((place for place, ok in enumerate(equal) if ok), None)


def _traced(module: Callable[..., Any], case: Case) -> Attempt:
    """The trace or the error, and the source lines at which a TracerWarning was raised."""
    args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
    if args and kwargs and (named := _named(module, args)) is not None:
        args, kwargs = (), named | kwargs
    if args and kwargs:
        return Attempt(error=TWO_KINDS)
    example = {"example_kwarg_inputs": kwargs} if kwargs else {"example_inputs": args}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        traced, error = None, ""
        for strict in (True, False):
            seen.clear()
            try:
                # The comparison with eager on other inputs is the check; torch's own repeats the example.
                traced, error = torch.jit.trace(module, **example, strict=strict, check_trace=False), ""
                break
            except Exception as failure:
                error = cut(one_line(failure), 160)
    decided = [w for w in seen if not str(w.message).startswith(NO_DECISION)]
    lines = [_line(w) for w in decided]
    places = [f"{file_name(w.filename)}, line {w.lineno}: {line}" for w, line in zip(decided, lines, strict=True)]
    return Attempt(traced, error, decisions=tuple(dict.fromkeys(lines)), places=tuple(dict.fromkeys(places)))


def _named(module: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, Any] | None:
    """Positional arguments by their names; None where they have none. `torch.jit.trace` takes one kind only."""
    try:
        inner = module.inner if isinstance(module, Fields) else module
        bound = inspect.signature(inner.forward if isinstance(inner, nn.Module) else inner).bind_partial(*args)
    except (TypeError, ValueError):
        return None
    kinds = {p.kind for name, p in bound.signature.parameters.items() if name in bound.arguments}
    return dict(bound.arguments) if kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD} else None


def _line(warning: warnings.WarningMessage) -> str:
    """The line of source that gave the warning, or what the warning says where there is no source."""
    line = linecache.getline(warning.filename, warning.lineno).strip()
    return f"`{cut(line, 70)}`" if line else cut(str(warning.message), 70)
