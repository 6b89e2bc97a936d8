"""The look of the cards in a notebook: a line at the left, the theme's own colours, nothing wider than the cell."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import quote

CELL = "text-align:left;vertical-align:baseline;padding:1px 14px 1px 0"


def card(body: str, strong: bool = False) -> str:
    width = 4 if strong else 2
    style = f"border-left:{width}px solid currentColor;padding:4px 12px;margin:4px 0;max-width:56em;line-height:1.5"
    return f'<div style="{style}">{body}</div>'


def prose(text: str) -> str:
    """Escape for HTML and set `code` between backquotes in code type."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)).replace("\n", "<br>")


def link(text: str, target: str) -> str:
    """The text as a link; ``target`` is relative to the notebook, and no link without one."""
    return f'<a href="{quote(target, safe="/.#")}">{prose(text)}</a>' if target else prose(text)


def rows(cells: list[list[str]]) -> str:
    """A table without heads; the cells are HTML. JupyterLab would align them right, and stripe the rows."""
    body = "".join(
        '<tr style="background:none">' + "".join(f'<td style="{CELL}">{cell}</td>' for cell in row) + "</tr>"
        for row in cells
    )
    return f'<table style="margin:4px 0;border-collapse:collapse;color:inherit;font-size:inherit">{body}</table>'
