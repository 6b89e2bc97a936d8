"""The contract of the course: a function a rule. Each takes a course and returns the sentences that say what breaks it.

A sentence names the file and the cell, and ends with what to do. An empty list means that the rule holds. Nothing is
run and nothing is fetched here; `RULES` lists every function, and the tests plant a defect for each of them.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from course_utils.authoring import notebooks, uncompared
from course_utils.classroom import checks, generate, notebook_files
from course_utils.classroom.manifest import Course, Exercise, Lesson

FOLDERS = {"lesson": "notebooks", "solutions": "solutions", "exercises": "exercises"}
CELL_LINES = 25
ANSWER_LINES = 45
LINE_LENGTH = 100
REASON_LENGTH = 20
HINTS = (2, 3)
COMMANDS = ("make lab", "make test")
LAYOUT_HEADING = "How this repository is laid out"

SHOWS_WARNING = "shows-warning"
RAISES = "raises-exception"
TAGS = (SHOWS_WARNING, RAISES, uncompared.UNCOMPARED_TAG, generate.SOLUTION_ONLY)

# Where a notebook may send its reader. On github.com only threads: they stay, files move.
LINK_HOSTS = (
    "docs.pytorch.org", "pytorch.org", "doi.org", "docs.python.org", "onnx.ai", "creativecommons.org",
    "mybinder.org", "colab.research.google.com",
)  # fmt: skip
GITHUB_THREAD = re.compile(r"/[\w.-]+/[\w.-]+/(issues|pull|discussions)(/\d+)?/?")
NAMESPACE_HOST = "www.w3.org"  # in the SVG that a cell writes; it names a format and is never opened

# Lower floors first. A module imports from its own floor and from those below.
REGISTRY_HOSTS = re.compile(
    r"\b(pypi\.org|pythonhosted\.org|download\.pytorch\.org|anaconda\.(?:org|com)|npmjs\.(?:org|com)|crates\.io|"
    r"rubygems\.org|proxy\.golang\.org)\b"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~])/(?:work|root)/[\w.]")
HOME_PATHS = re.compile(r"(?<![\w.~])/(?:home|Users)/\w|\b[A-Za-z]:\\{1,2}Users\\{1,2}\w")
MAGICS = re.compile(r"^\s*%{1,2}(?:time|timeit|prun|memit|mprun|lprun)\b", re.MULTILINE)
FORBIDDEN_WORDS = re.compile(r"\b(simply|just)\b", re.IGNORECASE)

_FENCE = re.compile(r"^([ \t]*)(```+|~~~+).*?(?:^[ \t]*\2[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_MATH = re.compile(r"\$\$.+?\$\$|(?<![\\$\w])\$(?!\s)[^$\n]+?(?<!\s)\$(?!\w)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?(?P<target>[^)\s>]+)>?[^)]*\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(?P<target>[^\s>]+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*[\"'](?P<target>[^\"']+)", re.IGNORECASE)
_BARE_URL = re.compile(r"https?://[^\s<>\"'`\\)\]}]+")
_HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_TABLE = re.compile(r"^\|.*\|[ \t]*\n\|[ \t:|-]*-[ \t:|-]*\|", re.MULTILINE)
_CELL_ID = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class Cell:
    """One cell as its file has it; ``source`` and ``outputs`` texts are joined."""

    id: str
    kind: str
    source: str
    tags: tuple[str, ...]
    count: int | None
    outputs: tuple[dict[str, Any], ...]

    @property
    def is_answer(self) -> bool:
        return self.kind == "code" and self.id.startswith("answer-")


@dataclass(frozen=True)
class Book:
    """One notebook of the course: ``name`` relative to the course, ``kind`` one of ``FOLDERS``."""

    name: str
    kind: str
    lesson: Lesson
    cells: tuple[Cell, ...]


# --- the files -------------------------------------------------------------------------------------------------------


def files_agree(course: Course) -> list[str]:
    """Each lesson has its notebooks, and the three folders hold nothing that course.toml does not name."""
    problems = []
    for kind, folder in FOLDERS.items():
        wanted = {lesson.file_name for lesson in course.lessons if kind == "lesson" or lesson.exercises}
        path = course.root / folder
        there = {x.name for x in path.iterdir() if not _is_local(x.name)} if path.is_dir() else set()
        repair = "run make refresh" if kind == "exercises" else "write it, or take it out of course.toml"
        problems += [f"{folder}/{name}: course.toml names it and it is not there; {repair}" for name in wanted - there]
        problems += [
            f"{folder}/{name}: course.toml does not name it; add it there, or delete the file"
            for name in there - wanted
        ]
    return sorted(problems)


def derived_files_agree(course: Course) -> list[str]:
    """Headers, footers, exercises/ and the README table are byte for byte what they are made from."""
    problems = []
    try:
        for path, text in generate.derived_files(course):
            if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
                problems.append(f"{_name(course, path)}: differs from what it is made from; run make refresh")
    except OSError as error:
        problems.append(f"{Path(error.filename or '').name}: cannot be read; write it, then run make refresh")
    except Exception as error:  # a notebook that nbformat refuses, or a marker without its partner
        problems.append(f"{error}; mend it, then run make refresh")
    return problems


def notebooks_are_canonical(course: Course) -> list[str]:
    """Each notebook is in canonical form; lessons and solutions ran from top to bottom, exercises hold no output."""
    problems = []
    rules = course.root / "tests" / "sanitize.cfg"
    for kind, lesson, path in _paths(course):
        name = _name(course, path)
        book = _read(course, kind, lesson, path)
        if isinstance(book, str):
            problems.append(book)
            continue
        again = "run make refresh" if kind == "exercises" else f"run make run LESSON={lesson.id}"
        wrong_ids = [
            *(f"{name}, cell {x!r}: the id stands twice; give one of them another" for x in _twice(book)),
            *(
                f"{name}, cell {cell.id!r}: an id is lower case words joined by -; rename the cell"
                for cell in book.cells
                if not _CELL_ID.fullmatch(cell.id)
            ),
        ]
        problems += wrong_ids or _not_canonical(path, name, rules, again)
        code = [cell for cell in book.cells if cell.kind == "code"]
        for number, cell in enumerate(code, start=1):
            where = f"{name}, cell {cell.id}"
            if kind == "exercises":
                if cell.outputs or cell.count is not None:
                    problems.append(f"{where}: an exercise holds no output; {again}")
            elif cell.count != number:
                problems.append(f"{where}: its execution count is {cell.count} and not {number}; {again}")
                break  # the cells below it follow suit
    return problems


def exercises_are_complete(course: Course) -> list[str]:
    """Each exercise has one answer cell under its heading, a registered check and two or three hints."""
    problems = []
    wanted = {_answer_id(exercise): exercise for exercise in course.exercises()}
    for exercise in course.exercises():
        if not HINTS[0] <= len(exercise.hints) <= HINTS[1]:
            problems.append(f"course.toml, exercise {exercise.id}: has {len(exercise.hints)} hints; write 2 or 3")
        try:
            checks.find(exercise.id)
        except KeyError as error:
            problems.append(str(error.args[0]))
    for book in _books(course, "lesson", "solutions"):
        answers = {cell.id for cell in book.cells if cell.is_answer} if book.kind == "solutions" else set()
        for exercise in book.lesson.exercises if book.kind == "solutions" else ():
            if _answer_id(exercise) not in answers:
                problems.append(f"{book.name}: exercise {exercise.id} has no cell {_answer_id(exercise)}; write it")
        for at, cell in enumerate(book.cells):
            where = f"{book.name}, cell {cell.id}"
            exercise = wanted.get(cell.id)
            is_answer = book.kind == "solutions" and cell.kind == "code" and exercise in book.lesson.exercises
            if is_answer and exercise is not None:
                problems += _answer_problems(where, exercise, cell, book.cells[:at])
            elif "BEGIN SOLUTION" in cell.source:
                problems.append(f"{where}: only the answer cell of an exercise holds BEGIN SOLUTION; move the block")
            elif cell.is_answer:
                problems.append(f"{where}: course.toml has no such exercise in this lesson; rename the cell")
    return problems


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


def nothing_names_a_machine(course: Course) -> list[str]:
    """No tracked file names a package registry's host or this machine's path; no output names anyone's home."""
    problems = []
    own = re.compile(rf"(?<![\w.~]){re.escape(str(course.root))}(?!\w)")
    for path in tracked_files(course.root):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            where = f"{_name(course, path)}, line {number}"
            if found := REGISTRY_HOSTS.search(line):
                problems.append(f"{where}: names the registry {found[0]}; take it out, the tools know their registry")
            if found := MACHINE_PATHS.search(line) or own.search(line):
                problems.append(f"{where}: names a path of one machine ({found[0]}…); write a relative one")
    for book in _books(course, "lesson", "solutions"):
        for cell in book.cells:
            if found := HOME_PATHS.search("\n".join(_texts(cell))):
                problems.append(
                    f"{book.name}, cell {cell.id}: its output names a home ({found[0]}…); print the file name only"
                )
    return problems


