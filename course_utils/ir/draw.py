"""Draw a TorchScript graph as a picture (SVG) and as an indented outline, both made from the same sketch.

Inputs and outputs are pills, operators rounded boxes, `prim::If` and `prim::Loop` frames that hold their
blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from course_utils.ir.graph import graph_of, read
from course_utils.ir.sketch import Highlight, Sketch
from course_utils.ir.svg import Picture


@dataclass(frozen=True)
class Drawing:
    """A picture of a graph: `svg`, its `caption`, and `text`, the same as an outline."""

    svg: str
    text: str
    caption: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": str(self)}

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
