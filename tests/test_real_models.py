"""`make models`: its table, what it says of a tool that fails, and the table that is stored."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from course_utils.authoring import __main__ as command
from course_utils.authoring import model_cases, real_models
from course_utils.authoring.model_cases import ModelCase
from course_utils.authoring.real_models import COLUMNS, TOOLS, Row
from course_utils.classroom.backends import side_environment
from course_utils.tools import advice as recommend_module

ROOT = Path(__file__).resolve().parent.parent
LINEAR = ModelCase("toy/Linear", lambda: nn.Linear(3, 2), model_cases.noise, ((2, 3), (5, 3)))
ALL_WELL = dict.fromkeys(TOOLS, "ok")


def by_mean(x: torch.Tensor) -> torch.Tensor:
    return x * 2 if x.mean() > 0 else x * 3


def test_a_row_has_a_cell_for_each_column() -> None:
    said = {**ALL_WELL, "find_divergence": "raises by shape", "recommend": "a | b\nc"}  # what it found, no failure
    row = Row("kornia/Canny", "agrees on 4 of 4", said, [], 7.6)
    assert row.ok and "on 0, contradicted the evidence on 0." in real_models.totals([str(row)])
    assert str(row) == "| kornia/Canny | agrees on 4 of 4 | ok | raises by shape | a / b c | ok | ok | none | 8 |"
    assert len(row.cells()) == len(COLUMNS)


@pytest.mark.parametrize(
    "row",
    [
        Row("a/b"),
        Row("a/b", "agrees on 1 of 1", {**ALL_WELL, "migrate": "RAISES ValueError: x"}),
        Row("a/b", "agrees on 1 of 1", {**ALL_WELL, "recommend": "stopped after 300 s"}),
        Row("a/b", "agrees on 1 of 1", {**ALL_WELL, "recommend": ""}),
        Row("a/b", "agrees on 1 of 1", ALL_WELL, ["recommend: trace, but …"]),
    ],
    ids=["nothing ran", "raises", "stopped", "not run", "contradicts"],
)
def test_a_row_that_is_not_ok_counts(row: Row) -> None:
    assert not row.ok
    assert "on 0, contradicted the evidence on 0" not in real_models.totals([str(row)])


def test_one_model_through_all_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_models, "migrated", lambda *_: ("convert matches", []))  # tests/test_migration.py runs it
    row = Row(LINEAR.name)
    for item in real_models.examine(LINEAR):
        real_models.read(row, item)
    assert row.ok and row.own == "agrees on 4 of 4"
    assert row.said == dict(zip(TOOLS, ("ok", "none", "trace", "compiles", "convert matches"), strict=True))


def test_a_tool_that_raises_is_reported_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(*_: object) -> None:
        raise KeyError("no such thing")

    for name in ("divergence", "advice", "bisected", "migrated"):
        monkeypatch.setattr(real_models, name, lambda *_: ("fine", []))
    monkeypatch.setattr(real_models, "parity", boom)
    items = list(real_models.examine(LINEAR))
    assert [x["tool"] for x in items] == ["own", *TOOLS]
    assert items[1]["text"].startswith("RAISES KeyError") and items[2]["text"] == "fine"


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_answers_that_the_evidence_does_not_bear_out(monkeypatch: pytest.MonkeyPatch) -> None:
    up, down = torch.ones(3), -torch.ones(3)
    traced = torch.jit.trace(by_mean, up, check_trace=False)
    assert real_models.differs(by_mean, traced, (down,)) and not real_models.differs(by_mean, traced, (up,))
    assert real_models.parity(by_mean, traced, [(up,), (down,)], wrong=True) == ("differs (value)", [])
    (against,) = real_models.parity(by_mean, traced, [(up,)], wrong=True)[1]
    assert against == "ok, but the trace is wrong on a fresh input"
    for converted, fresh, wrong, what in (
        (traced, [(down,)], True, "trace, but what it gives is wrong"),
        (None, [(up,)], False, "rewrite, but the trace is right"),
    ):
        evidence = (recommend_module.Evidence("trace", "matches", "bitwise identical"),)
        kind = "trace" if converted else "rewrite"
        found = recommend_module.Recommendation(kind, "why", evidence, converted)
        monkeypatch.setattr(recommend_module, "recommend", lambda *_, found=found: found)
        (against,) = real_models.advice(by_mean, (up,), [], fresh, wrong)[1]
        assert against.startswith(what)


def test_a_process_that_ends_early_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_models, "LOGS", tmp_path / "logs")
    python = Path(sys.executable)
    late = real_models.run("toy/Late", python, seconds=0.1)
    assert late.own == "stopped after 0 s" and not late.ok
    unknown = real_models.run("toy/Unknown", python)
    assert unknown.own == "stopped: exit code 1" and not unknown.ok
    assert "KeyError" in (tmp_path / "logs" / "toy-Unknown.log").read_text(encoding="utf-8")


def test_the_command_stores_what_it_ran_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_models, "STORED", tmp_path / "table.md")
    monkeypatch.setattr(real_models, "interpreter", lambda: Path(sys.executable))
    said = dict(ALL_WELL)
    monkeypatch.setattr(real_models, "run", lambda name, *_, **__: Row(name, "agrees on 1 of 1", dict(said)))
    runner = CliRunner()
    assert runner.invoke(command.app, ["models", "--only", "DiceLoss", "--only", "kornia/Resize"]).exit_code == 0
    said["recommend"] = "RAISES ValueError: x"
    done = runner.invoke(command.app, ["models", "--only", "DiceLoss"])
    assert done.exit_code == 1 and "raised or was stopped on 1" in done.output
    used = real_models.versions(real_models.LOCK.read_text(encoding="utf-8"))
    rows = real_models.stored_rows(real_models.STORED, used)
    assert list(rows) == ["kornia/Resize", "monai/DiceLoss"] and "ValueError" in rows["monai/DiceLoss"]
    assert real_models.stored_rows(real_models.STORED, {**used, "timm": "0.1"}) == {}
    assert runner.invoke(command.app, ["models", "--only", "nothing of the kind"]).exit_code == 2


def test_without_its_packages_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_models, "home", lambda: tmp_path)
    monkeypatch.setattr(side_environment, "make", lambda *_: False)
    done = CliRunner().invoke(command.app, ["models", "--only", "DiceLoss"])
    assert done.exit_code == 1 and "the installer stopped" in done.output


def test_the_lock_agrees_with_the_course_and_has_no_torch_of_its_own() -> None:
    def pins(name: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text("utf-8"), re.M):
            found.setdefault(package, set()).add(version)
        return found

    course, extra = pins("requirements.lock"), pins("requirements-models.lock")
    assert set(real_models.LIBRARIES) <= extra.keys() and not {"torch", "torchvision"} & extra.keys()
    assert [name for name in course.keys() & extra.keys() if extra[name] - course[name]] == []
    assert "://" not in (ROOT / "requirements-models.lock").read_text(encoding="utf-8")


def test_the_stored_table_has_forty_models_of_five_libraries_and_no_tool_failed() -> None:
    """One that fails here was stored so: `make models` with the name's library says more."""
    text = real_models.STORED.read_text(encoding="utf-8")
    used = real_models.versions(real_models.LOCK.read_text(encoding="utf-8"))
    rows = real_models.stored_rows(real_models.STORED, used)
    torch_version = re.search(r"^torch==([^\s;]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M)
    assert torch_version is not None and f"torch {torch_version[1]};" in text, "run make models"
    assert list(rows) == list(model_cases.CASES)
    libraries = Counter(name.partition("/")[0] for name in rows)
    assert len(rows) >= 40 and set(libraries) == set(real_models.LIBRARIES) and min(libraries.values()) >= 5
    assert text == real_models.table(list(rows.values()), used, torch_version[1])
    assert "on 0, contradicted the evidence on 0." in real_models.totals(list(rows.values()))
