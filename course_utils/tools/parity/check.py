"""Run a reference and its converted candidate side by side, and report every difference."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.cases import Case, as_cases
from course_utils.core.values import brief, leaves
from course_utils.tools.parity.compare import Comparison, Rules, Stats, compare, located
from course_utils.tools.parity.report import Finding, ParityReport, Where
from course_utils.tools.parity.state import (
    Ledger,
    moved,
    owned,
    preserved_streams,
    private_copy,
    seed_everything,
    streams,
)

MODES = ("as_is", "eval", "train", "no_grad", "grad", "autocast", "inference")
HINTS = {
    "value": "Run both on this input; look for a branch, a loop or a number that the conversion fixed.",
    "shape": "Look for a size that was recorded as a number: int(x.shape[0]), range(len(x)), a fixed view.",
    "dtype": "Look for a dtype fixed at conversion, an integer power, or a constant of another dtype.",
    "device": "Look for a tensor made on a fixed device; make it with device=x.device.",
    "layout": "Look for an operator that keeps or drops the sparse layout.",
    "structure": "Look at what return builds; structure='values' compares nothing but the members.",
    "raises": "Call the side that raises on this input alone and read the whole message.",
    "input mutation": "Look for in-place operators; a list or dict reaches TorchScript as a copy.",
    "state": "Look for attributes assigned in forward: a trace records x.add_(1), not self.n = self.n + 1.",
    "randomness": "Look for random numbers drawn outside torch, at conversion, or removed as dead code.",
    "mode": "A trace keeps the mode it was made in: trace the mode you need, or script the module.",
    "grad": "Look for torch.no_grad() or detach() in forward, and for weights that became constants.",
    "memory": "Look for a missing clone() or contiguous(), and for who edits the result in place or reads its strides.",
    "quantisation": "Look for a scale or a zero point that was observed anew at conversion.",
    "not compared": "Return tensors, numbers, strings, lists, tuples or dicts: their values can be compared.",
}


class ParityError(AssertionError):
    """Raised by `assert_parity`; its text is the report's text, and `.report` the report."""

    def __init__(self, report: ParityReport) -> None:
        super().__init__(report.text())
        self.report = report


# --- one call -------------------------------------------------------------------------------------


@dataclass
class _Outcome:
    """What one call gave: a result or an error, the arguments afterwards, state and random streams."""

    result: Any = None
    error: Exception | None = None
    arguments: Any = None
    delta: dict[str, Any] = field(default_factory=dict)
    drew: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()  # which outputs lie in one piece of memory, with each other or an argument
    streams: dict[str, Any] = field(default_factory=dict)
    grads: dict[str, Tensor | None] | None = None
    grad_error: Exception | None = None


_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.+ -]+)+[\\/]([\w.+-]+)")


