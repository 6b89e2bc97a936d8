"""What a kernel of the course adds: figures as images with an alternative text, and help with a NameError."""

from __future__ import annotations

import base64

import matplotlib.pyplot as plt
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from course_utils.classroom import in_notebook
from course_utils.classroom.exercises import check


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """A shell of its own, prepared as in an exercise notebook."""
    monkeypatch.setenv("JPY_SESSION_NAME", "exercises/01_tracing.ipynb")
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}), colors="nocolor")
    in_notebook.prepare(shell)
    return shell


def test_a_figure_is_an_image_with_its_alternative_text(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    figure, _ = plt.subplots(figsize=(1, 1))
    plt.close(figure)
    figure.set_label('Times of "eager" & scripted')
    assert shell.display_formatter.format(figure) == ({}, {})
    [data] = shown
    head, _, pixels = data["text/html"].removesuffix('">').partition("base64,")
    assert head == (
        '<img alt="Times of &quot;eager&quot; &amp; scripted" style="max-width:100%;height:auto" src="data:image/png;'
    )
    assert base64.b64decode(pixels).startswith(b"\x89PNG")
    assert data["text/plain"] == 'Times of "eager" & scripted'


def test_a_figure_without_anything_in_it_is_a_text(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    figure = plt.figure()
    plt.close(figure)
    shell.display_formatter.format(figure)
    assert [set(data) for data in shown] == [{"text/plain"}]


def test_a_figure_without_a_label_is_described_by_what_is_written_on_it() -> None:
    figure, (left, right) = plt.subplots(1, 2)
    plt.close(figure)
    figure.suptitle("Two\nruns")
    left.set(title="first", xlabel="call", ylabel="ms")
    right.set(xlabel="call")
    assert in_notebook.alternative_text(figure) == "Figure. Two runs; first. x: call, y: ms; x: call"


def test_a_name_error_says_to_run_the_cells_above(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("torch.ones(3)")
    shown = capsys.readouterr().out
    assert "NameError: name 'torch' is not defined" in shown
    assert "If torch comes from a cell above this one, run that first" in shown


def test_another_error_is_left_alone(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("1 / 0")
    shell.run_cell("def f():\n    x += 1\nf()")
    shown = capsys.readouterr().out
    assert "ZeroDivisionError" in shown and "UnboundLocalError" in shown and "run that first" not in shown


def test_a_lesson_shows_its_errors_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/01_tracing.ipynb")
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}), colors="nocolor")
    in_notebook.prepare(shell)
    shell.run_cell("torch.ones(3)")
    assert "run that first" not in capsys.readouterr().out


def test_an_answer_that_misses_a_name_is_told_the_same() -> None:
    def answer(images):
        return undefined_above(images)  # noqa: F821

    assert check("01.1", answer).next_step.startswith("If `undefined_above` comes from a cell above this one")
