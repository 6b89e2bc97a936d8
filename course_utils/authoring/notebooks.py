"""Notebooks in canonical form, and run in a fresh kernel.

Canonical form: only what a reader needs, so that a git diff shows only what changed. Cell ids and tags are kept; kernel
and timing metadata go; text outputs carry no machine path (the rules of section [stored] in tests/sanitize.cfg).
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course_utils.authoring.isolation import kernel_environment
from course_utils.authoring.sanitize import sanitize_text
from course_utils.classroom.answer_cells import exercise_of, id_for

_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_LIMIT_SECONDS = 300  # lesson 09 builds C++ programs in a cell, the first time


def canonical(notebook: NotebookNode, rules: Path) -> NotebookNode:
    """A copy in canonical form; ``rules`` is the sanitize file whose ``[stored]`` rules apply to text outputs."""
    notebook = nbformat.from_dict({**notebook, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": list(tags)} if tags else {})
        cell.source = cell.source.rstrip()
        if cell.cell_type == "code":
            cell.outputs = [_canonical_output(output, rules) for output in _merge_streams(cell.outputs)]
    nbformat.validate(notebook)
    return notebook


def with_ids(notebook: dict[str, Any]) -> dict[str, Any]:
    """The same notebook, in which each cell without an id, or with that of a cell above it, got one.

    JupyterLab neither shows nor sets ids. nbformat would give one to such a cell too, with a warning.
    """
    cells = notebook["cells"]
    used: set[str] = set()
    for cell in cells:
        if not cell.get("id") or cell["id"] in used:
            answered = exercise_of("".join(cell["source"])) if cell["cell_type"] == "code" else None
            own = id_for(answered) if answered else ""
            taken = used | {x.get("id") for x in cells}
            cell["id"] = own if own and own not in taken else uuid.uuid4().hex[:8]
        used.add(cell["id"])
    return {**notebook, "nbformat": 4, "nbformat_minor": 5}


def run(path: Path) -> NotebookNode:
    """The notebook executed from top to bottom in a fresh kernel, in its own folder, not yet written back.

    The kernel has the environment that the test run gives it, so that both see the same.
    """
    from nbclient import NotebookClient

    notebook = nbformat.reads(json.dumps(with_ids(json.loads(path.read_text(encoding="utf-8")))), as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_LIMIT_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        shutdown_kernel="immediate",
    )
    client.execute(env=kernel_environment(path))
    return notebook


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """One stdout and one stderr output a cell: how the text was cut into messages depends on timing alone.

    So does which of the two comes first; warnings stand before what is printed, as a terminal mostly shows them.
    """
    merged: list[NotebookNode] = []
    by_name: dict[str, NotebookNode] = {}
    for output in outputs:
        if output.output_type == "stream" and output.name in by_name:
            by_name[output.name].text += output.text
            continue
        output = nbformat.from_dict(output)
        if output.output_type == "stream":
            by_name[output.name] = output
        merged.append(output)
    if list(by_name) == ["stdout", "stderr"]:
        merged.remove(by_name["stderr"])
        merged.insert(merged.index(by_name["stdout"]), by_name["stderr"])
    return merged


def _canonical_output(output: NotebookNode, rules: Path) -> NotebookNode:
    if output.output_type == "stream":
        output.text = sanitize_text(output.text, rules, stored_only=True)
    elif output.output_type == "error":
        output.evalue = sanitize_text(output.evalue, rules, stored_only=True)
        output.traceback = [sanitize_text(line, rules, stored_only=True) for line in output.traceback]
    else:
        output.metadata = nbformat.from_dict({})
        for kind, value in output.data.items():
            if kind.startswith("text/") or kind == "image/svg+xml":
                output.data[kind] = sanitize_text(value, rules, stored_only=True)
    return output
