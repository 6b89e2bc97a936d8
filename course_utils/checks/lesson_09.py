"""What right answers to the exercises of lesson 09 must do. C++ answers come compiled; the checks run the program."""

# No `from __future__ import annotations`: the models here are scripted.

import re
import tempfile
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils import native
from course_utils.checks import NotYet, check_for
from course_utils.checks.shared import NOTHING, noise
from course_utils.models import DigitNet


class _Box(nn.Module):
    """Values that travel as an archive, as in the lesson."""

    def __init__(self, args: Any, expected: Any) -> None:
        super().__init__()
        self.args = args
        self.expected = expected


def _pack(path: Path, *args: Any, expected: Any = None) -> Path:
    torch.jit.script(_Box(args, expected)).save(path)
    return path


def _net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DigitNet().eval()


def _program(answer: Any, kind: str) -> Path | None:
    """The compiled answer; None where it is known to be right from elsewhere; else what is in the way."""
    if not isinstance(answer, native.Answer) or answer.kind != kind:
        raise NotYet(
            "The check wants your C++ text compiled, and got something else.",
            seen={"you gave": f"an object of type {type(answer).__name__}"},
            look_at="the last line of the cell, as it stood there at first: it compiles the text and hands it over",
        )
    if answer.program is not None:
        return answer.program
    if answer.errors:
        raise NotYet(
            "Your C++ text does not compile.",
            seen={"the compiler says": answer.errors.split("\n", 1)[-1]},
            look_at="the first error; its line number counts from the first line of your text",
        )
    if not answer.known:
        raise NotYet(
            "Your text was not looked at: this exercise needs a C++ compiler, and there is none here.",
            look_at=f"{native.how_to_install()} The exercises 09.3 and 09.4 need none.",
        )
    return None


def _said(program: Path, *arguments: str | Path, cases: int) -> list[list[str]]:
    """The lines that the program printed for each of its cases; :class:`NotYet` if it crashed or did not end."""
    try:
        done = native.run(program, *arguments, timeout=8)
    except native.NativeError:
        raise NotYet(
            "Your program was still running after 8 s and was stopped.",
            look_at="the condition of your loop, and what changes in each round",
        ) from None
    if done.code != 0:
        raise NotYet(
            f"Your program crashed (exit code {done.code}).",
            seen={"it said": done.err.strip().splitlines()[-1] if done.err.strip() else ""},
            look_at="an index past the end of a vector, or a call of a tensor that holds nothing",
        )
    parts = re.split(r"^case \d+\n", done.out, flags=re.MULTILINE)[1:]
    assert len(parts) == cases
    return [part.splitlines() for part in parts]


@check_for("09.1")
def in_batches(answer: Any) -> None:
    """C++: run a model on at most `size` images at a time."""
    program = _program(answer, "batch")
    if program is None:
        return
    sizes = ((6, 3), (7, 3), (2, 5), (5, 1), (0, 4), (3, 0))
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        net = _net()
        torch.jit.trace(net, torch.rand(2, 1, 8, 8)).save(folder / "model.pt")
        words: list[str | Path] = ["batch", folder / "model.pt"]
        for count, size in sizes:
            images = noise(count, 1, 8, 8, seed=count)
            words += [_pack(folder / f"r{count}.pt", images, expected=net(images)), str(size)]
        told = _said(program, *words, cases=len(sizes))
    for (count, size), lines in zip(sizes[:-1], told[:-1], strict=True):
        _judge_batches(lines, count, size)
    if not any(line.startswith("threw") for line in told[-1]):
        raise NotYet(
            "A batch size of 0 was accepted.",
            seen={"expected": "a std::invalid_argument", "yours": " · ".join(told[-1][:3])},
            look_at="the first line of your function: which sizes make no sense?",
        )


