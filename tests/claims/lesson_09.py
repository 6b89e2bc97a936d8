"""Claims of lesson 09: what a ScriptModule can do, forks, what travels to C++, threads, and stored results."""

# No `from __future__ import annotations`: the models here are scripted.

import copy
import io
import pickle
import re
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom import models
from course_utils.classroom.backends import recorded
from tests.claims import claim

LESSON = "notebooks/09_outside_python.ipynb"
SOLUTIONS = "solutions/09_outside_python.ipynb"


def error_of(act: Callable[[], Any]) -> BaseException:
    """The error that the act raises; the claim fails where it raises none."""
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def loaded(module: Any) -> torch.jit.ScriptModule:
    file = io.BytesIO()
    torch.jit.save(module, file)
    file.seek(0)
    return torch.jit.load(file)


def cause(error: BaseException) -> str:
    return str(error).rsplit("<--- HERE", 1)[-1].strip()


class Holds(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Methods(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return self.called(x)

    def called(self, x: Tensor) -> Tensor:
        return x + 1

    @torch.jit.export
    def exported(self, x: Tensor) -> Tensor:
        return x + 2

    @torch.jit.ignore
    def ignored(self, x: Tensor) -> Tensor:
        return x + 3

    @torch.jit.unused
    def unused(self, x: Tensor) -> Tensor:
        return x + 4

    def forgotten(self, x: Tensor) -> Tensor:
        return x + 5


class Box(nn.Module):
    def __init__(self, args: Any) -> None:
        super().__init__()
        self.args = args


class Typed(Box):
    args: tuple[list[int]]


class TypedDict(Box):
    args: tuple[dict[str, int]]


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add_(1)
        return x + self.seen


@torch.jit.script
def doubled(x):
    return x * 2


@torch.jit.script
def forked(x):
    return torch.jit.wait(torch.jit.fork(doubled, x))


@torch.jit.script
def forked_twice(x):
    return torch.jit.wait(torch.jit.fork(forked, x))


@torch.jit.script
def positive(x):
    if bool(x.min() < 0):
        raise ValueError("negative input")
    return x


@torch.jit.script
def asserts(x):
    assert bool(x.min() >= 0), "negative input"
    return x


@torch.jit.script
def positive_in_a_fork(x):
    return torch.jit.wait(torch.jit.fork(positive, x))


@torch.jit.script
def asserts_in_a_fork(x):
    return torch.jit.wait(torch.jit.fork(asserts, x))


@torch.jit.script
def two_lines(x):
    if bool(x.min() < 0):
        raise ValueError("first line\nsecond line")
    return x


@torch.jit.script
def left_aside(x):
    later = torch.jit.fork(positive, x)
    return x, later


@claim(f"{LESSON}#cf62f639c", "Calls, weights, modes, copies, device and dtype work as in eager mode.")
def what_works() -> None:
    for module in (nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 2), nn.ReLU())):
        scripted = torch.jit.script(copy.deepcopy(module).eval())
        scripted.load_state_dict(module.state_dict())
        assert torch.equal(copy.deepcopy(scripted)(torch.ones(3, 2)), copy.deepcopy(module).eval()(torch.ones(3, 2)))
        assert scripted.train().training and not scripted.eval().training
        assert {x.dtype for x in scripted.double().state_dict().values() if x.is_floating_point()} == {torch.float64}
        assert {x.device.type for x in scripted.to("meta").state_dict().values()} == {"meta"}


@claim(
    f"{LESSON}#cf62f639c",
    "You can assign a *scripted* module of the same type, and the model computes with it from then on.",
    was="whatever would change the type is refused, no other submodule can be assigned",
)
def another_submodule() -> None:
    scripted = torch.jit.script(Holds(nn.Linear(2, 2)))
    other = nn.Linear(2, 2)
    x = torch.ones(1, 2)
    before = scripted(x)
    scripted.net = torch.jit.script(other)
    assert torch.equal(scripted(x), other(x)) and not torch.equal(scripted(x), before)
    for refused in (nn.Linear(2, 2), torch.jit.script(nn.ReLU()), torch.jit.script(nn.Linear(3, 2)), nn.Identity()):
        error_of(lambda refused=refused: setattr(scripted, "net", refused))
    assert torch.equal(scripted(x), other(x))