def ledger_agrees(course: Course) -> list[str]:
    """tests/uncompared.toml lists exactly the cells that are not compared, each with a reason that says something."""
    try:
        lines = uncompared.read_ledger(course.root / uncompared.LEDGER)
        problems = uncompared.ledger_problems(course.root)
    except Exception as error:  # a ledger that is no TOML, or a notebook that nbformat refuses
        return [f"{uncompared.LEDGER}: cannot be compared with the notebooks ({error}); mend that first"]
    return problems + [
        f"{line.notebook}, cell {line.id}: its reason in {uncompared.LEDGER} is too short; say why the output changes"
        for line in lines
        if len(line.reason.strip()) < REASON_LENGTH
    ]


def readme_is_true(course: Course) -> list[str]:
    """The README gives both commands, and its layout section names every top-level entry of the repository."""
    path = course.root / "README.md"
    if not path.is_file():
        return ["README.md: it is not there; write it"]
    readme = path.read_text(encoding="utf-8")
    problems = [f"README.md: the command {x} is missing; give it" for x in COMMANDS if x not in readme]
    layout = _section(readme, LAYOUT_HEADING)
    if layout is None:
        return [*problems, f"README.md: the section {LAYOUT_HEADING!r} is missing; write it"]
    for entry in sorted({path.relative_to(course.root).parts[0] for path in tracked_files(course.root)}):
        if not re.search(rf"(?<![\w./-]){re.escape(entry)}(?![\w-])", layout):
            problems.append(f"README.md: the section {LAYOUT_HEADING!r} does not name {entry}; add it")
    return problems


