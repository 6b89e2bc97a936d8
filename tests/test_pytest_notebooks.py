"""The guard around nbval: every way in which a notebook could look proven without being so is tried on a small course.

One run of pytest over that course gives the outcomes of the cells; the notebooks import nothing heavy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.authoring import warm_kernel
from course_utils.authoring.books import cells_of
from course_utils.authoring.markers import marker_problems
from course_utils.authoring.pytest_notebooks import concerns
from course_utils.authoring.uncompared import allowlist_problems, read_allowlist, stable_cells

ROOT = Path(__file__).resolve().parent.parent
CFG = ROOT / "tests" / "sanitize.cfg"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IGNORE, RAISES = "nbval-ignore-output", "raises-exception"
LIMIT = 3  # seconds for a cell of the small course


# --- making a small course -------------------------------------------------------------------------------------------


def code(source: str, *outputs, tags=(), count=1, cell_id: str | None = None):
    metadata = {"tags": list(tags)} if tags else {}
    cell = new_code_cell(source, outputs=list(outputs), execution_count=count, metadata=metadata)
    del cell["id"]
    return nbformat.from_dict({**cell, "id": cell_id}) if cell_id else cell


def printed(text: str):
    return new_output("stream", name="stdout", text=text)


def value(text: str, **data: str):
    return new_output("execute_result", {"text/plain": text, **data}, execution_count=1)


def raised(ename: str, evalue: str):
    return new_output("error", ename=ename, evalue=evalue, traceback=[])


def notebook_of(*cells):
    """A notebook of copies of these cells; those that nobody named get ids c0, c1, …"""
    cells = [nbformat.from_dict({"id": f"c{number}", **cell}) for number, cell in enumerate(cells)]
    return nbformat.from_dict({**new_notebook(), "cells": cells})


def save(path: Path, *cells) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook_of(*cells), path)
    return path


def save_with_launcher(path: Path, launcher: str, *cells) -> Path:
    """Save a notebook whose kernel runs ``launcher`` instead.

    A kernel starts as `python -m ipykernel_launcher` in the notebook's folder, where the file of this name comes first.
    """
    save(path, *cells)
    (path.parent / "ipykernel_launcher.py").write_text(launcher, encoding="utf-8")
    return path


def write_allowlist(root: Path, *lines: tuple[str, str], varies: str = "run") -> None:
    rest = f'varies = "{varies}"\nreason = "it varies"\n'
    text = "".join(f'[[cell]]\nnotebook = "{name}"\nid = "{cell}"\n{rest}' for name, cell in lines)
    (root / "tests").mkdir(exist_ok=True)
    (root / "tests" / "uncompared.toml").write_text(text, encoding="utf-8")


def run_pytest(root: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run pytest over a small course as the real one is run, in a process of its own."""
    (root / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(root / "pytest.ini"), "-q", "--color=no", "-ra"]
    command += ["-p", "course_utils.authoring.pytest_notebooks", "-p", "no:cacheprovider"]
    command += ["--nbval", "--nbval-current-env", f"--nbval-cell-timeout={LIMIT}", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(ROOT)])
    environment[warm_kernel.FRESH_VARIABLE] = "1"  # nothing heavy is imported here, and some kernels are not Python's
    return subprocess.run(
        command, cwd=cwd or root, env=environment, text=True, encoding="utf-8",
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip


@dataclass
class Outcome:
    word: str
    text: str
    seconds: float


def outcomes(report: Path) -> dict[tuple[str, str], Outcome]:
    """Read pytest's XML report: (notebook's stem, cell's name) to what came of it."""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        problems = (case.find(word) for word in ("failure", "error", "skipped"))
        problem = next((problem for problem in problems if problem is not None), None)
        word = "passed" if problem is None else problem.tag
        text = "" if problem is None else f"{problem.get('message', '')}\n{problem.text}"
        key = (case.get("classname", "").removesuffix(".ipynb").rpartition(".")[2], case.get("name", ""))
        found[key] = Outcome(word, text, float(case.get("time", "0")))
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    root = tmp_path_factory.mktemp("course")
    folder = root / "notebooks"
    later = code("print('later')", printed("later\n"))
    save(
        folder / "dies.ipynb",
        code("x = 1"),
        # The pause: a kernel passes on by a thread what its process writes on stderr.
        code("import os, time\nos.write(2, b'a last word')\ntime.sleep(0.3)\nos._exit(3)", cell_id="deadly"),
        later,
        later,
    )
    save(folder / "hangs.ipynb", code("while True: pass"), later)
    save(
        folder / "hangs_on.ipynb",
        code("import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    pass"),
        later,
    )
    save(folder / "fails.ipynb", code("1 / 0"), later)
    save(folder / "differs.ipynb", code("print(1)", printed("2\n")), later)
    save(folder / "quiet.ipynb", code("1 + 1", raised("ValueError", "bad"), tags=[RAISES, IGNORE], cell_id="q"), later)
    save(
        folder / "other_type.ipynb",
        code("raise KeyError('bad')", raised("ValueError", "bad"), tags=[RAISES, IGNORE], cell_id="q"),
    )
    save(
        folder / "other_text.ipynb",
        code("raise ValueError('worse')", raised("ValueError", "bad\n1"), tags=[RAISES, IGNORE], cell_id="q"),
    )
    try_to_reach = (
        "import os, socket\n"
        "print(os.path.exists(os.environ['COURSE_PROGRESS_FILE']))\n"
        "print(any(name.startswith('PYTEST_') for name in os.environ))\n"
        "for reach in (lambda: socket.create_connection(('192.0.2.1', 80), timeout=1),\n"
        "              lambda: socket.getaddrinfo('example.invalid', 80)):\n"
        "    try:\n"
        "        reach()\n"
        "    except OSError as error:\n"
        "        print(str(error).partition(':')[0])"
    )
    sealed = "False\nFalse\nthe course works offline\nthe course works offline\n"
    picture = f"import base64\nfrom IPython.display import Image\nImage(base64.b64decode({PIXEL!r}))"
    save(
        folder / "good.ipynb",
        code("1 + 1;"),
        code("1 + 1", value("2")),
        code("raise ValueError('bad\\n2')", raised("ValueError", "bad\n1"), tags=[RAISES, IGNORE], cell_id="q"),
        code("raise ValueError('bad')", raised("ValueError", "bad"), tags=[RAISES]),
        code(try_to_reach, printed(sealed)),
        code(picture, value("<IPython.core.display.Image object>", **{"image/png": "AAAA"})),
        code("import time\nprint(1, flush=True)\ntime.sleep(0.5)\nprint(2)", printed("1\n2\n")),
        code("class P:\n    def __repr__(self): return 'P'\nP()", value("P", **{"image/png": PIXEL})),
    )
    image = '<img alt="{}" src="data:image/png;base64,{}">'
    html = f"from IPython.display import HTML\nHTML('{image.format('a dot', 'AAAA')}')"
    save(
        folder / "images.ipynb",
        code(html, value("<IPython.core.display.HTML object>", **{"text/html": image.format("a dot", "BBBB")})),
        code(html, value("<IPython.core.display.HTML object>", **{"text/html": image.format("a bar", "AAAA")})),
    )
    save(
        folder / "no_image.ipynb",
        code(
            "import time\nprint(time.time_ns())",
            value("P", **{"text/html": image.format("a", "B")}),
            tags=[IGNORE],
            cell_id="q",
        ),
    )
    save_with_launcher(folder / "no_start" / "no_start.ipynb", "raise SystemExit('no kernel today')", later, later)
    save(folder / "stable.ipynb", code("print('same')", printed("same\n"), tags=[IGNORE], cell_id="q"))
    save(
        folder / "varies.ipynb",
        code("import time\nprint(time.time_ns())", printed("5\n"), tags=[IGNORE], cell_id="q"),
        # Equal the first time by chance, and not the second time.
        code("n = globals().get('n', 0) + 1\nn", value("1"), tags=[IGNORE], cell_id="r"),
    )
    save(root / "exercises" / "not_run.ipynb", code("1 / 0", count=None))
    listed = ("quiet", "other_type", "other_text", "good", "stable", "varies", "no_image")
    write_allowlist(root, *((f"notebooks/{name}.ipynb", "q") for name in listed), ("notebooks/varies.ipynb", "r"))
    report = root / "report.xml"
    run = run_pytest(root, f"--junitxml={report}", f"--nbval-sanitize-with={CFG}", "-n", "2", "--dist=loadfile", ".")
    assert report.is_file(), run.stdout + run.stderr
    found = outcomes(report)
    assert not any(outcome.word == "error" for outcome in found.values()), run.stdout
    return found


# --- while cells run -------------------------------------------------------------------------------------------------


def test_a_dead_kernel_is_noticed_and_named(ran) -> None:
    dead = ran["dies", "Cell 1"]
    assert dead.word == "failure"
    assert "notebooks/dies.ipynb, cell 1 (id 'deadly'): the kernel died (exit code 3)" in dead.text
    assert "a last word" in dead.text
    assert dead.seconds < 2.5


@pytest.mark.parametrize(
    ("notebook", "cell"), [("dies", 1), ("hangs", 0), ("hangs_on", 0), ("fails", 0), ("differs", 0), ("quiet", 0)]
)
def test_cells_after_a_failure_are_skipped_with_its_number(ran, notebook: str, cell: int) -> None:
    assert ran[notebook, f"Cell {cell}"].word == "failure"
    later = [outcome for (name, key), outcome in ran.items() if name == notebook and key > f"Cell {cell}"]
    assert later
    for outcome in later:
        assert outcome.word == "skipped"
        assert f"not run: cell {cell} failed before it" in outcome.text


@pytest.mark.parametrize("notebook", ["hangs", "hangs_on"])
def test_a_hung_cell_fails_within_its_limit_even_if_it_catches_the_interrupt(ran, notebook: str) -> None:
    hung = ran[notebook, "Cell 0"]
    assert hung.word == "failure"
    assert f"notebooks/{notebook}.ipynb, cell 0" in hung.text
    assert f"{LIMIT} s" in hung.text
    assert hung.seconds < LIMIT + 5


def test_a_trailing_semicolon_hides_the_value(ran) -> None:
    assert [ran["good", f"Cell {n}"].word for n in (0, 1)] == ["passed", "passed"]


def test_a_tagged_cell_must_raise_the_stored_exception(ran) -> None:
    assert "no longer raises" in ran["quiet", "Cell 0"].text
    assert "the exception was 'ValueError' and is 'KeyError'" in ran["other_type", "Cell 0"].text
    assert "text was 'bad' and is 'worse'" in ran["other_text", "Cell 0"].text
    assert [ran["good", f"Cell {n}"].word for n in (2, 3)] == ["passed", "passed"]


def test_a_kernel_works_offline_without_the_learners_files_and_knows_no_pytest(ran) -> None:
    assert ran["good", "Cell 4"].word == "passed", ran["good", "Cell 4"].text


def test_a_listed_cell_that_gives_what_is_stored_fails(ran) -> None:
    assert ran["stable", "Cell 0"].word == "failure"
    assert "its output has become stable" in ran["stable", "Cell 0"].text
    assert [ran["varies", f"Cell {number}"].word for number in (0, 1)] == ["passed", "passed"]


def test_a_picture_must_be_there_in_both(ran) -> None:
    assert ran["good", "Cell 5"].word == "passed"
    assert ran["good", "Cell 7"].word == "failure"
    for notebook, cell in (("good", "Cell 7"), ("no_image", "Cell 0")):
        assert "pictures differ: 1 in the stored output, 0 in the fresh one" in ran[notebook, cell].text


def test_of_an_image_the_alternative_text_is_compared_and_the_pixels_are_not(ran) -> None:
    assert ran["images", "Cell 0"].word == "passed", ran["images", "Cell 0"].text
    assert ran["images", "Cell 1"].word == "failure"
    assert "a bar" in ran["images", "Cell 1"].text


def test_text_that_comes_in_pieces_is_one_text(ran) -> None:
    assert ran["good", "Cell 6"].word == "passed", ran["good", "Cell 6"].text


def test_a_kernel_that_cannot_start_fails_once_and_says_why(ran) -> None:
    assert ran["no_start", "Cell 0"].word == "failure"
    assert "no_start.ipynb, cell 0 (id 'c0'): the kernel did not start" in ran["no_start", "Cell 0"].text
    assert "no kernel today" in ran["no_start", "Cell 0"].text
    assert ran["no_start", "Cell 1"].word == "skipped"


def test_a_kernel_that_never_answers_fails_at_the_start_up_limit(tmp_path: Path) -> None:
    save_with_launcher(tmp_path / "notebooks" / "slow.ipynb", "import time; time.sleep(60)", code("1;"), code("2;"))
    run = run_pytest(tmp_path, "--nbval-kernel-startup-timeout=2", ".")
    assert "notebooks/slow.ipynb, cell 0 (id 'c0'): the kernel did not start" in run.stdout
    assert "1 failed, 1 skipped" in run.stdout


def test_notebooks_outside_the_given_folders_are_not_collected(ran) -> None:
    assert not [name for name, _ in ran if name == "not_run"]


def test_one_cell_can_be_asked_for_from_another_directory(tmp_path: Path) -> None:
    cells = [code("x = 20"), code("1 / 0", raised("ZeroDivisionError", "division by zero"), tags=[RAISES])]
    notebook = save(tmp_path / "notebooks" / "one.ipynb", *cells, code("x + 1", value("masked"), count=3))
    (tmp_path / "rules.cfg").write_text("[compared]\nregex: 21\nreplace: masked\n", encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = run_pytest(tmp_path, "--nbval-sanitize-with=rules.cfg", f"{notebook}::Cell 2", cwd=elsewhere)
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout


@pytest.mark.parametrize(
    ("nodeid", "kept"),
    [
        ("notebooks/03_control_flow_pitfalls.ipynb::Cell 3", True),
        ("solutions/04_mixing.ipynb::Cell 3", False),
        ("tests/test_answers.py::test_an_answer_gets_its_outcome[03.1-nothing]", True),
        ("tests/test_answers.py::test_an_answer_gets_its_outcome[13.1-nothing_03]", False),
        ("tests/test_claims.py::test_the_sentence_is_where_the_ledger_says[lesson_03-silent]", True),
        ("tests/test_claims.py::test_every_lesson_has_its_claims[03]", True),
        ("tests/test_claims.py::test_every_lesson_has_its_claims[00]", False),
        ("tests/test_stubs.py::test_an_untouched_exercise_is_not_attempted[03_control_flow_pitfalls.ipynb]", True),
        ("tests/test_rules.py::test_the_course_keeps_its_rules[links]", True),
    ],
)
def test_one_lesson_can_be_asked_for(nodeid: str, kept: bool) -> None:
    assert concerns(nodeid, "03") is kept


def test_files_come_slowest_first(tmp_path: Path) -> None:
    save(tmp_path / "notebooks" / "a.ipynb", code("1;"))
    save(tmp_path / "notebooks" / "b.ipynb", code("1;"), code("2;"))
    for name in ("test_a.py", "test_b.py", "test_jupyterlab.py"):
        (tmp_path / name).write_text("def test_2(): pass\ndef test_1(): pass\n", encoding="utf-8")
    run = run_pytest(tmp_path, "--collect-only", "-o", "course_first=test_jupyterlab.py test_b.py", ".")
    collected = [line.replace("::", " ").split(" ", 1) for line in run.stdout.splitlines() if "::" in line]
    expected = ["test_jupyterlab.py"] * 2 + ["test_b.py"] * 2 + ["notebooks/b.ipynb"] * 2 + ["notebooks/a.ipynb"]
    assert [file for file, _ in collected] == [*expected, "test_a.py", "test_a.py"]
    assert [test for _, test in collected][:2] == ["test_2", "test_1"]


# --- before cells run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (code("1;", tags=["nbval_ignore_output"]), "write nbval-ignore-output"),
        (code("1;", tags=["NBVAL_IGNORE_OUTPUT"]), "write nbval-ignore-output"),
        (code("1;", tags=["nbval-ignore-outputs"]), "write nbval-ignore-output"),
        (code("1;", tags=["raises_exception"]), "write raises-exception"),
        (code("1;", tags=["nbval-raises-exception"]), "write raises-exception"),
        (code("1;", tags=["nbval-skip"]), "every cell of the course is run"),
        (code("1;", tags=["nbval-check-output"]), "compared anyway"),
        (code("1;", tags=["nbval-slow"]), "knows no tag 'nbval-slow'"),
        (code("1;", tags=["pytest-validate-ignore-output"]), "nbval knows no tag"),
        (code("# NBVAL_IGNORE_OUTPUT\n1"), "use the tag"),
        (code("1  # NBVAL_IGNORE_OUTPUT because"), "use the tag"),
        (code("# nbval-skip\n1"), "use the tag"),
        (code("# PYTEST_VALIDATE_IGNORE_OUTPUT\n1"), "use the tag"),
        (code("1", value("1"), count=None), "never run"),
        (code("1;", count=None), "never run"),
        (code("", printed("1"), count=None), "never run"),
        (code("1;", tags=[RAISES]), "stored output has no error"),
        (code("1 / 0", raised("ZeroDivisionError", "division by zero")), "has no tag raises-exception"),
        (new_markdown_cell("text", metadata={"tags": [IGNORE]}), "does nothing on a markdown cell"),
    ],
)
def test_what_nbval_passes_over_is_a_problem(cell, words: str) -> None:
    problems = marker_problems(cells_of(notebook_of(nbformat.from_dict({**cell, "id": "here"}))), "notebooks/x.ipynb")
    assert len(problems) == 1
    assert problems[0].startswith("notebooks/x.ipynb, cell here")
    assert words in problems[0]


