"""A learner's notebooks survive a reset and an update; tried on real git repositories, an origin and its clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from course_utils import learner_files, manifest
from course_utils.learner_files import LearnerFilesError
from tests import tiny_course
from tests.tiny_course import COUNTING, cell, edit, read, set_source, source_of

EXERCISE = f"exercises/{COUNTING}"
LESSON = f"notebooks/{COUNTING}"
MY_WORD = 'word = "graph"\n# my thoughts\ncheck("90.2", word)'
MY_VOWELS = 'def vowels(word):\n    return word.count("a")\n\n\ncheck("90.1", vowels)'


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True, encoding="utf-8"
    ).stdout


@dataclass
class Repositories:
    """The course as published, and the learner's clone of it."""

    origin: Path
    mine: Path
    course: manifest.Course

    def publish(self, change: Callable[[Path], object]) -> None:
        """A new version of the course."""
        change(self.origin)
        git(self.origin, "add", "--all")
        git(self.origin, "commit", "--quiet", "--message", "a new version")

    def update(self) -> list[str]:
        return list(learner_files.update(self.course))

    def kept(self, folder: str = "exercises") -> list[Path]:
        return sorted((self.mine / folder / "kept").glob("*"))

    def files(self) -> dict[str, bytes]:
        """Everything of the learner's but git's own files."""
        paths = (x for x in self.mine.rglob("*") if x.is_file() and ".git" not in x.relative_to(self.mine).parts)
        return {x.relative_to(self.mine).as_posix(): x.read_bytes() for x in paths}


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repositories:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.com")
    origin, mine = tmp_path / "origin", tmp_path / "my course é"
    tiny_course.copy_to(origin)
    (origin / ".gitignore").write_text("kept/\nprogress.json\n", encoding="utf-8")
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(origin))
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message", "first")
    git(tmp_path, "clone", "--quiet", str(origin), str(mine))
    (mine / "progress.json").write_text("{}", encoding="utf-8")
    return Repositories(origin, mine, manifest.load(mine))


def new_text(root: Path) -> None:
    """The published change: the text above the first exercise says more."""
    set_source(root / EXERCISE, "task-90-1", "## 90.1 · Count the vowels\n\nNow with an example.")


def answer(root: Path) -> None:
    """The learner's work: one answer, its output, and a cell of her own."""
    set_source(root / EXERCISE, "answer-90-2", MY_WORD)
    edit(root / EXERCISE, lambda notebook: cell(notebook, "answer-90-2").update(execution_count=3))
    mine = {"cell_type": "markdown", "id": "my-notes", "metadata": {}, "source": ["my notes"]}
    edit(root / EXERCISE, lambda notebook: notebook["cells"].append(mine))


# --- update


def test_nothing_new_and_nothing_changed(both: Repositories) -> None:
    before = both.files()
    [line] = both.update()
    assert line == f"already the newest version ({git(both.mine, 'rev-parse', '--short', 'HEAD').strip()})"
    assert both.files() == before


def test_nothing_new_leaves_answers_as_they_are(both: Repositories) -> None:
    answer(both.mine)
    before = both.files()
    [line] = both.update()
    assert line.startswith("already the newest version")
    assert both.files() == before


def test_a_new_version_without_answers(both: Repositories) -> None:
    first = git(both.mine, "rev-parse", "--short", "HEAD").strip()
    both.publish(new_text)
    [line] = both.update()
    assert line == f"updated from {first} to {git(both.origin, 'rev-parse', '--short', 'HEAD').strip()}"
    assert "Now with an example." in source_of(both.mine / EXERCISE, "task-90-1")
    assert both.kept() == []


def test_an_answer_survives_a_change_of_its_notebook(both: Repositories) -> None:
    answer(both.mine)
    before = (both.mine / EXERCISE).read_bytes()
    both.publish(new_text)
    _, line = both.update()
    [copy] = both.kept()
    assert line == (f"{EXERCISE}: 1 of your answers carried over; your old copy: {copy.relative_to(both.mine)}")
    assert "Now with an example." in source_of(both.mine / EXERCISE, "task-90-1")
    assert source_of(both.mine / EXERCISE, "answer-90-2") == MY_WORD
    assert source_of(both.mine / EXERCISE, "answer-90-1") == source_of(both.origin / EXERCISE, "answer-90-1")
    assert copy.read_bytes() == before, "the copy has her own cells and outputs"


