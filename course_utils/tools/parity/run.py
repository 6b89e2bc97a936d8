"""Both sides on every case, in every mode, call after call; what differs is collected."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.cases import Case
from course_utils.core.errors import one_line
from course_utils.core.values import brief, leaves
from course_utils.tools.parity.call import Outcome, call_once, released
from course_utils.tools.parity.compare import Comparison, Rules, Stats, both, compare
from course_utils.tools.parity.findings import HINTS, Collector, Finding, Where
from course_utils.tools.parity.report import ParityReport
from course_utils.tools.parity.state import Snapshot, moved, owned


@dataclass
class Run:
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
        self.found = Collector()
        self.stats = Stats()
        self.pairs = self.tensors = self.floats = 0
        self.zero = self.nan = self.constant = True
        self.first: dict[str, Any] = {}  # mode: the result of the first case
        self.both_raised: dict[str, str] = {}  # case: what both sides said
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
            snapshot = Snapshot(roots, limit)
            try:
                drew = False
                for case in self.cases:
                    drew |= self._case(case, mode, words, snapshot, probe=not drew)
            finally:
                snapshot.restore()
                for path in sorted(snapshot.spoilt):
                    where = Where("any case", mode, 1, path)
                    self.found.add(
                        Finding(
                            "state",
                            where,
                            "changed in place by a forward",
                            "",
                            "too large to have been copied, so it was not restored",
                            hint="Load the weights again, and give a greater snapshot_mib.",
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

    def _case(self, case: Case, mode: str, words: list[str], snapshot: Snapshot, probe: bool) -> bool:
        """All calls of one case. Returns whether the probe of the random numbers was made."""
        lines: dict[str, dict[Any, Any]] = {"reference": {}, "candidate": {}}
        grads = self.grads and not {"no_grad", "inference"} & set(words)
        probed = False
        for call in range(1, self.calls + 1):
            where = Where(case.name, mode, call)
            outcomes = []
            for side, fn in (("reference", self.reference), ("candidate", self.candidate)):
                snapshot.install(lines[side])
                outcome = call_once(fn, case, self.seed + call - 1, words, grads)
                lines[side] = snapshot.changes()
                if lines[side]:
                    # An output may be a view of the state that is now put back.
                    outcome.result = released(outcome.result, copied=True)
                    outcome.delta = snapshot.delta(side, lines[side])
                snapshot.restore()
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
                self._randomness(left, right, case, where, words, snapshot if probe else None)
                probed = True
            if call == 1 and not agreed and not self.mode_probed and {"eval", "train"} & set(words):
                self._ignored_mode(left, right, case, where, words, snapshot)
        return probed

    def _add(self, kind: str, case: Case, where: Where, left: str, right: str, detail: str = "", **more: str) -> None:
        hint = more.get("hint") or HINTS[kind]
        if where.call > 1 and kind in ("value", "raises", "shape", "dtype"):
            seen = [w for w in self.found.groups if w[0] == kind and w[1] == where.path]
            if not seen:
                hint = f"Call 1 agrees, so look at state or at what the executor optimised. {hint}"
        finding = Finding(kind, where, left, right, detail, case.text, hint)
        self.found.add(finding, case.size, more.get("key", ""))

    def _results(self, left: Outcome, right: Outcome, case: Case, where: Where) -> bool:
        if left.error is not None or right.error is not None:
            if left.error is not None and right.error is not None:
                texts = [one_line(e) for e in (left.error, right.error)]
                self.both_raised.setdefault(case.name, f"reference {texts[0]}; candidate {texts[1]}")
                return True
            if left.error is not None:
                hint = "An exception or assert vanished in the conversion: a trace records neither."
                self._add("raises", case, where, one_line(left.error), f"returns {brief(right.result)}", hint=hint)
            elif right.error is not None:
                self._add("raises", case, where, f"returns {brief(left.result)}", one_line(right.error))
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

    def _memory(self, left: Outcome, right: Outcome, case: Case, where: Where) -> bool:
        """Do the outputs of one side share memory where those of the other do not?"""
        if left.shares == right.shares:
            return True

        def alone(side: Outcome) -> str:
            other = right if side is left else left
            only = [text for text in side.shares if text not in other.shares]
            return f"shares memory: {', '.join(only[:3])}" if only else "shares no memory"

        texts = both(alone, left, right)
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

    def _arguments(self, left: Outcome, right: Outcome, case: Case, where: Where) -> None:
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

    def _state(self, left: Outcome, right: Outcome, case: Case, where: Where) -> None:
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
        left: Outcome,
        right: Outcome,
        case: Case,
        where: Where,
        words: list[str],
        snapshot: Snapshot | None,
    ) -> None:
        """Do both sides draw alike? With a snapshot: is one result random where the other is not?"""
        drawing = both(
            lambda o: f"draws from {', '.join(o.drew)}" if o.drew else "draws no random numbers", left, right
        )
        if snapshot is not None and left.error is None and right.error is None:
            varies = []
            for fn, outcome in ((self.reference, left), (self.candidate, right)):
                other = self._again(fn, case, self.seed + 7919, words, snapshot)
                varies.append(other.error is None and not compare(outcome.result, other.result, Rules(0.0, 0.0)).equal)
            if varies[0] != varies[1]:
                texts = both(
                    lambda pair: f"{pair[0]}; {'a different' if pair[1] else 'the same'} result with another seed",
                    *zip(drawing, varies, strict=True),
                )
                self.one_sided.add(where.mode)
                self._add("randomness", case, where, *texts, "one side is random, the other is not")
        if where.mode not in self.one_sided and moved(left.streams, right.streams):
            if left.drew == right.drew:
                drawing = (f"{drawing[0]} up to one state", f"{drawing[1]} up to a different one")
            detail = "the generators are left in different states"
            self._add("randomness", case, replace(where, path="random stream"), *drawing, detail)

    def _again(self, fn: Callable[..., Any], case: Case, seed: int, words: list[str], snapshot: Snapshot) -> Outcome:
        outcome = call_once(fn, case, seed, words, grads=False)
        if snapshot.changes():
            outcome.result = released(outcome.result, copied=True)
        snapshot.restore()
        return outcome

    # Modes and gradients --------------------------------------------------------------------------

    def _ignored_mode(
        self, left: Outcome, right: Outcome, case: Case, where: Where, words: list[str], snapshot: Snapshot
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
            first = self._again(fn, case, self.seed, words, snapshot)
            with _flags_kept(modules[side]):
                if not _switch([there], modules, None, where):
                    return
                other = self._again(fn, case, self.seed, words, snapshot)
            if first.error is not None or other.error is not None:
                return
            follows.append(not compare(first.result, other.result, Rules()).equal)
        if follows == [True, False]:
            texts = both(lambda f: f"{there}() changes {'the result' if f else 'nothing'}", *follows)
            self._add("mode", case, where, *texts, f"the candidate ignores {here}() and {there}()")

    def _grads(self, left: Outcome, right: Outcome, case: Case, where: Where) -> None:
        if left.grad_error is not None or right.grad_error is not None:
            errors = both(lambda o: one_line(o.grad_error) if o.grad_error else "returns gradients", left, right)
            if left.grad_error is not None and right.grad_error is not None:
                self.found.note(f"gradients of {case.name}: both raise: {errors[0]}")
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
                    texts = both(lambda g: "none" if g is None else brief(g), value, other)
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
            note("reference and candidate are the same object: this check proves nothing")
        if self.both_raised:
            name, words = next(iter(self.both_raised.items()))
            count = len(self.both_raised)
            note(f"both raise on {name if count == 1 else f'{count} cases, such as {name}'}: {words}")
        for option, texts in self.passed.items():
            first, *more = dict.fromkeys(texts)
            others = f", and {len(more)} more" if more else ""
            note(f"{first}{others}; {option}=True makes it a finding")
        if self.both_raised and not total:
            note("every call raised: no output was compared")
        elif not total:
            note("no tensor was compared")
        elif not self.floats:
            note("no floating-point value was compared")
        if total and self.zero and self.stats.elements:
            note("the outputs are all zero: this check proves little; use weights that give nonzero outputs")
        elif total and self.nan and self.stats.elements:
            note("the outputs are all NaN: this check proves little")
        elif total and not self.stats.elements:
            note("the outputs are all empty: this check proves little")
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
            tuple(self.both_raised),
        )


def _suffix(path: str, paths: Mapping[str, Any]) -> str | None:
    """The path of the same place behind a wrapper: `bn.weight` for `model.bn.weight`, or the reverse."""
    return next((p for p in paths if p == path or p.endswith("." + path) or path.endswith("." + p)), None)


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


def _switch(words: list[str], modules: dict[str, list[nn.Module]], found: Collector | None, where: Where) -> bool:
    """Call train() or eval() where the mode asks for it. False where a side raises."""
    wanted = [w for w in words if w in ("train", "eval")]
    if not wanted:
        return True
    raised: dict[str, str] = {}
    for side, roots in modules.items():
        for root in roots:
            try:
                root.train(wanted[0] == "train")
            except Exception as error:
                raised[side] = one_line(error)
    if raised and found is not None:
        texts = both(lambda side: raised.get(side, "switches"), "reference", "candidate")
        found.add(Finding("mode", where, *texts, f"{wanted[0]}() raises", hint=HINTS["mode"]), 0)
    return not raised
