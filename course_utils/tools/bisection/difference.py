"""Find the first submodule whose converted form computes something else on what eager gave it."""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.cases import Case, as_cases
from course_utils.core.report import Report, html_table, plural, wrapped
from course_utils.tools.bisection.compiling import copied, is_compiled, quoted
from course_utils.tools.parity import Finding, ParityReport, check_parity

ANOTHER_CALL = ("missing value for argument", "expected at most", "Expected a value of type", "Unknown keyword")
REORDERED = "a trace passes it other arguments, or takes other results from it"


@dataclass(frozen=True)
class DifferenceReport(Report):
    """What `bisect_difference` found. Prints as text, and as a table in a notebook.

    name: the first submodule that differs, "" for the model itself; None when nothing differs. kind: its class.
    finding: what differs there, as `check_parity` reports it. compared: how many calls of submodules were compared.
    left_out: submodules that could not be compared, and why.
    """

    model: str
    name: str | None = None
    kind: str = ""
    finding: Finding | None = None
    compared: int = 0
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        return self.finding is None

    @property
    def findings(self) -> tuple[Finding, ...]:
        return () if self.finding is None else (self.finding,)

    @property
    def headline(self) -> str:
        if self.finding is None:
            return f"No difference between {self.model} and the candidate in {plural(self.compared, 'call')}."
        if not self.name:
            return f"{self.model} itself differs ({self.finding.kind}); no submodule that was compared does."
        return f"`{self.name}` ({self.kind}) is the first to differ ({self.finding.kind})."

    def rows(self) -> list[tuple[str, str]]:
        f = self.finding
        seen = [("its input", f.input), ("reference", f.reference), ("candidate", f.candidate)] if f else []
        seen += [("difference", f.detail)] if f else []
        reasons: dict[str, list[str]] = {}
        for name, why in self.left_out:
            reasons.setdefault(why, []).append(name)
        pairs = [(label, text) for label, text in seen if text]
        return pairs + [("not compared", f"{quoted(names)}: {why}") for why, names in reasons.items()]

    def text(self) -> str:
        """The headline, and a line for each thing to know."""
        return wrapped([self.headline, *(f"  {label:<12} {text}" for label, text in self.rows())])

    def html_parts(self) -> list[str]:
        return [html_table((), self.rows(), row_heads=True)]


def bisect_difference(
    reference: nn.Module, candidate: nn.Module, inputs: Any, *, rtol: float | None = None, atol: float | None = None
) -> DifferenceReport:
    """Find the first submodule whose converted form computes something else on what eager gave it.

    reference: the eager module in eval mode. candidate: its trace or script; frozen modules have no submodules left, so
    there only the whole is compared. inputs: a Tensor, a tuple of positional arguments, a `Case`, or a list of those,
    tried in this order. rtol and atol go to `check_parity`.

    Eager runs with hooks, each converted submodule is called with what its eager counterpart was called with, and the
    results are compared in the order in which eager finished them: inner ones before outer ones. So no compared
    submodule of the one that is named differs. Both run on copies, without gradients. Raises whatever eager raises.
    """
    model, run = type(reference).__name__, _Run(reference, candidate, rtol, atol)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in itertools.chain.from_iterable(_calls(reference, case) for case in as_cases(inputs)):
            finding = run.compare(call)
            if finding is not None:
                kind = type(run.eager[call.name]).__name__
                return DifferenceReport(model, call.name, kind, finding, run.compared + 1, tuple(run.left_out.items()))
    return DifferenceReport(model, compared=run.compared, left_out=tuple(run.left_out.items()))


@dataclass(frozen=True)
class _Call:
    """A call of a submodule in eager: how often it was called before, with what, and what came out."""

    name: str
    number: int
    case: Case
    out: Any