def _judge_batches(lines: list[str], count: int, size: int) -> None:
    called = [int(m[1]) for line in lines if (m := re.match(r"called with \[(\d+)", line))]
    seen = {"images": f"{count}, in batches of {size}", "your calls": ", ".join(map(str, called)) or "none"}
    if threw := next((line for line in lines if line.startswith("threw")), ""):
        raise NotYet(
            f"With {count} images and a batch size of {size} your function threw.",
            seen={**seen, "it said": threw.removeprefix("threw ")},
            look_at="the length of the last part"
            if count
            else "what you join when there was no image: the model itself knows the shape of no scores",
        )
    if "gave nothing" in lines:
        raise NotYet("Your function gave an empty tensor handle.", seen=seen, look_at="what is returned")
    if called and max(called) > size:
        raise NotYet(
            f"The model was called with more than {size} images at once.",
            seen=seen,
            look_at="what `size` is: the most that the model gets in one call",
        )
    gave = next((line.removeprefix("gave ") for line in lines if line.startswith("gave ")), "")
    compared = next((line.removeprefix("compared ") for line in lines if line.startswith("compared ")), "")
    if not compared.startswith(("within", "equal")):
        raise NotYet(
            f"The scores of {count} images in batches of {size} are not those of one call.",
            seen={**seen, "your scores": gave, "compared with one call": compared},
            look_at="whether every image is in exactly one part, and the parts are joined in their order",
        )
    if count > size and len(called) > -(-count // size):
        raise NotYet(
            f"{count} images in batches of {size} took {len(called)} calls.",
            seen=seen,
            look_at="full batches first; only the last one is smaller",
        )


# What the file holds, the number of classes, what must come of it (None: a throw), and where to look.
_LABELS: tuple[tuple[str, str | None, int, list[str] | None, str], ...] = (
    ("three lines", "cat\ndog\nowl", 3, ["cat", "dog", "owl"], "one label a line"),
    ("a line break at the end", "cat\ndog\n", 2, ["cat", "dog"], "what comes after the last line break"),
    ("Windows line ends", "cat\r\ndog\r\n", 2, ["cat", "dog"], "the character before each line break"),
    ("a label of two words", "night owl\ncat", 2, ["night owl", "cat"], "what separates labels; `>>` stops earlier"),
    ("two labels for three classes", "cat\ndog", 3, None, "how many labels there are, and how many there should be"),
    ("three labels for two classes", "cat\ndog\nowl", 2, None, "labels that are left over"),
    ("no labels.txt in the archive", None, 2, None, "what the map holds for a key that the archive does not have"),
)


@check_for("09.2")
def read_labels(answer: Any) -> None:
    """C++: labels from the map of extra files, refused unless there are as many as classes."""
    program = _program(answer, "labels")
    if program is None:
        return
    with tempfile.TemporaryDirectory() as name:
        model = torch.jit.trace(nn.Identity(), torch.ones(1))
        words: list[str | Path] = ["labels"]
        for at, (_, text, classes, _, _) in enumerate(_LABELS):
            path = Path(name) / f"model{at}.pt"
            torch.jit.save(model, path, _extra_files={} if text is None else {"labels.txt": text})
            words += [path, str(classes)]
        told = _said(program, *words, cases=len(_LABELS))
    for (case, text, _, expected, look_at), lines in zip(_LABELS, told, strict=True):
        seen = {"file": repr(text), "yours": "; ".join(lines) or "no label"}
        if expected is not None:
            if [line[len("label [") : -1] for line in lines if line.startswith("label [")] != expected:
                raise NotYet(
                    f"The labels are wrong for a file with {case}.",
                    seen={**seen, "expected": expected},
                    look_at=look_at,
                )
        elif not any(line.startswith("threw std::exception") for line in lines):
            raise NotYet(f"Your function did not throw for {case}.", seen=seen, look_at=look_at)


class _Pure(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x) * 3


class _Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.last.copy_(x)
        busy = torch.ones(100, 100)
        for _ in range(40):
            busy = torch.tanh(busy @ busy)
        return self.last + busy[0, 0] * 0


class _Meeting:
    """A callable that sees how many threads are in it at once, and raises or answers wrongly when told to."""

    def __init__(self, threads: int, fault: str = "", when: int = 0) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.calls = 0
        self.enough = threading.Event()
        self.threads, self.fault, self.when = threads, fault, when

    def __call__(self, x: Tensor) -> Tensor:
        with self.lock:
            self.calls += 1
            call = self.calls
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside >= self.threads:
                self.enough.set()
        if call > self.when:  # the first calls may be for the expected answers
            self.enough.wait(0.15)
        with self.lock:
            self.inside -= 1
            crowded = self.enough.is_set() and call % 7 == 0
        if crowded and self.fault == "raise":
            raise RuntimeError("two at once")
        return x * 3 + (1 if crowded and self.fault == "wrong" else 0)


@check_for("09.3")
def hammer(answer: Any) -> None:
    """A function (module, inputs, threads, rounds) → the number of wrong answers."""
    inputs = [torch.tensor([float(i), i * 0.5]) for i in range(6)]
    threads, rounds = 4, 5

    meeting = _Meeting(threads, when=len(inputs))
    found = answer(meeting, inputs, threads, rounds)
    if found is None:
        raise NotYet(NOTHING, look_at="the number of wrong answers, 0 for a safe module")
    if isinstance(found, bool) or not isinstance(found, int):
        raise NotYet("Your function does not return an int.", seen={"yours": repr(found)}, look_at="count, and return")
    if found != 0:
        raise NotYet(
            "A module that is always right is reported as wrong.",
            seen={"yours": found, "expected": 0},
            look_at="whether each answer is compared with the answer to *its own* input, by value",
        )
    if meeting.most < 2:
        raise NotYet(
            "Only one call was running at any time: nothing was tried at once.",
            seen={"threads asked for": threads, "most calls at once": meeting.most},
            look_at="whether you wait for each call before you start the next",
        )
    if meeting.most < threads:
        raise NotYet(
            f"Never were {threads} calls running at once.",
            seen={"threads asked for": threads, "most calls at once": meeting.most},
            look_at="the size of your pool, and how many calls it is given at a time",
        )
    if meeting.most > threads:
        raise NotYet(
            "More threads were in the module than asked for.",
            seen={"threads asked for": threads, "most calls at once": meeting.most},
            look_at="the size of your pool",
        )
    if meeting.calls < len(inputs) * rounds:
        raise NotYet(
            "The module was called too few times.",
            seen={
                "yours": meeting.calls,
                "expected": f"every input in each of {rounds} rounds, {len(inputs) * rounds}",
            },
            look_at="what a round is: each input once",
        )
    for fault, what, look_at in (
        ("wrong", "Some answers were wrong, and your function says that all were right.", "what you compare with what"),
        ("raise", "Some calls raised in their thread, and your function did not count them.", "an error in a thread "
         "reaches nobody unless you ask for it; here it counts as a wrong answer"),
    ):  # fmt: skip
        faulty = _Meeting(threads, fault, when=len(inputs))
        try:
            found = answer(faulty, inputs, threads, rounds)
        except RuntimeError as error:
            if str(error) != "two at once":
                raise
            raise NotYet(
                "A call raised in its thread, and your function passed the error on.",
                seen={"it said": error},
                look_at="what an answer that raised counts as: one wrong answer, and the others are still of interest",
            ) from None
        if not found:
            raise NotYet(what, seen={"yours": found, "expected": "more than 0"}, look_at=look_at)
    with torch.no_grad():
        if answer(torch.jit.script(_Pure()), inputs, threads, rounds) != 0:
            raise NotYet(
                "A scripted module without state is reported as wrong.",
                look_at="how you compare: to the last bit is right here",
            )
        many = [torch.tensor([float(i)]) for i in range(20)]
        if not any(answer(torch.jit.script(_Remembers()), many, 8, 5) for _ in range(3)):
            raise NotYet(
                "A scripted module that keeps its input in a buffer is reported as safe.",
                look_at="what the answers are compared with: computed one by one, before any thread starts",
            )


@check_for("09.4")
def explained(answer: Any) -> None:
    """A function (module, path) → a dict with the result's shape, or with one sentence on why there is none."""

    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = DigitNet()

        def forward(self, images: Tensor) -> Tensor:
            if images.dim() != 4:
                raise ValueError("images need four dimensions")
            return self.net(images)

    module = torch.jit.script(Strict().eval())
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        (folder / "cut.pt").write_bytes(_pack(folder / "whole.pt", torch.ones(2)).read_bytes()[:400])
        torch.jit.trace(nn.Identity(), torch.ones(1)).save(folder / "model.pt")
        good = _pack(folder / "good.pt", noise(3, 1, 8, 8, seed=1))
        _judge_reply(answer, module, good, "a good request", {"ok": True, "shape": [3, 10]})
        two = torch.jit.script(_Pure())
        _judge_reply(answer, two, _pack(folder / "p.pt", torch.ones(2)), "another model", {"ok": True, "shape": [2]})
        bad = (
            ("a file that is not there", folder / "gone.pt", "gone.pt", "the name of the file"),
            ("a file that was cut off", folder / "cut.pt", "zip archive", "the first line of what torch says"),
            ("an archive without `args`", folder / "model.pt", "args", "what is missing"),
            ("images of three dimensions", _pack(folder / "a.pt", torch.ones(1, 8, 8)), "images need four dimensions",
             "the model's own sentence: it is not in the first line"),
            ("images of another size", _pack(folder / "b.pt", torch.ones(1, 1, 6, 6)), "shapes cannot be multiplied",
             "the operator's sentence: it is not in the first line"),
            ("an argument too many", _pack(folder / "c.pt", torch.ones(1, 1, 8, 8), 3), "at most 2 argument",
             "the first line of what torch says"),
        )  # fmt: skip
        for case, path, part, wanted in bad:
            reply = _judge_reply(answer, module, path, case, {"ok": False})
            error = reply.get("error")
            seen = {"request": case, "your error": repr(error)[:300]}
            if not isinstance(error, str) or not error.strip():
                raise NotYet(f"For {case} there is no sentence under `error`.", seen=seen, look_at="the key `error`")
            if len(error.strip().splitlines()) > 1:
                raise NotYet(f"For {case} your error is more than one line.", seen=seen, look_at=wanted)
            if part not in error:
                raise NotYet(f"For {case} your error does not say what went wrong.", seen=seen, look_at=wanted)


def _judge_reply(answer: Any, module: Any, path: Path, case: str, expected: dict[str, Any]) -> dict[str, Any]:
    try:
        reply = answer(module, path)
    except NotImplementedError:
        raise
    except Exception as error:
        what = str(error).strip().splitlines()
        name = "torch.jit.Error" if isinstance(error, torch.jit.Error) else type(error).__name__
        raise NotYet(
            f"Your function raised for {case}: a server would have stopped.",
            seen={"it raised": f"{name}: {what[-1][:200] if what else ''}"},
            look_at="which types you catch; `torch.jit.Error` belongs to none of the usual ones",
        ) from None
    if not isinstance(reply, dict):
        raise NotYet(
            f"Your function returned no dict for {case}.", seen={"yours": repr(reply)[:200]}, look_at="what is returned"
        )
    for key, value in expected.items():
        if reply.get(key) != value or type(reply.get(key)) is not type(value):
            raise NotYet(
                f"The reply to {case} is wrong under {key!r}.",
                seen={"expected": repr(value), "yours": repr(reply.get(key))},
                look_at="the task: `ok` is a bool, and `shape` a list of ints",
            )
    return reply
