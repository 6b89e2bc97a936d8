"""Notebooks as files: read one, and write one so that a git diff shows only what changed."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import NotebookNode


def read(path: Path) -> NotebookNode:
    """The notebook in ``path`` (nbformat 4). Raises what nbformat raises for a file that is not a notebook."""
    with path.open(encoding="utf-8") as file:
        return nbformat.read(file, as_version=4)


def to_text(notebook: NotebookNode) -> str:
    """The exact text of the canonical file: one-space indent, one newline at the end."""
    return nbformat.writes(notebook, version=4, indent=1, ensure_ascii=False).rstrip("\n") + "\n"


def write(notebook: NotebookNode, path: Path) -> None:
    path.write_text(to_text(notebook), encoding="utf-8", newline="\n")
