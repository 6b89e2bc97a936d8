"""The guard: whatever an answer does, the notebook lives on and is told what happened."""
# No `from __future__ import annotations` here: this file holds code that is scripted.

import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.core import limits
from course_utils.core.limits import Crash, MemoryLimit, Result, TimeLimit, run_command, run_in_new_python, run_limited

forks = pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs the answer in a forked copy")
MEMORY_GIB = 0.5


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Each test ends with the child processes and the open files it began with."""
    others, before = children(), open_files()  # the worker may have children of its own
    yield
    assert children() == others and open_files() == before


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


def children() -> list:
    if sys.platform != "linux":
        return []
    import psutil

    return psutil.Process().children()


def endless() -> None:
    while True:
        pass


def spin(x: torch.Tensor) -> torch.Tensor:
    while bool(x.sum() > 0):
        x = x + 1
    return x


class NeedsTwo(Exception):
    """Can be pickled, and then not be made again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def test_a_value_comes_back() -> None:
    assert run_limited(lambda: {"sum": 1 + 1, "list": [1, "é"]}) == Result({"sum": 2, "list": [1, "é"]}, "")


@settings(deadline=None, max_examples=15)
@given(value=st.recursive(st.none() | st.integers() | st.text() | st.binary(max_size=9), st.lists, max_leaves=5))
def test_any_plain_value_comes_back(value: object) -> None:
    assert run_limited(lambda: value).value == value


def test_a_large_value_comes_back() -> None:
    assert run_limited(lambda: b"x" * 5_000_000).value == b"x" * 5_000_000


def test_prints_are_shown_and_stay_out_of_the_notebook(capfd: pytest.CaptureFixture[str]) -> None:
    def talk() -> int:
        print("one")
        print("two", file=sys.stderr)
        return 3

    assert run_limited(talk) == Result(3, "one\ntwo\n")
    assert capfd.readouterr() == ("", "")


def test_prints_are_cut() -> None:
    assert run_limited(lambda: print("x" * 10_000)).printed == "x" * 2000


@forks
def test_what_compiled_code_prints_stays_out_of_the_notebook(capfd: pytest.CaptureFixture[str]) -> None:
    run_limited(lambda: subprocess.run(["echo", "from below"], check=True))
    assert capfd.readouterr() == ("", "")