def test_an_improved_stub_does_not_overwrite_an_answer(both: Repositories) -> None:
    set_source(both.mine / EXERCISE, "answer-90-1", MY_VOWELS)
    both.publish(lambda root: set_source(root / EXERCISE, "answer-90-1", "def vowels(word: str) -> int: ..."))
    both.publish(lambda root: set_source(root / EXERCISE, "answer-90-2", "word: str = ..."))
    both.update()
    assert source_of(both.mine / EXERCISE, "answer-90-1") == MY_VOWELS
    assert source_of(both.mine / EXERCISE, "answer-90-2") == "word: str = ..."


def test_updates_can_follow_each_other(both: Repositories) -> None:
    answer(both.mine)
    both.publish(new_text)
    both.update()
    set_source(both.mine / EXERCISE, "answer-90-1", MY_VOWELS)
    both.publish(lambda root: set_source(root / EXERCISE, "task-90-2", "## 90.2 · Name a word"))
    _, line = both.update()
    assert "2 of your answers carried over" in line
    assert source_of(both.mine / EXERCISE, "answer-90-1") == MY_VOWELS
    assert source_of(both.mine / EXERCISE, "answer-90-2") == MY_WORD
    assert len(both.kept()) == 2


def test_a_notebook_that_is_not_renewed_stays_as_it_is(both: Repositories) -> None:
    answer(both.mine)
    before = (both.mine / EXERCISE).read_bytes()
    both.publish(lambda root: set_source(root / LESSON, "count", "## Count more"))
    [line] = both.update()
    assert line.startswith("updated from")
    assert (both.mine / EXERCISE).read_bytes() == before and both.kept() == []


def test_the_answer_to_a_removed_exercise_is_in_the_copy(both: Repositories) -> None:
    answer(both.mine)
    both.publish(lambda root: edit(root / EXERCISE, lambda nb: nb["cells"].remove(cell(nb, "answer-90-2"))))
    _, carried, lost = both.update()
    [copy] = both.kept()
    where = copy.relative_to(both.mine)
    assert carried == f"{EXERCISE}: 0 of your answers carried over; your old copy: {where}"
    assert lost == f"{EXERCISE}: no place any more for answer-90-2; take them from {where}"
    assert source_of(copy, "answer-90-2") == MY_WORD


def test_a_removed_notebook_is_in_the_copy(both: Repositories) -> None:
    answer(both.mine)
    both.publish(lambda root: (root / EXERCISE).unlink())
    _, line = both.update()
    [copy] = both.kept()
    assert line == f"{EXERCISE} is no longer part of the course; your copy: {copy.relative_to(both.mine)}"
    assert source_of(copy, "answer-90-2") == MY_WORD and not (both.mine / EXERCISE).exists()


def test_a_changed_lesson_is_kept_beside_the_new_one(both: Repositories) -> None:
    set_source(both.mine / LESSON, "letters", "mine = 1")
    both.publish(lambda root: set_source(root / LESSON, "count", "## Count more"))
    _, line = both.update()
    [copy] = both.kept("notebooks")
    where = copy.relative_to(both.mine)
    assert line == f"{LESSON}: new version in place; your copy with its changes: {where}"
    assert source_of(copy, "letters") == "mine = 1"
    assert (both.mine / LESSON).read_bytes() == (both.origin / LESSON).read_bytes()


def test_answers_that_git_was_told_of_survive_too(both: Repositories) -> None:
    answer(both.mine)
    git(both.mine, "add", EXERCISE)
    both.publish(new_text)
    both.update()
    assert source_of(both.mine / EXERCISE, "answer-90-2") == MY_WORD


def test_a_notebook_that_cannot_be_read_is_kept(both: Repositories) -> None:
    (both.mine / EXERCISE).write_bytes(b"\xff not JSON")
    both.publish(new_text)
    _, line = both.update()
    [copy] = both.kept()
    assert "0 of your answers" in line and copy.read_bytes() == b"\xff not JSON"
    assert (both.mine / EXERCISE).read_bytes() == (both.origin / EXERCISE).read_bytes()


def test_an_updated_notebook_is_a_valid_one(both: Repositories) -> None:
    import nbformat

    answer(both.mine)
    both.publish(new_text)
    both.update()
    nbformat.validate(nbformat.read(both.mine / EXERCISE, as_version=4))
    assert read(both.mine / EXERCISE)["cells"][-1]["id"] == "footer"


# --- when it cannot be done


def refused(both: Repositories, says: str) -> None:
    """The update fails with these words, and every file of the learner is as before."""
    before = both.files()
    with pytest.raises(LearnerFilesError) as caught:
        both.update()
    assert says in str(caught.value)
    assert both.files() == before