# --- how a lesson reads ----------------------------------------------------------------------------------------------


def cells_fit_a_screen(course: Course) -> list[str]:
    """Code cells and their lines are short."""
    problems = []
    for book in _books(course, *FOLDERS):
        for cell in book.cells:
            if cell.kind != "code":
                continue
            where = f"{book.name}, cell {cell.id}"
            lines = cell.source.splitlines()
            most = ANSWER_LINES if cell.is_answer else CELL_LINES
            if len(lines) > most:
                problems.append(f"{where}: has {len(lines)} lines, at most {most}; cut it in two")
            for number, line in enumerate(lines, start=1):
                if len(line) > LINE_LENGTH:
                    problems.append(
                        f"{where}, line {number}: has {len(line)} characters, at most {LINE_LENGTH}; break it"
                    )
    return problems


def prose_is_calm(course: Course) -> list[str]:
    """No exclamation mark and no "simply" or "just" in the text of a notebook."""
    problems = []
    for book in _books(course, *FOLDERS):
        for cell in book.cells:
            if cell.kind != "markdown":
                continue
            where = f"{book.name}, cell {cell.id}"
            text = _prose(cell.source)
            if "!" in text:
                at = text.index("!")
                problems.append(f"{where}: an exclamation mark after {text[max(0, at - 20) : at]!r}; take it out")
            problems += [f"{where}: says {word!r}; take it out" for word in FORBIDDEN_WORDS.findall(text)]
    return problems


def lessons_have_their_sections(course: Course) -> list[str]:
    """Each lesson has an executed "In current PyTorch", a "Recap" with a table, and its header and footer."""
    problems = []
    for book in _books(course, "lesson"):
        now = _cells_under(book, "In current PyTorch")
        if now is None:
            problems.append(f'{book.name}: the heading "In current PyTorch" is missing; write that section')
        elif not any(cell.kind == "code" for cell in now):
            problems.append(f'{book.name}: "In current PyTorch" has no code cell; run there what the text says')
        recap = _cells_under(book, "Recap")
        if recap is None:
            problems.append(f'{book.name}: the heading "Recap" is missing; write that section')
        elif not any(_TABLE.search(cell.source) for cell in recap if cell.kind == "markdown"):
            problems.append(f'{book.name}: "Recap" has no table; sum the lesson up in one')
        ids = [cell.id for cell in book.cells]
        if not ids or ids[0] != "header" or ids[-1] != "footer":
            problems.append(f"{book.name}: it does not begin with its header and end with its footer; run make refresh")
    return problems


