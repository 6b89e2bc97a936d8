"""End a call that does not come to an end by itself: a loop in Python on an input that nobody foresaw."""

from __future__ import annotations

import contextlib
import ctypes
import math
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

LOOK_EVERY = 0.05  # seconds


class EndlessError(BaseException):
    """The comparison took too long. Not an Exception: the model under test must not catch it."""


class Watch:
    """A thread that raises `EndlessError` in the one that made it, where a call exceeds its `limit`.

    It works once that thread runs Python; C++ is not stopped. One thread for all calls: to start one for each costs
    more than most calls do.
    """

    def __init__(self) -> None:
        self.watched, self.until, self.sent = threading.get_ident(), math.inf, False
        self.lock, self.over = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        self.sent, self.until = False, time.monotonic() + seconds
        try:
            yield
        finally:
            with self.lock:
                self.until = math.inf
            for _ in range(10 * self.sent):  # one that is on its way arrives here (taking it back hangs a profiler)
                time.sleep(0)

    def _look(self) -> None:
        while not self.over.wait(LOOK_EVERY):
            with self.lock:
                late = time.monotonic() > self.until and not self.sent
                if late and not _imports(sys._current_frames().get(self.watched)):
                    self.sent = True
                    error = ctypes.py_object(EndlessError)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.watched), error)


def _imports(frame: FrameType | None) -> bool:
    """Is the frame inside an import? Interrupting one leaves the module broken for good."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
