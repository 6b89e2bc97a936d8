"""Whose forward is faster, honestly: warm-up, interleaved rounds, medians, spread, ratio.

The stopwatch is ``torch.utils.benchmark.Timer``. What this module adds is the design of the comparison:

* every candidate is called until its times settle, because TorchScript's profiling executor makes the first
  two calls slow, and ``torch.compile`` the first one very slow;
* the candidates take turns, in a shuffled order, so that a machine that grows busy slows all of them;
* candidates are compared within a round, and the verdict is "no difference shown" as long as the spread of
  those ratios covers 1, or the difference is as small as that between two copies of one model.

Equal speed is not shown by "no difference shown", and a wrong answer may well be fast: run
``course_utils.tools.parity`` first.
"""

from __future__ import annotations

import html
import itertools
import logging
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

# Importing the benchmark tools warns on stderr where a CUDA toolkit but no GPU is found; a reader who times
# on the CPU has no use for that line, and a notebook would store it.
_extension_log = logging.getLogger("torch.utils.cpp_extension")
_level = _extension_log.level
_extension_log.setLevel(logging.ERROR)
from torch.utils import benchmark  # noqa: E402

_extension_log.setLevel(_level)

from course_utils.core.cases import leaves  # noqa: E402
from course_utils.core.errors import one_line  # noqa: E402
from course_utils.core.status_line import Show, status_line  # noqa: E402
from course_utils.tools.parity.compare import Rules, compare  # noqa: E402

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "SpeedReport",
    "SpeedRow",
    "compare_speed",
    "median_interval",
    "settled",
    "summarise",
    "warmup_caption",
    "warmup_curve",
    "warmup_figure",
]

CONFIDENCE = 0.99  # of the interval around the median ratio; see median_interval
MARGIN = 0.03  # smallest difference that gets a verdict: deep copies of one model differ by up to
# 2 % (measured with this module), for where their weights happen to lie in memory
FEWEST_ROUNDS = 5  # below five, the interval says next to nothing
WINDOW = 3  # warm-up: the last three calls are set against the three before them
TOLERANCE = 0.10  # warm-up: … and may differ by this much
BUSY = 0.25  # IQR above this share of the median: the machine was busy

LEFT = (0, 6, 7)  # columns of the table that hold words; the others hold numbers
VERDICT_SYMBOL = {"baseline": "•", "faster": "▲", "slower": "▼", "no difference shown": "?"}