@claim(f"{LESSON}#cf62f639c", 'raise "is not supported on ScriptModules", even where the type would stay the same.')
def switched_off_by_name() -> None:
    scripted = torch.jit.script(Holds(nn.Linear(2, 2)))
    acts: tuple[Callable[[], Any], ...] = (
        lambda: scripted.get_submodule("net"),
        lambda: scripted.get_parameter("net.weight"),
        lambda: scripted.requires_grad_(False),
        lambda: scripted.register_forward_hook(lambda *_: None),
        lambda: scripted.register_full_backward_hook(lambda *_: None),
    )
    for act in acts:
        assert "is not supported on ScriptModules" in str(error_of(act))
    for weight in scripted.parameters():  # the same by hand is taken
        weight.requires_grad_(False)
    assert not scripted(torch.ones(1, 2)).requires_grad


@claim(
    f"{LESSON}#cf62f639c",
    "it has a method only if the method was compiled or is marked `@torch.jit.ignore` or `@torch.jit.unused`",
    was="a method that nobody compiled does not exist",
)
def methods_that_are_there() -> None:
    scripted = torch.jit.script(Methods())
    x = torch.zeros(1)
    found = {name: getattr(scripted, name)(x).item() for name in ("called", "exported", "ignored", "unused")}
    assert found == {"called": 1, "exported": 2, "ignored": 3, "unused": 4}
    assert isinstance(error_of(lambda: scripted.forgotten), AttributeError)
    assert isinstance(error_of(lambda: torch.jit.trace(Methods(), x).forgotten), AttributeError)


@claim(
    f"{LESSON}#c301e0f0d",
    "it *replaces* a buffer, on the side that you convert. The eager model is therefore left with `float64` weights "
    "and `float32` statistics, and accepts inputs of neither dtype.",
    was="the eager model is float64 as well",
)
def converted_on_one_side() -> None:
    for module in (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), models.trained_digit_net()):
        x = torch.ones(2, 2) if isinstance(module, nn.Sequential) else torch.ones(2, 1, 8, 8)
        module.eval()
        scripted = torch.jit.script(module)
        scripted.double()
        assert {p.dtype for p in module.parameters()} == {torch.float64}
        assert {b.dtype for b in module.buffers()} == {torch.float32, torch.int64}
        for dtype in (torch.float32, torch.float64):
            assert isinstance(error_of(lambda dtype=dtype, x=x, module=module: module(x.to(dtype))), RuntimeError)
        assert scripted(x.double()).dtype == torch.float64
        assert module.double()(x.double()).dtype == torch.float64  # the same once more, on the eager side
    early = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval().double()
    assert torch.jit.script(early)(torch.ones(2, 2).double()).dtype == torch.float64
    traced = torch.jit.trace(nn.BatchNorm1d(2).eval(), torch.ones(2, 2))
    assert traced.double().running_mean.dtype == torch.float64


@claim(f"{LESSON}#c301e0f0d", "A loaded or traced `Sequential` cannot be indexed at all.")
def indexing() -> None:
    eager = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    scripted = torch.jit.script(eager)
    assert scripted[0] is eager[0] and scripted[-1] is eager[-1]
    assert isinstance(error_of(lambda: loaded(scripted)[0]), NotImplementedError)
    assert isinstance(error_of(lambda: torch.jit.trace(eager, torch.ones(1, 2))[0]), TypeError)
    assert isinstance(getattr(loaded(scripted), "0"), torch.jit.ScriptModule)


