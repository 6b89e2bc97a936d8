"""The ``course`` command, as a learner types it."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from course_utils.classroom import cli, learner_files, manifest, progress
from tests import tiny_course
from tests.tiny_course import COUNTING, set_source


@pytest.fixture(autouse=True)
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> manifest.Course:
    course = tiny_course.copy_to(tmp_path / "course")
    monkeypatch.setenv("COURSE_ROOT", str(course.root))
    monkeypatch.setenv("COURSE_PROGRESS_FILE", str(tmp_path / "progress.json"))
    monkeypatch.setenv("COLUMNS", "120")
    return course


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def test_without_a_command_the_commands_are_shown_and_no_summary_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output = run().output
    for name in ("doctor", "lab", "status", "hint", "reset", "inspect", "update", "migrate", "zoo"):
        assert f"  {name} " in output
        assert "``" not in run(name, "--help").output
    assert "..." not in output.partition("Commands:")[2] and "``" not in output


# --- status


def test_status_of_a_new_learner() -> None:
    result = run("status")
    assert result.exit_code == 0
    assert result.output == (
        f"  90 Counting  0 of 2  next 90.1\n0 of 2 passed. Next: 90.1 Count the vowels, in exercises/{COUNTING}\n"
    )


def test_status_shows_what_was_done() -> None:
    progress.record_hint("90.1", 2)
    progress.record_attempt("90.1", "not yet")
    progress.record_attempt("90.1", "passed")
    progress.record_attempt("90.2", "your code raised")
    assert "90 Counting  1 of 2  next 90.2\n" in run("status").output
    assert run("status", "90").output == (
        "✓ 90.1 Count the vowels  passed            2 attempts, 2 hints\n"
        "✗ 90.2 Name a word       your code raised  1 attempt\n"
        "1 of 2 passed. Next: 90.2 Name a word\n"
    )


def test_status_of_the_complete_course() -> None:
    for exercise_id in ("90.1", "90.2"):
        progress.record_attempt(exercise_id, "passed")
    assert run("status").output == "✓ 90 Counting  2 of 2\n2 of 2 passed. The course is complete.\n"
    assert "2 of 2 passed. The lesson is complete." in run("status", "90").output


def test_status_says_when_progress_is_broken() -> None:
    progress.default_path().write_text("{", encoding="utf-8")
    result = run("status")
    assert result.exit_code == 0 and "Note: progress.json was not used: it is not valid JSON." in result.output


def test_status_of_one_lesson_and_as_json() -> None:
    import json

    progress.record_attempt("90.1", "passed")
    assert "1 of 2 passed." in run("status", "90").output
    found = json.loads(run("status", "--json").output)
    assert found["passed"] == 1 and [x["id"] for x in found["exercises"]] == ["90.1", "90.2"]
    assert run("status", "77").exit_code == 2


def test_the_version_is_printed() -> None:
    result = run("--version")
    assert result.exit_code == 0 and result.output.startswith("course ")


@pytest.mark.parametrize("name", ["90.1", "90_counting", "exercises/90_counting.ipynb"])
def test_a_lesson_has_several_names(name: str) -> None:
    assert run("reset", name).output.startswith("Exercise notebook 90 has been reset")


def test_a_near_name_is_offered() -> None:
    assert run("reset", "counting").stderr == "course: there is no lesson 'counting'; did you mean 90?\n"


def test_a_hint_in_a_terminal_names_the_command() -> None:
    assert "More help: course hint 90.1 2" in run("hint", "90.1").output


def test_every_command_settles_an_interrupted_update_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_files, "settle", lambda course: ["an update was interrupted"])
    for arguments in (("status",), ("hint", "90.1"), ("reset", "90")):
        assert run(*arguments).stderr == "course: an update was interrupted\n"


# --- hint


def test_hints_become_plainer() -> None:
    assert run("hint", "90.1").output.startswith("Hint 1 of 2 for 90.1: A text can be looped over.\n")
    assert run("hint", "90.1").output.startswith("Hint 2 of 2 for 90.1")
    assert run("hint", "90.1", "1").output.startswith("Hint 1 of 2")


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("99.9",), "course: there is no exercise '99.9'; the exercises are 90.1, 90.2\n"),
        (("90.1", "9"), "course: exercise 90.1 has hints 1 to 2; ask for one of these\n"),
    ],
)
def test_a_hint_that_is_not_there(arguments: tuple[str, ...], says: str) -> None:
    result = run("hint", *arguments)
    assert (result.exit_code, result.stderr, result.stdout) == (2, says, "")


# --- reset and update


def test_reset(course: manifest.Course) -> None:
    assert run("reset", "90").output == "Exercise notebook 90 has been reset; you had not changed it.\n"
    set_source(course.root / "exercises" / COUNTING, "answer-90-2", "word = 'mine'")
    output = run("reset", "90").output
    [kept] = (course.root / "exercises" / "kept").iterdir()
    assert output == f"Exercise notebook 90 has been reset; your version is in exercises/kept/{kept.name}.\n"


@pytest.mark.parametrize(
    "lesson, says",
    [
        ("1", "course: there is no lesson '1'; the lessons are 90, 91\n"),
        ("91", "course: lesson 91 has no exercises; see course status for those that have\n"),
    ],
)
def test_a_lesson_that_cannot_be_reset(lesson: str, says: str) -> None:
    result = run("reset", lesson)
    assert (result.exit_code, result.stderr) == (2, says)


def test_update_outside_a_clone() -> None:
    result = run("update")
    assert result.exit_code == 2 and result.stderr.startswith("course: this folder is not a git clone.")


def test_update_says_each_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_files, "update", lambda course: iter(["one", "two"]))
    assert run("update").output == "one\ntwo\n"


# --- doctor


@pytest.mark.parametrize("worst, code", [("ok", 0), ("warning", 0), ("problem", 1)])
def test_doctor_as_json(worst: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from course_utils.classroom import doctor

    findings = [doctor.Finding("Python", "ok", "3.12 in [brackets] é"), doctor.Finding("disk", worst, "seen", "act")]
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter(findings),))
    result = run("doctor", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == code and set(found) == {"findings", "summary"}
    assert found["summary"] == doctor.summary(findings) and found["findings"] == [
        {"name": "Python", "status": "ok", "detail": "3.12 in [brackets] é", "action": ""},
        {"name": "disk", "status": worst, "detail": "seen", "action": "act"},
    ]


def test_doctor_as_json_where_a_check_itself_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from course_utils.classroom import doctor

    def _disk() -> None:
        raise OSError("gone")

    monkeypatch.setattr(doctor, "CHECKS", (_disk,))
    result = run("doctor", "--json")
    [finding] = json.loads(result.stdout)["findings"]
    assert result.exit_code == 1 and (finding["name"], finding["status"]) == ("disk", "problem")


# --- lab


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments that JupyterLab would have been started with."""
    arguments: list[list[str]] = []

    def start(argv: list[str]) -> None:
        arguments.append(argv)
        raise SystemExit(5)

    pretend_jupyterlab(monkeypatch, start)
    return arguments