def test_a_value_that_comes_while_nobody_listens_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function ends between the look at its pipe and the look at its process."""

    def long_look(self: object) -> str:
        time.sleep(0.5)
        return ""

    monkeypatch.setattr(limits, "_LOOK_EVERY", 0.05)
    monkeypatch.setattr(limits._Idle, "given_up", long_look)
    assert run_limited(lambda: time.sleep(0.2) or 5) == Result(5, "")


def test_an_exception_passes_through() -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        run_limited(lambda: 1 / 0)


@forks
def test_an_exception_that_cannot_be_pickled_keeps_its_text() -> None:
    class LocalError(Exception):
        pass

    def fail() -> None:
        raise LocalError("shape (2, 3)")

    with pytest.raises(RuntimeError, match=r"^LocalError: shape \(2, 3\)$"):
        run_limited(fail)


@forks
def test_an_exception_that_cannot_be_unpickled_keeps_its_text() -> None:
    def fail() -> None:
        raise NeedsTwo("this", "that")

    with pytest.raises(RuntimeError, match=r"^NeedsTwo: this and that$"):
        run_limited(fail)


@forks
def test_a_value_that_cannot_be_pickled_is_said() -> None:
    with pytest.raises(RuntimeError, match="pickle"):
        run_limited(lambda: threading.Lock())


def test_a_torchscript_error_passes_through() -> None:
    scripted = torch.jit.script(reads_first)
    with pytest.raises((IndexError, RuntimeError, torch.jit.Error), match="index"):
        run_limited(lambda: scripted([]))


def reads_first(values: list[int]) -> int:
    return values[0]


@forks
def test_nothing_reaches_the_notebook() -> None:
    state = {"calls": 0}
    weight = torch.zeros(2)

    def change() -> int:
        state["calls"] += 1
        weight.add_(1)
        os.environ["COURSE_LEAK"] = "1"
        torch.set_num_threads(1)
        return state["calls"]

    threads = torch.get_num_threads()
    assert run_limited(change).value == 1 and run_limited(change).value == 1
    assert state == {"calls": 0} and weight.tolist() == [0, 0] and "COURSE_LEAK" not in os.environ
    assert torch.get_num_threads() == threads


def took(function: Callable[[], object], kind: type[Exception]) -> tuple[float, str]:
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        function()
    return time.monotonic() - start, str(caught.value)


def test_an_endless_python_loop_is_stopped() -> None:
    seconds, text = took(lambda: run_limited(endless, seconds=0.3), TimeLimit)
    assert seconds < 5
    assert text == (
        "It was not done after 0.3 s of processor time and was stopped. See whether a loop comes to its end; "
        "work that needs longer gets more time with `seconds=`."
    )


@forks
def test_an_endless_compiled_loop_is_stopped() -> None:
    scripted = torch.jit.script(spin)
    seconds, text = took(lambda: run_limited(lambda: scripted(torch.ones(1)), seconds=0.5), TimeLimit)
    assert seconds < 5 and "was stopped" in text


def test_one_that_only_waits_is_stopped_and_not_accused_of_a_loop() -> None:
    seconds, text = took(lambda: run_limited(lambda: time.sleep(60), seconds=0.3), TimeLimit)
    assert seconds < 10
    assert text == (
        "It waited for 0.3 s without computing anything and was stopped. "
        "See what it waits for: a lock, a sleep, an input, another thread."
    )


@forks
def test_one_that_works_now_and_then_is_stopped_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def doze() -> None:
        while True:
            time.sleep(0.2)
            until = time.process_time() + 0.03
            while time.process_time() < until:
                pass

    monkeypatch.setattr(limits, "_CLOCK_FACTOR", 1.5)
    _, text = took(lambda: run_limited(doze, seconds=1.0), TimeLimit)
    assert text.startswith("It was not done after 1.5 s, most of them spent waiting, and was stopped.")


BUSY = "while True: pass"


def test_a_busy_machine_stops_nothing_sooner() -> None:
    """The same work under the same limit, while twice as many processes as cores want to compute."""

    def work() -> float:
        until = time.process_time() + 0.5
        while time.process_time() < until:
            pass
        return time.process_time()

    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        assert run_limited(work, seconds=1.5).value > 0.5
    finally:
        for other in others:
            other.kill()
        for other in others:
            other.wait()


@pytest.mark.parametrize("run", ["run_limited", "_run_threaded"])
def test_the_cost_of_a_first_use_does_not_count(run: str) -> None:
    def costly() -> None:
        until = time.process_time() + 0.8
        while time.process_time() < until:
            pass

    options = {"memory_gib": MEMORY_GIB} if run == "_run_threaded" else {}
    assert getattr(limits, run)(lambda: 5, seconds=0.4, warm_up=costly, **options).value == 5
    with pytest.raises(TimeLimit, match="processor time"):
        getattr(limits, run)(costly, seconds=0.4, **options)


@forks
def test_what_the_function_starts_is_work_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that an answer calls computes in processes of its own."""
    monkeypatch.setattr(limits, "_CLOCK_FACTOR", 1000)  # a busy machine takes its time

    def build() -> str:
        program = "import time\nuntil = time.process_time() + 1.2\nwhile time.process_time() < until: pass"
        subprocess.run([sys.executable, "-c", program], check=True)
        return "built"

    assert run_limited(build, seconds=0.6).value == "built"


@forks
def test_a_loop_that_ignores_every_signal_is_stopped() -> None:
    def deaf() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                endless()
            except BaseException:
                continue

    assert took(lambda: run_limited(deaf, seconds=0.3), TimeLimit)[0] < 5


@forks
def test_a_list_that_grows_without_end_is_stopped() -> None:
    def grow() -> None:
        blocks = []
        while True:
            blocks.append(bytes(8 * 2**20))

    _, text = took(lambda: run_limited(grow, memory_gib=MEMORY_GIB), MemoryLimit)
    assert text == (
        "It asked for more than 0.5 GiB of memory and was stopped. Look for a tensor or a list that grows without end."
    )


@forks
@pytest.mark.parametrize("swallow", [False, True])
def test_one_huge_tensor_is_refused(swallow: bool) -> None:
    def huge() -> object:
        try:
            return torch.ones(2**38).sum().item()
        except RuntimeError:
            if swallow:
                return "went on"
            raise

    if swallow:
        assert run_limited(huge, memory_gib=MEMORY_GIB).value == "went on"
    else:
        took(lambda: run_limited(huge, memory_gib=MEMORY_GIB), MemoryLimit)


def hoard(x: torch.Tensor) -> int:
    kept = [x]
    while len(kept) > 0:
        kept.append(x.repeat(1048576))
    return len(kept)


@forks
def test_compiled_code_that_hoards_tensors_is_stopped() -> None:
    scripted = torch.jit.script(hoard)
    took(lambda: run_limited(lambda: scripted(torch.ones(1)), memory_gib=MEMORY_GIB), MemoryLimit)


