"""The allowlist of cells whose output is not compared: ``tests/uncompared.toml``.

    [[cell]]
    notebook = "notebooks/00_start_here.ipynb"
    id = "versions"
    varies = "machine"
    reason = "prints the versions of this machine"

A cell tagged ``nbval-ignore-output`` has a line there, and each line has such a cell. ``varies`` says what the output
depends on. A cell that varies from "run" to run is found stable by the run that executes it anyway: its output is then
the stored one. A cell that varies from "machine" to machine is found stable by `stable_cells`, which runs its notebook
as on another machine (``make portable`` does this).
"""

from __future__ import annotations

import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course_utils.authoring.books import Cell, cells_of
from course_utils.authoring.isolation import kernel_environment
from course_utils.authoring.markers import UNCOMPARED_TAG
from course_utils.authoring.sanitize import sanitize_text

FOLDERS = ("notebooks", "solutions")
ALLOWLIST = "tests/uncompared.toml"
VARIES = ("run", "machine")
COMPILERS = ("c++", "cc", "clang", "clang++", "cl.exe", "cmake", "g++", "gcc", "make", "ninja", "cmake.exe", "gcc.exe")


@dataclass(frozen=True)
class Line:
    """One ``[[cell]]`` of the allowlist. ``notebook`` is relative to the repository, with forward slashes."""

    notebook: str
    id: str
    varies: str
    reason: str


def read_allowlist(path: Path) -> list[Line]:
    """Return the lines of a allowlist file; a file that isn't there is an empty allowlist.

    Raises:
        ValueError: a line has other keys than notebook, id, varies and reason, one of them is empty, ``varies`` is
            neither "run" nor "machine", or two lines are for the same cell. (`tomllib.TOMLDecodeError` is one too.)
    """
    if not path.is_file():
        return []
    lines = []
    for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("cell", []), start=1):
        where = f"{path.name}: [[cell]] number {number}"
        if set(entry) != {"notebook", "id", "varies", "reason"}:
            raise ValueError(f"{where} has the keys {sorted(entry)}; give it notebook, id, varies and reason")
        if not all(isinstance(value, str) and value.strip() for value in entry.values()):
            raise ValueError(f"{where} has an empty value; fill in notebook, id, varies and reason")
        if entry["varies"] not in VARIES:
            raise ValueError(f"{where} varies with {entry['varies']!r}; write one of {', '.join(VARIES)}")
        lines.append(Line(**entry))
    for (notebook, cell), count in Counter((line.notebook, line.id) for line in lines).items():
        if count > 1:
            raise ValueError(f"{path.name}: {notebook}, cell {cell} is listed {count} times; keep one line")
    return lines


def notebook_allowlist_problems(cells: Sequence[Cell], name: str, lines: Iterable[Line]) -> list[str]:
    """Return what is wrong between one notebook and the allowlist, one sentence each.

    ``name`` is the notebook's path relative to the repository, as the allowlist writes it.
    """
    listed = [line.id for line in lines if line.notebook == name]
    tagged = [cell.id for cell in cells if UNCOMPARED_TAG in cell.tags]
    present = {cell.id for cell in cells}
    problems = [
        f"{name}, cell {cell}: tagged {UNCOMPARED_TAG} but not in {ALLOWLIST}; add it there with a reason, or make its "
        "output stable and remove the tag"
        for cell in tagged
        if cell not in listed
    ]
    for cell in listed:
        if cell not in present:
            problems.append(f"{name}, cell {cell}: listed in {ALLOWLIST}, but there is no such cell; remove the line")
        elif cell not in tagged:
            problems.append(
                f"{name}, cell {cell}: listed in {ALLOWLIST} but not tagged {UNCOMPARED_TAG}, so it is compared; "
                "remove the line"
            )
    return problems


