"""ExecuTorch: run for real where it is installed, and its recorded result where it is not."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import pytest
import torch

from course_utils.authoring.sanitize import sanitize_text
from course_utils.classroom import models
from course_utils.classroom.backends import executorch
from course_utils.classroom.backends.executorch.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "tests" / "sanitize.cfg"
needs_executorch = pytest.mark.skipif(
    executorch.interpreter() is None, reason="ExecuTorch is not installed here; `make executorch` installs it"
)


def versions(name: str) -> dict[str, set[str]]:
    """Each package of a lock with its versions; a package may have one for each Python."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(encoding="utf-8"), re.M):
        found.setdefault(package, set()).add(version)
    return found


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(executorch, "home", lambda: tmp_path / "nothing")


def test_the_two_locks_agree_and_the_main_one_is_free_of_executorch() -> None:
    course, extra = versions("requirements.lock"), versions("requirements-executorch.lock")
    assert "executorch" in extra and "executorch" not in course and "torch" not in extra
    shared = course.keys() & extra.keys()
    assert shared and {name: extra[name] - course[name] for name in shared if extra[name] - course[name]} == {}
    assert "://" not in (ROOT / "requirements-executorch.lock").read_text(encoding="utf-8")


def test_the_recorded_result_belongs_to_the_locks() -> None:
    report = executorch.stored()
    assert {report.versions["executorch"]} == versions("requirements-executorch.lock")["executorch"]
    assert {report.versions["torch"]} == versions("requirements.lock")["torch"]
    assert report.within and report.same_digits == report.images == sum(report.batches)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", report.date)


def test_without_executorch_the_recorded_result_is_shown(absent: None) -> None:
    report = executorch.digits(None, None)
    assert report == executorch.stored()
    assert "to install it: make executorch" in repr(report) and report.date in repr(report)
    assert "make executorch" in report._repr_html_()


def test_without_executorch_a_run_says_what_to_do(
    absent: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(executorch.ExecuTorchError, match="make executorch"):
        executorch.run(None, [])
    monkeypatch.setattr(executorch.side_environment, "make", lambda *_: False)
    assert main() == 1
    assert "its own words are above" in capsys.readouterr().err


def test_run_now_and_stored_look_the_same_to_the_comparison_of_outputs() -> None:
    then = executorch.stored()
    now = dataclasses.replace(then, date="")
    assert repr(then) != repr(now)
    assert sanitize_text(repr(then), RULES) == sanitize_text(repr(now), RULES)
    assert sanitize_text(then._repr_html_(), RULES) == sanitize_text(now._repr_html_(), RULES)
    wrong = dataclasses.replace(now, within=False)
    assert sanitize_text(repr(then), RULES) != sanitize_text(repr(wrong), RULES)


def test_half_an_environment_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(executorch, "home", lambda: tmp_path)
    for name in ("bin/python", "Scripts/python.exe"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert executorch.interpreter() is None
    (tmp_path / "course-ready").touch()
    assert executorch.interpreter() is not None


def test_a_failing_run_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("print('loading')\nraise SystemExit('no kernel for this operator')\n", encoding="utf-8")
    monkeypatch.setattr(executorch, "PROGRAM", program)
    monkeypatch.setattr(executorch, "interpreter", lambda: Path(sys.executable))
    exported = torch.export.export(torch.nn.Identity().eval(), (torch.ones(2),))
    with pytest.raises(executorch.ExecuTorchError, match=r"no kernel for this operator\. Run `make executorch` again"):
        executorch.run(exported, [torch.ones(2)])


@needs_executorch
def test_the_digits_run_as_stored() -> None:
    report = executorch.digits(models.train_digit_net(), models.digit_images()[2])
    stored = executorch.stored()
    assert report.date == "" and report.rows == stored.rows and report.versions == stored.versions
