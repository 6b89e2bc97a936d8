"""`migrate` on archives that go through, on some that do not, and on what is no archive at all."""

import importlib.util
import json
import shutil
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from course_utils.classroom import cli, models
from course_utils.classroom.backends import aoti
from course_utils.core import limits
from course_utils.tools import migration
from course_utils.tools.migration import MigrationError, migrate, read_input
from course_utils.tools.parity import Case

CONVERT_ONLY = ("convert",)


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            return x * 2
        return x - 1


class Halve(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while bool(x.abs().max() > 1):
            x = x * 0.5
        return x


class Counter(nn.Module):
    calls: int

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x + self.calls


class Remember(nn.Module):
    """State in a buffer, which every route of torch.export carries."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.total += 1
        return x + self.total


class Steps(nn.Module):
    def forward(self, x: Tensor, n: int) -> Tensor:
        for _ in range(n):
            x = x * 2 + 1
        return x


class Named(nn.Module):
    def forward(self, x: Tensor, pair: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sum": x + pair["a"], "other": pair["b"] * 2}


class Fixed(nn.Module):
    """A trace of it holds the batch of its example."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, -1).cumsum(1)


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0


@pytest.fixture
def archive(tmp_path: Path):
    def save(model: nn.Module, *example: Tensor, freeze: bool = False) -> Path:
        model = model.eval()
        converted = torch.jit.trace(model, example) if example else torch.jit.script(model)
        path = tmp_path / "model.pt"
        torch.jit.save(torch.jit.freeze(converted) if freeze else converted, path)
        return path

    return save


def outcomes(report) -> dict[str, str]:
    return {attempt.route: attempt.outcome for attempt in report.attempts}


def test_a_traced_network_holds_on_other_batches_and_values(archive, tmp_path: Path) -> None:
    net = models.randomise_statistics(models.DigitNet())
    x = torch.rand(1, 1, 8, 8)
    report = migrate(archive(net, x), x, into=tmp_path / "out")
    assert report.ok and outcomes(report) == {"convert": "holds", "onnx": "holds"}, report
    assert report.inputs == ("the example", "batch 2", "batch 5", "negated", "times 10", "zeros")
    assert "converted with a batch of 2" in report.facts[-1]
    assert report.best.file == "exported.pt2"
    again = torch.export.load(tmp_path / "out" / "exported.pt2").module()
    batch = torch.rand(7, 1, 8, 8)
    torch.testing.assert_close(again(batch), net(batch))
    assert (tmp_path / "out" / "model.onnx").stat().st_size > 1000
    assert not (tmp_path / "out" / "weights.pt").exists()


def test_a_frozen_network_goes_through(archive) -> None:
    net = models.randomise_statistics(models.DigitNet())
    report = migrate(archive(net, freeze=True), torch.rand(2, 1, 8, 8), routes=CONVERT_ONLY)
    assert outcomes(report) == {"convert": "holds"}, report


def test_a_branch_keeps_both_sides(archive) -> None:
    report = migrate(archive(Branch()), torch.ones(3))
    assert outcomes(report) == {"convert": "holds", "onnx": "holds"}, report
    assert "negated" in report.best.holds and "branches" in str(report)


def test_a_loop_on_data_goes_to_onnx_only(archive) -> None:
    report = migrate(archive(Halve()), torch.full((2,), 9.0))
    assert outcomes(report) == {"convert": "refused", "onnx": "holds"}, report
    assert "dynamic value of condition" in report.attempts[0].text
    assert report.best.route == "onnx"


def test_a_counter_that_stands_still_is_found(archive, tmp_path: Path) -> None:
    report = migrate(archive(Counter()), torch.ones(2), into=tmp_path / "out")
    assert outcomes(report) == {"convert": "differs", "onnx": "differs"}, report
    assert "call 2: original [3, 3], migrated [2, 2]" in report.attempts[0].text
    assert "state in attributes" in report.advice[0]
    assert not (tmp_path / "out" / "exported.pt2").exists()
    assert "Counter" in next((tmp_path / "out" / "code").rglob("*.py")).read_text(encoding="utf-8")


def test_state_in_a_buffer_is_carried(archive) -> None:
    assert migrate(archive(Remember()), torch.ones(2), routes=CONVERT_ONLY).ok


def test_what_keeps_state_in_onnx_is_found(archive) -> None:
    assert outcomes(migrate(archive(Remember()), torch.ones(2), routes=["onnx"])) == {"onnx": "differs"}


def test_a_number_as_input(archive) -> None:
    report = migrate(archive(Steps()), (torch.rand(2, 3), 3), others=[(torch.rand(2, 3), 0)])
    assert outcomes(report) == {"convert": "refused", "onnx": "holds"}, report
    assert "other 1" in report.best.holds


def test_dictionaries_and_keyword_arguments(archive) -> None:
    pair = {"a": torch.rand(2, 3), "b": torch.rand(2, 3)}
    report = migrate(archive(Named()), Case((torch.rand(2, 3),), {"pair": pair}))
    assert outcomes(report) == {"convert": "holds", "onnx": "refused"}, report


def test_inputs_that_the_original_refuses_are_left_out(archive) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = archive(Fixed(), torch.rand(2, 3))
    report = migrate(path, torch.rand(2, 3), routes=CONVERT_ONLY)
    assert "batch 5" not in report.inputs and "batch 1" not in report.inputs and report.ok, report


def test_silero_is_told_honestly(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("silero_vad")
    if spec is None:
        pytest.skip("silero-vad is not installed")
    path = Path(spec.origin).parent / "data" / "silero_vad.jit"
    report = migrate(path, (torch.rand(1, 512), 16000), into=tmp_path / "out")
    assert outcomes(report) == {"convert": "refused", "onnx": "refused"} and not report.ok, report
    assert "SetAttr" in report.attempts[0].text
    assert "silero_vad.onnx beside it: use that" in report.advice[0] and "safetensors" not in report.advice[0]
    assert "silero_vad_16k.safetensors beside it holds weights" in report.advice[1]
    assert "reset_states (not migrated)" in str(report)
    weights = torch.load(tmp_path / "out" / "weights.pt", weights_only=True)
    assert len(weights) == 30 and all(isinstance(tensor, Tensor) for tensor in weights.values())


def test_eager_modules_go_by_export() -> None:
    report = migrate(models.DigitNet().eval(), torch.rand(2, 1, 8, 8), routes=["export"])
    assert outcomes(report) == {"export": "holds"} and {"batch 1", "batch 5"} <= set(report.best.holds), report
    refused = migrate(Branch().eval(), torch.ones(2), routes=["export"])
    assert outcomes(refused) == {"export": "refused"} and "torch.cond" in refused.advice[-1]


def test_an_archive_becomes_a_compiled_package(archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own checks are on, so that a batch of 1, for which it was not compiled, is refused and not answered."""
    if not aoti.has_compiler():
        pytest.skip("there is no C++ compiler here")
    compile_it = torch._inductor.aoti_compile_and_package

    def once(program: torch.export.ExportedProgram, package_path: str) -> str:
        """What an earlier run compiled of the same program, under build/."""
        with monkeypatch.context() as inside:
            inside.setattr(torch._inductor, "aoti_compile_and_package", compile_it)
            return shutil.copyfile(aoti.compiled(program, "migrated", progress=False), package_path)

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", once)
    out = tmp_path / "out"
    torch.manual_seed(0)
    report = migrate(archive(nn.Linear(4, 2), torch.rand(3, 4)), torch.rand(3, 4), routes=["aoti"], into=out)
    assert outcomes(report) == {"aoti": "partly"} and report.attempts[0].refuses == ("batch 1",), report
    assert {"batch 2", "batch 5", "times 10"} <= set(report.attempts[0].holds)
    assert (out / "compiled.pt2").is_file() and "the line to rewrite" not in str(report)


def test_a_compiled_package_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "has_compiler", lambda: False)
    report = migrate(models.DigitNet().eval(), torch.rand(2, 1, 8, 8), routes=["aoti"])
    assert outcomes(report) == {"aoti": "refused"}
    assert report.advice[-1].startswith("AOTInductor needs a C++ compiler: run `course doctor`")


def test_a_fixed_size_that_is_refused_is_partly() -> None:
    class OnlyTwo(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.shape[0] == 2 else x * 3

    report = migrate(OnlyTwo().eval(), torch.rand(2, 3), routes=["export"])
    assert outcomes(report) == {"export": "partly"} and not report.ok, report
    assert report.attempts[0].refuses == ("batch 1", "batch 5")
    assert "in part" in report.headline


def test_outputs_of_zeros_prove_nothing(archive) -> None:
    assert "every output is zero" in str(migrate(archive(Zero()), torch.rand(2, 2), routes=CONVERT_ONLY))


def test_a_crash_and_an_endless_route_are_rows(archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(function, *, seconds, memory_gib):
        value = limits.Result(function(), "")
        calls.append(value)
        if len(calls) > 1:
            raise (limits.Crash("gone"), limits.TimeLimit("slow"))[len(calls) - 2]
        return value

    calls: list[limits.Result] = []
    monkeypatch.setattr(migration.limits, "run_limited", limited)
    monkeypatch.setattr(migration.sys, "platform", "linux")
    report = migrate(archive(Branch()), torch.ones(2))
    assert outcomes(report) == {"convert": "crashed", "onnx": "timed out"}
    assert "no route" in report.headline


def test_a_fresh_process_finds_the_same(archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process for both, once each way; `migrate` takes the fresh one where there is no fork."""
    case = Case((torch.ones(2),), name="the example")
    job = migration._Job("convert", str(archive(Branch())), [case], case, str(tmp_path))
    found = migration._in_new_process(job, 180)
    assert found.results and found == migration.limits.run_limited(lambda: migration._work(job)).value
    monkeypatch.setattr(migration.sys, "platform", "win32")
    monkeypatch.setattr(migration, "_in_new_process", lambda job, seconds: (job, seconds))
    assert migration._in_child(job, 5) == (job, 5)


def test_the_table_escapes_what_a_model_says(archive) -> None:
    page = migrate(archive(Branch()), torch.ones(2), routes=CONVERT_ONLY)._repr_html_()
    assert "<table" in page and "equal on every input" in page


# --- arguments that cannot be used -----------------------------------------------------------------------------------


def test_files_that_are_no_archives(tmp_path: Path, archive) -> None:
    x = torch.ones(2)
    with pytest.raises(MigrationError, match=r"there is no file none\.pt"):
        migrate(tmp_path / "none.pt", x)
    whole = archive(models.DigitNet(), torch.rand(1, 1, 8, 8)).read_bytes()
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MigrationError, match="its end is missing: it was cut off"):
        migrate(damaged, x)
    with zipfile.ZipFile(tmp_path / "model.pt") as parts:
        at = max(parts.infolist(), key=lambda item: item.file_size).header_offset + 5000
    flipped = bytearray(whole)
    flipped[at] ^= 1
    damaged.write_bytes(flipped)
    with pytest.raises(MigrationError, match="do not fit its checksum; get the file again"):
        migrate(damaged, x)
    torch.save({"a": x}, damaged)
    with pytest.raises(MigrationError, match=r"no TorchScript archive\. It is read by torch\.load"):
        migrate(damaged, x)
    torch.export.save(torch.export.export(models.DigitNet().eval(), (torch.rand(2, 1, 8, 8),)), tmp_path / "p.pt2")
    with pytest.raises(MigrationError, match=r"exported program \(\.pt2\).* read by torch\.export\.load\(path\)"):
        migrate(tmp_path / "p.pt2", x)


class WritesOnLoad(nn.Module):
    def __init__(self, path: str):
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self):
        return (self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path, self.training = state
        torch.save(torch.zeros(1), self.path)

    def forward(self, x):
        return x + 1


def test_what_loading_runs_is_said(archive, tmp_path: Path) -> None:
    report = migrate(
        archive(WritesOnLoad(str(tmp_path / "surprise"))), torch.ones(2), routes=["convert"], run_anyway=True
    )
    assert any("on load" in fact and "writes a file" in fact for fact in report.facts)


def test_inputs_and_routes_that_cannot_be_used(archive, tmp_path: Path) -> None:
    path = archive(Branch())
    with pytest.raises(MigrationError, match="refuses the example input"):
        migrate(path, (torch.ones(2), 3))
    with pytest.raises(MigrationError, match="Wrap a single argument"):
        migrate(path, 3)
    with pytest.raises(MigrationError, match="choose from convert, onnx, aoti"):
        migrate(path, torch.ones(2), routes=["export"])
    with pytest.raises(MigrationError, match="each route once"):
        migrate(path, torch.ones(2), routes=[])
    with pytest.raises(MigrationError, match="a int cannot be migrated"):
        migrate(3, torch.ones(2))  # type: ignore[arg-type]


def test_nothing_is_replaced(archive, tmp_path: Path) -> None:
    path = archive(Branch())
    (tmp_path / "exported.pt2").write_text("mine", encoding="utf-8")
    with pytest.raises(MigrationError, match=r"exported.pt2 is there already"):
        migrate(path, torch.ones(2), into=tmp_path)
    assert (tmp_path / "exported.pt2").read_text(encoding="utf-8") == "mine"
    with pytest.raises(MigrationError, match="not a folder"):
        migrate(path, torch.ones(2), into=path)


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [("1x3x4:float32", (1, 3, 4), torch.float32), ("5:int64", (5,), torch.int64), ("scalar:bool", (), torch.bool)],
)
def test_tensors_of_the_command_line(text: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    value = read_input(text)
    assert value.shape == shape and value.dtype == dtype
    assert torch.equal(value, read_input(text))


def test_values_of_the_command_line() -> None:
    assert read_input("int=16000") == 16000 and read_input("float=0.5") == 0.5
    assert read_input("bool=True") is True and read_input("str=a=b") == "a=b" and read_input("none") is None
    assert read_input("2x5:int64<3").max() == 2


@pytest.mark.parametrize("text", ["", "3x", "2x2:float31", "int=x", "bool=2", "2:float32<3", "2:int64<0", "x:float32"])
def test_other_texts_are_refused_with_the_forms(text: str) -> None:
    with pytest.raises(MigrationError, match="Write SHAPE:DTYPE"):
        read_input(text)


class TestTheCommand:
    def run(self, *arguments: str):
        return CliRunner().invoke(cli.app, ["migrate", *arguments])

    def test_a_model_goes_through(self, archive, tmp_path: Path) -> None:
        path = archive(models.DigitNet(), torch.rand(1, 1, 8, 8))
        out = tmp_path / "out"
        result = self.run(str(path), "--inputs", "2x1x8x8:float32", "--into", str(out), "--routes", "convert")
        assert result.exit_code == 0, result.output
        assert "holds on all" in result.output and (out / "exported.pt2").is_file()

    def test_one_that_does_not(self, archive) -> None:
        result = self.run(str(archive(Counter())), "--inputs", "2:float32", "--routes", "convert")
        assert result.exit_code == 1 and "no route migrates it mechanically" in result.output

    @pytest.mark.parametrize("holds", [True, False])
    def test_as_json(self, archive, monkeypatch: pytest.MonkeyPatch, holds: bool) -> None:
        """The fields of the report and of its attempts, its headline and its ok; the exit code says the same."""
        seen = migration._Found(refused={}, results=(("the example", "holds" if holds else "differs", ""),))
        monkeypatch.setattr(migration, "_in_child", lambda job, seconds: seen)
        result = self.run(str(archive(Branch())), "--inputs", "2:float32", "--routes", "convert", "--json")
        found = json.loads(result.stdout)
        assert set(found) == {"source", "facts", "inputs", "attempts", "advice", "headline", "ok"}
        [attempt] = found["attempts"]
        assert set(attempt) == {"route", "outcome", "text", "holds", "refuses", "differs", "file"}
        assert (found["ok"], attempt["outcome"]) == (holds, "holds" if holds else "differs")
        assert result.exit_code == (0 if holds else 1) and found["headline"].startswith("model.pt: ")
        bad = self.run(str(archive(Branch())), "--inputs", "?", "--json")
        assert (bad.exit_code, bad.stdout) == (2, "") and bad.stderr.startswith("course: ")

    def test_bad_input_is_a_sentence(self, archive) -> None:
        result = self.run(str(archive(Branch())), "--inputs", "2:float31")
        assert result.exit_code == 2 and result.output.startswith("course: '2:float31' is no input")


# --- arguments left at their default, and plain numbers


class Scaled(nn.Module):
    def forward(self, x: Tensor, scale: float = 2.0, k: int = 3) -> Tensor:
        return x * scale + k


@pytest.fixture
def scaled(tmp_path: Path) -> Path:
    torch.jit.script(Scaled().eval()).save(tmp_path / "scaled.pt")
    return tmp_path / "scaled.pt"


@pytest.mark.parametrize(
    "arguments, said",
    [((), "scale=2.0, k=3"), ((0.1,), "k=3")],
    ids=["none given", "one given"],
)
def test_defaults_are_filled_in_and_numbers_keep_their_type(scaled: Path, arguments: tuple, said: str) -> None:
    report = migrate(scaled, (torch.rand(2, 3), *arguments))
    assert f"left at its default: {said}" in report.facts
    assert [a.outcome for a in report.attempts] == ["holds", "holds"], report.text()


def test_no_reason_of_torchs_own_asks_for_a_report_to_pytorch() -> None:
    error = RuntimeError('a == b INTERNAL ASSERT FAILED at "/x/y.cpp":56, please report a bug to PyTorch. a: 1')
    assert migration._said(error) == "RuntimeError: torch's own check a == b failed. a: 1"


# --- an archive that inspect warns of


@pytest.fixture
def writes(tmp_path: Path) -> Path:
    class Trap(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    module = torch.jit.script(Trap())
    module.define("def extra(self, x: Tensor) -> Tensor:\n    torch.save(x, 'written.bin')\n    return x\n")
    module.save(tmp_path / "writes.pt")
    return tmp_path / "writes.pt"


def test_an_archive_with_findings_is_not_run_unasked(writes: Path) -> None:
    with pytest.raises(MigrationError, match=r"writes.pt was not run: .*writes a file.*give run_anyway=True"):
        migrate(writes, torch.rand(2, 3), routes=CONVERT_ONLY)
    assert migrate(writes, torch.rand(2, 3), routes=CONVERT_ONLY, run_anyway=True).attempts


def test_the_command_asks_refuses_and_can_be_told(writes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["migrate", str(writes), "--inputs", "2x3:float32", "--routes", "convert"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 2 and "writes a file" in result.stderr and "repeat with --run-anyway" in result.stderr
    monkeypatch.setattr(cli, "_is_asked", lambda question: True)
    assert CliRunner().invoke(cli.app, arguments).exit_code in (0, 1)
    monkeypatch.setattr(cli, "_is_asked", lambda question: pytest.fail("asked"))
    assert CliRunner().invoke(cli.app, [*arguments, "--yes"]).exit_code in (0, 1)


def test_a_missing_file_is_said_before_an_input_that_cannot_be_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["migrate", str(tmp_path / "gone.pt"), "--inputs", "?"])
    assert result.exit_code == 2 and "there is no file gone.pt" in result.stderr


def test_the_command_names_its_own_option(tmp_path: Path) -> None:
    torch.jit.script(Halve()).save(tmp_path / "halve.pt")
    arguments = ["migrate", str(tmp_path / "halve.pt"), "--inputs", "2x3:float32", "--routes", "convert"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 1 and "--into" in result.output and "into=" not in result.output


def test_progress_names_each_route(scaled: Path) -> None:
    lines: list[str] = []
    migrate(scaled, torch.rand(2, 3), routes=CONVERT_ONLY, seconds=90, progress=lines.append)
    assert lines[0].startswith("scaled.pt: running the original on ")
    assert lines[1] == "scaled.pt: route 1 of 1, TS2EPConverter, then .pt2, at most 90 s"


def test_a_publisher_is_named_only_for_an_installed_package(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "thing"
    package.mkdir(parents=True)
    for folder, says in ((tmp_path, "mine.onnx lies beside it"), (package, "its publisher ships mine.onnx")):
        (folder / "mine.onnx").write_bytes(b"x")
        [line, *_] = migration._advice(folder / "mine.pt", [], migration._Found(), ())
        assert says in line


@pytest.mark.parametrize("name", ["mine.safetensors", "mine_16k.safetensors"])
@pytest.mark.parametrize("with_model", [False, True])
def test_weights_beside_an_archive_are_not_taken_for_its_own(tmp_path: Path, name: str, with_model: bool) -> None:
    (tmp_path / name).write_bytes(b"x")
    if with_model:
        (tmp_path / "mine.onnx").write_bytes(b"x")
    advice = migration._advice(tmp_path / "mine.pt", [], migration._Found(), ())
    [line] = [line for line in advice if "safetensors" in line]
    assert line.startswith(f"{name} beside it holds weights") and "compare the values" in line
    assert "use that" not in line and any("mine.onnx" in line for line in advice) is with_model


def test_other_weights_are_not_named(tmp_path: Path) -> None:
    (tmp_path / "another.safetensors").write_bytes(b"x")
    assert not any("safetensors" in x for x in migration._advice(tmp_path / "mine.pt", [], migration._Found(), ()))
