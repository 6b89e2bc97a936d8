"""What right answers to the exercises of lesson 09 must do. C++ answers come compiled; the checks run the program."""

# No `from __future__ import annotations`: the models here are scripted.

import re
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.backends import cpp
from course_utils.classroom.checks import NotYet, check_for
from course_utils.classroom.checks.shared import NOTHING, noise
from course_utils.classroom.models import DigitNet


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
    if not isinstance(answer, cpp.Answer) or answer.kind != kind:
        raise NotYet(
            "The check expects your compiled C++ text, and got something else.",
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
            look_at=f"{cpp.how_to_install()} The exercises 09.3 and 09.4 need none.",
        )
    return None


def _said(program: Path, *arguments: str | Path, cases: int) -> list[list[str]]:
    """The lines that the program printed for each of its cases; :class:`NotYet` if it crashed or did not end."""
    try:
        done = cpp.run(program, *arguments, seconds=8)
    except cpp.CppError:
        raise NotYet(
            "Your program was still running after 8 s and was stopped.",
            look_at="the condition of your loop, and what changes in each round",
        ) from None
    if done.code != 0:
        raise NotYet(
            f"Your program crashed (exit code {done.code}).",
            seen={"it said": done.err.strip().splitlines()[-1] if done.err.strip() else ""},
            look_at="an index past the end of a vector, an entry that the map does not have, or an empty tensor",
        )
    parts = re.split(r"^case \d+\n", done.out, flags=re.MULTILINE)[1:]
    if len(parts) != cases or not done.out.endswith("all cases\n"):
        raise NotYet(
            "Your function ended the program.",
            seen={"calls that it was to answer": cases, "answered before the end": max(len(parts) - 1, 0)},
            look_at="how a function gives up: by `throw`, which its caller can catch; `exit` ends the caller too",
        )
    parts[-1] = parts[-1].removesuffix("all cases\n")
    return [part.splitlines() for part in parts]


@check_for("09.1")
def in_batches(answer: Any) -> None:
    """C++: run a model on at most `size` images at a time."""
    program = _program(answer, "batch")
    if program is None:
        return
    sizes = ((6, 3), (7, 3), (5, 4), (2, 5), (4, 4), (5, 1), (0, 4), (3, 0), (3, -2), (0, 0))
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        net = _net()
        torch.jit.trace(net, torch.rand(2, 1, 8, 8)).save(folder / "model.pt")
        words: list[str | Path] = ["batch", folder / "model.pt"]
        for count, size in sizes:
            images = noise(count, 1, 8, 8, seed=count)
            words += [_pack(folder / f"r{count}.pt", images, expected=net(images)), str(size)]
        told = _said(program, *words, cases=len(sizes))
    for (count, size), lines in zip(sizes, told, strict=True):
        if size > 0:
            _judge_batches(lines, count, size)
            continue
        threw = next((line.removeprefix("threw ") for line in lines if line.startswith("threw")), "")
        seen = {"images": count, "expected": "a std::invalid_argument", "yours": threw or " · ".join(lines[:3])}
        if not threw:
            raise NotYet(
                f"A batch size of {size} was accepted.",
                seen=seen,
                look_at="the first line of your function: which sizes make no sense?",
            )
        if not threw.startswith("std::invalid_argument"):
            raise NotYet(
                f"For a batch size of {size} your function threw something other than a std::invalid_argument.",
                seen=seen,
                look_at="the type after `throw`; and whether the size is looked at before it is used",
            )


def _judge_batches(lines: list[str], count: int, size: int) -> None:
    called = [int(m[1]) for line in lines if (m := re.match(r"called with \[(\d+)", line))]
    parts = [size] * (count // size) + ([count % size] if count % size else [])
    seen = {
        "images": f"{count}, in batches of {size}",
        "images in each of your calls": ", ".join(map(str, called)) or "no call",
    }
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
            seen={**seen, "your scores": f"shape {gave}", "compared with one call": compared},
            look_at="whether every image is in exactly one part, and the parts are joined in their order",
        )
    if count and called != parts:
        raise NotYet(
            f"{count} images in batches of {size} are not cut as the task says.",
            seen={**seen, "expected": ", ".join(map(str, parts))},
            look_at="full batches first; only the last one may be smaller",
        )


