"""What importing the package costs, and that the tests do not depend on the folder they are started from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import course_utils

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("matplotlib", "torchvision", "sklearn", "nbformat", "nbclient", "IPython", "pandas")


def imported_by(statement: str, names: tuple[str, ...]) -> set[str]:
    """Which of these packages a fresh Python has loaded after the statement."""
    program = f"import sys\n{statement}\nprint(*(set({names!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import course_utils", "from course_utils.classroom import manifest, progress"])
def test_importing_the_package_loads_nothing_heavy(statement: str) -> None:
    assert imported_by(statement, (*HEAVY, "torch", "numpy", "rich", "typer")) == set()


@pytest.mark.parametrize("name", ["check", "hint"])
def test_check_and_hint_load_no_plots_and_no_models(name: str) -> None:
    assert imported_by(f"from course_utils import {name}", HEAVY) == set()


def test_the_command_answers_without_torch() -> None:
    assert imported_by("from course_utils.classroom import cli", (*HEAVY, "torch")) == set()


def test_names_are_listed_before_they_are_loaded() -> None:
    assert set(course_utils.__all__) <= set(dir(course_utils))
    assert {"check", "hint"} <= set(course_utils.__all__)


def test_every_listed_name_is_there() -> None:
    for name in course_utils.__all__:
        assert getattr(course_utils, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'course_utils' has no attribute 'chekc'"):
        course_utils.chekc  # noqa: B018


def test_the_tests_run_from_any_folder(tmp_path: Path) -> None:
    """A subset with the repository's own settings, started from elsewhere."""
    names = ("test_manifest.py", "test_rules.py")
    some = "read or keeps_its_rules and listed"
    command = [sys.executable, "-m", "pytest", *(str(ROOT / "tests" / name) for name in names)]
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", some]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
    assert [x.name for x in tmp_path.iterdir() if x.name != ".hypothesis"] == []
