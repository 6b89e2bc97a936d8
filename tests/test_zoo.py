"""The zoo: what a row says, and a table that survives interruption, crashes and other versions."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from course_utils.classroom import cli
from course_utils.classroom.backends import zoo
from course_utils.classroom.backends.zoo import Row, Step, Zoo, ZooError
from course_utils.core.limits import TimeLimit

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::FutureWarning:torch\.jit"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

TABLE = Path(__file__).parents[1] / "docs" / "zoo.json"
ROW = Row("a", 1.5, 64, {"trace": Step("equal"), "freeze": Step("close", 3e-7)}, 2, seconds=1.0)


def images(*sizes):
    return [torch.rand(2, 3, size, size) for size in sizes]


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x.mean((2, 3)) * self.factor


# --- judging


@pytest.mark.parametrize(
    ("converted", "verdict"),
    [
        (Scaled(1.0), "equal"),
        (Scaled(1.0 + 1e-6), "close"),
        (Scaled(1.001), "differs"),
        (ValueError("no"), "raises"),
    ],
)
def test_a_conversion_is_judged(converted, verdict):
    step = zoo.judge(Scaled(1.0), converted, images(8, 9))
    assert step.verdict == verdict
    assert (0 < step.drift < 0.01) == (verdict in ("close", "differs"))


def test_what_a_conversion_raises_is_told():
    def refuses(x):
        raise RuntimeError("RuntimeError: sizes do not divide")

    step = zoo.judge(Scaled(1.0), refuses, images(8))
    assert (step.verdict, step.detail) == ("raises", "RuntimeError: sizes do not divide")


def test_a_size_that_eager_refuses_says_nothing_about_the_conversion():
    class Picky(nn.Module):
        def forward(self, x):
            assert x.shape[2] == 8
            return x

    assert zoo.judge(Picky(), nn.Identity(), images(9)).verdict == "rejected"


def test_a_tuple_is_compared_by_its_first_member_and_told():
    step = zoo.judge(Scaled(1.0), lambda x: (Scaled(1.0)(x), None), images(8))
    assert step.verdict == "equal" and "tuple" in step.detail


def test_zeros_are_no_proof():
    step = zoo.judge(Scaled(0.0), Scaled(0.0), images(8))
    assert step.verdict == "differs" and "all zero" in step.detail


def test_models_are_made_telling():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2)).eval()
    nn.init.zeros_(model[3].weight)
    zoo.make_telling(model)
    assert model[3].weight.any() and model[1].running_mean.any()
    assert model(torch.rand(1, 3, 1, 1)).any()


def test_a_small_model_from_end_to_end():
    told = []
    row = zoo.examine("squeezenet1_1", tell=told.append)
    assert list(row.steps) == ["trace", "trace_other", "script", "script_other", "freeze", "optimise"]
    assert {row.steps[k].verdict for k in ("trace", "trace_other", "script", "script_other")} == {"equal"}
    assert {row.steps[k].verdict for k in ("freeze", "optimise")} <= {"equal", "close"}
    assert row.size == 64 and row.millions == 1.2 and not row.failed
    assert [len(r.steps) for r in told] == [1, 2, 3, 4, 5, 6]


def test_a_model_over_the_limit_is_skipped_with_the_reason():
    row = zoo.examine("vit_h_14", memory_gib=4)
    assert not row.steps and "skipped: needs about" in row.failed and "the limit is 4" in row.failed


def test_an_unknown_model_is_a_sentence():
    for act in (zoo.build, zoo.examine):
        with pytest.raises(ZooError, match="there is no model 'resnet19'"):
            act("resnet19")


def test_every_name_is_known_and_has_a_size():
    names = zoo.names()
    assert len(names) >= 80 and all(zoo._parameters(name) > 1e5 for name in names)


# --- a process each


def in_its_place(monkeypatch, function):
    """Let the process of `examine_apart` call this function of this file in place of the real one."""
    monkeypatch.setattr(zoo, "_examine_aloud", function)


def row_so_far():
    print("noise")
    print(zoo._ROW + json.dumps(zoo.asdict(ROW)), flush=True)


def whole(name, memory_gib):
    row_so_far()


def dies(name, memory_gib):
    row_so_far()
    os.kill(os.getpid(), 9)


def runs_out(name, memory_gib):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory")


def raises(name, memory_gib):
    raise ValueError("odd")


def takes_too_much(name, memory_gib):
    bytearray(2**31)


def test_the_row_of_the_child_is_taken(monkeypatch):
    in_its_place(monkeypatch, whole)
    assert zoo.examine_apart("a", memory_gib=1) == ROW


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
def test_a_crash_is_a_row_with_the_steps_so_far(monkeypatch):
    in_its_place(monkeypatch, dies)
    row = zoo.examine_apart("a", memory_gib=1)
    assert row.failed.startswith("after freeze: ") and "SIGKILL" in row.failed and row.steps == ROW.steps


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (runs_out, "not enough memory"),
        (raises, "ValueError: odd"),
        pytest.param(
            takes_too_much,
            "not enough memory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="the limit is set on Linux only"),
        ),
    ],
)
def test_an_end_without_a_row_is_told(monkeypatch, function, why):
    in_its_place(monkeypatch, function)
    assert zoo.examine_apart("a", memory_gib=1).failed == f"before the first step: {why}"


def test_an_endless_step_is_ended(monkeypatch):
    def too_long(*arguments, on_line, **limits):
        on_line(zoo._ROW + json.dumps(zoo.asdict(ROW)))
        raise TimeLimit("It was not done after 2 s.")

    monkeypatch.setattr(zoo, "run_in_new_python", too_long)
    row = zoo.examine_apart("a", memory_gib=1, seconds=2)
    assert row.failed == "after freeze: It was not done after 2 s." and row.steps == ROW.steps


# --- the table on disk


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "zoo.json"


def examined(seen, stop=None):
    def row_of(name, *, memory_gib):
        seen.append(name)
        if name == stop:
            raise KeyboardInterrupt
        return replace(ROW, model=name)

    return row_of


def test_an_interrupted_run_goes_on_where_it_ended(path):
    seen = []
    with pytest.raises(KeyboardInterrupt):
        list(zoo.fill(path, ["b", "a", "c"], memory_gib=1, row_of=examined(seen, stop="c")))
    assert [row.model for row in zoo.load(path).rows] == ["a", "b"]
    assert zoo.missing(path, ["a", "b", "c"]) == ["c"]
    assert [row.model for row in zoo.fill(path, ["b", "a", "c"], memory_gib=1, row_of=examined(seen))] == ["c"]
    table = zoo.load(path)
    assert [row.model for row in table.rows] == ["a", "b", "c"] and table.versions == zoo.versions()
    assert seen == ["b", "a", "c", "c"] and table.made.count("-") == 2 and not list(path.parent.glob("*.part"))


def test_rows_are_made_anew_when_asked(path):
    seen = []
    for again in (False, True):
        list(zoo.fill(path, ["a"], memory_gib=1, again=again, row_of=examined(seen)))
    assert seen == ["a", "a"]


def test_a_table_of_other_versions_is_begun_anew(path):
    zoo.save(path, Zoo((ROW,), "2020-01-01", {"torch": "1.0"}))
    assert zoo.missing(path, ["a"]) == ["a"]
    list(zoo.fill(path, ["b"], memory_gib=1, row_of=examined([])))
    assert [row.model for row in zoo.load(path).rows] == ["b"]


def test_a_file_that_is_no_table_is_not_overwritten(path):
    path.parent.mkdir()
    path.write_text('{"rows": 3}', encoding="utf-8")
    with pytest.raises(ZooError, match="is not a table of the zoo"):
        list(zoo.fill(path, ["a"], memory_gib=1, row_of=examined([])))
    assert path.read_text(encoding="utf-8") == '{"rows": 3}'
    with pytest.raises(ZooError, match="there is no table gone"):
        zoo.load(path.with_name("gone.json"))


def test_a_row_a_line(path):
    zoo.save(path, Zoo((ROW, replace(ROW, model="b")), "2026-01-01", {"torch": "2"}))
    assert len(path.read_text(encoding="utf-8").splitlines()) == 6
    assert zoo.load(path).rows == (ROW, replace(ROW, model="b"))


# --- how it reads


def test_the_table_as_text_and_html():
    odd = replace(ROW, model="<b>", steps={"trace": Step("raises", detail="x < y")}, failed="after trace: gone")
    table = Zoo((ROW, odd), "2026-01-01", {"torch": "2"})
    assert "a      1.5      64  =" in table.text() and "RAISES" in table.text() and "≈ 3e-07" in table.text()
    page = table._repr_html_()
    assert page == table._repr_html_() and "&lt;b&gt;" in page and "x &lt; y" in page and "<b>" not in page
    assert "2 TracerWarnings; after trace: gone" in page and "optimise" in page and "color:#" not in page
    assert table.having("trace", "raises") == ["<b>"] and table.count("trace") == {"equal": 1, "raises": 1}
    assert table.summary().splitlines()[0] == "2 models on 2026-01-01 torch 2"
    assert "<b>: after trace: gone" in table.summary()


def test_the_stored_table_is_whole():
    """Its versions are those of its making, which need not be the installed ones."""
    table = zoo.load(TABLE)
    assert [row.model for row in table.rows] == zoo.names()
    assert table.made and {"torch", "torchvision", "python"} == set(table.versions)
    whole = [row for row in table.rows if not row.failed]
    assert len(whole) >= 75 and all("skipped: needs about" in row.failed for row in table.rows if row.failed)
    assert table.count("script") == {"equal": len(whole)} == table.count("trace")


# --- the command


def run(*arguments):
    return CliRunner().invoke(cli.app, ["zoo", *arguments])


def test_the_command_fills_a_table(path, monkeypatch):
    monkeypatch.setattr(zoo.fill, "__kwdefaults__", zoo.fill.__kwdefaults__ | {"row_of": examined([])})
    result = run("--only", "alexnet", "--only", "vgg11", "--output", str(path), "--memory", "1")
    assert result.exit_code == 0, result.output
    assert "alexnet: trace =" in result.output and "2 models on" in result.output
    assert [row.model for row in zoo.load(path).rows] == ["alexnet", "vgg11"]


def test_the_command_says_how_to_go_on(path, monkeypatch):
    monkeypatch.setattr(zoo.fill, "__kwdefaults__", zoo.fill.__kwdefaults__ | {"row_of": examined([], "vgg11")})
    result = run("--only", "alexnet", "--only", "vgg11", "--output", str(path))
    assert result.exit_code == 2 and "interrupted; every finished row is in the table" in result.stderr
    assert [row.model for row in zoo.load(path).rows] == ["alexnet"]


def test_the_command_ends_with_1_where_a_row_failed(path, monkeypatch):
    def row_of(name, *, memory_gib):
        return replace(ROW, model=name, failed="after freeze: not enough memory" if name == "alexnet" else "")

    monkeypatch.setattr(zoo.fill, "__kwdefaults__", zoo.fill.__kwdefaults__ | {"row_of": row_of})
    result = run("--only", "alexnet", "--only", "vgg11", "--output", str(path))
    assert result.exit_code == 1 and "alexnet: trace =" in result.output and "not enough memory" in result.output
    assert [(row.model, bool(row.failed)) for row in zoo.load(path).rows] == [("alexnet", True), ("vgg11", False)]
    assert run("--only", "vgg11", "--output", str(path)).exit_code == 0, "nothing failed in this run"


def test_the_command_ends_with_2_for_a_file_that_is_no_table(path):
    path.parent.mkdir()
    path.write_text("{}", encoding="utf-8")
    result = run("--only", "alexnet", "--output", str(path))
    assert result.exit_code == 2 and result.stderr.startswith("course: zoo.json is not a table of the zoo")


def test_the_command_refuses_what_it_does_not_know(path):
    result = run("--only", "resnet19", "--output", str(path))
    assert result.exit_code == 2 and "there is no model 'resnet19'" in result.stderr and not path.exists()
