"""Trace, script, mix or rewrite: try them all on one model, compare with eager, and say what was found.

    advice = recommend(model, example)
    print(advice)                       # the advice, and the evidence line by line
    advice.converted                    # the conversion that held on every input tried

Nothing is decided from names. The model is traced, compiled, and both are run against eager on inputs that were
varied from the example. Where neither holds, the model is taken apart: a submodule that does not compile is
traced, a submodule whose trace is wrong is compiled, and the whole is tried again.
"""

from __future__ import annotations

import contextlib
import copy
import html
import inspect
import linecache
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from course_utils.core.values import fields_of
from course_utils.tools import ir
from course_utils.tools.bisection import _file, fresh_types
from course_utils.tools.parity import Case, batch_sizes, check_parity

Advice = Literal["trace", "script", "mix", "rewrite"]
MOST_SWAPS = 6  # submodules exchanged in one mix; a model that needs more is better rewritten
MOST_PLACES = 8  # lines that are named one by one
NO_VALUE = "equal, but empty on every input: no value was compared"
NO_DECISION = ("Encountering a list at the output",)  # TracerWarnings about the result, not about the path


@dataclass(frozen=True)
class Evidence:
    """One thing that was tried. outcome: "holds", "differs", "refused", "warned" or "note"; text: what was seen."""

    step: str
    outcome: str
    text: str


