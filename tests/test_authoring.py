"""What maintainers run: cutting answers out, frames, the README table, canonical form, and the verbs on top."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nbformat import v4
from typer.testing import CliRunner

from course_utils.authoring import notebooks
from course_utils.authoring.__main__ import app
from course_utils.classroom import generate, manifest, notebook_files
from course_utils.classroom.generate import DeriveError, cut_answer
from tests import tiny_course
from tests.tiny_course import COUNTING, HOME, ROOT, set_source, source_of

RULES = ROOT / "tests" / "sanitize.cfg"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACE = "# YOUR CODE HERE"


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> manifest.Course:
    """A copy of the tiny course, which is also the course that the verbs work on."""
    course = tiny_course.copy_to(tmp_path)
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    return course


# --- cutting answers out

CUTS = {
    "at the margin": (
        f'word = ...\n{BEGIN}\nword = "trace"\n{END}\ncheck("90.2", word)',
        f'word = ...\n{PLACE}\ncheck("90.2", word)',
    ),
    "in a function": (
        f"def f(x):\n    {BEGIN}\n    return x\n    {END}\n\n\ncheck(f)",
        f"def f(x):\n    {PLACE}\n    raise NotImplementedError\n\n\ncheck(f)",
    ),
    "in a method": (
        f"class M:\n    def f(self):\n        {BEGIN}\n        return 1\n        {END}\n",
        f"class M:\n    def f(self):\n        {PLACE}\n        raise NotImplementedError",
    ),
    "a class body": (
        f"class M:\n    {BEGIN}\n    x: int\n\n    def f(self):\n        return 1\n\n    {END}\n\nM()",
        f"class M:\n    {PLACE}\n    raise NotImplementedError\n\nM()",
    ),
    "two blocks": (
        f"def f():\n  {BEGIN}\n  a\n  {END}\n\ndef g():\n  {BEGIN}\n  b\n  {END}\n",
        f"def f():\n  {PLACE}\n  raise NotImplementedError\n\ndef g():\n  {PLACE}\n  raise NotImplementedError",
    ),
    "by a tab": (f"def f():\n\t{BEGIN}\n\ta\n\t{END}", f"def f():\n\t{PLACE}\n\traise NotImplementedError"),
    "an empty block": (f"{BEGIN}\n{END}\ncheck()", f"{PLACE}\ncheck()"),
    "spaces after a marker": (f"{BEGIN}  \nx\n{END} \ncheck()", f"{PLACE}\ncheck()"),
    "no block": ("x = 1\n\n\ny = 2", "x = 1\n\n\ny = 2"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("source, cut", CUTS.values(), ids=CUTS.keys())
def test_an_answer_is_cut_out(source: str, cut: str) -> None:
    assert cut_answer(source, "here") == cut


UNBALANCED = {
    "no end": f"{BEGIN}\nx = 1",
    "no begin": f"x = 1\n{END}",
    "end first": f"{END}\nx = 1\n{BEGIN}",
    "the first end forgotten": f"{BEGIN}\na\nkeep = 1\n{BEGIN}\nb\n{END}",
    "the second begin forgotten": f"{BEGIN}\na\n{END}\nb\n{END}",
    "nested": f"{BEGIN}\n{BEGIN}\na\n{END}\n{END}",
    "one hash": "# BEGIN SOLUTION\nx\n# END SOLUTION",
    "lower case": "### begin solution\nx\n### end solution",
    "after code": f"x = 1  {BEGIN}\ny\n{END}",
    "words after it": f"{BEGIN} of 90.1\ny\n{END}",
    "windows line ends": f"{BEGIN}\r\nx\r\n{END}\r\n",
}


@pytest.mark.parametrize("source", UNBALANCED.values(), ids=UNBALANCED.keys())
def test_a_marker_without_its_partner_is_an_error(source: str) -> None:
    with pytest.raises(DeriveError, match=r"^solutions/x\.ipynb, cell a: a solution marker has no partner; write ###"):
        cut_answer(source, "solutions/x.ipynb, cell a")


LINE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
LINES = st.lists(LINE, max_size=4)


@settings(deadline=None, max_examples=150)
@given(before=LINES, solution=LINES, after=LINES, indent=st.sampled_from(["", "    ", "\t", "        "]))
def test_only_what_stands_between_the_markers_changes(before, solution, after, indent) -> None:
    assume(not any("SOLUTION" in line.upper() for line in [*before, *solution, *after]))
    secret = [f"{indent}SECRET{line}" for line in solution]
    source = "\n".join([*before, indent + BEGIN, *secret, indent + END, *after])
    place = [indent + PLACE, *([f"{indent}raise NotImplementedError"] if indent else [])]
    cut = cut_answer(source, "here")
    assert cut == "\n".join([*before, *place, *after]).rstrip("\n")
    assert "SECRET" not in cut


@settings(deadline=None, max_examples=150)
@given(pieces=st.lists(st.sampled_from([BEGIN, END, "    " + BEGIN, "    " + END, "SECRET", "keep"]), max_size=8))
def test_markers_in_any_order_give_no_secret_away(pieces: list[str]) -> None:
    """A line SECRET stands for a solution exactly when it stands after a begin that has its end."""
    inside, balanced, keeps = False, True, 0
    lines = []
    for piece in pieces:
        if BEGIN in piece or END in piece:
            balanced &= inside == (END in piece)
            inside = BEGIN in piece
        elif piece == "SECRET" and not inside:
            continue  # outside a block nothing is secret
        keeps += piece == "keep" and not inside
        lines.append(piece)
    if inside or not balanced:
        with pytest.raises(DeriveError):
            cut_answer("\n".join(lines), "here")
    else:
        cut = cut_answer("\n".join(lines), "here")
        assert "SECRET" not in cut and cut.split("\n").count("keep") == keeps


def test_exercises_hold_no_answer_and_no_output(course: manifest.Course) -> None:
    lesson = course.lesson("90")
    solution = notebook_files.read(course.solution(lesson))
    exercise = generate.exercise_from(solution, course, lesson)
    assert [cell.id for cell in exercise.cells] == [
        "header", "progress", "setup", "task-90-1", "answer-90-1", "task-90-2", "answer-90-2", "footer",
    ]  # fmt: skip
    sources = {cell.id: cell.source for cell in exercise.cells}
    assert sources["progress"] == 'from course_utils import check, hint, reset, status\n\nstatus("90")'
    assert sources["answer-90-2"].startswith("from course_utils import check\n")  # runs in a fresh kernel
    text = notebook_files.to_text(exercise)
    assert "aeiou" not in text and "SOLUTION" not in text and "membership" not in text
    for cell in exercise.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
    assert "aeiou" in notebook_files.to_text(solution), "the solutions are left as they are"


def test_a_broken_marker_names_its_cell(course: manifest.Course) -> None:
    lesson = course.lesson("90")
    set_source(course.solution(lesson), "answer-90-1", f"{BEGIN}\nx")
    with pytest.raises(DeriveError, match=r"^solutions/90_counting\.ipynb, cell answer-90-1: "):
        generate.exercise_from(notebook_files.read(course.solution(lesson)), course, lesson)


# --- frames and the table


def test_the_header_of_a_lesson(course: manifest.Course) -> None:
    first, second = course.lessons
    assert generate.header(course, first, "lesson") == (
        "# 90 · Counting\n\nYou count things, and nothing here needs torch.\n\n**5 minutes** · needs: nothing\n\n"
        "Afterwards you can:\n\n- count the letters of a word\n- draw a count"
    )
    assert "needs: [90 · Counting](90_counting.ipynb)" in generate.header(course, second, "lesson")


def test_the_header_of_solutions_and_exercises(course: manifest.Course) -> None:
    lesson = course.lesson("90")
    assert generate.header(course, lesson, "solutions").startswith("# Solutions 90 · Counting\n\n")
    header = generate.header(course, lesson, "exercises")
    assert "**5 minutes** · after [lesson 90](../notebooks/90_counting.ipynb)" in header
    assert "- 90.1 · Count the vowels (3 min)\n- 90.2 · Name a word (2 min)" in header
    assert 'hint("90.1")' in header and 'reset("90")' in header and "`course reset 90`" in header


def test_footers(course: manifest.Course) -> None:
    first, second = course.lessons
    assert generate.footer(course, first, "lesson") == (
        "---\nExercises: [90 · Counting](../exercises/90_counting.ipynb) · Next: [91 · Leaving](91_leaving.ipynb)"
    )
    assert generate.footer(course, second, "lesson") == "---\nPrevious: [90 · Counting](90_counting.ipynb)"
    assert generate.footer(course, first, "exercises") == (
        "---\nLesson: [90 · Counting](../notebooks/90_counting.ipynb)"
        " · Next: [91 · Leaving](../notebooks/91_leaving.ipynb)"
    )


def test_a_frame_replaces_the_old_one(course: manifest.Course) -> None:
    lesson = course.lesson("90")
    path = course.notebook(lesson)
    before = path.read_text(encoding="utf-8")
    set_source(path, "header", "old")
    tiny_course.edit(path, lambda notebook: notebook["cells"].pop())
    assert notebook_files.to_text(generate.with_frame(course, lesson, "lesson")) == before


def test_the_table_of_lessons(course: manifest.Course) -> None:
    text = generate.readme_with_table("a\n<!-- lessons -->\nold\n<!-- /lessons -->\nb\\1", course)
    assert text == (
        "a\n<!-- lessons -->\n"
        "| lesson | minutes | afterwards you can | exercises |\n"
        "|---|---|---|---|\n"
        "| [90 · Counting](notebooks/90_counting.ipynb) | 5 | count the letters of a word; draw a count "
        "| [2 (5 min)](exercises/90_counting.ipynb) |\n"
        "| [91 · Leaving](notebooks/91_leaving.ipynb) | 2 | stop counting | – |\n"
        "<!-- /lessons -->\nb\\1"
    )
    assert generate.readme_with_table(text, course) == text


def test_a_readme_without_markers_is_an_error(course: manifest.Course) -> None:
    with pytest.raises(DeriveError, match=r"README\.md: the markers .* are missing; put them back"):
        generate.readme_with_table("# Course", course)


def test_derived_files_are_what_is_committed() -> None:
    names = []
    for path, text in generate.derived_files(manifest.load(HOME)):
        assert path.read_text(encoding="utf-8") == text
        names.append(path.relative_to(HOME.resolve()).as_posix())
    assert names == [
        f"notebooks/{COUNTING}", f"solutions/{COUNTING}", f"exercises/{COUNTING}", "notebooks/91_leaving.ipynb",
        "README.md",
    ]  # fmt: skip


# --- canonical form

CELL_FILE = "/" + f"tmp/ipykernel_{77}/123.py"  # put together here, so that no tracked file holds such a path


def messy() -> nbformat.NotebookNode:
    """A notebook as JupyterLab leaves it."""
    output = v4.new_output
    cell = v4.new_code_cell("print(1)\n\n", execution_count=1, id="a")
    cell.metadata = nbformat.from_dict({"tags": ["shows-warning"], "execution": {"iopub.status.busy": "2026"}})
    cell.outputs = [
        output("stream", name="stdout", text="one "),
        output("stream", name="stderr", text=f"{CELL_FILE}:1: UserWarning: x\n"),
        output("stream", name="stdout", text="two at 0x7f1234567890\n"),
        output("display_data", {"text/plain": "<A at 0x7f1234567890>", "image/png": "aGk="}, metadata={"needs": 1}),
        output("error", ename="E", evalue="in /a/site-packages/x.py", traceback=[CELL_FILE]),
    ]
    text = v4.new_markdown_cell("# Title\n", id="b")
    text.metadata = nbformat.from_dict({"editable": True, "tags": []})
    language = {"name": "python", "version": "3.11.7"}
    metadata = {"kernelspec": {"name": "my-venv", "display_name": "mine"}, "language_info": language}
    return v4.new_notebook(cells=[cell, text], metadata=metadata, nbformat_minor=5)


def test_canonical_form_keeps_what_a_reader_needs() -> None:
    notebook = notebooks.canonical(messy(), RULES)
    cell, text = notebook.cells
    assert notebook.metadata == notebooks._METADATA
    assert (cell.id, cell.source, cell.metadata) == ("a", "print(1)", {"tags": ["shows-warning"]})
    assert (text.id, text.source, text.metadata) == ("b", "# Title", {})
    stderr, stdout, display, error = cell.outputs
    assert (stdout.name, stdout.text) == ("stdout", "one two at 0xADDR\n")
    assert (stderr.name, stderr.text) == ("stderr", "CELL.py:1: UserWarning: x\n")
    assert display.metadata == {} and display.data == {"text/plain": "<A at 0xADDR>", "image/png": "aGk="}
    assert (error.evalue, error.traceback) == ("in site-packages/x.py", ["CELL.py"])


def test_canonical_form_leaves_its_argument_alone() -> None:
    notebook = messy()
    notebooks.canonical(notebook, RULES)
    assert notebook == messy()


def test_rules_for_comparing_are_not_applied_to_what_is_stored() -> None:
    notebook = v4.new_notebook(cells=[v4.new_code_cell("1", execution_count=1)], nbformat_minor=5)
    notebook.cells[0].outputs = [v4.new_output("stream", name="stdout", text="Python 3.11.7, torch 2.15.0+cpu\n")]
    assert notebooks.canonical(notebook, RULES).cells[0].outputs[0].text == "Python 3.11.7, torch 2.15.0+cpu\n"


STREAM = st.builds(
    lambda name, text: v4.new_output("stream", name=name, text=text),
    st.sampled_from(["stdout", "stderr"]),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
    | st.sampled_from(["/tmp/ipykernel_1/", "2.py", "0x"]),
)
RESULT = st.builds(lambda text: v4.new_output("display_data", {"text/plain": text}), st.text(max_size=8))


@settings(deadline=None, max_examples=60)
@given(source=st.text(st.characters(codec="utf-8"), max_size=20), outputs=st.lists(STREAM | RESULT, max_size=5))
def test_canonical_form_is_stable(source: str, outputs: list) -> None:
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source, execution_count=1, id="a")], nbformat_minor=5)
    notebook.cells[0].outputs = outputs
    once = notebook_files.to_text(notebooks.canonical(notebook, RULES))
    again = notebook_files.to_text(notebooks.canonical(nbformat.reads(once, as_version=4), RULES))
    assert again == once and once.endswith("}\n")
    names = [x.name for x in nbformat.reads(once, as_version=4).cells[0].outputs if x.output_type == "stream"]
    assert names in ([], ["stdout"], ["stderr"], ["stderr", "stdout"])


def test_a_notebook_survives_the_way_to_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    notebook_files.write(notebooks.canonical(messy(), RULES), path)
    assert notebook_files.to_text(notebook_files.read(path)) == path.read_bytes().decode("utf-8")
    assert b"\r" not in path.read_bytes()


# --- the verbs


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_refresh_writes_only_what_differs(course: manifest.Course) -> None:
    assert run("refresh") == (0, "")
    set_source(course.root / "exercises" / COUNTING, "answer-90-2", "word = 'other'")
    (course.root / "README.md").write_text("<!-- lessons -->\n<!-- /lessons -->\n", encoding="utf-8")
    assert run("refresh") == (0, f"wrote {Path('exercises', COUNTING)}\nwrote README.md\n")
    assert run("refresh") == (0, "")


def test_run_executes_a_lesson_and_its_solutions(course: manifest.Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(course.root), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    own = course.root / "progress.json"
    monkeypatch.setenv("COURSE_PROGRESS_FILE", str(own))
    lesson, solution = course.root / "notebooks" / COUNTING, course.root / "solutions" / COUNTING
    before = {path: path.read_text(encoding="utf-8") for path in (lesson, solution)}
    set_source(lesson, "letters", 'word = "trace"\nlen(word) + 1')
    assert run("run", "90") == (0, f"running {Path('notebooks', COUNTING)}\nrunning {Path('solutions', COUNTING)}\n")
    assert tiny_course.cell(tiny_course.read(lesson), "letters")["outputs"][0]["data"]["text/plain"] == ["6"]
    assert solution.read_text(encoding="utf-8") == before[solution], "the same run gives the same bytes"
    assert "✓ 90.1 Count the vowels: passed" in before[solution]
    set_source(lesson, "letters", source_of(HOME / "notebooks" / COUNTING, "letters"))
    assert run("run", "90")[0] == 0
    clock = re.compile(r"'\d\d:\d\d:\d\d'")
    assert clock.sub("", lesson.read_text(encoding="utf-8")) == clock.sub("", before[lesson])
    assert not own.exists() and os.environ["COURSE_PROGRESS_FILE"] == str(own)


def test_run_gives_ids_to_cells_that_have_none_of_their_own(course: manifest.Course) -> None:
    notebook = tiny_course.read(course.solution(course.lesson("90")))
    before = [cell["id"] for cell in notebook["cells"]]
    tiny_course.cell(notebook, "answer-90-2")["id"] = "answer-90-1"
    for cell in [tiny_course.cell(notebook, x) for x in ("setup", "task-90-2")]:
        del cell["id"]
    after = [cell["id"] for cell in notebooks.with_ids(notebook)["cells"]]
    assert len(set(after)) == len(after)
    new = [(old, is_) for old, is_ in zip(before, after, strict=True) if old != is_]
    assert [old for old, _ in new] == ["setup", "task-90-2"], "the answer to 90.2 has its own id again"
    assert all(re.fullmatch("[0-9a-f]{8}", is_) for _, is_ in new)


def test_a_cell_that_fails_stops_the_run(course: manifest.Course) -> None:
    from nbclient.exceptions import CellExecutionError

    lesson = course.root / "notebooks" / "91_leaving.ipynb"
    set_source(lesson, "current-stop", "1 / 0")
    before = lesson.read_bytes()
    result = CliRunner().invoke(app, ["run", "91"])
    assert isinstance(result.exception, CellExecutionError) and "ZeroDivisionError" in str(result.exception)
    assert lesson.read_bytes() == before


def test_run_refuses_an_unknown_lesson(course: manifest.Course) -> None:
    code, output = run("run", "1")
    assert code == 2 and "there is no lesson 1; the lessons are 90, 91" in output