def figures_have_captions(course: Course) -> list[str]:
    """Each lesson shows a figure; each figure has a caption beside it, and each image of the text a description."""
    problems = []
    for book in _books(course, *FOLDERS):
        figures = [at for at, cell in enumerate(book.cells) if _shows_figure(cell)]
        if book.kind == "lesson" and not figures:
            problems.append(f"{book.name}: it shows no figure; draw what one would rather look at")
        for at in figures:
            beside = [book.cells[n] for n in (at - 1, at + 1) if 0 <= n < len(book.cells)]
            if not any(cell.kind == "markdown" and re.search(r"^\*Figure", cell.source, re.M) for cell in beside):
                problems.append(
                    f"{book.name}, cell {book.cells[at].id}: its figure has no caption; "
                    "begin a line of the text before or after it with *Figure"
                )
        for cell in book.cells:
            text = _without_code(cell.source) if cell.kind == "markdown" else ""
            blank = [link["target"] for link in _LINK.finditer(text) if link["image"] and not link["text"].strip()]
            blank += [tag for tag in _HTML_IMAGE.findall(text) if not re.search(r"\balt\s*=\s*[\"'][^\"']", tag)]
            problems += [
                f"{book.name}, cell {cell.id}: the image {x} has no description; write its alt text" for x in blank
            ]
    return problems


def outputs_are_expected(course: Course) -> list[str]:
    """Warnings and errors stand only in cells that say so by a tag, and each such tag is still needed."""
    problems = []
    for book in _books(course, *FOLDERS):
        for cell in book.cells:
            where = f"{book.name}, cell {cell.id}"
            problems += [
                f"{where}: unknown tag {x!r}; the tags are {', '.join(TAGS)}" for x in cell.tags if x not in TAGS
            ]
            warns = any(x["output_type"] == "stream" and x.get("name") == "stderr" for x in cell.outputs)
            fails = any(x["output_type"] == "error" for x in cell.outputs)
            for happens, tag, what in ((warns, SHOWS_WARNING, "writes to stderr"), (fails, RAISES, "raises")):
                if happens and tag not in cell.tags:
                    problems.append(f"{where}: it {what}; mend it, or tag it {tag} if that is what it shows")
                if not happens and tag in cell.tags and book.kind != "exercises":
                    problems.append(f"{where}: it is tagged {tag} and nothing in it {what}; take the tag off")
            if MAGICS.search(cell.source) and cell.kind == "code" and uncompared.UNCOMPARED_TAG not in cell.tags:
                problems.append(f"{where}: a timing magic prints another number each time; use compare_speed")
    return problems


Rule = Callable[[Course], list[str]]
RULES: tuple[Rule, ...] = (
    files_agree,
    derived_files_agree,
    notebooks_are_canonical,
    exercises_are_complete,
    links_lead_somewhere,
    nothing_names_a_machine,
    ledger_agrees,
    readme_is_true,
    cells_fit_a_screen,
    prose_is_calm,
    lessons_have_their_sections,
    figures_have_captions,
    outputs_are_expected,
)


# --- reading ---------------------------------------------------------------------------------------------------------


