"""The marks on cells that say how a cell is run and compared: ids, tags, execution counts, stored errors.

A mark that nbval doesn't know is passed over silently, and the notebook looks tested when it isn't. The rules of the
course look for such marks, and so does each run of a notebook before its first cell.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from course_utils.authoring.books import Cell

UNCOMPARED_TAG = "nbval-ignore-output"
RAISES_TAG = "raises-exception"
KNOWN_TAGS = (UNCOMPARED_TAG, RAISES_TAG)
REFUSED_TAGS = {
    "nbval-skip": "every cell of the course is run; remove the tag",
    "nbval-check-output": "every cell is compared anyway; remove the tag",
    "nbval-raises-exception": f"write {RAISES_TAG}, which Jupyter understands too",
}


def marker_problems(cells: Sequence[Cell], name: str) -> list[str]:
    """Return what nbval would silently pass over in a notebook, one sentence each that says what to do.

    Looked at: tags that resemble a marker and aren't one, markers on cells where they do nothing, comment markers (the
    course uses tags), code cells that were never run, stored errors without their tag, ids that lack or stand twice.
    """
    problems = []
    ids = Counter(cell.id for cell in cells)
    for number, cell in enumerate(cells):
        where = f"{name}, cell {cell.id or number}"
        if not cell.id:
            problems.append(f"{where}: has no id; run it again with make run, which writes one")
        elif ids[cell.id] > 1:
            problems.append(f"{where}: {ids[cell.id]} cells have this id; give each its own")
        problems += [f"{where}: {problem}" for tag in cell.tags if (problem := tag_problem(tag))]
        if cell.kind == "code":
            problems += [f"{where}: {problem}" for problem in _code_cell_problems(cell)]
        else:
            problems += [
                f"{where}: the tag {tag} does nothing on a {cell.kind} cell; remove it"
                for tag in cell.tags
                if tag in KNOWN_TAGS
            ]
    return problems


def tag_problem(tag: str) -> str:
    """Return what is wrong with a tag, or an empty text. Tags that have nothing to do with nbval are fine here."""
    if tag in KNOWN_TAGS:
        return ""
    if tag in REFUSED_TAGS:
        return f"the tag {tag} is not used here: {REFUSED_TAGS[tag]}"
    plain = re.sub(r"[\s_-]+", "-", tag.strip().lower())
    close = difflib.get_close_matches(plain, KNOWN_TAGS, n=1, cutoff=0.8)
    if close:
        return f"nbval ignores the tag {tag!r}; write {close[0]}"
    if plain.startswith(("nbval", "pytest-validate")):
        return f"nbval knows no tag {tag!r}; the course uses {' and '.join(KNOWN_TAGS)}"
    return ""


def _code_cell_problems(cell: Cell) -> Iterator[str]:
    """Yield what is wrong with a code cell: a comment marker, no run, a stored error that disagrees with its tag."""
    for line in cell.source.splitlines():
        if re.search(r"#.*\b(?:NBVAL|PYTEST_VALIDATE)[_-]\w", line, re.IGNORECASE):
            yield f"the comment {line.strip()!r} is not a marker in this course; remove it and use the tag"
    if (cell.source.strip() or cell.outputs) and cell.count is None:
        yield "was never run (it has no execution count); run the notebook from top to bottom and save it"
    if RAISES_TAG in cell.tags and stored_error(cell.outputs) is None:
        yield f"is tagged {RAISES_TAG} but its stored output has no error; run it again, or remove the tag"
    if RAISES_TAG not in cell.tags and stored_error(cell.outputs) is not None:
        yield f"raises but has no tag {RAISES_TAG}; correct the cell, or add the tag if the error is what it shows"


def stored_error(outputs: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the first output that is an error, or None."""
    return next((output for output in outputs if output["output_type"] == "error"), None)
