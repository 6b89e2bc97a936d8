"""Packages are compiled once; without a compiler the recorded text is shown, and it is what the lesson shows."""

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from course_utils.classroom.backends import aoti, recorded

ROOT = Path(__file__).resolve().parent.parent
needs_compiler = pytest.mark.skipif(not aoti.has_compiler(), reason="there is no C++ compiler")


class Contrast(nn.Module):
    """The program of lesson 12: the same package is found in the build folder."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * 2


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    return torch.export.export(Contrast(), (torch.rand(2, 4),))


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aoti, "has_compiler", lambda: False)


def test_without_a_compiler_the_recorded_text_is_shown(no_compiler, program) -> None:
    assert aoti.compiled(program, "contrast") is None
    assert aoti.shown("five rows", lambda: pytest.fail("it was run")) == "torch.Size([2, 4])"
    assert "no C++ compiler" in aoti.state()
    with pytest.raises(KeyError):
        aoti.shown("never recorded", lambda: "")


def test_the_lesson_shows_what_is_recorded() -> None:
    cells = json.loads((ROOT / "notebooks" / "12_leaving.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [x for cell in cells if cell["cell_type"] == "code" for x in cell["outputs"]]
    shown = "".join("".join(x.get("text", "")) for x in outputs)
    lines = {line for text in recorded.results("aoti").values() for line in text.splitlines()}
    assert [line for line in lines if line not in shown] == []


def test_a_text_is_recorded_when_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(aoti, "has_compiler", lambda: True)
    monkeypatch.setattr(recorded, "FILE", tmp_path / "recorded.json")
    recorded.FILE.write_text('{"cpp": "stays"}', encoding="utf-8")
    (tmp_path / "left").mkdir()
    assert aoti.shown("key", lambda: "other") == "other" and not any((tmp_path / "left").iterdir())
    monkeypatch.setenv(recorded.RECORD_VARIABLE, str(tmp_path / "left"))
    aoti.shown("key", lambda: "text")
    assert recorded.write(tmp_path / "left", "2026-01-31", {}) == ["aoti"]
    assert json.loads(recorded.FILE.read_text(encoding="utf-8"))["cpp"] == "stays"
    monkeypatch.setattr(aoti, "has_compiler", lambda: False)
    assert aoti.shown("key", lambda: "other") == "text"


@needs_compiler
def test_a_package_is_found_the_second_time(program, monkeypatch: pytest.MonkeyPatch) -> None:
    first = aoti.compiled(program, "contrast", progress=False)
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", lambda *_, **__: pytest.fail("compiled again"))
    assert aoti.compiled(program, "contrast") == first
    assert logging.root.manager.disable == logging.NOTSET


@needs_compiler
def test_checks_are_off_and_on(program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(aoti.CHECKS_VARIABLE, "0")
    package = aoti.compiled(program, "contrast", progress=False)
    five = torch.arange(20.0).reshape(5, 4)
    assert aoti.load(package, check_inputs=False)(five).shape == (2, 4)
    careful = aoti.load(package, check_inputs=True)
    with pytest.raises(RuntimeError, match="unmatched dim value at 0, expected: 2, but got: 5"):
        careful(five)
    assert torch.equal(careful(five[:2]), Contrast()(five[:2]))


def test_another_program_has_another_name(program) -> None:
    class Other(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x - 0.5) * 3

    weights = [nn.Linear(4, 2) for _ in range(2)]
    keys = {aoti._key(torch.export.export(m, (torch.rand(2, 4),))) for m in (Other(), *weights)}
    longer = torch.export.export(Contrast(), (torch.rand(3, 4),))
    assert len({*keys, aoti._key(program), aoti._key(longer)}) == 5
