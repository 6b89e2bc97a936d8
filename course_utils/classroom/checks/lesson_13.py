"""What right answers to the exercises of lesson 13 must do: one stage of the whole way each, on hidden models."""

# No `from __future__ import annotations`: the models here are scripted.

import contextlib
import copy
import io
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from course_utils.classroom.backends import cpp
from course_utils.classroom.checks import NotYet, check_for
from course_utils.classroom.checks.shared import NOTHING, WritesOnLoad, expect_program, first_export, noise
from course_utils.classroom.models import DigitNet
from course_utils.tools.parity import check_parity


def _seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().eval()


# --- 13.1 ------------------------------------------------------------------------------------------------------------


def _damaged(source: Path, target: Path, ending: str) -> Path:
    """A copy with one byte amid an entry changed; the zip around it stays whole."""
    data = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as content:
        entry = next(x for x in content.infolist() if "/code/" in x.filename and x.filename.endswith(ending))
        at = entry.header_offset + entry.compress_size // 2
        data[at + 30 + len(entry.filename)] ^= 0xFF
    target.write_bytes(bytes(data))
    return target


@check_for("13.1")
def may_it_be_loaded(answer: Any) -> None:
    """A function path → "load", "ask" or "refuse"."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        trap = work / "trap"
        net = torch.jit.script(_seeded(DigitNet))
        net.save(work / "a.pt")
        torch.jit.save(torch.jit.freeze(net), work / "b.pt", _extra_files={"labels.txt": "0123456789"})
        torch.jit.script(WritesOnLoad(str(trap))).save(work / "c.pt")
        torch.save(net.state_dict(), work / "d.pt")
        _damaged(work / "a.pt", work / "e.pt", ".py")
        _damaged(work / "c.pt", work / "f.pt", ".debug_pkl")
        (work / "g.pt").write_bytes((work / "a.pt").read_bytes()[:4000])
        (work / "h.pt").write_text("a note", encoding="utf-8")
        with zipfile.ZipFile(work / "i.pt", "w") as content:
            content.writestr("notes/a.txt", "a note")
        (work / "j.pt").write_bytes(b"")
        files = {
            "a scripted network": ("a.pt", "load"),
            "a frozen network with a text beside it": ("b.pt", "load"),
            "an archive that writes a file when it is loaded": ("c.pt", "ask"),
            "the weights alone, from torch.save": ("d.pt", "refuse"),
            "a network with one damaged byte": ("e.pt", "refuse"),
            "an archive that acts on load, and is damaged": ("f.pt", "refuse"),
            "the first half of a file": ("g.pt", "refuse"),
            "a text": ("h.pt", "refuse"),
            "a zip of texts": ("i.pt", "refuse"),
            "an empty file": ("j.pt", "refuse"),
        }
        for what, (name, wanted) in files.items():
            said = answer(work / name)
            if trap.exists():
                raise NotYet(
                    "Your function loads the file, and the code in it ran.",
                    seen={"the file": what, "it wrote": trap.name},
                    look_at="the course's own reader, which opens the zip and nothing else",
                )
            if said is None:
                raise NotYet(NOTHING, look_at="the last line of your function")
            if said not in ("load", "ask", "refuse"):
                raise NotYet(
                    f"Your function must return one of three words; for {what} it returns something else.",
                    seen={"you gave": repr(said)[:80], "the words": "load, ask, refuse"},
                    look_at="the task: which word stands for which kind of file",
                )
            if said != wanted:
                raise NotYet(
                    f"A different word was expected for {what}.",
                    seen={"you say": said},
                    look_at=_LOOK_AT[wanted] if said != "load" else _LOOK_AT["load it"],
                )


_LOOK_AT = {
    "load": "what makes you hold back: `print` the report of this file; is it damaged, does anything run on load?",
    "ask": "`runs_on_load` of the report is one thing, what is damaged is another",
    "refuse": "the order of your questions: damage and kind come before anything that the file would run",
    "load it": "three fields of the report: the kind, what is damaged, and what runs on load",
}


# --- 13.2 ------------------------------------------------------------------------------------------------------------


class _Traceable(nn.Module):
    """Python that the compiler rejects, and no decision."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.change = lambda x: torch.relu(x) * 2

    def forward(self, x: Tensor) -> Tensor:
        return self.change(self.layer(x))