@claim(f"{LESSON}#ce42f43f6", "which is neither a `ValueError` nor a `RuntimeError`")
@claim(
    f"{LESSON}#c1a1733f8",
    "its type has changed: `torch.jit.Error` from a direct call, `RuntimeError` through the fork",
)
def types_of_what_is_raised() -> None:
    x = -torch.ones(1)
    for direct in (positive, asserts, loaded(positive), torch.jit.script(Holds(torch.jit.script(Raises())))):
        error = error_of(lambda direct=direct: direct(x))
        assert type(error) is torch.jit.Error and not isinstance(error, (ValueError, RuntimeError))
    for through in (positive_in_a_fork, asserts_in_a_fork, loaded(positive_in_a_fork)):
        error = error_of(lambda through=through: through(x))
        assert type(error) is RuntimeError and cause(error).endswith("negative input")


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.min() < 0):
            raise IndexError("negative input")
        return x


@claim(f"{LESSON}#c1a1733f8", "The error surfaces at `wait`, with both tracebacks")
def an_error_waits() -> None:
    x = -torch.ones(1)
    _, later = left_aside(x)  # nothing is raised here
    assert isinstance(error_of(lambda: torch.jit.wait(later)), RuntimeError)
    assert str(error_of(lambda: positive_in_a_fork(x))).count("Traceback of") == 2
    assert str(error_of(lambda: positive(x))).count("Traceback of") == 1


@claim(
    f"{LESSON}#c1a1733f8",
    "The original error follows the last traceback, with its class: one line here, more if the message has more.",
    was="read the last line",
)
def where_the_cause_is() -> None:
    x = -torch.ones(1)
    assert cause(error_of(lambda: positive(x))).splitlines()[-1] == "builtins.ValueError: negative input"
    assert cause(error_of(lambda: positive_in_a_fork(x))).splitlines()[-1] == "builtins.ValueError: negative input"
    *_, before, last = cause(error_of(lambda: two_lines(x))).splitlines()
    assert (before, last) == ("builtins.ValueError: first line", "second line")


@claim(
    f"{LESSON}#fork-modes-why",
    "a fork inherits the grad mode and the inference mode of the code that starts it",
    was="they hold for the thread that runs them",
)
@claim(f"{LESSON}#fork-modes-why", "A thread that *you* start does not")
def modes_in_forks() -> None:
    x = torch.ones(2, requires_grad=True)
    for way in (forked, forked_twice, loaded(forked), lambda x: torch.jit.wait(torch.jit.fork(doubled, x))):
        assert way(x).requires_grad
        with torch.no_grad():
            assert not way(x).requires_grad
        with torch.inference_mode():
            assert way(x).is_inference()
    with torch.no_grad(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.is_grad_enabled).result()
        assert pool.submit(doubled, x).result().requires_grad
    with torch.inference_mode(), ThreadPoolExecutor(1) as pool:
        assert not pool.submit(forked, x).result().is_inference()


@claim(
    f"{LESSON}#box-dropped-why",
    "A list or dict needs one type for all of its values, an empty one has no values to infer it from, and a set has "
    "no type at all. A value without a type is left out silently",
    was="lists and dicts of them: whatever TorchScript has a type for",
)
def what_a_box_loses() -> None:
    for value in ([1, "a"], [], {}, {"a": 1, "b": "x"}, [1, 2.0], {1, 2}, [torch.ones(1), 2], ([],), range(3)):
        assert not hasattr(loaded(torch.jit.script(Box((value,)))), "args"), value
    for value in ([1, 2], {"a": 1}, (1, "a"), (), None, "text", {"a": (1, "x")}, [torch.ones(1)]):
        assert str(loaded(torch.jit.script(Box((value,)))).args) == str((value,)), value


@claim(f"{LESSON}#box-dropped-why", "an annotation on the class gives an empty list its type")
def an_annotated_box() -> None:
    assert loaded(torch.jit.script(Typed(([],)))).args == ([],)
    assert loaded(torch.jit.script(Typed(([1],)))).args == ([1],)
    assert loaded(torch.jit.script(TypedDict(({},)))).args == ({},)
    error_of(lambda: torch.jit.script(Typed((["a"],))))


