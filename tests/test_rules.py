"""The course keeps every rule, and each rule finds the defects planted in a copy of the tiny course."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from course_utils.authoring import books, rules
from course_utils.classroom import manifest
from tests import tiny_course
from tests.tiny_course import COUNTING, ROOT, cell, edit, set_source

LESSON = f"notebooks/{COUNTING}"
SOLUTION = f"solutions/{COUNTING}"
EXERCISE = f"exercises/{COUNTING}"
BY_NAME = {rule.__name__: rule for rule in rules.RULES}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_course_keeps_its_rules(rule: rules.Rule) -> None:
    problems = rule(manifest.load(ROOT))
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_tiny_course_keeps_its_rules(rule: rules.Rule, tmp_path: Path) -> None:
    assert rule(tiny_course.copy_to(tmp_path)) == []


@dataclass(frozen=True)
class Planted:
    """A defect, the rule that must find it, and what one of its sentences must name."""

    rule: str
    name: str
    plant: Callable[[Path], object]
    names: tuple[str, ...]


PLANTED: list[Planted] = []


def plant(rule: str, *names: str) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    def register(function: Callable[[Path], object]) -> Callable[[Path], object]:
        PLANTED.append(Planted(rule, function.__name__, function, names))
        return function

    return register


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8", newline="\n")


def add_text(root: Path, text: str, cell_id: str = "count-why") -> None:
    set_source(root / LESSON, cell_id, text)


def drop(path: Path, cell_id: str) -> None:
    edit(path, lambda notebook: notebook["cells"].remove(cell(notebook, cell_id)))


def tag(path: Path, cell_id: str, *tags: str) -> None:
    edit(path, lambda notebook: cell(notebook, cell_id).update(metadata={"tags": list(tags)} if tags else {}))


# --- the files


@plant("files_agree", LESSON)
def lesson_missing(root: Path) -> None:
    (root / LESSON).unlink()


@plant("files_agree", SOLUTION)
def solution_missing(root: Path) -> None:
    (root / SOLUTION).unlink()


@plant("files_agree", EXERCISE, "make exercises")
def exercise_missing(root: Path) -> None:
    (root / EXERCISE).unlink()


@plant("files_agree", "notebooks/92_more.ipynb")
def stray_notebook(root: Path) -> None:
    (root / "notebooks" / "92_more.ipynb").write_text("{}", encoding="utf-8")


@plant("files_agree", "solutions/model.pt")
def stray_model(root: Path) -> None:
    (root / "solutions" / "model.pt").write_bytes(b"")


@plant("files_agree", "exercises/91_leaving.ipynb")
def exercises_of_a_lesson_without(root: Path) -> None:
    (root / "exercises" / "91_leaving.ipynb").write_text("{}", encoding="utf-8")


@plant("derived_files_agree", LESSON, "make exercises")
def header_edited(root: Path) -> None:
    set_source(root / LESSON, "header", "# Something else")


@plant("derived_files_agree", SOLUTION)
def footer_missing(root: Path) -> None:
    drop(root / SOLUTION, "footer")


@plant("derived_files_agree", EXERCISE)
def exercise_edited(root: Path) -> None:
    set_source(root / EXERCISE, "answer-90-2", "word = 'trace'")


@plant("derived_files_agree", "README.md")
def table_edited(root: Path) -> None:
    replace(root / "README.md", "| 5 |", "| 6 |")


@plant("derived_files_agree", "README.md", "<!-- lessons -->")
def table_markers_gone(root: Path) -> None:
    replace(root / "README.md", "<!-- /lessons -->", "")


@plant("derived_files_agree", EXERCISE)
def windows_line_ends(root: Path) -> None:
    (root / EXERCISE).write_bytes((root / EXERCISE).read_bytes().replace(b"\n", b"\r\n"))


@plant("derived_files_agree", COUNTING, "cannot be read")
def source_missing(root: Path) -> None:
    (root / SOLUTION).unlink()


@plant("derived_files_agree", "cell answer-90-2", "END SOLUTION")
def marker_without_partner(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-2", "### BEGIN SOLUTION\nword = 'trace'")


@plant("notebooks_are_canonical", f"{LESSON}, line 2", "make run LESSON=90")
def another_indent(root: Path) -> None:
    notebook = tiny_course.read(root / LESSON)
    (root / LESSON).write_text(json.dumps(notebook, indent=2) + "\n", encoding="utf-8")


@plant("notebooks_are_canonical", LESSON, "make run LESSON=90")
def kernel_metadata(root: Path) -> None:
    edit(root / LESSON, lambda notebook: notebook["metadata"].update(widgets={}))


@plant("notebooks_are_canonical", LESSON)
def machine_path_in_an_output(root: Path) -> None:
    output = {"name": "stdout", "output_type": "stream", "text": [f"/opt/ipykernel_{12}/34.py:1\n"]}
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[output]))


@plant("notebooks_are_canonical", f"{EXERCISE}, line 2", "make exercises")
def exercise_another_indent(root: Path) -> None:
    notebook = tiny_course.read(root / EXERCISE)
    (root / EXERCISE).write_text(json.dumps(notebook, indent=2) + "\n", encoding="utf-8")


@plant("outputs_are_expected", f"{LESSON}, cell letters", "never run")
def cell_not_run(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(execution_count=None, outputs=[]))


@plant("notebooks_are_canonical", f"{SOLUTION}, cell answer-90-1", "7 and not 2")
def cells_run_out_of_order(root: Path) -> None:
    edit(root / SOLUTION, lambda notebook: cell(notebook, "answer-90-1").update(execution_count=7))


@plant("outputs_are_expected", f"{LESSON}, cell letters", "id")
def id_twice(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "clock").update(id="letters"))


@plant("notebooks_are_canonical", f"{LESSON}, cell 'The_Clock'")
def id_with_capitals(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "clock").update(id="The_Clock"))


@plant("notebooks_are_canonical", f"{EXERCISE}, cell setup", "make exercises")
def exercise_was_run(root: Path) -> None:
    edit(root / EXERCISE, lambda notebook: cell(notebook, "setup").update(execution_count=1))


@plant("notebooks_are_canonical", LESSON, "JSONDecodeError")
def no_notebook(root: Path) -> None:
    (root / LESSON).write_text("<<<<<<< HEAD", encoding="utf-8")


@plant("notebooks_are_canonical", LESSON, "not a valid notebook")
def invalid_notebook(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[{"output_type": "poem"}]))


# --- the exercises


@plant("exercises_are_complete", SOLUTION, "exercise 90.1 has 0 cells")
def answer_cell_missing(root: Path) -> None:
    drop(root / SOLUTION, "answer-90-1")


@plant("exercises_are_complete", f"{SOLUTION}, cell setup", "no exercise 90.3")
def answer_cell_too_many(root: Path) -> None:
    edit(root / SOLUTION, lambda notebook: cell(notebook, "setup").update(source='check("90.3", 1)'))


@plant("exercises_are_complete", "cell answer-90-2", "### BEGIN SOLUTION")
def answer_not_marked(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-2", 'word = "trace"\ncheck("90.2", word)')


@plant("exercises_are_complete", "cell answer-90-2", "### BEGIN SOLUTION")
def answer_end_before_begin(root: Path) -> None:
    source = '### END SOLUTION\nword = "trace"\n### BEGIN SOLUTION\ncheck("90.2", word)'
    set_source(root / SOLUTION, "answer-90-2", source)


@plant("exercises_are_complete", SOLUTION, "exercise 90.2 has 0 cells")
def answer_not_checked(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-2", 'word = ...\n### BEGIN SOLUTION\nword = "trace"\n### END SOLUTION')


@plant("exercises_are_complete", SOLUTION, "exercise 90.1 has 2 cells")
def answer_checked_as_another(root: Path) -> None:
    replace(root / SOLUTION, 'check(\\"90.2\\"', 'check(\\"90.1\\"')


@plant("exercises_are_complete", "cell answer-90-2", "## 90.2 · Name a word")
def heading_differs(root: Path) -> None:
    set_source(root / SOLUTION, "task-90-2", "## 90.2 · Name some word")


@plant("exercises_are_complete", "cell answer-90-2", "heading")
def heading_of_another(root: Path) -> None:
    set_source(root / SOLUTION, "task-90-2", "## 90.2 · Name a word\n\n### Details")


@plant("exercises_are_complete", f"{LESSON}, cell letters", "worked answer")
def solution_block_in_a_lesson(root: Path) -> None:
    set_source(root / LESSON, "letters", "### BEGIN SOLUTION\nlen(word)\n### END SOLUTION")


@plant("exercises_are_complete", f"{SOLUTION}, cell setup", "worked answer")
def solution_block_elsewhere(root: Path) -> None:
    set_source(root / SOLUTION, "setup", "### BEGIN SOLUTION\nimport math\n### END SOLUTION")


@plant("exercises_are_complete", "'90.3'", "checks/lesson_90.py")
def no_check(root: Path) -> None:
    replace(
        root / "course.toml",
        '[[lessons]]\nid = "91"',
        '[[lessons.exercises]]\nid = "90.3"\ntitle = "Last"\nminutes = 1\nhints = ["a", "b"]\n\n[[lessons]]\nid = "91"',
    )


@plant("exercises_are_complete", "exercise 90.1", "4 hints")
def too_many_hints(root: Path) -> None:
    replace(root / "course.toml", '"A text can be looped over."', '"a", "b", "c"')


@plant("nothing_is_left_to_write", "course.toml, line 15")
def hint_not_written(root: Path) -> None:
    replace(root / "course.toml", '"A text can be looped over."', '"Replace this hint: name a part of lesson 90."')


@plant("nothing_is_left_to_write", SOLUTION)
def answer_not_written(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-2", "return x  # replace this line with the worked answer")


# --- links


@plant("named_commands_exist", "README.md, line 3", "make refresh")
def make_target_gone(root: Path) -> None:
    replace(root / "README.md", "# A tiny course", "# A tiny course\n\nThen run " + "make refresh.")


@plant("named_commands_exist", "README.md, line 3", "make refresh")
def make_target_gone_after_a_colon(root: Path) -> None:
    replace(root / "README.md", "# A tiny course", "# A tiny course\n\nTo install: " + "make refresh")


@plant("named_commands_exist", LESSON, "course statistics")
def course_command_gone(root: Path) -> None:
    add_text(root, "Look at `" + "course statistics`.")


@plant("named_commands_exist", "fixture_checks.py, line 2", "course_utils.authoring bench")
def authoring_command_gone(root: Path) -> None:
    (root / "fixture_checks.py").write_text("#\n# python -m " + "course_utils.authoring bench\n", encoding="utf-8")


@plant("named_commands_exist", "Makefile", "course_utils.authoring bench")
def recipe_of_a_command_gone(root: Path) -> None:
    (root / "Makefile").write_text("lab:\n\tpython -m " + "course_utils.authoring bench\n", encoding="utf-8")


@plant("links_lead_somewhere", f"{LESSON}, cell count-why", "95_gone.ipynb")
def link_to_nothing(root: Path) -> None:
    add_text(root, "See [this](95_gone.ipynb).")


@plant("links_lead_somewhere", "../../secret.txt")
def link_out_of_the_repository(root: Path) -> None:
    (root.parent / "secret.txt").write_text("", encoding="utf-8")
    add_text(root, "See [this](../../secret.txt).")


@plant("links_lead_somewhere", "91_leaving.ipynb#Summary")
def anchor_to_nothing(root: Path) -> None:
    add_text(root, "See [this](91_leaving.ipynb#Summary).")


@plant("links_lead_somewhere", "README.md", "#somewhere")
def anchor_in_the_readme(root: Path) -> None:
    replace(root / "README.md", "# A tiny course", "# A tiny course\n\n[there](#somewhere)")


@plant("links_lead_somewhere", "README.md", "docs/more.md")
def image_in_the_readme(root: Path) -> None:
    replace(root / "README.md", "# A tiny course", "# A tiny course\n\n[more]: docs/more.md")


@plant("links_lead_somewhere", "figure.png")
def html_image_to_nothing(root: Path) -> None:
    add_text(root, '<img alt="a bar" src="figure.png">')


@plant("links_lead_somewhere", "https://example.com/blog")
def link_to_a_blog(root: Path) -> None:
    add_text(root, "See [this](https://example.com/blog).")


@plant("links_lead_somewhere", "http://pytorch.org/docs")
def link_without_tls(root: Path) -> None:
    add_text(root, "See <http://pytorch.org/docs>.")


@plant("links_lead_somewhere", "https://github.com/pytorch/pytorch/blob/main/README.md")
def link_to_a_file_on_github(root: Path) -> None:
    add_text(root, "See https://github.com/pytorch/pytorch/blob/main/README.md.")


@plant("links_lead_somewhere", "https://evil.org/docs.pytorch.org")
def link_host_in_the_path(root: Path) -> None:
    add_text(root, "See https://evil.org/docs.pytorch.org.")


@plant("links_lead_somewhere", f"{LESSON}, cell letters", "https://example.com/data.csv")
def address_in_code(root: Path) -> None:
    set_source(root / LESSON, "letters", 'url = "https://example.com/data.csv"')


# --- paths, cells that are not compared, README


@plant("nothing_names_a_machine", "fixture_checks.py, line 1", "registry")
def registry_host(root: Path) -> None:
    host = ".".join(("pypi", "org"))
    (root / "fixture_checks.py").write_text(f"# https://{host}/simple\n", encoding="utf-8")


@plant("nothing_names_a_machine", "tests/note.txt, line 1", "machine")
def machine_path(root: Path) -> None:
    (root / "tests" / "note.txt").write_text("see " + "/".join(("", "work", "main")), encoding="utf-8")


@plant("nothing_names_a_machine", "tests/note.txt, line 2", "machine")
def path_of_this_checkout(root: Path) -> None:
    (root / "tests" / "note.txt").write_text(f"it is in\n{root / 'tests'}", encoding="utf-8")


@plant("nothing_names_a_machine", f"{LESSON}, cell letters", "/home/a")
def home_in_an_output(root: Path) -> None:
    output = {"name": "stdout", "output_type": "stream", "text": [" /home/ada/model.pt\n"]}
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[output]))


@plant("nothing_names_a_machine", f"{LESSON}, cell letters", "C:\\Users")
def windows_home_in_html(root: Path) -> None:
    data = {"text/html": ["<b>C:\\Users\\ada</b>"], "text/plain": ["x"]}
    output = {"data": data, "execution_count": 1, "metadata": {}, "output_type": "execute_result"}
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[output]))


@plant("uncompared_cells_are_listed", f"{LESSON}, cell letters")
def tag_not_listed(root: Path) -> None:
    tag(root / LESSON, "letters", "nbval-ignore-output")


@plant("uncompared_cells_are_listed", f"{LESSON}, cell clock", "not tagged")
def listed_not_tagged(root: Path) -> None:
    tag(root / LESSON, "clock")


@plant("uncompared_cells_are_listed", f"{LESSON}, cell watch")
def listed_cell_gone(root: Path) -> None:
    replace(root / "tests" / "uncompared.toml", '"clock"', '"watch"')


@plant("uncompared_cells_are_listed", f"{LESSON}, cell clock", "reason")
def reason_too_short(root: Path) -> None:
    replace(
        root / "tests" / "uncompared.toml", "prints the time of day, which is another one in each run", "it changes"
    )


@plant("uncompared_cells_are_listed", "tests/uncompared.toml")
def ledger_no_toml(root: Path) -> None:
    (root / "tests" / "uncompared.toml").write_text("[[cell]", encoding="utf-8")


@plant("readme_is_true", "README.md", "make test")
def command_missing(root: Path) -> None:
    replace(root / "README.md", "make test", "make proof")


@plant("readme_is_true", "README.md", "data")
def entry_not_in_the_layout(root: Path) -> None:
    (root / "data").mkdir()
    (root / "data" / "words.txt").write_text("trace", encoding="utf-8")


@plant("readme_is_true", "README.md", "section", "missing")
def layout_missing(root: Path) -> None:
    replace(root / "README.md", "## How this repository is laid out", "## Layout")


@plant("readme_is_true", "README.md", "exercises")
def entry_named_elsewhere_only(root: Path) -> None:
    replace(root / "README.md", ", `exercises/`", "")
    replace(root / "README.md", "## How this", "exercises/ hold the exercises.\n\n## How this")


@plant("readme_is_true", "README.md", "does not exist")
def readme_missing(root: Path) -> None:
    (root / "README.md").unlink()


# --- how a lesson reads


@plant("cells_fit_a_screen", f"{LESSON}, cell letters", "26 lines")
def long_cell(root: Path) -> None:
    set_source(root / LESSON, "letters", "\n".join("pass" for _ in range(26)))


@plant("cells_fit_a_screen", f"{SOLUTION}, cell answer-90-1", "46 lines")
def long_answer(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-1", "\n".join("pass" for _ in range(46)))


@plant("cells_fit_a_screen", f"{LESSON}, cell letters, line 2", "101")
def long_line(root: Path) -> None:
    set_source(root / LESSON, "letters", "x = 1\n" + "x" * 101)


@plant("prose_is_calm", f"{LESSON}, cell count-why", "' image It works'")
def exclamation_mark(root: Path) -> None:
    add_text(root, "`not this!` ![image](x.png) It works!")


@plant("prose_is_calm", f"{LESSON}, cell count-why", "'Simply'")
def says_simply(root: Path) -> None:
    add_text(root, "Simply count.")


@plant("prose_is_calm", f"{SOLUTION}, cell why-90-1", "'just'")
def says_just(root: Path) -> None:
    set_source(root / SOLUTION, "why-90-1", "It is just a count.")


@plant("minutes_follow_from_length", "lesson 90", "says 60 minutes")
def a_lesson_that_claims_an_hour(root: Path) -> None:
    replace(root / "course.toml", "minutes = 5", "minutes = 60")


@plant("lessons_have_their_sections", LESSON, "In current PyTorch", "missing")
def nothing_on_current_pytorch(root: Path) -> None:
    set_source(root / LESSON, "current", "## Today")


@plant("lessons_have_their_sections", LESSON, "In current PyTorch", "code cell")
def current_pytorch_not_run(root: Path) -> None:
    drop(root / LESSON, "current-count")


@plant("lessons_have_their_sections", LESSON, "Recap", "missing")
def no_recap(root: Path) -> None:
    drop(root / LESSON, "recap")


@plant("lessons_have_their_sections", LESSON, "Recap", "table")
def recap_without_a_table(root: Path) -> None:
    set_source(root / LESSON, "recap", "## Recap\n\nCount | and stop.")


@plant("lessons_have_their_sections", LESSON, "footer")
def lesson_without_a_footer(root: Path) -> None:
    drop(root / LESSON, "footer")


@plant("figures_have_captions", LESSON, "no figure")
def no_figure(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "bar").update(outputs=[]))


@plant("figures_have_captions", f"{LESSON}, cell bar")
def no_caption(root: Path) -> None:
    set_source(root / LESSON, "bar-caption", "A bar.")


@plant("figures_have_captions", f"{LESSON}, cell letters")
def no_caption_for_a_drawing_in_html(root: Path) -> None:
    output = {"data": {"text/html": "<div><svg></svg></div>"}, "metadata": {}, "output_type": "display_data"}
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[output]))


@plant("figures_have_captions", f"{LESSON}, cell count-why", "bar.png")
def image_without_alt_text(root: Path) -> None:
    add_text(root, "![](bar.png)")


@plant("figures_have_captions", f"{LESSON}, cell count-why", "bar.png")
def html_image_without_alt_text(root: Path) -> None:
    add_text(root, '<img src="bar.png" alt="">')


@plant("figures_have_captions", f"{LESSON}, cell bar", "alternative text")
def picture_without_alternative_text(root: Path) -> None:
    data = {"image/png": "iVBO", "text/plain": "<Figure>"}
    edit(root / LESSON, lambda notebook: cell(notebook, "bar")["outputs"][0].update(data=data))


@plant("figures_have_captions", f"{LESSON}, cell count-why", "accTitle")
def diagram_without_a_title(root: Path) -> None:
    add_text(root, "```mermaid\nflowchart LR\n  a --> b\n```")


@plant("outputs_are_expected", f"{LESSON}, cell warning", "shows-warning")
def warning_not_tagged(root: Path) -> None:
    tag(root / LESSON, "warning")


@plant("outputs_are_expected", f"{LESSON}, cell error", "raises-exception")
def error_not_tagged(root: Path) -> None:
    tag(root / LESSON, "error")


@plant("outputs_are_expected", f"{LESSON}, cell letters", "shows-warning")
def warning_tag_not_needed(root: Path) -> None:
    tag(root / LESSON, "letters", "shows-warning")


@plant("outputs_are_expected", f"{SOLUTION}, cell setup", "raises-exception")
def error_tag_not_needed(root: Path) -> None:
    tag(root / SOLUTION, "setup", "raises-exception")


@plant("outputs_are_expected", f"{LESSON}, cell letters", "'raises_exception'")
def tag_misspelt(root: Path) -> None:
    tag(root / LESSON, "letters", "raises_exception")


@plant("outputs_are_expected", f"{LESSON}, cell letters", "compare_speed")
def timing_magic(root: Path) -> None:
    set_source(root / LESSON, "letters", "%%timeit\nlen(word)")


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted.rule}-{planted.name}")
def test_a_planted_defect_is_found(planted: Planted, tmp_path: Path) -> None:
    root = tmp_path / "course"
    tiny_course.copy_to(root)
    planted.plant(root)
    manifest._load.cache_clear()
    problems = BY_NAME[planted.rule](manifest.load(root))
    assert any(all(name in problem for name in planted.names) for problem in problems), "\n".join(problems)


def test_every_rule_has_a_planted_defect() -> None:
    assert {planted.rule for planted in PLANTED} == set(BY_NAME)


# --- what a rule must let pass


ALLOWED_TEXT = """
A fence with a link, an exclamation mark and a word:

