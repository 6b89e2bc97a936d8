"""A learner's notebooks survive a reset and an update; tried on real git repositories, an origin and its clone."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from course_utils.classroom import cli, learner_files, manifest
from course_utils.classroom.learner_files import LearnerFilesError
from tests import tiny_course
from tests.tiny_course import COUNTING, cell, edit, read, set_source, source_of

EXERCISE = f"exercises/{COUNTING}"
LESSON = f"notebooks/{COUNTING}"
MY_WORD = 'word = "graph"\n# my thoughts\ncheck("90.2", word)'
MY_VOWELS = 'def vowels(word):\n    return word.count("a")\n\n\ncheck("90.1", vowels)'
NEW_VOWELS = 'def vowels(word: str) -> int: ...\n\n\ncheck("90.1", vowels)'
NEW_WORD = 'word: str = ...\ncheck("90.2", word)'


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
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # slow, and only a power cut could tell
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
    _, line, own = both.update()
    [copy] = both.kept()
    assert line == (f"{EXERCISE}: 1 of your answers carried over; your old copy: {copy.relative_to(both.mine)}")
    assert own == f"{EXERCISE}: 1 other cell that you added or changed is only in {copy.relative_to(both.mine)}"
    assert "Now with an example." in source_of(both.mine / EXERCISE, "task-90-1")
    assert source_of(both.mine / EXERCISE, "answer-90-2") == MY_WORD
    assert source_of(both.mine / EXERCISE, "answer-90-1") == source_of(both.origin / EXERCISE, "answer-90-1")
    assert copy.read_bytes() == before, "the copy has her own cells and outputs"


def test_an_improved_stub_does_not_overwrite_an_answer(both: Repositories) -> None:
    set_source(both.mine / EXERCISE, "answer-90-1", MY_VOWELS)
    both.publish(lambda root: set_source(root / EXERCISE, "answer-90-1", NEW_VOWELS))
    both.publish(lambda root: set_source(root / EXERCISE, "answer-90-2", NEW_WORD))
    both.update()
    assert source_of(both.mine / EXERCISE, "answer-90-1") == MY_VOWELS
    assert source_of(both.mine / EXERCISE, "answer-90-2") == NEW_WORD


def test_an_answer_is_found_by_the_exercise_that_it_checks_whatever_its_cell_is_called(both: Repositories) -> None:
    answer(both.mine)
    both.publish(lambda root: edit(root / EXERCISE, lambda nb: cell(nb, "answer-90-2").update(id="c60c9589")))
    both.update()
    assert source_of(both.mine / EXERCISE, "c60c9589") == MY_WORD


def test_an_answer_in_a_cell_pasted_over_the_given_one_is_found(both: Repositories) -> None:
    answer(both.mine)
    edit(both.mine / EXERCISE, lambda nb: cell(nb, "answer-90-2").update(id="mine"))
    both.publish(new_text)
    assert "1 of your answers carried over" in both.update()[1]
    assert source_of(both.mine / EXERCISE, "answer-90-2") == MY_WORD


def test_a_second_check_of_an_exercise_is_no_answer_while_the_given_cell_is_there(both: Repositories) -> None:
    edit(both.mine / EXERCISE, lambda nb: cell(nb, "setup").update(source='check("90.2", "another")'))
    both.publish(new_text)
    assert "0 of your answers carried over" in both.update()[1]


def test_updates_can_follow_each_other(both: Repositories) -> None:
    answer(both.mine)
    both.publish(new_text)
    both.update()
    set_source(both.mine / EXERCISE, "answer-90-1", MY_VOWELS)
    both.publish(lambda root: set_source(root / EXERCISE, "task-90-2", "## 90.2 · Name a word"))
    _, line = both.update()
    assert "2 of your answers carried over" in line, "her own cell went into the first copy"
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
    _, carried, lost, _ = both.update()
    [copy] = both.kept()
    where = copy.relative_to(both.mine)
    assert carried == f"{EXERCISE}: 0 of your answers carried over; your old copy: {where}"
    assert lost == f"{EXERCISE}: no place any more for 90.2; take them from {where}"
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
    refused(both, "Nothing was changed; fix that and try again.")
    refused(both, "does not appear to be a git repository\n  fatal: Could not read from remote repository.")


def test_a_history_of_ones_own_changes_nothing(both: Repositories) -> None:
    (both.mine / "mine.txt").write_text("x", encoding="utf-8")
    git(both.mine, "add", "mine.txt")
    git(both.mine, "commit", "--quiet", "--message", "mine")
    answer(both.mine)
    both.publish(new_text)
    refused(both, "your branch main has 1 commit that the course does not have")
    refused(both, "git rebase --autostash origin/main")


def test_the_advice_for_a_history_of_ones_own_works(both: Repositories) -> None:
    (both.mine / "mine.txt").write_text("x", encoding="utf-8")
    git(both.mine, "add", "mine.txt")
    git(both.mine, "commit", "--quiet", "--message", "mine")
    set_source(both.mine / LESSON, "letters", "mine = 1")
    both.publish(new_text)
    refused(both, "git rebase --autostash origin/main")
    git(both.mine, "rebase", "--autostash", "origin/main")
    assert "Now with an example." in source_of(both.mine / EXERCISE, "task-90-1")
    assert source_of(both.mine / LESSON, "letters") == "mine = 1" and (both.mine / "mine.txt").exists()
    assert both.update()[0].startswith("already the newest version")


def test_a_detached_head_is_said_and_the_advice_works(both: Repositories) -> None:
    answer(both.mine)
    both.publish(new_text)
    git(both.mine, "checkout", "--quiet", "--detach")
    refused(both, "on no branch (detached HEAD), so there is nothing to update. Go back to the course's branch (git sw")
    git(both.mine, "switch", "--quiet", "main")
    assert both.update()[0].startswith("updated from")


def test_a_branch_that_follows_nothing_is_said_and_the_advice_works(both: Repositories) -> None:
    both.publish(new_text)
    git(both.mine, "switch", "--quiet", "--create", "mine")
    refused(both, "git branch --set-upstream-to=origin/main mine")
    git(both.mine, "branch", "--set-upstream-to=origin/main", "mine")
    assert both.update()[0].startswith("updated from")


def test_a_file_in_the_way_changes_nothing(both: Repositories) -> None:
    answer(both.mine)
    (both.mine / "notebooks" / "92_new.ipynb").write_text("mine", encoding="utf-8")
    both.publish(lambda root: (root / "notebooks" / "92_new.ipynb").write_text("{}", encoding="utf-8"))
    refused(
        both, "git merge failed:\n  error: The following untracked working tree files would be overwritten by merge:"
    )
    refused(both, "notebooks/92_new.ipynb")


def test_a_file_changed_by_hand_is_named(both: Repositories) -> None:
    answer(both.mine)
    (both.mine / "course.toml").write_text("title = 'mine'", encoding="utf-8")
    both.publish(new_text)
    refused(both, "course.toml was changed by hand. Put the changes aside (git stash push -- course.toml), update, and")
    git(both.mine, "stash", "push", "--", "course.toml")
    assert both.update()[0].startswith("updated from")
    git(both.mine, "stash", "pop")
    assert (both.mine / "course.toml").read_text(encoding="utf-8") == "title = 'mine'"
    assert source_of(both.mine / EXERCISE, "answer-90-2") == MY_WORD


def test_a_deleted_notebook_is_named(both: Repositories) -> None:
    answer(both.mine)
    (both.mine / LESSON).unlink()
    refused(both, f"{LESSON} was deleted. Bring it back (git restore -s HEAD -SW -- {LESSON}), then update.")
    git(both.mine, "restore", "-s", "HEAD", "-SW", "--", LESSON)
    assert both.update()[0].startswith("already the newest")


def test_a_new_lock_file_is_to_be_installed(both: Repositories) -> None:
    both.publish(lambda root: (root / "requirements.lock").write_text("torch==9\n", encoding="utf-8"))
    _, line = both.update()
    assert line.startswith("requirements.lock changed: install it with make lab")


def test_an_interrupt_puts_everything_back(both: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(both.mine)
    both.publish(new_text)
    before = both.files()
    really = learner_files._git

    def interrupted(root: Path, *arguments: str, **others: object) -> str:
        if arguments[0] == "merge":
            raise KeyboardInterrupt
        return really(root, *arguments, **others)

    monkeypatch.setattr(learner_files, "_git", interrupted)
    with pytest.raises(KeyboardInterrupt):
        both.update()
    assert both.files() == before


def test_a_download_is_no_clone(tmp_path: Path) -> None:
    course = tiny_course.copy_to(tmp_path)
    with pytest.raises(LearnerFilesError, match=r"this folder is not a git clone\. Unpack the new version beside it"):
        list(learner_files.update(course))


def test_git_missing_is_said(both: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(both.origin))
    refused(both, "git is not installed. Install it, or copy exercises/ into a new download.")


# --- killed at any moment

DANGEROUS = {"open", "os.rename", "os.remove", "os.mkdir", "subprocess.Popen"}


def at_each_step(act: Callable[[int], None]) -> None:
    """From now on call ``act`` with a number before every write, rename, removal and start of git in this process."""
    count = 0

    def audit(event: str, arguments: tuple) -> None:
        nonlocal count
        if event in DANGEROUS and not (event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
            count += 1
            act(count)

    sys.addaudithook(audit)


def in_a_fork(work: Callable[[], object]) -> int:
    """Do it in a copy of this process, where an audit hook may stay; the way it ended."""
    process = os.fork()
    if process == 0:
        try:
            work()
            os._exit(0)
        except SystemExit as stopped:
            os._exit(stopped.code)
        except BaseException:
            os._exit(9)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def copy_of(both: Repositories, folder: Path) -> Repositories:
    shutil.copytree(both.mine, folder, symlinks=True)
    return Repositories(both.origin, folder, manifest.load(folder))


def on_the_disk(mine: Repositories) -> frozenset[tuple[str, bytes]]:
    """All that the next command can see; the same for two folders that differ in nothing but times and their place."""
    found = {("index", git(mine.mine, "ls-files", "--stage").encode())}
    for path in mine.mine.rglob("*"):
        name = path.relative_to(mine.mine).as_posix()
        plain = path.is_file() and name != ".git/index" and not name.startswith(".git/logs/")
        content = path.read_bytes() if plain else b""
        found.add((VARIES.sub("", name), VARIES_HERE.sub(b"", content) if name.endswith(".json") else content))
    return frozenset(found)


VARIES = re.compile(r"\d{8}-\d{6}-\d{6}|(?<=\.part-)\d+")
VARIES_HERE = re.compile(VARIES.pattern.encode())


def everything_is_there(mine: Repositories) -> bool:
    """Her work is where it belongs in the version that git is at; True for the new one."""
    assert source_of(mine.mine / EXERCISE, "answer-90-2") == MY_WORD
    assert source_of(mine.mine / LESSON, "letters") == "mine = 1"
    newest = "Now with an example." in source_of(mine.mine / EXERCISE, "task-90-1")
    assert newest == (git(mine.mine, "rev-parse", "HEAD") == git(mine.origin, "rev-parse", "HEAD"))
    holds_her_cell = any(x["id"] == "my-notes" for x in read(mine.mine / EXERCISE)["cells"])
    assert holds_her_cell != newest
    assert set(git(mine.mine, "diff", "--name-only", "HEAD").splitlines()) == {EXERCISE, LESSON}
    assert not (mine.mine / ".git" / "course-update.json").exists()
    return newest


@pytest.fixture
def before_an_update(both: Repositories) -> Repositories:
    answer(both.mine)
    set_source(both.mine / LESSON, "letters", "mine = 1")
    both.publish(new_text)
    return both


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_an_update_killed_at_any_step_loses_nothing(before_an_update: Repositories, tmp_path: Path) -> None:
    seen, states = set(), set()
    for step in range(1, 200):
        mine = copy_of(before_an_update, tmp_path / f"killed {step}")

        def work(step: int = step, mine: Repositories = mine) -> None:
            at_each_step(lambda count: os.kill(os.getpid(), signal.SIGKILL) if count == step else None)
            mine.update()

        ended = in_a_fork(work)
        if ended and (state := on_the_disk(mine)) in states:
            continue  # killed before a step that only reads: what is left is what the step before left
        states.add(state)
        was_under_way = (mine.mine / ".git" / "course-update.json").exists()
        lines = learner_files.settle(mine.course)
        assert bool(lines) == was_under_way
        if lines:
            assert lines[0].startswith("an update was interrupted; your answers are in place, and it was ")
        seen.add((was_under_way, everything_is_there(mine)))
        assert mine.update()[0].startswith(("updated from", "already the newest"))
        assert everything_is_there(mine)
        assert not [*mine.mine.glob("*/kept/.part-*"), *mine.mine.glob(".git/.part-*")]
        if ended == 0:
            break
    assert ended == 0 and step > 20 and len(states) > 12
    assert seen == {(False, False), (True, False), (True, True), (False, True)}


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_settling_killed_at_any_step_can_be_settled(before_an_update: Repositories, tmp_path: Path) -> None:
    for moved in (False, True):
        ended, states = None, set()
        halfway = copy_of(before_an_update, tmp_path / f"half {moved}")
        half_done(halfway, moved)
        for step in range(1, 100):
            mine = copy_of(halfway, tmp_path / f"again {moved} {step}")

            def work(step: int = step, mine: Repositories = mine) -> None:
                at_each_step(lambda count: os.kill(os.getpid(), signal.SIGKILL) if count == step else None)
                learner_files.settle(mine.course)

            ended = in_a_fork(work)
            if ended and (state := on_the_disk(mine)) in states:
                continue
            states.add(state)
            learner_files.settle(mine.course)
            assert everything_is_there(mine) == moved
            if ended == 0:
                break
        assert ended == 0 and len(states) > 4


def the_command(mine: Repositories, act: Callable[[int], None] | None = None) -> None:
    """``course update`` itself, which has a handler for these signals."""
    os.environ["COURSE_ROOT"] = str(mine.mine)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if act is not None:
        at_each_step(act)
    cli.update()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_an_update_told_to_end_at_any_step_puts_everything_back(before_an_update: Repositories, tmp_path: Path) -> None:
    """By SIGTERM, or by SIGHUP of a closed terminal, in turn: nothing is left to be settled, unlike after a kill."""
    outcomes = set()
    for step in range(1, 200):
        mine = copy_of(before_an_update, tmp_path / f"ended {step}")
        number = (signal.SIGTERM, signal.SIGHUP)[step % 2]

        def work(step: int = step, number: int = number, mine: Repositories = mine) -> None:
            the_command(mine, lambda count: os.kill(os.getpid(), number) if count == step else None)

        ended = in_a_fork(work)
        assert ended in (128 + number, 0), step
        assert learner_files.settle(mine.course) == []
        assert not [*mine.mine.glob("*/kept/.part-*"), *mine.mine.glob(".git/.part-*")]
        outcomes.add((ended, everything_is_there(mine)))
        if ended == 0:
            break
    assert ended == 0 and step > 20
    assert outcomes >= {(128 + signal.SIGTERM, False), (128 + signal.SIGHUP, False), (0, True)}


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and a shell")
@pytest.mark.parametrize("name, moved", [("TERM", False), ("HUP", False), ("TERM", True), ("HUP", True)])
def test_an_update_told_to_end_while_git_works(
    before_an_update: Repositories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, moved: bool
) -> None:
    git_itself = shutil.which("git")
    before = f'"{git_itself}" "$@";' if moved else ""
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    end = f'case " $* " in *" merge --ff-only "*) {before} kill -{name} $PPID; exec sleep 60;; esac'
    script.write_text(f'#!/bin/sh\n{end}\nexec "{git_itself}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    ended = in_a_fork(lambda: the_command(before_an_update))
    assert ended == 128 + getattr(signal, f"SIG{name}")
    assert learner_files.settle(before_an_update.course) == []
    assert everything_is_there(before_an_update) == moved


def half_done(mine: Repositories, moved: bool) -> None:
    """An update killed right before git's merge, or right behind it."""

    def work() -> None:
        really = learner_files._git

        def killed(root: Path, *arguments: str, **others: object) -> str:
            if arguments[0] == "merge":
                if moved:
                    really(root, *arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return really(root, *arguments, **others)

        learner_files._git = killed
        mine.update()

    assert in_a_fork(work) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_git_killed_between_two_files_is_undone(before_an_update: Repositories) -> None:
    both = before_an_update
    both.publish(lambda root: (root / "a_new_file.txt").write_text("new\n", encoding="utf-8"))
    for name in ("course.toml", "tests/sanitize.cfg"):
        both.publish(lambda root, name=name: (root / name).write_bytes((root / name).read_bytes() + b"# new\n"))
    half_done(both, moved=False)
    for name in ("a_new_file.txt", EXERCISE):
        (both.mine / name).write_bytes((both.origin / name).read_bytes())
    (both.mine / "course.toml").write_bytes(b"")
    (both.mine / "tests" / "sanitize.cfg").unlink()
    (both.mine / ".git" / "index.lock").write_bytes(b"")
    [line] = learner_files.settle(both.course)
    assert line.endswith("it was undone: run course update again")
    assert not everything_is_there(both) and not (both.mine / "a_new_file.txt").exists()
    refused(both, "git checkout failed:\n  fatal: Unable to create")  # git's own advice on its lock is shown whole
    (both.mine / ".git" / "index.lock").unlink()
    assert both.update()[0].startswith("updated from")
    assert everything_is_there(both) and (both.mine / "a_new_file.txt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("moved", [False, True])
def test_work_after_the_interruption_is_kept(before_an_update: Repositories, moved: bool) -> None:
    half_done(before_an_update, moved)
    set_source(before_an_update.mine / EXERCISE, "answer-90-1", MY_VOWELS)
    first, second, *_ = learner_files.settle(before_an_update.course)
    assert first.startswith("an update was interrupted") and "was changed after the interruption" in second
    assert source_of(before_an_update.mine / EXERCISE, "answer-90-1") == MY_VOWELS
    assert source_of(before_an_update.mine / EXERCISE, "answer-90-2") == MY_WORD


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_full_disk_at_any_step_changes_nothing_or_comes_back(before_an_update: Repositories, tmp_path: Path) -> None:
    states = set()
    for step in range(1, 200):
        for stays_full in (False, True):
            mine = copy_of(before_an_update, tmp_path / f"full {step} {stays_full}")

            def work(step: int = step, stays_full: bool = stays_full, mine: Repositories = mine) -> None:
                def full(count: int) -> None:
                    if count == step or (stays_full and count > step):
                        raise OSError(errno.ENOSPC, "No space left on device")

                at_each_step(full)
                try:
                    mine.update()
                except LearnerFilesError as error:
                    os._exit(5 if "No space left on device" in str(error) else 6)

            ended = in_a_fork(work)
            assert ended in (0, 5), step
            if ended and (state := on_the_disk(mine)) in states:
                continue
            states.add(state)
            learner_files.settle(mine.course)
            everything_is_there(mine)
        if ended == 0:
            break
    assert ended == 0 and step > 20


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
def test_two_updates_do_not_meet(before_an_update: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    half_done(before_an_update, moved=False)
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    with learner_files._only_one(before_an_update.mine):
        for call in (before_an_update.update, lambda: learner_files.settle(before_an_update.course)):
            with pytest.raises(LearnerFilesError, match="an update is running in another window; wait until it ends"):
                call()
    assert len(waits) == 40 and sum(waits) == pytest.approx(4)
    assert learner_files.settle(before_an_update.course)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the name of an open file")
def test_a_notebook_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut the notebook is the old one or the new one."""
    order: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: order.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    monkeypatch.setattr(os, "replace", lambda part, path: (order.append(path.name), replace(part, path)))
    learner_files._write(tmp_path / "a.ipynb", b"new", tmp_path)
    assert order == [f".part-{os.getpid()}-a.ipynb", "a.ipynb", tmp_path.name]  # the folder has the name
    assert (tmp_path / "a.ipynb").read_bytes() == b"new"


def test_a_reader_that_goes_away_changes_nothing(before_an_update: Repositories) -> None:
    lines = learner_files.update(before_an_update.course)
    next(lines)
    lines.close()
    assert everything_is_there(before_an_update)


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
