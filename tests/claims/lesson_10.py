"""Claims of lesson 10: the compiler switched off, looking inside, what an error says, hooks, and limits."""

# No `from __future__ import annotations`: the models here are scripted.

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils.classroom import models
from tests.claims import claim

LESSON = "notebooks/10_debugging.ipynb"
SOLUTIONS = "solutions/10_debugging.ipynb"


def error_of(act: Callable[[], Any]) -> BaseException:
    """The error that the act raises; the claim fails where it raises none."""
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def first_line(error: BaseException) -> str:
    return next(line.strip() for line in str(error).splitlines() if line.strip())


def loaded(module: Any) -> torch.jit.ScriptModule:
    file = io.BytesIO()
    torch.jit.save(module, file)
    file.seek(0)
    return torch.jit.load(file)


class Watch(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def seen_by_a_mode(module: Any, *inputs: Tensor) -> list[str]:
    with torch.no_grad(), Watch() as watch:
        module(*inputs)
    return watch.seen


class Refusal(Exception):
    pass


class Plain(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 2


class Rows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 0:
            raise ValueError("no dimension")
        if x.dim() == 3:
            raise Refusal("three dimensions")
        assert x.dim() == 2, "two are needed"
        return x.reshape(x.shape[0], 4)


class Silent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.dim() == 2
        return x


class Forks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()

    def forward(self, x: Tensor) -> Tensor:
        return torch.jit.wait(torch.jit.fork(self.rows, x))


class Ignored(nn.Module):
    @torch.jit.ignore
    def look(self, x: Tensor) -> None:
        if x.dim() != 2:
            raise ValueError("seen from Python")

    def forward(self, x: Tensor) -> Tensor:
        self.look(x)
        return x


class TwoLines(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise ValueError("first line\nsecond line")
        return x


class Index(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        names = [1, 2]
        return x * names[x.shape[0]]


class Sums(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.ones(3, 3)


CALLS: list[str] = []


class Calls(nn.Module):
    @torch.jit.ignore
    def probe(self, x: Tensor) -> None:
        CALLS.append("probe")

    def forward(self, x: Tensor) -> Tensor:
        self.probe(x)
        return x * 2


class Formats(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * len(f"{1.5:.1f}")


class Catches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        try:
            return x
        except RuntimeError:
            return x


class NoMethod(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.no_such_method()


class NoBuiltin(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * os.getpid()


class GuardedFormat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            print(f"{x.max().item():.2f}")
        return x / 2


class GuardedTry(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            try:
                x = x + 0
            except RuntimeError:
                x = x * 1
        return x / 2


def tell(x: Tensor) -> None:
    try:
        CALLS.append(f"{x.max().item():.2f}")
    except RuntimeError:
        CALLS.append("?")


class GuardedFunction(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            tell(x)
        return x / 2


class GuardedMethod(nn.Module):
    def tell(self, x: Tensor) -> None:
        tell(x)

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            self.tell(x)
        return x / 2


class UnguardedUnused(nn.Module):
    @torch.jit.unused
    def tell(self, x: Tensor) -> None:
        tell(x)

    def forward(self, x: Tensor) -> Tensor:
        self.tell(x)
        return x / 2


class Sizes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found = [len(x), x.size(0), x.dim()]
        found.append(x.numel())
        total = 0
        for n in found:
            total += n
        return x * total


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.times = 3

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).relu() * self.times


OFF = """
import sys, torch

class Model(torch.nn.Module):
    def forward(self, x):
        return x + 1

model = Model().eval()
print(torch.jit.script(model) is model, torch.jit.trace(model, torch.ones(1)) is model)
print(int(torch.jit.script(model)(torch.ones(1))))
for act in (lambda: torch.jit.load(sys.argv[1]), lambda: torch.jit.freeze(model), lambda: model.code):
    try:
        act()
        print("works")
    except Exception as error:
        print(type(error).__name__, "_construct" in str(error))
"""


@claim(f"{LESSON}#c6bdf3123", "`script` and `trace` return what you pass them, so calls run Python")
@claim(
    f"{LESSON}#c6bdf3123",
    "appears on loading, look for this variable first",
    was="whoever meets `no attribute '_construct'` has this variable set somewhere",
)
def switched_off() -> None:
    with tempfile.TemporaryDirectory() as name:
        path, program = Path(name, "model.pt"), Path(name, "program.py")
        torch.jit.script(Plain()).save(path)
        program.write_text(OFF, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(program), str(path)],
            env=os.environ | {"PYTORCH_JIT": "0"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        said = ["True True", "2", "AttributeError True", "RuntimeError False", "AttributeError False"]
        assert done.stdout.splitlines() == said, done.stdout + done.stderr
        model = Plain()  # and with the compiler on, in this process
        assert torch.jit.script(model) is not model and torch.jit.trace(model, torch.ones(1)) is not model
        assert torch.jit.load(path)(torch.ones(1)).item() == 0.5


@claim(f"{LESSON}#c570ac7f2", "its lines are no longer lines of Python")
def lines_of_python() -> None:
    """In a process of its own: where Dynamo has run before, a trace function can keep Python in one frame for ever."""
    program = "from tests.claims import lesson_10; lesson_10.watched_lines()"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def watched_lines() -> None:
    seen: list[str] = []

    def watch(frame: Any, event: str, _: Any) -> Any:
        if event == "line" and frame.f_code.co_name in ("forward", "probe") and frame.f_code.co_filename == __file__:
            seen.append(frame.f_code.co_name)
        return watch

    x = torch.ones(2, 2)
    eager, before = Plain(), sys.gettrace()
    ways = (eager, torch.jit.script(eager), torch.jit.trace(eager, x), loaded(torch.jit.script(eager)))
    counts = []
    for way in (*ways, torch.jit.script(Calls())):
        seen.clear()
        sys.settrace(watch)
        try:
            way(x)
        finally:
            sys.settrace(before)
        counts.append(list(seen))
    assert counts == [["forward"], [], [], [], ["probe"]]  # a method that stays in Python is the exception


@claim(
    f"{LESSON}#c35708c9b",
    "in Python that compiled code calls or goes through: an `@torch.jit.ignore` method, a dispatch mode, a global hook",
    was="in the eager twin, in an `@torch.jit.ignore` method, nowhere else",
)
def where_python_runs() -> None:
    CALLS.clear()
    x = torch.ones(1, 2)
    torch.jit.script(Calls())(x)
    assert CALLS == ["probe"]
    small = loaded(torch.jit.script(Small()))
    assert len(seen_by_a_mode(small, x)) > 0
    handle = register_module_forward_hook(lambda *_: CALLS.append("hook"))
    try:
        small(x)
    finally:
        handle.remove()
    assert CALLS == ["probe", "hook"]
    small(x)
    assert CALLS == ["probe", "hook"]


@claim(f"{LESSON}#c5c78374b", "Such a model cannot be saved: a probe is a tool for development.")
def probes_cannot_be_saved() -> None:
    for module in (Calls(), Ignored(), nn.Sequential(nn.ReLU(), Calls())):
        scripted = torch.jit.script(module)
        scripted(torch.ones(2, 2))
        assert "Could not export Python function call" in str(error_of(lambda s=scripted: loaded(s)))


@claim(
    f"{LESSON}#c28d9ae0d",
    "What the branch calls is neither parsed nor compiled, and the model can be saved.",
    was="what the reader does not know must stand in a method of its own, marked unused",
)
@claim(f"{LESSON}#c28d9ae0d", "Such a branch is not *compiled*, but it is still *parsed*")
def guarded_branches() -> None:
    x = torch.tensor([3.0])
    for kind in (GuardedFormat, GuardedTry):
        assert first_line(error_of(lambda kind=kind: torch.jit.script(kind())))
    for kind in (GuardedFunction, GuardedMethod):
        CALLS.clear()
        again = loaded(torch.jit.script(kind()))
        assert again(x).item() == 1.5 and CALLS == []
        assert kind()(x).item() == 1.5 and CALLS == ["3.00"]


@claim(f"{LESSON}#c28d9ae0d", "if compiled code that reaches it after all should raise")
def unused_methods() -> None:
    for module in (torch.jit.script(UnguardedUnused()), loaded(torch.jit.script(UnguardedUnused()))):
        assert isinstance(error_of(lambda module=module: module(torch.ones(1))), torch.jit.Error)
    CALLS.clear()
    UnguardedUnused()(torch.ones(1))
    assert CALLS == ["1.00"]


@claim(
    f"{LESSON}#dispatch-blind-why",
    "The interpreter handles sizes, numbers, lists and loops itself.",
    was="a TorchDispatchMode sees every operator",
)
@claim(f"{LESSON}#c35708c9b", "it does not see sizes, numbers, lists, or what was fused")
def what_a_mode_sees() -> None:
    x = torch.ones(2, 3)
    for way in (torch.jit.script(Sizes()), loaded(torch.jit.script(Sizes()))):
        assert seen_by_a_mode(way, x) == ["mul"]
    assert "mul" in seen_by_a_mode(Sizes(), x)
    assert torch.jit.script(Sizes())(x)[0, 0] == 2 + 2 + 2 + 6


@claim(
    f"{LESSON}#dispatch-blind-why",
    "on a CPU with oneDNN, it sees no convolution",
)
def fused_convolutions() -> None:
    net, images = models.trained_digit_net(), torch.ones(2, 1, 8, 8)
    scripted = torch.jit.script(net)
    for way in (scripted, torch.jit.freeze(torch.jit.script(net)), torch.jit.trace(net, images)):
        assert sum("conv" in name for name in seen_by_a_mode(way, images)) == 2
    if torch.backends.mkldnn.is_available():
        fused = seen_by_a_mode(torch.jit.optimize_for_inference(scripted), images)
        assert not any("conv" in name for name in fused)


@claim(f"{LESSON}#c616d35b4", "arrives as a `torch.jit.Error`, which is neither a `RuntimeError` nor a `ValueError`")
@claim(
    f"{LESSON}#raise-forms-why",
    "An `assert` raises a `torch.jit.Error` whose text says `RuntimeError: AssertionError`",
)
@claim(
    f"{SOLUTIONS}#why-10-4",
    "An `assert` is one of the model's own",
)
def what_the_model_raises() -> None:
    said = {0: "builtins.ValueError: no dimension", 1: "RuntimeError: AssertionError: two are needed"}
    for module in (torch.jit.script(Rows()), loaded(torch.jit.script(Rows()))):
        for dimensions, last in said.items():
            error = error_of(lambda m=module, d=dimensions: m(torch.ones((1,) * d)))
            assert type(error) is torch.jit.Error and not isinstance(error, (RuntimeError, ValueError, AssertionError))
            assert str(error).strip().splitlines()[-1] == last
        own = error_of(lambda m=module: m(torch.ones(1, 1, 1)))
        assert type(own) is torch.jit.Error
        assert str(own).strip().endswith(f"{Refusal.__module__}.Refusal: three dimensions")
    bare = error_of(lambda: torch.jit.script(Silent())(torch.ones(1)))
    assert type(bare) is torch.jit.Error and str(bare).strip().endswith("RuntimeError: AssertionError:")


@claim(f"{LESSON}#c616d35b4", "An exception from an operator arrives as a `RuntimeError`, whatever its type was")
def what_an_operator_raises() -> None:
    for kind, x, eager in (
        (Rows, torch.ones(2, 3), RuntimeError),
        (Index, torch.ones(7), IndexError),
        (Sums, torch.ones(2, 5), RuntimeError),
    ):
        assert isinstance(error_of(lambda kind=kind, x=x: kind()(x)), eager)
        for module in (torch.jit.script(kind()), loaded(torch.jit.script(kind()))):
            assert type(error_of(lambda module=module, x=x: module(x))) is RuntimeError


@claim(
    f"{LESSON}#raise-forms-why",
    "An error that comes through a fork or out of an `@torch.jit.ignore` method arrives as a `RuntimeError`.",
    was="what you raise yourself arrives as a torch.jit.Error",
)
@claim(
    f"{LESSON}#raise-forms-why",
    "it is the last line only if the message has one line and no Python frames follow.",
    was="read the last line",
)
def raised_elsewhere() -> None:
    def behind(error: BaseException) -> list[str]:
        return [x.strip() for x in str(error).rsplit("<--- HERE", 1)[1].splitlines() if x.strip()]

    for module in (torch.jit.script(Forks()), loaded(torch.jit.script(Forks()))):
        for x, last in ((torch.tensor(1.0), "builtins.ValueError: no dimension"), (torch.ones(1), "two are needed")):
            error = error_of(lambda module=module, x=x: module(x))
            assert type(error) is RuntimeError and behind(error)[-1].endswith(last)
    called = error_of(lambda: torch.jit.script(Ignored())(torch.ones(1)))
    assert type(called) is RuntimeError
    assert "RuntimeError: ValueError: seen from Python" in behind(called) and "seen" not in behind(called)[-1]
    assert behind(error_of(lambda: torch.jit.script(TwoLines())(torch.ones(1))))[-2:] == [
        "builtins.ValueError: first line", "second line",
    ]  # fmt: skip


@claim(f"{LESSON}#cca4bc411", "**an archive contains the paths of your machine and excerpts of your source**")
def paths_in_archives() -> None:
    own = Path(__file__).name.encode()
    for module in (torch.jit.script(Rows()), torch.jit.trace(Plain(), torch.ones(1)), loaded(torch.jit.script(Rows()))):
        file, stripped = io.BytesIO(), io.BytesIO()
        torch.jit.save(module, file)
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(stripped, "w") as new:
            holding = [name for name in old.namelist() if own in old.read(name)]
            assert holding and all(name.endswith(".debug_pkl") for name in holding)
            for name in old.namelist():
                if not name.endswith(".debug_pkl"):
                    new.writestr(name, old.read(name))
        stripped.seek(0)
        x = torch.ones(2, 4)
        assert torch.equal(torch.jit.load(stripped)(x), module(x))


@claim(
    f"{LESSON}#c07465116",
    "(An error in *parsing* the source, such as a format, comes before there is a class, and stays the same.)",
    was='"Can\'t redefine method" is all that you get from then on',
)
def the_second_attempt() -> None:
    for kind in (Formats, Catches):
        said = {first_line(error_of(lambda kind=kind: torch.jit.script(kind()))) for _ in range(3)}
        assert len(said) == 1 and "redefine" not in said.pop()
    for kind in (NoMethod, NoBuiltin):
        first, second, third = (first_line(error_of(lambda kind=kind: torch.jit.script(kind()))) for _ in range(3))
        assert "redefine" not in first and "redefine" in second and "redefine" in third


@claim(
    f"{LESSON}#c1677da7f",
    "A forward hook with type annotations is compiled with the module; without them, `torch.jit.script` raises.",
)
@claim(
    f"{LESSON}#backward-hook-why",
    "The hook is dropped silently.",
    was="a hook without types is refused",
)
def hooks_and_scripting() -> None:
    def untyped(self, inputs, out):  # type: ignore[no-untyped-def]
        return out + 100

    def typed(self, inputs: tuple[Tensor], out: Tensor) -> Tensor:
        return out + 100

    layer = nn.ReLU()
    layer.register_forward_hook(typed)
    assert torch.jit.script(layer)(torch.ones(1)).item() == 101
    layer = nn.ReLU()
    layer.register_forward_hook(untyped)
    assert "Hook 'untyped'" in str(error_of(lambda: torch.jit.script(layer)))
    for register in ("register_full_backward_hook", "register_full_backward_pre_hook"):
        calls: list[int] = []
        linear = nn.Linear(2, 2)
        getattr(linear, register)(lambda *_, calls=calls: calls.append(1))
        for way, count in ((linear, 1), (torch.jit.script(linear), 0)):
            calls.clear()
            way(torch.ones(1, 2, requires_grad=True)).sum().backward()
            assert len(calls) == count


@claim(
    f"{LESSON}#c9cf0df0e",
    "you can assign a scripted submodule of the same type, and the undocumented `define` adds a method",
    was="structure and code can be read only",
)
def two_ways_in() -> None:
    for module in (torch.jit.script(Small()), loaded(torch.jit.script(Small()))):
        module.define("def more(self, x: Tensor):\n    return x + self.times\n")
        assert module.more(torch.ones(1)).item() == 4
        assert "redefine" in str(error_of(lambda m=module: m.define("def forward(self, x: Tensor):\n    return x\n")))
        module.times = 5
        assert module.more(torch.ones(1)).item() == 6
        error_of(lambda m=module: setattr(m, "linear", nn.Linear(2, 2)))
        error_of(lambda m=module: setattr(m, "times", "three"))
    scripted, other = torch.jit.script(Small()), torch.jit.script(nn.Linear(2, 2))
    scripted.linear = other
    assert torch.equal(scripted(torch.ones(1, 2)), other(torch.ones(1, 2)).relu() * 3)


@claim(f"{SOLUTIONS}#why-10-2", "With `ignore` and no check, it would call Python and could not be saved.")
def ignore_without_a_guard() -> None:
    scripted = torch.jit.script(Calls())
    CALLS.clear()
    scripted(torch.ones(1))
    assert CALLS == ["probe"]
    error_of(lambda: loaded(scripted))
    loaded(torch.jit.script(GuardedMethod()))