@claim(
    f"{LESSON}#box-dropped-why",
    "The model's weights ship with the course, so they are bitwise identical on every machine.",
)
def shipped_weights() -> None:
    first, second = models.trained_digit_net(), models.trained_digit_net()
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    stored = torch.load(models.WEIGHTS, weights_only=True)
    assert {name: x.dtype for name, x in stored.items()} == {name: x.dtype for name, x in first.state_dict().items()}
    torch.manual_seed(7)
    assert torch.equal(models.trained_digit_net().scores.weight, stored["scores.weight"])


@claim(
    f"{LESSON}#cdde9b0b9",
    "so the question now is whether the scores are *close*",
)
def stored_scores_are_close() -> None:
    import base64

    kept = next(x for key, x in recorded.results("cpp").items() if "--save scores.bin" in key)
    scores = torch.load(io.BytesIO(base64.b64decode(kept["written"])), weights_only=True)
    *_, images, _ = models.digit_images()
    net = models.trained_digit_net()
    with torch.no_grad():
        ways = (
            net,
            torch.jit.freeze(torch.jit.script(net)),
            torch.jit.trace(copy.deepcopy(net).double(), images.double()),
        )
        for way, given in zip(ways, (images, images, images.double()), strict=True):
            here = way(given)
            assert torch.allclose(here.float(), scores, atol=1e-3)
            assert torch.equal(here.argmax(1), scores.argmax(1))


@claim(
    f"{LESSON}#c24024b2f",
    "through a fork it loses its type, as in Python, and is some other `std::exception`",
    was="a raise in the model is a JITException",
)
def a_raise_in_cpp() -> None:
    # The program prints "type: sentence"; without a compiler these are the stored runs of the lesson.
    kept = recorded.results("cpp")
    assert "JITException: builtins.ValueError" in kept["run_model early.pt flat.pt --method strict"]["err"]
    assert "std::exception: builtins.ValueError" in kept["run_model aside.pt negative.pt"]["err"]
    assert "c10::Error: RuntimeError" in kept["run_model digits.pt flat.pt"]["err"]


@claim(
    f"{LESSON}#c24024b2f",
    "a `torch.save` file here, a `.pt2` at the end of the lesson",
    was="'failed locating file constants.pkl' is a torch.save file",
)
def no_constants() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        net = nn.Linear(2, 2)
        torch.save(net.state_dict(), folder / "weights.pt")
        torch.save(torch.ones(1), folder / "tensor.pt")
        torch.save({"weight": torch.ones(1), "epoch": 3}, folder / "checkpoint.pt")
        for path in folder.iterdir():
            assert "constants.pkl" in str(error_of(lambda path=path: torch.jit.load(path)))
        assert "constants.pkl" in recorded.results("cpp")["run_model digits.pt2 request.pt"]["err"]
        (folder / "text.pt").write_text("no archive")
        assert "constants.pkl" not in str(error_of(lambda: torch.jit.load(folder / "text.pt")))


@claim(
    f"{LESSON}#c0527be36",
    "Neither form is safe.",
    was="compiled code runs without Python's lock, so the threads are in the model at the same time",
)
def a_race_in_either_form() -> None:
    class Meets(nn.Module):
        """Writes its input into a buffer, lets the other thread do the same, and returns the buffer."""

        def __init__(self, compiled: bool) -> None:
            super().__init__()
            self.register_buffer("last", torch.zeros(1))
            write = WritesAndReturns(self.last)
            self.write = torch.jit.script(write) if compiled else write
            self.both = threading.Barrier(2)

        def forward(self, x: Tensor) -> Tensor:
            written = self.write(x)
            self.both.wait(10)
            return written.clone()

    for compiled in (False, True):
        module = Meets(compiled)
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(module, (torch.ones(1), torch.full((1,), 2.0))))
        assert torch.equal(*answers)  # one of the two got the other's number
        alone = [module.write(torch.full((1,), float(i))).item() for i in range(3)]
        assert alone == [0, 1, 2]


class WritesAndReturns(nn.Module):
    def __init__(self, last: Tensor) -> None:
        super().__init__()
        self.register_buffer("last", last)

    def forward(self, x: Tensor) -> Tensor:
        self.last.copy_(x)
        return self.last


