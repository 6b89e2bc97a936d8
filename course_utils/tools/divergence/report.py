"""What a search found, as data, as text and as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from course_utils.core.cases import Case
from course_utils.core.report import Report, html_paragraph, html_table
from course_utils.tools.parity import Finding


@dataclass(frozen=True)
class Divergence:
    """One input for which reference and candidate return different results.

    kind: the change that found it, one of `KINDS`, or "example" (the given input itself) or "mixed". change: what was
    changed, in words. case: the minimal failing example. finding: what differs there.
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

    @property
    def headline(self) -> str:
        by = "the example itself" if self.kind == "example" else f"{self.kind}: {self.change}"
        return f"DIVERGES in {self.finding.kind}, found by {by}"

    def rows(self) -> list[tuple[str, str]]:
        """The input, both results and the difference, label by label."""
        seen = self.finding
        rows = [("input", self.case.text), ("reference", seen.reference), ("candidate", seen.candidate)]
        rows += [("difference", seen.detail), ("look at", seen.hint)]
        return [(label, text) for label, text in rows if text]


@dataclass(frozen=True)
class Search(Report):
    """The outcome of `find_divergence`.

    found: the divergence, or None. tried: for each kind, the number of inputs that the reference accepted. rejected:
    inputs on which the reference raised, which say nothing. unguarded: one of those that the candidate accepts, in
    words, or "". complete: False where the time ran out. more: further divergences, where more than one was asked for.
    uncompared: an output that could not be compared, in words, or "". compared: the number of inputs for which an
    output was compared. ignored: differences that the options do not make findings, in words.
    """

    found: Divergence | None = None
    tried: dict[str, int] = field(default_factory=dict)
    rejected: int = 0
    unguarded: str = ""
    complete: bool = True
    more: tuple[Divergence, ...] = ()
    uncompared: str = ""
    compared: int = 0
    ignored: tuple[str, ...] = ()

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

    @property
    def headline(self) -> str:
        """The first line."""
        if self.found is None:
            return "NOT OK: nothing was compared" if self._blind else "no divergence found"
        return self.found.headline

    @property
    def scope(self) -> str:
        """What was tried, and what limits it."""
        parts = ", ".join(f"{count} {kind}" for kind, count in self.tried.items() if count)
        lines = [f"tried {sum(self.tried.values())} inputs ({parts or 'none'})"]
        lines += [f"the reference rejected {self.rejected} more"] if self.rejected else []
        lines += [] if self.complete else ["stopped: out of time"]
        return "; ".join(lines)

    def rows(self) -> list[tuple[str, str]]:
        """All that was found, label by label, and notes."""
        rows = self.found.rows() if self.found else []
        for one in self.more:
            rows += [("and", one.headline), *one.rows()]
        if self.unguarded:
            rows.append(("note", f"the reference rejects {self.unguarded}; the candidate accepts it"))
        if self.uncompared:
            rows.append(("note", f"not compared: {self.uncompared}"))
        return rows + [("note", f"ignored: {text}") for text in self.ignored if not self.found]

    def text(self) -> str:
        """The outcome as plain text."""
        return "\n".join([self.headline, *(f"  {label:<11}{text}" for label, text in self.rows()), self.scope])

    def html_parts(self) -> list[str]:
        return [html_paragraph(self.scope), html_table((), self.rows(), code=(1,), row_heads=True)]
