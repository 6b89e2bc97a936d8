"""The statistics of a comparison: pure functions on given times. No clock, no torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.99  # of the interval around the median ratio; see median_interval
MARGIN = 0.03  # smallest difference that gets a verdict: deep copies of one model differ by up to
# 2 % (measured with this package), for where their weights happen to lie in memory
WINDOW = 3  # warm-up: the last three calls are set against the three before them
TOLERANCE = 0.10  # warm-up: … and may differ by this much


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return ``(low, high, coverage)``, an interval for the true median of ``values``.

    Distribution-free: with x(1) ≤ … ≤ x(n), the interval from x(k) to x(n+1-k) contains the true median with
    probability 1 - 2·P(Binomial(n, 1/2) < k), whatever the distribution of the (independent) values. The greatest k
    with at least ``confidence`` is taken; where even k = 1 falls short of it (five values: 0.94), the full range is
    returned with the coverage that it has.

    Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed. 2003, section 7.1. T. Hoefler and R. Belli,
    Scientific Benchmarking of Parallel Computing Systems, SC 2015, advise it for run times, which are skewed and have
    outliers.

    Raises ValueError for no values, a value that is not finite, or a confidence outside 0 to 1.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError("median_interval needs finite values, at least one: pass the ratios of the rounds.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; pass a number between 0 and 1, such as 0.99.")
    ordered, n = sorted(values), len(values)

    def coverage(k: int) -> float:
        return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / (1 << n)

    k = max((k for k in range(1, (n + 1) // 2 + 1) if coverage(k) >= confidence), default=1)
    return ordered[k - 1], ordered[n - k], coverage(k)


def settled(times: Sequence[float], window: int = WINDOW, tolerance: float = TOLERANCE) -> bool:
    """Have the times of single calls stopped changing?

    True when the median of the last ``window`` times is within ``tolerance`` (a fraction) of the median of the
    ``window`` before them. Needs 2 · ``window`` times.
    """
    if len(times) < 2 * window:
        return False
    earlier = statistics.median(times[-2 * window : -window])
    later = statistics.median(times[-window:])
    return abs(later - earlier) <= tolerance * earlier


@dataclass(frozen=True)
class SpeedRow:
    """One candidate of a `SpeedReport`. Times are seconds per call."""

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

    The ratio of a candidate is the median over the rounds of (baseline's time / candidate's time): above 1 the
    candidate is faster. Both times of a ratio come from the same round, so what slows a whole round cancels. Its
    interval is `median_interval` of the same ratios. The verdict is "faster" or "slower" only where the whole interval
    lies on one side of 1 and the ratio is beyond 1 + ``margin`` (or below 1 / (1 + ``margin``)), else "no difference
    shown".

    Raises ValueError for no candidates, for rounds that are missing or differ in number, and for times that are not
    positive and finite.
    """
    if not samples:
        raise ValueError("There is nothing to summarise: pass at least one candidate.")
    rounds = {len(times) for times in samples.values()}
    if len(rounds) != 1 or 0 in rounds:
        raise ValueError("Every candidate needs one time per round, one round at least: measure all of them.")
    for name, times in samples.items():
        if not all(math.isfinite(t) and t > 0 for t in times):
            raise ValueError(f"{name!r} has a time that is not a positive number: measure it again.")

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
        low_quartile, high_quartile = quartiles(times)
        iqr = high_quartile - low_quartile
        rows.append(SpeedRow(name, statistics.median(times), iqr, ratio, low, high, verdict, tuple(times)))
    return tuple(rows)


def quartiles(times: Sequence[float]) -> tuple[float, float]:
    """First and third quartile by linear interpolation, as ``Measurement.iqr`` and ``numpy.quantile`` have them."""
    if len(times) == 1:
        return times[0], times[0]
    low, _, high = statistics.quantiles(times, n=4, method="inclusive")
    return low, high
