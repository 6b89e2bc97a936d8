"""The one line of progress. That it comes late, and in a notebook, is shown in test_timing.py, through a tool."""

from __future__ import annotations

import sys

import pytest

from course_utils.status_line import status_line


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
