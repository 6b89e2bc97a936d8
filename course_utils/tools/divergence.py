"""Search for an input on which a converted model is not the model that it came from.

    search = find_divergence(model, traced, torch.rand(4, 3))
    search.found.args       # the smallest input found that tells them apart
    search.tried            # or: how many inputs of which kind did not

One example says nothing about the inputs that differ from it. The probe makes such inputs from it: other values,
batches, sizes, ranks, dtypes, memory layouts. What it finds is a proof; that it finds nothing is none.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import functools
import html
import math
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.cases import as_cases, leaves
from course_utils.core.values import fields_of
from course_utils.tools.parity import Case, Finding, ParityReport, check_parity

INPUTS = ("values", "batch", "shape", "rank", "dtype", "memory")
KINDS = (*INPUTS, "special", "apart", "mode", "grad")
SHRINK_STEPS = 200
LONG = (129, 1025)  # sizes beyond the tables and limits that are usual in code
ROOM = 2**16  # elements that a tensor may always get, where `growth` is not given
SLICES = 4  # places along a dimension that are tried alone
LONGER = 64  # times the batch, while whole numbers are tried one by one
WORTH = 100_000  # whole numbers from `low` to `high` that are tried one by one, at most
LOOSE = {torch.float16: 2e-2, torch.bfloat16: 1e-1}


@dataclass(frozen=True)
class Divergence:
    """One input on which the two differ.

    kind: the variation that found it, one of `KINDS`, or "example" (the given input itself) or "mixed". change:
    what was changed, in words. case: the input, made as small as the search could. finding: what differs there.
    """

    kind: str
    change: str
    case: Case
    finding: Finding

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments: ``model(*found.args)``."""
        return self.case.args

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments."""
        return self.case.kwargs

    def rows(self) -> dict[str, str]:
        """What there is to tell, label by label."""
        rows = {"input": self.case.text, "eager": self.finding.reference, "converted": self.finding.candidate}
        rows |= {"difference": self.finding.detail, "look at": self.finding.hint}
        return {label: text for label, text in rows.items() if text}


@dataclass(frozen=True)
class Search:
    """The outcome of `find_divergence`.

    found: the divergence, or None. tried: for each kind, the number of inputs that the eager model took. refused:
    inputs that the eager model refused, which say nothing. unguarded: one of those that the converted model
    answers all the same, in words, or nothing. complete: False where the time ran out. more: further divergences,
    where more than one was asked for. uncompared: an output that could not be compared, in words, or nothing.
    compared: the number of inputs for which an output was compared. passed: differences that no option made a
    divergence, in words.
    """

    found: Divergence | None = None
    tried: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    unguarded: str = ""
    complete: bool = True
    more: tuple[Divergence, ...] = ()
    uncompared: str = ""
    compared: int = 0
    passed: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Outputs were compared and no divergence was found. Not a proof: read `tried`."""
        return self.found is None and not self._blind

    @property
    def findings(self) -> tuple[Divergence, ...]:
        """`found` and `more`, or nothing."""
        return () if self.found is None else (self.found, *self.more)

    @property
    def _blind(self) -> bool:
        return bool(self.uncompared) and not self.compared

    def __bool__(self) -> bool:
        raise TypeError("a Search is neither true nor false; ask for .found (a Divergence or None) or .ok")

    @property
    def headline(self) -> str:
        """The first line."""
        if self.found is None:
            return "NOT OK: nothing was compared" if self._blind else "no divergence found"
        return self._head(self.found)

    @staticmethod
    def _head(found: Divergence) -> str:
        by = "the example itself" if found.kind == "example" else f"{found.kind}: {found.change}"
        return f"DIVERGES in {found.finding.kind}, found by {by}"

    @property
    def scope(self) -> str:
        """What was tried, and what limits the worth of it."""
        parts = ", ".join(f"{count} {kind}" for kind, count in self.tried.items() if count)
        lines = [f"tried {sum(self.tried.values())} inputs ({parts or 'none'})"]
        lines += [f"{self.refused} more were refused by the eager model"] if self.refused else []
        lines += [] if self.complete else ["stopped: out of time"]
        return "; ".join(lines)

    def text(self) -> str:
        """The outcome as plain text."""
        lines = [self.headline]
        lines += [f"  {k:<11}{v}" for k, v in self.found.rows().items()] if self.found else []
        for one in self.more:
            lines += [f"and {self._head(one)}", *(f"  {k:<11}{v}" for k, v in one.rows().items())]
        lines += [f"  note       {note}" for note in self._notes]
        return "\n".join([*lines, self.scope])

    __str__ = __repr__ = text

    @property
    def _notes(self) -> list[str]:
        notes = [f"eager refuses {self.unguarded}; the converted model answers"] if self.unguarded else []
        notes += [f"not compared: {self.uncompared}"] if self.uncompared else []
        return notes if self.found else notes + [f"let pass: {text}" for text in self.passed[:3]]

    def _repr_html_(self) -> str:
        cell = "border:1px solid currentColor;padding:0.3em 0.5em;text-align:left;overflow-wrap:anywhere"
        rows = list(self.found.rows().items()) if self.found else []
        rows += [row for one in self.more for row in [("and", self._head(one)), *one.rows().items()]]
        rows += [("note", note) for note in self._notes]
        body = "".join(
            f'<tr><th scope="row" style="{cell}">{html.escape(label)}</th>'
            f'<td style="{cell}"><code>{html.escape(text)}</code></td></tr>'
            for label, text in rows
        )
        table = f'<table style="border-collapse:collapse;font-size:90%">{body}</table>' if body else ""
        mark = "&#10003;" if self.ok else "&#10007;"
        head = f"<strong>{mark} {html.escape(self.headline)}</strong>"
        return f'<div style="max-width:100%"><p>{head}<br>{html.escape(self.scope)}</p>{table}</div>'