class _Run:
    """One run of `bisect_difference`."""

    def __init__(self, reference: nn.Module, candidate: nn.Module, rtol: float | None, atol: float | None) -> None:
        self.eager, self.untouched = dict(reference.named_modules()), dict(candidate.named_modules())
        self.converted = dict(copied(candidate).named_modules())
        self.rtol, self.atol = rtol, atol
        self.left_out: dict[str, str] = {}
        self.compared = 0

    def compare(self, call: _Call) -> Finding | None:
        """What differs in one call; None also where it cannot be compared, with the reason in `left_out`."""
        part: Any = self.converted.get(call.name)
        if part is None or (is_compiled(part) and not hasattr(part, "forward")):
            self.left_out[call.name] = "the candidate has no such submodule"
            return None
        # A trace keeps the second call of a module as a method of its own.
        method = f"forward{call.number}" if call.number else "forward"
        function: Callable[..., Any] = getattr(part, method, part) if call.number else part
        report = self.parity(call, function, call.case)
        orders = [] if report.ok or not call.name else self.other_orders(call, method)
        for case in orders:
            again = self.parity(call, function, case)
            if again.ok or len(orders) == 1:  # the only order that its graph can mean
                report = again
                break
        if report.ok:
            self.compared += 1
            return None
        finding = report.findings[0]
        another_call = finding.kind == "structure" or any(words in finding.candidate for words in ANOTHER_CALL)
        if len(orders) > 1 or (call.name and another_call):
            self.left_out[call.name] = REORDERED
            return None
        if not self.parity(call, copied(self.eager[call.name]), call.case).ok:
            self.left_out[call.name] = "eager itself returns a different result each time; use eval mode"
            return None
        return finding

    def parity(self, call: _Call, function: Callable[..., Any], case: Case) -> ParityReport:
        def recorded(*args: Any, **kwargs: Any) -> Any:
            return copy.deepcopy(call.out)

        return check_parity(
            recorded, function, case, rtol=self.rtol, atol=self.atol,
            calls=1, check_state=False, check_inputs=False, check_random=False,
        )  # fmt: skip

    def other_orders(self, call: _Call, method: str) -> list[Case]:
        """The same tensors in the other orders in which a trace may pass them; where its graph has types, by these.

        `torch.jit.trace` gives a submodule its tensors in the order in which they are used, and only those. The types
        are read from the module before it was copied: a copy has lost them.
        """
        part = self.untouched[call.name]
        tensors = call.case.tensors
        if not is_compiled(part) or not 1 < len(tensors) <= 5:
            return []
        graph = part._c._get_method(method).graph
        inputs = [x for x in graph.inputs() if not isinstance(x.type(), torch._C.ClassType)]
        typed = any(isinstance(x.type(), torch._C.TensorType) and x.type().dim() is not None for x in inputs)
        names = [x.debugName().split(".")[0] for x in inputs]
        with contextlib.suppress(TypeError, ValueError):
            if not typed and names == list(inspect.signature(self.eager[call.name].forward).parameters):
                return []  # compiled from source: its arguments are eager's
        as_given = tuple(range(len(tensors)))
        fitting = [
            order
            for order in itertools.permutations(as_given, len(inputs))
            if all(_fits(tensors[i], x.type()) for i, x in zip(order, inputs, strict=True))
        ]
        return [Case(tuple(tensors[i] for i in order)) for order in fitting] if fitting != [as_given] else []


def _fits(tensor: Tensor, kind: Any) -> bool:
    if not isinstance(kind, torch._C.TensorType):
        return False
    dtype, rank = kind.dtype(), kind.dim()
    return (dtype is None or dtype == tensor.dtype) and (rank is None or rank == tensor.dim())


def _calls(model: nn.Module, case: Case) -> list[_Call]:
    """Run a copy of the model, and record the calls of its submodules as they end."""
    eager = copied(model)
    open_calls: list[Case] = []
    ended: list[_Call] = []
    counts: dict[str, int] = {}
    for name, module in eager.named_modules():
        if is_compiled(module):
            continue

        def starts(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            open_calls.append(Case(*copy.deepcopy((args, kwargs))))

        def ends(_: nn.Module, _args: Any, _kwargs: Any, out: Any, name: str = name) -> None:
            ended.append(_Call(name, counts.get(name, 0), open_calls.pop(), copy.deepcopy(out)))
            counts[name] = counts.get(name, 0) + 1

        module.register_forward_pre_hook(starts, with_kwargs=True)
        module.register_forward_hook(ends, with_kwargs=True)
    eager(*copy.deepcopy(case.args), **copy.deepcopy(dict(case.kwargs)))
    return ended
