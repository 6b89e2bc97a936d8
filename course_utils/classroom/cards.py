"""The look of the cards in a notebook: a line at the left, the theme's own colours, tables as in every report."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import quote

from course_utils.core.report import Html


def card(body: str, strong: bool = False) -> str:
    width = 4 if strong else 2
    style = f"border-left:{width}px solid currentColor;padding:4px 12px;margin:4px 0;max-width:56em;line-height:1.5"
    return f'<div style="{style}">{body}</div>'


def prose(text: str) -> str:
    """Escape for HTML and set `code` between backquotes in code type."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)).replace("\n", "<br>")


def link(text: str, target: str) -> Html:
    """The text as a link; ``target`` is relative to the notebook, and no link without one."""
    return Html(f'<a href="{quote(target, safe="/.#")}">{prose(text)}</a>' if target else prose(text))


def seen(text: str) -> Html:
    """A value in code type with its line ends and spaces; JupyterLab would give it a padding and a background."""
    style = "margin:0;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;background:transparent;color:inherit"
    return Html(f'<pre style="{style}">{escape(text)}</pre>')
