"""Run a function or a program with a time and a memory limit, so that it cannot take the notebook down.

`run_limited` takes any function, such as a learner's answer; `run_in_new_python` one that can be imported, in a fresh
Python; `run_command` a program.

On Linux the function runs in a forked copy of the process: an endless loop (also inside the TorchScript interpreter,
which no signal can interrupt), a crash of the interpreter and a memory hog end with that copy, and nothing that the
function changes reaches the notebook. Elsewhere it runs in a thread: an endless Python loop is stopped, compiled code
cannot be, and the message says so.

What is limited is the processor time of the function, not the time on the clock: a busy machine takes longer, and stops
nothing sooner. A function that only waits (a lock, a sleep) uses none; it is stopped once it has waited as long.

The thread also takes over on Linux where torch does not run ``backward`` in a fork: once
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
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.core.errors import CourseError

# In order: torch's allocator on Linux, elsewhere, and the C++ error that the interpreter passes on.
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory: you tried to allocate", "std::bad_alloc")
SECONDS = 20.0
# A function that computes a little and waits a lot, over and over, ends after this many times its limit on the clock.
_CLOCK_FACTOR = 15
# Less work than this, in seconds of processor time, is waiting: a process that is only looked at now and then.
_AT_WORK = 0.02
_LOOK_EVERY = 0.25
MEMORY_GIB = 4.0
# Part of torch's message, whether the function raised it or returned it as what it saw (autograd/engine.cpp).
_NO_BACKWARD_HERE = b"threading in combination with fork-based multiprocessing"
_MAX_PRINTED = 2000
# What is known to end a process by this signal, and what to do next.
_CAUSES = {
    "SIGFPE": "The remainder of an int by 0 does this in compiled code; look for a `%` whose right side can be 0.",
    "SIGSEGV": "An operator error that is caught while tracing does this; look for a try block.",
}
_OTHER_CAUSE = "Leave out one call after another to see which one does this."
_LENGTH_BYTES = 8


class LimitError(CourseError):
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


def run_limited(
    function: Callable[[], Any],
    *,
    seconds: float = SECONDS,
    memory_gib: float = MEMORY_GIB,
    warm_up: Callable[[], object] | None = None,
) -> Result:
    """Call ``function()`` within ``seconds`` of processor time and ``memory_gib`` on top of what the process has now.

    The processor time is that of all threads of the function. A function that waits for ``seconds`` on end without
    computing, and one that is not done after 15 times ``seconds`` on the clock, are stopped too. ``warm_up`` is called
    first, in the same place, and its time does not count: what the first use of a library costs is not the function's.

    The return value must be picklable. An exception of the function is raised here. Raises :class:`TimeLimit`,
    :class:`MemoryLimit` or :class:`Crash` when it did not finish; their texts end with what to do.
    """
    run = _run_forked if sys.platform == "linux" else _run_threaded
    return run(function, seconds, memory_gib, warm_up)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether this is Python's MemoryError or what torch raises when its allocator gets nothing."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


def _too_slow(seconds: float, reason: str, ended: bool = True) -> TimeLimit:
    what = {
        "work": f"It was not done after {seconds:g} s of processor time",
        "wait": f"It waited for {seconds:g} s without computing anything",
        "clock": f"It was not done after {seconds * _CLOCK_FACTOR:g} s, most of them spent waiting,",
    }[reason]
    look = {
        "work": "See whether a loop comes to its end; work that needs longer gets more time with `seconds=`.",
        "wait": "See what it waits for: a lock, a sleep, an input, another thread.",
        "clock": "See what it waits for; work that needs longer gets more time with `seconds=`.",
    }[reason]
    if ended:
        return TimeLimit(f"{what} and was stopped. {look}")
    return TimeLimit(f"{what} and cannot be stopped from here. Restart the kernel first. {look}")


def _too_big(memory_gib: float) -> MemoryLimit:
    return MemoryLimit(
        f"It asked for more than {memory_gib:.2g} GiB of memory and was stopped. "
        "Look for a tensor or a list that grows without end."
    )


def _run_forked(
    function: Callable[[], Any], seconds: float, memory_gib: float, warm_up: Callable[[], object] | None = None
) -> Result:
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python 3.12+ warns that a fork of a process with threads may deadlock. The child takes no lock of another
        # thread, runs torch on one thread, and is killed when it waits for too long.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reader)
        _work_and_exit(function, writer, memory_gib, seconds, warm_up)
    os.close(writer)
    payload, reason = None, "clock"
    try:
        payload, reason = _read_until(reader, child, seconds)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if payload is None:
        raise _too_slow(seconds, reason)
    if not payload:
        raise _too_slow(seconds, "work") if _ended_by_the_clock(status) else _crash(status)
    if _NO_BACKWARD_HERE in payload:
        return _run_threaded(function, seconds, memory_gib, warm_up)
    kind, value, printed = pickle.loads(payload)
    if kind == "memory":
        raise _too_big(memory_gib)
    if kind == "raised":
        raise value
    return Result(value, printed)


def _ended_by_the_clock(status: int) -> bool:
    """Whether the process ended by the signal of its own timer, which counts processor time."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF


def _work_and_exit(
    function: Callable[[], Any], writer: int, memory_gib: float, seconds: float, warm_up: Callable[[], object] | None
) -> None:
    """The child's whole life. It leaves by ``os._exit`` so that no handler of the notebook's process runs twice."""
    try:
        _limit_memory(memory_gib)
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
            if warm_up is not None:
                warm_up()
            # The system ends the process when its threads have computed for so long, wherever they are: no Python
            # code has to run for it, so the TorchScript interpreter is ended as well.
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            answer = ("value", function(), printed.getvalue()[:_MAX_PRINTED])
        except BaseException as error:
            answer = ("memory", None, "") if is_out_of_memory(error) else ("raised", error, "")
        signal.setitimer(signal.ITIMER_PROF, 0)
        payload = _packed(*answer)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(len(payload).to_bytes(_LENGTH_BYTES, "big") + payload)
    finally:
        os._exit(0)


def _limit_memory(memory_gib: float) -> None:
    """Let an allocation beyond the limit raise in this process, before the system picks a process to end. On Linux."""
    if sys.platform != "linux" or memory_gib == float("inf"):
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + int(memory_gib * 2**30)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _packed(kind: str, value: Any, printed: str) -> bytes:
    """The bytes for the parent. What cannot make the journey there and back goes as a RuntimeError with its text."""
    try:
        payload = pickle.dumps((kind, value, printed))
        pickle.loads(payload)
    except BaseException as error:
        lost = value if kind == "raised" else error
        payload = pickle.dumps(("raised", RuntimeError(f"{type(lost).__name__}: {lost}"), printed))
    return payload


def _read_until(reader: int, child: int, seconds: float) -> tuple[bytes | None, str]:
    """The message of the child, empty when it ended without one; or None and why it was given up: "wait" or "clock".

    The message says its own length: a process that the child started may hold the pipe open for longer.
    """
    import select

    received = b""
    idle = _Idle(child, seconds)
    while True:
        if not select.select([reader], [], [], min(_LOOK_EVERY, seconds))[0]:
            if reason := idle.given_up():
                return None, reason
            if _has_ended(child):
                if select.select([reader], [], [], 0)[0]:  # it wrote and ended while we looked at it
                    continue
                # A process that it left behind holds the pipe open.
                return received[_LENGTH_BYTES:] if _is_whole(received) else b"", ""
            continue
        chunk = os.read(reader, 65536)
        received += chunk
        if not chunk or _is_whole(received):
            return received[_LENGTH_BYTES:] if chunk else b"", ""


def _is_whole(received: bytes) -> bool:
    length = received[:_LENGTH_BYTES]
    return len(length) == _LENGTH_BYTES and len(received) - _LENGTH_BYTES == int.from_bytes(length, "big")


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class _Idle:
    """Tells work from waiting: asks the system how long a process and those that it started have computed."""

    def __init__(self, process: int, seconds: float) -> None:
        self.process = process
        self.seconds = seconds
        self.began = self.last_work = time.monotonic()
        self.computed = 0.0

    def given_up(self) -> str:
        """ "wait" after ``seconds`` without work, "clock" when all of it takes far too long, else nothing."""
        now = time.monotonic()
        computed = _processor_seconds(self.process)
        if computed > self.computed + _AT_WORK:
            self.computed, self.last_work = computed, now
        if now - self.last_work > self.seconds and not _wants_to_work(self.process):
            return "wait"
        return "clock" if now - self.began > self.seconds * _CLOCK_FACTOR else ""


