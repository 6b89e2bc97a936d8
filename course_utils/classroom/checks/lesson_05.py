"""What right answers to the exercises of lesson 05 must do. The checks save, damage and load files of their own."""

# No `from __future__ import annotations`: the models here are scripted.

import contextlib
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for, expect_parity
from course_utils.classroom.checks.shared import NOTHING, WritesOnLoad, noise
from course_utils.tools import archive


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _bytes_of(module: Any, **extra: str) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer, _extra_files=extra or None)
    return buffer.getvalue()


class _Net(nn.Module):
    """A small classifier of three classes."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.linear = nn.Linear(4, 3)
        self.register_buffer("mean", torch.full((4,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x - self.mean)


# --- 05.1


@check_for("05.1")
def one_file_for_both(answer: Any) -> None:
    """Two functions: save a model with its labels in one archive, and load both."""
    if not (isinstance(answer, tuple) and len(answer) == 2 and all(callable(x) for x in answer)):
        raise NotYet("The answer is not the pair of your two functions.", look_at='check("05.1", (save_…, load_…))')
    save, load = answer
    model, x = _Net().eval(), noise(2, 4)
    names = ["cat", "dog, wolf", "Käse", '日本 "quoted"\n', "", "cat"]
    with _folder() as folder:
        made = {"a scripted model": torch.jit.script(model), "a traced model": torch.jit.trace(model, x)}
        for n, (kind, converted) in enumerate(made.items()):
            path = folder / f"model {n}.pt"
            save(converted, list(names), path)
            _one_archive(folder, path, n + 1)
            found = load(path)
            if found is None:
                raise NotYet(NOTHING, look_at="the last line of the function that loads: `return` both")
            loaded, labels = _pair(found)
            expect_parity(
                model, loaded, [x], f"What was saved was {kind}, and the loaded model returns something else."
            )
            if loaded.training:
                raise NotYet(
                    f"What was saved was {kind} in eval mode, and the loaded model is in train mode.",
                    seen={"training, when saved": False, "training, as loaded": True},
                    look_at="what your function does to the model between loading and `return`",
                )
            _same_labels(names, labels)
        _two_models(folder, save, load, made["a scripted model"])
        _moved_away(folder, load, names)
        _without_labels(folder, load, made["a scripted model"])


def _pair(found: Any) -> tuple[Any, Any]:
    """The model and its labels; :class:`NotYet` for what is not this pair."""
    if not (isinstance(found, tuple) and len(found) == 2):
        raise NotYet(
            "The function that loads does not return a pair.",
            seen={"yours": f"an object of type {type(found).__name__}"},
            look_at="`return model, labels`",
        )
    if not isinstance(found[0], torch.jit.ScriptModule):
        order = isinstance(found[1], torch.jit.ScriptModule)
        raise NotYet(
            "The pair is in the other order: the labels come first."
            if order
            else "The first of the pair is not a loaded model.",
            seen={"yours": ", ".join(type(x).__name__ for x in found), "expected": "the model, then a list"},
            look_at="the last line of the function that loads",
        )
    return found


def _two_models(folder: Path, save: Any, load: Any, converted: Any) -> None:
    """Each file has its own labels, whatever was saved after it."""
    for name, labels in (("first", ["one", "two", "three"]), ("second", ["un", "deux", "trois"])):
        save(converted, labels, folder / f"{name}.pt")
    _, labels = _pair(load(folder / "first.pt"))
    if list(labels) == ["un", "deux", "trois"]:
        raise NotYet(
            "Two models were saved, and the first comes back with the labels of the second.",
            seen={"saved in the first file": repr(["one", "two", "three"]), "loaded from it": repr(labels)},
            look_at="whether the labels are read from the file, or from something that your functions share",
        )
    _same_labels(["one", "two", "three"], labels)


def _one_archive(folder: Path, path: Path, count: int) -> None:
    there = sorted(x.name for x in folder.iterdir())
    if path.name not in there:
        raise NotYet(
            "There is no file at the path that your function was given.",
            seen={"asked for": path.name, "there is": ", ".join(there) or "nothing"},
            look_at="the path that you give to `torch.jit.save`",
        )
    if len(there) != count:
        raise NotYet(
            "Your function writes more than one file.",
            seen={"there is": ", ".join(there)},
            look_at="how other files get into an archive: the lesson's section on labels",
        )


def _same_labels(names: list[str], labels: Any) -> None:
    if isinstance(labels, (str, bytes)):
        raise NotYet(
            "The labels come back as one string, not as a list.",
            seen={"yours": repr(labels)[:80], "expected": repr(names)},
            look_at="what undoes the conversion that you made before saving",
        )
    if not isinstance(labels, list):
        raise NotYet(
            "The labels do not come back as a list.",
            seen={"yours": f"an object of type {type(labels).__name__}", "expected": "a list of strings"},
            look_at="the type of the labels that the function that saves was given",
        )
    if labels != names:
        raise NotYet(
            "The labels come back changed.",
            seen={"saved": repr(names), "loaded": repr(labels)[:120]},
            look_at="commas, quotes, newlines, non-ASCII letters, empty labels and duplicates: JSON keeps them all",
        )


def _moved_away(folder: Path, load: Any, names: list[str]) -> None:
    """The labels are in the file and in nothing that the functions remember."""
    with _folder() as other:
        target = other / "renamed.pt"
        target.write_bytes((folder / "model 0.pt").read_bytes())
        _same_labels(names, load(target)[1])


def _without_labels(folder: Path, load: Any, converted: Any) -> None:
    path = folder / "no labels.pt"
    converted.save(path)
    try:
        found = load(path)
    except json.JSONDecodeError as error:
        raise NotYet(
            "For an archive without labels, the error comes from `json`.",
            seen={"raised": f"{type(error).__name__}: {error}"},
            look_at="a `ValueError` of your own that names the file, raised before an empty string is parsed",
        ) from None
    except ValueError:
        return
    except Exception as error:
        raise NotYet(
            "For an archive without labels, your function raises an error that is not a ValueError.",
            seen={"raised": f"{type(error).__name__}: {str(error)[:80]}"},
            look_at="what is in the dict after loading when the file has no such name",
        ) from None
    raise NotYet(
        "For an archive without labels, your function raises no error.",
        seen={"returned labels": repr(found[1] if isinstance(found, tuple) and len(found) == 2 else found)[:80]},
        look_at="what `torch.jit.load` leaves in the dict for a name that is not in the archive",
    )


# --- 05.2


class _Tied(nn.Module):
    """One layer under two names, and a method of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))

    @torch.jit.export
    def width(self) -> int:
        return 4