_NO_KEY = "-"  # the frame hands over a map whose owner asked for other files only
# What the file holds, the number of classes, what must come of it (None: a throw), and where to look.
_LABELS: tuple[tuple[str, str | None, int, list[str] | None, str], ...] = (
    ("three lines", "cat\ndog\nowl", 3, ["cat", "dog", "owl"], "one label a line, of the entry `labels.txt`"),
    ("a line break at the end", "cat\ndog\n", 2, ["cat", "dog"], "what comes after the last line break"),
    ("Windows line ends", "cat\r\ndog\r\n", 2, ["cat", "dog"], "the character before each line break"),
    ("Windows line ends and none after the last label", "cat\r\nowl", 2, ["cat", "owl"],
     "the last line: what you take off it may not be there"),
    ("a label of two words", "night owl\ncat", 2, ["night owl", "cat"], "what separates labels; `>>` stops earlier"),
    ("a single label", "cat\n", 1, ["cat"], "what you do with the first line"),
    ("two labels for three classes", "cat\ndog", 3, None, "how many labels there are, and how many there should be"),
    ("three labels for two classes", "cat\ndog\nowl", 2, None, "labels that are left over"),
    ("an empty labels.txt", "", 2, None, "an entry that is empty"),
    ("no labels.txt in the archive", None, 2, None, "what the map holds for a key that the archive does not have"),
    ("a map without the key labels.txt", _NO_KEY, 2, None, "what `at` and `find` do with a key that is not there"),
)  # fmt: skip


@check_for("09.2")
def read_labels(answer: Any) -> None:
    """C++: labels from the map of extra files, rejected unless there are as many as classes."""
    program = _program(answer, "labels")
    if program is None:
        return
    with tempfile.TemporaryDirectory() as name:
        model = torch.jit.trace(nn.Identity(), torch.ones(1))
        words: list[str | Path] = ["labels"]
        for at, (_, text, classes, _, _) in enumerate(_LABELS):
            if text == _NO_KEY:
                words += [_NO_KEY, str(classes)]
                continue
            path = Path(name) / f"model{at}.pt"
            lines_of_others = "\n".join(f"other {i}" for i in range(classes))
            others = dict.fromkeys(("about.txt", "labels", "notes.txt"), lines_of_others)
            torch.jit.save(model, path, _extra_files=others if text is None else {**others, "labels.txt": text})
            words += [path, str(classes)]
        told = _said(program, *words, cases=len(_LABELS))
    for (case, text, classes, expected, look_at), lines in zip(_LABELS, told, strict=True):
        threw = next((line.removeprefix("threw ") for line in lines if line.startswith("threw ")), "")
        labels = [line[len("label [") : -1] for line in lines if line.startswith("label [")]
        missing = text in (None, "", _NO_KEY)
        seen = {"file": {None: "none", _NO_KEY: "no key"}.get(text, repr(text)), "classes": classes}
        seen["yours"] = f"threw {threw}" if threw else repr(labels)
        if expected is not None:
            if threw or labels != expected:
                raise NotYet(
                    f"The labels are wrong for a file with {case}.",
                    seen={**seen, "expected": repr(expected)},
                    look_at="the key of the entry: the map may hold other files" if "other 0" in labels else look_at,
                )
            continue
        if not threw:
            raise NotYet(f"Your function did not throw for {case}.", seen=seen, look_at=look_at)
        kind, _, sentence = threw.partition(": ")
        if kind != "std::runtime_error":
            raise NotYet(
                f"For {case} your function threw something other than a std::runtime_error.",
                seen=seen,
                look_at="the type after `throw`, or a function that throws before you do",
            )
        wanted = ["labels.txt"] if missing else [str(text.count("\n") + 1), str(classes)]
        if not all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", sentence) for word in wanted):
            raise NotYet(
                f"The sentence that your function throws for {case} does not say so.",
                seen={**seen, "it should contain": " and ".join(wanted)},
                look_at="the task: both numbers, or the name of the file that is not there",
            )


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


