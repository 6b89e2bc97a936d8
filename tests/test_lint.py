"""What `make lint` runs: style, format, types, and the direction of imports between the rooms of the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_course import ROOT

LINTERS = {
    "style": [sys.executable, "-m", "ruff", "check", "."],
    "format": [sys.executable, "-m", "ruff", "format", "--check", "course_utils", "tests", "docs", "install.py"],
    "types": [sys.executable, "-m", "mypy"],
    "imports": [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=300)


@pytest.mark.parametrize("what", LINTERS)
def test_it_is_clean(what: str) -> None:
    done = run(LINTERS[what], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("core/errors.py", "from course_utils.tools import ir"),
        ("tools/ir/graph.py", "def late():\n    from course_utils.classroom import exercises"),
        ("classroom/checks/lesson_03.py", "from ...authoring import sanitize"),
        ("elsewhere.py", ""),
    ],
)
def test_an_import_against_the_direction_is_found(module: str, statement: str, tmp_path: Path) -> None:
    for name in ("core/errors.py", "tools/ir/graph.py", "classroom/exercises.py", "authoring/sanitize.py", module):
        for folder in (tmp_path / "course_utils" / name).parents:
            if folder == tmp_path:
                break
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
        (tmp_path / "course_utils" / name).touch()
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    clean = run(LINTERS["imports"], tmp_path)
    if statement:
        assert clean.returncode == 0, clean.stdout
        (tmp_path / "course_utils" / module).write_text(statement + "\n", encoding="utf-8")
    assert run(LINTERS["imports"], tmp_path).returncode == 1


@pytest.mark.parametrize("room", ["core", "tools"])
def test_a_wrong_type_is_found(room: str, tmp_path: Path) -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    for other in ("core", "tools"):
        (tmp_path / "course_utils" / other).mkdir(parents=True)
        (tmp_path / "course_utils" / other / "__init__.py").touch()
    module = tmp_path / "course_utils" / room / "lengths.py"
    module.write_text("def length(x: str) -> int:\n    return len(x)\n", encoding="utf-8")
    assert run(LINTERS["types"], tmp_path).returncode == 0
    for planted in ("    return x\n", "    return len(x)\n\n\ndef untyped(x):\n    return x\n"):
        module.write_text("def length(x: str) -> int:\n" + planted, encoding="utf-8")
        found = run(LINTERS["types"], tmp_path)
        assert found.returncode == 1 and "lengths.py" in found.stdout, found.stdout