class _SavesWhenCalled(nn.Module):
    """Numbers of three types, and code that writes a file when it is called and not before."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.saved = path
        self.few = nn.Parameter(torch.ones(2, 3, dtype=torch.float16))
        self.register_buffer("calls", torch.zeros(5, dtype=torch.int64))
        self.register_buffer("flags", torch.zeros(7, dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.saved)
        return x + self.calls[0]


class _Restores(nn.Module):
    """Its state is read by a method of its own, which writes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 3

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return self.times, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        self.times = state[0]
        self.training = state[1]

    @torch.jit.export
    def reset(self) -> int:
        return 0

    def forward(self, x: Tensor) -> Tensor:
        return x * self.times


class _Outer(nn.Module):
    """A plain class around one that has more methods."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = _Restores()
        self.linear = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.inner(x))


@check_for("05.2")
def told_without_loading(answer: Any) -> None:
    """A function path → dict of methods, number of values, and whether code runs on load."""
    with _folder() as folder:
        trap = folder / "trap"
        scripted = torch.jit.script(_Net().eval())
        files = {
            "a small classifier": (scripted, ["forward"], 12 + 3 + 4, False),
            "a frozen classifier": (torch.jit.freeze(scripted), ["forward"], 12 + 3 + 4, False),
            "a model with a tied layer": (torch.jit.script(_Tied()), ["forward", "width"], 16 + 4, False),
            "a model that writes a file when called": (
                torch.jit.script(_SavesWhenCalled(str(trap))),
                ["forward"],
                6 + 5 + 7,
                False,
            ),
            "a model whose inner layer restores itself": (torch.jit.script(_Outer()), ["forward"], 4 + 2, True),
            "a model that writes a file when loaded": (
                torch.jit.script(WritesOnLoad(str(trap))),
                ["__getstate__", "__setstate__", "forward"],
                0,
                True,
            ),
        }
        for n, (what, (module, methods, values, runs)) in enumerate(files.items()):
            path = folder / f"{n}.pt"
            module.save(path)
            with _loads_recorded() as loads:
                told = answer(path)
            if trap.exists() or loads:
                raise NotYet(
                    f"Your function loads the file: {what}.",
                    seen={"called": ", ".join(loads), "a file written by the archive": "yes" if trap.exists() else ""},
                    look_at="reading it as a zip, or the course's function that inspects a file without loading it",
                )
            _compare(what, told, {"methods": methods, "values": values, "runs": runs})


@contextlib.contextmanager
def _loads_recorded() -> Iterator[list[str]]:
    """The names of torch's loaders that are called meanwhile."""
    called: list[str] = []
    originals = torch.jit.load, torch.load

    def recording(name: str, original: Any) -> Any:
        def load(*arguments: Any, **options: Any) -> Any:
            called.append(name)
            return original(*arguments, **options)

        return load

    torch.jit.load, torch.load = recording("torch.jit.load", originals[0]), recording("torch.load", originals[1])
    try:
        yield called
    finally:
        torch.jit.load, torch.load = originals