def test_a_good_notebook_has_no_problems() -> None:
    cells = [
        new_markdown_cell("# A lesson", metadata={"tags": ["intro"]}),
        code("1", value("1"), tags=["hide-input", "remove-output", "solution-only", "answer"]),
        code("import time\ntime.time()", value("5.0"), tags=[IGNORE]),
        code("1 / 0", raised("ZeroDivisionError", "division by zero"), tags=[RAISES]),
        code("", count=None),
        code("nbval = 'NBVAL_SKIP'  # a name and a text, no marker"),
    ]
    assert marker_problems(cells_of(notebook_of(*cells)), "notebooks/x.ipynb") == []


def test_ids_that_lack_or_stand_twice_are_problems() -> None:
    notebook = notebook_of(code("1;", cell_id="a"), code("2;", cell_id="a"), code("3;"))
    del notebook.cells[2]["id"]
    assert marker_problems(cells_of(notebook), "x") == [
        "x, cell a: 2 cells have this id; give each its own",
        "x, cell a: 2 cells have this id; give each its own",
        "x, cell 2: has no id; run it again with make run, which writes one",
    ]


def test_problems_stop_the_run_at_collection(tmp_path: Path) -> None:
    loose = code("1;", tags=[IGNORE], cell_id="loose")
    save(tmp_path / "notebooks" / "a.ipynb", code("1;", tags=["nbval_skip"]), loose)
    save(tmp_path / "solutions" / "b.ipynb", code("1;", cell_id="bound"))
    (tmp_path / "notebooks" / "c.ipynb").write_text("{}", encoding="utf-8")
    write_allowlist(tmp_path, ("solutions/b.ipynb", "bound"))
    run = run_pytest(tmp_path, ".")
    assert run.returncode == pytest.ExitCode.INTERRUPTED, run.stdout
    assert "nbval knows no tag 'nbval_skip'" in run.stdout
    assert "notebooks/a.ipynb, cell loose: tagged nbval-ignore-output but not in tests/uncompared.toml" in run.stdout
    assert "solutions/b.ipynb, cell bound: listed in tests/uncompared.toml but not tagged" in run.stdout
    assert "c.ipynb is no valid notebook" in run.stdout
    assert "3 errors" in run.stdout


