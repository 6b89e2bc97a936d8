"""What a kernel of the course gets besides the names it imports: figures that everyone sees, and help with a NameError.

Figures of matplotlib become ``<img>`` elements with an alternative text (see `course_utils.core.pictures`), made from
what is written on the figure. The caption below a figure says more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from course_utils.core.pictures import image_html


def prepare(shell: Any) -> None:
    """Register both with this IPython shell. Doing it again changes nothing."""
    figures = shell.display_formatter.ipython_display_formatter
    figures.for_type_by_name("matplotlib.figure", "Figure", show_figure)
    if not is_demonstration():
        shell.set_custom_exc((NameError,), explain_name_error)


def is_demonstration() -> bool:
    """Whether this is a lesson or a solutions notebook. JupyterLab tells the kernel its notebook's path."""
    return Path(os.environ.get("JPY_SESSION_NAME", "")).parent.name in ("notebooks", "solutions")


def show_figure(figure: Any) -> None:
    """Show the pixels that the inline backend would show, with their alternative text."""
    from IPython.core.pylabtools import print_figure
    from IPython.display import display

    alt = alternative_text(figure)
    display({"text/html": image_html(print_figure(figure, fmt="png"), "png", alt), "text/plain": alt}, raw=True)


def alternative_text(figure: Any) -> str:
    """The figure's own label (``figure.set_label("Two digits …")``); without one, its titles and its axes' names."""
    panels = []
    for axes in figure.axes:
        names = [f"{axis}: {name}" for axis, name in (("x", axes.get_xlabel()), ("y", axes.get_ylabel())) if name]
        panels.append(". ".join(filter(None, [axes.get_title(), ", ".join(names)])))
    written = "; ".join(filter(None, [figure.get_suptitle(), *panels]))
    return " ".join((figure.get_label() or f"Figure. {written}").split())


def explain_name_error(
    shell: Any, kind: type[BaseException], error: NameError, trace: Any, tb_offset: Any = None
) -> None:
    """Show the error as always, with what to do where a cell was run before those above it."""
    if hint := run_above(error):
        error.add_note(hint.replace("`", ""))
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def run_above(error: BaseException) -> str:
    """What to do about a name that no cell has defined yet; an empty text for another error."""
    if not isinstance(error, NameError) or isinstance(error, UnboundLocalError) or not error.name:
        return ""
    cells = "in the menu, Run > Run All Above Selected Cell"
    return f"If `{error.name}` comes from a cell above this one, run that first: {cells}."
