"""The two figures: every round of a comparison, and the first calls of each candidate; each with its words."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch.utils import benchmark

from course_utils.tools.speed.statistics import WINDOW, SpeedRow, quartiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def rounds_figure(rows: Sequence[SpeedRow], labels: Sequence[str], title: str) -> Figure:
    """Every round as a dot, the middle half as a box and the median as a bar."""
    unit, scale = unit_of(min(min(row.times) for row in rows))
    figure, axes = _figure(1.2 + 0.55 * len(rows))
    for place, row in enumerate(rows):
        times = [t / scale for t in row.times]
        # Rounds run from the top of a strip to its bottom, so a drift through the run is seen as a slant.
        heights = [place - 0.26 + 0.52 * i / max(len(times) - 1, 1) for i in range(len(times))]
        low, high = quartiles(times)
        axes.barh(place, high - low, left=low, height=0.66, color="tab:orange", alpha=0.3, zorder=1)
        axes.plot(times, heights, "o", markersize=4, color="tab:blue", alpha=0.8, zorder=2)
        middle = row.median_s / scale
        axes.vlines(middle, place - 0.36, place + 0.36, color="black", linewidth=2.5, zorder=3)
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    everything = [t for row in rows for t in row.times]
    if max(everything) > 8 * min(everything):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(f"time per call ({unit}), log scale")
    else:
        axes.set_xlim(left=0)
        axes.set_xlabel(f"time per call ({unit})")
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, fontsize="medium")
    return figure


def warmup_figure(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draw ``{name: warmup_curve(...)}``, call by call, on a log axis.

    `warmup_caption` says the same in words. Raises ValueError where there is no curve.
    """
    from matplotlib.ticker import MaxNLocator

    _check_curves(curves)
    unit, scale = unit_of(min(min(times) for times in curves.values()))
    figure, axes = _figure(3.4)
    looks = itertools.cycle(zip("osD^vXP*", ["-", "--", ":", "-."] * 2, strict=True))
    for (name, times), (marker, dashes) in zip(curves.items(), looks, strict=False):
        calls, heights = range(1, len(times) + 1), [t / scale for t in times]
        axes.plot(calls, heights, marker=marker, linestyle=dashes, markersize=5, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("call")
    axes.set_ylabel(f"time of the call ({unit}), log scale")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def warmup_caption(curves: Mapping[str, Sequence[float]]) -> str:
    """Say in words what `warmup_figure` shows: the first call, the last ones, and the first fast one.

    A call counts as fast when it takes at most 1.5 times the median of the last three.
    """
    _check_curves(curves)
    sentences = ["Time of each call, in order, log scale."]
    for name, times in curves.items():
        level = statistics.median(times[-WINDOW:])
        fast = next(i for i, t in enumerate(times, 1) if t <= 1.5 * level)
        unit, scale = unit_of(level)
        sentences.append(
            f"{name}: the first call takes {number_text(times[0] / level)} times as long as the last ones "
            f"({number_text(level / scale)} {unit}); call {fast} is the first fast one."
        )
    return " ".join(sentences)


def _figure(height: float) -> tuple[Figure, Axes]:
    """A figure that is closed for pyplot, so a notebook shows it once: as the last value of the cell."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, height), layout="constrained")
    plt.close(figure)
    return figure, axes


def _check_curves(curves: Mapping[str, Sequence[float]]) -> None:
    if not curves or not all(curves.values()):
        raise ValueError("There is no warm-up to show: pass {'scripted': warmup_curve(scripted, x)}.")


def unit_of(seconds: float) -> tuple[str, float]:
    """The unit in which this time is a number from 1 to 1000, and its length in seconds."""
    unit, scale = benchmark.select_unit(seconds)
    return unit.replace("us", "µs"), scale


def number_text(x: float, digits: int = 3) -> str:
    """``digits`` significant digits, without an exponent: 0.0123, 1.50, 120, 4560."""
    if not math.isfinite(x):
        return str(x)
    rounded = float(f"{x:.{digits}g}")
    if rounded == 0:
        return "0"
    return f"{rounded:.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"
