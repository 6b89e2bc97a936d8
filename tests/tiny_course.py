"""Copies of the tiny course in ``tests/fixture_course``, for tests that change what they look at."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course_utils.classroom import manifest

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "tests" / "fixture_course"
COUNTING = "90_counting.ipynb"

Notebook = dict[str, Any]

importlib.import_module("tests.fixture_course.fixture_checks")  # registers the checks of 90.1 and 90.2


def copy_to(folder: Path) -> manifest.Course:
    """A copy of the tiny course in ``folder``, with the sanitize rules of the real one."""
    shutil.copytree(HOME, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "tests" / "sanitize.cfg", folder / "tests" / "sanitize.cfg")
    return manifest.load(folder)


def read(path: Path) -> Notebook:
    return json.loads(path.read_text(encoding="utf-8"))


def write(notebook: Notebook, path: Path) -> None:
    """Write in the layout of the canonical form, so that only what a test changes is changed."""
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def edit(path: Path, change: Callable[[Notebook], object]) -> None:
    notebook = read(path)
    change(notebook)
    write(notebook, path)


def cell(notebook: Notebook, cell_id: str) -> dict[str, Any]:
    return next(x for x in notebook["cells"] if x["id"] == cell_id)


def set_source(path: Path, cell_id: str, source: str) -> None:
    edit(path, lambda notebook: cell(notebook, cell_id).update(source=source.splitlines(keepends=True)))


def source_of(path: Path, cell_id: str) -> str:
    return "".join(cell(read(path), cell_id)["source"])
