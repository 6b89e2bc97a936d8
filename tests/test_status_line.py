"""The one line of progress: where it is shown, when, and that nothing is left of it."""

from __future__ import annotations

import sys
import types

import pytest

from course_utils.core import status_line as module
from course_utils.core.status_line import status_line


class Terminal(list):
    def write(self, text: str) -> None:
        if text:
            self.append(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """No fixture: pytest puts its own stderr back between a test's fixtures and its body."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.delenv("COURSE_QUIET", raising=False)
    return terminal


def test_short_work_shows_nothing_and_long_work_a_line_that_is_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with status_line() as show:
        show("one")
    assert terminal == []
    monkeypatch.setattr(module, "SHOW_AFTER", 0.0)
    with status_line() as show:
        show("one")
        show("two")  # too soon after the first
    assert terminal == ["\r\x1b[Kone", "\r\x1b[K"]


def test_in_a_notebook_the_line_is_one_display_that_ends_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython
    import IPython.display

    displays: list[str] = []
    updates: list[str] = []
    handle = types.SimpleNamespace(update=lambda data, raw: updates.append(data["text/plain"]))

    def display(data: dict[str, str], raw: bool, display_id: bool) -> types.SimpleNamespace:
        displays.append(data["text/plain"])
        return handle

    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.delenv("COURSE_QUIET", raising=False)
    with status_line(at_once=True) as show:
        show("one")
        show("two")
    assert displays == ["one"] and updates == ["two", ""]


def test_captured_output_stays_empty(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_QUIET", raising=False)
    with status_line(at_once=True) as show:
        show("one")
    assert capfd.readouterr() == ("", "")


def test_long_work_shows_its_first_line_at_once_and_every_one(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with status_line(at_once=True) as show:
        show("one")
        assert terminal == ["\r\x1b[Kone"]
        show("two")
    assert terminal == ["\r\x1b[Kone", "\r\x1b[Ktwo", "\r\x1b[K"]


def test_it_is_erased_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with pytest.raises(RuntimeError), status_line(at_once=True) as show:
        show("one")
        raise RuntimeError
    assert terminal[-1] == "\r\x1b[K"


def test_nothing_is_shown_to_who_does_not_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with status_line(False, at_once=True) as show:
        show("one")
    monkeypatch.setenv("COURSE_QUIET", "1")
    with status_line(at_once=True) as show:
        show("one")
    assert terminal == []


def test_a_function_of_the_caller_gets_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    lines: list[str] = []
    with status_line(lines.append) as show:
        show("one")
        show("two")
    assert lines == ["one", "two"] and terminal == []
