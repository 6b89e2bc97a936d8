"""End a call that does not come to an end by itself: a loop in Python on an input that nobody foresaw."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from types import FrameType


class EndlessError(BaseException):
    """The comparison took too long. Not an Exception: the model under test must not catch it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `EndlessError` in this thread after so many seconds (0: never), once it runs Python; C++ is not stopped."""
    if not seconds:
        yield
        return
    ident, stop = threading.get_ident(), threading.Event()

    def end() -> None:
        wait = seconds
        while not stop.wait(wait):
            wait = 0.1
            if not _imports(sys._current_frames().get(ident)):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(EndlessError))
                return

    watch = threading.Thread(target=end, daemon=True)
    watch.start()
    try:
        yield
    finally:
        stop.set()
        watch.join()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), None)


def _imports(frame: FrameType | None) -> bool:
    """Is the frame inside an import? Interrupting one leaves the module broken for good."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
