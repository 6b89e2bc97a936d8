"""One page on one model, from inspection to migration: inspect, convert, gate, optimise, measure, save, serve, migrate.

    page = ModelReport("reader")
    page.add("inspect", model)
    page.add("gate", check_parity(model, converted, inputs))
    page.not_run("serve", "no C++ compiler here")
    page                                        # in a notebook: the page
    page.write()                                # build/reports/reader.html, which needs nothing else

A model report measures nothing. It takes the reports of the other tools, or a sentence, reads the verdict in them, and
puts them in the order of the stages. The page also says which stages are missing.
"""

from __future__ import annotations

import contextlib
import datetime
import html
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.core.errors import CourseError
from course_utils.core.report import (
    Html,
    Report,
    cut,
    html_block,
    html_headline,
    html_table,
    html_text,
    plural,
    wrapped,
)

STAGES = {
    "inspect": "what it is",
    "convert": "the form in which it is deployed",
    "gate": "whether the converted form does what the original does",
    "optimise": "freezing and folding",
    "measure": "time for each call",
    "save": "the file that is deployed",
    "serve": "the file in a program without Python",
    "migrate": "the way out of TorchScript",
}
OK, WARN, FAIL, NOT_RUN = "ok", "warn", "fail", "not run"
OUTCOMES = {OK: "✓", NOT_RUN: "–", WARN: "!", FAIL: "✗"}  # the worst comes last
_STATES = {WARN: "warning", FAIL: "problem"}
MARKER = '<meta name="generator" content="model report of the TorchScript course">'
_EARLIER_MARKER = '<meta name="generator" content="dossier of the TorchScript course">'
LINES = 5  # of details for each entry, so that eight stages stay on a page
WIDTH = 150


class ModelReportError(CourseError, ValueError):
    """A stage that does not exist, evidence that says nothing, or a file in the way. The text ends with what to do."""


@dataclass(frozen=True)
class Entry:
    """One thing that was found at one stage.

    outcome: "ok", "warn", "fail" or "not run". says: one line, the same on every machine. details: more lines, which
    may contain times and last digits.
    """

    stage: str
    outcome: str
    says: str
    details: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{self.stage}: {self.outcome} - {self.says}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(repr=False)
