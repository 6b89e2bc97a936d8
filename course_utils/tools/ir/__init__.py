"""Read a TorchScript graph: its text, its operators, what a pass does to it, and a drawing of it.

Netron draws a saved archive, in an app of its own; ``torch.fx.passes.graph_drawer`` draws FX graphs and needs pydot.
Neither draws a TorchScript graph in memory, such as the one between two passes, with the blocks of ``prim::If`` and
``prim::Loop`` as frames, as a picture that a stored notebook shows offline and that says the same as text.

* `graph_of`, `show`, `op_counts`, `find`, `has_control_flow`: in `graph.py`
* `compare`, `pass_effects`: in `passes.py`
* `draw`, `draw_change`: in `drawing/draw.py`, from `sketch.py` (what is drawn), `layout.py` (where) and `svg.py`

The Python side of graphs is private to PyTorch (`torch._C`). Only this package touches it; checked with torch
2.15.0.
"""

from course_utils.tools.ir.drawing.draw import Drawing, draw, draw_change
from course_utils.tools.ir.graph import find, graph_of, has_control_flow, op_counts, show
from course_utils.tools.ir.passes import GraphDiff, PassEffect, PassReport, compare, pass_effects

__all__ = [
    "Drawing",
    "GraphDiff",
    "PassEffect",
    "PassReport",
    "compare",
    "draw",
    "draw_change",
    "find",
    "graph_of",
    "has_control_flow",
    "op_counts",
    "pass_effects",
    "show",
]
