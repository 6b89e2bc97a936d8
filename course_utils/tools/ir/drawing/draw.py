"""Draw a TorchScript graph as a picture (SVG) and as an indented outline, both made from the same sketch.

Inputs and outputs are pills, operators rounded boxes, `prim::If` and `prim::Loop` frames that hold their
blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from course_utils.core.pictures import image_html
from course_utils.tools.ir.drawing.sketch import Highlight, Sketch, all_steps
from course_utils.tools.ir.drawing.svg import Picture, side_by_side
from course_utils.tools.ir.graph import Program, Step, graph_of, op_counts, read


@dataclass(frozen=True)
class Drawing:
    """A picture of a graph: `svg`, its `caption`, and `text`, the same as an outline."""

    svg: str
    text: str
    caption: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": image_html(self.svg.encode(), "svg+xml", self.caption), "text/plain": str(self)}

    def __str__(self) -> str:
        return f"{self.text}\n\n{self.caption}"

    __repr__ = __str__


def draw(
    obj: Any,
    *,
    inlined: bool = False,
    max_nodes: int = 60,
    highlight: str | Iterable[str] | Callable[[Any], bool] = (),
) -> Drawing:
    """Draw the graph of whatever `graph_of` takes.

    A graph with more than `max_nodes` boxes is collapsed: operators that came from one submodule become one
    box, as fine as the limit allows; then the blocks of frames are folded; in the end runs of operators are
    put together. The caption says which.

    `highlight`: kinds such as `"aten::mul"`, or a function that takes a `torch.Node` and says yes or no. What
    is highlighted has a thick border and a star. A constant has no box, so its users are marked.

    Raises ValueError for `max_nodes` below 1, and what `graph_of` raises.
    """
    if max_nodes < 1:
        raise ValueError(f"max_nodes is {max_nodes}; at least one box must be allowed")
    program = read(graph_of(obj, inlined=inlined))
    sketch = Sketch(program, Highlight.of(highlight))
    entries, note = sketch.fit(max_nodes)
    caption = sketch.caption(entries, note)
    return Drawing(Picture(sketch, entries, caption).text(), sketch.outline(entries), caption)


def draw_change(
    before: Any,
    after: Any,
    *,
    inlined: bool = False,
    max_nodes: int = 40,
    names: tuple[str, str] = ("before", "after"),
) -> Drawing:
    """Draw two graphs side by side, such as one before and after a pass, and mark the boxes that differ.

    A box differs when the other graph has fewer boxes of the same operator with the same constants written on
    it: on the left it goes, on the right it comes. Of several equal boxes the last ones are marked. What a
    box is connected to is not compared. Takes what `graph_of` takes; each graph is collapsed like in `draw`.

    Raises ValueError for `max_nodes` below 1, and what `graph_of` raises.
    """
    if max_nodes < 1:
        raise ValueError(f"max_nodes is {max_nodes}; at least one box must be allowed")
    graphs = [graph_of(graph, inlined=inlined) for graph in (before, after)]
    programs = [read(graph) for graph in graphs]
    inscribed = [_inscribed(program) for program in programs]
    drawn, outlines = [], []
    for own, words in ((0, f"only {names[0]}"), (1, f"only {names[1]}")):
        surplus = Counter(text for _, text in inscribed[own]) - Counter(text for _, text in inscribed[1 - own])
        changed = set()
        for step, text in reversed(inscribed[own]):
            if surplus[text] > 0:
                surplus[text] -= 1
                changed.add(id(step.node))
        highlight = Highlight(chosen=lambda node, changed=changed: id(node) in changed, words=words)
        sketch = Sketch(programs[own], highlight)
        entries, note = sketch.fit(max_nodes)
        heading = f"{names[own]}: {sum(op_counts(graphs[own], inlined=False).values())} nodes"
        drawn.append((heading, Picture(sketch, entries, note, inside=400, least=320)))
        outlines.append(f"{heading}\n{sketch.outline(entries)}")
    heads = [heading for heading, _ in drawn]
    caption = f"TorchScript graph {heads[0]}, {heads[1]}. A star marks a box that the other side does not have."
    outline = "\n\n".join(outlines)
    return Drawing(side_by_side(drawn, caption, outline), outline, caption)


def _inscribed(program: Program) -> list[tuple[Step, str]]:
    """Every step that has a box, with what is written on it."""
    sketch = Sketch(program, Highlight())
    steps = [step for top in program.block.steps for step in all_steps(top)]
    visible = [step for step in steps if not (step.outputs and step.outputs[0] in sketch.folded)]
    found = []
    for step in visible:
        title, details = sketch.inscription(step)
        # A number in a header is the name of a value and may change with every copy.
        found.append((step, step.kind if step.blocks else "\n".join([step.kind, title, *details])))
    return found