```python
# [a link](nowhere.md)
assert a != b  # just simply!
```

Inline `x != y`, a formula $n! = n \\cdot (n-1)!$, a comment <!-- just! -->, an image
![a bar, five units long](../README.md), [an anchor](#recap), [Jupyter's form](90_counting.ipynb#In-current-PyTorch),
[a file](../fixture_checks.py), [a folder](../tests), <https://docs.pytorch.org/docs/stable/jit.html>,
https://github.com/pytorch/pytorch/issues/12345, and adjust, justice.
"""


@pytest.mark.parametrize("rule", ["links_lead_somewhere", "prose_is_calm", "figures_have_captions"])
def test_good_text_passes(rule: str, tmp_path: Path) -> None:
    course = tiny_course.copy_to(tmp_path)
    add_text(tmp_path, ALLOWED_TEXT)
    assert BY_NAME[rule](course) == []


def test_a_learners_own_files_are_no_strays(tmp_path: Path) -> None:
    course = tiny_course.copy_to(tmp_path)
    for name in ("exercises/kept/90_counting.x.ipynb", "notebooks/.ipynb_checkpoints/90_counting-checkpoint.ipynb"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert BY_NAME["files_agree"](course) == []


def test_a_timing_magic_may_be_listed(tmp_path: Path) -> None:
    course = tiny_course.copy_to(tmp_path)
    set_source(tmp_path / LESSON, "clock", "%timeit len(word)")
    assert BY_NAME["outputs_are_expected"](course) == []


def git(root: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, env=environment)


def test_git_decides_what_is_tracked(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("progress.json\n", encoding="utf-8")
    for name in ("tracked.md", "new.md", "progress.json"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "tracked.md")
    names = [path.name for path in books.tracked_files(tmp_path)]
    assert names == [".gitignore", "new.md", "tracked.md"]


def test_without_git_made_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("README.md", ".venv/a.py", "x/__pycache__/b.pyc", "exercises/kept/c.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert [path.name for path in books.tracked_files(tmp_path)] == ["README.md"]
