"""The contract: the course keeps every rule, and each rule finds the defects planted in a copy of the tiny course."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from course_utils.authoring import rules
from course_utils.classroom import manifest
from tests import tiny_course
from tests.tiny_course import COUNTING, ROOT, cell, edit, set_source

LESSON = f"notebooks/{COUNTING}"
SOLUTION = f"solutions/{COUNTING}"
EXERCISE = f"exercises/{COUNTING}"


@pytest.mark.skipif(not (ROOT / "course.toml").exists(), reason="course.toml is not written yet")
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_course_keeps_the_contract(rule: rules.Rule) -> None:
    problems = rule(manifest.load(ROOT))
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_tiny_course_keeps_the_contract(rule: rules.Rule, tmp_path: Path) -> None:
    assert rule(tiny_course.copy_to(tmp_path)) == []


@dataclass(frozen=True)
class Planted:
    """A defect, the rule that must find it, and what the rule must say."""

    rule: rules.Rule
    name: str
    plant: Callable[[Path], object]
    says: str


PLANTED: list[Planted] = []


def plant(rule: rules.Rule, says: str) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    def register(function: Callable[[Path], object]) -> Callable[[Path], object]:
        PLANTED.append(Planted(rule, function.__name__, function, says))
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


@plant(rules.files_agree, f"{LESSON}: course.toml names it and it is not there; write it")
def lesson_missing(root: Path) -> None:
    (root / LESSON).unlink()


@plant(rules.files_agree, f"{SOLUTION}: course.toml names it and it is not there; write it")
def solution_missing(root: Path) -> None:
    (root / SOLUTION).unlink()


@plant(rules.files_agree, f"{EXERCISE}: course.toml names it and it is not there; run make refresh")
def exercise_missing(root: Path) -> None:
    (root / EXERCISE).unlink()


@plant(rules.files_agree, "notebooks/92_more.ipynb: course.toml does not name it; add it there, or delete the file")
def stray_notebook(root: Path) -> None:
    (root / "notebooks" / "92_more.ipynb").write_text("{}", encoding="utf-8")


@plant(rules.files_agree, "solutions/model.pt: course.toml does not name it")
def stray_model(root: Path) -> None:
    (root / "solutions" / "model.pt").write_bytes(b"")


@plant(rules.files_agree, "exercises/91_leaving.ipynb: course.toml does not name it")
def exercises_of_a_lesson_without(root: Path) -> None:
    (root / "exercises" / "91_leaving.ipynb").write_text("{}", encoding="utf-8")


@plant(rules.derived_files_agree, f"{LESSON}: differs from what it is made from; run make refresh")
def header_edited(root: Path) -> None:
    set_source(root / LESSON, "header", "# Something else")


@plant(rules.derived_files_agree, f"{SOLUTION}: differs from what it is made from")
def footer_missing(root: Path) -> None:
    drop(root / SOLUTION, "footer")


@plant(rules.derived_files_agree, f"{EXERCISE}: differs from what it is made from")
def exercise_edited(root: Path) -> None:
    set_source(root / EXERCISE, "answer-90-2", "word = 'trace'")


@plant(rules.derived_files_agree, "README.md: differs from what it is made from")
def table_edited(root: Path) -> None:
    replace(root / "README.md", "| 5 |", "| 6 |")


@plant(rules.derived_files_agree, "README.md: the markers <!-- lessons -->")
def table_markers_gone(root: Path) -> None:
    replace(root / "README.md", "<!-- /lessons -->", "")


@plant(rules.derived_files_agree, f"{EXERCISE}: differs")
def windows_line_ends(root: Path) -> None:
    (root / EXERCISE).write_bytes((root / EXERCISE).read_bytes().replace(b"\n", b"\r\n"))


@plant(rules.derived_files_agree, f"{COUNTING}: cannot be read; write it, then run make refresh")
def source_missing(root: Path) -> None:
    (root / SOLUTION).unlink()


@plant(rules.derived_files_agree, "cell answer-90-2: a solution marker has no partner")
def marker_without_partner(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-2", "### BEGIN SOLUTION\nword = 'trace'")


@plant(rules.notebooks_are_canonical, f"{LESSON}, line 2: it is not in canonical form; run make run LESSON=90")
def another_indent(root: Path) -> None:
    notebook = tiny_course.read(root / LESSON)
    (root / LESSON).write_text(json.dumps(notebook, indent=2) + "\n", encoding="utf-8")


@plant(rules.notebooks_are_canonical, "it is not in canonical form; run make run LESSON=90")
def kernel_metadata(root: Path) -> None:
    edit(root / LESSON, lambda notebook: notebook["metadata"].update(widgets={}))


@plant(rules.notebooks_are_canonical, "it is not in canonical form")
def machine_path_in_an_output(root: Path) -> None:
    output = {"name": "stdout", "output_type": "stream", "text": [f"/opt/ipykernel_{12}/34.py:1\n"]}
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[output]))


@plant(rules.notebooks_are_canonical, f"{EXERCISE}, line 2: it is not in canonical form; run make refresh")
def exercise_another_indent(root: Path) -> None:
    notebook = tiny_course.read(root / EXERCISE)
    (root / EXERCISE).write_text(json.dumps(notebook, indent=2) + "\n", encoding="utf-8")


@plant(rules.notebooks_are_canonical, f"{LESSON}, cell letters: its execution count is None and not 1")
def cell_not_run(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(execution_count=None, outputs=[]))


@plant(rules.notebooks_are_canonical, f"{SOLUTION}, cell answer-90-1: its execution count is 7 and not 2")
def cells_run_out_of_order(root: Path) -> None:
    edit(root / SOLUTION, lambda notebook: cell(notebook, "answer-90-1").update(execution_count=7))


@plant(rules.notebooks_are_canonical, f"{LESSON}, cell 'letters': the id stands twice")
def id_twice(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "clock").update(id="letters"))


@plant(rules.notebooks_are_canonical, f"{LESSON}, cell 'The_Clock': an id is lower case words joined by -")
def id_with_capitals(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "clock").update(id="The_Clock"))


@plant(rules.notebooks_are_canonical, f"{EXERCISE}, cell setup: an exercise holds no output; run make refresh")
def exercise_was_run(root: Path) -> None:
    edit(root / EXERCISE, lambda notebook: cell(notebook, "setup").update(execution_count=1))


@plant(rules.notebooks_are_canonical, f"{LESSON}: it is no notebook (JSONDecodeError")
def no_notebook(root: Path) -> None:
    (root / LESSON).write_text("<<<<<<< HEAD", encoding="utf-8")


@plant(rules.notebooks_are_canonical, f"{LESSON}: it is no valid notebook (")
def invalid_notebook(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[{"output_type": "poem"}]))


# --- the exercises


@plant(rules.exercises_are_complete, f"{SOLUTION}: exercise 90.1 has no cell answer-90-1; write it")
def answer_cell_missing(root: Path) -> None:
    drop(root / SOLUTION, "answer-90-1")


@plant(rules.exercises_are_complete, f"{SOLUTION}, cell answer-90-3: course.toml has no such exercise")
def answer_cell_too_many(root: Path) -> None:
    edit(root / SOLUTION, lambda notebook: cell(notebook, "setup").update(id="answer-90-3"))


@plant(rules.exercises_are_complete, "cell answer-90-2: the worked answer is not marked")
def answer_not_marked(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-2", 'word = "trace"\ncheck("90.2", word)')


@plant(rules.exercises_are_complete, "cell answer-90-2: the worked answer is not marked")
def answer_end_before_begin(root: Path) -> None:
    source = '### END SOLUTION\nword = "trace"\n### BEGIN SOLUTION\ncheck("90.2", word)'
    set_source(root / SOLUTION, "answer-90-2", source)


@plant(rules.exercises_are_complete, 'cell answer-90-2: its last line is not a check; end it with check("90.2", …)')
def answer_not_checked(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-2", 'word = ...\n### BEGIN SOLUTION\nword = "trace"\n### END SOLUTION')


@plant(rules.exercises_are_complete, "cell answer-90-2: its last line is not a check")
def answer_checked_as_another(root: Path) -> None:
    replace(root / SOLUTION, 'check(\\"90.2\\"', 'check(\\"90.1\\"')


@plant(rules.exercises_are_complete, "write ## 90.2 · Name a word above it")
def heading_differs(root: Path) -> None:
    set_source(root / SOLUTION, "task-90-2", "## 90.2 · Name some word")


@plant(rules.exercises_are_complete, "cell answer-90-2: its heading differs from course.toml")
def heading_of_another(root: Path) -> None:
    set_source(root / SOLUTION, "task-90-2", "## 90.2 · Name a word\n\n### Details")


@plant(rules.exercises_are_complete, f"{LESSON}, cell letters: only the answer cell of an exercise holds BEGIN")
def solution_block_in_a_lesson(root: Path) -> None:
    set_source(root / LESSON, "letters", "### BEGIN SOLUTION\nlen(word)\n### END SOLUTION")


@plant(rules.exercises_are_complete, f"{SOLUTION}, cell setup: only the answer cell of an exercise holds BEGIN")
def solution_block_elsewhere(root: Path) -> None:
    set_source(root / SOLUTION, "setup", "### BEGIN SOLUTION\nimport math\n### END SOLUTION")


@plant(rules.exercises_are_complete, "exercise '90.3' has no check; write one in checks/lesson_90.py")
def no_check(root: Path) -> None:
    replace(
        root / "course.toml",
        '[[lessons]]\nid = "91"',
        '[[lessons.exercises]]\nid = "90.3"\ntitle = "Last"\nminutes = 1\nhints = ["a", "b"]\n\n[[lessons]]\nid = "91"',
    )


@plant(rules.exercises_are_complete, "course.toml, exercise 90.1: has 4 hints; write 2 or 3")
def too_many_hints(root: Path) -> None:
    replace(root / "course.toml", '"A text can be looped over."', '"a", "b", "c"')


# --- links


@plant(rules.links_lead_somewhere, f"{LESSON}, cell count-why: the link 95_gone.ipynb leads to no file")
def link_to_nothing(root: Path) -> None:
    add_text(root, "See [this](95_gone.ipynb).")


@plant(rules.links_lead_somewhere, "the link ../../secret.txt leads to no file of this repository")
def link_out_of_the_repository(root: Path) -> None:
    (root.parent / "secret.txt").write_text("", encoding="utf-8")
    add_text(root, "See [this](../../secret.txt).")


@plant(rules.links_lead_somewhere, "the link 91_leaving.ipynb#Summary names no heading of 91_leaving.ipynb")
def anchor_to_nothing(root: Path) -> None:
    add_text(root, "See [this](91_leaving.ipynb#Summary).")


@plant(rules.links_lead_somewhere, "README.md: the link #somewhere names no heading of README.md")
def anchor_in_the_readme(root: Path) -> None:
    replace(root / "README.md", "# A tiny course", "# A tiny course\n\n[there](#somewhere)")


@plant(rules.links_lead_somewhere, "README.md: the link docs/more.md leads to no file")
def image_in_the_readme(root: Path) -> None:
    replace(root / "README.md", "# A tiny course", "# A tiny course\n\n[more]: docs/more.md")


@plant(rules.links_lead_somewhere, "the link figure.png leads to no file")
def html_image_to_nothing(root: Path) -> None:
    add_text(root, '<img alt="a bar" src="figure.png">')


@plant(rules.links_lead_somewhere, "the link https://example.com/blog leads to a place that may change")
def link_to_a_blog(root: Path) -> None:
    add_text(root, "See [this](https://example.com/blog).")


@plant(rules.links_lead_somewhere, "the link http://pytorch.org/docs leads to a place that may change")
def link_without_tls(root: Path) -> None:
    add_text(root, "See <http://pytorch.org/docs>.")


@plant(rules.links_lead_somewhere, "https://github.com/pytorch/pytorch/blob/main/README.md leads to a place")
def link_to_a_file_on_github(root: Path) -> None:
    add_text(root, "See https://github.com/pytorch/pytorch/blob/main/README.md.")


@plant(rules.links_lead_somewhere, "https://evil.org/docs.pytorch.org leads to a place")
def link_host_in_the_path(root: Path) -> None:
    add_text(root, "See https://evil.org/docs.pytorch.org.")


@plant(rules.links_lead_somewhere, f"{LESSON}, cell letters: the link https://example.com/data.csv leads to a place")
def address_in_code(root: Path) -> None:
    set_source(root / LESSON, "letters", 'url = "https://example.com/data.csv"')


# --- paths, the ledger, floors, README


@plant(rules.nothing_names_a_machine, "fixture_checks.py, line 1: names the registry")
def registry_host(root: Path) -> None:
    host = ".".join(("pypi", "org"))
    (root / "fixture_checks.py").write_text(f"# https://{host}/simple\n", encoding="utf-8")


@plant(rules.nothing_names_a_machine, "names a path of one machine")
def machine_path(root: Path) -> None:
    (root / "tests" / "note.txt").write_text("see " + "/".join(("", "work", "main")), encoding="utf-8")


@plant(rules.nothing_names_a_machine, "tests/note.txt, line 2: names a path of one machine")
def path_of_this_checkout(root: Path) -> None:
    (root / "tests" / "note.txt").write_text(f"it is in\n{root / 'tests'}", encoding="utf-8")


@plant(rules.nothing_names_a_machine, f"{LESSON}, cell letters: its output names a home")
def home_in_an_output(root: Path) -> None:
    output = {"name": "stdout", "output_type": "stream", "text": [" /home/ada/model.pt\n"]}
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[output]))


@plant(rules.nothing_names_a_machine, f"{LESSON}, cell letters: its output names a home")
def windows_home_in_html(root: Path) -> None:
    data = {"text/html": ["<b>C:\\Users\\ada</b>"], "text/plain": ["x"]}
    output = {"data": data, "execution_count": 1, "metadata": {}, "output_type": "execute_result"}
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[output]))


@plant(rules.ledger_agrees, f"{LESSON}, cell 'letters': tagged nbval-ignore-output but not in tests/")
def tag_not_listed(root: Path) -> None:
    tag(root / LESSON, "letters", "nbval-ignore-output")


@plant(rules.ledger_agrees, f"{LESSON}, cell 'clock': listed in tests/uncompared.toml but not tagged")
def listed_not_tagged(root: Path) -> None:
    tag(root / LESSON, "clock")


@plant(rules.ledger_agrees, "listed in tests/uncompared.toml, but there is no such cell")
def listed_cell_gone(root: Path) -> None:
    replace(root / "tests" / "uncompared.toml", '"clock"', '"watch"')


@plant(rules.ledger_agrees, f"{LESSON}, cell clock: its reason in tests/uncompared.toml is too short")
def reason_too_short(root: Path) -> None:
    replace(
        root / "tests" / "uncompared.toml", "prints the time of day, which is another one in each run", "it changes"
    )


@plant(rules.ledger_agrees, "tests/uncompared.toml: cannot be compared with the notebooks")
def ledger_no_toml(root: Path) -> None:
    (root / "tests" / "uncompared.toml").write_text("[[cell]", encoding="utf-8")


@plant(rules.readme_is_true, "README.md: the command make test is missing; give it")
def command_missing(root: Path) -> None:
    replace(root / "README.md", "make test", "make proof")


@plant(rules.readme_is_true, "does not name data; add it")
def entry_not_in_the_layout(root: Path) -> None:
    (root / "data").mkdir()
    (root / "data" / "words.txt").write_text("trace", encoding="utf-8")


@plant(rules.readme_is_true, "the section 'How this repository is laid out' is missing; write it")
def layout_missing(root: Path) -> None:
    replace(root / "README.md", "## How this repository is laid out", "## Layout")


@plant(rules.readme_is_true, "does not name exercises; add it")
def entry_named_elsewhere_only(root: Path) -> None:
    replace(root / "README.md", ", `exercises/`", "")
    replace(root / "README.md", "## How this", "exercises/ hold the exercises.\n\n## How this")


@plant(rules.readme_is_true, "README.md: it is not there; write it")
def readme_missing(root: Path) -> None:
    (root / "README.md").unlink()


# --- how a lesson reads


@plant(rules.cells_fit_a_screen, f"{LESSON}, cell letters: has 26 lines, at most 25; cut it in two")
def long_cell(root: Path) -> None:
    set_source(root / LESSON, "letters", "\n".join("pass" for _ in range(26)))


@plant(rules.cells_fit_a_screen, f"{SOLUTION}, cell answer-90-1: has 46 lines, at most 45")
def long_answer(root: Path) -> None:
    set_source(root / SOLUTION, "answer-90-1", "\n".join("pass" for _ in range(46)))


@plant(rules.cells_fit_a_screen, f"{LESSON}, cell letters, line 2: has 101 characters, at most 100; break it")
def long_line(root: Path) -> None:
    set_source(root / LESSON, "letters", "x = 1\n" + "x" * 101)


@plant(rules.prose_is_calm, f"{LESSON}, cell count-why: an exclamation mark after ' image It works'; take it out")
def exclamation_mark(root: Path) -> None:
    add_text(root, "`not this!` ![image](x.png) It works!")


@plant(rules.prose_is_calm, f"{LESSON}, cell count-why: says 'Simply'; take it out")
def says_simply(root: Path) -> None:
    add_text(root, "Simply count.")


@plant(rules.prose_is_calm, f"{SOLUTION}, cell why-90-1: says 'just'; take it out")
def says_just(root: Path) -> None:
    set_source(root / SOLUTION, "why-90-1", "It is just a count.")


@plant(rules.lessons_have_their_sections, f'{LESSON}: the heading "In current PyTorch" is missing')
def nothing_on_current_pytorch(root: Path) -> None:
    set_source(root / LESSON, "current", "## Today")


@plant(rules.lessons_have_their_sections, f'{LESSON}: "In current PyTorch" has no code cell')
def current_pytorch_not_run(root: Path) -> None:
    drop(root / LESSON, "current-count")


@plant(rules.lessons_have_their_sections, f'{LESSON}: the heading "Recap" is missing')
def no_recap(root: Path) -> None:
    drop(root / LESSON, "recap")


@plant(rules.lessons_have_their_sections, f'{LESSON}: "Recap" has no table; sum the lesson up in one')
def recap_without_a_table(root: Path) -> None:
    set_source(root / LESSON, "recap", "## Recap\n\nCount | and stop.")


@plant(rules.lessons_have_their_sections, f"{LESSON}: it does not begin with its header and end with its footer")
def lesson_without_a_footer(root: Path) -> None:
    drop(root / LESSON, "footer")


@plant(rules.figures_have_captions, f"{LESSON}: it shows no figure")
def no_figure(root: Path) -> None:
    edit(root / LESSON, lambda notebook: cell(notebook, "bar").update(outputs=[]))


@plant(rules.figures_have_captions, f"{LESSON}, cell bar: its figure has no caption")
def no_caption(root: Path) -> None:
    set_source(root / LESSON, "bar-caption", "A bar.")


@plant(rules.figures_have_captions, f"{LESSON}, cell letters: its figure has no caption")
def no_caption_for_a_drawing_in_html(root: Path) -> None:
    output = {"data": {"text/html": "<div><svg></svg></div>"}, "metadata": {}, "output_type": "display_data"}
    edit(root / LESSON, lambda notebook: cell(notebook, "letters").update(outputs=[output]))


@plant(rules.figures_have_captions, f"{LESSON}, cell count-why: the image bar.png has no description")
def image_without_alt_text(root: Path) -> None:
    add_text(root, "![](bar.png)")


@plant(rules.figures_have_captions, "has no description; write its alt text")
def html_image_without_alt_text(root: Path) -> None:
    add_text(root, '<img src="bar.png" alt="">')


@plant(rules.outputs_are_expected, f"{LESSON}, cell warning: it writes to stderr; mend it, or tag it shows-warning")
def warning_not_tagged(root: Path) -> None:
    tag(root / LESSON, "warning")


@plant(rules.outputs_are_expected, f"{LESSON}, cell error: it raises; mend it, or tag it raises-exception")
def error_not_tagged(root: Path) -> None:
    tag(root / LESSON, "error")


@plant(rules.outputs_are_expected, f"{LESSON}, cell letters: it is tagged shows-warning and nothing in it writes to")
def warning_tag_not_needed(root: Path) -> None:
    tag(root / LESSON, "letters", "shows-warning")


@plant(rules.outputs_are_expected, f"{SOLUTION}, cell setup: it is tagged raises-exception and nothing in it raises")
def error_tag_not_needed(root: Path) -> None:
    tag(root / SOLUTION, "setup", "raises-exception")


@plant(rules.outputs_are_expected, f"{LESSON}, cell letters: unknown tag 'raises_exception'; the tags are")
def tag_misspelt(root: Path) -> None:
    tag(root / LESSON, "letters", "raises_exception")


@plant(rules.outputs_are_expected, f"{LESSON}, cell letters: a timing magic prints another number each time")
def timing_magic(root: Path) -> None:
    set_source(root / LESSON, "letters", "%%timeit\nlen(word)")


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted.rule.__name__}-{planted.name}")
def test_a_planted_defect_is_found(planted: Planted, tmp_path: Path) -> None:
    root = tmp_path / "course"
    tiny_course.copy_to(root)
    planted.plant(root)
    manifest._load.cache_clear()
    problems = planted.rule(manifest.load(root))
    assert any(planted.says in problem for problem in problems), "\n".join(["found only:", *problems])


def test_every_rule_has_a_planted_defect() -> None:
    assert {planted.rule for planted in PLANTED} == set(rules.RULES)


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


@pytest.mark.parametrize("rule", [rules.links_lead_somewhere, rules.prose_is_calm, rules.figures_have_captions])
def test_good_text_passes(rule: rules.Rule, tmp_path: Path) -> None:
    course = tiny_course.copy_to(tmp_path)
    add_text(tmp_path, ALLOWED_TEXT)
    assert rule(course) == []


def test_a_learners_own_files_are_no_strays(tmp_path: Path) -> None:
    course = tiny_course.copy_to(tmp_path)
    for name in ("exercises/kept/90_counting.x.ipynb", "notebooks/.ipynb_checkpoints/90_counting-checkpoint.ipynb"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert rules.files_agree(course) == []


def test_a_timing_magic_may_stand_in_the_ledger(tmp_path: Path) -> None:
    course = tiny_course.copy_to(tmp_path)
    set_source(tmp_path / LESSON, "clock", "%timeit len(word)")
    assert rules.outputs_are_expected(course) == []


def git(root: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, env=environment)


def test_git_decides_what_is_tracked(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("progress.json\n", encoding="utf-8")
    for name in ("tracked.md", "new.md", "progress.json"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "tracked.md")
    names = [path.name for path in rules.tracked_files(tmp_path)]
    assert names == [".gitignore", "new.md", "tracked.md"]


def test_without_git_made_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("README.md", ".venv/a.py", "x/__pycache__/b.pyc", "exercises/kept/c.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert [path.name for path in rules.tracked_files(tmp_path)] == ["README.md"]
