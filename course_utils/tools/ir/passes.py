"""What changed between two graphs, and what each compiler pass does on its own.

The passes are private functions of torch (`torch._C._jit_pass_<name>`), checked with torch 2.15.0.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from course_utils.core.report import html_block, html_paragraph, html_table, text_table
from course_utils.tools.ir.graph import graph_of, op_counts, show

PASSES = ("constant_propagation", "constant_pooling", "cse", "dce", "peephole", "inline")
PASS_MEANING = {
    "constant_propagation": "computes what depends on constants only, prunes branches never taken",
    "constant_pooling": "keeps one copy of equal constants",
    "cse": "common subexpression elimination: computes equal expressions once",
    "dce": "dead code elimination: drops what nothing uses",
    "peephole": "rewrites small patterns, such as x * 1",
    "inline": "writes called functions and submodules out in place",
    "loop_unrolling": "writes short loops out",
    "lower_all_tuples": "takes tuples apart",
    "remove_mutation": "turns in-place operators into ones that return a new tensor",
}
PASS_HEADS = ("pass", "before", "after", "change", "what changed")


@dataclass(frozen=True)
class GraphDiff:
    """Operator counts of two graphs side by side. `before` and `after` map kind to count."""

    before: dict[str, int]
    after: dict[str, int]
    names: tuple[str, str] = ("before", "after")

    @property
    def total_before(self) -> int:
        """Number of nodes before."""
        return sum(self.before.values())

    @property
    def total_after(self) -> int:
        """Number of nodes after."""
        return sum(self.after.values())

    @property
    def delta(self) -> dict[str, int]:
        """Kind -> change, for the kinds whose count changed."""
        return {kind: b - a for kind, a, b in self.rows() if a != b}

    def rows(self) -> list[tuple[str, int, int]]:
        """(kind, count before, count after) for every kind: most frequent before first, then by name."""
        kinds = sorted({*self.before, *self.after}, key=lambda k: (-self.before.get(k, 0), -self.after.get(k, 0), k))
        return [(kind, self.before.get(kind, 0), self.after.get(kind, 0)) for kind in kinds]

    def _cells(self) -> list[list[str]]:
        rows = [*self.rows(), ("all nodes", self.total_before, self.total_after)]
        return [[kind, str(a), str(b), _change(b - a)] for kind, a, b in rows]

    def text(self) -> str:
        """The counts as a plain table."""
        return text_table(["kind", *self.names, "change"], self._cells())

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        return html_table(["kind", *self.names, "change"], self._cells(), row_heads=True)

    def figure(self, *, constants: bool = True) -> Any:
        """A matplotlib `Figure`: two bars a kind, each with its count, distinguished by hatching and colour.

        The figure is closed for pyplot, so a notebook shows it once: as the last value of the cell.

        `constants=False` leaves out `prim::Constant` and `prim::GetAttr`.
        """
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        rows = [row for row in self.rows() if constants or row[0] not in ("prim::Constant", "prim::GetAttr")][::-1]
        # Inches for a kind, points for a count: a long list stays on a screen.
        step, size = (0.42, 9) if len(rows) <= 12 else (0.3, 8)
        figure, axes = plt.subplots(figsize=(7.5, 1.4 + step * max(1, len(rows))), layout="constrained")
        plt.close(figure)
        heights = range(len(rows))
        styles = (("#bcd4ea", "", 0.2), ("#2f6690", "///", -0.2))
        for index, (colour, hatch, shift) in enumerate(styles):
            counts = [row[1 + index] for row in rows]
            bars = axes.barh([y + shift for y in heights], counts, 0.38, label=self.names[index])
            for bar in bars:
                bar.set(facecolor=colour, edgecolor="#10243a", hatch=hatch, linewidth=0.8)
            axes.bar_label(bars, labels=[str(count) for count in counts], padding=3, fontsize=size)
        axes.set_yticks(list(heights), [row[0] for row in rows])
        axes.set_xlabel("number of nodes")
        axes.set_ylabel("kind of node")
        left_out = "" if constants else " (constants and attributes not drawn)"
        axes.set_title(f"{self.total_before} nodes {self.names[0]}, {self.total_after} {self.names[1]}{left_out}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.1, y=0.02)
        axes.legend()
        return figure


def compare(
    before: Any, after: Any, *, inlined: bool = True, names: tuple[str, str] = ("before", "after")
) -> GraphDiff:
    """Count the operators of two graphs, side by side. Takes what `graph_of` takes."""
    return GraphDiff(op_counts(before, inlined=inlined), op_counts(after, inlined=inlined), names)


@dataclass(frozen=True)
class PassEffect:
    """What one pass did: the counts before and after, and the IR text it left."""

    name: str
    diff: GraphDiff
    changed: bool
    text: str

    @property
    def meaning(self) -> str:
        """One line on what the pass is for; empty for a pass this module does not know."""
        return PASS_MEANING.get(self.name, "")

    @property
    def before(self) -> int:
        """Number of nodes before the pass."""
        return self.diff.total_before

    @property
    def after(self) -> int:
        """Number of nodes after the pass."""
        return self.diff.total_after

    @property
    def summary(self) -> str:
        """The kinds whose count changed, such as `aten::mul -1`."""
        if self.diff.delta:
            return ", ".join(f"{kind} {_change(d)}" for kind, d in self.diff.delta.items())
        return "counts stay, the graph differs" if self.changed else "no change"


@dataclass(frozen=True)
class PassReport:
    """What each pass did. `report["cse"]` gives one `PassEffect`."""

    effects: tuple[PassEffect, ...]
    in_sequence: bool = False

    def __getitem__(self, name: str) -> PassEffect:
        for effect in self.effects:
            if effect.name == name:
                return effect
        raise KeyError(f"{name} was not run; these were: {', '.join(effect.name for effect in self.effects)}")

    def __iter__(self) -> Iterator[PassEffect]:
        return iter(self.effects)

    def _rows(self) -> list[list[str]]:
        return [[e.name, str(e.before), str(e.after), _change(e.after - e.before), e.summary] for e in self.effects]

    @property
    def _title(self) -> str:
        alone = "its own copy of the inlined graph (inline: of the graph as it is)"
        start = "what the pass above it left" if self.in_sequence else alone
        return f"each pass starts from {start}; numbers are nodes"

    def text(self) -> str:
        """What each pass did as a plain table."""
        rows = []
        for *numbers, words in self._rows():
            first, *more = textwrap.wrap(words, 60)
            rows += [[*numbers, first], *(["", "", "", "", line] for line in more)]
        return f"{self._title}\n{text_table(PASS_HEADS, rows)}"

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        return html_block(html_paragraph(self._title), html_table(PASS_HEADS, self._rows(), row_heads=True))


def pass_effects(obj: Any, passes: Iterable[str] | None = None, *, in_sequence: bool = False) -> PassReport:
    """Run each named pass alone, on its own copy of the graph; the original graph is not touched.

    `passes`: names without `_jit_pass_`, such as `"cse"`; by default `PASSES`. The pass `inline` starts from
    the graph as it is, every other pass from the inlined graph: a graph full of method calls leaves it
    nothing to do. `in_sequence=True` lets every pass start from what the one before it left.

    Raises ValueError for a name that torch does not have.
    """
    as_it_is = graph_of(obj)
    current = graph_of(obj, inlined=True)
    effects = []
    for name in PASSES if passes is None else passes:
        run = _pass(name)
        start = as_it_is if name == "inline" and not in_sequence else current
        graph = start.copy()
        run(graph)
        text = show(graph)
        diff = GraphDiff(op_counts(start, inlined=False), op_counts(graph, inlined=False))
        # A copy may rename values, so the text is compared with that of an untouched copy.
        effects.append(PassEffect(name, diff, text != show(start.copy()), text))
        if in_sequence:
            current = graph
    return PassReport(tuple(effects), in_sequence)


def _pass(name: str) -> Any:
    run = getattr(torch._C, f"_jit_pass_{name}", None)
    if run is None:
        known = [entry.removeprefix("_jit_pass_") for entry in dir(torch._C) if entry.startswith("_jit_pass_")]
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}" if near else f"try one of {', '.join(PASSES)}"
        raise ValueError(f'torch has no pass "{name}"; {hint}')
    return run


def _change(delta: int) -> str:
    return f"{delta:+d}" if delta else "0"