def find_divergence(
    model: Callable[..., Any],
    converted: Callable[..., Any],
    example_inputs: Any,
    *,
    vary: tuple[str, ...] = INPUTS,
    low: float | None = None,
    high: float | None = None,
    growth: float | None = None,
    findings: int = 1,
    tries: int = 40,
    seconds: float = 10.0,
    seed: int = 0,
    **options: Any,
) -> Search:
    """Search for an input on which ``converted`` differs from ``model``, and make it small.

    example_inputs: a Tensor, a tuple of positional arguments, a `Case`, or a list of those; the eager model must
    take them. Tensors in them are varied, nested ones too; everything else stays.

    vary: which kinds of change are allowed. "values" (sign, scale, zeros, ones, order, a spike, noise, ties, one slice
    alone), "batch" (the first tensor's first dimension and those of the same size, down to 0), "shape" (the other
    sizes), "rank" (a dimension more or less), "dtype", "memory" (strides). Only when asked for: "special" (NaN and
    infinities, in all tensors and in one), "apart" (sizes that are equal in all examples made unequal), "mode" (train,
    eval and inference mode), "grad" (inputs that require a gradient, and gradients compared).

    Sizes of two tensors that are equal in every example change together, unless eager refuses that: give a second
    example where they are independent. Beside another tensor, one of integers that holds 0 and 1 only is taken for a
    mask and keeps to them; one that eager refuses beyond the example's range keeps to that range.

    low, high: limits for all values; with both, whole-number inputs also go through every value between them, time
    permitting. growth: no tensor gets more than this many times its elements, or 64 if that is more; sizes up to that
    limit are tried. By default 4 times, or 65,536 elements if that is more. findings: how many divergences to look
    for; after the first, only those with another kind or place are told. tries: random mixtures after the first
    single changes; boundary values and long inputs come after those. seconds: when to stop; making a find small may
    take half as long again. The same seed gives the same search unless the time runs out.

    options go to `check_parity`, which compares. By default values differ from 1e-4 of the greatest value of the
    output, since a folded or fused model is not equal to the last bit, and containers are compared by their members.
    Differences that an option of `check_parity` would make findings are in `passed`.

    An input that the eager model refuses, or on which it does not come to an end, is no divergence. Raises ValueError
    where it refuses the example, or for an unknown kind.
    """
    unknown = [kind for kind in vary if kind not in KINDS]
    if unknown:
        raise ValueError(f"vary names {unknown[0]!r}; the kinds are {', '.join(KINDS)}.")
    if findings < 1:
        raise ValueError(f"findings is at least 1, got {findings}.")
    probe = _Probe(model, converted, time.monotonic() + seconds, seconds, options, findings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from other dtypes, strides and TracerWarnings of what is called
        cases = as_cases(example_inputs)
        tied = _tied([_tensors(case) for case in cases])
        for case in cases:
            probe.search(case, _Moves(vary, low, high, growth, seed, tied), tries)
            if probe.enough or not probe.complete:
                break
    first, *more = probe.finds or [None]
    return Search(
        first, probe.tried, probe.refused, probe.unguarded, probe.complete,
        tuple(more), probe.uncompared, probe.compared, tuple(probe.passed),
    )  # fmt: skip


# --- one search ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Move:
    """One change: its kind, words for it, and what makes the new tensors. `options` go to `check_parity`.

    places: the dimensions that a change of size is about. beyond: the integer tensors whose range it may leave. late:
    tried after the random mixtures, and not part of them.
    """

    kind: str
    words: str
    make: Callable[[list[Tensor]], list[Tensor]]
    options: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[tuple[int, int], ...] = ()
    beyond: tuple[int, ...] = ()
    late: bool = False


@dataclass
class _Probe:
    model: Callable[..., Any]
    converted: Callable[..., Any]
    deadline: float
    seconds: float
    options: dict[str, Any]
    wanted: int = 1
    refused: int = 0
    unguarded: str = ""
    complete: bool = True
    patience: float = 0.0  # seconds for one comparison; 0 is no limit
    uncompared: str = ""
    compared: int = 0

    def __post_init__(self) -> None:
        self.tried: dict[str, int] = {}
        self.finds: list[Divergence] = []
        self.known: set[tuple[str, ...]] = set()
        self.passed: dict[str, None] = {}

    @property
    def enough(self) -> bool:
        return len(self.finds) >= self.wanted

    def news(self, report: ParityReport, kind: str) -> Finding | None:
        """The first finding that is not yet known: one of the example shows on every input, others by their kind."""
        for f in report.findings:
            marks = {(f.kind, f.where.path), (f.kind, f.where.path, kind)}
            if f.kind != "not compared" and not marks & self.known:
                return f
        return None

    def keep(self, found: Divergence) -> None:
        self.finds.append(found)
        mark = (found.finding.kind, found.finding.where.path)
        self.known.add(mark if found.kind == "example" else (*mark, found.kind))

    def watch(self, report: ParityReport) -> None:
        """Was anything compared, and what was let pass?"""
        blind = [f for f in report.findings if f.kind == "not compared"]
        if blind:
            self.uncompared = self.uncompared or f"{blind[0].where.path}, {blind[0].reference}: {blind[0].detail}"
        if not blind or report.compared or report.worst.elements:
            self.compared += 1
        passed = ("=True makes it a finding", " where the reference returns ")
        for note in report.notes:
            if any(words in note for words in passed) and len(self.passed) < 3:
                self.passed.setdefault(note)

    def search(self, case: Case, moves: _Moves, tries: int) -> None:
        """The example itself, single changes, mixtures; stops at the first difference and makes it small."""
        tensors = _tensors(case)
        began = time.monotonic()
        report = self.compare(case, calls=3)
        self.patience = 1.0 + 20 * (time.monotonic() - began)
        if _refuses(report):
            raise ValueError(f"the model refuses the example: {report.notes[0]}; give inputs that it takes.")
        self.tried["example"] = self.tried.get("example", 0) + 1
        self.watch(report)
        while (finding := self.news(report, "example")) and not self.enough:
            self.keep(Divergence("example", "", case, finding))
        if self.enough:
            return
        for move in moves.all(tensors, self.model, tries):
            if time.monotonic() > self.deadline:
                self.complete = False
                return
            try:
                new = move.make(tensors)
            except (RuntimeError, IndexError):  # this change is not possible for these tensors
                continue
            made = _filled(case, new)
            try:
                report = self.compare(made, **move.options)
            except _EndlessError:
                self.refused += 1
                continue
            if _refuses(report):
                self.refused += 1
                moves.refused(move)
                if report.findings and not self.unguarded and move.kind in ("values", "batch", "shape"):
                    self.unguarded = made.text
                continue
            self.tried[move.kind] = self.tried.get(move.kind, 0) + 1
            moves.taken(move)
            self.watch(report)
            if finding := self.news(report, move.kind):
                self.keep(self.smaller(Divergence(move.kind, move.words, made, finding), moves, move))
                if self.enough:
                    return

    def compare(self, case: Case, calls: int = 1, **options: Any) -> ParityReport:
        floats = [x for x in leaves((case.args, dict(case.kwargs))) if _is_float(x)]
        sizes = [x.detach().nan_to_num(0, 0, 0).abs().max().item() for x in floats if x.numel()]
        loose = max((LOOSE.get(x.dtype, 0.0) for x in floats), default=0.0)
        default = {"rtol": max(1e-4, loose), "atol": 1e-5 * max(1.0, *sizes, 0.0), "relative_to": "max"}
        default |= {"structure": "values", "calls": calls}
        with _time_limit(self.patience):
            return check_parity(self.model, self.converted, [case], **(default | options | self.options))

    def smaller(self, found: Divergence, moves: _Moves, move: _Move) -> Divergence:
        """Fewer elements, then rounder values, as long as the same kind of difference stays."""
        again = move.make if move.kind in ("memory", "grad") else list  # cutting loses strides and requires_grad
        until = max(self.deadline, time.monotonic() + self.seconds / 2)
        steps, progress = 0, True
        while progress:
            progress = False
            tensors = _tensors(found.case)
            for new in _smaller_tensors(tensors, found.kind == "apart", moves):
                steps += 1
                if steps > SHRINK_STEPS or time.monotonic() > until:
                    return found
                if not moves.within(new) or _weight(new) >= _weight(tensors):
                    continue
                try:
                    case = _filled(found.case, again(new))
                    report = self.compare(case, **move.options)
                except (_EndlessError, RuntimeError, IndexError):
                    continue
                if _refuses(report):
                    continue
                alike = [f for f in report.findings if f.kind == found.finding.kind]
                alike = [f for f in alike if f.where.path == found.finding.where.path] or alike
                finding = alike[0] if alike and (self.wanted > 1 or _serious(report) is alike[0]) else None
                if finding is not None:
                    found = replace(found, case=case, finding=finding)
                    progress = True
                    break
        return found


def _serious(report: ParityReport) -> Finding | None:
    return next((f for f in report.findings if f.kind != "not compared"), None)


def _refuses(report: ParityReport) -> bool:
    """Did the eager model raise? Then both did, which is a note, or the converted one returned."""
    one_sided = any(f.kind == "raises" and not f.reference.startswith("returns ") for f in report.findings)
    return one_sided or bool(report.both_raised)


def _filled(case: Case, tensors: list[Tensor]) -> Case:
    """The same case with other tensors, in the order of `leaves`."""
    rest = iter(tensors)

    def walk(value: Any) -> Any:
        if isinstance(value, Tensor):
            return next(rest)
        if isinstance(value, Mapping):
            return type(value)((k, walk(v)) for k, v in value.items())
        if isinstance(value, (list, tuple)):
            items = [walk(v) for v in value]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        if (fields := fields_of(value)) is not None and any(isinstance(x, Tensor) for x in leaves(value)):
            made = copy.copy(value)
            for name, item in fields.items():
                object.__setattr__(made, name, walk(item))
            return made
        return value

    return Case(walk(case.args), walk(dict(case.kwargs)), "the input")


def _tensors(case: Case) -> list[Tensor]:
    return [x.detach() for x in leaves((case.args, dict(case.kwargs))) if isinstance(x, Tensor)]


def _tied(examples: list[list[Tensor]]) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of dimensions of two tensors that have one size in every example of the same build."""
    found = None
    for tensors in examples:
        places = [(i, d) for i, t in enumerate(tensors) for d in range(t.dim())]
        equal = {(p, q) for p in places for q in places if p[0] != q[0] and _size(tensors, p) == _size(tensors, q)}
        found = equal if found is None else found & equal
    return found or set()


def _size(tensors: list[Tensor], place: tuple[int, int]) -> int:
    return tensors[place[0]].shape[place[1]]


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


class _EndlessError(BaseException):
    """The comparison took too long. No Exception: the model under test shall not catch it."""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `_EndlessError` in this thread after so many seconds, where a loop in Python runs; C++ is not stopped."""
    if not seconds:
        yield
        return
    ident, stop = threading.get_ident(), threading.Event()

    def end() -> None:
        wait = seconds
        while not stop.wait(wait):
            wait = 0.1
            if not _imports(sys._current_frames().get(ident)):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(_EndlessError))
                return

    watch = threading.Thread(target=end, daemon=True)
    watch.start()
    try:
        yield
    finally:
        stop.set()
        watch.join()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), None)


