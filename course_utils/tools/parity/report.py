"""What a parity check found, as data, as text and as HTML."""

from __future__ import annotations

from dataclasses import dataclass, field

from course_utils.core.report import (
    Html,
    Report,
    cut,
    html_block,
    html_headline,
    html_list,
    html_table,
    html_text,
    plural,
)
from course_utils.tools.parity.compare import Stats
from course_utils.tools.parity.findings import Finding

LINES = 25  # no report is longer than this
ROWS = 12  # nor has its table more rows


@dataclass(frozen=True)
class ParityReport(Report):
    """The outcome of `check_parity`.

    ok: nothing serious was found. findings: the differences. worst: the statistics over all compared outputs.
    cases: inputs tried. calls: pairs of calls made. compared: pairs of output tensors compared. modes: those
    tried. notes: what limits the worth of this check, and differences that were accepted. both_raised: the names of
    the cases on which both sides raised.
    """

    findings: tuple[Finding, ...] = ()
    worst: Stats = field(default_factory=Stats)
    cases: int = 0
    calls: int = 0
    compared: int = 0
    modes: tuple[str, ...] = ("as_is",)
    notes: tuple[str, ...] = ()
    both_raised: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The first line of the report."""
        if self.findings:
            count = len(self.findings)
            if all(f.kind == "not compared" for f in self.findings):
                nothing = not self.compared and not self.worst.elements
                return "NOT OK: nothing was compared" if nothing else f"NOT OK: {count} of the outputs not compared"
            return f"DIFFERENT: {plural(count, 'finding')}"
        if not self.worst.elements:
            return "no difference found, but no value was compared"
        if self.worst.bit_equal:
            return "bitwise identical"
        w = self.worst
        return f"equal within tolerance (max abs {w.max_abs:.2g}, rtol {w.rtol:.2g}, atol {w.atol:.2g})"

    @property
    def scope(self) -> str:
        """How much was compared."""
        pairs = f"{plural(self.calls, 'pair')} of calls"
        modes = [] if self.modes == ("as_is",) else [f"modes {', '.join(self.modes)}"]
        return ", ".join([plural(self.cases, "case"), pairs, plural(self.compared, "tensor"), *modes])

    def text(self) -> str:
        """The report as plain text of at most 25 lines."""
        lines = [f"{self.headline}; {self.scope}"]
        notes = [f"note: {cut(n)}" for n in self.notes[:4]]
        if len(self.notes) > 4:
            notes.append(f"note: and {len(self.notes) - 4} more in .notes")
        room = LINES - len(lines) - len(notes) - 1
        given: set[str] = set()  # a hint is given once
        for i, finding in enumerate(self.findings):
            block = _block(i + 1, finding, hint=finding.hint not in given)
            given.add(finding.hint)
            if len(block) > room:
                lines.append(f"and {plural(len(self.findings) - i, 'more finding')} in .findings")
                break
            lines += block
            room -= len(block)
        return "\n".join(lines + notes)

    def _repr_html_(self) -> str:
        return html_block(html_headline(self.headline, self.ok, self.scope), *self.html_parts())

    def html_parts(self) -> list[str]:
        rows = [
            (
                f.kind,
                "\n".join(filter(None, [str(f.where), f.others, f"input {f.input}" if f.input else ""])),
                f.reference,
                f.candidate,
                "\n".join(filter(None, [f.detail, f.hint])),
            )
            for f in self.findings[:ROWS]
        ]
        left = len(self.findings) - ROWS
        more = Html(f"<p>and {left} more in <code>.findings</code></p>") if left > 0 else ""
        heads = ("kind", "where", "reference", "candidate", "what next")
        return [html_table(heads, rows, code=(2, 3)), more, html_list(html_text(f"note: {n}") for n in self.notes)]


def _block(rank: int, f: Finding, hint: bool) -> list[str]:
    others = f" ({f.others})" if f.others else ""
    sides = [f"reference {cut(f.reference, 180)}", f"candidate {cut(f.candidate, 180)}"]
    if sum(map(len, sides)) <= 90:
        sides = [" | ".join(sides)]
    lines = [*sides, cut(f.detail, 180)]
    lines += [f"input {cut(f.input, 180)}"] if f.input else []
    lines += [f"next: {f.hint}"] if f.hint and hint else []
    return [f"{rank}. {f.kind}: {f.where}{others}"] + [f"   {line}" for line in lines if line]