@forks
@pytest.mark.parametrize(
    "crash, name",
    [
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "SIGSEGV"),
        (lambda: ctypes.string_at(0), "SIGSEGV"),
        (os.abort, "SIGABRT"),
        (lambda: torch.jit.script(remainder)(5, 0), "SIGFPE"),
        (lambda: torch.jit.trace(catches, torch.ones(2)), "SIGSEGV"),
    ],
    ids=["kill", "null pointer", "abort", "int % 0", "caught while tracing"],
)
def test_a_crash_is_told(crash: Callable[[], object], name: str, tmp_path) -> None:
    """With the cause that is known for it; the one of the last two is what they are."""
    cause = {"SIGSEGV": "look for a try block.", "SIGFPE": "look for a `%` whose right side can be 0."}
    with (tmp_path / "dump").open("w+", encoding="utf-8") as dump:
        faulthandler.enable(dump)
        try:
            _, text = took(lambda: run_limited(crash), Crash)
        finally:
            faulthandler.enable(sys.__stderr__)
        assert text.startswith(f"It brought its Python process down ({name}). Your notebook is safe")
        assert text.endswith(cause.get(name, "the check ran in a copy. " + limits._OTHER_CAUSE))
        assert dump.read() == ""


def remainder(a: int, b: int) -> int:
    return a % b


def catches(x: torch.Tensor) -> torch.Tensor:
    try:
        return x.view(3, 4)
    except RuntimeError:
        return x


@forks
@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_is_told(code: int) -> None:
    _, text = took(lambda: run_limited(lambda: os._exit(code)), Crash)
    assert text == "It ended its Python process. Look for a call of exit or quit."


def test_sys_exit_is_an_exception_like_others() -> None:
    with pytest.raises(SystemExit):
        run_limited(lambda: sys.exit(1))


@forks
def test_a_process_that_outlives_the_answer_delays_nothing() -> None:
    def leave_one_behind() -> str:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        return "done"

    start = time.monotonic()
    assert run_limited(leave_one_behind, seconds=2).value == "done"
    assert time.monotonic() - start < 1.5


@forks
def test_it_works_after_torch_ran_on_all_threads() -> None:
    left = torch.randn(256, 256, requires_grad=True)
    (left @ left).sum().backward()
    for _ in range(3):
        (torch.randn(400, 400) @ torch.randn(400, 400)).sigmoid_()

    def work() -> list[float]:
        inner = torch.ones(300, 300, requires_grad=True)
        (inner @ inner).sum().backward()
        convolved = torch.conv2d(torch.ones(4, 3, 32, 32), torch.ones(8, 3, 3, 3))
        return [inner.grad.sum().item(), convolved.max().item()]

    assert run_limited(work, seconds=15).value == [2 * 300.0**3, 27.0]


AFTER_EXPORT = """
import os
import torch
from course_utils.classroom import exercises
from course_utils.core import limits

def work():
    x = torch.ones(3, requires_grad=True)
    (x * x).sum().backward()
    return x.grad.tolist()

torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))
work()
if not os.fork():
    try:
        work()
    except RuntimeError:
        os.write(1, b"torch refuses it in a fork\\n")
    finally:
        os._exit(0)
os.wait()
print(limits.run_limited(work).value)

def answer():
    raise RuntimeError(work())

print(limits.run_limited(lambda: exercises._judge(lambda given: given(), answer)).value[1])
"""


