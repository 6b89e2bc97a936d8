"""What right answers to the exercises of lesson 10 must do. The checks have models and messages of their own."""

# No `from __future__ import annotations`: the models here are scripted.

import inspect
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for, expect_parity


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _cause(error: Exception) -> str:
    """What went wrong in compiled code: behind the tracebacks, and before the Python frames that may follow."""
    text = str(error).split("\nAt:\n", 1)[0].rsplit("<--- HERE", 1)[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


# --- 10.1 ------------------------------------------------------------------------------------------------------------


class _Formats(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * len(f"{1.5:.1f}")


class _Catches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        try:
            return x.reshape(2, 2)
        except RuntimeError:
            return x


class _Holds(nn.Module):
    """Does not compile, and both of its submodules do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) * len(f"{1.5:.1f}")


class _Many(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part1, self.part10 = _Formats(), _Catches()
        self.listed = nn.ModuleList([nn.ReLU(), nn.Sequential(nn.ReLU(), _Holds())])
        self.named = nn.ModuleDict({"plain": nn.Tanh(), "odd": _Catches()})

    def forward(self, x: Tensor) -> Tensor:
        return self.part10(self.part1(x))


MODELS: tuple[tuple[str, Callable[[], nn.Module], set[str]], ...] = (
    ("a model that compiles", lambda: nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU())), set()),
    ("one bad submodule, two floors down", lambda: nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), _Formats())),
     {"1.1"}),
    ("two bad submodules in two branches", lambda: nn.Sequential(nn.Sequential(_Formats()), nn.ReLU(), _Catches()),
     {"0.0", "2"}),
    ("a bad model without submodules", _Formats, {""}),
    ("a bad submodule whose own submodules compile", lambda: nn.Sequential(nn.ReLU(), _Holds()), {"1"}),
    ("a model with lists, a dictionary and similar names", _Many, {"part1", "part10", "listed.1.1", "named.odd"}),
)  # fmt: skip


@check_for("10.1")
def smallest_refused(answer: Any) -> None:
    """A function model → the names of the smallest submodules that do not compile."""
    for words, make, expected in MODELS:
        model = make()
        before = {name: id(part) for name, part in model.named_modules()}
        found = answer(model)
        if isinstance(found, str) or not isinstance(found, (list, tuple, set)):
            raise NotYet(
                "Your function does not return a list of names.",
                seen={"yours": repr(found)[:80]},
                look_at="what it returns for a model that compiles: an empty list",
            )
        strange = [name for name in found if not isinstance(name, str) or name not in before]
        if strange:
            raise NotYet(
                "What you return contains something that is not the name of a submodule.",
                seen={"yours": repr(strange[0])[:80], "names there": ", ".join(map(repr, before))[:120]},
                look_at="the first of each pair that `model.named_modules()` gives",
            )
        if {name: id(part) for name, part in model.named_modules()} != before:
            raise NotYet("Your function changes the model.", look_at="parts that were exchanged and not put back")
        names = set(found)
        seen = {"the model": words, "yours": repr(sorted(names)), "missing": repr(sorted(expected - names))}
        parents = sorted(n for n in names - expected if any(_below(other, n) for other in expected))
        if parents:
            raise NotYet(
                f"You name {parents[0]!r}, which fails because a submodule of it does.",
                seen={"the model": words, "yours": repr(sorted(names))},
                look_at="names that are above another failing one: they are a consequence",
            )
        if names - expected:
            raise NotYet(
                f"You name {min(names - expected)!r}, and it compiles.",
                seen={"the model": words, "yours": repr(sorted(names))},
                look_at="whether each submodule is compiled by itself, and what your `except` takes for a failure",
            )
        if expected == {""} and not names:
            raise NotYet(
                "A model that fails itself, and has nothing below it, is not found.",
                seen=seen,
                look_at='the model belongs to `named_modules()`; its name is `""`',
            )
        if expected - names:
            missing = min(expected - names)
            also = " Another one of them is found." if names else ""
            raise NotYet(
                f"The submodule {missing!r} does not compile and is not named.{also}",
                seen=seen,
                look_at=_why_missed(model, missing, names),
            )


def _below(name: str, above: str) -> bool:
    return name != above and (not above or name.startswith(f"{above}."))


def _why_missed(model: nn.Module, missing: str, found: set[str]) -> str:
    if any(other.startswith(missing) for other in found):
        return f"{missing!r} is the start of another name, and not above it: what separates the steps of a name?"
    if any(model.get_submodule(missing).children()):
        return "it has submodules, and all of them compile: a smallest part need not be a leaf"
    return "whether the search goes on after the first find, and into all floors"


# --- 10.2 ------------------------------------------------------------------------------------------------------------


@check_for("10.2")
def watched_level(answer: Any) -> None:
    """A class whose eager instances log, and which compiles, is saved and does not log then."""
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        raise NotYet(
            "Your answer is not a module class.",
            seen={"you gave": f"an object of type {type(answer).__name__}"},
            look_at="give the class itself: `check` makes its own instances",
        )
    inputs = [torch.tensor([0.5, -4.0]), torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([-1.25])]
    expected = [f"{x.min().item():.1f} to {x.max().item():.1f}" for x in inputs]
    eager = answer()
    if getattr(eager, "log", None):
        raise NotYet(
            "The log of a new instance is not empty.",
            seen={"the log": eager.log},
            look_at="where the list is made: each instance needs one of its own",
        )
    for given in inputs:
        x = given.clone()
        result = eager(x)
        if not torch.equal(x, given):
            raise NotYet(
                "Your module changes the tensor that it is called with.",
                seen={"input": given.tolist(), "afterwards": x.tolist()},
                look_at="a method with an underscore at its end, or an assignment into `x`: they write to the input",
            )
        if not isinstance(result, Tensor) or not torch.equal(result, x / x.abs().max()):
            raise NotYet(
                "In eager mode it returns a different result from `Level`.",
                seen={"input": x.tolist(), "Level": (x / x.abs().max()).tolist(), "yours": result},
                look_at="the last line of `Level.forward`",
            )
    log = getattr(eager, "log", None)
    if log != expected:
        what = "In eager mode nothing is logged." if not log else "The log differs from that of `Level`."
        raise NotYet(
            what,
            seen={"expected": expected, "yours": log},
            look_at="call an instance three times and print its `log`: one text for each call",
        )
    module = answer()
    if getattr(module, "log", None):
        raise NotYet(
            "A second instance starts with the log of the first.",
            seen={"its log": module.log},
            look_at="where the list is made: on the class it is shared by all instances",
        )
    try:
        compiled = torch.jit.script(module)
    except Exception as error:
        raise NotYet(
            "It does not compile.",
            seen={"the compiler": _first_line(error)},
            look_at="a guarded branch is not compiled and still read: what in it "
            "does the reader of the source not know?",
        ) from None
    archive = io.BytesIO()
    try:
        compiled(inputs[0])
    except Exception as error:
        raise NotYet(
            "It compiles, and the compiled module raises when it is called.",
            seen={"the error": _cause(error)},
            look_at="what is marked `unused` may stand in the model and may not be reached by compiled code; "
            "what is marked `ignore` gets the compiled module as its `self`",
        ) from None
    try:
        torch.jit.save(compiled, archive)
    except Exception as error:
        raise NotYet(
            "The compiled module cannot be saved.",
            seen={"saving": _first_line(error)},
            look_at="a call from compiled code into Python cannot be written to a file",
        ) from None
    archive.seek(0)
    loaded = torch.jit.load(archive)
    for word, candidate in (("compiled", compiled), ("loaded", loaded)):
        expect_parity(
            lambda x: x / x.abs().max(),
            candidate,
            [x.clone() for x in inputs],
            f"The {word} module returns a different result from `Level`.",
            look_at="whether the calculation stands in the branch that is left out when compiled",
        )
    if "print(" in compiled.code:
        raise NotYet(
            "The compiled module prints.",
            seen={"in its code": next(x.strip() for x in compiled.code.splitlines() if "print(" in x)[:100]},
            look_at="the task: it logs nothing, so nothing of the log may be left in compiled code",
        )
    if getattr(module, "log", None):
        raise NotYet(
            "The compiled module writes into the log.",
            seen={"the log": module.log},
            look_at="`torch.jit.is_scripting()`: it is True in compiled code",
        )


# --- 10.3 ------------------------------------------------------------------------------------------------------------


def _sixths(x: Tensor) -> Tensor:
    y = x - 1
    z = y.reshape(6, -1)
    return z * 2


def _between(x: Tensor) -> Tensor:
    return _sixths(x) + 1


class _Step(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 3
        return _between(x)


class _Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = _Step()

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x + 1)


class _Refuses(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise ValueError("needs two dimensions")
        return x


def _message(module: nn.Module, load: bool) -> str:
    """The text of the error that the compiled module raises for three numbers."""
    compiled = torch.jit.script(module)
    if load:
        archive = io.BytesIO()
        torch.jit.save(compiled, archive)
        archive.seek(0)
        compiled = torch.jit.load(archive)
    try:
        compiled(torch.ones(5))
    except Exception as error:
        return str(error)
    raise AssertionError("the model of the check did not raise")


def _line_of(function: Callable[..., Any], text: str) -> int:
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if line.strip() == text)


@check_for("10.3")
def origin_of_an_error(answer: Any) -> None:
    """A function message → (file, line, source) of the innermost step in the author's code."""
    name = Path(__file__).name
    innermost = (name, _line_of(_sixths, "z = y.reshape(6, -1)"), "z = y.reshape(6, -1)")
    outermost = _line_of(_Whole.forward, "return self.step(x + 1)")
    raised = 'raise ValueError("needs two dimensions")'
    loaded = _message(_Whole(), load=True)
    windows = "C:" + "\\models\\of mine\\net.py"
    messages = (
        ("an error of a model that was loaded", loaded, innermost),
        ("an error of a model that was not loaded", _message(_Whole(), load=False), innermost),
        ("an exception raised by a loaded model", _message(_Refuses(), load=True),
         (name, _line_of(_Refuses.forward, raised), raised)),
        ("a loaded model whose author works on Windows", loaded.replace(str(Path(__file__)), windows),
         ("net.py", *innermost[1:])),
    )  # fmt: skip
    for words, message, expected in messages:
        found = answer(message)
        if not (isinstance(found, (tuple, list)) and len(found) == 3):
            raise NotYet(
                "Your function does not return three things.",
                seen={"the message": words, "yours": repr(found)[:100]},
                look_at="the order: file, line, source",
            )
        file, line, source = found
        seen = {"the message": words, "expected": repr(expected), "yours": repr(tuple(found))[:160]}
        own = re.findall(r"line (\d+)", message.split("original code")[0]) if "original code" in message else []
        if "__torch__" in str(file) or (str(line) in own and line != expected[1]):
            raise NotYet(
                "That is a line of the archive's own code, not of the author's.",
                seen=seen,
                look_at="the word in the heading of each traceback: serialized, original",
            )
        if isinstance(file, str) and ("/" in file or "\\" in file):
            raise NotYet(
                "The file is shown with folders of the author's machine.",
                seen={"the message": words, "yours": f"{len(file)} characters, with a separator of folders"},
                look_at="both separators of folders, that of Windows too",
            )
        if line in (outermost, str(outermost)) and expected[1] != outermost:
            raise NotYet(
                "That is the outermost step, where the call began.",
                seen=seen,
                look_at="the order of the blocks: the call that failed comes last",
            )
        if isinstance(line, bool) or not isinstance(line, int):
            raise NotYet("The number of the line is not an int.", seen=seen, look_at="the type of what a pattern gives")
        if (file, line) != expected[:2]:
            raise NotYet(
                "That is not the innermost place in the author's code.",
                seen=seen,
                look_at="print the message, and mark each `File` with the traceback that it belongs to",
            )
        if source != expected[2]:
            raise NotYet(
                "The place is right, but the text of the line is wrong.",
                seen=seen,
                look_at="where the marks with `<--- HERE` stand, and what stands above and below them",
            )


# --- 10.4 ------------------------------------------------------------------------------------------------------------


class _Refusal(Exception):
    """An exception that is not one of Python's own."""


def _refused_in_a_fork(x: Tensor) -> Tensor:
    if x.dim() == 1:
        raise ValueError("ten of them")
    return x


class _Server(nn.Module):
    """Raises, asserts, fails in an operator, in a list and in a fork, or works."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 0:
            raise IndexError("a single number: RuntimeError is not meant")
        assert x.dim() < 4, "too many dimensions"
        names = ["one", "two"]
        if x.shape[0] == 7:
            return x * len(names[x.shape[0]])
        if x.shape[0] == 8:
            raise _Refusal("eight of them")
        if x.shape[0] == 9:
            assert x.dim() > 1
        if x.shape[0] == 10:
            x = torch.jit.wait(torch.jit.fork(_refused_in_a_fork, x))
        return x.reshape(-1, 2)


@check_for("10.4")
def refusal_or_failure(answer: Any) -> None:
    """A function (model, x) → ("value", …), ("refused", …) or ("failed", …)."""
    compiled = torch.jit.script(_Server())
    archive = io.BytesIO()
    torch.jit.save(compiled, archive)
    archive.seek(0)
    cases = (
        ("four numbers", torch.arange(4.0), "value", torch.arange(4.0).reshape(2, 2)),
        ("a single number", torch.tensor(1.0), "refused", "IndexError: a single number: RuntimeError is not meant"),
        ("four dimensions", torch.ones(1, 1, 1, 2), "refused", "RuntimeError: AssertionError: too many dimensions"),
        ("three numbers", torch.ones(3), "failed", "RuntimeError: shape '[-1, 2]' is invalid for input of size 3"),
        ("seven numbers", torch.ones(7), "failed", "RuntimeError: list index out of range"),
        ("eight numbers", torch.ones(8), "refused", f"{__name__}._Refusal: eight of them"),
        ("nine numbers", torch.ones(9), "refused", "RuntimeError: AssertionError:"),
        ("ten numbers, for which a fork raises", torch.ones(10), "failed", "ValueError: ten of them"),
    )
    for model in (compiled, torch.jit.load(archive)):
        for words, x, word, expected in cases:
            try:
                found = answer(model, x)
            except NotImplementedError:
                raise
            except (torch.jit.Error, RuntimeError) as error:
                raised = "the model itself raised" if word == "refused" else "an operator failed"
                raise NotYet(
                    f"Your function lets an error through: {raised}.",
                    seen={"input": words, "the error": f"{type(error).__name__}, {_first_line(error)}"},
                    look_at="the two classes of errors in the lesson, and what each is a subclass of",
                ) from None
            if not (isinstance(found, (tuple, list)) and len(found) == 2):
                raise NotYet(
                    "Your function does not return a word and a result.",
                    seen={"input": words, "yours": repr(found)[:100]},
                    look_at="the three forms in the task",
                )
            if found[0] != word:
                raise NotYet(
                    f"The word for {words}{',' if ',' in words else ''} is {word!r}, and you say {found[0]!r}.",
                    seen={"input": words, "yours": repr(found)[:160]},
                    look_at="the type of the error, not its text: print `type(error)` for each of the two",
                )
            if word == "value":
                if not isinstance(found[1], Tensor) or not torch.equal(found[1], expected):
                    raise NotYet("The value is wrong.", seen={"expected": expected, "yours": found[1]})
            elif found[1] != expected and str(found[1]).rstrip() != expected:
                raise NotYet(
                    f"The word {word!r} is right, but the reason is wrong.",
                    seen={"input": words, "expected": expected, "yours": str(found[1])[:200]},
                    look_at="the last line of the text, and what stands in front of the class in it",
                )

    calls: list[int] = []

    def counted(x: Tensor) -> Tensor:
        calls.append(1)
        return compiled(x)

    for words, x in (("that it answers", torch.arange(4.0)), ("that it refuses", torch.tensor(1.0))):
        calls.clear()
        answer(counted, x)
        if len(calls) != 1:
            raise NotYet(
                f"The model is called {len(calls)} times for an input {words}.",
                seen={"calls expected": 1, "yours": len(calls)},
                look_at="how many calls of the model your function has on each way through it",
            )
    for kind in (KeyboardInterrupt, TypeError, KeyError):

        def other(_: Tensor, kind: type[BaseException] = kind) -> Tensor:
            raise kind("no model was involved")

        try:
            found = answer(other, torch.ones(2))
        except kind:
            continue
        what = (
            "An interrupt is treated as an answer: a server that does this cannot be stopped."
            if kind is KeyboardInterrupt
            else f"A {kind.__name__} is treated as an answer of the model."
        )
        raise NotYet(
            what,
            seen={"the call raised": kind.__name__, "yours": repr(found)[:100]},
            look_at="how much your `except` catches: two types come from compiled models, the rest goes through",
        )
