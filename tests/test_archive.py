"""The archive reader: what a model file contains, and that a hostile file gets a report or an error, no more."""

# No `from __future__ import annotations`: the models here are scripted.

import io
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from typer.testing import CliRunner

from course_utils.classroom import cli, models
from course_utils.tools import archive
from course_utils.tools.archive import ArchiveError, ArchiveReport, pickles, source
from course_utils.tools.archive.errors import DIRECTORY_BYTES, ENTRIES, ENTRY_BYTES, OPCODES


class Net(nn.Module):
    """Everything that an archive can hold: buffers of both kinds, typed attributes, a view, a tied layer, a method."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("scratch", torch.ones(2), persistent=False)
        self.names = ["zero", "one"]
        self.places = {"left": 1}
        self.factor = 2.5
        self.parts = [torch.ones(4), torch.zeros(1)]
        self.view = torch.arange(100)[:2]
        self.scores = nn.Linear(3, 2)
        self.again = self.scores

    def forward(self, x: Tensor, times: int = 2) -> Tensor:
        return self.scores(x - self.mean) * times + torch.tensor([1.5, 2.0])

    @torch.jit.export
    def label(self, i: int) -> str:
        return self.names[i]


class Writer(nn.Module):
    """Its archive writes a file when it is loaded, through a helper, and another when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.path = "planted"

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def helper(self, path: str) -> None:
        torch.save(torch.ones(1), path)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        self.helper(self.path)

    def forward(self, x: Tensor) -> Tensor:
        print("called")
        return torch.from_file("somewhere", size=4) + x


class Keeps(nn.Module):
    """Its tensors are in what ``__getstate__`` returns, and nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.table = {"rows": torch.ones(2, 3)}
        self.bias = torch.zeros(2, dtype=torch.float64)

    @torch.jit.export
    def __getstate__(self) -> tuple[dict[str, Tensor], Tensor, bool]:
        return self.table, self.bias, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[dict[str, Tensor], Tensor, bool]) -> None:
        self.table = state[0]
        self.bias = state[1]
        self.training = state[2]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.table["rows"].t() + self.bias


def function_of(x: Tensor, times: int = 2) -> Tensor:
    return x * times


def saved(module: torch.jit.ScriptModule | torch.jit.ScriptFunction, **extra: str) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer, _extra_files=extra or None)
    return buffer.getvalue()


def torch_saved(value: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def net() -> bytes:
    return saved(torch.jit.script(Net().eval()), **{"labels.json": '["a"]'})


@pytest.fixture(scope="module")
def traced() -> bytes:
    return saved(torch.jit.trace(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.rand(1, 3)))


@pytest.fixture(scope="module")
def frozen() -> bytes:
    return saved(torch.jit.freeze(torch.jit.script(Net().eval())))


@pytest.fixture(scope="module")
def state_dict() -> bytes:
    return torch_saved(nn.Linear(3, 2).state_dict())


def rebuilt(data: bytes, change: Callable[[zipfile.ZipInfo, bytes], bytes | None]) -> bytes:
    """The same zip with each entry's bytes changed; None leaves the entry out."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = change(info, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
    return target.getvalue()


