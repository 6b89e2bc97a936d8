"""A picture as every notebook viewer shows it: untrusted notebooks too, on a narrow window, and to a screen reader.

JupyterLab drops ``image/svg+xml`` of a notebook that it does not trust, ignores alternative text in an output's
metadata, and lets wide pictures run out of the window. An ``<img>`` in ``text/html`` has none of these faults.
"""

from __future__ import annotations

import base64
from html import escape


def image_html(content: bytes, kind: str, alt: str) -> str:
    """The ``<img>`` element for ``content``; ``kind`` is ``"png"`` or ``"svg+xml"``, ``alt`` says what it shows."""
    data = base64.b64encode(content).decode("ascii")
    return f'<img alt="{escape(alt)}" style="max-width:100%;height:auto" src="data:image/{kind};base64,{data}">'