def pretend_jupyterlab(monkeypatch: pytest.MonkeyPatch, start: Callable) -> None:
    monkeypatch.setitem(
        sys.modules, "jupyterlab.labapp", SimpleNamespace(LabApp=SimpleNamespace(launch_instance=start))
    )
    monkeypatch.setenv("PATH", os.environ["PATH"])  # put back after the test
    monkeypatch.chdir(Path.cwd())


def test_lab_opens_the_first_lesson(course: manifest.Course, started: list[list[str]]) -> None:
    assert run("lab", "--no-browser").exit_code == 5
    [arguments] = started
    assert "--no-browser" in arguments
    assert f"--LabApp.default_url=/lab/tree/notebooks/{COUNTING}" in arguments
    assert f"--ServerApp.root_dir={course.root}" in arguments
    assert {"--ServerApp.ip=127.0.0.1", "--ServerApp.port=8888", "--ServerApp.port_retries=50"} <= set(arguments)
    assert not any("token" in x or "password" in x for x in arguments)


def test_lab_puts_the_command_on_the_path(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    run("lab")
    assert os.environ["PATH"].split(os.pathsep)[0] == sysconfig.get_path("scripts")
    setting = "--ServerApp.terminado_settings={'shell_command': ['/bin/zsh']}"  # no login shell: it would reset PATH
    assert (setting in started[0]) is (os.name != "nt")


def test_lab_without_jupyterlab_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_jupyterlab(monkeypatch, lambda argv: None)
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    result = run("lab")
    assert result.exit_code == 2 and "Install the course with make lab" in result.stderr


def test_lab_on_a_port(started: list[list[str]]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run("lab", "--port", str(port))
    assert {f"--ServerApp.port={port}", "--ServerApp.port_retries=0"} <= set(started[0])


def test_lab_on_a_port_that_is_taken(started: list[list[str]]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = run("lab", "--port", str(port))
    assert (result.exit_code, started) == (2, [])
    assert result.stderr == (
        f"course: port {port} is in use. Stop the program that uses it, "
        f"or choose another: course lab --port {port + 1}\n"
    )


def test_lab_ended_by_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    pretend_jupyterlab(monkeypatch, interrupted)
    assert run("lab").exit_code == 0


# --- the entry point


def test_a_broken_manifest_is_a_sentence(
    course: manifest.Course, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_ROOT", str(course.root / "notebooks"))
    monkeypatch.setattr(sys, "argv", ["course", "status"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("course: course.toml is not in ") and "Traceback" not in error