@claim(f"{LESSON}#c0527be36", "need one copy per thread, or one lock around the call")
def copies_keep_their_state() -> None:
    module = torch.jit.script(Counts())
    for other in (copy.deepcopy(module), loaded(module)):
        assert [other(torch.zeros(1)).item() for _ in range(3)] == [1, 2, 3]
        assert module.seen.item() == 0
    shared = torch.jit.script(Holds(module))  # the same state under another name: no copy
    shared(torch.zeros(1))
    assert module.seen.item() == 1
    lock = threading.Lock()

    def locked(x: Tensor) -> float:
        with lock:
            return module(x).item()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(locked, [torch.zeros(1)] * 8)) == [float(i) for i in range(2, 10)]


@claim(f"{SOLUTIONS}#why-09-3", "a module that returns its own buffer would change them all with the next call")
def answers_by_reference() -> None:
    for module in (WritesAndReturns(torch.zeros(1)), torch.jit.script(WritesAndReturns(torch.zeros(1)))):
        kept = [module(torch.full((1,), float(i))) for i in range(3)]
        assert [x.item() for x in kept] == [2, 2, 2]
        cloned = [module(torch.full((1,), float(i))).clone() for i in range(3)]
        assert [x.item() for x in cloned] == [0, 1, 2]
    fresh = [doubled(torch.full((1,), float(i))) for i in range(3)]
    assert [x.item() for x in fresh] == [0, 2, 4]


@claim(f"{SOLUTIONS}#why-09-4", "is not a `RuntimeError`, so a server catches `Exception`")
def what_a_server_catches() -> None:
    for act in (lambda: positive(-torch.ones(1)), lambda: asserts(-torch.ones(1))):
        error = error_of(act)
        assert isinstance(error, Exception) and not isinstance(error, (RuntimeError, ValueError, AssertionError))
    for act in (lambda: positive_in_a_fork(-torch.ones(1)), lambda: torch.jit.load(io.BytesIO(b"no archive"))):
        assert isinstance(error_of(act), RuntimeError)
    missing = Path(tempfile.gettempdir()) / "no such folder" / "no such file.pt"
    assert isinstance(error_of(lambda: torch.jit.load(missing)), (ValueError, OSError)), sys.platform


@claim(
    f"{SOLUTIONS}#why-09-4",
    "puts the cause last; the archive reader's text puts it first",
)
def where_a_text_says_it() -> None:
    for act in (lambda: positive(-torch.ones(1)), lambda: asserts(-torch.ones(1)), lambda: doubled_rows(torch.ones(2))):
        lines = str(error_of(act)).strip().splitlines()
        assert "interpreter" in lines[0] and re.search(r"\w+(Error|Exception): ", lines[-1]), lines
    whole = io.BytesIO()
    torch.jit.save(doubled, whole)
    for damaged, first in (
        (whole.getvalue()[:300], "zip archive"),
        (with_an_unknown_operator(whole), "elsewhere::mul"),
    ):
        lines = str(error_of(lambda damaged=damaged: torch.jit.load(io.BytesIO(damaged)))).strip().splitlines()
        assert first in lines[0] and "interpreter" not in lines[0]


@torch.jit.script
def doubled_rows(x):
    return torch.cat([x, x.unsqueeze(0)])


def with_an_unknown_operator(archive: io.BytesIO) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry).replace(b"torch.mul(", b"ops.elsewhere.mul("))
    return target.getvalue()


