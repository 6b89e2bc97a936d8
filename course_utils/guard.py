"""Run a function with a time and a memory limit, so that a learner's answer cannot take the notebook down.

On Linux the function runs in a forked copy of the process: an endless loop (also inside the TorchScript interpreter,
which no signal can interrupt), a crash of the interpreter and a memory hog end with that copy, and nothing that the
function changes reaches the notebook. Elsewhere it runs in a thread: an endless Python loop is stopped, compiled code
cannot be, and the message says so. The thread also takes over on Linux where torch refuses ``backward`` in a fork: once
autograd has threads of its own, as it has with a GPU, and after ``torch.export`` or ``torch.compile``, which let torch
believe that there is one.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import io
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# In order: torch's allocator on Linux, elsewhere, and the C++ error that the interpreter passes on.
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory: you tried to allocate", "std::bad_alloc")
SECONDS = 20.0
MEMORY = 4 * 2**30
# Part of torch's message, whether the function raised it or returned it as what it saw (autograd/engine.cpp).
_NO_BACKWARD_HERE = b"threading in combination with fork-based multiprocessing"
_MAX_PRINTED = 2000
_LENGTH_BYTES = 8


class LimitError(Exception):
    """The function did not finish: it took too long, took too much memory, or brought its process down."""


class TimeLimit(LimitError):
    pass


class MemoryLimit(LimitError):
    pass


class Crash(LimitError):
    pass


@dataclass(frozen=True)
class Result:
    """What the function returned, and what it printed (cut after 2,000 characters)."""

    value: Any
    printed: str


def run_limited(function: Callable[[], Any], *, seconds: float = SECONDS, memory: int = MEMORY) -> Result:
    """Call ``function()`` within ``seconds`` of wall time and ``memory`` bytes on top of what the process has now.

    The return value must be picklable. An exception of the function is raised here. Raises :class:`TimeLimit`,
    :class:`MemoryLimit` or :class:`Crash` when it did not finish; their texts end with what to do.
    """
    run = _run_forked if sys.platform == "linux" else _run_threaded
    return run(function, seconds, memory)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether this is Python's MemoryError or what torch raises when its allocator gets nothing."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


def _too_slow(seconds: float, ended: bool) -> TimeLimit:
    what = f"It was still running after {seconds:g} s"
    if ended:
        return TimeLimit(f"{what} and was stopped. Look for a loop whose condition never becomes false.")
    return TimeLimit(f"{what} and cannot be stopped from here. Restart the kernel, then look for an endless loop.")


def _too_big(memory: int) -> MemoryLimit:
    return MemoryLimit(
        f"It asked for more than {memory / 2**30:.2g} GiB of memory and was stopped. "
        "Look for a tensor or a list that grows without end."
    )


def _run_forked(function: Callable[[], Any], seconds: float, memory: int) -> Result:
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python 3.12+ warns that a fork of a process with threads may deadlock. The child takes no lock of another
        # thread, runs torch on one thread, and is killed at the time limit.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reader)
        _work_and_exit(function, writer, memory)
    os.close(writer)
    try:
        payload = _read_until(reader, time.monotonic() + seconds)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if payload is None:
        raise _too_slow(seconds, ended=True)
    if not payload:
        raise _crash(status)
    if _NO_BACKWARD_HERE in payload:
        return _run_threaded(function, seconds, memory)
    kind, value, printed = pickle.loads(payload)
    if kind == "memory":
        raise _too_big(memory)
    if kind == "raised":
        raise value
    return Result(value, printed)


def _work_and_exit(function: Callable[[], Any], writer: int, memory: int) -> None:
    """The child's whole life. It leaves by ``os._exit`` so that no handler of the notebook's process runs twice."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + memory
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        if "torch" in sys.modules:
            # OpenMP's other threads did not come along; asking them to work would wait for ever.
            sys.modules["torch"].set_num_threads(1)
        faulthandler.disable()  # a crash is told in a sentence; a dump of every thread helps no learner
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        printed = io.StringIO()
        sys.stdout = sys.stderr = printed
        try:
            answer = ("value", function(), printed.getvalue()[:_MAX_PRINTED])
        except BaseException as error:
            answer = ("memory", None, "") if is_out_of_memory(error) else ("raised", error, "")
        payload = _packed(*answer)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(len(payload).to_bytes(_LENGTH_BYTES, "big") + payload)
    finally:
        os._exit(0)


def _packed(kind: str, value: Any, printed: str) -> bytes:
    """The bytes for the parent. What cannot make the journey there and back goes as a RuntimeError with its text."""
    try:
        payload = pickle.dumps((kind, value, printed))
        pickle.loads(payload)
    except BaseException as error:
        lost = value if kind == "raised" else error
        payload = pickle.dumps(("raised", RuntimeError(f"{type(lost).__name__}: {lost}"), printed))
    return payload


def _read_until(reader: int, deadline: float) -> bytes | None:
    """The message of the child, empty when it ended without one, or None when the deadline came first.

    The message says its own length: a process that the child started may hold the pipe open for longer.
    """
    import select

    received = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None
        chunk = os.read(reader, 65536)
        if not chunk:
            return b""
        received += chunk
        length, payload = received[:_LENGTH_BYTES], received[_LENGTH_BYTES:]
        if len(length) == _LENGTH_BYTES and len(payload) == int.from_bytes(length, "big"):
            return payload


def _crash(status: int) -> Crash:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Crash(
            f"It brought its Python process down ({name}). Your notebook is safe: the check ran in a copy. "
            "An operator error that is caught while tracing does this; look for a try block."
        )
    return Crash("It ended its Python process. Look for a call of exit or quit.")


class _Stop(BaseException):
    """Raised inside the worker thread to end a Python loop."""


def _run_threaded(function: Callable[[], Any], seconds: float, memory: int) -> Result:
    import psutil

    process = psutil.Process()
    allowed = process.memory_info().rss + memory
    printed = io.StringIO()
    answer: dict[str, Any] = {}

    def work() -> None:
        try:
            answer["value"] = function()
        except BaseException as error:
            answer["error"] = error

    worker = threading.Thread(target=work, daemon=True)
    deadline = time.monotonic() + seconds
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        worker.start()
        while worker.is_alive():
            worker.join(0.05)
            too_big = process.memory_info().rss > allowed
            if worker.is_alive() and (too_big or time.monotonic() > deadline):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(_Stop))
                worker.join(1.0)
                raise _too_big(memory) if too_big else _too_slow(seconds, ended=not worker.is_alive())
    if "error" in answer:
        if is_out_of_memory(answer["error"]):
            raise _too_big(memory)
        raise answer["error"]
    return Result(answer["value"], printed.getvalue()[:_MAX_PRINTED])
