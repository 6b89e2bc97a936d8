"""Links lead somewhere, and commands that a text names exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import unquote, urlsplit

from course_utils.authoring.books import FOLDERS, books, joined, tracked_texts
from course_utils.authoring.rules import markdown
from course_utils.classroom.manifest import Course

# Where a notebook may send its reader. On github.com only threads: they stay, files move.
LINK_HOSTS = (
    "docs.pytorch.org", "pytorch.org", "doi.org", "docs.python.org", "onnx.ai", "creativecommons.org",
    "mybinder.org", "colab.research.google.com",
)  # fmt: skip
GITHUB_THREAD = re.compile(r"/[\w.-]+/[\w.-]+/(issues|pull|discussions)(/\d+)?/?")
NAMESPACE_HOST = "www.w3.org"  # in the SVG that a cell writes; it names a format and is never opened


def links_lead_somewhere(course: Course) -> list[str]:
    """Relative links point to a file and a heading of this repository; notebooks send readers to known places only."""
    problems = []
    for where, name, target, in_notebook in _links(course):
        problem = None
        if "://" in target:
            problem = _external(target) if in_notebook else None
        elif not target.startswith("mailto:"):
            problem = _relative(course, name, target)
        if problem:
            problems.append(f"{where}: the link {target} {problem}")
    return problems


def _links(course: Course) -> Iterator[tuple[str, str, str, bool]]:
    """Place, file and target of each link, and whether a notebook holds it; of a code cell only its addresses."""
    for name, text in tracked_texts(course):
        if name.endswith(".md"):
            for target in markdown.parse(text).links:
                yield name, name, target, False
    for book in books(course, *FOLDERS):
        for cell in book.cells:
            for target in markdown.of(cell).links if cell.kind == "markdown" else markdown.addresses(cell.source):
                yield f"{book.name}, cell {cell.id}", book.name, target, True


def _external(target: str) -> str | None:
    try:
        parts = urlsplit(target)
    except ValueError:
        return "is not an address; correct it"
    if parts.hostname == NAMESPACE_HOST:
        return None
    thread = parts.hostname == "github.com" and GITHUB_THREAD.fullmatch(parts.path)
    if parts.scheme == "https" and (parts.hostname in LINK_HOSTS or thread):
        return None
    return "leads to a place that may change; use https and one of the hosts in course_utils/authoring/rules/links.py"


def _relative(course: Course, name: str, target: str) -> str | None:
    file, _, anchor = unquote(target).partition("#")
    path = ((course.root / name).parent / file).resolve() if file else course.root / name
    if not path.is_relative_to(course.root.resolve()) or not path.exists():
        return "leads to no file of this repository; correct it"
    if not anchor:
        return None
    if path.suffix == ".md":
        known = markdown.parse(path.read_text(encoding="utf-8")).anchors
    elif path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        pages = [markdown.parse(joined(x["source"])) for x in cells if x["cell_type"] == "markdown"]
        known = {anchor for page in pages for anchor in page.anchors}
    else:
        return None
    return None if anchor in known else f"names no heading of {path.name}; correct what follows #"


# --- commands

# Only where a name must follow: after words such as "run make" and "see course", in brackets or backquotes, or at the
# beginning of a line. "To make sure" and "the course follows" are English.
_NAMED = re.compile(
    r"(?:`|\b(?:[Rr]un|[Ss]ee|[Bb]y|[Ww]ith|[Tt]hen|[Uu]se) |: |(?<!\w)\()(make|course) "
    r"(?!(?:the|an?|its?|every|what|sure)\b)([a-z][\w-]*)"
    r"|^[ \t$|@+-]*(?:run: |entry: |# )?(make|course) ([a-z][\w-]*)[ \t]*(?:#|$|[A-Z]+=)"
    r"|-m (course_utils(?:\.authoring)?) ([a-z][\w-]*)|\$\((AUTHORING)\) ([a-z][\w-]*)",
    re.MULTILINE,
)
_TARGET = re.compile(r"^([a-z][\w-]*):", re.MULTILINE)


def named_commands_exist(course: Course) -> list[str]:
    """Each target of make, command of `course` and command of course_utils.authoring that a file names exists."""
    makefile = course.root / "Makefile"
    known = {**_commands(), "make": set(_TARGET.findall(makefile.read_text("utf-8"))) if makefile.is_file() else set()}
    problems = []
    for name, text in tracked_texts(course):
        for found in _NAMED.finditer(text):
            program, command = (x for x in found.groups() if x)
            if command not in known[program]:
                line = text.count("\n", 0, found.end()) + 1
                problems.append(f"{name}, line {line}: there is no command {program} {command}; correct the name")
    return problems


@cache
def _commands() -> dict[str, set[str]]:
    from typer.main import get_command

    from course_utils.authoring.__main__ import app as authoring
    from course_utils.classroom.cli import app as course

    names = {"course": course, "course_utils": course, "course_utils.authoring": authoring, "AUTHORING": authoring}
    return {name: set(get_command(app).commands) for name, app in names.items()}  # type: ignore[attr-defined]