class _Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() < 0):
            return self.layer(-x) - 1
        return self.layer(x)


class _Counts(nn.Module):
    """Its memory is a buffer: whoever calls it, or traces it, moves it on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(x) * self.calls


class _Neither(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.change = lambda x: x * 2

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() < 0):
            return self.change(x)
        return x + 1


class _CountsUncompiled(_Counts):
    """Only a trace could take it, and a trace of a model that counts has counted."""

    def __init__(self) -> None:
        super().__init__()
        self.change = lambda x: x * 2

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.change(self.layer(x)) * self.calls


@check_for("13.2")
def only_what_holds(answer: Any) -> None:
    """A function (model, list of inputs) → a ScriptModule that holds, or None."""
    x = noise(2, 4, seed=3)
    inputs = [x, -x, noise(5, 4, seed=4) * 10, -x[:1]]
    unseen = [noise(3, 4, seed=5), -noise(7, 4, seed=6)]
    for kind, what, possible, train in (
        (_Traceable, "a model without decisions that does not compile", True, False),
        (_Branch, "a model with a branch", True, False),
        (_Counts, "a model that counts its calls in a buffer", True, False),
        (_Neither, "a model with a branch that does not compile", False, True),
        (_CountsUncompiled, "a model that counts its calls and does not compile", False, False),
    ):
        model = _seeded(kind, 5).train(train)
        reference = copy.deepcopy(model)
        made = answer(model, [y.clone() for y in inputs])
        _expect_unchanged(what, model, reference)
        if made is None and possible:
            raise NotYet(
                f"There is a correct conversion for {what}, and your function returns None.",
                look_at="whether an error of one of the two ways ends your function before the other is tried",
            )
        if made is None:
            continue
        if not isinstance(made, torch.jit.ScriptModule):
            raise NotYet(
                "Your function does not return a ScriptModule.",
                seen={"the model": what, "you gave": f"an object of type {type(made).__name__}"},
                look_at="`.converted` of a recommendation, or what `torch.jit.trace` and `torch.jit.script` return",
            )
        try:
            torch.jit.save(made, io.BytesIO())
        except Exception as error:
            raise NotYet(
                f"Your conversion of {what} cannot be saved.",
                seen={"torch.jit.save says": str(error).strip().splitlines()[0][:120]},
                look_at="what in it is still Python: nothing of it travels in an archive",
            ) from None
        report = check_parity(reference, made, inputs)
        if not report.ok:
            finding = report.findings[0]
            raise NotYet(
                f"Your conversion of {what} differs from the model.",
                seen={"input": finding.input, "eager": finding.reference, "yours": finding.candidate},
                look_at="whether each candidate is compared on all inputs of the list before it is returned",
            )
        report = check_parity(reference, made, unseen)
        if not report.ok:
            finding = report.findings[0]
            raise NotYet(
                f"Your conversion of {what} is right for the inputs of the list, but differs for another one.",
                seen={"input": finding.input, "eager": finding.reference, "yours": finding.candidate},
                look_at="whether what you return computes, as the model does",
            )


def _expect_unchanged(what: str, model: nn.Module, reference: nn.Module) -> None:
    modes = [[part.training for part in side.modules()] for side in (model, reference)]
    if modes[0] != modes[1]:
        raise NotYet(
            f"Your function leaves {what} in a different mode.",
            seen={"it came in": f"{_mode(reference)} mode", "it comes out": f"{_mode(model)} mode"},
            look_at="on which object `.eval()` is called: the model is not yours, a copy of it is",
        )
    before, after = reference.state_dict(), model.state_dict()
    moved = [key for key in before if key not in after or not torch.equal(before[key], after[key])]
    if moved:
        raise NotYet(
            f"Your function changes {what}: it came in with another `{moved[0]}`.",
            seen={"it came in": before[moved[0]].flatten()[:4].tolist(), "it comes out": _first(after, moved[0])},
            look_at="what calls the model itself: a call, and a trace too, which runs it; work on copies",
        )


def _mode(model: nn.Module) -> str:
    return "training" if model.training else "eval"


def _first(state: dict[str, Tensor], key: str) -> Any:
    return state[key].flatten()[:4].tolist() if key in state else "nothing of this name"


# --- 13.3 ------------------------------------------------------------------------------------------------------------


class _Form:
    """A candidate that sleeps as long as it would compute, and longer in its first call."""

    def __init__(self, change: Callable[[Tensor], Tensor], seconds: float, first: float = 0.0) -> None:
        self.change, self.seconds, self.first = change, seconds, first

    def __call__(self, x: Tensor) -> Tensor:
        time.sleep(self.first + self.seconds)
        self.first = 0.0
        return self.change(x)


@check_for("13.3")
def what_is_deployed(answer: Any) -> None:
    """A function (reference, candidates, inputs, tolerance) → the name of the fastest that holds."""

    def reference(x: Tensor) -> Tensor:
        return x.tanh()

    inputs = [noise(4, 3, seed=6), -noise(4, 3, seed=7), noise(1, 3, seed=8), torch.zeros(6, 3)]
    absolute, relative, both = ({"rtol": r, "atol": a} for r, a in ((0.0, 1e-3), (1e-2, 0.0), (1e-3, 1e-3)))
    eager = lambda: _Form(torch.tanh, 0.008)  # noqa: E731
    near = lambda x: x.tanh() + 1e-4  # noqa: E731
    cases = {
        "a fast candidate that is wrong on one input": (
            {"eager": eager(), "folded": _Form(near, 0.002), "bold": _Form(lambda x: x.tanh().abs(), 0.0)},
            absolute,
            "folded",
        ),
        "the fastest stands first, within the relative tolerance": (
            {"scaled": _Form(lambda x: x.tanh() * 1.005, 0.0), "eager": eager()},
            relative,
            "scaled",
        ),
        "a candidate that warms up in its first call": (
            {"plain": _Form(torch.tanh, 0.006), "compiled": _Form(near, 0.0, first=0.15)},
            both,
            "compiled",
        ),
        "no candidate within the tolerance": (
            {"rough": _Form(lambda x: x.tanh() + 0.01, 0.001), "rougher": _Form(lambda x: x, 0.0)},
            both,
            None,
        ),
        "a candidate that raises for a batch of one": (
            {"fixed": _Form(lambda x: x.tanh().reshape(4, 3), 0.0), "eager": eager()},
            both,
            "eager",
        ),
    }
    for what, (candidates, tolerance, wanted) in cases.items():
        try:
            said = answer(reference, dict(candidates), [x.clone() for x in inputs], dict(tolerance))
        except Exception as error:
            if wanted != "eager" or "shape '[4, 3]'" not in str(error):
                raise
            raise NotYet(
                "One candidate raises on one input, and your function stops there.",
                seen={"the case": what, "it says": f"{type(error).__name__}: {str(error)[:100]}"},
                look_at="a candidate that raises is not right: leave it out, and go on with the others",
            ) from None
        if said == wanted:
            continue
        seen = {"the case": what, "tolerance": tolerance, "you chose": repr(said)[:60]}
        if said is None:
            raise NotYet(
                "Your function finds no candidate where there is one within the tolerance.",
                seen=seen,
                look_at="whether both parts of the tolerance reach the comparison, and whether the fastest is chosen "
                "among those that passed, not before",
            )
        if not isinstance(said, str) or said not in candidates:
            raise NotYet(
                "Your function must return the name of a candidate, or None.", seen=seen, look_at="what it returns"
            )
        report = check_parity(reference, candidates[said], inputs, **tolerance)
        if not report.ok:
            raise NotYet(
                "Your choice differs from the reference beyond the tolerance.",
                seen={**seen, "input": report.findings[0].input},
                look_at="whether every input of the list is compared, and what happens where nothing passes",
            )
        raise NotYet(
            "Your choice is correct, and another correct candidate is faster.",
            seen=seen,
            look_at="how the times are taken: several calls after a warm-up, for each that passed; and whether both "
            "parts of the tolerance reach the comparison",
        )


# --- 13.4 ------------------------------------------------------------------------------------------------------------


class _Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = DigitNet()

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).softmax(1)


class _TwoInputs(nn.Module):
    def forward(self, x: Tensor, rate: int) -> tuple[Tensor, int]:
        if rate > 8000:
            return x * 2, rate
        return x, 2 * rate


class _Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.level = 0.5 * self.level + x.mean()
        return x - self.level


class _InPlace(nn.Module):
    """Changes its argument: what it was called with is not what it leaves behind."""

    def forward(self, x: Tensor) -> Tensor:
        return x.add_(1) * 2


@check_for("13.4")
def a_model_and_its_request(answer: Any) -> None:
    """A function (ScriptModule, args, folder) that writes model.pt and request.pt."""
    cases = (
        ("a network in training mode", _seeded(_Dropping, 2).train(), (noise(3, 1, 8, 8, seed=9),)),
        ("a model with two arguments", _TwoInputs(), (noise(2, 4, seed=10), 16000)),
        ("a model that remembers", _Remembers(), (noise(2, 4, seed=11),)),
        ("a model that changes its argument in place", _InPlace(), (noise(2, 4, seed=12),)),
    )
    program = _built("run_model")
    for what, module, args in cases:
        scripted = torch.jit.script(module)
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            answer(scripted, copy.deepcopy(args), work)
            there = sorted(x.name for x in work.iterdir())
            for name in ("model.pt", "request.pt"):
                if name not in there:
                    raise NotYet(
                        f"There is no {name} in the folder.",
                        seen={"in the folder": ", ".join(there) or "nothing"},
                        look_at="the folder is the third argument, and the names are given",
                    )
            model, request = _loaded(work / "model.pt"), _loaded(work / "request.pt")
            _compare_request(what, model, request, args)
            if program is not None:
                run = cpp.run(program, work / "model.pt", work / "request.pt", "--tolerance", "1e-4", seconds=10)
                if run.code != 0:
                    raise NotYet(
                        f"The C++ program does not return what the request of {what} expects.",
                        seen={"it says": (run.out + run.err).strip()[-300:], "exit code": run.code},
                        look_at="which model gave `expected`, and in which mode",
                    )


def _built(name: str) -> Path | None:
    """The program, if it is there already: a check has no time to compile."""
    if cpp.compiler() is None:
        return None
    path = cpp.build_folder() / (name + (".exe" if cpp.WINDOWS else ""))
    return path if path.is_file() else None


def _loaded(path: Path) -> Any:
    try:
        return torch.jit.load(path)
    except Exception as error:
        raise NotYet(
            f"{path.name} is not a TorchScript archive.",
            seen={"torch.jit.load says": str(error).strip().splitlines()[0][:120]},
            look_at="how it is saved: C++ reads archives of torch.jit.save, and no others",
        ) from None


def _shown_values(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"an object of type {type(value).__name__}"
    return f"shape {tuple(value.shape)}, beginning with {value.flatten()[:3].tolist()}"


def _compare_request(what: str, model: Any, request: Any, args: tuple[Any, ...]) -> None:
    for name in ("args", "expected"):
        if not hasattr(request, name):
            raise NotYet(f"request.pt has no attribute `{name}`.", look_at="the class Request above, scripted")
    if not isinstance(request.args, tuple) or len(request.args) != len(args):
        raise NotYet(
            f"`args` of the request for {what} is not the tuple of arguments.",
            seen={"it is": f"a {type(request.args).__name__}", "arguments": len(args)},
            look_at="what is handed to Request: the tuple, not its first member",
        )
    if getattr(model, "training", False):  # a frozen module has no such attribute
        raise NotYet(
            f"The file of {what} is saved in training mode.",
            look_at="the mode of the model before it is saved, and not only of the call",
        )
    for index, (mine, given) in enumerate(zip(request.args, args, strict=True)):
        if isinstance(given, Tensor) and not (isinstance(mine, Tensor) and torch.equal(mine, given)):
            raise NotYet(
                f"Argument {index} of the request for {what} is not the tensor that was given.",
                seen={"given": _shown_values(given), "in the request": _shown_values(mine)},
                look_at="the tensors that you hand to the model and to the request: a call may change the first",
            )
        if not isinstance(given, Tensor) and mine != given:
            raise NotYet(
                f"Argument {index} of the request for {what} differs from the one that was given.",
                seen={"given": given, "in the request": mine},
                look_at="what is handed to Request: the arguments as they came",
            )
    with torch.no_grad():
        report = check_parity(
            lambda *_: model(*copy.deepcopy(args)),
            lambda *_: request.expected,
            args,
            calls=1,
            check_state=False,
            check_random=False,
        )
    if not report.ok:
        finding = report.findings[0]
        raise NotYet(
            f"The request of {what} expects a different result from the file's.",
            seen={"the file gives": finding.reference, "the request expects": finding.candidate},
            look_at="which model gave `expected`: in which mode, and how often was it called before it was saved?",
        )


# --- 13.5 ------------------------------------------------------------------------------------------------------------


class _Smoother(nn.Module):
    def __init__(self, limit: float = 0.2) -> None:
        super().__init__()
        self.limit = limit
        self.rate = nn.Linear(16, 2)

    def forward(self, signal: Tensor) -> Tensor:
        rounds = 0
        while bool(signal.diff(dim=1).abs().max() > self.limit) and rounds < 20:
            signal = 0.5 * signal + 0.25 * (signal.roll(1, 1) + signal.roll(-1, 1))
            rounds += 1
        return self.rate(signal)


@check_for("13.5", first_use=first_export)
def the_successor(answer: Any) -> None:
    """A function (model, example) → an ExportedProgram that smooths as long as it must."""
    rough = noise(3, 16, seed=12)
    ramp = torch.arange(16.0).expand(3, 16)
    for limit, seed in ((0.2, 3), (0.0005, 4), (0.25, 5)):
        model = _seeded(lambda limit=limit: _Smoother(limit), seed)
        reference = copy.deepcopy(model)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # export prints its whole graph there
                program = answer(model, rough.clone())
        except NotImplementedError:
            raise
        except Exception as error:
            raise _refused(error) from None
        expect_program(program, "what `torch.export.export` returns; `.module()` comes later, where it is called")
        signals = {
            "a signal that is smooth already": torch.full((3, 16), 0.5),
            "a signal with one peak": torch.eye(16)[:3] * 0.5,
            "steps that are exactly the limit": ramp * limit,
            "a rough signal": rough,
            "a signal that stays rough for 20 rounds": rough * 1000,
            "one row": rough[:1],
            "seven rows": noise(7, 16, seed=13),
        }
        exact = "steps that are exactly the limit"  # in binary, for a limit of 0.25
        for what, signal in signals.items():
            if (what == exact) != (limit == 0.25):
                continue
            report = check_parity(
                reference, ExportedProgram.module(program), signal, rtol=1e-4, atol=1e-4, check_state=False
            )
            if not report.ok:
                finding = report.findings[0]
                raise NotYet(
                    f"The program differs for {what}.",
                    seen={"limit": limit, "eager": finding.reference, "yours": finding.candidate},
                    look_at=_WHERE.get(what, "the body of the loop, and where the layer with weights is called"),
                )


_WHERE = {
    "a signal that is smooth already": "a loop that may run zero times; and the limit of the model, not a number",
    "a signal with one peak": "when the loop ends: the condition, the limit of the model, and the number of rounds",
    "steps that are exactly the limit": "what counts as a step, and whether one that equals the limit is above it",
    "a rough signal": "when the loop ends: the condition, the limit of the model, and the number of rounds",
    "a signal that stays rough for 20 rounds": "the end of the loop after 20 rounds: what counts, and from where?",
    "one row": "which sizes are declared as free: `program.range_constraints`",
    "seven rows": "which sizes are declared as free: `program.range_constraints`",
}


def _refused(error: Exception) -> NotYet:
    text = f"{type(error).__name__}: {error}"
    hints = {
        "aliasing": "the start of the loop: carry a copy, as the input itself may not come back out",
        "GuardOnDataDependent": "Python still decides about a value: look for `while`, `if`, `and` or `bool`",
        "data-dependent": "Python still decides about a value: look for `while`, `if`, `and` or `bool`",
        "pytree": "what the body returns: as many values as the loop carries, in the same order",
        "carried": "what the body returns: as many values as the loop carries, of the same shapes and dtypes",
        "Constraints violated": "which sizes are declared as free, and what in the loop fixes them",
    }
    hint = next((hint for part, hint in hints.items() if part in text), "which line of your function the error names")
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return NotYet("torch rejects your successor.", seen={"it says": first[:200]}, look_at=hint)


# --- 13.6 ------------------------------------------------------------------------------------------------------------


@check_for("13.6")
def your_own_model(answer: Any) -> None:
    """A function () → name, model, example, others: whatever it is, the way must be walkable."""
    from course_utils.tools.advice import recommend
    from course_utils.tools.model_report import ModelReport

    if not callable(answer):
        raise NotYet(
            "The check takes your function, and calls it itself.",
            seen={"you gave": f"an object of type {type(answer).__name__}"},
            look_at="the last line of the cell: the name of the function, without parentheses",
        )
    given = answer()
    if given is None:
        raise NotYet(NOTHING, look_at="the last line of your function")
    if not isinstance(given, (tuple, list)) or len(given) != 4:
        raise NotYet(
            "Your function must return four things: a name, a model, an example, a list of others.",
            seen={"you gave": f"{type(given).__name__} of {len(given) if isinstance(given, Sequence) else 1}"},
            look_at="the function of this name in the lesson",
        )
    name, model, example, others = given
    if not isinstance(model, nn.Module) or not isinstance(others, list) or not isinstance(name, str):
        raise NotYet(
            "The four things must be a text, a module, an example, and a list, in this order.",
            seen={"you gave": ", ".join(type(x).__name__ for x in given)},
            look_at="the function of this name in the lesson",
        )
    ModelReport(name)  # a name without a letter raises with what to do
    inputs = [example, *others]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _as_it_will_run(model, inputs)
        _expect_telling(model, inputs)
        scripted = isinstance(model, torch.jit.ScriptModule)
        twin = copy.deepcopy(model)
        if not check_parity(model, twin, inputs).ok:
            raise NotYet(
                "Your model differs from its own copy, so no gate can pass.",
                look_at="what changes from call to call: random numbers, time, or memory outside of its attributes",
            )
        advice = None if scripted else recommend(model, example, others)
        made = model if advice is None else advice.converted
        if made is None:
            assert advice is not None
            raise NotYet(
                "No conversion of your model is correct.",
                seen={"advice": f"{advice.advice}: {advice.why}"},
                look_at="the evidence: `print(recommend(model, example, others))` names the line to rewrite",
            )
        _expect_saved(made, model, inputs)


def _as_it_will_run(model: nn.Module, inputs: list[Any]) -> nn.Module:
    """The model in eval mode. One that came in training mode passes where nothing depends on the mode."""
    if not any(getattr(part, "training", False) for part in model.modules()):
        return model
    evaluated, training = copy.deepcopy(model).eval(), copy.deepcopy(model)
    if not check_parity(evaluated, training, inputs).ok:
        raise NotYet(
            "Your model is in training mode, and returns different results in it.",
            seen={"in training mode": next(type(x).__name__ for x in model.modules() if getattr(x, "training", False))},
            look_at="`.eval()`, of the whole model",
        )
    return evaluated


def _expect_telling(model: nn.Module, inputs: list[Any]) -> None:
    """The model takes every input, and among the others are another size, and other values, than its example's."""
    for number, x in enumerate(inputs):
        args = x if isinstance(x, tuple) else (x,)
        try:
            copy.deepcopy(model)(*copy.deepcopy(args))
        except Exception as error:
            raise NotYet(
                f"Your model raises on {f'number {number} of the others' if number else 'its own example'}.",
                seen={
                    "input": _described(x, with_values=False),
                    "it says": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}",
                },
                look_at="each input: call the model with it first, as the lesson does",
            ) from None
    shapes, values = ({_described(x, with_values) for x in inputs} for with_values in (False, True))
    if len(shapes) < 2:
        raise NotYet(
            "Every input has the same sizes, so a conversion that fixed them would pass.",
            seen={"inputs": len(inputs), "sizes": ", ".join(shapes)},
            look_at="which sizes will be sent: add an input of another size to the list",
        )
    if len(values) < len(inputs):
        raise NotYet("Two of your inputs are the same.", look_at="what each of them is meant to find")
    known = _values(inputs[0])
    if not any(_values(x) - known for x in inputs[1:]):
        raise NotYet(
            "No input has a value that the example does not have, so a conversion that fixed a decision would pass.",
            seen={"inputs": len(inputs), "values of the example": len(known)},
            look_at="the decisions of your model: add an input with other values to the list",
        )


