"""The files of the course agree with course.toml, with each other and with the README."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from course_utils.authoring import notebooks, uncompared
from course_utils.authoring.books import FOLDERS, Book, Cell, books, name_of, paths, read, tracked_files, tracked_texts
from course_utils.authoring.new_exercise import PLACEHOLDER
from course_utils.authoring.rules import markdown
from course_utils.classroom import checks, generate, notebook_files
from course_utils.classroom.manifest import Course, Exercise

REASON_LENGTH = 20
HINTS = (2, 3)
COMMANDS = ("make lab", "make test")
LAYOUT_HEADING = "How this repository is laid out"
_CELL_ID = re.compile(r"[a-z0-9-]+")
_WORKED = re.compile(r"^[ \t]*### BEGIN SOLUTION\s*$.*^[ \t]*### END SOLUTION\s*$", re.MULTILINE | re.DOTALL)


def files_agree(course: Course) -> list[str]:
    """Each lesson has its notebooks, and the three folders hold nothing that course.toml does not name."""
    problems = []
    for kind, folder in FOLDERS.items():
        wanted = {lesson.file_name for lesson in course.lessons if kind == "lesson" or lesson.exercises}
        path = course.root / folder
        there = {x.name for x in path.iterdir() if not _is_local(x.name)} if path.is_dir() else set()
        repair = "run make exercises" if kind == "exercises" else "write it, or remove it from course.toml"
        problems += [
            f"{folder}/{name}: course.toml names it and it does not exist; {repair}" for name in wanted - there
        ]
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
                problems.append(f"{name_of(course, path)}: differs from what it is made from; run make exercises")
    except OSError as error:
        problems.append(f"{Path(error.filename or '').name}: cannot be read; write it, then run make exercises")
    except Exception as error:  # a notebook that nbformat refuses, or a marker without its partner
        problems.append(f"{error}; correct it, then run make exercises")
    return problems


def notebooks_are_canonical(course: Course) -> list[str]:
    """Each notebook is in canonical form; lessons and solutions ran from top to bottom, exercises hold no output."""
    problems = []
    for kind, lesson, path in paths(course):
        name = name_of(course, path)
        book = read(course, kind, lesson, path)
        if isinstance(book, str):
            problems.append(book)
            continue
        again = "run make exercises" if kind == "exercises" else f"run make run LESSON={lesson.id}"
        ids = Counter(cell.id for cell in book.cells)
        problems += [
            f"{name}, cell {cell_id!r}: an id is lower case words joined by -; rename the cell"
            for cell_id in ids
            if cell_id and not _CELL_ID.fullmatch(cell_id)
        ]
        if "" not in ids and max(ids.values(), default=0) < 2:  # nbformat would repair ids; markers.py reports them
            problems += _not_canonical(course, path, name, again)
        for number, cell in enumerate((x for x in book.cells if x.kind == "code"), start=1):
            where = f"{name}, cell {cell.id}"
            if kind == "exercises":
                if cell.outputs or cell.count is not None:
                    problems.append(f"{where}: an exercise holds no output; {again}")
            elif cell.count not in (None, number):  # markers.py reports a cell that was never run
                problems.append(f"{where}: its execution count is {cell.count} and not {number}; {again}")
                break  # the cells below it follow suit
    return problems


def _not_canonical(course: Course, path: Path, name: str, again: str) -> list[str]:
    try:
        rules = course.root / "tests" / "sanitize.cfg"
        text = notebook_files.to_text(notebooks.canonical(notebook_files.read(path), rules))
    except Exception as error:
        return [f"{name}: it is not a valid notebook ({type(error).__name__}); restore it from git"]
    if path.read_bytes() == text.encode("utf-8"):
        return []
    lines = zip(path.read_text(encoding="utf-8").splitlines(), text.splitlines(), strict=False)
    first = next((n for n, (is_, should) in enumerate(lines, start=1) if is_ != should), 0)
    return [f"{name}, line {first}: not in canonical form; {again}"]


def exercises_are_complete(course: Course) -> list[str]:
    """Each exercise has one answer cell under its heading, a registered check and two or three hints."""
    problems = []
    for exercise in course.exercises():
        if not HINTS[0] <= len(exercise.hints) <= HINTS[1]:
            problems.append(f"course.toml, exercise {exercise.id}: has {len(exercise.hints)} hints; write 2 or 3")
        try:
            checks.find(exercise.id)
        except KeyError as error:
            problems.append(str(error.args[0]))
    for book in books(course, "lesson", "solutions"):
        wanted = {exercise.id: exercise for exercise in book.lesson.exercises}
        answered = Counter(book.answered(cell) for cell in book.cells)
        for exercise_id in wanted if book.kind == "solutions" else ():
            if answered[exercise_id] != 1:
                what = f'has {answered[exercise_id]} cells that end in check("{exercise_id}", …); write exactly one'
                problems.append(f"{book.name}: exercise {exercise_id} {what}")
        for at, cell in enumerate(book.cells):
            where = f"{book.name}, cell {cell.id}"
            answers = book.answered(cell)
            if answers in wanted:
                problems += _answer_problems(where, wanted[answers], cell, book, at)
            elif "BEGIN SOLUTION" in cell.source:
                problems.append(
                    f'{where}: holds a worked answer and no check; end it with check("{book.lesson.id}.1", …)'
                )
            elif answers:
                problems.append(
                    f"{where}: course.toml has no exercise {answers} in this lesson; correct one of the two"
                )
    return problems


def nothing_is_left_to_write(course: Course) -> list[str]:
    """No text that `make exercise` wrote is still there to be replaced."""
    problems = []
    folders = ("course.toml", "solutions/", "tests/answers/", "course_utils/classroom/checks/")
    for name, text in tracked_texts(course):
        for number, line in enumerate(text.splitlines() if name.startswith(folders) else (), start=1):
            if PLACEHOLDER.search(line):
                problems.append(f"{name}, line {number}: still what make exercise wrote; {line.strip()[:80]}")
    return problems


def _answer_problems(where: str, exercise: Exercise, cell: Cell, book: Book, at: int) -> Iterator[str]:
    if not _WORKED.search(cell.source):
        yield f"{where}: the worked answer is not marked; put it between ### BEGIN SOLUTION and ### END SOLUTION"
    if not cell.source.rstrip().splitlines()[-1].startswith(f'check("{exercise.id}", '):
        yield f'{where}: its last line is not the check; end it with check("{exercise.id}", …)'
    headings = [heading for x in book.cells[:at] for heading in markdown.of(x).headings]
    title = f"{exercise.id} · {exercise.title}"
    if not headings or (headings[-1].level, headings[-1].title) != (2, title):
        yield f"{where}: its heading differs from course.toml; write ## {title} above it"


def uncompared_cells_are_listed(course: Course) -> list[str]:
    """tests/uncompared.toml lists exactly the cells that are not compared, each with a reason that says something."""
    try:
        lines = uncompared.read_allowlist(course.root / uncompared.ALLOWLIST)
        problems = uncompared.allowlist_problems(course.root)
    except Exception as error:  # a list that is not TOML, or a notebook that cannot be read
        return [f"{uncompared.ALLOWLIST}: cannot be compared with the notebooks ({error}); correct that first"]
    return problems + [
        f"{line.notebook}, cell {line.id}: its reason in {uncompared.ALLOWLIST} is too short; say why it changes"
        for line in lines
        if len(line.reason.strip()) < REASON_LENGTH
    ]


def readme_is_true(course: Course) -> list[str]:
    """The README gives both commands, and its layout section names every top-level entry of the repository."""
    path = course.root / "README.md"
    if not path.is_file():
        return ["README.md: it does not exist; write it"]
    readme = path.read_text(encoding="utf-8")
    problems = [f"README.md: the command {x} is missing; give it" for x in COMMANDS if x not in readme]
    layout = markdown.section(readme, LAYOUT_HEADING)
    if layout is None:
        return [*problems, f"README.md: the section {LAYOUT_HEADING!r} is missing; write it"]
    for entry in sorted({path.relative_to(course.root).parts[0] for path in tracked_files(course.root)}):
        if not re.search(rf"(?<![\w./-]){re.escape(entry)}(?![\w-])", layout):
            problems.append(f"README.md: the section {LAYOUT_HEADING!r} does not name {entry}; add it")
    return problems


def _is_local(name: str) -> bool:
    """Kept copies of a learner, and what an editor or Python leaves behind."""
    return name.startswith(".") or name in ("kept", "__pycache__")