def _imports(frame: Any) -> bool:
    """Is the frame inside an import? One that is broken off leaves a module that is broken for good."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


# --- the changes -----------------------------------------------------------------------------------------------------


class _Moves:
    """The changes that the limits allow, the most telling first."""

    def __init__(
        self, vary: tuple[str, ...], low: float | None, high: float | None, growth: float | None, seed: int,
        tied: set[tuple[tuple[int, int], tuple[int, int]]],
    ) -> None:  # fmt: skip
        self.vary, self.low, self.high, self.growth, self.tied = vary, low, high, growth, tied
        self.random = torch.Generator().manual_seed(seed)
        self.together: set[tuple[int, int]] = set()  # dimensions that eager lets change with their equals
        self.went = False  # did eager take the last change?
        self.narrow: set[int] = set()  # integer tensors that keep to the example's range

    def all(self, tensors: list[Tensor], model: Any, tries: int) -> Iterator[_Move]:
        self.limit = max(64, *(t.numel() * (self.growth or 4) for t in tensors)) if tensors else 0.0
        whole = [i for i, t in enumerate(tensors) if not _is_float(t) and t.dtype != torch.bool and not t.is_complex()]
        self.ranges = {i: (tensors[i].min().item(), tensors[i].max().item()) for i in whole if tensors[i].numel()}
        if len(tensors) > 1:
            self.narrow = {i for i, (low, high) in self.ranges.items() if low >= 0 and high <= 1}
        for i, (low, high) in self.ranges.items():
            self.ranges[i] = (min(low, 0), 1 if i in self.narrow else high)
        kinds = [kind for kind in self.vary if kind not in ("mode", "grad", "apart")]
        single = [m for kind in kinds for m in getattr(self, f"_{kind}")(tensors)]
        single, late = [m for m in single if not m.late], [m for m in single if m.late]
        yield from self._ready(single)
        for kind in ("grad", "mode"):
            if kind in self.vary:
                yield from getattr(self, f"_{kind}")(tensors, model)
        for _ in range(tries if single else 0):
            chosen = [single[self._draw(len(single))] for _ in range(1 + self._draw(3))]
            if any(self._is_split(move) for move in chosen):
                continue
            mixed = {move.kind for move in chosen}
            words = ", ".join(dict.fromkeys(move.words for move in chosen))
            make = self._limited(lambda ts, chosen=chosen: _in_turn(ts, chosen))
            yield _Move(mixed.pop() if len(mixed) == 1 else "mixed", words, make)
        yield from self._ready(late)
        self.limit = self.limit if self.growth else max(self.limit, ROOM)
        yield from self._ready(m for kind in kinds if kind in ("batch", "shape") for m in self._long(kind, tensors))
        if "apart" in self.vary:
            yield from self._ready(self._apart(tensors))
        if "values" in self.vary:
            yield from self._ready(self._each(tensors))

    def _ready(self, moves: Iterable[_Move]) -> Iterator[_Move]:
        for move in moves:
            if not self._is_split(move):
                yield replace(move, make=self._limited(move.make))

    def _is_split(self, move: _Move) -> bool:
        """Would it part dimensions that eager lets change together?"""
        if move.kind == "apart" or not move.places:
            return False
        return any(p in self.together and q not in move.places for p, q in self.tied if p in move.places)

    def taken(self, move: _Move) -> None:
        """Learn from what eager takes: sizes that changed together need not change apart."""
        self.went = True
        if len(move.places) > 1 and move.kind != "apart":
            self.together |= {p for p, q in self.tied if p in move.places and q in move.places}

    def refused(self, move: _Move) -> None:
        """Learn from what eager refuses: integers beyond their range were indices."""
        self.narrow |= set(move.beyond)

    def within(self, tensors: list[Tensor]) -> bool:
        """Are all values between `low` and `high`?"""
        low = -float("inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        sizes = [t for t in tensors if t.numel() and not t.is_complex() and not t.isnan().any()]
        return all(bool(t.min() >= low) and bool(t.max() <= high) for t in sizes)

    def _limited(self, make: Callable[[list[Tensor]], list[Tensor]]) -> Callable[[list[Tensor]], list[Tensor]]:
        def limited(tensors: list[Tensor]) -> list[Tensor]:
            made = make(tensors)
            if any(t.numel() > max(self.limit, old.numel()) for t, old in zip(made, tensors, strict=True)):
                raise RuntimeError("too large")
            made = [self._narrowed(i, t) if i in self.narrow else t for i, t in enumerate(made)]
            return [t if self.within([t]) else t.clamp(self.low, self.high) for t in made]

        return limited

    def _narrowed(self, i: int, t: Tensor) -> Tensor:
        """Whole numbers beyond the example's range come back into it."""
        low, high = self.ranges[i]
        if not t.numel() or (t.min() >= low and t.max() <= high):
            return t
        if _is_float(t):  # after a change of dtype
            return t.clamp(low, high)
        return (low + (t.long() - low) % (high - low + 1)).to(t.dtype)

    def _draw(self, n: int) -> int:
        return int(torch.randint(n, (), generator=self.random))

    def _noise(self, t: Tensor) -> Tensor:
        scale = 10.0 ** float(torch.empty(()).uniform_(-1, 1, generator=self.random))
        noise = torch.randn(t.shape, generator=self.random, dtype=torch.float64) * scale
        return noise.to(t.dtype) if _is_float(t) else noise.round().to(t.dtype)

    def _values(self, tensors: list[Tensor]) -> Iterator[_Move]:
        changes: dict[str, Callable[[Tensor], Tensor]] = {
            "sign turned": lambda t: ~t if t.dtype == torch.bool else -t,
            "all 0": torch.zeros_like,
            "all 1": torch.ones_like,
            "× 1000": lambda t: t * 1000,
            "× −1000": lambda t: t * -1000,
            "× 0.01": lambda t: t * 0.01 if _is_float(t) else t // 2,
            "order reversed": lambda t: t.flatten().flip(0).reshape(t.shape),
            "+ 1": lambda t: t + 1,
            "− 1": lambda t: t - 1,
            "signs in turn": lambda t: t * (1 - 2 * (torch.arange(t.numel()) % 2)).reshape(t.shape).to(t.dtype),
            "one spike": lambda t: _spike(t),
            "noise": self._noise,
            "other noise": self._noise,
            "ties": lambda t: _row(t) + 0.5 if _is_float(t) else _row(t),
            "whole numbers in turn": _row,
            "all −0": lambda t: -torch.zeros_like(t),
            "× 100000": lambda t: t * 100000 if _is_float(t) else t.flatten().roll(1).reshape(t.shape),
        }
        fit = [i for i, t in enumerate(tensors) if not t.is_complex()]
        for words, change in changes.items():
            for chosen in [fit] if len(fit) < 2 else [fit, *([i] for i in fit)]:
                where = "" if len(chosen) == len(tensors) else f" in tensor {chosen[0] + 1}"
                beyond = tuple(i for i in chosen if i in self.ranges) if words in BEYOND and len(chosen) == 1 else ()
                make = lambda ts, c=change, k=chosen: _changed(ts, k, c)  # noqa: E731
                yield _Move("values", words + where, make, beyond=beyond, late=words in BOUNDARIES)
        yield from self._slices(tensors, fit)

    def _slices(self, tensors: list[Tensor], fit: list[int]) -> Iterator[_Move]:
        """All 0 but one slice: what a large neighbour hides shows alone."""
        for i in fit:
            for dim in range(int(tensors[i].dim() > 1), tensors[i].dim()) if _is_float(tensors[i]) else ():
                n = tensors[i].shape[dim]
                places = sorted({round(k * (n - 1) / (SLICES - 1)) for k in range(SLICES)}) if n > SLICES else range(n)
                for at in places if n > 1 else ():
                    where = f"place {at} of dimension {dim} alone" + (
                        "" if len(tensors) == 1 else f" in tensor {i + 1}"
                    )
                    change = functools.partial(_alone, dim=dim, at=at)
                    make = functools.partial(_changed, chosen=[i], change=change)
                    yield _Move("values", where, make, late=True)

    def _each(self, tensors: list[Tensor]) -> Iterator[_Move]:
        """Every whole number from `low` to `high`: as many at a time as a long batch holds, or where eager refuses
        that, the tensor itself."""
        if self.low is None or self.high is None or self.high - self.low > WORTH:
            return
        for i in self.ranges:
            group = _batch_group(tensors) if tensors[0].dim() else []
            few = tensors[i].numel()
            many = few * LONGER if (i, 0) in group else few
            for begin in range(math.ceil(self.low), math.floor(self.high) + 1, many):
                self.went = False
                if many > few:
                    yield self._counted(tensors, i, begin, group)
                if not self.went:
                    for start in range(begin, min(begin + many, math.floor(self.high) + 1), few):
                        yield self._counted(tensors, i, start, [])

    def _counted(self, tensors: list[Tensor], i: int, begin: int, group: list[tuple[int, int]]) -> _Move:
        """Tensor i counts up from `begin`; in a longer batch where its group is given."""
        words = f"whole numbers from {begin}" + ("" if len(tensors) == 1 else f" in tensor {i + 1}")

        def make(ts: list[Tensor]) -> list[Tensor]:
            ts = self._resize(ts, group, LONGER * ts[0].shape[0]) if group else ts
            return _changed(ts, [i], lambda t: torch.arange(begin, begin + t.numel()).reshape(t.shape).to(t.dtype))

        return _Move("values", words, make)

    def _special(self, tensors: list[Tensor]) -> Iterator[_Move]:
        fit = [i for i, t in enumerate(tensors) if _is_float(t)]
        for words in ("nan", "inf", "-inf"):
            for chosen in [fit] if len(fit) < 2 else [fit, *([i] for i in fit)]:
                where = "" if len(chosen) == len(fit) else f" in tensor {chosen[0] + 1}"
                make = lambda ts, w=words, k=chosen: _changed(ts, k, lambda t: _spike(t, float(w)))  # noqa: E731
                yield _Move("special", f"one {words}{where}", make)
        if fit:
            yield _Move("special", "all nan", lambda ts: _changed(ts, fit, lambda t: torch.full_like(t, math.nan)))

    def _batch(self, tensors: list[Tensor]) -> Iterator[_Move]:
        if tensors and tensors[0].dim():
            n = tensors[0].shape[0]
            group = _batch_group(tensors)
            for size in dict.fromkeys((n + 1, 1, 2 * n, n - 1, 2, 0)):
                yield from self._resized("batch", group, n, size)

    def _shape(self, tensors: list[Tensor]) -> Iterator[_Move]:
        for group in _groups(tensors):
            n = tensors[group[0][0]].shape[group[0][1]]
            for size in dict.fromkeys((n + 1, n - 1, n * 3 // 2, 2 * n, n // 2, 1)):
                if size > 0:
                    yield from self._resized("shape", group, n, size)

    def _resized(self, kind: str, group: list[tuple[int, int]], n: int, size: int) -> Iterator[_Move]:
        if size not in (n, -1) and n:
            words = (
                f"size {size} instead of {n} in dimension {', '.join(str(d) for d in sorted({d for _, d in group}))}"
            )
            yield _Move(kind, words, lambda ts: self._resize(ts, group, size), places=tuple(group))

    def _long(self, kind: str, tensors: list[Tensor]) -> Iterator[_Move]:
        """Sizes far beyond the example's, and with `growth` the greatest that it allows."""
        groups = _groups(tensors)
        if kind == "batch":
            groups = [_batch_group(tensors)] if tensors and tensors[0].dim() else []
        for group in groups:
            n = _size(tensors, group[0])
            rows = max(tensors[i].numel() for i, _ in group) / n if n else 0
            greatest = int(self.limit / rows) if rows else 0
            sizes = [size for size in LONG if size > 2 * n] + [greatest] * bool(self.growth)
            for size in dict.fromkeys(sizes):
                if 2 * n < size <= greatest:
                    yield from self._resized(kind, group, n, size)

    def _apart(self, tensors: list[Tensor]) -> Iterator[_Move]:
        """One of several equal sizes alone."""
        for place in dict.fromkeys(p for p, _ in sorted(self.tied)):
            if place[0] < len(tensors) and place[1] < tensors[place[0]].dim():
                n = _size(tensors, place)
                for size in dict.fromkeys((n + 1, n - 1, 1)):
                    if size > 0:
                        for move in self._resized("apart", [place], n, size):
                            yield replace(move, words=f"{move.words} of tensor {place[0] + 1} alone")

    def _resize(self, tensors: list[Tensor], group: list[tuple[int, int]], size: int) -> list[Tensor]:
        made = list(tensors)
        for i, dim in group:
            old = made[i].shape[dim]
            made[i] = made[i].index_select(dim, torch.arange(size) % old)
            if size > old and _is_float(made[i]):  # a mere repetition would hide a mean over too few rows
                fresh = made[i].narrow(dim, old, size - old)
                fresh *= torch.empty(fresh.shape).uniform_(0.5, 1.5, generator=self.random)
        return made

    def _rank(self, tensors: list[Tensor]) -> Iterator[_Move]:
        fit = [i for i, t in enumerate(tensors) if t.dim()]
        yield _Move("rank", "a dimension more", lambda ts: _changed(ts, fit, lambda t: t.unsqueeze(0)))
        yield _Move("rank", "a dimension less", lambda ts: _changed(ts, fit, lambda t: t.select(0, 0).clone()))
        yield _Move("rank", "one dimension", lambda ts: _changed(ts, fit, lambda t: t.flatten()))

    def _dtype(self, tensors: list[Tensor]) -> Iterator[_Move]:
        floats = [i for i, t in enumerate(tensors) if _is_float(t)]
        whole = [i for i, t in enumerate(tensors) if not _is_float(t) and t.dtype != torch.bool]
        kinds = [(floats, d) for d in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8)]
        kinds += [(whole, d) for d in (torch.int64, torch.int32, torch.uint8, torch.float32)]
        for chosen, dtype in kinds:
            if any(tensors[i].dtype != dtype for i in chosen):
                words = f"dtype {str(dtype).removeprefix('torch.')}"
                yield _Move("dtype", words, lambda ts, k=chosen, d=dtype: _changed(ts, k, lambda t: _cast(t, d)))

    def _memory(self, tensors: list[Tensor]) -> Iterator[_Move]:
        wide = [i for i, t in enumerate(tensors) if t.dim() > 1]
        some = [i for i, t in enumerate(tensors) if t.dim() and t.numel() > 1]
        if wide:
            yield _Move("memory", "transposed in memory", lambda ts: _changed(ts, wide, lambda t: t.mT.contiguous().mT))
        if some:
            for rank, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
                images = [i for i, t in enumerate(tensors) if t.dim() == rank]
                if images:
                    last = functools.partial(Tensor.contiguous, memory_format=layout)
                    make = functools.partial(_changed, chosen=images, change=last)
                    yield _Move("memory", "channels last in memory", make, late=True)
            spread = lambda t: torch.stack([t, t], -1).select(-1, 0)  # noqa: E731
            yield _Move("memory", "every second place in memory", lambda ts: _changed(ts, some, spread))

    def _grad(self, tensors: list[Tensor], model: Any) -> Iterator[_Move]:
        fit = [i for i, t in enumerate(tensors) if _is_float(t)]
        make = lambda ts: _changed(ts, fit, lambda t: t.clone().requires_grad_())  # noqa: E731
        yield _Move("grad", "inputs that require a gradient", make, {"grads": True, "modes": ("grad",)})

    def _mode(self, tensors: list[Tensor], model: Any) -> Iterator[_Move]:
        for mode in (*(("eval", "train") if isinstance(model, nn.Module) else ()), "inference"):
            yield _Move("mode", f"{mode} mode", list, {"modes": (mode,)})


def _changed(tensors: list[Tensor], chosen: list[int], change: Callable[[Tensor], Tensor]) -> list[Tensor]:
    if not chosen:
        raise IndexError("no tensor that this change fits")
    return [change(t) if i in chosen else t for i, t in enumerate(tensors)]


def _in_turn(tensors: list[Tensor], moves: list[_Move]) -> list[Tensor]:
    for move in moves:
        tensors = move.make(tensors)
    return tensors


BEYOND = ("× 1000", "+ 1", "− 1")  # changes that take an index out of its table


BOUNDARIES = ("ties", "whole numbers in turn", "all −0", "× 100000")


def _row(t: Tensor) -> Tensor:
    """…, -1, 0, 1, …"""
    return (torch.arange(t.numel()) - t.numel() // 2).reshape(t.shape).to(t.dtype)


def _alone(t: Tensor, dim: int, at: int) -> Tensor:
    made = torch.zeros_like(t)
    made.select(dim, at).copy_(t.select(dim, at))
    return made


def _batch_group(tensors: list[Tensor]) -> list[tuple[int, int]]:
    n = tensors[0].shape[0]
    return [(i, 0) for i, t in enumerate(tensors) if t.dim() and t.shape[0] == n]


def _spike(t: Tensor, value: float | None = None) -> Tensor:
    """Small values and one great one."""
    made = (t.clone() if value is not None else t * 0.1 if _is_float(t) else torch.zeros_like(t)).contiguous()
    made.view(-1)[t.numel() // 2] = value if value is not None else 100
    return made


def _cast(t: Tensor, dtype: torch.dtype) -> Tensor:
    """To an integer dtype by tenths, so that numbers between 0 and 1 do not all become 0."""
    if _is_float(t) and not dtype.is_floating_point:
        t = (t * 10).round()
    return (t.abs().clamp(max=255) if dtype == torch.uint8 else t).to(dtype)


def _groups(tensors: list[Tensor]) -> list[list[tuple[int, int]]]:
    """Dimensions that may have to change together: of one size and place, of one size, and each alone."""
    places = [(i, d) for i, t in enumerate(tensors) for d in range(t.dim())]
    size = {(i, d): tensors[i].shape[d] for i, d in places}
    rest = [p for p in places if p != (0, 0)]
    found = [[q for q in places if q[1] == p[1] and size[q] == size[p]] for p in rest if p[1]]
    found += [[q for q in rest if size[q] == size[p] and q[1]] for p in rest if p[1]]
    found += [[p] for p in (rest if len(tensors) == 1 else places)]
    return [list(group) for group in dict.fromkeys(map(tuple, found))]


# --- making the find small -------------------------------------------------------------------------------------------


def _weight(tensors: list[Tensor]) -> tuple[float, ...]:
    """Fewer elements are lighter, then fewer values that are not whole, fewer that are not 0, smaller ones."""
    values = [t.detach().double().nan_to_num(0, 1e30, -1e30).flatten() for t in tensors if not t.is_complex()]
    flat = torch.cat(values) if values else torch.zeros(0)
    size = float(sum(t.numel() for t in tensors))
    fractions = float((flat != flat.round()).sum())
    return size, fractions, float((flat != 0).sum()), float(flat.abs().sum()), float((flat < 0).sum())


def _smaller_tensors(tensors: list[Tensor], apart: bool, moves: _Moves) -> Iterator[list[Tensor]]:
    """Lighter versions, the boldest first. Sizes stay at 1 or more."""
    places = [(i, d) for i, t in enumerate(tensors) for d in range(t.dim())]
    batch = [p for p in places if p[1] == 0 and tensors[p[0]].shape[0] == tensors[0].shape[0]]
    for group in [batch] * bool(batch) + _groups(tensors) + [[p] for p in places[:1]]:
        if not apart and moves._is_split(_Move("shape", "", list, places=tuple(group))):
            continue
        n = tensors[group[0][0]].shape[group[0][1]]
        for size in dict.fromkeys((1, 2, n // 2, n - 1)):
            if 0 < size < n:
                for start in (0, n - size):
                    made = list(tensors)
                    for i, d in group:
                        made[i] = made[i].narrow(d, start, size).clone()
                    yield made
    usable = [i for i, t in enumerate(tensors) if t.numel() and t.dtype != torch.bool and not t.is_complex()]
    whole = [
        torch.zeros_like,
        torch.ones_like,
        lambda t: -torch.ones_like(t),
        torch.round,
        lambda t: t.round() // 2,
    ]
    for change in whole:
        for chosen in [usable] if len(usable) < 2 else [usable, *([i] for i in usable)]:
            if chosen:
                yield [change(t) if i in chosen else t for i, t in enumerate(tensors)]
    if sum(t.numel() for t in tensors) > 32:
        return
    for i in usable:
        for at in range(tensors[i].numel()):
            value = tensors[i].flatten()[at].item()
            for new in dict.fromkeys(
                (0, 1, -1, round(value) if abs(value) < 1e9 else 0, int(value / 2) if abs(value) < 1e9 else 0)
            ):
                made = [t.clone(memory_format=torch.contiguous_format) for t in tensors]
                made[i].view(-1)[at] = new
                yield made
