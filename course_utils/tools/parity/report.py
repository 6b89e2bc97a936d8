"""What a parity check found, as data, as text and as HTML."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from course_utils.tools.parity.compare import Stats

LINES = 25  # no report is longer than this


@dataclass(frozen=True)
class Where:
    """The place of a finding: which case, which mode, which call (from 1), which part of the output."""

    case: str
    mode: str
    call: int
    path: str = "out"

    def __str__(self) -> str:
        mode = "" if self.mode == "as_is" else f", mode {self.mode}"
        return f"{self.path}, {self.case}{mode}, call {self.call}"


@dataclass(frozen=True)
class Finding:
    """One difference, shown at the smallest input that has it.

    kind: "value", "shape", "dtype", "device", "layout", "structure", "raises", "input mutation", "state",
    "randomness", "mode", "grad", "memory", "quantisation" or "not compared". where: the place. reference,
    candidate: short texts, to be read side by side. detail: what exactly differs. input: the failing input, short.
    hint: what to look at next. also: the other places with the same difference.
    """

    kind: str
    where: Where
    reference: str
    candidate: str
    detail: str = ""
    input: str = ""
    hint: str = ""
    also: tuple[Where, ...] = ()

    @property
    def others(self) -> str:
        """ "same in 5 other calls (cases: …)", or nothing."""
        if not self.also:
            return ""
        cases = list(dict.fromkeys(w.case for w in self.also if w.case != self.where.case))
        modes = list(dict.fromkeys(w.mode for w in self.also if w.mode != self.where.mode))
        parts = []
        if cases:
            parts.append(f"{len(cases)} other case" + "s" * (len(cases) > 1))
        if modes:
            parts.append("mode " + ", ".join(modes))
        if not parts:
            parts.append(f"{len(self.also)} other call" + "s" * (len(self.also) > 1))
        return "same in " + " and ".join(parts)


@dataclass(frozen=True)
class ParityReport:
    """The outcome of `check_parity`.

    ok: nothing serious was found. findings: the differences. worst: the statistics over all compared outputs.
    cases: inputs tried. calls: pairs of calls made. compared: pairs of output tensors compared. modes: those
    tried. notes: what limits the worth of this check, and differences that were let pass.
    """

    findings: tuple[Finding, ...] = ()
    worst: Stats = field(default_factory=Stats)
    cases: int = 0
    calls: int = 0
    compared: int = 0
    modes: tuple[str, ...] = ("as_is",)
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    @property
    def headline(self) -> str:
        """The first line of the report."""
        if self.findings:
            count = len(self.findings)
            if all(f.kind == "not compared" for f in self.findings):
                nothing = not self.compared and not self.worst.elements
                return "NOT OK: nothing was compared" if nothing else f"NOT OK: {count} of the outputs not compared"
            return f"DIFFERENT: {count} finding{'s' * (count > 1)}"
        if not self.worst.elements:
            return "no difference found, but no value was compared"
        if self.worst.bit_equal:
            return "equal to the last bit"
        w = self.worst
        return f"equal within tolerance (max abs {w.max_abs:.2g}, rtol {w.rtol:.2g}, atol {w.atol:.2g})"

    @property
    def scope(self) -> str:
        """How much was compared."""
        plural = lambda n, word: f"{n} {word}{'s' * (n != 1)}"  # noqa: E731
        parts = [
            plural(self.cases, "case"),
            plural(self.calls, "pair") + " of calls",
            plural(self.compared, "tensor"),
        ]
        modes = "" if self.modes == ("as_is",) else f", modes {', '.join(self.modes)}"
        return ", ".join(parts) + modes

    def text(self) -> str:
        """The report as plain text of at most 25 lines."""
        lines = [f"{self.headline}; {self.scope}"]
        notes = [f"note: {_cut(n, 200)}" for n in self.notes[:4]]
        if len(self.notes) > 4:
            notes.append(f"note: and {len(self.notes) - 4} more in .notes")
        room = LINES - len(lines) - len(notes) - 1
        told: set[str] = set()
        for i, finding in enumerate(self.findings):
            block = _block(i + 1, finding, hint=finding.hint not in told)
            told.add(finding.hint)
            if len(block) > room:
                left = len(self.findings) - i
                lines.append(f"and {left} more finding{'s' * (left > 1)} in .findings")
                break
            lines += block
            room -= len(block)
        return "\n".join(lines + notes)

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        mark = "&#10003; " if self.ok else "&#10007; "
        cell = (
            "border:1px solid currentColor;padding:0.3em 0.5em;text-align:left;"
            "vertical-align:top;overflow-wrap:anywhere"
        )
        parts = [
            '<div style="max-width:100%">',
            f"<p><strong>{mark}{html.escape(self.headline)}</strong><br>{html.escape(self.scope)}</p>",
        ]
        if self.findings:
            heads = ("kind", "where", "reference", "candidate", "what next")
            parts.append(
                '<table style="border-collapse:collapse;font-size:90%;width:100%;table-layout:fixed"><thead><tr>'
            )
            parts += [f'<th scope="col" style="{cell}">{h}</th>' for h in heads]
            parts.append("</tr></thead><tbody>")
            for f in self.findings[:12]:
                where = [str(f.where), f.others, f"input {f.input}" if f.input else ""]
                row = (
                    html.escape(f.kind),
                    "<br>".join(html.escape(w) for w in where if w),
                    f"<code>{html.escape(f.reference)}</code>",
                    f"<code>{html.escape(f.candidate)}</code>",
                    "<br>".join(html.escape(w) for w in (f.detail, f.hint) if w),
                )
                parts.append("<tr>" + "".join(f'<td style="{cell}">{c}</td>' for c in row) + "</tr>")
            parts.append("</tbody></table>")
            if len(self.findings) > 12:
                parts.append(f"<p>and {len(self.findings) - 12} more in <code>.findings</code></p>")
        if self.notes:
            parts.append("<ul>" + "".join(f"<li>note: {html.escape(n)}</li>" for n in self.notes) + "</ul>")
        return "\n".join([*parts, "</div>"])


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _block(rank: int, f: Finding, hint: bool) -> list[str]:
    others = f" ({f.others})" if f.others else ""
    sides = [f"reference {_cut(f.reference, 180)}", f"candidate {_cut(f.candidate, 180)}"]
    if sum(map(len, sides)) <= 90:
        sides = [" | ".join(sides)]
    lines = [*sides, _cut(f.detail, 180)]
    lines += [f"input {_cut(f.input, 180)}"] if f.input else []
    lines += [f"next: {f.hint}"] if f.hint and hint else []
    return [f"{rank}. {f.kind}: {f.where}{others}"] + [f"   {line}" for line in lines if line]