def test_no_network_changes_nothing(both: Repositories) -> None:
    answer(both.mine)
    set_source(both.mine / LESSON, "letters", "mine = 1")
    shutil.rmtree(both.origin)
    refused(both, "Nothing was changed; mend that and try again.")


def test_a_history_of_ones_own_changes_nothing(both: Repositories) -> None:
    (both.mine / "mine.txt").write_text("x", encoding="utf-8")
    git(both.mine, "add", "mine.txt")
    git(both.mine, "commit", "--quiet", "--message", "mine")
    answer(both.mine)
    both.publish(new_text)
    refused(both, "git pull failed: ")


def test_a_file_in_the_way_changes_nothing(both: Repositories) -> None:
    answer(both.mine)
    (both.mine / "notebooks" / "92_new.ipynb").write_text("mine", encoding="utf-8")
    both.publish(lambda root: (root / "notebooks" / "92_new.ipynb").write_text("{}", encoding="utf-8"))
    refused(both, "git pull failed: ")


def test_a_file_changed_by_hand_is_named(both: Repositories) -> None:
    answer(both.mine)
    (both.mine / "course.toml").write_text("title = 'mine'", encoding="utf-8")
    both.publish(new_text)
    refused(both, "course.toml was changed by hand. Commit it or undo it (git restore course.toml), then update.")


def test_a_deleted_notebook_is_named(both: Repositories) -> None:
    answer(both.mine)
    (both.mine / LESSON).unlink()
    refused(both, f"git restore {LESSON}")


def test_an_interrupt_puts_everything_back(both: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(both.mine)
    before = both.files()
    really = learner_files._git

    def interrupted(root: Path, *arguments: str) -> str:
        if arguments[0] == "pull":
            raise KeyboardInterrupt
        return really(root, *arguments)

    monkeypatch.setattr(learner_files, "_git", interrupted)
    with pytest.raises(KeyboardInterrupt):
        both.update()
    assert both.files() == before


def test_a_download_is_no_clone(tmp_path: Path) -> None:
    course = tiny_course.copy_to(tmp_path)
    with pytest.raises(LearnerFilesError, match=r"this folder is no git clone\. Unpack the new version beside it"):
        list(learner_files.update(course))


def test_git_missing_is_said(both: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(both.origin))
    refused(both, "git is not installed. Install it, or copy exercises/ into a new download.")


# --- reset


@pytest.fixture
def course(tmp_path: Path) -> manifest.Course:
    return tiny_course.copy_to(tmp_path)


def test_reset_brings_the_first_state_back(course: manifest.Course) -> None:
    path = course.root / EXERCISE
    first = path.read_bytes()
    answer(course.root)
    mine = path.read_bytes()
    kept = learner_files.reset(course, "90")
    assert path.read_bytes() == first
    assert kept is not None and kept.parts[:2] == ("exercises", "kept")
    assert (course.root / kept).read_bytes() == mine


def test_reset_of_a_new_notebook_keeps_nothing(course: manifest.Course) -> None:
    before = (course.root / EXERCISE).read_bytes()
    assert learner_files.reset(course, "90") is None
    assert (course.root / EXERCISE).read_bytes() == before
    assert not (course.root / "exercises" / "kept").exists()


def test_each_reset_keeps_its_own_copy(course: manifest.Course) -> None:
    copies = set()
    for word in ("one", "two"):
        set_source(course.root / EXERCISE, "answer-90-2", word)
        copies.add(learner_files.reset(course, "90"))
    assert {source_of(course.root / copy, "answer-90-2") for copy in copies} == {"one", "two"}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", json.dumps({"cells": 1}).encode()])
def test_reset_of_what_cannot_be_read_keeps_it(content: bytes, course: manifest.Course) -> None:
    path = course.root / EXERCISE
    first = path.read_bytes()
    path.write_bytes(content)
    kept = learner_files.reset(course, "90")
    assert kept is not None and (course.root / kept).read_bytes() == content
    assert path.read_bytes() == first


def test_reset_of_a_missing_notebook_writes_it(course: manifest.Course) -> None:
    path = course.root / EXERCISE
    first = path.read_bytes()
    path.unlink()
    assert learner_files.reset(course, "90") is None and path.read_bytes() == first


def test_reset_names_what_there_is(course: manifest.Course) -> None:
    with pytest.raises(KeyError, match="there is no lesson '1'; the lessons are 90, 91"):
        learner_files.reset(course, "1")
    with pytest.raises(LearnerFilesError, match="lesson 91 has no exercises; see course status"):
        learner_files.reset(course, "91")