class _Meeting(nn.Module):
    """Three times its input, in Python, so that it can see how many threads are in it at once.

    fault: what a call does that was not alone: "wrong" or "raise"; only every `every`-th one does. "buffer": every call
    returns one and the same tensor, written again. wait: seconds that a call waits for others to come.
    """

    def __init__(self, threads: int, fault: str = "", every: int = 1, wait: float = 0.02) -> None:
        super().__init__()
        self.lock = threading.Condition()
        self.running: set[int] = set()
        self.shared: set[int] = set()  # the calls that were not alone
        self.most = self.calls = self.faults = self.copies = 0
        self.threads, self.fault, self.every, self.wait = threads, fault, every, wait
        self.kept = torch.zeros(2)

    def __deepcopy__(self, memo: Any) -> "_Meeting":
        self.copies += 1
        return _Meeting(self.threads)

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            self.calls += 1
            call = self.calls
            self.running.add(call)
            self.most = max(self.most, len(self.running))
            if len(self.running) > 1:
                self.shared |= self.running
            self.lock.notify_all()
            self.lock.wait_for(lambda: call in self.shared if self.fault else self.most > self.threads, self.wait)
            if self.fault == "buffer":
                self.kept.copy_(x * 3)
                self.lock.wait(0.002 if call in self.shared else 0)
            self.running.discard(call)
            faulty = call in self.shared and call % self.every == 0 and self.fault in ("wrong", "raise")
            self.faults += faulty
        if faulty and self.fault == "raise":
            raise RuntimeError("two at once")
        return self.kept if self.fault == "buffer" else x * 3 + int(faulty)


@check_for("09.3")
def hammer(answer: Any) -> None:
    """A function (module, inputs, threads, rounds) → the number of wrong answers."""
    inputs = [torch.tensor([float(i), i * 0.5]) for i in range(6)]
    threads, rounds = 4, 5

    meeting = _Meeting(threads, wait=0.05)
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
    most = {"threads asked for": threads, "most calls at once": meeting.most}
    if meeting.copies and meeting.calls < len(inputs) * rounds:
        raise NotYet(
            "Your threads call copies of the module, and not the module itself.",
            seen={"copies made": meeting.copies, "calls of the module": meeting.calls},
            look_at="what is to be shown: that *one* module may be called from many threads",
        )
    if meeting.most < 2:
        raise NotYet(
            "Only one call was running at any time: nothing was tried at once.",
            seen=most,
            look_at="whether you wait for each call before you start the next",
        )
    if meeting.most < threads:
        raise NotYet(
            f"At no time were {threads} calls running at once.",
            seen=most,
            look_at="the size of your pool, and how many calls it is given at a time",
        )
    if meeting.most > threads:
        raise NotYet("More threads were in the module than were asked for.", seen=most, look_at="the size of your pool")
    if meeting.calls < len(inputs) * rounds:
        raise NotYet(
            "The module was called too few times.",
            seen={
                "yours": meeting.calls,
                "expected": f"every input in each of {rounds} rounds, {len(inputs) * rounds} in all",
            },
            look_at="what a round is: each input once",
        )
    for fault, every in (("wrong", 1), ("wrong", 3), ("raise", 1), ("raise", 3)):
        faulty = _Meeting(threads, fault, every)
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
        if found != faulty.faults:
            raise _miscounted(faulty, found, len(inputs))
    kept = [answer(_Meeting(threads, "buffer"), inputs, threads, rounds) for _ in range(2)]
    if not any(kept):
        raise NotYet(
            "A module that returns its own buffer is reported as safe.",
            seen={"yours": 0, "expected": "more than 0"},
            look_at="what you compare with: every call returns the same tensor, and the next call writes to it",
        )
    with torch.no_grad():
        if answer(torch.jit.script(_Pure()), inputs, threads, rounds) != 0:
            raise NotYet(
                "A scripted module without state is reported as wrong.",
                look_at="how you compare: bitwise is right here",
            )
        many = [torch.tensor([float(i)]) for i in range(20)]
        if not any(answer(torch.jit.script(_Remembers()), many, 8, 5) for _ in range(3)):
            raise NotYet(
                "A scripted module that keeps its input in a buffer is reported as safe.",
                look_at="what the answers are compared with: computed one by one, before any thread starts",
            )


