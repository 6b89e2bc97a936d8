"""How a lesson reads: short cells, calm sentences, its sections, figures with captions, expected outputs."""

from __future__ import annotations

import re

from course_utils.authoring.books import FOLDERS, Book, Cell, books, joined
from course_utils.authoring.markers import RAISES_TAG, UNCOMPARED_TAG, marker_problems, tag_problem
from course_utils.authoring.rules import markdown
from course_utils.classroom import generate
from course_utils.classroom.manifest import Course

CELL_LINES = 25
ANSWER_LINES = 45
LINE_LENGTH = 100
SHOWS_WARNING = "shows-warning"
TAGS = (SHOWS_WARNING, RAISES_TAG, UNCOMPARED_TAG, generate.SOLUTION_ONLY)
MAGICS = re.compile(r"^\s*%{1,2}(?:time|timeit|prun|memit|mprun|lprun)\b", re.MULTILINE)
_MERMAID = re.compile(r"^```mermaid\n(.*?)^```", re.DOTALL | re.MULTILINE)
WORDS_A_MINUTE, LINE_SECONDS, CELL_SECONDS, PREDICTION_SECONDS = 180, 2.5, 6, 20
PREDICTION = "Before you run it"
MINUTES_FOR_TRYING = 5
FORBIDDEN_WORDS = re.compile(r"\b(simply|just)\b", re.IGNORECASE)


def cells_fit_a_screen(course: Course) -> list[str]:
    """Code cells and their lines are short."""
    problems = []
    for book in books(course, *FOLDERS):
        for cell in (x for x in book.cells if x.kind == "code"):
            where = f"{book.name}, cell {cell.id}"
            lines = cell.source.splitlines()
            most = ANSWER_LINES if book.answered(cell) else CELL_LINES
            if len(lines) > most:
                problems.append(f"{where}: has {len(lines)} lines, at most {most}; split it")
            problems += [
                f"{where}, line {number}: has {len(line)} characters, at most {LINE_LENGTH}; break it"
                for number, line in enumerate(lines, start=1)
                if len(line) > LINE_LENGTH
            ]
    return problems


def prose_is_calm(course: Course) -> list[str]:
    """No exclamation mark and no "simply" or "just" in the text of a notebook."""
    problems = []
    for book in books(course, *FOLDERS):
        for cell in book.cells:
            where = f"{book.name}, cell {cell.id}"
            text = markdown.of(cell).prose
            if "!" in text:
                at = text.index("!")
                problems.append(f"{where}: an exclamation mark after {text[max(0, at - 20) : at]!r}; remove it")
            problems += [f"{where}: says {word!r}; remove it" for word in FORBIDDEN_WORDS.findall(text)]
    return problems


def minutes_follow_from_length(course: Course) -> list[str]:
    """A lesson takes about as long as its text, its code and its predictions say."""
    problems = []
    for book in books(course, "lesson"):
        reckoned = reading_minutes(book)
        if abs(book.lesson.minutes - reckoned) > MINUTES_FOR_TRYING:
            problems.append(
                f"course.toml, lesson {book.lesson.id}: says {book.lesson.minutes} minutes, and its length gives "
                f"{reckoned}; correct the minutes, or the length"
            )
    return problems


def reading_minutes(book: Book) -> int:
    """The time to read a lesson and its code and to think about its predictions, in steps of five minutes."""
    texts = [markdown.of(cell).prose for cell in book.cells if cell.kind != "code"]
    codes = [cell.source for cell in book.cells if cell.kind == "code"]
    lines = sum(bool(line.strip()) for source in codes for line in source.splitlines())
    seconds = sum(len(text.split()) for text in texts) * 60 / WORDS_A_MINUTE
    seconds += lines * LINE_SECONDS + len(codes) * CELL_SECONDS
    seconds += sum(text.count(PREDICTION) for text in texts) * PREDICTION_SECONDS
    return 5 * round(seconds / 300)


