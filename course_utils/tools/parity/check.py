"""Run a reference and its converted candidate side by side, and report every difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from course_utils.core.cases import as_cases
from course_utils.core.errors import CourseError
from course_utils.tools.parity.compare import Rules
from course_utils.tools.parity.report import ParityReport
from course_utils.tools.parity.run import Run
from course_utils.tools.parity.state import owned, preserved_streams

MODES = ("as_is", "eval", "train", "no_grad", "grad", "autocast", "inference")


class ParityError(CourseError, AssertionError):
    """Raised by `assert_parity`; its text is the report's text, and `.report` the report."""

    def __init__(self, report: ParityReport) -> None:
        super().__init__(report.text())
        self.report = report


def check_parity(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    inputs: Any,
    *,
    modes: tuple[str, ...] = ("as_is",),
    calls: int = 3,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    relative_to: str = "element",
    structure: str = "interface",
    seed: int = 0,
    grads: bool = False,
    check_state: bool = True,
    check_inputs: bool = True,
    check_random: bool = True,
    check_memory: bool = False,
    signed_zero: bool = False,
    snapshot_mib: float = 2.0,
) -> ParityReport:
    """Run `reference` and `candidate` on the same inputs and report every difference.

    reference, candidate: a module, a ScriptModule, a ScriptFunction, a bound method, or a plain function.

    inputs: one Tensor (one case with one argument); a tuple (one case: the positional arguments); a `Case`;
    or a list of cases, each of them a Tensor, a tuple or a `Case`. A list is thus always several cases: an
    argument that is a list goes into a tuple, `([a, b],)`. Each side gets a private copy of every argument,
    with the same strides, requires_grad and shared memory.

    modes: how to run. "as_is" changes nothing; "eval" and "train" switch every module of both sides for the
    run; "no_grad", "grad", "inference" (inference mode) and "autocast" (CPU, bfloat16) set the surroundings.
    Join with a plus: "eval+no_grad".

    calls: how often each case is run on each side, one call after the other: TorchScript profiles the first
    call and optimises the next. Call n of both sides starts from random seed `seed + n - 1` and from the
    state that this side's call n - 1 left; the first call of every case starts from the state that the
    modules came with. Parameters, buffers, plain attributes (numbers, strings, tensors, and lists and dicts
    of them) and training flags are put back in the end, the global random states (torch, `random`, numpy)
    too. Not covered: a private torch.Generator, and objects of other classes that a module keeps.

    rtol, atol: the tolerance of `torch.testing.assert_close`: |candidate - reference| <= atol + rtol *
    |reference|; the default for each depends on the dtype (float32: 1.3e-6 and 1e-5). Integers, bools and
    strings are exact. relative_to="max" measures rtol against the greatest finite |reference| of the same
    tensor instead. equal_nan: NaN equals NaN.

    structure: "interface" (default) accepts, with a note, what a caller can use in the same way: dict for
    OrderedDict, list for tuple, another named tuple with the same fields. Lost field names are a finding.
    "strict" wants the same classes. "values" accepts a plain tuple for a named one, too.

    grads=True also compares the gradients of a weighted sum of the outputs with respect to the float inputs
    and to the parameters, in every mode without "no_grad", and makes a differing requires_grad of an output a
    finding (it is a note otherwise: freezing makes constants of the weights). The inputs then require grad,
    so that a forward that edits them in place raises on both sides.

    check_state, check_inputs, check_random: look for differing changes of state, of the arguments, and
    differing use of random numbers. check_memory=True makes a finding of what is a note otherwise: another
    order of the elements in memory (strides), an output that overlaps another output or an argument on one side
    only, an inference tensor on one side only. signed_zero=True does so for 0.0 against -0.0.

    Dataclasses and plain objects (attributes, no `__eq__` of their own) of one class are compared field by field,
    nested tensors part by part, quantised ones also by scale and zero point. What cannot be compared, such as a
    meta tensor, is a finding of its own: a report that compared nothing is not ok.

    snapshot_mib: parameters beyond this size, in MiB, are watched rather than copied: a forward that changes one is
    reported, but the parameter is not put back.

    Where both sides raise they agree, with a note, whatever the types: TorchScript raises its own. Where one
    raises, that is a finding. `check_parity` raises nothing for a difference; TypeError or ValueError for
    unusable arguments.
    """
    for side, fn in (("reference", reference), ("candidate", candidate)):
        if not callable(fn):
            raise TypeError(f"the {side} is a {type(fn).__name__} and cannot be called; give a module or a function.")
        for _, root in owned(fn):
            if not isinstance(root, nn.Module) or isinstance(root, torch.jit.ScriptModule):
                continue
            if any(map(nn.parameter.is_lazy, root.parameters())):
                raise ValueError(f"the {side} has uninitialised lazy parameters; call it once before the check.")
    cases = as_cases(inputs)
    modes = _read_modes(modes)
    for name, value, allowed in (
        ("structure", structure, ("interface", "strict", "values")),
        ("relative_to", relative_to, ("element", "max")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} is one of {', '.join(allowed)}; got {value!r}.")
    if calls < 1:
        raise ValueError(f"calls is at least 1, got {calls}; 3 also covers what TorchScript optimises.")
    rules = Rules(rtol, atol, equal_nan, relative_to, structure, memory=check_memory, signed_zero=signed_zero)
    check = Run(reference, candidate, cases, rules, seed, calls, grads, check_state, check_inputs, check_random)
    with preserved_streams():
        for mode in modes:
            check.run(mode, int(snapshot_mib * 2**20))
    return check.report(modes)


def assert_parity(
    reference: Callable[..., Any], candidate: Callable[..., Any], inputs: Any, **options: Any
) -> ParityReport:
    """Return the report of `check_parity` with the same arguments, or raise `ParityError` unless it is ok."""
    report = check_parity(reference, candidate, inputs, **options)
    if not report.ok:
        raise ParityError(report)
    return report


def _read_modes(modes: Any) -> tuple[str, ...]:
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    for mode in modes or ("",):
        words = mode.split("+")
        both = [{"eval", "train"}, {"grad", "no_grad"}, {"grad", "inference"}]
        if not set(words) <= set(MODES) or any(pair <= set(words) for pair in both):
            raise ValueError(f"unknown mode {mode!r}; use {', '.join(MODES)}, or a union such as 'eval+no_grad'.")
    return modes
