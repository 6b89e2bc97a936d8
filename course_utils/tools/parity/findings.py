"""The findings of a parity check: where, what, and what to look at next; grouped where they say the same."""

from __future__ import annotations

from dataclasses import dataclass, replace

from course_utils.core.report import plural

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
    "quantisation": "Look for a scale or a zero point that was observed again at conversion.",
    "not compared": "Return tensors, numbers, strings, lists, tuples or dicts: their values can be compared.",
}


@dataclass(frozen=True)
class Where:
    """The place of a finding: which case, which mode, which call (from 1), which part of the output."""

    case: str
    mode: str
    call: int
    path: str = "out"

    def __str__(self) -> str:
        mode = "" if self.mode == "as_is" else f", mode {self.mode}"
        return f"{self.path}, {self.case}{mode}, call {self.call}"


@dataclass(frozen=True)
class Finding:
    """One difference, shown at the smallest input that has it.

    kind: "value", "shape", "dtype", "device", "layout", "structure", "raises", "input mutation", "state",
    "randomness", "mode", "grad", "memory", "quantisation" or "not compared". where: the place. reference,
    candidate: short texts, to be read side by side. detail: what exactly differs. input: the failing input, short.
    hint: what to look at next. also: the other places with the same difference.
    """

    kind: str
    where: Where
    reference: str
    candidate: str
    detail: str = ""
    input: str = ""
    hint: str = ""
    also: tuple[Where, ...] = ()

    @property
    def others(self) -> str:
        """ "same in 5 other calls (cases: …)", or nothing."""
        if not self.also:
            return ""
        cases = list(dict.fromkeys(w.case for w in self.also if w.case != self.where.case))
        modes = list(dict.fromkeys(w.mode for w in self.also if w.mode != self.where.mode))
        parts = []
        if cases:
            parts.append(plural(len(cases), "other case"))
        if modes:
            parts.append("mode " + ", ".join(modes))
        if not parts:
            parts.append(plural(len(self.also), "other call"))
        return "same in " + " and ".join(parts)


class Collector:
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
