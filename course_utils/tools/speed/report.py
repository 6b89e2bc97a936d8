"""What a comparison of speed found: as a table, as HTML, as a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.core.report import (
    Report,
    html_block,
    html_headline,
    html_list,
    html_paragraph,
    html_table,
    plural,
    text_table,
)
from course_utils.tools.speed.figures import number_text, rounds_figure, unit_of
from course_utils.tools.speed.statistics import MARGIN, SpeedRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUSY = 0.25  # IQR above this fraction of the median: the machine was busy
HEADS = ("", "median", "IQR", "calls/round", "speed", "interval", "verdict", "warm-up")
SYMBOL = {"baseline": "•", "faster": "▲", "slower": "▼", "no difference shown": "?"}


@dataclass(frozen=True)
class SpeedReport(Report):
    """What `compare_speed` measured: print it, show it in a notebook, or draw it (`figure`).

    findings: what makes these numbers doubtful; ok: nothing does. Which candidate is faster is `verdict`.
    """

    rows: tuple[SpeedRow, ...]
    rounds: int  # rounds measured
    rounds_asked: int  # more than rounds where the time limit was reached
    threads: int
    grad_mode: str  # "grad mode on", "grad mode off" or "inference mode"
    coverage: float  # probability that the interval of a ratio contains its true median
    margin: float = MARGIN  # the smallest difference that gets a verdict
    changed: tuple[str, ...] = ()  # candidates whose calls changed their input

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
    def headline(self) -> str:
        """Every candidate's verdict, in one line."""
        if len(self.rows) == 1:
            unit, scale = unit_of(self.rows[0].median_s)
            return f"{self.rows[0].name}: {number_text(self.rows[0].median_s / scale)} {unit} per call"
        return f"against {self.rows[0].name}: " + ", ".join(f"{row.name} {_verdict(row)}" for row in self.rows[1:])

    @property
    def method(self) -> str:
        """How the numbers were made, in one sentence."""
        fewer = f" of {self.rounds_asked} (time limit reached)" if self.rounds < self.rounds_asked else ""
        return f"{self.rounds} interleaved rounds{fewer}, {plural(self.threads, 'thread')}, {self.grad_mode}"

    @property
    def findings(self) -> tuple[str, ...]:
        """What makes these numbers doubtful; empty when nothing does."""
        found = []
        if self.changed:
            found.append(
                f"{', '.join(self.changed)} changed the input in place, so later calls got other values: "
                "let the candidate work on a copy, x.clone()."
            )
        if busy := [row.name for row in self.rows if row.iqr_s > BUSY * row.median_s]:
            found.append(
                f"The times of {', '.join(busy)} scatter by more than a quarter of their median: "
                "close what else runs on this machine and measure again."
            )
        if cold := [row.name for row in self.rows if not row.warmed_up]:
            found.append(f"Warm-up ended before {', '.join(cold)} had settled: raise warmup_limit or seconds.")
        return tuple(found)

    @property
    def caption(self) -> str:
        """What `figure` shows, in words."""
        sentences = [
            f"Time per call of {', '.join(row.name for row in self.rows)} ({self.method}). One dot is one "
            "round, first round on top; the box is the middle half of the rounds, the bar their median."
        ]
        for row in self.rows[1:]:
            sentences.append(
                f"{row.name}: {row.verdict}, {number_text(row.ratio)} times as fast as {self.rows[0].name} "
                f"({number_text(row.ratio_low)} to {number_text(row.ratio_high)})."
            )
        return " ".join([*sentences, *self.findings])

    def figure(self) -> Figure:
        """Draw every round as a dot, the middle half as a box and the median as a bar; words in ``caption``.

        The figure is closed for pyplot, so a notebook shows it once: as the last value of the cell.
        """
        return rounds_figure(self.rows, [f"{row.name}\n{_verdict(row)}" for row in self.rows], self.method)

    def text(self) -> str:
        """The report as a plain table."""
        return "\n".join([text_table(HEADS, self._cells()), f"{self.method}; {self._reading}", *self.findings])

    def _repr_html_(self) -> str:
        # Without ✓ or ✗: a comparison of times neither passes nor fails.
        return html_block(html_headline(self.headline), *self.html_parts())

    def html_parts(self) -> list[str]:
        return [
            html_table(HEADS, self._cells(), row_heads=True),
            html_paragraph(f"{self.method}; {self._reading}"),
            html_list(self.findings),
        ]

    def _cells(self) -> list[list[str]]:
        fastest = min(row.median_s for row in self.rows)
        # One unit for all makes the column comparable, unless that would give very long numbers.
        wide = max(row.median_s for row in self.rows) >= 1000 * fastest
        cells = []
        for row in self.rows:
            unit, scale = unit_of(row.median_s if wide else fastest)
            base = row.verdict == "baseline"
            # Below a ten-thousandth of the median there is nothing but rounding.
            iqr = row.iqr_s if row.iqr_s > 1e-4 * row.median_s else 0.0
            cells.append(
                [
                    row.name,
                    f"{number_text(row.median_s / scale)} {unit}",
                    f"{number_text(iqr / scale, digits=2)} {unit}",
                    str(row.calls_per_round),
                    "1" if base else f"{number_text(row.ratio)} ×",
                    "" if base else f"{number_text(row.ratio_low)} to {number_text(row.ratio_high)}",
                    _verdict(row),
                    _warmup(row),
                ]
            )
        return cells

    @property
    def _reading(self) -> str:
        if len(self.rows) == 1:
            return "one candidate: nothing to compare."
        return (
            f"speed = {self.rows[0].name}'s time / own time, median over the rounds (above 1 is faster), "
            f"with its {100 * self.coverage:.3g} % interval. An interval that covers 1, or a difference "
            f"under {100 * self.margin:.3g} %, shows no difference."
        )


def _verdict(row: SpeedRow) -> str:
    return f"{SYMBOL[row.verdict]} {row.verdict}"


def _warmup(row: SpeedRow) -> str:
    if not row.warmup_calls:
        return ""
    first = number_text(row.first_call_s / row.median_s)
    return f"{plural(row.warmup_calls, 'call')}, first took {first} ×{'' if row.warmed_up else ', not settled'}"
