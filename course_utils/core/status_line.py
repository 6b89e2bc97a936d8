"""One changing line that says how far long work is, in a notebook or on a terminal, and that leaves nothing behind.

with status_line() as show:
    show("compiling 3 of 8")

It is shown nowhere else (not in a file or a pipe, where it would be text among the output), and never where the
environment variable ``COURSE_QUIET`` is set, as it is when notebooks are compared: a line that comes only where a
machine is slow would be another output each time.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Show = Callable[[str], None]

SHOW_AFTER = 2.0  # seconds of work before the first line
BETWEEN = 0.5  # seconds from one line to the next, so that showing them does not disturb what is timed


@contextlib.contextmanager
def status_line(progress: bool | Show | None = None, *, at_once: bool = False) -> Iterator[Show]:
    """Give a function that shows a line in place of the one before.

    progress: True or None shows it, False does not; a function of the caller's own gets every line and decides what to
    do with it. at_once: show the first line and each later one without waiting, for work that is known to be long.
    """
    if callable(progress):
        yield progress
        return
    quiet = progress is False or os.environ.get("COURSE_QUIET")
    write, erase = (None, None) if quiet else _place()
    due = time.monotonic() + (0.0 if at_once else SHOW_AFTER)
    shown = False

    def show(line: str) -> None:
        nonlocal due, shown
        if write is not None and time.monotonic() >= due:
            write(line)
            shown = True
            due = time.monotonic() + (0.0 if at_once else BETWEEN)

    try:
        yield show
    finally:
        if shown and erase is not None:
            erase()


def _place() -> tuple[Show | None, Callable[[], None] | None]:
    """How to write the line and how to take it away again, where there is someone to see it."""
    # A kernel of IPython has imported it already; importing it here would cost everyone else.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is not None:
        from IPython.display import display

        handle: list[Any] = []

        def in_notebook(line: str) -> None:
            if handle:
                handle[0].update({"text/plain": line}, raw=True)
            else:
                handle.append(display({"text/plain": line}, raw=True, display_id=True))

        return in_notebook, lambda: in_notebook("")
    if sys.stderr is not None and sys.stderr.isatty():

        def on_terminal(line: str) -> None:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

        return on_terminal, lambda: on_terminal("")
    return None, None