def _miscounted(faulty: _Meeting, found: Any, inputs: int) -> NotYet:
    """What is wrong with a count that is not the number of faults."""
    seen = {"wrong answers there were": faulty.faults, "yours": repr(found)}
    ends = (range(1, inputs + 1), range(faulty.calls - inputs + 1, faulty.calls + 1))
    if not faulty.copies and all(faulty.shared.intersection(calls) for calls in ends):
        return NotYet(
            "The answers that you take for right were computed while other calls were running.",
            seen=seen,
            look_at="`called alone`: compute them one by one, before any thread starts",
        )
    if faulty.fault == "raise":
        return NotYet(
            "Some calls raised in their thread, and your function did not count them all.",
            seen=seen,
            look_at="an error in a thread reaches nobody unless you ask for it; here each counts as one wrong answer",
        )
    if not found:
        return NotYet(
            "Some answers were wrong, but your function says that all were right.",
            seen=seen,
            look_at="what you compare with what",
        )
    return NotYet(
        "Your number is not the number of wrong answers.",
        seen=seen,
        look_at="what is counted: each wrong answer once, not rounds, inputs or threads with a wrong one",
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
            assert images.shape[1] == 1, "images have one channel"
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
            ("images of three channels", _pack(folder / "d.pt", torch.ones(1, 3, 8, 8)), "images have one channel",
             "the sentence of the `assert`: it is not in the first line"),
            ("images of another size", _pack(folder / "b.pt", torch.ones(1, 1, 6, 6)), "shapes cannot be multiplied",
             "the operator's sentence: it is not in the first line"),
            ("an argument too many", _pack(folder / "c.pt", torch.ones(1, 1, 8, 8), 3), "at most 2 argument",
             "the first line of what torch says"),
            ("an archive with an operator that is not known here", _with_an_unknown_operator(folder), "elsewhere::tanh",
             "the first line of what torch says that is not empty: a drawing of the source follows it"),
        )  # fmt: skip
        for case, path, part, wanted in bad:
            _judge_error(answer, module, path, case, part, wanted)
        fine = _pack(folder / "fine.pt", torch.ones(2))
        _judge_error(answer, _Silent(), fine, "a model whose error has no text", "", "an error of which `str` is empty")


class _Silent(nn.Module):
    """Not compiled: an error of TorchScript always has a text."""

    def forward(self, x: Tensor) -> Tensor:
        raise ZeroDivisionError


def _with_an_unknown_operator(folder: Path) -> Path:
    """An archive whose code calls an operator that no library here has."""
    torch.jit.trace(_Pure(), torch.ones(2)).save(folder / "known.pt")
    path = folder / "unknown.pt"
    with zipfile.ZipFile(folder / "known.pt") as known, zipfile.ZipFile(path, "w") as unknown:
        for entry in known.infolist():
            unknown.writestr(entry.filename, known.read(entry).replace(b"torch.tanh(", b"ops.elsewhere.tanh("))
    return path


def _judge_error(answer: Any, module: Any, path: Path, case: str, part: str, wanted: str) -> None:
    reply = _judge_reply(answer, module, path, case, {"ok": False})
    error = reply.get("error")
    seen = {"request": case, "your error": repr(error)[:300]}
    if not isinstance(error, str) or not error.strip():
        raise NotYet(f"For {case} your reply has no sentence under `error`.", seen=seen, look_at="the key `error`")
    if len(error.splitlines()) > 1:
        raise NotYet(f"For {case} your error is more than one line.", seen=seen, look_at=wanted)
    if "Traceback" in error or "<--- HERE" in error or "\\n" in error:
        raise NotYet(
            f"For {case} your error is one line, with the whole text of the error in it.",
            seen={"request": case, "your error": f"{len(error)} characters, from {error[:60]!r} on"},
            look_at=f"{wanted}; a client has no use for a traceback of your source",
        )
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