class Ignores(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return self.in_python(x)

    @torch.jit.ignore
    def in_python(self, x: Tensor) -> Tensor:
        raise ValueError("negative input")


@claim(
    f"{LESSON}#ce42f43f6",
    "error in Python code behind `@torch.jit.ignore` arrives as a `RuntimeError`",
    was="what the model raises itself reaches you as torch.jit.Error, with one exception: a fork",
)
def an_error_behind_ignore() -> None:
    ignores = torch.jit.script(Ignores())
    for act in (lambda: ignores(torch.ones(1)), lambda: torch.jit.script(Holds(Ignores()))(torch.ones(1))):
        error = error_of(act)
        assert type(error) is RuntimeError and "negative input" in str(error)
    assert isinstance(error_of(lambda: Ignores()(torch.ones(1))), ValueError)
    assert isinstance(error_of(lambda: doubled_rows(torch.ones(2))), RuntimeError)


@claim(f"{LESSON}#cf62f639c", "The operations that raise in this table do so for one of three reasons")
def three_reasons() -> None:
    scripted = torch.jit.script(Holds(nn.Linear(2, 2)))
    by_type: tuple[Callable[[], Any], ...] = (
        lambda: scripted.register_buffer("offset", torch.ones(1)),
        lambda: scripted.register_parameter("factor", nn.Parameter(torch.ones(1))),
        lambda: delattr(scripted, "net"),
        lambda: setattr(scripted, "training", "yes"),
    )
    for act in by_type:
        assert "not supported on ScriptModules" not in str(error_of(act))
    assert "not supported on ScriptModules" in str(error_of(lambda: scripted.to_empty(device="cpu")))
    for act in (lambda: torch.save(scripted, io.BytesIO()), lambda: pickle.dumps(scripted)):
        assert "does not have a __getstate__" in str(error_of(act))


@claim(f"{LESSON}#c301e0f0d", "the compiled model never calls a hook that you register there")
def hooks_on_the_eager_child() -> None:
    for name in ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"):
        eager = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        scripted = torch.jit.script(eager)
        calls: list[str] = []
        getattr(scripted[0], name)(lambda *_, calls=calls: calls.append("called"))
        scripted(torch.ones(1, 2, requires_grad=True)).sum().backward()
        assert not calls
        eager(torch.ones(1, 2, requires_grad=True)).sum().backward()
        assert calls


@claim(
    f"{LESSON}#cdde9b0b9",
    "For a tensor, or a tuple of tensors, `torch::jit::pickle_save` writes bytes that `torch.load` accepts with "
    "`weights_only=True`; in that mode it rejects a list or a dict.",
    was="pickle_save writes bytes that torch.load accepts with weights_only=True",
)
def what_pickle_save_writes() -> None:
    for value in (torch.ones(2), (torch.ones(1), torch.zeros(2, 3)), (torch.ones(1), 2)):
        file = io.BytesIO(torch._C._pickle_save(value))
        assert str(torch.load(file, weights_only=True)) == str(value)
    for value in ([torch.ones(1)], [1, 2], {"sum": torch.ones(1)}):
        file = io.BytesIO(torch._C._pickle_save(value))
        assert isinstance(error_of(lambda file=file: torch.load(file, weights_only=True)), pickle.UnpicklingError)
        file.seek(0)
        assert str(torch.load(file, weights_only=False)) == str(value)


@claim(
    f"{LESSON}#c8a00f7be",
    "It does not accept a compiled module, traced or scripted",
    was="it does not take what is compiled already",
)
def exports_of_what_is_compiled() -> None:
    x = torch.ones(1, 2)
    for module in (
        torch.jit.script(nn.Linear(2, 2)),
        torch.jit.trace(nn.Linear(2, 2), x),
        loaded(torch.jit.script(nn.ReLU())),
    ):
        error = error_of(lambda module=module: torch.export.export(module, (x,)))
        assert "Exporting a ScriptModule is not supported" in str(error)

    class Calls(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return doubled(x)

    for module in (Calls(), Holds(torch.jit.trace(nn.ReLU(), x))):
        assert torch.equal(torch.export.export(module, (x,)).module()(x), module(x))


@claim(f"{SOLUTIONS}#why-09-1", "for no images it returns one empty part")
@claim(f"{SOLUTIONS}#why-09-1", "`at::cat` rejects an empty list")
def parts_of_nothing() -> None:
    for shape in ((0, 1), (0, 1, 8, 8), (0,)):
        assert [tuple(part.shape) for part in torch.empty(shape).split(3)] == [shape]
    error_of(lambda: torch.cat([]))
    assert torch.cat([torch.empty(0, 1), torch.ones(2, 1)]).shape == (2, 1)