def lessons_have_their_sections(course: Course) -> list[str]:
    """Each lesson has an executed "In current PyTorch", a "Recap" with a table, and its header and footer."""
    problems = []
    for book in books(course, "lesson"):
        now = _cells_under(book, "In current PyTorch")
        if now is None:
            problems.append(f'{book.name}: the heading "In current PyTorch" is missing; write that section')
        elif not any(cell.kind == "code" for cell in now):
            problems.append(f'{book.name}: "In current PyTorch" has no code cell; run there what the text says')
        recap = _cells_under(book, "Recap")
        if recap is None:
            problems.append(f'{book.name}: the heading "Recap" is missing; write that section')
        elif not any(markdown.of(cell).has_table for cell in recap):
            problems.append(f'{book.name}: "Recap" has no table; sum the lesson up in one')
        ids = [cell.id for cell in book.cells]
        if not ids or ids[0] != "header" or ids[-1] != "footer":
            problems.append(f"{book.name}: does not begin with its header and end with its footer; run make exercises")
    return problems


def figures_have_captions(course: Course) -> list[str]:
    """Each lesson shows a figure; each figure has a caption beside it and an alternative text, as have all images."""
    problems = []
    for book in books(course, *FOLDERS):
        figures = [at for at, cell in enumerate(book.cells) if _shows_figure(cell)]
        if book.kind == "lesson" and not figures:
            problems.append(f"{book.name}: shows no figure; draw what is better seen than read")
        for at in figures:
            beside = [book.cells[n] for n in (at - 1, at + 1) if 0 <= n < len(book.cells)]
            if not any(cell.kind == "markdown" and re.search(r"^\*Figure", cell.source, re.M) for cell in beside):
                problems.append(
                    f"{book.name}, cell {book.cells[at].id}: its figure has no caption; "
                    "begin a line of the text before or after it with *Figure"
                )
        problems += [
            f"{book.name}, cell {cell.id}: the image {target} has no description; write its alt text"
            for cell in book.cells
            for target, alternative in markdown.of(cell).images
            if not alternative.strip()
        ]
        for cell in book.cells:
            where = f"{book.name}, cell {cell.id}"
            if any(not alternative.strip() for alternative in _pictures(cell)):
                problems.append(f"{where}: its picture has no alternative text; display core.pictures.image_html")
            problems += [
                f"{where}: its diagram has no title for a screen reader; begin it with accTitle:"
                for diagram in _MERMAID.findall(cell.source)
                if not re.search(r"^\s*accTitle: \S", diagram, re.MULTILINE)
            ]
    return problems


def outputs_are_expected(course: Course) -> list[str]:
    """Warnings and errors appear only in cells with the tag for it, and no tag is unknown or unneeded."""
    problems = []
    for book in books(course, "lesson", "solutions"):
        problems += marker_problems(book.cells, book.name)
        for cell in book.cells:
            where = f"{book.name}, cell {cell.id}"
            problems += [
                f"{where}: unknown tag {x!r}; the tags are {', '.join(TAGS)}"
                for x in cell.tags
                if x not in TAGS and not tag_problem(x)
            ]
            warns = any(x["output_type"] == "stream" and x.get("name") == "stderr" for x in cell.outputs)
            if warns and SHOWS_WARNING not in cell.tags:
                problems.append(
                    f"{where}: writes to stderr; correct it, or tag it {SHOWS_WARNING} if that is its point"
                )
            if not warns and SHOWS_WARNING in cell.tags:
                problems.append(f"{where}: is tagged {SHOWS_WARNING} and writes nothing to stderr; remove the tag")
            if MAGICS.search(cell.source) and cell.kind == "code" and UNCOMPARED_TAG not in cell.tags:
                problems.append(f"{where}: a timing magic prints a different number each time; use compare_speed")
    return problems


def _cells_under(book: Book, title: str) -> list[Cell] | None:
    """The cells from the one with this heading up to the next heading of its level; None without such a heading."""
    found: list[Cell] | None = None
    level = 0
    for cell in book.cells:
        headings = markdown.of(cell).headings
        if found is None:
            heading = next((x for x in headings if x.title == title), None)
            if heading is not None:
                level = heading.level
                found = [cell]
        elif cell.id == "footer" or any(x.level <= level for x in headings):
            return found
        else:
            found.append(cell)
    return found


def _shows_figure(cell: Cell) -> bool:
    return bool(_pictures(cell))


def _pictures(cell: Cell) -> list[str]:
    """The alternative text of each picture in the outputs; only HTML can give one."""
    found = []
    for data in (output.get("data", {}) for output in cell.outputs):
        html = joined(data.get("text/html", ""))
        found += [alternative for _, alternative in markdown.parse_html(html).images]
        found += [""] * (any(kind.startswith("image/") for kind in data) + html.count("<svg"))
    return found