def test_a_broken_or_missing_sanitize_file_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "rules.cfg").write_text("[compared]\nregex: a\nreplace: \n", encoding="utf-8")
    for name, words in (("rules.cfg", "rules.cfg, line 3"), ("none.cfg", "none.cfg")):
        run = run_pytest(tmp_path, f"--nbval-sanitize-with={name}", ".")
        assert run.returncode == pytest.ExitCode.USAGE_ERROR
        assert words in run.stderr


# --- the allowlist ---------------------------------------------------------------------------------------------------


def test_allowlist_problems_names_each_disagreement(tmp_path: Path) -> None:
    listed = code("1;", tags=[IGNORE], cell_id="listed")
    save(tmp_path / "notebooks" / "a.ipynb", listed, code("2;", cell_id="compared"))
    write_allowlist(tmp_path, ("notebooks/a.ipynb", "listed"))
    assert allowlist_problems(tmp_path) == []
    write_allowlist(
        tmp_path, ("notebooks/a.ipynb", "compared"), ("notebooks/a.ipynb", "gone"), ("notebooks/z.ipynb", "a")
    )
    problems = allowlist_problems(tmp_path)
    assert [problem.partition(":")[0] for problem in problems] == [
        "notebooks/a.ipynb, cell listed",
        "notebooks/a.ipynb, cell compared",
        "notebooks/a.ipynb, cell gone",
        "notebooks/z.ipynb",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[cell]]\nnotebook = "a"\nid = "b"\n', "give it notebook, id, varies and reason"),
        ('[[cell]]\nnotebook = "a"\nid = "b"\nvaries = "moon"\nreason = "c"\n', "varies with 'moon'"),
        ('[[cell]]\nnotebook = "a"\nid = "b"\nvaries = "run"\nreason = " "\n', "an empty value"),
        ('[[cell]]\nnotebook = "a"\nid = "b"\nvaries = "run"\nreason = "c"\n' * 2, "listed 2 times"),
        ("[[cell]\n", "line 1"),
    ],
)
def test_a_broken_allowlist_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "tests").mkdir()
    path = tmp_path / "tests" / "uncompared.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_allowlist(path)
    assert len(allowlist_problems(tmp_path)) == 1