def error_text(error: BaseException) -> str:
    """The type and the one telling line of an exception, without machine paths.

    TorchScript puts its traceback before the message, so there it is the last line that tells; elsewhere the
    first.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    noise = ("~", "File ", "frame #", "Exception raised from", "Traceback", "The above operation")
    if any("Traceback of TorchScript" in line for line in lines):
        telling = [line for line in lines if not line.startswith(noise) and "<--- HERE" not in line]
        line = telling[-1] if telling else lines[-1]
    else:
        line = next((x for x in lines if not x.startswith(noise)), "")
    line = _PATH.sub(r"\1", line)
    line = line if len(line) <= 160 else line[:157] + "..."
    name = "torch.jit.Error" if isinstance(error, torch.jit.Error) else type(error).__name__
    while line.startswith(f"{name}: "):  # TorchScript puts the type before the message, too
        line = line.removeprefix(f"{name}: ")
    return f"{name}: {line}" if line else name


@contextlib.contextmanager
def _surroundings(words: list[str]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if "inference" in words:
            stack.enter_context(torch.inference_mode())
        if "no_grad" in words:
            stack.enter_context(torch.no_grad())
        if "grad" in words:
            stack.enter_context(torch.enable_grad())
        if "autocast" in words:
            stack.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
        yield


def _call(fn: Callable[..., Any], case: Case, seed: int, words: list[str], grads: bool) -> _Outcome:
    try:
        args, kwargs = private_copy((case.args, dict(case.kwargs)))
    except Exception as error:
        raise TypeError(
            f"the arguments of {case.name} cannot be copied ({error_text(error)}), "
            "so the two sides would share them; give tensors, numbers, strings, lists, tuples or dicts."
        ) from error
    wanted: dict[str, Tensor] = {}
    if grads:
        floats = [
            t for t in leaves((args, kwargs)) if isinstance(t, Tensor) and (t.is_floating_point() or t.is_complex())
        ]
        wanted = {f"argument {i}": t.requires_grad_() for i, t in enumerate(floats)}
        wanted |= {p: t for p, t in _parameters(fn).items() if t.requires_grad}
    outcome = _Outcome(arguments=(args, kwargs))
    seed_everything(seed)
    before = streams()
    try:
        with _surroundings(words):
            outcome.result = fn(*args, **kwargs)
    except Exception as error:
        outcome.error = error
    outcome.streams = streams()
    outcome.drew = moved(before, outcome.streams)
    if grads and outcome.error is None:
        try:
            outcome.grads = _gradients(outcome.result, wanted)
        except Exception as error:
            outcome.grad_error = error
    if outcome.error is None:
        outcome.shares = _shared(outcome.result, args, kwargs)
    outcome.result = _released(outcome.result)
    return outcome


def _shared(result: Any, args: Any, kwargs: Any) -> tuple[str, ...]:
    """Pairs of an output and another output or an argument whose memory overlaps, in words."""
    outputs = list(located(result, "out"))[:64]
    others = [*located(args, "args"), *located(kwargs, "kwargs")][:64]
    found = []
    for i, (name, first, last) in enumerate(outputs):
        for other, begin, end in [*others, *outputs[:i]]:
            if first < end and begin < last:
                found.append(f"{name} with {other}")
    return tuple(found)


def _parameters(fn: Callable[..., Any]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for prefix, root in owned(fn):
        if isinstance(root, nn.Module):
            for name, p in root.named_parameters(prefix=prefix):
                found[name.replace("_orig_mod.", "")] = p
    return found


def _gradients(result: Any, wanted: dict[str, Tensor]) -> dict[str, Tensor | None] | None:
    """Gradients of a weighted sum of all differentiable outputs: sum(out * cos([0, 1, 2, ...]))."""
    terms = []
    for leaf in leaves(result):
        if isinstance(leaf, Tensor) and leaf.requires_grad:
            weights = torch.arange(leaf.numel(), dtype=torch.float64).cos().reshape(leaf.shape)
            real = torch.view_as_real(leaf).sum(-1) if leaf.is_complex() else leaf
            terms.append((real * weights.to(real.dtype)).sum().double())
    if not terms or not wanted:
        return None
    values = torch.autograd.grad(torch.stack(terms).sum(), list(wanted.values()), allow_unused=True)
    return dict(zip(wanted, values, strict=True))


# --- the check ------------------------------------------------------------------------------------


class _Collector:
    """Groups findings that say the same thing; keeps the one with the smallest input."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str, str], list[tuple[int, int, Finding]]] = {}
        self.notes: dict[str, None] = {}

    def add(self, finding: Finding, size: int, key: str = "") -> None:
        group = self.groups.setdefault((finding.kind, finding.where.path, key), [])
        group.append((size, len(group), finding))

    def note(self, text: str) -> None:
        self.notes.setdefault(text)

    def findings(self) -> tuple[Finding, ...]:
        merged = []
        for group in self.groups.values():
            first = min(group, key=lambda entry: entry[:2])[2]
            also = tuple(f.where for _, _, f in group if f is not first)
            merged.append(replace(first, also=also))
        rank = {kind: i for i, kind in enumerate(("not compared", "raises", "mode", "randomness"))}
        return tuple(sorted(merged, key=lambda f: rank.get(f.kind, len(rank))))


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
    snapshot_mb: float = 2.0,
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

    structure: "interface" (default) lets pass, with a note, what a caller can use in the same way: dict for
    OrderedDict, list for tuple, another named tuple with the same fields. Lost field names are a finding.
    "strict" wants the same classes. "values" lets a plain tuple pass for a named one, too.

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

    snapshot_mb: parameters beyond this size are watched rather than copied:
    a forward that changes one is reported, but the parameter is not put back.

    Where both sides raise they agree, with a note, whatever the types: TorchScript raises its own. Where one
    raises, that is a finding. `check_parity` raises nothing for a difference; TypeError or ValueError for
    unusable arguments.
    """
    for side, fn in (("reference", reference), ("candidate", candidate)):
        if not callable(fn):
            raise TypeError(f"the {side} is a {type(fn).__name__} and cannot be called; give a module or a function.")
        for _, root in owned(fn):
            eager = isinstance(root, nn.Module) and not isinstance(root, torch.jit.ScriptModule)
            if eager and any(map(nn.parameter.is_lazy, root.parameters())):
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
    check = _Check(reference, candidate, cases, rules, seed, calls, grads, check_state, check_inputs, check_random)
    with preserved_streams():
        for mode in modes:
            check.run(mode, int(snapshot_mb * 2**20))
    return check.report(modes)


def assert_parity(reference: Callable[..., Any], candidate: Callable[..., Any], inputs: Any, **options: Any) -> None:
    """Raise `ParityError`, with the report as its text, unless `check_parity` of the same arguments is ok."""
    report = check_parity(reference, candidate, inputs, **options)
    if not report.ok:
        raise ParityError(report)


def _read_modes(modes: Any) -> tuple[str, ...]:
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    for mode in modes or ("",):
        words = mode.split("+")
        both = [{"eval", "train"}, {"grad", "no_grad"}, {"grad", "inference"}]
        if not set(words) <= set(MODES) or any(pair <= set(words) for pair in both):
            raise ValueError(f"unknown mode {mode!r}; use {', '.join(MODES)}, or a union such as 'eval+no_grad'.")
    return modes


@dataclass
class _Check:
    """One run of `check_parity`: the arguments, and what has been seen so far."""

    reference: Callable[..., Any]
    candidate: Callable[..., Any]
    cases: list[Case]
    rules: Rules
    seed: int
    calls: int
    grads: bool
    check_state: bool
    check_inputs: bool
    check_random: bool

    def __post_init__(self) -> None:
        self.found = _Collector()
        self.stats = Stats()
        self.pairs = self.tensors = self.floats = 0
        self.zero = self.nan = self.constant = True
        self.first: dict[str, Any] = {}  # mode: the result of the first case
        self.refusals: dict[str, str] = {}  # case: what both sides said
        self.answered: set[str] = set()  # cases of which tensors were compared
        self.mode_probed = False
        self.passed: dict[str, list[str]] = {}  # option that is off: what it would have made a finding
        self.one_sided: set[str] = set()  # modes in which one side is random and the other is not

    # One mode -------------------------------------------------------------------------------------

    def run(self, mode: str, limit: int) -> None:
        words = mode.split("+")
        sides = {"reference": self.reference, "candidate": self.candidate}
        roots = {side: owned(fn) for side, fn in sides.items()}
        modules = {side: [r for _, r in found if isinstance(r, nn.Module)] for side, found in roots.items()}
        with _flags_kept([m for found in modules.values() for m in found]):
            switched = _switch(words, modules, self.found, Where(self.cases[0].name, mode, 1, "train()/eval()"))
            if not switched:
                return
            self._note_flags(mode, modules)
            ledger = Ledger(roots, limit)
            try:
                drew = False
                for case in self.cases:
                    drew |= self._case(case, mode, words, ledger, probe=not drew)
            finally:
                ledger.restore()
                for path in sorted(ledger.spoilt):
                    where = Where("any case", mode, 1, path)
                    self.found.add(
                        Finding(
                            "state",
                            where,
                            "changed in place by a forward",
                            "",
                            "too large to have been copied, so it was not put back",
                            hint="Load the weights again, and give snapshot_mb a greater value.",
                        ),
                        0,
                    )

    def _note_flags(self, mode: str, modules: dict[str, list[nn.Module]]) -> None:
        flags = {s: {getattr(m, "training", None) for m in found[:1]} - {None} for s, found in modules.items()}
        left, right = flags["reference"], flags["candidate"]
        if left and right and left != right:
            words = ["train" if next(iter(f)) else "eval" for f in (left, right)]
            self.found.note(f"mode {mode}: the reference is in {words[0]} mode, the candidate in {words[1]} mode")

    # One case -------------------------------------------------------------------------------------

    def _case(self, case: Case, mode: str, words: list[str], ledger: Ledger, probe: bool) -> bool:
        """All calls of one case. Returns whether the probe of the random numbers was made."""
        lines: dict[str, dict] = {"reference": {}, "candidate": {}}
        grads = self.grads and not {"no_grad", "inference"} & set(words)
        probed = False
        for call in range(1, self.calls + 1):
            where = Where(case.name, mode, call)
            outcomes = []
            for side, fn in (("reference", self.reference), ("candidate", self.candidate)):
                ledger.install(lines[side])
                outcome = _call(fn, case, self.seed + call - 1, words, grads)
                lines[side] = ledger.changes()
                if lines[side]:
                    # An output may be a view of the state that is now put back.
                    outcome.result = _released(outcome.result, copied=True)
                    outcome.delta = ledger.delta(side, lines[side])
                ledger.restore()
                outcomes.append(outcome)
            left, right = outcomes
            self.pairs += 1
            agreed = self._results(left, right, case, where)
            if left.error is None and right.error is None:
                if self.check_inputs:
                    self._arguments(left, right, case, where)
                if grads:
                    self._grads(left, right, case, where)
            if self.check_state:
                self._state(left, right, case, where)
            if self.check_random and call == 1 and (left.drew or right.drew):
                self._randomness(left, right, case, where, words, ledger if probe else None)
                probed = True
            if call == 1 and not agreed and not self.mode_probed and {"eval", "train"} & set(words):
                self._ignored_mode(left, right, case, where, words, ledger)
        return probed

    def _add(self, kind: str, case: Case, where: Where, left: str, right: str, detail: str = "", **more: str) -> None:
        hint = more.get("hint") or HINTS[kind]
        if where.call > 1 and kind in ("value", "raises", "shape", "dtype"):
            seen = [w for w in self.found.groups if w[0] == kind and w[1] == where.path]
            if not seen:
                hint = f"Call 1 agrees, so look at state or at what the executor optimised. {hint}"
        finding = Finding(kind, where, left, right, detail, case.text, hint)
        self.found.add(finding, case.size, more.get("key", ""))

    def _results(self, left: _Outcome, right: _Outcome, case: Case, where: Where) -> bool:
        if left.error is not None or right.error is not None:
            if left.error is not None and right.error is not None:
                texts = [error_text(e) for e in (left.error, right.error)]
                self.refusals.setdefault(case.name, f"reference {texts[0]}; candidate {texts[1]}")
                return True
            if left.error is not None:
                hint = "An exception or assert vanished in the conversion: a trace records neither."
                self._add("raises", case, where, error_text(left.error), f"returns {brief(right.result)}", hint=hint)
            else:
                self._add("raises", case, where, f"returns {brief(left.result)}", error_text(right.error))
            return False
        rules = replace(
            self.rules, requires_grad=self.grads and not {"no_grad", "inference"} & set(where.mode.split("+"))
        )
        result = compare(left.result, right.result, rules)
        self._count(result, left.result, where)
        for d in result.differences:
            if d.serious:
                at = replace(where, path=d.path)
                self._add(d.kind, case, at, d.reference, d.candidate, d.detail, key=d.kind)
            elif d.kind in ("memory", "value"):
                option = "check_memory" if d.kind == "memory" else "signed_zero"
                text = d.detail if d.kind == "value" else f"reference {d.reference}, candidate {d.candidate}"
                self.passed.setdefault(option, []).append(f"{d.path}: {text}")
            elif d.kind == "grad":
                self.found.note(f"{d.path}: reference {d.reference}, candidate {d.candidate}; {d.detail}")
            else:
                self.found.note(f"{d.path} is a {d.candidate} where the reference returns a {d.reference}: {d.detail}")
        return self._memory(left, right, case, where) and result.equal

    def _memory(self, left: _Outcome, right: _Outcome, case: Case, where: Where) -> bool:
        """Do the outputs of one side share memory where those of the other do not?"""
        if left.shares == right.shares:
            return True
        texts = []
        for ours, theirs in ((left.shares, right.shares), (right.shares, left.shares)):
            only = [text for text in ours if text not in theirs]
            texts.append(f"shares memory: {', '.join(only[:3])}" if only else "has memory of its own")
        if self.rules.memory:
            self._add("memory", case, where, *texts, "an in-place edit of one would reach the other")
            return False
        self.passed.setdefault("check_memory", []).append(f"reference {texts[0]}; candidate {texts[1]}")
        return True

    def _count(self, result: Comparison, output: Any, where: Where) -> None:
        self.stats |= result.stats
        self.tensors += result.tensors
        self.floats += result.floats
        if not result.tensors or where.call > 1:
            return
        tensors = [t for t in leaves(output) if isinstance(t, Tensor) and t.layout == torch.strided and t.numel()]
        tensors = [t.detach() for t in tensors if not (t.is_meta or t.is_quantized or t.is_nested)]
        # Where a tensor of another kind is compared, nothing is claimed about all of them.
        whole = len(tensors) == result.tensors
        self.zero = self.zero and whole and not any(bool(t.any()) for t in tensors)
        self.nan = self.nan and whole and all(bool(torch.isnan(t).all()) for t in tensors)
        self.answered.add(where.case)
        if where.mode not in self.first:
            self.first[where.mode] = [t.clone() for t in tensors]
        elif self.constant:
            self.constant = compare(self.first[where.mode], tensors, Rules(0.0, 0.0)).equal

    def _arguments(self, left: _Outcome, right: _Outcome, case: Case, where: Where) -> None:
        rules = replace(self.rules, structure="values", requires_grad=False, memory=False)
        for which, path in ((0, "args"), (1, "kwargs")):
            result = compare(left.arguments[which], right.arguments[which], rules, path)
            original = (case.args, dict(case.kwargs))[which]
            for d in result.differences:
                if d.serious and d.kind != "not compared":
                    same = [compare(original, o.arguments[which], rules, path).equal for o in (left, right)]
                    detail = "both change it, in different ways"
                    if same[0] or same[1]:
                        detail = f"only the {'candidate' if same[0] else 'reference'} changes its argument"
                    self._add("input mutation", case, replace(where, path=d.path), d.reference, d.candidate, detail)

    def _state(self, left: _Outcome, right: _Outcome, case: Case, where: Where) -> None:
        rules = replace(self.rules, structure="values", requires_grad=False, memory=False)
        theirs = dict(right.delta)
        for path, value in left.delta.items():
            match = path if path in theirs else _suffix(path, theirs)
            at = replace(where, path=path)
            if match is None:
                self._add(
                    "state",
                    case,
                    at,
                    f"becomes {brief(value)}",
                    "not changed",
                    "only the reference changes it",
                )
                continue
            for d in compare(value, theirs.pop(match), rules, path).differences:
                if d.serious:
                    self._add("state", case, replace(where, path=d.path), d.reference, d.candidate, d.detail)
        for path, value in theirs.items():
            if _suffix(path, left.delta) is None:
                at = replace(where, path=path)
                self._add(
                    "state",
                    case,
                    at,
                    "not changed",
                    f"becomes {brief(value)}",
                    "only the candidate changes it",
                )

    # Random numbers -------------------------------------------------------------------------------

    def _randomness(
        self,
        left: _Outcome,
        right: _Outcome,
        case: Case,
        where: Where,
        words: list[str],
        ledger: Ledger | None,
    ) -> None:
        """Do both sides draw alike? With a ledger: is one result random where the other is not?"""
        drawing = [f"draws from {', '.join(o.drew)}" if o.drew else "draws no random numbers" for o in (left, right)]
        if ledger is not None and left.error is None and right.error is None:
            varies = []
            for fn, outcome in ((self.reference, left), (self.candidate, right)):
                other = self._again(fn, case, self.seed + 7919, words, ledger)
                varies.append(other.error is None and not compare(outcome.result, other.result, Rules(0.0, 0.0)).equal)
            if varies[0] != varies[1]:
                texts = [
                    f"{draws}; {'another' if v else 'the same'} result for another seed"
                    for draws, v in zip(drawing, varies, strict=True)
                ]
                self.one_sided.add(where.mode)
                self._add("randomness", case, where, *texts, "one side is random, the other is not")
        if where.mode not in self.one_sided and moved(left.streams, right.streams):
            if left.drew == right.drew:
                drawing = [f"{drawing[0]} up to one place", f"{drawing[1]} up to another"]
            detail = "the generators are left in different states"
            self._add("randomness", case, replace(where, path="random stream"), *drawing, detail)

    def _again(self, fn: Callable[..., Any], case: Case, seed: int, words: list[str], ledger: Ledger) -> _Outcome:
        outcome = _call(fn, case, seed, words, grads=False)
        if ledger.changes():
            outcome.result = _released(outcome.result, copied=True)
        ledger.restore()
        return outcome

    # Modes and gradients --------------------------------------------------------------------------

    def _ignored_mode(
        self, left: _Outcome, right: _Outcome, case: Case, where: Where, words: list[str], ledger: Ledger
    ) -> None:
        """Is the difference that of a candidate for which train() and eval() mean nothing?"""
        self.mode_probed = True
        if left.error is not None or right.error is not None:
            return
        here = "train" if "train" in words else "eval"
        there = "eval" if here == "train" else "train"
        follows = []
        for fn, side in ((self.reference, "reference"), (self.candidate, "candidate")):
            modules = {side: [r for _, r in owned(fn) if isinstance(r, nn.Module)]}
            first = self._again(fn, case, self.seed, words, ledger)
            with _flags_kept(modules[side]):
                if not _switch([there], modules, None, where):
                    return
                other = self._again(fn, case, self.seed, words, ledger)
            if first.error is not None or other.error is not None:
                return
            follows.append(not compare(first.result, other.result, Rules()).equal)
        if follows == [True, False]:
            texts = [f"{there}() changes the result" if f else f"{there}() changes nothing" for f in follows]
            self._add("mode", case, where, *texts, f"the candidate ignores {here}() and {there}()")

    def _grads(self, left: _Outcome, right: _Outcome, case: Case, where: Where) -> None:
        if left.grad_error is not None or right.grad_error is not None:
            errors = [error_text(o.grad_error) if o.grad_error else "gives gradients" for o in (left, right)]
            if left.grad_error is not None and right.grad_error is not None:
                self.found.note(f"gradients of {case.name}: both refuse: {errors[0]}")
            else:
                self._add("grad", case, replace(where, path="backward"), *errors)
            return
        ours, theirs = left.grads, right.grads
        if ours is None and theirs is None:
            self.found.note("grads: no output depends on an input or a parameter, so no gradient was compared")
            return
        ours, theirs = ours or {}, theirs or {}
        used: set[str] = set()
        rules = replace(self.rules, requires_grad=False, memory=False)
        for name, value in ours.items():
            match = name if name in theirs else _suffix(name, theirs)
            used |= {match or name}
            at = replace(where, path=f"grad of {name}")
            other = theirs.get(match) if match else None
            # No gradient and a gradient of zeros move a weight alike.
            if value is None or other is None:
                present = other if value is None else value
                if present is not None and bool(present.any()):
                    texts = ["none" if g is None else brief(g) for g in (value, other)]
                    self._add("grad", case, at, *texts, "only one side has a gradient", key="absent")
                continue
            for d in compare(value, other, rules, at.path).differences:
                if d.serious:
                    self._add("grad", case, at, d.reference, d.candidate, d.detail)
        for name, value in theirs.items():
            if name not in used and _suffix(name, ours) is None and value is not None and bool(value.any()):
                at = replace(where, path=f"grad of {name}")
                self._add("grad", case, at, "none", brief(value), "only the candidate has a gradient", key="absent")

    # The report -----------------------------------------------------------------------------------

    def report(self, modes: tuple[str, ...]) -> ParityReport:
        note = self.found.note
        total = self.tensors
        if self.reference is self.candidate:
            note("reference and candidate are the same object: this check says nothing")
        if self.refusals:
            name, words = next(iter(self.refusals.items()))
            count = len(self.refusals)
            note(f"both refuse {name if count == 1 else f'{count} cases, as {name}'}: {words}")
        for option, texts in self.passed.items():
            first, *more = dict.fromkeys(texts)
            count = f", and {len(more)} more" if more else ""
            note(f"{first}{count}; {option}=True makes it a finding")
        if self.refusals and not total:
            note("every call was refused: no output was compared")
        elif not total:
            note("no tensor was compared")
        elif not self.floats:
            note("no floating-point value was compared")
        if total and self.zero and self.stats.elements:
            note("the outputs are all zero: this check says little; use weights that give other values")
        elif total and self.nan and self.stats.elements:
            note("the outputs are all NaN: this check says little")
        elif total and not self.stats.elements:
            note("the outputs are all empty: this check says little")
        elif len(self.answered) > 1 and self.constant:
            note("all cases give the same output: the inputs may not reach it")
        return ParityReport(
            self.found.findings(),
            self.stats,
            len(self.cases),
            self.pairs,
            total,
            modes,
            tuple(self.found.notes),
        )


def _suffix(path: str, paths: Mapping[str, Any]) -> str | None:
    """The path of the same place behind a wrapper: `bn.weight` for `model.bn.weight`, or the reverse."""
    return next((p for p in paths if p == path or p.endswith("." + path) or path.endswith("." + p)), None)


def _released(value: Any, copied: bool = False) -> Any:
    """The same result without its autograd graph, requires_grad kept; with `copied`, in memory of its own."""
    memo: dict[int, Any] = {}
    for leaf in leaves(value):
        if isinstance(leaf, Tensor):
            free = leaf.detach().clone() if copied else leaf.detach()
            memo[id(leaf)] = free.requires_grad_(leaf.requires_grad)
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # an object that refuses to be copied; compare says what it thinks of it
        return value


@contextlib.contextmanager
def _flags_kept(roots: list[nn.Module]) -> Iterator[None]:
    """Put the training flags back on leaving, each module its own."""
    kept = [(m, getattr(m, "training", None)) for root in roots for m in root.modules()]
    try:
        yield
    finally:
        for module, flag in kept:
            now = getattr(module, "training", None)
            if now is not flag:
                if flag is None:
                    delattr(module, "training")
                else:
                    module.training = flag


def _switch(words: list[str], modules: dict[str, list[nn.Module]], found: _Collector | None, where: Where) -> bool:
    """Call train() or eval() where the mode asks for it. False where a side refuses."""
    wanted = [w for w in words if w in ("train", "eval")]
    if not wanted:
        return True
    refusal: dict[str, str] = {}
    for side, roots in modules.items():
        for root in roots:
            try:
                root.train(wanted[0] == "train")
            except Exception as error:
                refusal[side] = error_text(error)
    if refusal and found is not None:
        texts = [refusal.get(side, "switches") for side in ("reference", "candidate")]
        found.add(Finding("mode", where, *texts, f"{wanted[0]}() is refused", hint=HINTS["mode"]), 0)
    return not refusal
