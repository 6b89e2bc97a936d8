"""What `migrate` found: an attempt for each route, and the report of all."""

from __future__ import annotations

from dataclasses import dataclass

from course_utils.core.errors import CourseError
from course_utils.core.report import Report, html_list, html_paragraph, html_table, wrapped

ROUTES = {
    "convert": "TS2EPConverter → .pt2",
    "export": "torch.export → .pt2",
    "onnx": "ONNX",
    "aoti": "AOTInductor package",
}
MATCHES, PARTLY, DIFFERS, RAISES = "matches", "partly", "differs", "raises"


class MigrationError(CourseError, ValueError):
    """The arguments cannot be used: no such file, not an archive, inputs that the model rejects, a file in the way."""


@dataclass(frozen=True)
class Attempt:
    """One route. outcome: "matches" (equal on every input), "partly" (equal or an error on each), "differs" (silently
    other values), "raises" (the conversion raised, or its result does on every input), "crashed", "timed out".

    text: what was seen. matches, raises, differs: the names of the inputs, by what the result did with them.
    file: the name of the file that it wrote into the folder that was asked for, or "".
    """

    route: str
    outcome: str
    text: str = ""
    matches: tuple[str, ...] = ()
    raises: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    file: str = ""


@dataclass(frozen=True)
class MigrationReport(Report):
    """What `migrate` found. reference: what the results were compared with, "the archive" or "eager". facts: what was
    seen of the source; inputs: the names of the inputs tried; attempts: one a route, in order; advice: what to do next,
    most useful first."""

    source: str
    reference: str
    facts: tuple[str, ...]
    inputs: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    advice: tuple[str, ...]

    @property
    def best(self) -> Attempt | None:
        """The first route that matches on every input, or None."""
        return next((a for a in self.attempts if a.outcome == MATCHES), None)

    @property
    def ok(self) -> bool:
        """Whether some route matches on every input that was tried."""
        return self.best is not None

    @property
    def headline(self) -> str:
        if self.best:
            route = ROUTES[self.best.route]
            return f"{self.source}: {route} matches {self.reference} on all {len(self.inputs)} inputs tried"
        if any(a.outcome == PARTLY for a in self.attempts):
            return f"{self.source}: migrated in part; some inputs raise"
        return f"{self.source}: no route migrates it mechanically"

    @property
    def findings(self) -> tuple[str, ...]:
        """What each route that does not match did instead."""
        return tuple(f"{ROUTES[a.route]} {a.outcome}: {a.text}" for a in self.attempts if a.outcome != MATCHES)

    def rows(self) -> list[tuple[str, str, str]]:
        """Route, outcome and what was seen, a row for each attempt."""
        return [(ROUTES[a.route], a.outcome, a.text + (f" (file: {a.file})" if a.file else "")) for a in self.attempts]

    def text(self) -> str:
        """The report as plain text."""
        lines = [self.headline]
        lines += [f"  seen: {fact}" for fact in self.facts]
        lines += [f"  {route}: {outcome}{' - ' if seen else ''}{seen}" for route, outcome, seen in self.rows()]
        lines += [f"  inputs tried: {', '.join(self.inputs)}"]
        lines += [f"  next: {line}" for line in self.advice]
        return wrapped(lines)

    def html_parts(self) -> list[str]:
        return [
            html_list(self.facts),
            html_table(("route", "outcome", "seen"), self.rows(), row_heads=True),
            html_paragraph(f"inputs tried: {', '.join(self.inputs)}"),
            html_list(self.advice, ordered=True, title="next:"),
        ]