def tracked_files(root: Path) -> list[Path]:
    """The files that git tracks or would track; without git, every file outside hidden and made folders."""
    listed = None
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        try:
            listed = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8").split("\0")
        except (OSError, subprocess.CalledProcessError):
            listed = None
    if listed is not None:
        return sorted({root / name for name in listed if name and (root / name).is_file()})
    made = {".git", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints", "kept"}
    paths = (path for path in root.rglob("*") if not made.intersection(path.relative_to(root).parts))
    return sorted(path for path in paths if path.is_file())


def _paths(course: Course) -> Iterator[tuple[str, Lesson, Path]]:
    """Kind, lesson and path of each notebook that should be there and is."""
    for kind, folder in FOLDERS.items():
        for lesson in course.lessons:
            path = course.root / folder / lesson.file_name
            if (kind == "lesson" or lesson.exercises) and path.is_file():
                yield kind, lesson, path


def _books(course: Course, *kinds: str) -> Iterator[Book]:
    """The notebooks of these kinds that can be read; `notebooks_are_canonical` names the others."""
    for kind, lesson, path in _paths(course):
        book = _read(course, kind, lesson, path) if kind in kinds else ""
        if isinstance(book, Book):
            yield book


def _read(course: Course, kind: str, lesson: Lesson, path: Path) -> Book | str:
    """The notebook, or a sentence on why it cannot be read. Not by nbformat, which repairs what is to be found here."""
    name = _name(course, path)
    try:
        cells = tuple(_cell(item) for item in json.loads(path.read_text(encoding="utf-8"))["cells"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{name}: it is no notebook ({type(error).__name__}: {error}); restore it from git"
    return Book(name, kind, lesson, cells)


def _cell(item: dict[str, Any]) -> Cell:
    return Cell(
        id=str(item.get("id", "")),
        kind=item["cell_type"],
        source=_joined(item["source"]),
        tags=tuple(item["metadata"].get("tags", ())),
        count=item.get("execution_count"),
        outputs=tuple(item.get("outputs", ())),
    )


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


def _texts(cell: Cell) -> Iterator[str]:
    """Every text in the outputs of a cell."""
    for output in cell.outputs:
        yield _joined(output.get("text", ""))
        yield _joined(output.get("evalue", ""))
        yield "\n".join(output.get("traceback", ()))
        for kind, value in output.get("data", {}).items():
            if not kind.startswith("image/") or kind == "image/svg+xml":
                yield _joined(value) if isinstance(value, (str, list)) else json.dumps(value)


def _name(course: Course, path: Path) -> str:
    return path.relative_to(course.root).as_posix()


def _is_local(name: str) -> bool:
    """Kept copies of a learner, and what an editor or Python leaves behind."""
    return name.startswith(".") or name in ("kept", "__pycache__")


# --- notebooks -------------------------------------------------------------------------------------------------------


def _twice(book: Book) -> list[str]:
    return [cell_id for cell_id, count in Counter(cell.id for cell in book.cells).items() if count > 1]


def _not_canonical(path: Path, name: str, rules: Path, again: str) -> list[str]:
    try:
        text = notebook_files.to_text(notebooks.canonical(notebook_files.read(path), rules))
    except Exception as error:
        return [f"{name}: it is no valid notebook ({type(error).__name__}); restore it from git"]
    if path.read_bytes() == text.encode("utf-8"):
        return []
    lines = zip(path.read_text(encoding="utf-8").splitlines(), text.splitlines(), strict=False)
    first = next((n for n, (is_, should) in enumerate(lines, start=1) if is_ != should), 0)
    return [f"{name}, line {first}: it is not in canonical form; {again}"]


def _answer_id(exercise: Exercise) -> str:
    return "answer-" + exercise.id.replace(".", "-")


def _answer_problems(where: str, exercise: Exercise, cell: Cell, above: tuple[Cell, ...]) -> Iterator[str]:
    if not re.search(r"^[ \t]*### BEGIN SOLUTION\s*$.*^[ \t]*### END SOLUTION\s*$", cell.source, re.M | re.S):
        yield f"{where}: the worked answer is not marked; put it between ### BEGIN SOLUTION and ### END SOLUTION"
    lines = cell.source.rstrip().splitlines()
    if not lines or not lines[-1].startswith(f'check("{exercise.id}", '):
        yield f'{where}: its last line is not a check; end it with check("{exercise.id}", …)'
    headings = [match[0] for x in above if x.kind == "markdown" for match in _HEADING.finditer(_without_code(x.source))]
    if not headings or headings[-1] != f"## {exercise.id} · {exercise.title}":
        yield f"{where}: its heading differs from course.toml; write ## {exercise.id} · {exercise.title} above it"


def _cells_under(book: Book, title: str) -> list[Cell] | None:
    """The cells from the one with this heading up to the next heading of its level; None without such a heading."""
    found: list[Cell] | None = None
    level = 0
    for cell in book.cells:
        headings = _HEADING.findall(_without_code(cell.source)) if cell.kind == "markdown" else []
        if found is None:
            at = next((n for n, (_, text) in enumerate(headings) if text.strip() == title), None)
            if at is not None:
                level = len(headings[at][0])
                found = [cell]
        elif cell.id == "footer" or any(len(marks) <= level for marks, _ in headings):
            return found
        else:
            found.append(cell)
    return found


def _shows_figure(cell: Cell) -> bool:
    for output in cell.outputs:
        data = output.get("data", {})
        if any(kind.startswith("image/") for kind in data) or "<svg" in _joined(data.get("text/html", "")):
            return True
    return False


# --- Markdown --------------------------------------------------------------------------------------------------------


def _without_code(markdown: str) -> str:
    return _INLINE_CODE.sub("", _FENCE.sub("", _COMMENT.sub("", markdown)))


def _prose(markdown: str) -> str:
    """What a reader reads as sentences: no code, no formula, no tag, no target of a link, no mark of an image."""
    text = _MATH.sub("", _without_code(markdown))
    text = _LINK.sub(lambda link: link["text"], text)
    return _BARE_URL.sub("", re.sub(r"</?[a-zA-Z][^>]*>", "", text))


def _section(markdown: str, title: str) -> str | None:
    """The text below the heading that holds ``title``, up to the next heading of its level."""
    headings = list(_HEADING.finditer(_FENCE.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), markdown)))
    for at, heading in enumerate(headings):
        if title in heading[2]:
            ends = [x.start() for x in headings[at + 1 :] if len(x[1]) <= len(heading[1])]
            return markdown[heading.end() : ends[0] if ends else len(markdown)]
    return None


def _anchors(markdown: str) -> set[str]:
    """What a link may name after ``#``: GitHub's form of each heading, Jupyter's form, and explicit ids."""
    anchors = set(re.findall(r"<[^>]+\b(?:id|name)\s*=\s*[\"']([^\"']+)", markdown))
    for _, title in _HEADING.findall(_FENCE.sub("", markdown)):
        plain = re.sub(r"[`*]", "", _LINK.sub(lambda link: link["text"], title))
        anchors |= {re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"), plain.replace(" ", "-")}
    return anchors


def _links(course: Course) -> Iterator[tuple[str, str, str, bool]]:
    """Place, file and target of each link, and whether a notebook holds it; of a code cell only its addresses."""
    for path in tracked_files(course.root):
        if path.suffix == ".md":
            name = _name(course, path)
            for target in _targets(path.read_text(encoding="utf-8")):
                yield name, name, target, False
    for book in _books(course, *FOLDERS):
        for cell in book.cells:
            for target in _targets(cell.source) if cell.kind == "markdown" else _addresses(cell.source):
                yield f"{book.name}, cell {cell.id}", book.name, target, True


def _targets(markdown: str) -> list[str]:
    text = _without_code(markdown)
    marked = [match["target"] for pattern in (_LINK, _REFERENCE, _ATTRIBUTE) for match in pattern.finditer(text)]
    return list(dict.fromkeys([*marked, *_addresses(text)]))


def _addresses(text: str) -> list[str]:
    return [address.rstrip(".,;:") for address in _BARE_URL.findall(text)]


def _external(target: str) -> str | None:
    try:
        parts = urlsplit(target)
    except ValueError:
        return "is no address; correct it"
    if parts.hostname == NAMESPACE_HOST:
        return None
    thread = parts.hostname == "github.com" and GITHUB_THREAD.fullmatch(parts.path)
    if parts.scheme == "https" and (parts.hostname in LINK_HOSTS or thread):
        return None
    return "leads to a place that may change; use https and one of the hosts in course_utils/authoring/rules.py"


def _relative(course: Course, name: str, target: str) -> str | None:
    file, _, anchor = unquote(target).partition("#")
    path = ((course.root / name).parent / file).resolve() if file else course.root / name
    if not path.is_relative_to(course.root.resolve()) or not path.exists():
        return "leads to no file of this repository; correct it"
    if not anchor:
        return None
    if path.suffix == ".md":
        known = _anchors(path.read_text(encoding="utf-8"))
    elif path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        known = set().union(*(_anchors(_joined(x["source"])) for x in cells if x["cell_type"] == "markdown"))
    else:
        return None
    return None if anchor in known else f"names no heading of {path.name}; correct what stands after #"
