"""The folder of the caller: what goes there, and what is never replaced."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from course_utils.core import limits
from course_utils.tools.migration.report import MigrationError
from course_utils.tools.migration.routes import FILES
from course_utils.tools.migration.worker import MEMORY_GIB


def target_of(into: Any, routes: Sequence[str]) -> Path | None:
    """The folder, if one was asked for. Raises MigrationError where something is in the way."""
    if into is None:
        return None
    target = Path(into)
    if target.exists() and not target.is_dir():
        raise MigrationError(f"{target.name} is a file and not a folder; choose another.")
    for name in (*(FILES[route] for route in routes), "weights.pt", "code"):
        _expect_free(target / name)
    return target


def keep(stage: Path, target: Path) -> str:
    """Move what a route made into the folder, and return the names."""
    target.mkdir(parents=True, exist_ok=True)
    names = []
    for path in sorted(stage.iterdir()):
        _expect_free(target / path.name)
        shutil.move(path, target / path.name)
        names.append(path.name)
    return ", ".join(names)


def salvage(source: str, target: Path, seconds: float) -> tuple[str, ...]:
    """Write what a rewrite needs: the weights as plain tensors, and the code of the archive."""

    def weights() -> int:
        state = {name: tensor.detach().cpu() for name, tensor in torch.jit.load(source).state_dict().items()}
        torch.save(state, target / "weights.pt")
        return len(state)

    target.mkdir(parents=True, exist_ok=True)
    saved = []
    with contextlib.suppress(Exception):
        count = limits.run_limited(weights, seconds=seconds, memory_gib=MEMORY_GIB).value
        saved.append(f"weights.pt ({count} tensors)")
    with zipfile.ZipFile(source) as content:
        for name in content.namelist():
            inner = Path(*Path(name).parts[1:])
            if inner.parts[:1] == ("code",) and inner.suffix == ".py" and ".." not in inner.parts:
                (target / inner).parent.mkdir(parents=True, exist_ok=True)
                (target / inner).write_bytes(content.read(name))
    return (*saved, "code/")


def _expect_free(path: Path) -> None:
    if path.exists():
        name = f"{path.parent.name}/{path.name}"
        raise MigrationError(f"{name} is there already and is not replaced; choose another folder.")