# -- statistics: pure functions on given numbers ------------------------------------------------------------


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return ``(low, high, coverage)``, an interval for the true median of ``values``.

    Distribution-free: with x(1) ≤ … ≤ x(n), the interval from x(k) to x(n+1-k) holds the true median with
    probability 1 - 2·P(Binomial(n, 1/2) < k), whatever the distribution of the (independent) values. The
    greatest k with at least ``confidence`` is taken; where even k = 1 falls short of it (five values: 0.94),
    the full range is returned with the coverage that it has.

    Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed. 2003, section 7.1. T. Hoefler and
    R. Belli, Scientific Benchmarking of Parallel Computing Systems, SC 2015, advise it for run times, which
    are skewed and have outliers.

    Raises ValueError for no values, a value that is not finite, or a confidence outside 0 to 1.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError("median_interval needs finite values, at least one: pass the ratios of the rounds.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; pass a number between 0 and 1, such as 0.99.")
    ordered, n = sorted(values), len(values)

    def coverage(k: int) -> float:
        return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n

    k = max((k for k in range(1, (n + 1) // 2 + 1) if coverage(k) >= confidence), default=1)
    return ordered[k - 1], ordered[n - k], coverage(k)


def settled(times: Sequence[float], window: int = WINDOW, tolerance: float = TOLERANCE) -> bool:
    """Have the times of single calls stopped changing?

    True when the median of the last ``window`` times is within ``tolerance`` (a share) of the median of the
    ``window`` before them. Needs 2 · ``window`` times.
    """
    if len(times) < 2 * window:
        return False
    earlier = statistics.median(times[-2 * window : -window])
    later = statistics.median(times[-window:])
    return abs(later - earlier) <= tolerance * earlier


@dataclass(frozen=True)
class SpeedRow:
    """One candidate of a :class:`SpeedReport`. Times are seconds per call."""

    name: str
    median_s: float
    iqr_s: float  # distance between the quartiles of the rounds
    ratio: float  # baseline time / own time, the median over the rounds: above 1 is faster
    ratio_low: float  # the interval around that median, see median_interval
    ratio_high: float
    verdict: str  # "baseline", "faster", "slower" or "no difference shown"
    times: tuple[float, ...] = ()  # one time per round, in order
    calls_per_round: int = 0  # each time is the mean over this many calls
    warmup_calls: int = 0  # calls made before the first round
    warmed_up: bool = True  # False: the times still changed when the limit was reached
    first_call_s: float = math.nan  # the very first call


def summarise(
    samples: Mapping[str, Sequence[float]], confidence: float = CONFIDENCE, margin: float = MARGIN
) -> tuple[SpeedRow, ...]:
    """Turn ``{name: seconds per call, one number per round}`` into rows; the first entry is the baseline.

    The ratio of a candidate is the median over the rounds of (baseline's time / candidate's time): above 1
    the candidate is faster. Both times of a ratio come from the same round, so what slows a whole round
    cancels. Its interval is :func:`median_interval` of the same ratios. The verdict is "faster" or "slower"
    only where the whole interval lies on one side of 1 and the ratio is beyond 1 + ``margin`` (or below
    1 / (1 + ``margin``)), else "no difference shown".

    Raises ValueError for no candidates, for rounds that are missing or differ in number, and for times that
    are not positive and finite.
    """
    if not samples:
        raise ValueError("There is nothing to summarise: pass at least one candidate.")
    rounds = {len(times) for times in samples.values()}
    if len(rounds) != 1 or 0 in rounds:
        raise ValueError("Every candidate needs one time per round, one round at least: measure all of them.")
    for name, times in samples.items():
        if not all(math.isfinite(t) and t > 0 for t in times):
            raise ValueError(f"{name!r} holds a time that is not a positive number: measure it again.")

    baseline = next(iter(samples))
    rows = []
    for name, times in samples.items():
        ratios = [b / t for b, t in zip(samples[baseline], times, strict=True)]
        ratio = statistics.median(ratios)
        low, high, _ = median_interval(ratios, confidence)
        if name == baseline:
            verdict = "baseline"
        elif low > 1 and ratio > 1 + margin:
            verdict = "faster"
        elif high < 1 and ratio < 1 / (1 + margin):
            verdict = "slower"
        else:
            verdict = "no difference shown"
        low_quartile, _, high_quartile = _quartiles(times)
        rows.append(
            SpeedRow(
                name=name,
                median_s=statistics.median(times),
                iqr_s=high_quartile - low_quartile,
                ratio=ratio,
                ratio_low=low,
                ratio_high=high,
                verdict=verdict,
                times=tuple(times),
            )
        )
    return tuple(rows)


def _quartiles(times: Sequence[float]) -> tuple[float, float, float]:
    """Quartiles by linear interpolation, as ``Measurement.iqr`` and ``numpy.quantile`` have them."""
    if len(times) == 1:
        return times[0], times[0], times[0]
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return low, middle, high


# -- the comparison -----------------------------------------------------------------------------------------


def compare_speed(
    candidates: Mapping[str, Callable[..., Any]],
    *args: Any,
    rounds: int = 15,
    min_round_time: float = 0.02,
    threads: int = 1,
    warmup_limit: int = 60,
    time_budget: float = 8.0,
    confidence: float = CONFIDENCE,
    margin: float = MARGIN,
    progress: bool | Show | None = None,
    clock: Callable[[], float] = benchmark.timer,
) -> SpeedReport:
    """Time ``candidate(*args)`` for each candidate, in turns; the first entry is the baseline.

    1. Warm-up: each candidate is called until its times settle (:func:`settled`), ``warmup_limit`` calls at
       most.
    2. Rounds: in each of the ``rounds`` every candidate takes one turn, in an order shuffled with a fixed
       seed. A turn is one ``Timer.timeit(number)``: ``number`` calls, enough to last ``min_round_time``
       seconds, after the few untimed calls that ``timeit`` makes itself (two, or a hundredth of ``number``).
    3. The times of each round are compared with the baseline's, given ``confidence`` and ``margin``: see
       :func:`summarise`.

    ``threads`` is the number of intra-op threads (``torch.set_num_threads``) while calls are made; the
    caller's number comes back afterwards. The grad mode is the caller's: wrap the call in
    ``torch.no_grad()`` or ``torch.inference_mode()`` to time inference; the report names it.

    ``time_budget`` is in seconds. To stay inside, warm-up is cut short and rounds are left out, but each
    candidate gets at least ``2 * WINDOW`` warm-up calls and ``FEWEST_ROUNDS`` rounds, so candidates whose
    one call takes seconds go past it.

    Every call gets the same ``args``: a candidate that changes its input in place, or that works less on an
    input it has seen, times something else than you think. The first is told in the report's notes, where the
    warm-up left other contents; the second is for the caller to know.

    ``progress``: a callable that is given one line at a time; True or False; by default a line appears after
    two seconds of work on a terminal and in a notebook, and never where the environment variable
    ``COURSE_QUIET`` is set. ``clock`` returns seconds (the default waits for an accelerator, if any).

    Raises ValueError for no candidates, unusable numbers, and for a candidate that raises.
    """
    if not candidates:
        raise ValueError("There is nothing to time: pass {'eager': model, 'scripted': scripted}.")
    for name, candidate in candidates.items():
        if not callable(candidate):
            kind = type(candidate).__name__
            raise ValueError(f"Candidate {name!r} is a {kind}: pass something that can be called.")
    if rounds < FEWEST_ROUNDS:
        raise ValueError(f"rounds={rounds} shows nothing: ask for at least {FEWEST_ROUNDS}.")
    if threads < 1 or warmup_limit < 1 or not min_round_time > 0 or not time_budget > 0 or not margin >= 0:
        raise ValueError(
            "threads and warmup_limit are at least 1, min_round_time and time_budget are seconds above 0, "
            "margin is a share, at least 0: mend the one that is not, or leave it out."
        )

    started = clock()
    warmups: dict[str, list[float]] = {}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    numbers: dict[str, int] = {}
    turn_cost: dict[str, float] = {}
    # A third of the budget goes to the warm-up, in equal shares: the rounds are the measurement.
    share = time_budget / 3 / len(candidates)

    before, changed = _contents(args), []
    with status_line(progress) as show:
        for name, candidate in candidates.items():
            show(f"warming up {name}")
            with _naming(name), benchmark.set_torch_threads(threads):
                warmups[name] = _warm_up(candidate, args, warmup_limit, share, clock)
            now = _contents(args)
            if not _alike(before, now):
                changed.append(name)
                before = now
            per_call = max(statistics.median(warmups[name][-WINDOW:]), 1e-9)
            numbers[name] = max(1, math.ceil(min_round_time / per_call))
            turn_cost[name] = per_call * (numbers[name] + max(numbers[name] // 100, 2))

        timers = {
            name: benchmark.Timer(
                "candidate(*args)",
                globals={"candidate": candidate, "args": args},
                timer=clock,
                num_threads=threads,
            )
            for name, candidate in candidates.items()
        }
        shuffler, order = random.Random(0), list(candidates)
        for done in range(rounds):
            spent = clock() - started
            if done >= FEWEST_ROUNDS and spent + sum(turn_cost.values()) > time_budget:
                break
            show(f"round {done + 1} of {rounds}")
            shuffler.shuffle(order)
            for name in order:
                with _naming(name):
                    samples[name].append(timers[name].timeit(numbers[name]).median)

    rows = tuple(
        replace(
            row,
            calls_per_round=numbers[row.name],
            warmup_calls=len(warmups[row.name]),
            warmed_up=settled(warmups[row.name]),
            first_call_s=warmups[row.name][0],
        )
        for row in summarise(samples, confidence, margin)
    )
    measured = len(rows[0].times)
    return SpeedReport(
        rows=rows,
        rounds=measured,
        rounds_asked=rounds,
        threads=threads,
        grad_mode=_grad_mode(),
        coverage=median_interval(rows[0].times, confidence)[2],
        margin=margin,
        changed=tuple(changed),
    )


def _contents(args: tuple[Any, ...]) -> list[Any]:
    """The contents of the arguments, to see later whether a call has changed them."""
    kept = []
    for leaf in leaves(args):
        if isinstance(leaf, torch.Tensor):
            with torch.no_grad():
                kept.append(leaf.detach().clone())
        elif leaf is None or isinstance(leaf, (bool, int, float, str)):
            kept.append(leaf)
    return kept


def _alike(before: list[Any], now: list[Any]) -> bool:
    return len(before) == len(now) and compare(before, now, Rules(0.0, 0.0)).equal


def _warm_up(
    candidate: Callable[..., Any],
    args: tuple[Any, ...],
    limit: int,
    seconds: float,
    clock: Callable[[], float],
) -> list[float]:
    """Call until settled, ``limit`` calls or ``seconds`` are reached; return the time of each call."""
    started, times = clock(), []
    while len(times) < limit and not settled(times):
        if len(times) >= 2 * WINDOW and clock() - started > seconds:
            break
        times.extend(warmup_curve(candidate, *args, calls=1, clock=clock))
    return times


def warmup_curve(
    fn: Callable[..., Any], *args: Any, calls: int = 10, clock: Callable[[], float] = benchmark.timer
) -> tuple[float, ...]:
    """Return the seconds of the first, second, … call of ``fn(*args)``, each timed alone.

    Threads and grad mode are the caller's. An executor belongs to the compiled code, not to the variable: a
    function that was called before, or a second instance of a scripted module, starts warm.

    Raises ValueError for ``calls`` below 1, and what ``fn`` raises.
    """
    if calls < 1:
        raise ValueError(f"calls={calls}: ask for at least one call.")
    times = []
    for _ in range(calls):
        start = clock()
        fn(*args)
        times.append(clock() - start)
    return tuple(times)


class _naming:
    """Turn what a candidate raises into a ValueError that names the candidate."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            # TorchScript's messages are long, and what happened stands in their last line; elsewhere it is the first.
            said = one_line(error)
            raise ValueError(
                f"Candidate {self.name!r} raised while it was timed. {said.rstrip('.')}. "
                "Call it once by itself with the same arguments and mend it, or leave it out."
            ) from error


def _grad_mode() -> str:
    if torch.is_inference_mode_enabled():
        return "inference mode"
    return "grad mode on" if torch.is_grad_enabled() else "grad mode off"


# -- the report ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class SpeedReport:
    """What :func:`compare_speed` measured: print it, show it in a notebook, or draw it (:meth:`figure`)."""

    rows: tuple[SpeedRow, ...]
    rounds: int  # rounds measured
    rounds_asked: int  # more than rounds where the time budget was used up
    threads: int
    grad_mode: str  # "grad mode on", "grad mode off" or "inference mode"
    coverage: float  # probability that the interval of a ratio holds its true median
    margin: float = MARGIN  # the smallest difference that gets a verdict
    changed: tuple[str, ...] = ()  # candidates whose calls changed their input
    caption: str = field(init=False, default="")  # what figure() shows, in words

    def __post_init__(self) -> None:
        object.__setattr__(self, "caption", self._caption())

    def row(self, name: str) -> SpeedRow:
        """The row of one candidate. Raises KeyError, naming the candidates there are."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no candidate {name!r}: pass one of {', '.join(row.name for row in self.rows)}")

    def ratio(self, name: str) -> float:
        """Baseline time / time of ``name``, median over the rounds: above 1 is faster than the baseline."""
        return self.row(name).ratio

    def verdict(self, name: str) -> str:
        """ "baseline", "faster", "slower" or "no difference shown"."""
        return self.row(name).verdict

    @property
    def method(self) -> str:
        """How the numbers were made, in one sentence."""
        fewer = f" of {self.rounds_asked} (time budget used up)" if self.rounds < self.rounds_asked else ""
        return f"{self.rounds} interleaved rounds{fewer}, {_count(self.threads, 'thread')}, {self.grad_mode}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes these numbers doubtful; empty when nothing does."""
        notes = []
        if self.changed:
            notes.append(
                f"{', '.join(self.changed)} changed the input in place, so later calls got other values: "
                "let the candidate work on a copy, x.clone()."
            )
        busy = [row.name for row in self.rows if row.iqr_s > BUSY * row.median_s]
        if busy:
            notes.append(
                f"The times of {', '.join(busy)} scatter by more than a quarter of their median: "
                "close what else runs on this machine and measure again."
            )
        cold = [row.name for row in self.rows if not row.warmed_up]
        if cold:
            said = ", ".join(cold)
            notes.append(f"Warm-up ended before {said} had settled: raise warmup_limit or time_budget.")
        return tuple(notes)

    def text(self) -> str:
        """The report as a plain table."""
        table = [self._head(), *self._cells()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        table.insert(1, ["-" * width for width in widths])
        lines = [
            "  ".join(
                cell.ljust(width) if column in LEFT else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            for cells in table
        ]
        footer = [f"{self.method}; {self._reading()}", *self.notes]
        return "\n".join([*(line.rstrip() for line in lines), *footer])

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        cell = "padding:2px 8px;border-bottom:1px solid rgba(128,128,128,.35);vertical-align:top;"
        rows = []
        for tag, cells in [("th", self._head()), *(("td", cells) for cells in self._cells())]:
            inner = "".join(
                f'<{tag} style="{cell}text-align:{"left" if column in LEFT else "right"}">{html.escape(text)}</{tag}>'
                for column, text in enumerate(cells)
            )
            rows.append(f"<tr>{inner}</tr>")
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self.notes)
        return (
            '<div style="font-size:90%;color:currentColor">'
            f'<table style="border-collapse:collapse;color:inherit"><thead>{rows[0]}</thead>'
            f"<tbody>{''.join(rows[1:])}</tbody></table>"
            f'<div style="margin-top:4px">{html.escape(self.method)}; {html.escape(self._reading())}</div>'
            f"{notes}</div>"
        )

    def figure(self) -> Figure:
        """Draw every round as a dot, the middle half as a box and the median as a bar; words in ``caption``.

        The figure is closed for pyplot, so a notebook shows it once: as the last value of the cell.
        """
        import matplotlib.pyplot as plt

        unit, scale = _unit(min(min(row.times) for row in self.rows))
        figure, axes = plt.subplots(figsize=(7, 1.2 + 0.55 * len(self.rows)), layout="constrained")
        plt.close(figure)
        for place, row in enumerate(self.rows):
            times = [t / scale for t in row.times]
            # Rounds run from the top of a strip to its bottom, so a drift through the run is seen as a slant.
            heights = [place - 0.26 + 0.52 * i / max(len(times) - 1, 1) for i in range(len(times))]
            low, _, high = _quartiles(times)
            axes.barh(place, high - low, left=low, height=0.66, color="tab:orange", alpha=0.3, zorder=1)
            axes.plot(times, heights, "o", markersize=4, color="tab:blue", alpha=0.8, zorder=2)
            middle = row.median_s / scale
            axes.vlines(middle, place - 0.36, place + 0.36, color="black", linewidth=2.5, zorder=3)
        axes.set_yticks(range(len(self.rows)), [f"{row.name}\n{_verdict(row)}" for row in self.rows])
        axes.invert_yaxis()
        everything = [t for row in self.rows for t in row.times]
        if max(everything) > 8 * min(everything):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_xlabel(f"time per call ({unit}), log scale")
        else:
            axes.set_xlim(left=0)
            axes.set_xlabel(f"time per call ({unit})")
        axes.grid(axis="x", alpha=0.3)
        axes.set_title(self.method, fontsize="medium")
        return figure

    # -- pieces ------------------------------------------------------------------------------------------

    def _head(self) -> list[str]:
        return ["", "median", "IQR", "calls/round", "speed", "interval", "verdict", "warm-up"]

    def _cells(self) -> list[list[str]]:
        fastest = min(row.median_s for row in self.rows)
        # One unit for all makes the column comparable, unless that would give very long numbers.
        wide = max(row.median_s for row in self.rows) >= 1000 * fastest
        cells = []
        for row in self.rows:
            unit, scale = _unit(row.median_s if wide else fastest)
            base = row.verdict == "baseline"
            # Below a ten-thousandth of the median there is nothing but rounding.
            iqr = row.iqr_s if row.iqr_s > 1e-4 * row.median_s else 0.0
            cells.append(
                [
                    row.name,
                    f"{_number(row.median_s / scale)} {unit}",
                    f"{_number(iqr / scale, digits=2)} {unit}",
                    str(row.calls_per_round),
                    "1" if base else f"{_number(row.ratio)} ×",
                    "" if base else f"{_number(row.ratio_low)} to {_number(row.ratio_high)}",
                    _verdict(row),
                    _warmup(row),
                ]
            )
        return cells

    def _reading(self) -> str:
        if len(self.rows) == 1:
            return "one candidate: nothing to compare."
        return (
            f"speed = {self.rows[0].name}'s time / own time, median over the rounds (above 1 is faster), "
            f"with its {100 * self.coverage:.3g} % interval. An interval that covers 1, or a difference "
            f"under {100 * self.margin:.3g} %, shows no difference."
        )

    def _caption(self) -> str:
        said = [
            f"Time per call of {', '.join(row.name for row in self.rows)} ({self.method}). One dot is one "
            "round, first round on top; the box is the middle half of the rounds, the bar their median."
        ]
        for row in self.rows[1:]:
            said.append(
                f"{row.name}: {row.verdict}, {_number(row.ratio)} times as fast as {self.rows[0].name} "
                f"({_number(row.ratio_low)} to {_number(row.ratio_high)})."
            )
        return " ".join([*said, *self.notes])


def warmup_figure(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draw ``{name: warmup_curve(...)}``, call by call, on a log axis.

    :func:`warmup_caption` says the same in words. Raises ValueError where there is no curve.
    """
    import matplotlib.pyplot as plt

    _check_curves(curves)
    unit, scale = _unit(min(min(times) for times in curves.values()))
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    plt.close(figure)
    looks = itertools.cycle(zip("osD^vXP*", ["-", "--", ":", "-."] * 2, strict=True))
    for (name, times), (marker, dashes) in zip(curves.items(), looks, strict=False):
        calls, heights = range(1, len(times) + 1), [t / scale for t in times]
        axes.plot(calls, heights, marker=marker, linestyle=dashes, markersize=5, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("call")
    axes.set_ylabel(f"time of the call ({unit}), log scale")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def warmup_caption(curves: Mapping[str, Sequence[float]]) -> str:
    """Say in words what :func:`warmup_figure` shows: the first call, the last ones, and the first fast one.

    A call counts as fast when it takes at most 1.5 times the median of the last three.
    """
    _check_curves(curves)
    said = ["Time of each call, in order, log scale."]
    for name, times in curves.items():
        level = statistics.median(times[-WINDOW:])
        fast = next(i for i, t in enumerate(times, 1) if t <= 1.5 * level)
        unit, scale = _unit(level)
        said.append(
            f"{name}: the first call takes {_number(times[0] / level)} times as long as the last ones "
            f"({_number(level / scale)} {unit}); call {fast} is the first fast one."
        )
    return " ".join(said)


def _check_curves(curves: Mapping[str, Sequence[float]]) -> None:
    if not curves or not all(curves.values()):
        raise ValueError("There is no warm-up to show: pass {'scripted': warmup_curve(scripted, x)}.")


def _verdict(row: SpeedRow) -> str:
    return f"{VERDICT_SYMBOL[row.verdict]} {row.verdict}"


def _warmup(row: SpeedRow) -> str:
    if not row.warmup_calls:
        return ""
    first = _number(row.first_call_s / row.median_s)
    end = "" if row.warmed_up else ", not settled"
    return f"{_count(row.warmup_calls, 'call')}, first took {first} ×{end}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _unit(seconds: float) -> tuple[str, float]:
    """The unit in which this time is a number from 1 to 1000, and its length in seconds."""
    unit, scale = benchmark.select_unit(seconds)
    return unit.replace("us", "µs"), scale


def _number(x: float, digits: int = 3) -> str:
    """``digits`` significant digits, without an exponent: 0.0123, 1.50, 120, 4560."""
    if not math.isfinite(x):
        return str(x)
    rounded = float(f"{x:.{digits}g}")
    if rounded == 0:
        return "0"
    return f"{rounded:.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"