def _values(value: Any) -> set[Any]:
    if isinstance(value, Tensor):
        return set(value.flatten().tolist())
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return set().union(*map(_values, value))
    return {repr(value)}


def _expect_saved(made: Any, model: nn.Module, inputs: list[Any]) -> None:
    if not isinstance(made, torch.jit.ScriptModule):
        raise NotYet("The correct conversion is not a module, and cannot be saved.", look_at="the advice for it")
    try:
        frozen = torch.jit.freeze(copy.deepcopy(made).eval())
    except (
        RuntimeError,
        AttributeError,
    ):  # frozen already, or it cannot be: the lesson goes on with the form before it
        frozen = None
    if frozen is not None:
        report = check_parity(model, frozen, inputs, rtol=1e-3, atol=1e-4, check_state=False)
        if not report.ok:
            raise NotYet(
                "Your model differs after it is frozen.",
                seen={"where": report.findings[0].where, "what": report.findings[0].detail},
                look_at="what is constant in your model for `torch.jit.freeze`, and is not meant to be",
            )
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder) / "own.pt")
        report = check_parity(model, torch.jit.load(Path(folder) / "own.pt"), inputs, rtol=1e-3, atol=1e-4)
    if not report.ok:
        raise NotYet(
            "Your model differs after saving and loading.",
            seen={"where": report.findings[0].where, "what": report.findings[0].detail},
            look_at="what does not travel in an archive: Python attributes, caches, random state",
        )


def _described(value: Any, with_values: bool) -> str:
    if isinstance(value, tuple):
        return ", ".join(_described(x, with_values) for x in value)
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)}" + (f" {value.tolist()}" if with_values else "")
    return repr(value)