def test_a_listed_cell_that_has_become_stable_is_found(tmp_path: Path) -> None:
    name = "notebooks/a.ipynb"
    find_compiler = "import shutil\nbool(shutil.which('cc') or shutil.which('cl.exe'))"
    varying = {
        "stable": code("print('same')", printed("same\n"), tags=[IGNORE]),
        "time": code("import time\ntime.time()", value("1.5"), tags=[IGNORE]),
        "threads": code("import os\nos.environ.get('OMP_NUM_THREADS')", value("'2'"), tags=[IGNORE]),
        "compiler": code(find_compiler, value("True"), tags=[IGNORE]),
        "error": code("raise ValueError(time.time())", raised("ValueError", "1.5"), tags=[IGNORE, RAISES]),
        "masked": code("print(object())", printed("<object object at 0x7f00aa00bb00>\n"), tags=[IGNORE]),
    }
    listed = [nbformat.from_dict({**cell, "id": cell_id}) for cell_id, cell in varying.items()]
    save(tmp_path / name, *listed, code("1", value("1")), code("raise SystemExit"))
    write_allowlist(tmp_path, *((name, cell_id) for cell_id in varying), varies="machine")
    problems = stable_cells(tmp_path, name, ROOT / "tests" / "sanitize.cfg")
    assert [problem.partition(":")[0] for problem in problems] == [f"{name}, cell stable", f"{name}, cell masked"]


def test_a_notebook_without_listed_cells_starts_no_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "notebooks" / "a.ipynb", code("1", value("1")))
    monkeypatch.setattr("nbclient.NotebookClient.execute", lambda *_, **__: pytest.fail("a kernel was started"))
    assert stable_cells(tmp_path, "notebooks/a.ipynb", ROOT / "tests" / "sanitize.cfg") == []
