"""Write a sketch down as SVG.

Attributes only, no ids, no style sheet, no scripts: several pictures on one page cannot disturb each other.
The picture has a light ground of its own, so it reads the same on a light and on a dark page.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

from course_utils.core.report import cut
from course_utils.tools.ir.drawing.layout import Box, Placed, place
from course_utils.tools.ir.drawing.sketch import MARK, Column, Entry, Sketch, walk

CANVAS = 900  # pixels; a wider picture is scaled down to this
INSIDE = 856  # what the layout aims at
FONT = 13
SMALL = 12
WIDE = {"m": 0.98, "w": 0.82, "M": 0.88, "W": 1.0, "@": 1.0, "…": 1.0, "★": 0.9, "%": 0.95, "→": 0.84}
NARROW = {
    "i": 0.28, "l": 0.28, "j": 0.28, "I": 0.3, "t": 0.4, "f": 0.36, "r": 0.42, "'": 0.28, ".": 0.32,
    ",": 0.32, ":": 0.34, ";": 0.34, "!": 0.4, "|": 0.34, "(": 0.4, ")": 0.4, "[": 0.4, "]": 0.4,
    " ": 0.32, "-": 0.37,
}  # fmt: skip
INK = "#1b1f24"
QUIET = "#57606a"
LINE = "#4a5560"


def text_width(text: str, size: int, bold: bool = False) -> int:
    """Estimated width in pixels, from DejaVu Sans, one of the widest fonts taken for sans-serif."""

    def one(char: str) -> float:
        return WIDE.get(char) or NARROW.get(char) or (0.84 if char in "+=<>≤≥×−~" else 0.7 if char.isupper() else 0.64)

    return round(sum(one(char) for char in text) * size * (1.1 if bold else 1.0) + 1)


@dataclass(frozen=True)
class _Pill:
    text: str
    shape: str  # "input", "output", "port" or "yield"


@dataclass
class _Frame:
    entry: Entry
    columns: list[tuple[Column, Placed, int, int]]  # with the corner of each inside the frame


class Picture:
    """Places everything and writes it down."""

    LEAF_LIMIT = 34  # characters on one line of a box
    HEADER = 28
    TITLE = 20
    PAD = 14
    SHADOW = 4  # of a collapsed box: it looks like a pile

    def __init__(self, sketch: Sketch, entries: list[Entry], caption: str, *, inside: int = INSIDE, least: int = 440):
        self.sketch = sketch
        self.caption = caption
        self.entries = entries
        self.inside = inside  # the width that the layout aims at
        self.least = least  # the width below which the caption would get too many lines
        self.back: list[str] = []
        self.lines: list[str] = []
        self.front: list[str] = []

    def text(self) -> str:
        """The picture as one SVG document."""
        total, height, parts = self.body()
        return _document(total, height, self.caption, self.sketch.outline(self.entries), parts)

    def body(self, heading: str = "") -> tuple[int, int, list[str]]:
        """Width, height and the elements of the picture, its ground first; `heading` is above it in bold."""
        sketch, block = self.sketch, self.sketch.program.block
        boxes = [
            self._pill(f"input {sketch.short(value)}", "input", outs=[value]) for value in sketch.inputs()
        ]  # fmt: skip
        boxes += [self._box(entry, self.inside) for entry in self.entries]
        for number, value in enumerate(block.outputs):
            name = "output" if len(block.outputs) == 1 else f"output {number}"
            if value in sketch.folded and value not in block.outputs[:number]:
                boxes.append(self._constant(value))
            boxes.append(self._pill(name, "output", ins=[value]))
        placed = place(boxes, self.inside)
        width = max(placed.width, self.least)
        left = 22 + (width - placed.width) // 2
        top = 46 if heading else 20
        if heading:
            self.front.append(_text(22, 27, heading, FONT, INK, "start", bold=True))
        self._render(placed, left, top)
        y = top + placed.height + 26
        marked = sum(entry.marked for entry in walk(self.entries))
        for sentence in [self.caption, sketch.highlight.legend(marked)]:
            for line in self._wrap_to(sentence, width):
                self.front.append(_text(22, y, line, SMALL, QUIET, "start"))
                y += 17
        total, height = width + 44, y + 2
        ground = _rect(1, 1, total - 2, height - 2, 10, "#fdfdfb", "#c4c9cf", 1)
        return total, height, [ground, *self.back, *self.lines, *self.front]

    @staticmethod
    def _wrap_to(text: str, width: int) -> list[str]:
        lines: list[str] = []
        for word in text.split():
            if lines and text_width(f"{lines[-1]} {word}", SMALL) <= width:
                lines[-1] += " " + word
            else:
                lines.append(word)
        return lines

    # -- sizes --

    def _pill(self, text: str, shape: str, ins: list[str] | None = None, outs: list[str] | None = None) -> Box:
        text = cut(text, 30)
        wide = text_width(text, FONT if shape in ("input", "output") else SMALL) + 28
        high = 28 if shape in ("input", "output") else 24
        top, bottom = shape in ("input", "port"), shape in ("output", "yield")
        return Box(wide, high, ins or [], outs or [], _Pill(text, shape), first=top, last=bottom)

    def _constant(self, value: str) -> Box:
        marked = value in self.sketch.carries_mark
        entry = Entry([], [], [value], self.sketch.folded[value], ["constant"], 0, marked, False)
        return self._leaf(entry)

    def _box(self, entry: Entry, available: int) -> Box:
        return self._frame(entry, available) if entry.columns else self._leaf(entry)

    def _leaf(self, entry: Entry) -> Box:
        title, details = self._title(entry), self._shown_details(entry)
        wide = max(text_width(title, FONT, bold=True), *(text_width(line, SMALL) for line in details), 40) + 24
        ports = max(len(entry.ins), len(entry.outs))
        high = 16 + 16 * (1 + len(details)) + (self.SHADOW if entry.collapsed else 0)
        wide = max(wide, 16 * (ports + 1)) + (self.SHADOW if entry.collapsed else 0)
        box = Box(wide, high, entry.ins, entry.outs, entry, barrier=entry.barrier, free=entry.collapsed)
        return self._with_labels(box)

    def _title(self, entry: Entry) -> str:
        return (f"{MARK} " if entry.marked else "") + cut(entry.name, 48 if entry.collapsed else self.LEAF_LIMIT)

    def _shown_details(self, entry: Entry) -> list[str]:
        shown = [cut(line, self.LEAF_LIMIT + 4) for line in entry.details]
        return shown if len(shown) <= 5 else [*shown[:4], "…"]

    def _frame(self, entry: Entry, available: int) -> Box:
        inside = max(available - 2 * self.PAD, 120)
        titled = any(column.title for column in entry.columns)
        top = self.HEADER + (self.TITLE if titled else 6)

        def lay(limit: int) -> list[tuple[Column, Placed]]:
            return [(column, place(self._column_boxes(column, limit), limit)) for column in entry.columns]

        gaps = 2 * self.PAD * (len(entry.columns) - 1)
        # Side by side where the blocks fit as they are or in equal shares; otherwise one above the other.
        blocks = lay(inside)
        across = sum(max(p.width, 60) for _, p in blocks) + gaps
        if across > inside and len(blocks) > 1:
            shared = lay((inside - gaps) // len(blocks))
            if sum(max(p.width, 60) for _, p in shared) + gaps <= inside:
                blocks, across = shared, sum(max(p.width, 60) for _, p in shared) + gaps
        columns = []
        header = text_width(self._title_of_frame(entry), FONT, bold=True)
        if across <= inside or len(blocks) == 1:
            x = self.PAD
            height = max(p.height for _, p in blocks)
            spare = max(0, header - across) // len(blocks)
            for column, placed in blocks:
                share = max(placed.width, 60) + spare
                columns.append((column, placed, x + (share - placed.width) // 2, top))
                x += share + 2 * self.PAD
            wide, high = x - self.PAD, top + height + self.PAD
        else:
            y = top
            wide = max([*(p.width for _, p in blocks), header, 60]) + 2 * self.PAD
            for column, placed in blocks:
                columns.append((column, placed, (wide - placed.width) // 2, y))
                y += placed.height + self.PAD + self.TITLE + 8
            high = y - self.TITLE - 8
        content = _Frame(entry, columns)
        return self._with_labels(Box(wide, high, entry.ins, entry.outs, content, barrier=entry.barrier, free=True))

    def _title_of_frame(self, entry: Entry) -> str:
        return (f"{MARK} " if entry.marked else "") + cut(entry.name, 64)

    def _column_boxes(self, column: Column, limit: int) -> list[Box]:
        boxes = [self._pill(text, "port", outs=[value]) for value, text in column.ports]
        boxes += [self._box(entry, limit) for entry in column.entries]
        boxes += [self._pill(f"→ {text}", "yield", ins=[value] if value else []) for value, text in column.yields]
        return boxes or [self._pill("nothing to do", "yield")]

    # -- drawing --

    def _render(self, placed: Placed, left: int, top: int) -> None:
        for edge in placed.edges:
            self.lines.append(_edge([(x + left, y + top) for x, y in edge.points]))
        for box in placed.boxes:
            x, y = left + box.x, top + box.y
            if isinstance(box.content, _Pill):
                self._draw_pill(box.content, x, y, box.width, box.height)
            elif isinstance(box.content, _Frame):
                self._draw_frame(box.content, x, y, box)
                self._labels(box, x, y)
            elif isinstance(box.content, Entry):
                self._draw_leaf(box.content, x, y, box.width, box.height)
                self._labels(box, x, y)

    def _labels(self, box: Box, x: int, y: int) -> None:
        """Names of values, below the box that makes them."""
        for index, value in enumerate(box.outs):
            if name := self._label(value):
                self.front.append(_text(x + box.out_port(index) + 5, y + box.height + 13, name, SMALL, QUIET, "start"))

    def _label(self, value: str) -> str:
        """The name on an edge: none for a value that has only a number, or that nothing uses."""
        name = self.sketch.short(value)
        return "" if name.startswith("%") or value not in self.sketch.uses else cut(name, 14)

    def _with_labels(self, box: Box) -> Box:
        """Make room for the names of what a box gives."""
        names = [self._label(value) for value in box.outs]
        if any(names):
            needed = [text_width(name, SMALL) + 10 if name else 0 for name in names]
            box.width = max(box.width, max([0, *needed[:-1]]) * (len(names) + 1))
            box.stub = 14
            box.overhang = max(0, *(box.out_port(i) + wide - box.width for i, wide in enumerate(needed)))
        return box

    def _draw_pill(self, pill: _Pill, x: int, y: int, width: int, height: int) -> None:
        fill, stroke, dash = {
            "input": ("#e3eefb", "#245a8d", ""),
            "output": ("#e6f4e6", "#2c6e31", ""),
            "port": ("#ffffff", "#6b7681", ' stroke-dasharray="3 2"'),
            "yield": ("#ffffff", "#6b7681", ""),
        }[pill.shape]
        size = FONT if pill.shape in ("input", "output") else SMALL
        self.front.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{height // 2}" '
            f'fill="{fill}" stroke="{stroke}"{dash}/>'
        )
        if pill.shape == "output":
            self.front.append(
                f'<rect x="{x + 3}" y="{y + 3}" width="{width - 6}" height="{height - 6}" '
                f'rx="{height // 2 - 3}" fill="none" stroke="{stroke}"/>'
            )
        self.front.append(_text(x + width // 2, y + height // 2 + 4, pill.text, size, INK, "middle"))

    def _draw_leaf(self, entry: Entry, x: int, y: int, width: int, height: int) -> None:
        thick = 3 if entry.marked else 1
        kind = (
            entry.steps[0].kind
            if len(entry.steps) == 1 and not entry.collapsed
            else "collapsed"
            if entry.steps
            else "constant"
        )
        self.front.append(f'<g data-kind="{html.escape(kind)}">')
        if entry.collapsed:
            width, height = width - self.SHADOW, height - self.SHADOW
            self.front.append(_rect(x + self.SHADOW, y + self.SHADOW, width, height, 7, "#eceff2", "#6b7681", 1))
        fill = "#ffffff" if not entry.collapsed else "#f6f7f8"
        self.front.append(_rect(x, y, width, height, 7, fill, INK if entry.marked else "#6b7681", thick))
        self.front.append(_text(x + width // 2, y + 20, self._title(entry), FONT, INK, "middle", bold=True))
        for number, line in enumerate(self._shown_details(entry)):
            self.front.append(_text(x + width // 2, y + 36 + 16 * number, line, SMALL, INK, "middle"))
        self.front.append("</g>")

    def _draw_frame(self, frame: _Frame, x: int, y: int, box: Box) -> None:
        entry = frame.entry
        kind = entry.steps[0].kind
        fill, stroke = {"prim::If": ("#fdf3e1", "#9a6412"), "prim::Loop": ("#eeebfa", "#5b46a0")}.get(
            kind, ("#f1f3f5", "#57606a")
        )
        self.back.append(f'<g data-kind="{html.escape(kind)}">')
        self.back.append(_rect(x, y, box.width, box.height, 10, fill, stroke, 3 if entry.marked else 1.5))
        self.back.append(_text(x + self.PAD, y + 19, self._title_of_frame(entry), FONT, INK, "start", bold=True))
        self.back.append("</g>")
        stacked = len({top for *_, top in frame.columns}) > 1
        for number, (column, placed, left, top) in enumerate(frame.columns):
            if column.title:
                self.back.append(
                    _text(
                        x + left + placed.width // 2,
                        y + top - 8,
                        column.title,
                        SMALL,
                        stroke,
                        "middle",
                        bold=True,
                    )
                )
            if number and not stacked:
                before = frame.columns[number - 1]
                middle = x + (before[2] + before[1].width + left) // 2
                self.back.append(_line(middle, y + self.HEADER, middle, y + box.height - 6, stroke))
            if number and stacked:
                self.back.append(
                    _line(x + 6, y + top - self.TITLE - 6, x + box.width - 6, y + top - self.TITLE - 6, stroke)
                )
            self._render(placed, x + left, y + top)


def side_by_side(pictures: list[tuple[str, Picture]], caption: str, outline: str) -> str:
    """Several pictures with their headings in one SVG document: in a row, or in a column where a row is too wide."""
    bodies = [picture.body(heading) for heading, picture in pictures]
    gap = 12
    row = sum(width for width, _, _ in bodies) + gap * (len(bodies) - 1)
    in_a_row = row <= CANVAS * SMALL // 11  # scaled down to the canvas, no letter is below 11 pixels
    parts, x, y = [], 0, 0
    for width, height, elements in bodies:
        parts += [f'<g transform="translate({x} {y})">', *elements, "</g>"]
        x, y = (x + width + gap, 0) if in_a_row else (0, y + height + gap)
    total = row if in_a_row else max(width for width, _, _ in bodies)
    high = max(height for _, height, _ in bodies) if in_a_row else y - gap
    return _document(total, high, caption, outline, parts)


def _document(width: int, height: int, title: str, description: str, parts: list[str]) -> str:
    shown = min(width, max(CANVAS, -(-width * 11 // SMALL)))  # no letter below 11 pixels
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'width="{shown}" height="{round(height * shown / width)}" viewBox="0 0 {width} {height}" '
        f'font-family="DejaVu Sans, Verdana, Arial, sans-serif">'
    )
    named = [f"<title>{html.escape(title)}</title>", f"<desc>{html.escape(description)}</desc>"]
    return "\n".join([head, *named, *parts, "</svg>"])


def _rect(x: int, y: int, width: int, height: int, radius: int, fill: str, stroke: str, thick: float) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{thick:g}"/>'
    )


def _line(x1: int, y1: int, x2: int, y2: int, stroke: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{stroke}" stroke-dasharray="5 4"/>'


def _text(x: int, y: int, text: str, size: int, fill: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"{weight}>'
        f"{html.escape(text, quote=False)}</text>"
    )


def _edge(points: list[tuple[int, int]]) -> str:
    """Vertical through a rank, a curve between two ranks, an arrow head at the end."""
    x, y = points[0]
    path = [f"M{x} {y}"]
    end_x, end_y = points[-1]
    for number, (x, y) in enumerate(points[1:], start=1):
        last = number == len(points) - 1
        target = y - 6 if last else y
        if number % 2 == 1:
            path.append(f"V{y}")
        elif points[number - 1][0] == x:
            path.append(f"V{target}")
        else:
            x0, y0 = points[number - 1]
            middle = (y0 + target) // 2
            path.append(f"C{x0} {middle} {x} {middle} {x} {target}")
    head = f"{end_x - 4},{end_y - 8} {end_x + 4},{end_y - 8} {end_x},{end_y}"
    line = f'<path d="{" ".join(path)}" fill="none" stroke="{LINE}" stroke-width="1.3"/>'
    return f'{line}<polygon points="{head}" fill="{LINE}"/>'