@dataclass(frozen=True)
class Recommendation:
    """What `recommend` found.

    advice: "trace", "script", "mix" or "rewrite". why: one sentence. evidence: what was tried, in order.
    converted: the conversion that held, made from a copy of the model; None for "rewrite". parts: for "mix",
    the submodules that were exchanged and how ("trace" or "script"); "" is the model itself. member: where the
    conversion returns a tuple that holds eager's result, its place in it. inputs: the names of the inputs tried.
    """

    advice: Advice
    why: str
    evidence: tuple[Evidence, ...]
    converted: Callable[..., Any] | None = None
    parts: dict[str, str] = field(default_factory=dict)
    member: int | None = None
    inputs: tuple[str, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the conversion and give what eager gives. ``ValueError`` where there is none."""
        if self.converted is None:
            raise ValueError("nothing was converted; read .evidence and rewrite the part that it names")
        out = self.converted(*args, **kwargs)
        return out if self.member is None else out[self.member]

    def text(self) -> str:
        """The advice and the evidence as plain text."""
        rows = [(f"{e.step}: {e.outcome}", e.text) for e in self.evidence]
        rows.append(("inputs tried", ", ".join(self.inputs) or "none"))
        lines = [f"{self.advice}: {self.why}", *(f"  {head} - {text}" for head, text in rows)]
        return "\n".join(textwrap.fill(line, 110, subsequent_indent="      ") for line in lines)

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        cell = (
            "border:1px solid currentColor;padding:0.3em 0.5em;text-align:left;"
            "vertical-align:top;overflow-wrap:anywhere"
        )
        head = "".join(
            f'<th scope="col" style="{cell};white-space:nowrap">{h}</th>' for h in ("tried", "outcome", "seen")
        )
        rows = "".join(
            "<tr>" + "".join(f'<td style="{cell}">{html.escape(c)}</td>' for c in (e.step, e.outcome, e.text)) + "</tr>"
            for e in self.evidence
        )
        return (
            '<div style="max-width:100%">'
            f"<p><strong>{html.escape(self.advice)}</strong>: {html.escape(self.why)}</p>"
            f'<table style="border-collapse:collapse;font-size:90%"><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table>"
            f"<p>inputs tried: {html.escape(', '.join(self.inputs) or 'none')}</p></div>"
        )


def recommend(model: Callable[..., Any], example_inputs: Any, others: Any = ()) -> Recommendation:
    """Find out how to convert a model, by trying.

    model: an eager module or a function, in the mode in which it will run. example_inputs: one Tensor, a tuple of
    positional arguments, or a `Case`. others: further inputs that matter, in the same forms, as a list; give one
    from each side of every branch that you know. Inputs of other sizes and values are made from the example; those
    that eager refuses are left out.

    The order of preference: *trace* when the trace gave no warning and equals eager on all inputs, those of another
    rank included; *script* when the compiled model does; *mix* when exchanging submodules makes one of the two do.
    Where none does, but the trace equals eager on all inputs and has merely warned, differs at another rank only, or
    raises at another size only, the advice is *trace* with that reservation, and the evidence names the lines or the
    size; otherwise *rewrite*.

    A trace returns tensors, tuples, lists and dicts. Where eager returns an object or a dataclass, or a dict that also
    holds something else, the model is traced through a wrapper that returns the tensors as a dict by field, and is
    compared with those; the evidence says so.

    Everything runs without gradients, on one thread, and on copies of the model. A branch that no input reaches and
    no TracerWarning names, such as one on the rank or the dtype, stays unseen: put such inputs into `others`. A model
    that catches an operator's error can end the process while it is traced (lesson 03); one whose source has a `try`
    that the compiler meets is not traced. A failure of the model is evidence and not an exception; ``TypeError`` and
    ``ValueError`` are raised for arguments that are no inputs at all.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return _Search(model, example_inputs, others).run()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Many short calls on small inputs: threads that wait for each other cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass
class _Attempt:
    """A conversion and what became of it."""

    converted: Callable[..., Any] | None = None
    refused: str = ""  # the error of the conversion
    differs: str = ""  # the first difference from eager
    decisions: tuple[str, ...] = ()  # source lines that gave a TracerWarning
    member: int | None = None
    exact: bool = False
    places: tuple[str, ...] = ()  # file and line of each decision, with its source
    wrapped: str = ""  # the class that eager returns, where the trace returns its tensors as a dict
    rank: str = ""  # what differs from eager at another rank
    raises_at: tuple[str, ...] = ()  # where nothing differs but that it raises at these sizes, made from the example

    @property
    def holds(self) -> bool:
        return self.converted is not None and not self.differs

    @property
    def clean(self) -> bool:
        return self.holds and not self.decisions


class _Search:
    """One run of `recommend`."""

    def __init__(self, model: Callable[..., Any], example_inputs: Any, others: Any) -> None:
        self.model = model
        self.evidence: list[Evidence] = []
        self.example, *self.probes = _probes(example_inputs, others)
        self.ranks = _of_other_rank(self.example)
        self.sized = {case.name for case in self.probes if re.fullmatch(r"size \d+ in dimension [1-9]", case.name)}
        self.cases: list[Case] = []

    def run(self) -> Recommendation:
        eager = _copied(self.model)
        for case in (self.example, *self.probes):
            error = _error_of(eager, case)
            if not error:
                self.cases.append(case)
            elif case is self.example:
                self.note("eager", "refused", error)
                return self.end("rewrite", "eager itself fails on the example, so there is nothing to compare with.")
        if getattr(self.model, "training", False):
            self.note("mode", "note", "the model is in train mode; call .eval() first if it is for inference")

        script = self.script(_copied(self.model))
        if "try blocks aren't supported" in script.refused:
            trace = _Attempt(refused="not tried: an error caught inside a trace can end the process")
        else:
            trace = self.trace(_copied(self.model))
        self.report("trace", trace)
        self.report("script", script)

        ranks = [case for case in self.ranks if not _error_of(_copied(self.model), case)]
        if trace.clean and ranks:
            self.other_ranks(trace, script, ranks)
        if trace.clean and not trace.rank:
            more = "; the compiled model holds too" if script.holds else ""
            return self.end("trace", f"one recorded path holds on every input tried, without a warning{more}.", trace)
        if script.holds:
            reason = "does not hold" if not trace.holds else "held on these inputs but had to decide something"
            reason = "holds at the rank of the example only" if trace.rank else reason
            reason = "is refused" if trace.converted is None else reason
            return self.end("script", f"the trace {reason}, and the compiled model holds on every input tried.", script)
        if NO_VALUE in (trace.differs, script.differs):
            why = "no input gave a value to compare, so nothing is proven; give inputs that do in `others`."
            return self.end("rewrite", why)
        self.trace_holds = trace.holds
        if isinstance(self.model, nn.Module) and "not tried" not in trace.refused and not trace.clean:
            for found in (self.script_with_traced_parts, self.trace_with_scripted_parts):
                mixed = found()
                if mixed is not None:
                    return mixed
        if trace.holds:
            return self.with_reservation(trace, script)
        if trace.raises_at:
            other = "does not compile" if script.converted is None else "differs once compiled"
            sizes = " and ".join(trace.raises_at)
            why = f"it holds on every other input tried, and raises at {sizes}, which eager takes; the model {other}."
            return self.end("trace", f"{why} Use it if that size never changes.", trace)
        return self.end("rewrite", _reason_to_rewrite(trace, script))

    def other_ranks(self, trace: _Attempt, script: _Attempt, cases: list[Case]) -> None:
        """Before the trace is advised: inputs with a dimension more and less, where eager takes them."""
        reference = _fields_only(_copied(self.model)) if trace.wrapped else self.model
        seen = self.compare(reference, _Attempt(trace.converted), cases)
        if seen.differs == NO_VALUE or not seen.differs:
            self.cases += cases
            return
        trace.rank = seen.differs
        self.note("trace, another rank", "differs", seen.differs)
        if script.holds:
            script.differs = self.compare(self.model, _Attempt(script.converted), cases).differs
            if script.differs:
                self.note("script, another rank", "differs", script.differs)
            else:
                self.cases += cases

    def with_reservation(self, trace: _Attempt, script: _Attempt) -> Recommendation:
        """The trace equals eager on everything, and something is known that it cannot follow."""
        for place in trace.places[:MOST_PLACES]:
            self.note("decided while tracing", "note", place)
        if len(trace.places) > MOST_PLACES:
            self.note("decided while tracing", "note", f"and {len(trace.places) - MOST_PLACES} more lines")
        other = "does not compile" if script.converted is None else "differs once compiled"
        if trace.rank:
            why = f"it holds at the rank of the example, not at another one that eager takes, and the model {other}."
            return self.end("trace", f"{why} Use it if the rank never changes.", trace)
        count = f"{len(trace.places)} line" + "s" * (len(trace.places) != 1)
        why = (
            f"it holds on every input tried, but warned at {count}: there a tensor became a Python value, and the "
            f"trace goes on as the example went. The model {other}. Look at the lines and give inputs that would "
            "decide otherwise in `others`; where none can, use the trace."
        )
        return self.end("trace", why, trace)

    # --- the two conversions of a whole module ---------------------------------------------------------------------

    def script(self, module: Callable[..., Any], reference: Any = None, cases: list[Case] | None = None) -> _Attempt:
        try:
            converted = _scripted(module)
        except Exception as error:
            return _Attempt(refused=_compile_error(error))
        return self.compare(reference or self.model, _Attempt(converted), cases or self.cases)

    def trace(self, module: Callable[..., Any], reference: Any = None, cases: list[Case] | None = None) -> _Attempt:
        cases = cases or self.cases
        reference = reference or self.model
        converted, refused, decisions, places = _traced(module, cases[0])
        wrapped = ""
        if converted is None and "one kind" not in refused and (wrapped := _record_of(module, cases[0])):
            converted, _, decisions, places = _traced(_fields_only(module), cases[0])
            reference = _fields_only(_copied(reference))
        if converted is None:
            return _Attempt(refused=refused, decisions=decisions)
        attempt = _Attempt(converted, decisions=decisions, places=places, wrapped=wrapped)
        return self.compare(reference, attempt, cases)

    def compare(self, reference: Any, attempt: _Attempt, cases: list[Case]) -> _Attempt:
        """Fill in what differs from eager on these inputs, and which member of a tuple is eager's result."""
        try:
            attempt.member = _member_of(reference, attempt.converted, cases[0])
            if attempt.member is None:
                # TorchScript profiles the first call and optimises the next: the example is called three times.
                candidate, options = attempt.converted, {}
            else:
                # torchvision's detectors note in the compiled model that they have warned: no state to compare.
                candidate, options = _Member(attempt.converted, attempt.member), {"check_state": False}
            reports = [check_parity(_copied(reference), candidate, cases[:1], calls=3, **options)]
            if reports[0].ok and len(cases) > 1:
                reports.append(check_parity(_copied(reference), candidate, cases[1:], calls=1, **options))
        except Exception as error:  # an output that cannot be compared is no proof
            attempt.differs = f"could not be compared: {_first_line(error)}"
            return attempt
        if not reports[-1].ok:
            f = reports[-1].findings[0]
            attempt.raises_at = self.sizes_that_raise(reports)
            attempt.differs = f"{f.kind}, {f.where.case}: eager {_cut(f.reference)} | converted {_cut(f.candidate)}"
        elif not any(report.worst.elements for report in reports):
            attempt.differs = NO_VALUE
        else:
            attempt.exact = all(report.worst.bit_equal for report in reports)
        return attempt

    def sizes_that_raise(self, reports: list[Any]) -> tuple[str, ...]:
        """The sizes beyond the batch at which the conversion raises, where it differs in nothing else."""
        findings = reports[-1].findings
        raises = all(f.kind == "raises" and f.reference.startswith("returns ") for f in findings)
        names = dict.fromkeys(where.case for f in findings for where in (f.where, *f.also))
        compared = any(report.worst.elements for report in reports)
        return tuple(names) if raises and compared and names.keys() <= self.sized else ()

    # --- the two mixes ---------------------------------------------------------------------------------------------

    def script_with_traced_parts(self) -> Recommendation | None:
        """Compile the model, with the smallest submodules that do not compile replaced by their traces."""
        work, parts = _copied(self.model), {"": "script"}
        for _ in range(MOST_SWAPS):
            attempt = self.script(_copied(work))
            if not attempt.refused:
                if len(parts) == 1:
                    return None  # the whole compiles, and differs
                break
            name, error = _smallest_uncompilable(work)
            where = f"`{name}`" if name else "the model's own forward"
            self.note("smallest refused part", "refused", f"{where}: {error}")
            if not name:
                return None
            cases = self.inputs_of(name)
            if not cases:
                self.note(f"trace of {where}", "refused", "it was not called, so it has no example input")
                return None
            part = self.trace(_copied(work.get_submodule(name)), self.model.get_submodule(name), cases)
            self.report(f"trace of {where}", part)
            if not part.clean:
                return None
            if not _exchange(work, name, part.converted):
                return None
            parts[name] = "trace"
        else:
            return None
        names = _and(x for x in parts if x)
        self.report(f"script, with {names} traced", attempt)
        if not attempt.holds:
            return None
        why = f"{self.whole()}; with {names} traced inside, the compiled model holds."
        return self.end("mix", why, attempt, parts)

    def trace_with_scripted_parts(self) -> Recommendation | None:
        """Trace the model, with the smallest submodules whose own trace is wrong compiled."""
        work, parts = _copied(self.model), {"": "trace"}
        for name, attempt in self.smallest_untraceable(""):
            self.report(f"trace of `{name}`", attempt)
            cases = self.inputs_of(name)
            part = self.script(_copied(self.model.get_submodule(name)), self.model.get_submodule(name), cases)
            self.report(f"script of `{name}`", part)
            if not part.holds or not _exchange(work, name, part.converted):
                return None
            parts[name] = "script"
        if len(parts) == 1:
            return None
        attempt = self.trace(work)
        names = _and(x for x in parts if x)
        self.report(f"trace, with {names} scripted", attempt)
        if not attempt.clean:
            return None
        kept = "keeps its control flow and holds" if ir.has_control_flow(attempt.converted) else "holds"
        why = f"{self.whole()}; with {names} scripted inside, the trace {kept}."
        return self.end("mix", why, attempt, parts)

    def smallest_untraceable(self, above: str) -> list[tuple[str, _Attempt]]:
        """The submodules under `above` whose own trace warns or differs, and none of whose submodules' does."""
        found = []
        for name in _called_under(self.model, above, self.inputs_of):
            module = self.model.get_submodule(name)
            if isinstance(module, torch.jit.ScriptModule):
                continue
            attempt = self.trace(_copied(module), module, self.inputs_of(name))
            if not attempt.clean:
                found += self.smallest_untraceable(name) or [(name, attempt)]
        return found

    def whole(self) -> str:
        if self.trace_holds:
            return "the trace of the whole held but had to decide something, and the whole does not hold compiled"
        return "the whole holds neither traced nor compiled"

    def inputs_of(self, name: str) -> list[Case]:
        """What the submodule `name` gets in eager, for each input of the model that it was called for."""
        if not hasattr(self, "_inputs"):
            self._inputs = _recorded_inputs(_copied(self.model), self.cases)
        return self._inputs.get(name, [])

    # --- telling ---------------------------------------------------------------------------------------------------

    def note(self, step: str, outcome: str, text: str) -> None:
        self.evidence.append(Evidence(step, outcome, text))

    def report(self, step: str, attempt: _Attempt) -> None:
        """One line for the result, and one for the decisions that a trace had to take."""
        if attempt.converted is None:
            self.note(step, "refused", attempt.refused)
        elif attempt.differs:
            self.note(step, "differs", attempt.differs)
        else:
            how = "equal to the last bit" if attempt.exact else "equal within tolerance"
            place = "" if attempt.member is None else f"; eager's result is member {attempt.member} of a tuple"
            place += f"; eager returns {attempt.wrapped}, the trace its tensors as a dict" if attempt.wrapped else ""
            self.note(step, "holds", how + place)
        if attempt.decisions:
            shown = "; ".join(attempt.decisions[:3])
            more = f"; and {len(attempt.decisions) - 3} more" if len(attempt.decisions) > 3 else ""
            self.note(step, "warned", f"a tensor became a Python value at {shown}{more}")

    def end(
        self, advice: Advice, why: str, attempt: _Attempt | None = None, parts: dict[str, str] | None = None
    ) -> Recommendation:
        converted, member = (attempt.converted, attempt.member) if attempt else (None, None)
        names = tuple(case.name for case in self.cases)
        return Recommendation(advice, why, tuple(self.evidence), converted, parts or {}, member, names)


class _Fields(nn.Module):
    """Call, and give the tensors of a record as a dict by field: what a trace can return."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        super().__init__()
        self.inner = inner
        self.train(getattr(inner, "training", False))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return _plain(self.inner(*args, **kwargs))


def _fields_only(inner: Callable[..., Any]) -> _Fields:
    """`_Fields`, with the argument names of what it wraps: a trace is called by them."""

    def forward(self: _Fields, *args: Any, **kwargs: Any) -> Any:
        return _plain(self.inner(*args, **kwargs))

    with contextlib.suppress(TypeError, ValueError):
        known = inspect.signature(inner.forward if isinstance(inner, nn.Module) else inner)
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        forward.__signature__ = known.replace(parameters=[own, *known.parameters.values()])  # type: ignore[attr-defined]
    return type("_Fields", (_Fields,), {"forward": forward})(inner)


def _plain(value: Any) -> Any:
    """A record as a dict, without what is no tensor; tuples and lists as tuples."""
    fields = value if isinstance(value, Mapping) else fields_of(value)
    if fields is not None:
        made = {str(k): _plain(v) for k, v in fields.items()}
        return _one_sort({k: v for k, v in made.items() if v is not None})
    if isinstance(value, (list, tuple)):
        items = tuple(x for x in map(_plain, value) if x is not None)
        return items or None
    return value if isinstance(value, Tensor) else None


def _one_sort(found: dict[str, Any]) -> dict[str, Tensor] | None:
    """A trace's dict holds tensors only: what is nested gets a name of its own."""
    flat: dict[str, Tensor] = {}
    for name, value in found.items():
        if isinstance(value, Tensor):
            flat[name] = value
        else:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            flat |= _one_sort({f"{name}.{k}": v for k, v in pairs}) or {}
    return flat or None


def _record_of(module: Callable[..., Any], case: Case) -> str:
    """The class of what eager returns, where it has fields and among them tensors; otherwise nothing."""
    args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
    try:
        out = _copied(module)(*args, **kwargs)
    except Exception:
        return ""
    record = isinstance(out, Mapping) or fields_of(out) is not None
    return type(out).__name__ if record and _plain(out) else ""


class _Member:
    """Call, and give one member of the tuple that comes back."""

    def __init__(self, function: Callable[..., Any], place: int) -> None:
        self.function, self.place = function, place

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)[self.place]