_WHERE = {
    "methods": "whose methods: those of the outermost class, sorted by name; `.root` of a report names that class",
    "values": "attributes and constants, each storage once, in numbers, not bytes: a dtype takes 1, 2, 4 or 8 bytes",
    "runs": "the method that a loader calls: does any class in the archive have it? What other code does is no matter",
}


def _compare(what: str, told: Any, expected: dict[str, Any]) -> None:
    if told is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the dict")
    if not isinstance(told, dict) or not set(expected) <= set(told):
        raise NotYet(
            "Your function does not return a dict with the three names.",
            seen={"yours": repr(told)[:120], "names": ", ".join(expected)},
            look_at='`{"methods": …, "values": …, "runs": …}`',
        )
    for name, value in expected.items():
        yours = list(told[name]) if name == "methods" and isinstance(told[name], (list, tuple)) else told[name]
        if yours != value:
            raise NotYet(
                f'"{name}" is not right for {what}.',
                seen={"yours": repr(yours)[:120], "expected": repr(value)},
                look_at=_WHERE[name],
            )


# --- 05.3


def _flipped(whole: bytes, entry_end: str, offset: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        start = next(x for x in file.infolist() if x.filename.endswith(entry_end)).header_offset
    at = start + 30 + sum(struct.unpack("<HH", whole[start + 26 : start + 30])) + offset
    return whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :]


def _zip_of_a_photo() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("holiday/photo.jpg", b"\xff\xd8\xff" * 50)
    return target.getvalue()


