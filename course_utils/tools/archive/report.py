"""What a model file contains, as data, as text and as HTML."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from course_utils.core.report import Report, cut, html_list, html_paragraph, html_table, plural, size_text, text_table
from course_utils.tools.archive.container import Entry
from course_utils.tools.archive.errors import ArchiveError
from course_utils.tools.archive.source import Effect, Method

ROWS = 8  # of each table in the short forms; the fields hold all


@dataclass(frozen=True)
class TensorInfo:
    """One tensor. path: its attribute, or ``CONSTANTS.c0``. storage: the entry that contains its bytes.

    nbytes: what its values take. stored_bytes: what its storage takes, more if it is a view of something larger.
    shared: other paths on the same storage.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    storage: str
    stored_bytes: int
    device: str = "cpu"
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attribute:
    """One value that is not a tensor: its path, its declared type and its value in a few characters."""

    path: str
    type: str
    value: str


@dataclass(frozen=True)
class Sizes:
    """Bytes in the file by what they are for. zip: names, alignment and the list of entries."""

    tensors: int = 0
    code: int = 0
    debug: int = 0
    extra: int = 0
    pickles: int = 0
    other: int = 0
    zip: int = 0


@dataclass(frozen=True)
class ArchiveReport(Report):
    """What a model file contains. Nothing of it was loaded or run.

    kind: "TorchScript module", "TorchScript function", "state_dict", … origin: "frozen", "traced" (the file holds the
    traced inputs), "with bytecode for the lite interpreter", or "", which may be a scripted module or a trace whose
    inputs were not saved. loader: the call that reads this kind. format_version: of the archive, not of torch. root:
    the name of the outermost class. methods, tensors, constants, attributes, entries: everything, in the order of the
    file. runs: what its code does beyond tensors. disclosed: paths of source files in the debug records.
    warnings: what is wrong or unusual, each with what to do.
    """

    file_name: str
    kind: str
    loader: str
    file_size: int
    origin: str = ""
    format_version: str = ""
    producer: str = ""
    root: str = ""
    methods: tuple[Method, ...] = ()
    tensors: tuple[TensorInfo, ...] = ()
    constants: tuple[TensorInfo, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    entries: tuple[Entry, ...] = ()
    extra_files: dict[str, int] = field(default_factory=dict)
    runs: tuple[Effect, ...] = ()
    sizes: Sizes = Sizes()
    disclosed: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    _extras: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Nothing is damaged or suspicious: no warning."""
        return not self.warnings

    @property
    def findings(self) -> tuple[str, ...]:
        """What is wrong or unusual: the warnings."""
        return self.warnings

    @property
    def damaged(self) -> tuple[str, ...]:
        """Names of entries that are damaged, such as one whose bytes do not fit its checksum."""
        return tuple(x.name for x in self.entries if x.problem)

    @property
    def runs_on_load(self) -> tuple[Effect, ...]:
        """What runs when the file is loaded, before anybody calls the model."""
        return tuple(x for x in self.runs if x.when == "on load")

    @property
    def dangers(self) -> tuple[str, ...]:
        """Why not to run it before its author is trusted: what its code reaches beyond the process's tensors, and
        warnings that say not to load it."""
        reached = (x for x in self.runs if x.what.startswith(("writes", "reads", "calls another", "takes a function")))
        return (*map(str, reached), *(x for x in self.warnings if "do not load" in x))

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for ``json.dumps``; without the extra files' content."""
        values = {key: value for key, value in asdict(self).items() if key != "_extras"}
        found = {"ok": self.ok, "damaged": self.damaged, "dangers": self.dangers}
        return {**values, **found, "runs_on_load": [str(x) for x in self.runs_on_load]}

    def method(self, name: str) -> Method:
        """The method of this name: full, as ``Class.method``, or alone for one of the outermost class.

        Raises ``KeyError`` with the known names.
        """
        for method in self.methods:
            if name in (method.qualified, method.short) or (method.owner == self.root and name == method.name):
                return method
        raise KeyError(f"no method {name!r}; there are: {', '.join(x.short for x in self.methods)}")

    def extra(self, name: str) -> bytes:
        """The content of an extra file. Raises `ArchiveError` if there is none, or if it was not kept."""
        if name in self._extras:
            return self._extras[name]
        if name in self.extra_files:
            raise ArchiveError(f"extra file {name!r} is too large or damaged; take it out with zipfile")
        raise ArchiveError(f"no extra file {name!r}; there are: {', '.join(self.extra_files) or 'none'}")

    @property
    def headline(self) -> str:
        """The first line: kind, origin and size."""
        origin = f", {self.origin}" if self.origin else ""
        return f"{self.file_name}: {self.kind}{origin}, {size_text(self.file_size)}"

    def text(self, everything: bool = False) -> str:
        """The report as plain text, long lists cut unless ``everything`` is wanted."""
        limit = 10**9 if everything else ROWS
        lines = [self.headline, *(f"  {label:<13} {value}" for label, value in self._facts(limit))]
        lines += [f"  runs          {x}" for x in self.runs[:limit]] + _more(self.runs, 16, limit)
        for title, _, rows, count in self._tables(limit):
            lines.append(f"{title} ({count})")
            lines += [f"  {line}" for line in text_table((), rows).splitlines()]
            lines += [f"  and {count - len(rows)} more"] if count > len(rows) else []
        lines += [f"warning: {x}" for x in self.warnings[:limit]] + _more(self.warnings, 0, limit)
        return "\n".join(map(_printable, lines))

    def html_parts(self) -> list[str]:
        notes = [f"runs {x}" for x in self.runs[:ROWS]] + [f"warning: {x}" for x in self.warnings[:ROWS]]
        hidden = max(0, len(self.runs) - ROWS) + max(0, len(self.warnings) - ROWS)
        notes += [f"and {hidden} more in `.runs` and `.warnings`"] if hidden else []
        parts: list[str] = [html_list(f"{label}: {value}" for label, value in self._facts()), html_list(notes)]
        for title, heads, rows, count in self._tables():
            more = f", the first {len(rows)}" if count > len(rows) else ""
            parts += [html_paragraph(f"{title}: {count}{more}"), html_table(heads, rows, code=range(len(heads)))]
        return parts

    def _facts(self, limit: int = ROWS) -> list[tuple[str, str]]:
        sizes = self.sizes
        named = [(name, getattr(sizes, name)) for name in ("tensors", "code", "debug", "extra", "pickles", "other")]
        parts = ", ".join(f"{name} {size_text(n)}" for name, n in [*named, ("zip", sizes.zip)] if n)
        facts = [("load with", self.loader), ("made by", self.producer), ("class", self.root)]
        facts += [("format", f"version {self.format_version}" if self.format_version else ""), ("bytes", parts)]
        if self.extra_files:
            listed = ", ".join(f"{name} ({size_text(n)})" for name, n in list(self.extra_files.items())[:limit])
            facts.append(("extra files", listed))
        if self.disclosed:
            facts.append(("discloses", f"paths and lines of {plural(len(self.disclosed), 'source file')}"))
        return [(label, value) for label, value in facts if value]

    def _tables(self, limit: int = ROWS) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]], int]]:
        own = sorted(self.methods, key=lambda x: x.owner != self.root)  # the outermost class first
        methods: list[tuple[str, ...]] = [(cut(x.short, 40), cut(x.signature, 70)) for x in own[:limit]]
        tensors = [*self.tensors, *self.constants]
        rows: list[tuple[str, ...]] = [
            (cut(x.path, 44), x.dtype, str(x.shape), size_text(x.nbytes)) for x in tensors[:limit]
        ]
        plain = [x for x in self.attributes if x.path.rpartition(".")[2] not in ("training", "_is_full_backward_hook")]
        values: list[tuple[str, ...]] = [(cut(x.path, 44), cut(x.type, 30), cut(x.value, 44)) for x in plain[:limit]]
        tables: list[tuple[str, tuple[str, ...], list[tuple[str, ...]], int]] = [
            ("methods", ("method", "signature"), methods, len(self.methods)),
            ("tensors", ("path", "dtype", "shape", "size"), rows, len(tensors)),
            ("attributes", ("path", "type", "value"), values, len(plain)),
        ]
        return [table for table in tables if table[3]]


def _printable(line: str) -> str:
    """Without control characters: names in a file are untrusted input."""
    return line if line.isprintable() else "".join(x if x.isprintable() else "?" for x in line)


def _more(items: tuple[object, ...], indent: int, limit: int) -> list[str]:
    return [" " * indent + f"and {len(items) - limit} more"] if len(items) > limit else []