# --- inputs ----------------------------------------------------------------------------------------------------------


def _probes(example_inputs: Any, others: Any) -> list[Case]:
    """The example, the inputs that were given, and inputs of other sizes and values made from the example."""
    given = [_case(x) for x in others] if isinstance(others, (list, tuple)) else [_case(others)]
    example = _case(example_inputs, "the example")
    given = [Case(x.args, x.kwargs, x.name or f"other {i}") for i, x in enumerate(given, start=1)]
    made = [
        Case(_mapped(example.args, change), {k: _mapped(v, change) for k, v in example.kwargs.items()}, name)
        for name, change in CHANGES.items()
    ]
    first = next(_tensors((example.args, tuple(example.kwargs.values()))), None)
    for dim in range(first.dim() if first is not None else 0):
        size = first.shape[dim]
        for new in sorted({1, size + (size + 1) // 2} - {size, 0} if dim == 0 else {size + (size + 1) // 2} - {size}):
            (case,) = batch_sizes(example, (new,), dim)
            made.append(Case(case.args, case.kwargs, f"size {new} in dimension {dim}"))
    return [example, *given, *made]


def _of_other_rank(example: Case) -> list[Case]:
    """The example with a dimension more and one less in every tensor."""
    changes = {
        "a dimension more": lambda x: x.unsqueeze(0),
        "a dimension less": lambda x: x.select(0, 0).clone(),
    }
    found = []
    for name, change in changes.items():
        with contextlib.suppress(IndexError, RuntimeError):
            kwargs = {k: _mapped(v, change) for k, v in example.kwargs.items()}
            found.append(Case(_mapped(example.args, change), kwargs, name))
    return found


def _case(value: Any, name: str = "") -> Case:
    if isinstance(value, Case):
        return Case(value.args, value.kwargs, name or value.name)
    if isinstance(value, tuple):
        return Case(value, name=name)
    if isinstance(value, Tensor):
        return Case((value,), name=name)
    raise TypeError(
        f"an input is a Tensor, a tuple of arguments or a Case, not a {type(value).__name__}; "
        "wrap a single argument of another type in a tuple: (value,)"
    )


def _noise(x: Tensor) -> Tensor:
    """Values from a normal distribution; integers are turned round, since they may index something."""
    if x.is_floating_point():
        return torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x)
    return x.flip(tuple(range(x.dim())))


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "negated": lambda x: -x if x.is_floating_point() else x,
    "all zero": torch.zeros_like,
    "times ten": lambda x: x * 10 if x.is_floating_point() else x,
    "noise": _noise,
}


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {k: _mapped(v, change) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_mapped(v, change) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


# --- modules ---------------------------------------------------------------------------------------------------------


def _copied(value: Any) -> Any:
    """A copy, so that neither tracing nor a swap reaches the user's model; itself where it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def _error_of(model: Callable[..., Any], case: Case) -> str:
    try:
        args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
        model(*args, **kwargs)
    except Exception as error:
        return _first_line(error)
    return ""


def _traced(module: Callable[..., Any], case: Case) -> tuple[Any, str, tuple[str, ...], tuple[str, ...]]:
    """(the trace or None, the error, the source lines at which a TracerWarning was raised, the same with places)."""
    args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
    if args and kwargs and (named := _named(module, args)) is not None:
        args, kwargs = (), named | kwargs
    example = {"example_kwarg_inputs": kwargs} if kwargs and not args else {"example_inputs": args}
    if args and kwargs:
        return None, "positional and keyword examples cannot be traced together; give one kind", (), ()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", torch.jit.TracerWarning)
        traced, error = None, ""
        for strict in (True, False):
            seen.clear()
            try:
                # The comparison with eager on other inputs is the check; torch's own repeats the example.
                traced = torch.jit.trace(module, **example, strict=strict, check_trace=False)
                break
            except Exception as failure:
                error = _first_line(failure)
    seen = [w for w in seen if not str(w.message).startswith(NO_DECISION)]
    places, located = dict.fromkeys(map(_place, seen)), dict.fromkeys(map(_located, seen))
    return traced, "" if traced is not None else error, tuple(places), tuple(located)


def _named(module: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, Any] | None:
    """Positional arguments by their names; None where they have none. `torch.jit.trace` takes one kind only."""
    try:
        inner = module.inner if isinstance(module, _Fields) else module
        bound = inspect.signature(inner.forward if isinstance(inner, nn.Module) else inner).bind_partial(*args)
    except (TypeError, ValueError):
        return None
    kinds = {p.kind for name, p in bound.signature.parameters.items() if name in bound.arguments}
    return dict(bound.arguments) if kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD} else None


def _located(warning: warnings.WarningMessage) -> str:
    return f"{_file(warning.filename)}, line {warning.lineno}: {_place(warning)}"


def _place(warning: warnings.WarningMessage) -> str:
    """The line of source that gave the warning, or what the warning says where there is no source."""
    line = linecache.getline(warning.filename, warning.lineno).strip()
    return f"`{_cut(line, 70)}`" if line else _cut(str(warning.message), 70)


def _scripted(module: Callable[..., Any]) -> Any:
    with fresh_types():
        return torch.jit.script(module)


def _member_of(reference: Any, converted: Any, case: Case) -> int | None:
    """Where the conversion returns a tuple and eager does not: the place of eager's result in it."""
    outs = []
    for function in (_copied(reference), _copied(converted)):
        args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
        try:
            outs.append(function(*args, **kwargs))
        except Exception:
            return None
    eager, tried = outs
    if not isinstance(tried, tuple) or isinstance(eager, tuple):
        return None
    for place in range(len(tried)):
        report = check_parity(lambda: eager, lambda place=place: tried[place], Case(), calls=1)
        if report.ok:
            return place
    return None


def _smallest_uncompilable(model: nn.Module, name: str = "") -> tuple[str, str]:
    """Go down from a module that does not compile to one whose submodules all do; its name and its error."""
    for child, module in model.named_children():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        try:
            _scripted(_copied(module))
        except Exception:
            return _smallest_uncompilable(module, f"{name}.{child}" if name else child)
    try:
        _scripted(_copied(model))
    except Exception as error:
        return name, _compile_error(error)
    return name, "it compiles alone and not where it stands"


def _exchange(model: nn.Module, name: str, part: Any) -> bool:
    """Put `part` in the place of the submodule `name`; False where the parent does not take it."""
    parent, _, child = name.rpartition(".")
    try:
        setattr(model.get_submodule(parent), child, part)
    except Exception:
        return False
    return True


def _called_under(model: nn.Module, above: str, inputs_of: Callable[[str], list[Case]]) -> list[str]:
    """The nearest submodules under `above` that were called; containers that are only held are looked through."""
    found = []
    for child, _ in model.get_submodule(above).named_children():
        name = f"{above}.{child}" if above else child
        found += [name] if inputs_of(name) else _called_under(model, name, inputs_of)
    return found


def _recorded_inputs(model: nn.Module, cases: list[Case]) -> dict[str, list[Case]]:
    """Run eager and keep what each submodule was first called with, for each case."""
    found: dict[str, list[Case]] = {}
    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            if not name or isinstance(module, torch.jit.ScriptModule):
                continue

            def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name) -> None:
                known = found.setdefault(name, [])
                if not known or known[-1].name != case.name:
                    known.append(Case(copy.deepcopy(args), copy.deepcopy(kwargs), case.name))

            handle = module.register_forward_pre_hook(keep, with_kwargs=True)
            stack.callback(handle.remove)
        for case in cases:
            with contextlib.suppress(Exception):
                args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
                model(*args, **kwargs)
    return found