def _broken_files(trap: Path) -> dict[str, tuple[bytes, str]]:
    """What is in each hidden file, and the right word for it."""
    whole = _bytes_of(torch.jit.script(_Net().eval()))
    other = _bytes_of(torch.jit.trace(_Net().eval(), noise(1, 4)), **{"notes.txt": "x"})
    weights = io.BytesIO()
    torch.save(_Net().state_dict(), weights)
    return {
        "an empty file": (b"", "empty"),
        "the first half of an archive": (whole[: len(whole) // 2], "cut off"),
        "an archive without its last ten bytes": (whole[:-10], "cut off"),
        "a page of HTML": (b"<!DOCTYPE html><title>Not found</title>", "not a model"),
        "a zip with a photo": (_zip_of_a_photo(), "not a model"),
        "weights of torch.save": (weights.getvalue(), "state_dict"),
        "an archive with a flipped bit in its weights": (_flipped(whole, "data/0", 3), "damaged"),
        "an archive with a flipped bit in its code": (_flipped(whole, ".py", 2), "damaged"),
        "an archive with a flipped bit in its description": (_flipped(whole, "data.pkl", 30), "damaged"),
        "a scripted model": (whole, "fine"),
        "a traced model with an extra file": (other, "fine"),
        "an archive that writes a file when loaded": (_bytes_of(torch.jit.script(WritesOnLoad(str(trap)))), "fine"),
    }


_LOOK = {
    "missing": "the question to ask before the file is opened",
    "empty": "the size of the file",
    "cut off": "how a zip begins (its first two bytes), and that its list of entries is at its end",
    "not a model": "which entries every file of torch has, archive or not",
    "state_dict": "the entry that an archive has and a file from `torch.save` does not have",
    "damaged": "the checksum of each entry: which method of a `ZipFile` verifies them all? It may also raise",
    "fine": "which of your questions rejects a good file",
}


@check_for("05.3")
def diagnosed(answer: Any) -> None:
    """A function path → one of seven words."""
    with _folder() as folder:
        trap = folder / "trap"
        _expect_word("a path that does not exist", answer(folder / "nothing.pt"), "missing")
        for n, (what, (content, word)) in enumerate(_broken_files(trap).items()):
            path = folder / f"{n}.pt"
            path.write_bytes(content)
            said = answer(path)
            if trap.exists():
                raise NotYet(
                    "Your function loads the file, and code of the archive ran: it wrote a file.",
                    seen={"file": what},
                    look_at="questions that need no loader: the size, the first bytes, the entries, the checksums",
                )
            _expect_word(what, said, word)


def _expect_word(what: str, said: Any, word: str) -> None:
    if said is None:
        raise NotYet(NOTHING, seen={"file": what}, look_at="a `return` on every path through your function")
    if said != word:
        raise NotYet(
            f"For {what}, your word is wrong.",
            seen={"yours": repr(said), "expected": repr(word)},
            look_at=_LOOK[word],
        )


# --- 05.4


class _Tuned(nn.Module):
    """A parameter, a buffer, a buffer that only the archive has, an exported method and a mode."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.linear = nn.Linear(4, 3)
            self.register_buffer("mean", torch.rand(4))
        self.drop = nn.Dropout(0.5)
        self.register_buffer("scale", torch.full((3,), 2.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.linear(x - self.mean)) * self.scale

    @torch.jit.export
    def width(self) -> int:
        return 4


_EXTRAS = {"labels.json": '["cat", "Käse"]', "notes/owner.txt": "the vision group", "empty.txt": "", "LICENSE": "MIT"}


@check_for("05.4")
def new_weights_in_the_same_file(answer: Any) -> None:
    """A function (source, state, target): the archive at source, with the weights of state."""
    x = noise(3, 4)
    # What is deployed, its eager model with new weights, and its extra files.
    cases: dict[str, tuple[nn.Module, nn.Module, dict[str, str]]] = {
        "a small classifier": (_Net().eval(), _Net().eval(), {}),
        "an archive with extra files": (_Net().eval(), _Net().eval(), _EXTRAS),
        "an archive with a non-persistent buffer": (_Tuned(1).eval(), _Tuned(2).eval(), {"a.txt": "1"}),
        "an archive in float64": (_Net().double().eval(), _Net().double().eval(), {}),
        "an archive in train mode": (_Tuned(1).train(), _Tuned(2).train(), {}),
    }
    with _folder() as folder:
        for n, (what, (deployed, trained, extras)) in enumerate(cases.items()):
            with torch.no_grad():
                for value in trained.state_dict().values():
                    value.mul_(1.5)
            source, target = folder / f"deployed {n}.pt", folder / f"updated {n}.pt"
            source.write_bytes(_bytes_of(torch.jit.script(deployed), **extras))
            before = source.read_bytes()
            state = {name: value.clone() for name, value in trained.state_dict().items()}
            try:
                answer(source, state, target)
            except (RuntimeError, ValueError) as error:
                if isinstance(error, NotImplementedError):  # nothing is written yet
                    raise
                raise NotYet(
                    f"Your function raises an error for {what}.",
                    seen={"raised": f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]},
                    look_at="what the archive has and `state` lacks: a loaded module keeps non-persistent buffers",
                ) from error
            if source.read_bytes() != before:
                raise NotYet(
                    f"Your function changes the file at `source`: {what}.",
                    look_at="the path that you give to `torch.jit.save`",
                )
            if not target.is_file():
                there = ", ".join(sorted(file.name for file in folder.iterdir()))
                raise NotYet(
                    "There is no file at `target`.",
                    seen={"target": target.name, "files there": there},
                    look_at="the path that you give to `torch.jit.save`",
                )
            _same_but_for_weights(what, target, deployed, trained, extras, x)
        _states_that_do_not_fit(folder, answer)


def _same_but_for_weights(
    what: str, target: Path, deployed: nn.Module, trained: nn.Module, extras: dict[str, str], x: Tensor
) -> None:
    loaded = torch.jit.load(target)
    modes = {name: part.training for name, part in deployed.named_modules()}
    if {name: part.training for name, part in loaded.named_modules()} != modes:
        raise NotYet(
            f"The mode is not what it was in {what}.",
            seen={"training in source": deployed.training, "training in target": loaded.training},
            look_at="what your function does to the module between loading and saving",
        )
    state = loaded.state_dict()
    for name, value in trained.state_dict().items():
        if name not in state or state[name].dtype != value.dtype or not torch.equal(state[name], value):
            found = str(state[name].flatten()[:3].tolist()) if name in state else "not there"
            raise NotYet(
                f"`{name}` does not have its new value in {what}.",
                seen={"state": f"{value.dtype} {value.flatten()[:3].tolist()}", "target": found},
                look_at="what puts a `state_dict` into a module that was loaded, and whether the dtype stays",
            )
    if not deployed.training:
        images = x.to(next(trained.parameters()).dtype)
        expect_parity(
            trained, loaded, [images], f"The updated model returns something else: {what}.", check_state=False
        )
    if hasattr(trained, "width") and not hasattr(loaded, "width"):
        raise NotYet(
            f"An exported method is missing in {what}.",
            seen={"missing": "width"},
            look_at="saving the module that you loaded: its methods are part of it",
        )
    found = {name: _extra(target, name) for name in archive.inspect(target).extra_files}
    if found != extras:
        raise NotYet(
            f"The extra files are not those of the source: {what}.",
            seen={"source": repr(extras), "target": repr(found)},
            look_at="the list of entries of the source: `torch.jit.load` returns the extra files that you name",
        )


def _extra(path: Path, name: str) -> str:
    wanted = {name: ""}
    torch.jit.load(path, _extra_files=wanted)
    content: Any = wanted[name]
    return content.decode() if isinstance(content, bytes) else content


def _states_that_do_not_fit(folder: Path, answer: Any) -> None:
    source = folder / "strict.pt"
    source.write_bytes(_bytes_of(torch.jit.script(_Tuned(1).eval())))
    good = _Tuned(2).state_dict()
    misnamed = {name.replace("linear", "layer"): value for name, value in good.items()}
    states = {
        "a name that the archive does not have": good | {"linear.scale": torch.ones(1)},
        "other names for two parameters": misnamed,
        "no value for a parameter": {name: value for name, value in good.items() if name != "linear.bias"},
    }
    for what, state in states.items():
        try:
            answer(source, state, folder / "strict, updated.pt")
        except ValueError:
            continue
        except Exception as error:
            raise NotYet(
                f"For a state with {what}, your function raises an error that is not a ValueError.",
                seen={"raised": f"{type(error).__name__}: {error}"[:160]},
                look_at="`missing_keys` and `unexpected_keys`: what `load_state_dict` returns when it is not strict",
            ) from None
        raise NotYet(
            f"For a state with {what}, your function raises no error.",
            seen={"names in the state": ", ".join(state)},
            look_at="`missing_keys` and `unexpected_keys`: which of the missing ones are parameters?",
        )
