"""No file names one machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from course_utils.authoring.books import Cell, books, joined, tracked_texts
from course_utils.classroom.manifest import Course

REGISTRY_HOSTS = re.compile(
    r"\b(pypi\.org|pythonhosted\.org|download\.pytorch\.org|anaconda\.(?:org|com)|npmjs\.(?:org|com)|crates\.io|"
    r"rubygems\.org|proxy\.golang\.org)\b"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~])/(?:work|root)/[\w.]")
HOME_PATHS = re.compile(r"(?<![\w.~])/(?:home|Users)/\w|\b[A-Za-z]:\\{1,2}Users\\{1,2}\w")


def nothing_names_a_machine(course: Course) -> list[str]:
    """No tracked file names a package registry's host or this machine's path; no output names anyone's home."""
    problems = []
    own = re.compile(rf"(?<![\w.~]){re.escape(str(course.root))}(?!\w)")
    for name, text in tracked_texts(course):
        for number, line in enumerate(text.splitlines(), start=1):
            where = f"{name}, line {number}"
            if found := REGISTRY_HOSTS.search(line):
                problems.append(f"{where}: names the registry {found[0]}; remove it, the tools know their registry")
            if found := MACHINE_PATHS.search(line) or own.search(line):
                problems.append(f"{where}: names a path of one machine ({found[0]}…); write a relative one")
    for book in books(course, "lesson", "solutions"):
        for cell in book.cells:
            if found := HOME_PATHS.search("\n".join(_texts(cell))):
                problems.append(
                    f"{book.name}, cell {cell.id}: its output names a home ({found[0]}…); print the file name only"
                )
    return problems


def _texts(cell: Cell) -> Iterator[str]:
    """Every text in the outputs of a cell."""
    for output in cell.outputs:
        yield joined(output.get("text", ""))
        yield joined(output.get("evalue", ""))
        yield "\n".join(output.get("traceback", ()))
        for kind, value in output.get("data", {}).items():
            if not kind.startswith("image/") or kind == "image/svg+xml":
                yield joined(value) if isinstance(value, (str, list)) else json.dumps(value)