# --- words -----------------------------------------------------------------------------------------------------------


def _reason_to_rewrite(trace: _Attempt, script: _Attempt) -> str:
    if script.converted is not None:
        return "the compiled model differs from eager, and so does the trace; mend what the evidence names."
    return "neither the whole nor a mix of its submodules converts; move what decides into a part that compiles."


def _compile_error(error: Exception) -> str:
    """The compiler's sentence, and the line of source that it points at."""
    lines = str(error).splitlines()
    said = next((x.strip().rstrip(":") for x in lines if x.strip()), type(error).__name__)
    for above, marked in pairwise(lines):
        if "<--- HERE" in marked and above.strip():
            return f"{_cut(said, 110)} (at `{_cut(above.strip(), 70)}`)"
    return _cut(said, 160)


def _first_line(error: Exception) -> str:
    """The type of an error and what it says, without torch's stack of its own source."""
    lines = [x.strip() for x in str(error).splitlines() if x.strip()]
    lines = [x for x in lines if not re.match(r"(The following operation failed|Traceback of)", x)] or [""]
    said = next((x for x in reversed(lines) if re.match(r"\w*(Error|Exception)\b", x)), lines[0])
    said = re.sub(r"^\w*(Error|Exception): ", "", said)
    return _cut(f"{type(error).__name__}: {said}", 160)


def _and(names: Any) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _cut(text: str, width: int = 90) -> str:
    text = re.sub(r"\b(\w+Error): (?=\1: )", "", " ".join(str(text).split()))
    text = re.sub(r" \(of Python compilation unit at: 0x[0-9a-f]+\)", "", text)
    return text if len(text) <= width else text[: width - 3] + "..."