def _psutil() -> Any:
    """psutil, which the course brings. Without it nobody sees what others compute: then the clock alone is a limit."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def _family(process: int) -> list[Any]:
    psutil = _psutil()
    if psutil is None:
        return []
    try:
        parent = psutil.Process(process)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _processor_seconds(process: int) -> float:
    psutil = _psutil()
    total = 0.0
    for member in _family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            used = member.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


def _wants_to_work(process: int) -> bool:
    """Whether a process of the family is ready to run, or waits for the disk: on a busy machine that is no idling."""
    psutil = _psutil()
    if psutil is None:
        return True
    for member in _family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            if member.status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP):
                return True
    return False


def _crash(status: int) -> Crash:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Crash(
            f"It brought its Python process down ({name}). Your notebook is safe: the check ran in a copy. "
            + _CAUSES.get(name, _OTHER_CAUSE)
        )
    return Crash("It ended its Python process. Look for a call of exit or quit.")


class _Stop(BaseException):
    """Raised inside the worker thread to end a Python loop."""


def _run_threaded(
    function: Callable[[], Any], seconds: float, memory_gib: float, warm_up: Callable[[], object] | None = None
) -> Result:
    psutil = _psutil()
    if warm_up is not None:
        warm_up()
    process = psutil.Process() if psutil else None
    allowed = process.memory_info().rss + memory_gib * 2**30 if process else 0
    printed = io.StringIO()
    answer: dict[str, Any] = {}

    def work() -> None:
        try:
            answer["value"] = function()
        except BaseException as error:
            answer["error"] = error

    worker = threading.Thread(target=work, daemon=True)
    began, before, with_others = time.monotonic(), time.process_time(), _processor_seconds(os.getpid())
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        worker.start()
        while worker.is_alive():
            worker.join(0.05)
            too_big = process is not None and process.memory_info().rss > allowed
            # This process alone: to look for its children means to go through all processes of the system, and each of
            # them is a turn that a thread which computes gives away late.
            passed = time.monotonic() - began
            reason = _spent(time.process_time() - before, passed, seconds)
            if reason == "wait" and process is not None:
                reason = _spent(_processor_seconds(process.pid) - with_others, passed, seconds)
            elif reason == "wait":
                reason = "clock" if passed > seconds * _CLOCK_FACTOR else ""
            if worker.is_alive() and (too_big or reason):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(_Stop))
                worker.join(1.0)
                raise _too_big(memory_gib) if too_big else _too_slow(seconds, reason, ended=not worker.is_alive())
    if "error" in answer:
        if is_out_of_memory(answer["error"]):
            raise _too_big(memory_gib)
        raise answer["error"]
    return Result(answer["value"], printed.getvalue()[:_MAX_PRINTED])


# --- another program -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How a program ended. code: its exit status, the negative number of a signal; late: it was stopped by the limit.

    out, err: what it wrote, in UTF-8; what could not be read as such is replaced.
    """

    code: int
    out: str = ""
    err: str = ""
    late: bool = False

    @property
    def last_words(self) -> str:
        """The last line that it wrote to standard error, or how it ended."""
        if self.code < 0:
            return f"it was ended by {signal.Signals(-self.code).name}"
        return next((x.strip() for x in reversed(self.err.splitlines()) if x.strip()), f"exit status {self.code}")


def run_command(
    command: Sequence[str],
    *,
    seconds: float,
    given: bytes = b"",
    on_line: Callable[[str], object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program for at most ``seconds`` on the clock, and never leave it behind: an interrupt here ends it too.

    given: what it reads from standard input. on_line: called with each line of its standard output as it comes.
    environment: variables on top of ours.
    """
    wanted = os.environ | {"PYTHONIOENCODING": "utf-8", **(environment or {})}
    late = threading.Event()
    lines: list[str] = []
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as words:
        words.write(given)
        words.seek(0)
        with subprocess.Popen(list(command), stdin=words, stdout=subprocess.PIPE, stderr=errors, env=wanted) as process:

            def stop() -> None:
                late.set()
                process.kill()

            alarm = threading.Timer(seconds, stop)
            alarm.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    lines.append(line.decode("utf-8", errors="replace").replace("\r\n", "\n"))
                    if on_line is not None:
                        on_line(lines[-1].rstrip("\n"))
                code = process.wait()
            except BaseException:
                process.kill()
                raise
            finally:
                alarm.cancel()
        errors.seek(0)
        return Ended(code, "".join(lines), errors.read().decode("utf-8", errors="replace"), late.is_set())


def run_in_new_python(
    function: Callable[..., Any],
    *arguments: Any,
    seconds: float,
    memory_gib: float = MEMORY_GIB,
    on_line: Callable[[str], object] | None = None,
) -> Result:
    """Call ``function(*arguments)`` in a fresh Python, which imports it: it is found by its module and its name.

    seconds: on the clock, with the start of Python. on_line: called with each line that the function prints. Arguments,
    the returned value and exceptions travel as in `run_limited`, and the same exceptions are raised.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        paths = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
        ended = run_command(
            [sys.executable, "-c", "from course_utils.core.limits import _new_python; _new_python()"],
            seconds=seconds,
            given=pickle.dumps((str(answer), memory_gib, function, arguments)),
            on_line=on_line,
            environment={"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))},
        )
        if ended.late:
            raise TimeLimit(
                f"It was not done after {seconds:g} s and was stopped; give `seconds=` for work that needs longer."
            )
        if not answer.exists():
            if is_out_of_memory(RuntimeError(ended.err)):
                raise _too_big(memory_gib)
            raise Crash(f"Its Python process did not come to its end: {ended.last_words}.")
        kind, value, _ = pickle.loads(answer.read_bytes())
    if kind == "memory":
        raise _too_big(memory_gib)
    if kind == "raised":
        raise value
    return Result(value, ended.out[:_MAX_PRINTED])


def _new_python() -> None:
    """The whole life of the fresh Python."""
    path, memory_gib, function, arguments = pickle.load(sys.stdin.buffer)
    faulthandler.disable()
    _limit_memory(memory_gib)
    kind, value = "value", None
    try:
        value = function(*arguments)
    except BaseException as error:
        kind, value = ("memory", None) if is_out_of_memory(error) else ("raised", error)
    sys.stdout.flush()
    part = Path(path + ".part")
    part.write_bytes(_packed(kind, value, ""))
    os.replace(part, path)


def _spent(computed: float, passed: float, seconds: float) -> str:
    """Why a thread is given up: too much work, or next to none in twice its limit on the clock, or far too long."""
    if computed > seconds:
        return "work"
    if passed > 2 * seconds and computed < 0.1 * passed:
        return "wait"
    return "clock" if passed > seconds * _CLOCK_FACTOR else ""