def with_entry(data: bytes, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    target = io.BytesIO(data)
    with zipfile.ZipFile(target, "a") as file:
        for name, content in entries:
            file.writestr(name, content)
    return target.getvalue()


def hand_made(**entries: bytes) -> bytes:
    """A zip that looks like an archive: ``data_pkl=…`` becomes ``m/data.pkl``."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, content in {"version": b"3\n", "constants_pkl": b"\x80\x02).", **entries}.items():
            file.writestr("m/" + name.replace("__", "/").replace("_pkl", ".pkl").replace("_py", ".py"), content)
    return target.getvalue()


# --- honest files


def test_a_scripted_module(net: bytes) -> None:
    report = archive.inspect(net)
    assert (report.kind, report.format_version, report.ok) == ("TorchScript module", "3", True)
    assert report.loader == "torch.jit.load(path)"
    assert report.root.startswith("__torch__.") and report.root.endswith("Net")
    assert report.method("forward").signature == "(x: Tensor, times: int=2) -> Tensor"
    assert report.method("Net.label").signature == "(i: int) -> str"
    assert "names = self.names" in report.method("label").source
    assert report.runs == () and report.runs_on_load == ()
    assert report.extra_files == {"labels.json": 5} and report.extra("labels.json") == b'["a"]'
    assert report.sizes.debug > 100 and any(x.endswith("test_archive.py") for x in report.disclosed)


def test_tensors_agree_with_the_loaded_module(net: bytes) -> None:
    described = {x.path: x for x in archive.inspect(net).tensors}
    loaded = torch.jit.load(io.BytesIO(net))
    for name, tensor in loaded.state_dict().items():
        found = described[name]
        assert (found.shape, f"torch.{found.dtype}") == (tuple(tensor.shape), str(tensor.dtype)), name
        assert found.nbytes == tensor.numel() * tensor.element_size(), name
    assert described["parts[0]"].shape == (4,)
    assert (described["view"].nbytes, described["view"].stored_bytes) == (16, 800)
    assert described["scores.weight"].shared == ("again.weight",)
    assert described["mean"].shared == ()


def test_attributes_have_type_and_value(net: bytes) -> None:
    found = {x.path: (x.type, x.value) for x in archive.inspect(net).attributes}
    assert found["names"] == ("List[str]", "['zero', 'one']")
    assert found["places"] == ("Dict[str, int]", "{'left': 1}")
    assert found["factor"] == ("float", "2.5")
    assert found["training"] == ("bool", "False")
    assert found["scores.in_features"] == ("Final[int]", "3")


def test_origins(traced: bytes, frozen: bytes, net: bytes) -> None:
    assert archive.inspect(traced).origin == "traced"
    report = archive.inspect(frozen)
    assert report.origin == "frozen" and not report.tensors
    assert [x.path for x in report.constants][:2] == ["CONSTANTS.c0", "CONSTANTS.c1"]
    assert {x.shape for x in report.constants} >= {(2, 3), (2,)}
    assert archive.inspect(net).origin == ""


def test_a_function() -> None:
    report = archive.inspect(saved(torch.jit.script(function_of)))
    assert report.kind == "TorchScript function"
    assert report.method("forward").signature == "(x: Tensor, times: int) -> Tensor"  # the default is lost


def test_tensors_that_getstate_hands_out_are_listed() -> None:
    report = archive.inspect(saved(torch.jit.script(Keeps())))
    found = {x.path: (x.shape, x.dtype, x.nbytes) for x in report.tensors}
    assert found == {
        "__getstate__()[0].rows": ((2, 3), "float32", 24),
        "__getstate__()[1]": ((2,), "float64", 16),
    }
    assert sum(x.nbytes for x in report.tensors) == report.sizes.tensors and report.warnings == ()
    assert [str(x) for x in report.runs] == ["on load: Keeps.__setstate__ runs, because the loader calls it"]


def test_a_quantised_module_needs_no_library_but_torch(quantised: bytes) -> None:
    report = archive.inspect(quantised)
    assert report.warnings == () and report.runs == () and report.ok, report
    assert {(x.shape, x.dtype) for x in report.tensors} == {((2, 3), "qint8"), ((2,), "float32")}
    assert all("_packed_params.__getstate__()" in x.path for x in report.tensors)
    other = rebuilt(quantised, lambda info, content: content.replace(b"classes.quantized", b"classes.of_another"))
    assert any("whose code is in a C++ library" in x for x in archive.inspect(other).warnings)


@pytest.fixture(scope="module")
def quantised() -> bytes:
    engine = torch.backends.quantized.engine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.backends.quantized.engine = [x for x in torch.backends.quantized.supported_engines if x != "none"][-1]
        try:
            return saved(torch.jit.script(torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 2)))))
        finally:
            torch.backends.quantized.engine = engine


def test_without_its_constants_it_is_damaged_for_torch_and_for_inspect(net: bytes) -> None:
    lacking = rebuilt(net, lambda info, content: None if info.filename.endswith("constants.pkl") else content)
    with pytest.raises(RuntimeError, match=r"constants\.pkl"):
        torch.jit.load(io.BytesIO(lacking))
    with pytest.raises(ArchiveError, match=r"a damaged model: constants\.pkl is missing; get it again"):
        archive.inspect(lacking)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int8, torch.bool, torch.complex64, torch.float64]
)
def test_dtypes(dtype: torch.dtype) -> None:
    (tensor,) = archive.inspect(torch_saved({"x": torch.zeros(3, 2).to(dtype)})).tensors
    assert f"torch.{tensor.dtype}" == str(dtype)
    assert tensor.nbytes == 6 * dtype.itemsize


@pytest.mark.parametrize(
    ("value", "options", "kind", "loader"),
    [
        (nn.Linear(2, 2).state_dict(), {}, "state_dict, saved by torch.save", "weights_only=True"),
        ({"w": torch.ones(2)}, {}, "state_dict, saved by torch.save", "weights_only=True"),
        (torch.ones(2), {}, "tensor, saved by torch.save", "weights_only=True"),
        ({"epoch": 3, "w": torch.ones(2)}, {}, "checkpoint (a dict), saved", "weights_only=True"),
        (nn.Linear(2, 2), {}, "pickled object of class torch.nn.modules.linear.Linear", "weights_only=False"),
        ({"w": torch.ones(2)}, {"_use_new_zipfile_serialization": False}, "before torch 1.6", "weights_only=True"),
    ],
)
def test_files_of_torch_save(value: object, options: dict[str, bool], kind: str, loader: str) -> None:
    report = archive.inspect(torch_saved(value, **options))
    assert kind in report.kind and loader in report.loader


def test_a_path_an_open_file_and_a_buffer(net: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(net)
    by_path = archive.inspect(path)
    assert by_path.file_name == "net.pt" and str(tmp_path) not in by_path.text() + by_path._repr_html_()
    with path.open("rb") as file:
        file.seek(7)
        assert archive.inspect(file).text() == by_path.text()
        assert file.tell() == 7
    assert archive.inspect(io.BytesIO(net)).file_name == "this buffer"
    with path.open(encoding="latin-1") as text, pytest.raises(TypeError, match="'rb'"):
        archive.inspect(text)


def test_the_third_party_archive() -> None:
    path = models.third_party_archive()
    if path is None:
        pytest.skip("silero-vad is not installed")
    report = archive.inspect(path)
    assert report.root.endswith("VADRNNJITMerge") and report.ok and not report.runs_on_load
    assert {"forward", "reset_states"} <= {x.name for x in report.methods if x.owner == report.root}
    loaded = torch.jit.load(path)
    shapes = {x.path: x.shape for x in report.tensors}
    assert {n: tuple(t.shape) for n, t in loaded.state_dict().items()}.items() <= shapes.items()
    assert sum(x.nbytes for x in report.tensors) < report.file_size


def test_without_the_third_party_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert models.third_party_archive() is None


def test_reports_as_text_and_html(net: bytes) -> None:
    report = archive.inspect(net)
    assert "Net.forward" in report.text() and "(2, 3)" in report.text()
    assert repr(report) == report.text() and len(report.text().splitlines()) < 60
    assert report.ok and report.findings == report.warnings == ()
    with pytest.raises(TypeError, match=r"ask its \.ok"):
        bool(report)
    page = report._repr_html_()
    assert "(2, 3)" in page and page.count("<table") == page.count("</table>") == 3
    with pytest.raises(KeyError, match=r"Net\.label"):
        report.method("missing")
    with pytest.raises(ArchiveError, match=r"labels\.json"):
        report.extra("missing")


def test_names_cannot_steer_a_terminal() -> None:
    pickle_of_name = pickle.dumps({"\x1b[2J": 1, "w": torch.zeros(0).tolist()}, protocol=2)
    report = archive.inspect(hand_made(data_pkl=pickle_of_name, **{"code____torch___py": b"class \x1b:\n"}))
    assert "\x1b" not in report.text()


def test_inspect_does_not_import_torch(net: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(net)
    program = "import sys; from course_utils import inspect; inspect('net.pt'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


# --- what would run


def test_what_runs_on_load_is_named_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = saved(torch.jit.script(Writer()))
    report = archive.inspect(data)
    told = [str(x) for x in report.runs]
    assert "on load: Writer.__setstate__ runs, because the loader calls it" in told
    assert "on load: Writer.helper writes a file (`save`)" in told
    assert "when called: Writer.forward prints (`print`)" in told
    assert "when called: Writer.forward reads a file (`from_file`)" in told
    assert not Path("planted").exists()
    torch.jit.load(io.BytesIO(data))
    assert Path("planted").exists()


@pytest.mark.parametrize(
    "line",
    [
        "torch.save(x, 'p')",
        "torch . save(x, 'p')",
        "(x).save('p')",
        "torch.\\\n    save(x, 'p')",
        "getattr(torch, 'save')(x, 'p')",
        "getattr(torch, 's\\x61ve')(x, 'p')",
        "ops.image.write_file('p', x)",
        "ops.aten.save(x, 'p')",
        "ops.mine.anything(x)",
        "a = torch\n    a.save(x, 'p')",
    ],
)
def test_ways_to_write_a_side_effect(line: str) -> None:
    text = f"class M(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    {line}\n    return x\n"
    _, methods = source.parse(text, "__torch__.py")
    (effect,) = source.effects(methods, {"__torch__.py": text}, set())
    assert effect.when == "when called" and effect.where == "M.forward"


def test_the_namespaces_of_torch_are_those_that_importing_it_registers() -> None:
    """In a process of its own: tests and other libraries register more."""
    program = "import torch; print(*{x.name.split('::')[0] for x in torch._C._jit_get_all_schemas()})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    registered = set(done.stdout.split())
    assert registered <= source.BUILT_IN
    if sys.platform == "linux":  # elsewhere some are not built
        assert registered >= source.BUILT_IN


def test_a_name_in_a_text_or_a_comment_is_no_side_effect() -> None:
    text = "def f(x: Tensor) -> str:\n  # torch.save(x)\n  return 'torch.save and print(x)'\n"
    _, methods = source.parse(text, "__torch__.py")
    assert source.effects(methods, {"__torch__.py": text}, set()) == []


def test_code_outside_of_methods_is_told() -> None:
    text = "def f(x: Tensor) -> Tensor:\n  return x\ntorch.save(1, 'p')\n"
    _, methods = source.parse(text, "__torch__.py")
    (effect,) = source.effects(methods, {"__torch__.py": text}, set())
    assert effect.where == "code/__torch__.py"


def test_an_unbalanced_bracket_in_a_text_hides_no_method() -> None:
    text = "class M(Module):\n  def f(self) -> str:\n    return '('\n  def g(self) -> int:\n    return 1\n"
    assert [x.short for x in source.parse(text, "__torch__.py")[1]] == ["M.f", "M.g"]


# --- pickles


class Executes:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_execute(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bomb = pickle.dumps(Executes(), protocol=protocol)
    name = f"{os.mkdir.__module__}.mkdir"
    assert str(pickles.describe(bomb).function) == name
    files = [hand_made(data_pkl=bomb), hand_made(data_pkl=b"\x80\x02N.", constants_pkl=bomb), torch_saved(Executes())]
    for data in files + [bomb] * (protocol >= 2):
        report = archive.inspect(data)
        assert name in " ".join(report.warnings) and "load" in " ".join(report.warnings)
    assert not Path("ran").exists()
    pickle.loads(bomb)
    assert Path("ran").exists()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=9),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


def as_value(described: object) -> object:
    if isinstance(described, pickles.Pairs):
        return {key: as_value(value) for key, value in described.pairs}
    if isinstance(described, (list, tuple)):
        return type(described)(map(as_value, described))
    return described


@settings(deadline=None, max_examples=60)
@given(values, st.integers(3, 5))  # bytes have no opcode of their own before protocol 3
def test_plain_values_are_described_as_themselves(value: object, protocol: int) -> None:
    assert as_value(pickles.describe(pickle.dumps(value, protocol=protocol))) == value


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_described_or_refused(data: bytes, as_pickle: bool) -> None:
    try:
        found = pickles.describe((b"\x80\x02" + data + b".") if as_pickle else data)
        assert len(pickles.short(found)) < 10_000
        assert sum(1 for _ in pickles.walk(found)) < 1000
    except ArchiveError as error:
        assert "get the file again" in str(error)


def test_a_deep_a_shared_and_an_endless_structure() -> None:
    deep = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    assert sum(1 for _ in pickles.walk(pickles.describe(deep))) == 200_000
    laughs = b"\x80\x02]q\x00" + b"".join(b"]q%c(" % n + b"h%c" % (n - 1) * 9 + b"e" for n in range(1, 60)) + b"."
    assert len(pickles.short(pickles.describe(laughs))) < 1000
    endless = pickles.describe(b"\x80\x02]q\x00h\x00a.")
    assert pickles.short(endless) == "[[[…]]]"
    assert archive.inspect(hand_made(data_pkl=laughs)).kind == "TorchScript module"


def test_a_pickle_of_too_many_steps() -> None:
    with pytest.raises(ArchiveError, match="more than 1,000,000 steps"):
        pickles.describe(b"\x80\x02" + b"N0" * (OPCODES // 2 + 1) + b"N.")


def test_every_opcode_is_known_or_refused() -> None:
    machine = pickles._Machine()
    for opcode in pickletools.opcodes:
        if opcode.name in ("STOP", "PROTO", "FRAME"):
            continue
        known = (
            opcode.name in pickles._VALUES | set(pickles._CONSTANTS) | set(pickles._TUPLES)
            or any(x in opcode.name for x in ("GET", "PUT", "MEMOIZE", "MARK"))
            or hasattr(machine, "_pop_opcode" if opcode.name == "POP" else f"_{opcode.name.lower()}")
        )
        assert known or opcode.name in ("NEXT_BUFFER", "READONLY_BUFFER"), opcode.name


# --- hostile and broken zips


def test_a_zip_bomb(net: bytes) -> None:
    bomb = io.BytesIO(net)
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/code/bomb.py", b"\0" * (ENTRY_BYTES + 1))
        file.writestr("archive/extra/bomb", b"\0" * (ENTRY_BYTES + 1))
    (report, seconds, peak) = measured(bomb.getvalue())
    assert isinstance(report, ArchiveReport)
    assert sum("zip bomb" in x for x in report.warnings) >= 2 and "do not load" in report.warnings[0]
    assert seconds < 10 and peak < 200e6


def test_many_small_bombs() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        for n in range(12):
            file.writestr(f"m/code/{n}.py", b"\n" * (ENTRY_BYTES - 1))
        file.writestr("m/data.pkl", b"\x80\x02N.")
        file.writestr("m/constants.pkl", b"\x80\x02).")
    (report, seconds, peak) = measured(bomb.getvalue())
    assert isinstance(report, ArchiveReport) and "zip bomb" in " ".join(report.warnings)
    assert seconds < 15 and peak < 300e6


def test_a_claimed_size_is_not_believed(net: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(net)) as file:
        info = file.getinfo("archive/data/0")
    place = net.rindex(struct.pack("<L", info.CRC), 0, len(net))
    lied = net[: place + 8] + struct.pack("<L", 2**31) + net[place + 12 :]
    with zipfile.ZipFile(io.BytesIO(lied)) as file:
        assert file.getinfo("archive/data/0").file_size == 2**31
    report = archive.inspect(lied)
    assert "archive/data/0" in report.damaged and "get the file again" in " ".join(report.warnings)


def test_overlapping_entries(net: bytes) -> None:
    end = net.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack("<HLL", net[end + 10 : end + 20])
    listed = net[start : start + size]
    doubled = (
        net[:start]
        + listed * 3
        + struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count * 3, count * 3, size * 3, start, 0)
    )
    with zipfile.ZipFile(io.BytesIO(doubled)) as file:
        assert len(file.infolist()) == 3 * count
    try:
        assert "entries are called" in " ".join(archive.inspect(doubled).warnings)
    except ArchiveError as error:
        assert "overlap" in str(error)


def test_a_list_of_entries_of_claimed_gigabytes(net: bytes) -> None:
    plain = rebuilt(net, lambda info, content: content)  # torch writes the 64-bit form, which has the sizes elsewhere
    end = plain.rindex(b"PK\x05\x06")
    lied = plain[: end + 12] + struct.pack("<LL", len(plain) - 100, 0) + plain[end + 20 :]
    with pytest.raises(ArchiveError, match="again"):
        archive.inspect(lied)
    large = b"PK\x03\x04" + bytes(DIRECTORY_BYTES + 100)
    large += struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 1, 1, DIRECTORY_BYTES + 50, 4, 0)
    with pytest.raises(ArchiveError, match="the list of entries claims"):
        archive.inspect(large)


@pytest.mark.parametrize("name", ["archive/../../escaped", "/absolute", "..\\windows", "C:\\windows"])
def test_a_path_that_climbs_out(name: str, net: bytes) -> None:
    report = archive.inspect(with_entry(net, (name, b"x")))
    assert "points outside the archive (zip slip); do not extract" in " ".join(report.warnings)


def test_a_symlink_entry(net: bytes) -> None:
    link = zipfile.ZipInfo("archive/link")
    link.external_attr = 0o120777 << 16
    assert "symbolic link" in " ".join(archive.inspect(with_entry(net, (link, b"target"))).warnings)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_entries_and_a_second_folder(net: bytes) -> None:
    told = " ".join(archive.inspect(with_entry(net, ("archive/version", b"3\n"), ("other/x", b""))).warnings)
    assert "2 entries are called 'archive/version'" in told and "2 folders at the top" in told


def test_too_many_entries() -> None:
    one = with_entry(b"", ("x", b""))
    start, stop = in_the_list(one, "x")

    def listed(count: int) -> bytes:
        """The one entry, listed so many times."""
        size = (stop - start) * count
        end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)
        return one[:start] + one[start:stop] * count + end

    with pytest.raises(ArchiveError, match="50,001 entries, more than any model"):
        archive.inspect(listed(ENTRIES + 1))
    with pytest.raises(ArchiveError, match="a zip, but not a model"):
        archive.inspect(listed(5))


def test_a_zip_in_a_zip_is_not_opened(net: bytes) -> None:
    report = archive.inspect(with_entry(net, ("archive/extra/inner.zip", net)))
    assert report.ok and report.extra_files["inner.zip"] == len(net)


def test_an_encrypted_entry(net: bytes) -> None:
    place = net.index(b"PK\x01\x02")
    locked = net[: place + 8] + struct.pack("<H", 1) + net[place + 10 :]
    assert "encrypted" in " ".join(archive.inspect(locked).warnings)


def test_a_tensor_that_reaches_behind_its_bytes(net: bytes) -> None:
    shortened = rebuilt(net, lambda info, content: content[:-4] if info.filename.endswith("data/0") else content)
    assert "reaches past the end of its bytes" in " ".join(archive.inspect(shortened).warnings)
    emptied = rebuilt(net, lambda info, content: None if info.filename.endswith("data/0") else content)
    assert "are missing (data/0)" in " ".join(archive.inspect(emptied).warnings)


def test_a_class_without_code(net: bytes) -> None:
    without = rebuilt(net, lambda info, content: None if info.filename.endswith(".py") else content)
    assert "is not in the archive" in " ".join(archive.inspect(without).warnings)


# --- broken in the ways that happen


def test_one_flipped_bit_in_the_weights(net: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(net)) as file:
        header = file.getinfo("archive/data/0").header_offset
    at = header + 30 + sum(struct.unpack("<HH", net[header + 26 : header + 30]))
    flipped = net[: at + 3] + bytes([net[at + 3] ^ 64]) + net[at + 4 :]
    torch.jit.load(io.BytesIO(flipped))  # torch does not notice
    report = archive.inspect(flipped)
    assert report.damaged == ("archive/data/0",) and not report.ok
    assert "do not fit its checksum; get the file again" in report.warnings[0]
    assert archive.inspect(flipped, check=False).ok


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\n<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x1f\x8b\x08", "gzip"),
        (bytes(1000), "only zeros"),
        (b"hello", "not a file that torch writes"),
        (b"\x08", "not a file that torch writes"),  # how an ONNX model begins
        (b"PK\x03\x04" + bytes(100), "cut off"),
        (b"\x80\x02cposix\nsystem\n", "damaged or not a pickle"),
    ],
)
def test_what_is_no_model(content: bytes, told: str) -> None:
    with pytest.raises(ArchiveError, match=told):
        archive.inspect(content)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"there is no file gone\.pt"):
        archive.inspect(tmp_path / "gone.pt")
    with pytest.raises(ArchiveError, match="is a folder"):
        archive.inspect(tmp_path)


def test_other_zips(state_dict: bytes) -> None:
    with pytest.raises(ArchiveError, match="a zip, but not a model"):
        archive.inspect(with_entry(b"", ("folder/readme.txt", b"")))
    with pytest.raises(ArchiveError, match=r"damaged model: data\.pkl"):
        archive.inspect(rebuilt(state_dict, lambda info, content: None if "data.pkl" in info.filename else content))
    assert "safetensors" in archive.inspect(struct.pack("<Q", 10) + b'{"a": {}}  ').kind
    assert "flatbuffer" in archive.inspect(b"\x18\0\0\0PTMF" + bytes(10)).kind


# --- damage by chance


def in_the_list(data: bytes, name: str) -> tuple[int, int]:
    """Where the description of an entry begins and ends in the list of entries."""
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    return at, at + 46 + len(name) + sum(struct.unpack("<HH", data[at + 30 : at + 34]))


def test_an_entry_that_the_list_has_emptied(net: bytes) -> None:
    """Zeros for checksum and sizes agree with each other, and zipfile silently returns nothing."""
    at, _ = in_the_list(net, "archive/version")
    data = net[: at + 16] + bytes(12) + net[at + 28 :]
    assert contents(data)["archive/version"] == b""
    assert "does not fit the bytes around 'archive/version'" in " ".join(archive.inspect(data).warnings)


def test_an_entry_that_the_list_has_lost(net: bytes) -> None:
    plain = rebuilt(net, lambda info, content: content)
    start, stop = in_the_list(plain, "archive/version")
    data = bytearray(plain[:start] + plain[stop:])
    end = data.rindex(b"PK\x05\x06")
    count, size = struct.unpack("<HI", data[end + 10 : end + 16])
    data[end + 8 : end + 16] = struct.pack("<HHI", count - 1, count - 1, size - (stop - start))
    assert "archive/version" not in contents(bytes(data))
    assert "something was cut, emptied or hidden there" in " ".join(archive.inspect(bytes(data)).warnings)


def test_bytes_hidden_between_entries(net: bytes) -> None:
    """Written by zipfile, which keeps bytes of others between its entries."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(net)) as source, zipfile.ZipFile(target, "w") as file:
        for n, name in enumerate(source.namelist()):
            file.writestr(name, source.read(name))
            if n == 1:
                file.fp.write(b"anything")
                file.start_dir = file.fp.tell()
    assert contents(target.getvalue()) == contents(net)
    assert "something was cut, emptied or hidden there" in " ".join(archive.inspect(target.getvalue()).warnings)


class Pipe(io.BytesIO):
    def tell(self) -> int:
        raise io.UnsupportedOperation("a pipe has no position")


def test_a_zip_written_to_a_pipe_is_fine(net: bytes) -> None:
    """Checksum and sizes stand behind each entry there."""
    target = Pipe()
    with zipfile.ZipFile(io.BytesIO(net)) as source, zipfile.ZipFile(target, "w") as file:
        for name in source.namelist():
            file.writestr(name, source.read(name))
    assert b"PK\x07\x08" in target.getvalue()
    assert archive.inspect(target.getvalue()).ok


def damaged_copies(originals: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Copies with flipped bits, cut ends, overwritten, moved and doubled pieces, and lies in the list of entries."""
    chance = random.Random(seed)
    for n in range(count):
        data = bytearray(originals[n % len(originals)])
        for _ in range(chance.choice((1, 1, 2, 8))):
            if not data:
                break
            at, length = chance.randrange(len(data)), chance.randrange(1, 200)
            match chance.randrange(6):
                case 0:
                    data[at] ^= 1 << chance.randrange(8)
                case 1:
                    del data[at:]
                case 2:
                    data[at : at + length] = bytes(length)
                case 3:
                    data[at : at + length] = chance.randbytes(length)
                case 4:
                    data[at:at] = data[at : at + length]
                case 5:  # in the list of entries, where sizes and offsets stand
                    at = max(0, len(data) - chance.randrange(1, 400))
                    data[at : at + 4] = chance.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0"))
        yield bytes(data)


def contents(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_a_thousand_damaged_copies(net: bytes, traced: bytes, frozen: bytes, state_dict: bytes) -> None:
    """Each gives a report or an error, at once and in little memory; a report without a warning tells the truth."""
    legacy = torch_saved({"w": torch.ones(2)}, _use_new_zipfile_serialization=False)
    originals = [net, traced, frozen, state_dict, legacy]
    known = [contents(x) if x is not legacy else None for x in originals]
    reports = errors = 0
    longest = 0.0
    tracemalloc.start()
    for n, data in enumerate(damaged_copies(originals, 1000, seed=5)):
        started = time.perf_counter()
        try:
            report = archive.inspect(data)
            assert len(report.text()) < 10_000 and len(report._repr_html_()) < 40_000
            reports += 1
            if report.ok and known[n % 5]:
                assert contents(data) == known[n % 5]
        except ArchiveError as error:
            assert str(error).startswith("these bytes") and len(str(error)) < 400, error
            errors += 1
        longest = max(longest, time.perf_counter() - started)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reports + errors == 1000 and min(reports, errors) > 150
    assert longest < 5 and peak < 50e6


def measured(data: bytes) -> tuple[ArchiveReport | ArchiveError, float, int]:
    tracemalloc.start()
    started = time.perf_counter()
    try:
        found: ArchiveReport | ArchiveError = archive.inspect(data)
    except ArchiveError as error:
        found = error
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, seconds, peak


# --- the command


def test_course_inspect(net: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(net)
    done = CliRunner().invoke(cli.app, ["inspect", str(path)])
    assert done.exit_code == 0 and "TorchScript module" in done.output and "Net.forward" in done.output
    done = CliRunner().invoke(cli.app, ["inspect", str(path), "--code", "label"])
    assert done.exit_code == 0 and "names = self.names" in done.output
    done = CliRunner().invoke(cli.app, ["inspect", str(path), "--code", "gone"])
    assert done.exit_code == 2 and "no method 'gone'" in done.stderr


def test_course_inspect_ends_with_what_was_found(net: bytes, quantised: bytes, tmp_path: Path) -> None:
    lacking = rebuilt(net, lambda info, content: None if info.filename.endswith("constants.pkl") else content)
    keeps = saved(torch.jit.script(Keeps()))
    for content, code, says in (
        (quantised, 0, "qint8"),
        (keeps, 1, "__getstate__()[1]"),
        (lacking, 2, "constants.pkl is missing"),
    ):
        (tmp_path / "model.pt").write_bytes(content)
        done = CliRunner().invoke(cli.app, ["inspect", str(tmp_path / "model.pt")])
        assert (done.exit_code, says in done.output) == (code, True), done.output


def test_course_inspect_of_what_is_broken(net: bytes, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["inspect", str(tmp_path / "gone.pt")])
    assert done.exit_code == 2 and done.stderr.startswith("course: there is no file gone.pt")
    broken = tmp_path / "broken.pt"
    broken.write_bytes(with_entry(net, ("../x", b"")))
    assert CliRunner().invoke(cli.app, ["inspect", str(broken)]).exit_code == 1


# --- what is no plain file, and files of other formats


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
@pytest.mark.parametrize(
    "path, says",
    [
        ("FIFO", "is a named pipe and not a file; write its content into a file"),
        ("/dev/zero", "zero is a device and not a file"),
        ("/proc/version", "version cannot be read"),
        ("x" * 300, "cannot be opened: File name too long; check the path"),
        ("a\0b", "is not a path (embedded null byte); check where it comes from"),
        (".", "is a folder; give the path of the file in it"),
    ],
)
def test_what_is_no_plain_file_is_said_at_once(path: str, says: str, tmp_path: Path) -> None:
    if path == "FIFO":
        path = str(tmp_path / "pipe")
        os.mkfifo(path)
    with pytest.raises(ArchiveError) as caught:
        archive.inspect(path)
    assert says in str(caught.value) and not str(caught.value).startswith(" ")


@pytest.mark.parametrize(
    "content, kind",
    [
        (b"\x1c\0\0\0ET12" + bytes(64), "ExecuTorch program (.pte)"),
        (b"\x08\n\x12\x07pytorch" + bytes(64), "ONNX model"),
        (
            hand_made(**{".data/extern_modules": b"", ".data/version": b"6", "model/model.pkl": b""}),
            "torch.package file",
        ),
        (hand_made(**{"data/aotinductor/model/a.so": b"x", "version": b"0"}), "AOTInductor package (.pt2)"),
        (
            hand_made(
                **{"model.json": b'{"tensors":[{"dims":["2","3"],"dataType":"FLOAT","data":{"key":"tensors/0"}}]}'}
            ),
            "TorchScript module in the form of torch 1.0 (model.json)",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_other_formats_are_named(content: bytes, kind: str) -> None:
    report = archive.inspect(content)
    assert report.kind == kind and report.loader
    if "1.0" in kind:
        assert [(x.shape, x.dtype) for x in report.tensors] == [((2, 3), "float32")]


def test_a_module_with_a_newer_operator_is_torchscript() -> None:
    """torch.jit.save then writes .data/version in place of version, as a torch.package file has it."""
    data = saved(torch.jit.trace(torch.nn.GELU(), torch.ones(2)))
    report = archive.inspect(data)
    assert any(x.name.endswith("/.data/version") for x in report.entries)
    assert (report.kind, report.format_version, report.warnings) == ("TorchScript module", "10", ())


@pytest.mark.parametrize(
    "version, is_read", [(b"1", True), (b"10", True), (b"0", False), (b"11", False), (None, False)]
)
def test_a_version_that_torch_refuses_is_said(version: bytes | None, is_read: bool, net: bytes) -> None:
    data = rebuilt(net, lambda info, content: version if info.filename.endswith("/version") else content)
    assert any("version" in x for x in archive.inspect(data).warnings) == (not is_read)
    try:
        torch.jit.load(io.BytesIO(data))
        loads = True
    except RuntimeError:
        loads = False
    assert loads == is_read


def test_operators_of_other_libraries_are_named_with_what_to_import(net: bytes) -> None:
    def change(info: zipfile.ZipInfo, content: bytes) -> bytes:
        call = b"  def nms(self, x: Tensor) -> Tensor:\n    return ops.torchvision.nms(x, x, 0.5)\n"
        return content + call if info.filename.endswith(".py") else content

    [line] = [x for x in archive.inspect(rebuilt(net, change)).warnings if "torchvision" in x]
    assert line == (
        "it calls torchvision::nms, which torch does not have: run import torchvision before torch.jit.load"
    )


def test_the_form_before_1_6_lists_its_tensors_and_names_its_class() -> None:
    legacy = torch_saved({"weight": torch.zeros(2, 3)}, _use_new_zipfile_serialization=False)
    assert [(x.path, x.shape, x.dtype) for x in archive.inspect(legacy).tensors] == [("weight", (2, 3), "float32")]
    report = archive.inspect(torch_saved(torch.nn.Linear(2, 2), _use_new_zipfile_serialization=False))
    assert report.kind.startswith("pickled object of class torch.nn.modules.linear.Linear")
    assert {x.shape for x in report.tensors} == {(2, 2), (2,)}


def test_a_report_can_be_whole_and_be_json(net: bytes) -> None:
    import json

    report = archive.inspect(net)
    assert json.loads(json.dumps(report.as_dict(), default=str))["kind"] == "TorchScript module"
    assert len(report.text(everything=True)) >= len(report.text())
