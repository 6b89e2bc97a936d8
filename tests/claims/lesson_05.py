"""Claims of lesson 05, each with code that tries to break it."""

# No `from __future__ import annotations`: the compiler reads the annotations of what is here.

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils import model_dump, show_pickle

from course_utils.classroom import models
from course_utils.tools import archive
from tests.claims import claim

LESSON = "notebooks/05_save_and_load.ipynb"


class Small(nn.Module):
    """Two numbers, a text, a flag and a tensor."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.register_buffer("kept", torch.ones(2))
        self.label = "hello_label"
        self.times = 3

    def forward(self, x, times: int = 2):
        return self.linear(x) * times + self.kept


class WithScratch(Small):
    def __init__(self):
        super().__init__()
        self.register_buffer("scratch", torch.ones(2), persistent=False)


def plus(x, times: float = 2.0):
    return x + times


def halved(x):
    return x / 2


def filled(x):
    return torch.full([2], 1.0)


def spaced(x):
    return torch.linspace(0.0, 1.0, 3)


def spaced_by_powers(x):
    return torch.logspace(0.0, 1.0, 3)


def activated(x):
    return nn.functional.gelu(x)


@cache
def small() -> bytes:
    return saved(torch.jit.script(Small().eval()))


def saved(module: Any, **extra: str) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer, _extra_files=extra or None)
    return buffer.getvalue()


def load(content: bytes, **options: Any) -> Any:
    return torch.jit.load(io.BytesIO(content), **options)


def entries(content: bytes) -> dict[str, bytes]:
    """The entries of an archive by their names without the top folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {x.partition("/")[2]: file.read(x) for x in file.namelist()}


