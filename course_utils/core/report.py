"""How every tool of the course reports: one base class, one look as text and as HTML, one way to write a number.

    @dataclass(frozen=True)
    class MyReport(Report):
        findings: tuple[str, ...]

        @property
        def headline(self) -> str: ...
        def text(self) -> str: ...
        def html_parts(self) -> list[str]:
            return [html_table(("where", "what"), rows), html_list(notes)]

The HTML is plain: borders in the colour of the text, so that it reads in light and dark themes, and cells that wrap, so
that it fits a narrow window.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

WIDTH = 110  # characters in a line of plain text
_CELL = "border:1px solid currentColor;padding:0.3em 0.4em;text-align:left;vertical-align:baseline;"
_WRAPS = "overflow-wrap:anywhere;white-space:normal"
_LONGEST_WORD = 10  # characters; a word up to this length is not broken in a narrow window
_SHADES = {"ok": "transparent", "warning": "rgba(200,150,0,0.18)", "problem": "rgba(200,60,60,0.18)"}


class Report:
    """What a tool found. It prints as text and shows as HTML, and it is neither true nor false: ask ``.ok``.

    A subclass has `headline` and `findings`, as fields or as properties, and `text()`; `ok` where it is more than
    "no findings", and `html_parts()` for what stands below the headline in a notebook.
    """

    if TYPE_CHECKING:  # a class attribute would become the default of a dataclass field with its name

        @property
        def headline(self) -> str: ...

        @property
        def findings(self) -> Sequence[Any]: ...

    @property
    def ok(self) -> bool:
        """Whether there is nothing to act on."""
        return not self.findings

    def text(self) -> str:
        """The report as plain text."""
        raise NotImplementedError

    def html_parts(self) -> list[str]:
        """What a notebook shows below the headline: pieces of HTML."""
        _, _, rest = self.text().partition("\n")
        return [f'<pre style="white-space:pre-wrap">{html.escape(textwrap.dedent(rest))}</pre>'] if rest else []

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # a dataclass would write one of its own
            cls.__repr__ = Report.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return self.text()

    def __str__(self) -> str:
        return self.text()

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is neither true nor false; ask its .ok")

    def _repr_html_(self) -> str:
        return html_block(html_headline(self.headline, self.ok), *self.html_parts())


# --- words -----------------------------------------------------------------------------------------------------------


def cut(text: object, width: int = 200) -> str:
    """The text in one line of at most ``width`` characters; "…" stands for what is left out."""
    line = " ".join(str(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def plural(count: int, word: str, many: str = "") -> str:
    """ "1 case", "3 cases"; ``many`` for a word that does not take an s."""
    return f"{count} {word if count == 1 else many or word + 's'}"


def size_text(size: float) -> str:
    """ "412 bytes", "5.32 kB", "46.8 MB": three significant digits, powers of 1000."""
    if size < 999.5:
        return plural(round(size), "byte")
    for unit, factor in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size < 999.5 * factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e9:,.0f} GB"


def wrapped(lines: Iterable[str], indent: int = 6) -> str:
    """Lines of text, each folded at 110 characters; what continues a line is indented."""
    return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent=" " * indent) for line in lines)


def text_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as plain text. The last one may be long; ``heads`` may be empty."""
    lines = [[str(cell) for cell in row] for row in ([heads] if heads else [])] + [[str(c) for c in r] for r in rows]
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]]).rstrip() for line in lines
    )


# --- HTML ------------------------------------------------------------------------------------------------------------


class Html(str):
    """A piece of HTML that is shown as it is; every other text is escaped."""


def html_text(value: object) -> Html:
    """A value as HTML; each line of a text on a line of its own."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)).replace("\n", "<br>"))


def html_code(value: object) -> Html:
    """A value as code; nothing where it is empty."""
    return Html(f"<code>{html.escape(str(value))}</code>") if str(value) else Html("")


def html_headline(headline: str, ok: bool | None = None, below: str = "") -> Html:
    """The first line, with ✓ or ✗ unless ``ok`` is None; ``below`` is a line in plain weight."""
    mark = "" if ok is None else "✓ " if ok else "✗ "
    more = f"<br>{html_text(below)}" if below else ""
    return Html(f'<p style="margin:0.3em 0;max-width:100%"><strong>{mark}{html_text(headline)}</strong>{more}</p>')


def html_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    code: Iterable[int] = (),
    row_heads: bool = False,
    states: Sequence[str] = (),
) -> Html:
    """A bordered table of texts, which are escaped, or `Html`. ``heads`` may be empty, and no rows give nothing.

    code: the columns that are code. row_heads: whether the first cell of a row says what the row is about. states:
    "ok", "warning" or "problem" for each row; it shades the row, and its words must say the same.
    """
    plain = [list(row) for row in rows]
    if not plain:
        return Html("")
    least = [_least_width([*([heads[i]] if heads else []), *(row[i] for row in plain)]) for i in range(len(plain[0]))]
    codes = set(code)
    head = "".join(
        f'<th scope="col" style="{_CELL}min-width:{width}ch;{_WRAPS}">{html_text(text)}</th>'
        for text, width in zip(heads, least, strict=False)
    )
    body = []
    for n, row in enumerate(plain):
        shade = f"background:{_SHADES[states[n]]};" if states else ""
        cells = []
        for i, value in enumerate(row):
            shown = html_code(value) if i in codes and not isinstance(value, Html) else html_text(value)
            tag = 'th scope="row"' if row_heads and i == 0 else "td"
            width = "" if heads else f"min-width:{least[i]}ch;"
            cells.append(f'<{tag} style="{_CELL}{shade}{width}{_WRAPS}">{shown}</{tag[:2]}>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    # JupyterLab's own style makes all columns equally wide (table-layout: fixed).
    return Html(
        '<table style="border-collapse:collapse;table-layout:auto;font-size:90%;margin:0.3em 0;max-width:100%">'
        + (f"<thead><tr>{head}</tr></thead>" if heads else "")
        + f"<tbody>{''.join(body)}</tbody></table>"
    )


def html_list(items: Iterable[object], *, ordered: bool = False, title: str = "") -> Html:
    """A list of notes or of steps; nothing where there is none."""
    points = "".join(f"<li>{html_text(item)}</li>" for item in items)
    tag = "ol" if ordered else "ul"
    return Html(f"{html_paragraph(title) if title else ''}<{tag}>{points}</{tag}>" if points else "")


def html_paragraph(text: object) -> Html:
    return Html(f'<p style="margin:0.3em 0;max-width:100%">{html_text(text)}</p>')


def html_block(*parts: str) -> Html:
    """The whole of a report, from its parts."""
    return Html('<div style="max-width:100%">' + "\n".join(part for part in parts if part) + "</div>")


def _least_width(cells: Iterable[object]) -> int:
    """Of a column, in characters: its longest word, up to a limit, and a little more for bold letters."""
    words = [word for cell in cells if not isinstance(cell, Html) for word in str(cell).split()]
    return min(max(map(len, words), default=1) + 1, _LONGEST_WORD)
