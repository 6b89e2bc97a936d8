"""A learner's way through one exercise, in a real JupyterLab in a real browser: open, read, answer, run, see it passed.

Needs a Chromium, Chrome or Edge; without one the test is skipped, unless COURSE_REQUIRE_BROWSER=1 says that there must
be one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from browser import find_browser, open_lab

ROOT = Path(__file__).resolve().parent.parent

COURSE = ROOT
COPIED = ("course.toml", "exercises")
NOTEBOOK = "exercises/00_start_here.ipynb"
EXERCISE = "00.1"
ANSWER_CELL = "def centre(x)"  # a piece of the source of the cell that the learner edits
ANSWER = """def centre(x):
    return x - x.mean()


answer = torch.jit.trace(centre, torch.ones(3))
check("00.1", answer)
"""


def test_a_learner_answers_an_exercise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_browser() is None:
        if os.environ.get("COURSE_REQUIRE_BROWSER") == "1":
            pytest.fail("COURSE_REQUIRE_BROWSER=1, but no Chromium, Chrome or Edge is installed; install one")
        pytest.skip("no Chromium, Chrome or Edge is installed (Debian: apt-get install chromium)")
    course = tmp_path / "my course"
    course.mkdir()
    for name in COPIED:
        if (COURSE / name).is_dir():
            shutil.copytree(COURSE / name, course / name)
        elif (COURSE / name).is_file():
            shutil.copy2(COURSE / name, course / name)
    monkeypatch.delenv("COURSE_PROGRESS_FILE")  # the learner's own file is the one beside course.toml
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT), str(course)]))

    with open_lab(course) as lab:
        try:
            lab.open(NOTEBOOK)
            cell = lab.cell(ANSWER_CELL)
            lab.run_all()
            outcome = cell.locator(".jp-OutputArea-output", has_text=EXERCISE)
            assert "not attempted" in outcome.inner_text()

            lab.write(cell, ANSWER)
            lab.run_all()
            assert f"✓ {EXERCISE}" in outcome.inner_text()
            assert "passed" in outcome.inner_text()
            assert outcome.get_attribute("data-mime-type") == "text/html"
            assert lab.errors_shown() == []
            lab.save()

            # The lesson has the same file name.
            label = lab.page.locator(".lm-TabBar-tab.jp-mod-current .lm-TabBar-tabLabel")
            assert label.evaluate("label => getComputedStyle(label, '::before').content") == '"exercises/"'

            # What notebooks print as a command is found where a learner types it. A login shell would reset PATH.
            assert "1 of " in lab.in_kernel("!course status")
            assert "1 of " in lab.in_terminal("course status", until=r"1 of \d+|not found|not recognized")
        except BaseException:
            print("what the page showed:", *lab.screenshot(tmp_path / "failed.png"))
            raise
    assert lab.page_errors == []
    assert lab.external == []
    saved = json.loads((course / NOTEBOOK).read_text(encoding="utf-8"))
    assert any("".join(cell["source"]).strip() == ANSWER.strip() for cell in saved["cells"])
    progress = json.loads((course / "progress.json").read_text(encoding="utf-8"))
    assert "passed" in json.dumps(progress)
    assert EXERCISE in json.dumps(progress)


def test_a_missing_browser_fails_where_one_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_jupyterlab.find_browser", lambda: None)
    monkeypatch.setenv("COURSE_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="install one"):
        test_a_learner_answers_an_exercise(tmp_path, monkeypatch)
    monkeypatch.setenv("COURSE_REQUIRE_BROWSER", "0")
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        test_a_learner_answers_an_exercise(tmp_path, monkeypatch)


def test_a_request_to_another_machine_is_seen(tmp_path: Path) -> None:
    if find_browser() is None:
        pytest.skip("no Chromium, Chrome or Edge is installed (Debian: apt-get install chromium)")
    page = tmp_path / "page.html"
    shutil.copy2(COURSE / "course.toml", tmp_path)
    page.write_text(
        "<img src='http://example.invalid/x.png'><script>throw new Error('oops')</script>", encoding="utf-8"
    )
    with open_lab(tmp_path) as lab:
        lab.page.goto(f"{lab.url}/files/page.html?token={lab.token}")
        lab.page.wait_for_timeout(300)
    assert lab.external == ["http://example.invalid/x.png"]
    assert any("oops" in error for error in lab.page_errors)