def rewritten(content: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """The archive again with each entry as ``change`` returns it; without it for ``None``."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            changed = change(entry.filename, old.read(entry))
            if changed is not None:
                new.writestr(entry, changed)
    return target.getvalue()


def flipped(content: bytes, entry_end: str, offset: int, bit: int = 64) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        start = next(x for x in file.infolist() if x.filename.endswith(entry_end)).header_offset
    at = start + 30 + sum(struct.unpack("<HH", content[start + 26 : start + 30])) + offset
    return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]


def testzip(content: bytes) -> str | None:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return file.testzip()


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def version_of(content: bytes) -> int:
    return int(next(text for name, text in entries(content).items() if name.endswith("version")))


# --- what is in the file


@claim(
    f"{LESSON}#cd2bc8dc5",
    "the version of the file format that a loader must support, not of torch: here 3",
    was="the version is 3",
)
@claim(f"{LESSON}#version-why", "The version depends on the operators that the code uses")
def versions() -> None:
    functions = (plus, halved, filled, spaced, spaced_by_powers, activated)
    found = [version_of(saved(torch.jit.script(x))) for x in functions]
    assert found[0] == 3 and found == sorted(found) and len(set(found)) == len(found)
    assert version_of(saved(torch.jit.script(models.DigitNet()))) == 3


@claim(f"{LESSON}#version-why", "A loader that is too old for a file says so.")
def versions_of_tomorrow() -> None:
    for version in ("11000", "9999", "999"):
        newer = rewritten(small(), lambda name, text, v=version: v.encode() if name.endswith("version") else text)
        with pytest.raises(RuntimeError, match="the maximum supported version for reading is"):
            load(newer)
    older = rewritten(small(), lambda name, text: b"2" if name.endswith("version") else text)
    assert load(older).label == "hello_label"


@claim(
    f"{LESSON}#cd2bc8dc5",
    "source files, named after the Python modules of the classes and functions",
    was="one source file for each Python module that had a class",
)
def source_files() -> None:
    names = {x for x in entries(saved(torch.jit.script(models.DigitNet()))) if x.endswith(".py")}
    assert "code/__torch__/torch/nn/functional.py" in names  # functions only
    assert "code/__torch__/course_utils/classroom/models.py" in names
    twice = [torch.jit.script(nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1), nn.ReLU())) for _ in range(2)]
    assert any("___torch_mangle_" in x for x in entries(saved(twice[1])) if x.endswith(".py"))


@claim(f"{LESSON}#c75865859", "Tensors are not compressed")
def nothing_of_a_tensor_is_compressed() -> None:
    class Zeros(nn.Module):
        def __init__(self, dtype):
            super().__init__()
            self.register_buffer("zeros", torch.zeros(5000).to(dtype))

        def forward(self, x):
            return x

    for dtype in (torch.float32, torch.int64, torch.bool):
        with zipfile.ZipFile(io.BytesIO(saved(torch.jit.script(Zeros(dtype))))) as file:
            entry = next(x for x in file.infolist() if x.filename.endswith("data/0"))
        assert entry.compress_size == entry.file_size == 5000 * torch.zeros(1).to(dtype).element_size()


# --- what comes back


@claim(f"{LESSON}#c31dea613", "contains a module, so `save` wraps a function in an empty one")
@claim(f"{LESSON}#c31dea613", "The default arguments of a module's methods are kept.")
def defaults() -> None:
    function = load(saved(torch.jit.script(plus)))
    assert isinstance(function, torch.jit.ScriptModule) and function.original_name == "PlaceholderModule"
    with pytest.raises(RuntimeError, match="missing value for argument 'times'"):
        function(torch.ones(1))
    module, x = load(small()), torch.ones(1, 3)
    assert torch.equal(module(x), module(x, 2)) and torch.equal(function(x, 2.0), x + 2)


@claim(
    f"{LESSON}#c4d7cbdda",
    "but not of any class of yours; the name is kept as text in `.original_name`",
    was="isinstance knows torch.jit.ScriptModule only",
)
def classes_of_what_is_loaded() -> None:
    model = Small().eval()
    for loaded in (load(small()), load(saved(torch.jit.trace(model, torch.ones(1, 3))))):
        assert isinstance(loaded, nn.Module) and isinstance(loaded, torch.jit.ScriptModule)
        assert not isinstance(loaded, Small) and loaded.original_name == "Small"
        assert not isinstance(loaded.linear, nn.Linear)


@claim(
    f"{LESSON}#c3da1a649",
    "So a strict `load_state_dict` rejects the weights of this model:",
    was="so weights do not go back by load_state_dict",
)
@claim(
    f"{LESSON}#cf708152e", "| What is saved without being asked for? | non-persistent buffers, source text and paths |"
)
def weights_on_the_way_back() -> None:
    state = load(saved(torch.jit.script(WithScratch()))).state_dict()
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\) in state_dict: \"scratch\""):
        WithScratch().load_state_dict(state)
    assert WithScratch().load_state_dict(state, strict=False).unexpected_keys == ["scratch"]
    assert not Small().load_state_dict(load(small()).state_dict()).unexpected_keys
    with folder() as here:
        (here / "small.pt").write_bytes(small())
        assert any(Path(x).name == Path(__file__).name for x in archive.inspect(here / "small.pt").disclosed)


@claim(f"{LESSON}#c289a06b4", "**a name that the archive does not contain raises no error**: it comes back empty")
def extra_files_that_are_missing() -> None:
    for content in (small(), saved(torch.jit.script(Small()), **{"notes.json": "[1]"})):
        wanted = {"other.txt": "", "more.txt": "before"}
        load(content, _extra_files=wanted)
        assert wanted["other.txt"] in ("", b"") and wanted["more.txt"] in ("", b"", "before")
    wanted = {"notes.json": ""}
    load(saved(torch.jit.script(Small()), **{"notes.json": json.dumps(["ä"])}), _extra_files=wanted)
    assert json.loads(wanted["notes.json"]) == ["ä"]


@claim(f"{LESSON}#ccb908b7f", "A dict or a function, which `torch.load` accepts, is not supported.")
def devices() -> None:
    for place in ({"cuda": "cpu"}, lambda storage, location: storage, ["cpu"]):
        with pytest.raises(ValueError, match="map_location should be either None"):
            load(small(), map_location=place)
    for place in ("cpu", torch.device("cpu"), "meta"):
        assert load(small(), map_location=place).linear.weight.device.type == str(torch.device(place).type)


# --- what a loader needs


class Boxes(nn.Module):
    def forward(self, boxes, scores):
        return torchvision.ops.nms(boxes, scores, 0.5)


@claim(
    f"{LESSON}#cf708152e",
    "torch, not the class; and the library of each operator from outside torch, such as torchvision",
    was="torch, not the class",
)
@claim(f"{LESSON}#needs-operators-why", "*Unknown builtin op* means a missing library, not a broken file.")
def a_process_without_torchvision() -> None:
    boxes, scores = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1)
    with folder() as here:
        torch.jit.script(Boxes()).save(here / "scripted.pt")
        torch.jit.trace(Boxes(), (boxes, scores)).save(here / "traced.pt")
        (here / "small.pt").write_bytes(small())
        program = (
            "import sys, torch\n"
            "for name in ('scripted', 'traced', 'small'):\n"
            "    try:\n        torch.jit.load(f'{name}.pt')\n        print(name, 'loads')\n"
            "    except RuntimeError as error:\n        print(name, str(error).strip().splitlines()[0])\n"
            "print('torchvision' in sys.modules)\n"
        )
        child = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            cwd=here, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        for name in ("scripted", "traced"):
            assert torch.equal(torch.jit.load(here / f"{name}.pt")(boxes, scores), torch.zeros(1, dtype=torch.int64))
            assert any("torchvision::nms" in str(x) for x in archive.inspect(here / f"{name}.pt").runs)
    unknown = "Unknown builtin op: torchvision::nms."
    assert child.stdout.splitlines() == [f"scripted {unknown}", f"traced {unknown}", "small loads", "False"]


@claim(f"{LESSON}#cf708152e", "`torch.jit.load` for archives, `torch.load` for a `state_dict`")
@claim(f"{LESSON}#c3d95927a", "*constants.pkl* means another kind of file")
def two_loaders() -> None:
    state, whole = io.BytesIO(), io.BytesIO()
    torch.save(Small().state_dict(), state)
    torch.save(torch.ones(1), whole)
    for content in (state.getvalue(), whole.getvalue()):
        with pytest.raises(RuntimeError, match=r"constants\.pkl"):
            load(content)
    with pytest.raises(RuntimeError, match="TorchScript archives"):
        torch.load(io.BytesIO(small()))
    assert set(torch.load(io.BytesIO(state.getvalue()))) == {"linear.weight", "linear.bias", "kept"}


# --- damage


@claim(
    f"{LESSON}#c3d95927a",
    "A zip has a checksum for each entry, and torch verifies **none** of them.",
    was="torch does not compare it for tensors",
)
@claim(f"{LESSON}#flags-why", "Text can be damaged as well: a label can come back misspelt.")
def checksums_are_not_compared() -> None:
    description = entries(small())["data.pkl"]
    text = flipped(small(), "data.pkl", description.index(b"hello_label"), bit=1)
    assert load(text).label == "iello_label" and testzip(text).endswith("data.pkl")
    weights = flipped(small(), "data/0", 3)
    assert any(not torch.equal(a, b) for a, b in zip(load(weights).buffers(), load(small()).buffers(), strict=True))
    assert testzip(weights).endswith("data/0")
    for bit in (1, 2, 64):
        order = flipped(small(), "byteorder", 1, bit)
        assert load(order).times == 3 and testzip(order).endswith("byteorder")


@claim(f"{LESSON}#flags-predict", "in it `False` is a single byte, one bit away from `True`")
@claim(f"{LESSON}#flags-why", "Most of the files load, and in many of them one layer is in train mode")
def flags_of_the_mode() -> None:
    false, true = (pickle.dumps(x, protocol=2)[2] for x in (False, True))
    assert (false, true) == (0x89, 0x88)
    digits = saved(torch.jit.script(models.DigitNet().eval()))
    loaded, switched, at = 0, set(), [n for n, byte in enumerate(entries(digits)["data.pkl"]) if byte == false]
    for n in at:
        try:
            net = load(flipped(digits, "data.pkl", n, bit=1))
        except RuntimeError:
            continue
        loaded += 1
        switched |= {name for name, part in net.named_modules() if part.training}
    assert loaded > len(at) / 2 and {"features.1", "dropout"} <= switched


@claim(
    f"{LESSON}#c3d95927a",
    "another bit causes an ordinary parser error, a `UnicodeDecodeError` or an `IndexError`, or the file loads",
    was="the text does not unpack, and torch complains with other words each time",
)
@claim(f"{LESSON}#testzip-why", "`testzip` raises if a compressed entry cannot be decompressed: call it in a `try`.")
@claim(
    f"{LESSON}#cf708152e",
    "or `zipfile.ZipFile(path).testzip()`, which may raise",
    was="no loader of torch checks tensors: testzip()",
)
def bits_in_the_code() -> None:
    with zipfile.ZipFile(io.BytesIO(small())) as file:
        size = next(x for x in file.infolist() if x.filename.endswith(".py")).compress_size
    told, found = set(), set()
    for offset in range(0, size, 3):
        damaged = flipped(small(), ".py", offset)
        try:
            load(damaged)
            told.add("loads")
        except Exception as error:
            told.add("RuntimeError" if isinstance(error, RuntimeError) else "another")
        try:
            found.add("named" if testzip(damaged) else "nothing")
        except zlib.error:
            found.add("raises")
    assert "RuntimeError" in told and len(told) > 1
    assert {"named", "raises"} <= found
    with folder() as here:
        (here / "bad.pt").write_bytes(flipped(small(), ".py", 1))
        assert archive.inspect(here / "bad.pt").warnings


@claim(f"{LESSON}#c3d95927a", "A web page and a cut-off file look the same to torch.")
def ends_that_are_missing() -> None:
    with folder() as here:

        def says(content: bytes) -> str:
            (here / "broken.pt").write_bytes(content)
            with pytest.raises(RuntimeError) as caught:
                torch.jit.load(here / "broken.pt")
            return str(caught.value).partition(". ")[0]

        page = says(b"<!DOCTYPE html><title>Log in</title>" * 20)
        assert "central directory" in page
        for part in (2, 3, 4):
            assert says(small()[: len(small()) // part]) == page
        assert "not a ZIP archive" in says(b"") and "not a ZIP archive" in says(b"PK")


@claim(f"{LESSON}#ce8ffb788", "Keep a checksum beside the file, or look for damage as above, whatever the format.")
def the_newer_format_does_not_look_either() -> None:
    program = torch.export.export(nn.Linear(3, 2), (torch.ones(1, 3),))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    names = [x for x in entries(buffer.getvalue()) if x.endswith(("weight_0", "weight_1"))]
    assert names
    for name in names:
        for offset in (2, 3):
            damaged = flipped(buffer.getvalue(), name, offset)
            state = torch.export.load(io.BytesIO(damaged)).state_dict
            assert any(not torch.equal(state[x], program.state_dict[x]) for x in state)
            assert testzip(damaged) is not None


# --- looking, and what runs


class Writer(nn.Module):
    def __init__(self, path: str):
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state
        torch.save(torch.zeros(1), self.path)

    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Around(nn.Module):
    def __init__(self, path: str):
        super().__init__()
        self.inner = Writer(path)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


@claim(
    f"{LESSON}#testzip-why",
    "An exported `__setstate__` method is part of the archive, and the loader calls it.",
)
@claim(f"{LESSON}#c78f9bac3", "Loading an archive means running its author's program with your permissions.")
def what_runs_on_load() -> None:
    with folder() as here:
        for n, (kind, options) in enumerate(((Writer, {}), (Around, {}), (Writer, {"map_location": "meta"}))):
            trap = here / f"trap {n}"
            torch.jit.script(kind(str(trap))).save(here / f"{n}.pt")
            report = archive.inspect(here / f"{n}.pt")
            assert report.runs_on_load and not trap.exists()
            torch.jit.load(here / f"{n}.pt", **options)
            assert trap.exists()


@claim(f"{LESSON}#cfaf9fb83", "512 at 16,000 per second, 256 at 8,000; at these rates any other number raises an error")
def samples_of_the_voice_detector() -> None:
    path = models.third_party_archive()
    if path is None:
        pytest.skip("silero-vad is not installed")
    vad = torch.jit.load(path)
    for samples, rate in ((512, 16000), (256, 8000)):
        assert vad(torch.zeros(1, samples), rate).shape == (1, 1)
    for samples, rate in ((1000, 16000), (1536, 16000), (512, 8000), (100, 8000)):
        with pytest.raises(torch.jit.Error):
            vad(torch.zeros(1, samples), rate)
    source = next(x.source for x in archive.inspect(path).methods if x.name == "forward")
    assert "Supported values" in source


@claim(f"{LESSON}#c281f8766", "The names of classes and of their Python modules stay, because the code needs them.")
@claim(f"{LESSON}#c38b7fcad", "a loader does not need them, and the archive is a zip:")
def debug_records() -> None:
    stripped = rewritten(small(), lambda name, text: None if name.endswith(".debug_pkl") else text)
    x = torch.ones(1, 3)
    assert torch.equal(load(stripped)(x), load(small())(x)) and load(stripped).original_name == "Small"
    assert not any(Path(__file__).name.encode() in text for text in entries(stripped).values())
    assert any(b"class Small" in text for text in entries(stripped).values())


@claim(
    f"{LESSON}#cd71c9112",
    "(a model without convolutions loads)",
    was="the weights of the convolutions were never written, and the archive does not load",
)
def optimised_without_convolutions() -> None:
    for layers in ([nn.Linear(4, 4), nn.ReLU()], [nn.Flatten(), nn.Linear(4, 2)], [nn.Linear(4, 3), nn.Softmax(1)]):
        scripted = torch.jit.script(nn.Sequential(*layers).eval())
        optimised = torch.jit.optimize_for_inference(torch.jit.freeze(scripted))
        x = torch.ones(2, 4)
        assert torch.allclose(load(saved(optimised))(x), scripted(x))


class Arranged(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x * self.weight + torch.arange(2, device=x.device)


@claim(f"{LESSON}#ccb908b7f", "`map_location` moves the tensors that the object contains; a device written in the code")
def devices_in_the_code() -> None:
    x = torch.ones(2, device="meta")
    traced = load(saved(torch.jit.trace(Arranged(), torch.ones(2))), map_location="meta")
    scripted = load(saved(torch.jit.script(Arranged())), map_location="meta")
    assert traced.weight.is_meta and 'device=torch.device("cpu")' in traced.code
    assert scripted(x).is_meta and 'torch.device("cpu")' not in scripted.code
    with pytest.raises(RuntimeError):
        traced(x)


# --- what torch's own tools see


class Trap:
    """What makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def dumped(content: bytes) -> dict[str, Any]:
    return model_dump.get_model_info(io.BytesIO(content))["model"]


def with_record(content: bytes, entry_end: str, record: Any) -> bytes:
    return rewritten(content, lambda name, text: pickle.dumps(record) if name.endswith(entry_end) else text)


@claim(
    f"{LESSON}#tools-compared-why",
    "**`model_dump` unpickles the debug records**, and an unpickled pickle runs what it asks",
)
@claim(f"{LESSON}#tools-compared-why", "which loads this file and does not run the record")
@claim(f"{LESSON}#c913a550e", "prints one pickle, with stand-ins in place of the classes")
def pickles_that_run() -> None:
    traced = saved(torch.jit.trace(nn.Linear(2, 1), torch.ones(1, 2)))
    with folder() as here:
        for n, content in enumerate((small(), saved(torch.jit.script(plus)), traced)):
            trap = here / f"trap {n}"
            hostile = with_record(content, ".py.debug_pkl", Trap(trap))
            load(hostile)
            (here / "hostile.pt").write_bytes(hostile)
            assert not archive.inspect(here / "hostile.pt").runs_on_load and not trap.exists()
            with pytest.raises(TypeError):
                dumped(hostile)
            assert trap.exists()
            described = with_record(content, "/data.pkl", Trap(here / f"other {n}"))
            (here / "described.pt").write_bytes(described)
            printed = io.StringIO()
            show_pickle.main(["show_pickle", f"{here / 'described.pt'}@*/data.pkl"], printed)
            assert ".mkdir(" in printed.getvalue() and not (here / f"other {n}").exists()
            assert any("mkdir" in x for x in archive.inspect(here / "described.pt").warnings)
            with pytest.raises(Exception, match="mkdir"):  # data.pkl is the pickle that it does not run
                dumped(described)
            assert not (here / f"other {n}").exists()


@claim(f"{LESSON}#tools-compared-why", "raises a `KeyError` for two good files")
def good_files_that_it_cannot_read() -> None:
    assert dumped(small())["version"] == "3"
    assert dumped(saved(torch.jit.script(filled)))["version"] == "5"
    stripped = rewritten(small(), lambda name, text: None if name.endswith(".debug_pkl") else text)
    for content in (stripped, saved(torch.jit.script(activated))):
        with pytest.raises(KeyError):
            dumped(content)
        with folder() as here:
            (here / "good.pt").write_bytes(content)
            assert not archive.inspect(here / "good.pt").warnings


@claim(
    f"{LESSON}#tools-compared-why", "does not read the tensors, so damage there goes unnoticed; damage in what it reads"
)
def damage_that_it_notices() -> None:
    for offset in (0, 2, 3):
        damaged = flipped(small(), "data/0", offset)
        assert dumped(damaged)["version"] == "3" and testzip(damaged).endswith("data/0")
    for entry in (".py", "data.pkl", "version"):
        with pytest.raises((zipfile.BadZipFile, zlib.error)):
            dumped(flipped(small(), entry, 0 if entry == "version" else 1))


@claim(f"{LESSON}#tools-compared-why", "has no limits, so a bomb is unpacked in memory")
@claim(f"{LESSON}#tools-compared-why", "does not say what the code does when it is loaded or called")
def bombs_and_what_runs() -> None:
    with folder() as here:
        bomb = rewritten(small(), lambda name, text: text + b" " * 2**26 if name.endswith("lesson_05.py") else text)
        assert len(bomb) < 2**20
        assert len(str(dumped(bomb)["code_files"])) > 2**26
        (here / "bomb.pt").write_bytes(bomb)
        assert "zip bomb" in archive.inspect(here / "bomb.pt").warnings[0]
        writes = saved(torch.jit.script(Writer(str(here / "trap"))))
        assert set(dumped(writes)) == set(dumped(small()))  # no key is about what runs
        assert not (here / "trap").exists()