@forks
def test_it_works_after_autograd_started_threads() -> None:
    """In a process of its own: after this, torch refuses backward in every fork of it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AFTER_EXPORT], capture_output=True, text=True, encoding="utf-8"
    )
    expected = ["torch refuses it in a fork", "[2.0, 2.0, 2.0]", "RuntimeError: [2.0, 2.0, 2.0]"]
    assert done.stdout.splitlines() == expected, done.stderr


@forks
# The interrupt may come while psutil has a file of /proc open; Python closes it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_of_the_notebook_ends_the_answer() -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_limited(endless, seconds=10)
    timer.join()


@forks
def test_a_memory_limit_of_the_system_is_kept(tmp_path) -> None:
    program = (
        "import resource\n"
        "from course_utils.core import limits\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))\n"
        "print(limits.run_limited(lambda: 5, memory_gib=64).value)\n"
    )
    root = Path(limits.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("5\n", "")


@pytest.mark.parametrize(
    "error, is_one",
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("shape mismatch"), False),
        (None, False),
    ],
)
def test_out_of_memory_is_recognised(error: BaseException | None, is_one: bool) -> None:
    assert limits.is_out_of_memory(error) is is_one


# --- another program


def stops_itself(how: str) -> object:
    """What `run_in_new_python` calls: found in the fresh Python by its module and name."""
    print("began", flush=True)
    if how == "raises":
        raise NeedsTwo("one", "two")
    if how == "dies":
        ctypes.string_at(0)
    if how == "sleeps":
        time.sleep(60)
    if how == "grows":
        return bytearray(4 * 2**30)
    return {"answer": [how, "é"]}


def test_a_fresh_python_gives_what_the_function_returns_and_prints() -> None:
    told: list[str] = []
    result = run_in_new_python(stops_itself, "returns", seconds=60, on_line=told.append)
    assert result == Result({"answer": ["returns", "é"]}, "began\n") and told == ["began"]


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("raises", RuntimeError, "NeedsTwo: one and two"),
        pytest.param(
            "dies",
            Crash,
            "did not come to its end",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="there ctypes makes an OSError of it"),
        ),
        ("sleeps", TimeLimit, "not done after 4 s"),
        pytest.param("grows", MemoryLimit, "more than 1 GiB", marks=forks),
    ],
)
def test_a_fresh_python_that_does_not_end_well_is_told(how: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        run_in_new_python(stops_itself, how, seconds=4 if how == "sleeps" else 60, memory_gib=1)


def test_a_command_reads_tells_and_ends() -> None:
    program = "import sys; print(sys.stdin.read().upper()); print('é'); print('why', file=sys.stderr); sys.exit(3)"
    told: list[str] = []
    ended = run_command([sys.executable, "-c", program], seconds=60, given=b"words", on_line=told.append)
    assert (ended.code, ended.out, ended.late) == (3, "WORDS\né\n", False)
    assert told == ["WORDS", "é"] and ended.last_words == "why"


def test_a_command_is_stopped_and_an_interrupt_ends_it() -> None:
    endless_program = [sys.executable, "-c", "import time; print('x', flush=True); time.sleep(60)"]
    began = time.monotonic()
    ended = run_command(endless_program, seconds=1.5)
    assert ended.late and ended.code != 0 and time.monotonic() - began < 20
    if sys.platform != "win32":
        assert ended.last_words == "it was ended by SIGKILL"

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_command(endless_program, seconds=60, on_line=interrupt)
    assert time.monotonic() - began < 40


class TestInAThread:
    """What other systems run, tested here too."""

    def run(self, function: Callable[[], object], seconds: float = 5.0, memory_gib: float = MEMORY_GIB) -> Result:
        return limits._run_threaded(function, seconds, memory_gib)

    def test_a_value_and_prints_come_back(self) -> None:
        def talk() -> int:
            print("one")
            print("two", file=sys.stderr)
            return 3

        assert self.run(talk) == Result(3, "one\ntwo\n")

    def test_an_exception_passes_through(self) -> None:
        with pytest.raises(NeedsTwo, match="this and that"):
            self.run(lambda: (_ for _ in ()).throw(NeedsTwo("this", "that")))

    def test_an_endless_python_loop_is_stopped(self) -> None:
        before = threading.active_count()
        seconds, text = took(lambda: self.run(endless, seconds=0.3), TimeLimit)
        assert seconds < 5 and "and was stopped" in text
        assert threading.active_count() == before

    def test_what_cannot_be_stopped_is_said(self) -> None:
        may_end = threading.Event()

        def deaf() -> None:
            while not may_end.is_set():
                try:
                    while not may_end.is_set():
                        time.sleep(0.01)
                except BaseException:
                    continue

        try:
            _, text = took(lambda: self.run(deaf, seconds=0.2), TimeLimit)
            assert "cannot be stopped from here. Restart the kernel" in text
        finally:
            may_end.set()

    def test_a_list_that_grows_without_end_is_stopped(self) -> None:
        def grow() -> None:
            blocks = []
            while True:
                blocks.append(bytearray(os.urandom(2**12) * 2**10))

        took(lambda: self.run(grow, memory_gib=0.125), MemoryLimit)

    def test_memory_that_is_refused_is_told_as_such(self) -> None:
        def refuse() -> None:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")

        took(lambda: self.run(refuse), MemoryLimit)

    def test_sys_exit_is_an_exception_like_others(self) -> None:
        with pytest.raises(SystemExit):
            self.run(lambda: sys.exit(1))

    def test_output_goes_where_it_went_before(self) -> None:
        before = sys.stdout, sys.stderr
        took(lambda: self.run(endless, seconds=0.1), TimeLimit)
        assert (sys.stdout, sys.stderr) == before