class ModelReport(Report):
    """The page on one model. subject: its name, which names the file too. entries: in the order they were added."""

    subject: str
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.slug:
            raise ModelReportError(f"the subject {self.subject!r} has no letter or digit; give the model a name")

    @property
    def slug(self) -> str:
        """The subject as a part of a file name."""
        return re.sub(r"[^a-z0-9]+", "-", self.subject.lower()).strip("-")

    @property
    def missing(self) -> tuple[str, ...]:
        """The stages that have no entry yet, in order."""
        there = {entry.stage for entry in self.entries}
        return tuple(stage for stage in STAGES if stage not in there)

    @property
    def outcomes(self) -> dict[str, str]:
        """The worst outcome of each stage that has an entry, in the order of the stages."""
        order = list(OUTCOMES)
        found: dict[str, str] = {}
        for stage in STAGES:
            seen = [entry.outcome for entry in self.entries if entry.stage == stage]
            if seen:
                found[stage] = max(seen, key=order.index)
        return found

    @property
    def ok(self) -> bool:
        """Every stage has an entry, and none failed."""
        return not self.missing and FAIL not in self.outcomes.values()

    @property
    def findings(self) -> tuple[Entry, ...]:
        """The entries that warn or failed."""
        return tuple(entry for entry in self.entries if entry.outcome in _STATES)

    @property
    def headline(self) -> str:
        """How many stages ended how, in one line."""
        ends = list(self.outcomes.values())
        counts = [f"{ends.count(x)} {x}" for x in (OK, WARN, FAIL, NOT_RUN) if x in ends]
        if self.missing:
            counts.append(f"{len(self.missing)} without an entry")
        return f"{self.subject}: " + ", ".join(counts)

    def add(self, stage: str, evidence: Any, *, outcome: str | None = None, note: str = "") -> Entry:
        """Put something found on the page, and return the entry.

        stage: one of :data:`STAGES`. evidence: a report of `archive.inspect`, `recommend`, `check_parity`,
        `compare_speed`, `native.run` or `migrate`; a module; or a sentence, which needs an ``outcome``.
        outcome: "ok", "warn" or "fail" in place of the one that the evidence has; a ``note`` must say why.
        An entry that says the same as an earlier one of its stage takes its place, so that a cell can be run again.
        Raises :class:`ModelReportError` for an unknown stage, outcome or evidence.
        """
        if stage not in STAGES:
            raise ModelReportError(f"there is no stage {stage!r}; the stages are {', '.join(STAGES)}")
        if outcome not in (None, OK, WARN, FAIL):
            raise ModelReportError(f"{outcome!r} is not an outcome; give ok, warn or fail, or call not_run")
        if isinstance(evidence, str):
            if outcome is None:
                raise ModelReportError("a sentence alone has no verdict; give outcome= ok, warn or fail")
            entry = Entry(stage, outcome, evidence)
        else:
            if outcome is not None and not note:
                raise ModelReportError("the evidence has a verdict of its own; say in note= why it is another one here")
            entry = _read(stage, evidence)
            if outcome is not None:
                entry = Entry(stage, outcome, entry.says, entry.details)
        if note:
            entry = Entry(stage, entry.outcome, f"{entry.says}; {note}", entry.details)
        return self._put(entry)

    def not_run(self, stage: str, because: str) -> Entry:
        """Say on the page that a stage was not run here, and why."""
        if stage not in STAGES:
            raise ModelReportError(f"there is no stage {stage!r}; the stages are {', '.join(STAGES)}")
        if not because.strip():
            raise ModelReportError("say why the stage was not run")
        return self._put(Entry(stage, NOT_RUN, f"not run here, because {because}"))

    def _put(self, entry: Entry) -> Entry:
        for at, other in enumerate(self.entries):
            if (other.stage, other.says) == (entry.stage, entry.says):
                self.entries[at] = entry
                return entry
        self.entries.append(entry)
        return entry

    def text(self) -> str:
        """The page as plain text, without the details: the same on every machine."""
        lines = [self.headline]
        for stage in STAGES:
            seen = [entry for entry in self.entries if entry.stage == stage]
            for entry in seen:
                lines.append(f"  {OUTCOMES[entry.outcome]} {entry}")
            if not seen:
                lines.append(f"    {stage}: no entry")
        return wrapped(lines)

    def page(self, date: datetime.date | None = None) -> str:
        """The whole HTML file: light and dark, fit for one printed page, without links to anything else."""
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{MARKER}\n'
            '<meta name="viewport" content="width=device-width">\n'
            f"<title>{html.escape(self.subject)}: model report</title>\n"
            "<style>:root{color-scheme:light dark}body{font:14px/1.4 system-ui,sans-serif;max-width:60rem;"
            "margin:1.5rem auto;padding:0 1rem}@media print{@page{margin:12mm}body{font-size:10px;margin:0;"
            "padding:0}tr{break-inside:avoid}}</style></head>\n"
            f"<body>\n{self._body(date)}\n</body></html>\n"
        )

    def _repr_html_(self) -> str:
        return self._body(None)

    def _body(self, date: datetime.date | None) -> str:
        rows, states = [], []
        for stage, meaning in STAGES.items():
            outcome = self.outcomes.get(stage, NOT_RUN)
            found = "".join(_shown(entry) for entry in self.entries if entry.stage == stage) or "no entry"
            rows.append(
                (
                    Html(f'{stage}<br><small style="font-weight:normal">{meaning}</small>'),
                    f"{OUTCOMES[outcome]} {outcome}",
                    Html(found),
                )
            )
            states.append(_STATES.get(outcome, "ok"))
        table = html_table(("stage", "outcome", "what was seen"), rows, row_heads=True, states=states)
        return html_block(html_headline(self.headline, self.ok, _circumstances(date)), table)

    def write(self, path: str | os.PathLike[str] | None = None, *, replace: bool = False) -> Path:
        """Write the page to a file and return its path.

        path: default ``build/reports/SUBJECT.html`` of the course, which git ignores. replace: whether an older
        model report may be replaced; any other file is never touched. The file is complete or not there.
        Raises :class:`ModelReportError` for a file in the way, or a folder that cannot be written.
        """
        target = Path(path) if path is not None else Path("build") / "reports" / f"{self.slug}.html"
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                _expect_replaceable(target, replace)
            part.write_text(self.page(), encoding="utf-8", newline="\n")
            os.replace(part, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise ModelReportError(f"{target.name} cannot be written ({error.strerror}); give another path") from None
        return target


def _expect_replaceable(target: Path, replace: bool) -> None:
    if target.is_dir():
        raise ModelReportError(f"{target.name} is a folder; give the name of a file in it")
    with target.open("rb") as file:
        head = file.read(1000).decode("utf-8", "replace")
    if MARKER not in head and _EARLIER_MARKER not in head:
        raise ModelReportError(f"{target.name} exists and is not a model report, so it stays; give another path")
    if not replace:
        raise ModelReportError(f"{target.name} exists already; give another path, or replace=True")


def _shown(entry: Entry) -> str:
    details = "".join(f"<br><small>{html_text(line)}</small>" for line in entry.details)
    return f"<div>{OUTCOMES[entry.outcome]} {entry.outcome}: {html_text(entry.says)}{details}</div>"


def _circumstances(date: datetime.date | None) -> str:
    import torch

    python = ".".join(map(str, sys.version_info[:3]))
    day = date or datetime.date.today()
    return (
        f"{day.isoformat()} · torch {torch.__version__} · Python {python} · {platform.system()} {platform.machine()} · "
        f"CPU kernels {torch.backends.cpu.get_cpu_capability()}, {plural(torch.get_num_threads(), 'thread')}"
    )


# --- the verdict of each kind of evidence ----------------------------------------------------------------------------


def _read(stage: str, evidence: Any) -> Entry:
    for kind in type(evidence).__mro__:
        ours = kind.__module__.partition(".")[0] in ("course_utils", "torch")
        if ours and (reader := _READERS.get(kind.__name__)):
            outcome, says, details = reader(evidence)
            return Entry(stage, outcome, says, tuple(cut(x, WIDTH) for x in details[:LINES]))
    raise ModelReportError(
        f"an object of type {type(evidence).__name__} cannot be read as evidence; give a report, a module or a sentence"
    )


_Verdict = tuple[str, str, list[str]]


def _module(module: Any) -> _Verdict:
    kinds = ", ".join(sorted({str(x.dtype).removeprefix("torch.") for x in module.parameters()})) or "no weights"
    name = getattr(module, "original_name", type(module).__name__)
    form = "TorchScript" if hasattr(module, "_c") else "eager"
    count = sum(x.numel() for x in module.parameters())
    says = f"{name}, {form}, {count:,} parameters, {kinds}, {'training' if module.training else 'eval'} mode"
    return (WARN if module.training else OK), says, ["call .eval() before it is converted"] * module.training


def _archive(report: Any) -> _Verdict:
    names = [method.name for method in report.methods if method.owner == report.root]
    says = f"{report.headline}, with {', '.join(names[:4]) or 'no methods'}"
    effects = [str(effect) for effect in report.runs]
    details = [f"damaged: {name}" for name in report.damaged] + list(report.warnings) + effects
    if report.damaged or not report.kind.startswith("TorchScript"):
        return FAIL, says, details or [f"this is not a TorchScript archive; it is read with {report.loader}"]
    if report.disclosed:
        details.append(f"discloses paths and lines of {len(report.disclosed)} source files")
    return (WARN if report.warnings or report.runs_on_load else OK), says, details


def _advice(advice: Any) -> _Verdict:
    details = [f"{x.step}: {x.outcome} - {x.text}" for x in advice.evidence]
    return (FAIL if advice.converted is None else OK), f"{advice.advice}: {advice.why.rstrip('.')}", details


def _parity(report: Any) -> _Verdict:
    if not report.ok:
        details = []
        for x in report.findings:
            details.append(
                f"{x.kind}, {x.where}: reference {x.reference} | candidate {x.candidate}"
                if x.reference or x.candidate
                else f"{x.kind}, {x.where}: {x.detail}"
            )
        return FAIL, f"differs: {', '.join(sorted({x.kind for x in report.findings}))}; {report.scope}", details
    if not report.worst.elements:
        return WARN, f"no value was compared; {report.scope}", list(report.notes)
    return OK, f"equal; {report.scope}", [report.headline, *report.notes]


def _speed(report: Any) -> _Verdict:
    rows = [
        f"{row.name}: {_seconds(row.median_s)} a call"
        + ("" if row.verdict == "baseline" else f", {row.ratio:.2f} times the baseline's speed, {row.verdict}")
        for row in report.rows
    ]
    slower = [row.name for row in report.rows if row.verdict == "slower"]
    says = f"{', '.join(row.name for row in report.rows)}, measured in turns"
    return (WARN if slower else OK), says, [*rows, report.method, *report.findings]


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def _run(run: Any) -> _Verdict:
    lines = [*run.out.splitlines(), *run.err.splitlines()]
    if run.stored:
        return WARN, f"{run.command}: a stored result of another machine", lines
    return (OK if run.code == 0 else FAIL), f"{run.command}: exit code {run.code}", lines


def _migration(report: Any) -> _Verdict:
    details = [f"{route}: {outcome}{' - ' if seen else ''}{seen}" for route, outcome, seen in report.rows()]
    outcomes = {attempt.outcome for attempt in report.attempts}
    outcome = OK if report.ok else WARN if "partly" in outcomes else FAIL
    return outcome, report.headline, [*details, *(f"next: {line}" for line in report.advice)]


_READERS: Mapping[str, Callable[[Any], _Verdict]] = {
    "Module": _module,
    "ArchiveReport": _archive,
    "Recommendation": _advice,
    "ParityReport": _parity,
    "SpeedReport": _speed,
    "Completed": _run,
    "MigrationReport": _migration,
}