def allowlist_problems(root: Path, folders: Sequence[str] = FOLDERS, allowlist: str = ALLOWLIST) -> list[str]:
    """Return every disagreement between the allowlist and the notebooks below ``root``, one sentence each."""
    try:
        lines = read_allowlist(root / allowlist)
    except ValueError as error:
        return [str(error)]
    problems = []
    names = [
        path.relative_to(root).as_posix() for folder in folders for path in sorted((root / folder).glob("*.ipynb"))
    ]
    for name in names:
        cells = cells_of(json.loads((root / name).read_text(encoding="utf-8")))
        problems += notebook_allowlist_problems(cells, name, lines)
    for name in sorted({line.notebook for line in lines} - set(names)):
        problems.append(
            f"{name}: listed in {allowlist}, but there is no such notebook in {' or '.join(folders)}; correct it"
        )
    return problems


def perturbed_environment(notebook: Path) -> dict[str, str]:
    """Return a kernel environment that differs from a usual one: one thread, and no compiler or build tool."""
    path = without_compilers(os.environ.get("PATH", ""))
    environment = kernel_environment(notebook, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", PATH=path)
    for name in ("CC", "CXX"):
        environment.pop(name, None)
    return environment


def without_compilers(path: str) -> str:
    """Return the search path ``path`` without the folders that hold a compiler or a build tool."""
    folders = [folder for folder in path.split(os.pathsep) if folder]
    return os.pathsep.join(x for x in folders if not any((Path(x) / tool).exists() for tool in COMPILERS))


def stable_cells(
    root: Path, name: str, cfg_path: Path, allowlist: str = ALLOWLIST, cell_timeout: float = 60.0
) -> list[str]:
    """Run a notebook as on another machine and name the listed cells whose output is the stored one all the same.

    Only cells that are said to vary from machine to machine are looked at.

    Such a cell needs no line in the allowlist: remove the line and the tag. The notebook runs in a fresh kernel with
    `perturbed_environment`, and stops after its last listed cell. Cells may raise (a missing compiler shows that way).

    Args:
        root: the repository.
        name: the notebook, relative to ``root``, as the allowlist writes it.
        cfg_path: the sanitize file, as for the strict run.
        allowlist: the allowlist, relative to ``root``.
        cell_timeout: seconds that a cell may take.

    Returns:
        One sentence for each cell that has become stable.

    Raises:
        nbclient.exceptions.DeadKernelError: the kernel died.
        nbclient.exceptions.CellTimeoutError: a cell took longer than ``cell_timeout``.
    """
    from nbclient import NotebookClient

    listed = {
        line.id for line in read_allowlist(root / allowlist) if line.notebook == name and line.varies == "machine"
    }
    stored = nbformat.read(root / name, as_version=4)
    last = max((number for number, cell in enumerate(stored.cells) if cell.get("id") in listed), default=-1)
    if last < 0:
        return []
    fresh = nbformat.from_dict({**stored, "cells": [nbformat.from_dict(cell) for cell in stored.cells[: last + 1]]})
    client = NotebookClient(
        fresh,
        timeout=cell_timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str((root / name).parent)}},
        allow_errors=True,
        store_widget_state=False,
        record_timing=False,
        shutdown_kernel="immediate",
    )
    client.execute(env=perturbed_environment(root / name))
    return [
        f"{name}, cell {old.id}: its output is the stored one on a differently set up machine too; "
        f"remove its line from {allowlist} and its tag {UNCOMPARED_TAG}"
        for old, new in zip(stored.cells, fresh.cells, strict=False)
        if old.get("id") in listed and text_outputs(old, cfg_path) == text_outputs(new, cfg_path)
    ]


def text_outputs(cell: Mapping, cfg_path: Path | None) -> list[tuple[str, str]]:
    """Return what a strict run compares of a cell: (kind, sanitized text) pairs, with streams merged and first.

    Pictures count as present or not, not by their bytes.
    """
    streams: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + output["text"]
        elif output["output_type"] == "error":
            others += [("ename", output["ename"]), ("evalue", output["evalue"])]
        else:
            for kind, value in sorted(output["data"].items()):
                others.append((kind, "a picture" if kind in {"image/png", "image/jpeg"} else str(value)))
    pairs = [*sorted(streams.items()), *others]
    return [(kind, sanitize_text(text, cfg_path) if cfg_path else text) for kind, text in pairs]
