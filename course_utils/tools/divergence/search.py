"""Run both sides on the example and on changed inputs, keep what diverges, and shrink it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from course_utils.core.cases import Case, as_cases
from course_utils.core.status_line import Show, status_line
from course_utils.tools.divergence.interrupt import EndlessError, Watch
from course_utils.tools.divergence.moves import INPUTS, KINDS, Move, Moves
from course_utils.tools.divergence.report import Divergence, Search
from course_utils.tools.divergence.shrink import shrink
from course_utils.tools.divergence.tensors import is_float, tensors_of, tied
from course_utils.tools.parity import Finding, ParityReport, check_parity

PATIENCE = 1.0  # seconds for one comparison, beyond 20 times what the example took
LOOSE = {torch.float16: 2e-2, torch.bfloat16: 1e-1}  # rtol where an input has such a dtype
ALLOWED = ("=True makes it a finding", " where the reference returns ")  # notes of check_parity on differences


def find_divergence(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
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
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    relative_to: str = "max",
    structure: str = "values",
    check_state: bool = True,
    check_inputs: bool = True,
    check_random: bool = True,
    check_memory: bool = False,
    signed_zero: bool = False,
    progress: bool | Show | None = None,
) -> Search:
    """Search for an input on which ``candidate`` differs from ``reference``, and shrink it.

    reference: the eager model. candidate: what it was converted to. example_inputs: a Tensor, a tuple of positional
    arguments, a `Case`, or a list of those; the reference must accept them. Tensors in them are varied, nested ones
    too; everything else stays.

    vary: which kinds of change are allowed. "values" (sign, scale, zeros, ones, order, an outlier, noise, ties, one
    slice alone), "batch" (the first tensor's first dimension and those of the same size, down to 0), "shape" (the other
    sizes), "rank" (an extra dimension, or one fewer), "dtype", "strides" (transposed, non-contiguous, channels_last).
    Only when asked for: "special" (NaN and infinities, in all tensors and in one), "apart" (sizes that are equal in all
    examples made unequal), "mode" (train, eval and inference mode), "grad" (inputs that require a gradient, and
    gradients compared). A divergence at another rank is reported where there is none at the rank of the example.

    Sizes of two tensors that are equal in every example change together, unless the reference rejects that: give a
    second example where they are independent. Beside another tensor, one of integers 0 and 1 is taken for a mask and
    keeps to them; one that the reference rejects beyond the example's range keeps to that range. A tensor of one
    integer per row, none greater than another size, is taken for the lengths of the rows: it never exceeds that size,
    and grows with it where the reference wants that.

    low, high: limits for all values; with both, integer inputs also go through every value between them, time
    permitting. growth: no tensor gets more than this many times its elements, or 64 if that is more; sizes up to that
    limit are tried. By default 4 times, or 65,536 elements if that is more. findings: how many divergences to look
    for; after the first, only those with another kind or place are reported. tries: random mixtures after the first
    single changes; boundary values and long inputs come after those. seconds: when to stop; shrinking may take half as
    long again. The same seed gives the same search unless the time runs out. progress: False hides the line that is
    shown while a search takes longer than two seconds; a function receives it.

    The rest goes to `check_parity`, which compares. By default values differ from 1e-4 of the greatest value of the
    output, since a folded or fused model is not bitwise identical, and containers are compared by their members.
    Differences that an option would make findings are in `ignored`.

    An input that the reference rejects, or on which it does not come to an end, is not a divergence. Raises ValueError
    where it rejects the example, or for an unknown kind.
    """
    unknown = [kind for kind in vary if kind not in KINDS]
    if unknown:
        raise ValueError(f"vary names {unknown[0]!r}; the kinds are {', '.join(KINDS)}.")
    if findings < 1:
        raise ValueError(f"findings is at least 1, got {findings}.")
    options = {
        "rtol": rtol, "atol": atol, "equal_nan": equal_nan, "relative_to": relative_to, "structure": structure,
        "check_state": check_state, "check_inputs": check_inputs, "check_random": check_random,
        "check_memory": check_memory, "signed_zero": signed_zero,
    }  # fmt: skip
    with warnings.catch_warnings(), status_line(progress) as show, Watch() as watch:
        warnings.simplefilter("ignore")  # from other dtypes, strides and TracerWarnings of what is called
        cases = as_cases(example_inputs)
        pairs = tied([tensors_of(case) for case in cases])
        run = _Run(reference, candidate, seconds, options, findings, show, watch)
        for case in cases:
            run.search(case, Moves(vary, low, high, growth, seed, pairs), tries)
            if run.enough or not run.complete:
                break
        run.keep_other_ranks()
    return Search(
        next(iter(run.found), None), run.tried, run.rejected, run.unguarded, run.complete,
        tuple(run.found[1:]), run.uncompared, run.compared, tuple(run.ignored),
    )  # fmt: skip


class _Run:
    """One call of `find_divergence`: what was seen so far. The public fields are those of `Search`."""

    def __init__(
        self, reference: Callable[..., Any], candidate: Callable[..., Any], seconds: float, options: dict[str, Any],
        wanted: int, show: Show, watch: Watch,
    ) -> None:  # fmt: skip
        self.reference, self.candidate, self.options = reference, candidate, options
        self.wanted, self.show, self.watch = wanted, show, watch
        self.began, self.seconds = time.monotonic(), seconds
        self.deadline = self.began + seconds
        self.patience = math.inf  # seconds for one comparison
        self.found: list[Divergence] = []
        self.other_ranks: list[tuple[Case, Move, Moves, ParityReport]] = []
        self.tried: dict[str, int] = {}
        self.rejected = self.compared = 0
        self.unguarded = self.uncompared = ""
        self.complete = True
        self.ignored: dict[str, None] = {}

    @property
    def enough(self) -> bool:
        return len(self.found) >= self.wanted

    def search(self, case: Case, moves: Moves, tries: int) -> None:
        """The example itself, single changes, mixtures; stops when enough was found."""
        tensors = tensors_of(case)
        began = time.monotonic()
        report = self.compare(case, calls=3)
        self.patience = PATIENCE + 20 * (time.monotonic() - began)
        if _rejects(report):
            said = [note for note in report.notes if note.startswith("both ")] + [f.reference for f in report.findings]
            raise ValueError(f"the reference rejects the example: {said[0]}; give inputs that it accepts.")
        self.count("example", report)
        while (finding := self.news(report, "example")) and not self.enough:
            self.found.append(Divergence("example", "", case, finding))
        if self.enough:
            return
        for move in moves.all(tensors, self.reference, tries):
            if time.monotonic() > self.deadline:
                self.complete = False
                return
            self.tell(f"now {move.kind}: {move.words}")
            try:
                made = _filled(case, move.make(tensors))
            except (RuntimeError, IndexError):  # this change is not possible for these tensors
                continue
            try:
                report = self.compare(made, **move.options)
            except EndlessError:
                self.rejected += 1
                continue
            if _rejects(report):
                self.rejected += 1
                moves.rejected(move)
                if report.findings and move.kind in ("values", "batch", "shape"):
                    self.unguarded = self.unguarded or made.text
                continue
            moves.accepted(move)
            self.count(move.kind, report)
            if finding := self.news(report, move.kind):
                if move.other_rank:
                    self.other_ranks.append((made, move, moves, report))
                else:
                    self.keep(made, move, moves, finding)
                if self.enough:
                    return

    def keep_other_ranks(self) -> None:
        """Inputs of another rank than the example's come last: few models are sent any."""
        for made, move, moves, report in self.other_ranks:
            if not self.enough and (finding := self.news(report, move.kind)):
                self.keep(made, move, moves, finding)

    def compare(self, case: Case, calls: int = 1, **options: Any) -> ParityReport:
        floats = [x for x in case.tensors if is_float(x)]
        sizes = [x.detach().nan_to_num(0, 0, 0).abs().max().item() for x in floats if x.numel()]
        given = self.options | options
        if given["rtol"] is None:
            given["rtol"] = max([1e-4, *(LOOSE.get(x.dtype, 0.0) for x in floats)])
        if given["atol"] is None:
            given["atol"] = 1e-5 * max([1.0, *sizes])
        with self.watch.limit(self.patience):
            return check_parity(self.reference, self.candidate, [case], calls=calls, **given)

    def count(self, kind: str, report: ParityReport) -> None:
        """Note what was tried, whether anything was compared, and which differences the options allow."""
        self.tried[kind] = self.tried.get(kind, 0) + 1
        blind = [f for f in report.findings if f.kind == "not compared"]
        if blind:
            self.uncompared = self.uncompared or f"{blind[0].where.path}, {blind[0].reference}: {blind[0].detail}"
        if not blind or report.compared or report.worst.elements:
            self.compared += 1
        for note in report.notes:
            if any(words in note for words in ALLOWED) and len(self.ignored) < 3:
                self.ignored.setdefault(note)

    def news(self, report: ParityReport, kind: str) -> Finding | None:
        """The first finding that is not yet known: one of the example shows on every input, others by their kind, and
        one that a single change has too is no news from a mixture."""
        for f in report.findings:
            by = [d.kind for d in self.found if (d.finding.kind, d.finding.where.path) == (f.kind, f.where.path)]
            if f.kind != "not compared" and not ("example" in by or kind in by or (by and kind == "mixed")):
                return f
        return None

    def keep(self, made: Case, move: Move, moves: Moves, finding: Finding) -> None:
        """Keep what diverges, shrunk to a smaller input with the same kind of difference."""
        found = Divergence(move.kind, move.words, made, finding)
        again = move.make if move.kind in ("strides", "grad") else list  # cutting loses strides and requires_grad

        def diverges(tensors: list[Tensor]) -> Divergence | None:
            self.tell("now shrinking what was found")
            try:
                case = _filled(found.case, again(tensors))
                report = self.compare(case, **move.options)
            except (EndlessError, RuntimeError, IndexError):
                return None
            serious = [f for f in report.findings if f.kind != "not compared"]
            alike = [f for f in serious if f.kind == found.finding.kind]
            alike = [f for f in alike if f.where.path == found.finding.where.path] or alike
            if _rejects(report) or not alike or (self.wanted == 1 and alike[0] is not serious[0]):
                return None
            return replace(found, case=case, finding=alike[0])

        until = max(self.deadline, time.monotonic() + self.seconds / 2)
        self.found.append(shrink(found, diverges, moves, until))

    def tell(self, now: str) -> None:
        passed = time.monotonic() - self.began
        self.show(f"{sum(self.tried.values())} inputs tried in {passed:.0f} of {self.seconds:.0f} s; {now}")


def _rejects(report: ParityReport) -> bool:
    """Did the reference raise? Then both did, which is a note, or the candidate returned."""
    one_sided = any(f.kind == "raises" and not f.reference.startswith("returns ") for f in report.findings)
    return one_sided or bool(report.both_raised)


def _filled(case: Case, tensors: list[Tensor]) -> Case:
    """The same case with other tensors."""
    rest = iter(tensors)
    return case.changed(lambda _: next(rest), "the input")
