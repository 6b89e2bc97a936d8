"""A learner's notebooks: bring one back to its first state, or get a newer course, and lose no answer either way."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from course_utils.classroom.answer_cells import exercise_of
from course_utils.classroom.manifest import Course
from course_utils.core.errors import CourseError

KEPT = "kept"
_PART = ".part-"


class LearnerFilesError(CourseError):
    """Nothing was changed; the text says why and what to do."""


def reset(course: Course, lesson_id: str) -> Path | None:
    """Write the lesson's exercise notebook again, from its solutions.

    Returns where the learner's version was kept, relative to the course; None if it was as new. ``KeyError`` for an
    unknown lesson, :class:`LearnerFilesError` for one without exercises.
    """
    from course_utils.classroom import generate, notebook_files

    lesson = course.lesson(lesson_id)
    if not lesson.exercises:
        raise LearnerFilesError(f"lesson {lesson_id} has no exercises; see course status for those that have")
    path = course.exercise_notebook(lesson)
    fresh = notebook_files.to_text(generate.exercise_from(notebook_files.read(course.solution(lesson)), course, lesson))
    kept = None
    try:
        if path.exists():
            if path.read_text(encoding="utf-8", errors="replace") == fresh:
                return None
            kept = _keep(course.root, path)
        path.parent.mkdir(exist_ok=True)
        _write(path, fresh.encode("utf-8"), path.parent)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise LearnerFilesError(
            f"{reason}. {path.name} is as it was; free space or get write access, then reset."
        ) from None
    return kept


def update(course: Course) -> Iterator[str]:
    """Get the newest course by git; yields one line for each thing done, when all of it is done.

    Changed notebooks are copied to ``kept/`` folders first, then git works on clean files. A notebook that is not
    renewed comes back as it was; into a renewed exercise notebook goes the source of every answer cell, found by the
    exercise that it checks. When anything fails, everything is put back. What is under way is noted in a journal before
    the first notebook is touched, so an update that was killed is completed or undone by :func:`settle` at the next
    command.
    """
    root = course.root
    if not (root / ".git").exists():
        raise LearnerFilesError(
            "this folder is not a git clone. Unpack the new version beside it, "
            "then copy exercises/ and progress.json over."
        )
    try:
        with _only_one(root) as lock:
            lines = [*_settled(root), *_updated(root, lock)]
    except OSError as error:
        raise LearnerFilesError(_disk_trouble(root, error)) from None
    yield from lines


def settle(course: Course) -> list[str]:
    """Complete or undo an update that was killed, and say so in a line; nothing where there was none.

    ``LearnerFilesError`` where that cannot be done now; the learner's notebooks are in ``kept/`` until it is.
    """
    root = course.root
    if not (root / ".git").exists() or not _journal(root).exists():
        return []
    try:
        with _only_one(root):
            return _settled(root)
    except OSError as error:
        raise LearnerFilesError(_disk_trouble(root, error)) from None


# --- one update


def _updated(root: Path, lock: int | None) -> list[str]:
    _refuse_other_changes(root)
    changed = _changed_notebooks(root)
    _git(root, "fetch", "--quiet", lock=lock)
    before, target = _git(root, "rev-parse", "HEAD"), _target(root)
    short = [_git(root, "rev-parse", "--short", name) for name in (before, target)]
    if before == target or _is_ancestor(root, target, before):
        return [f"already the newest version ({short[0]})"]
    _keep_for_update(root, before, target, changed)
    try:
        if changed:
            _git(root, "checkout", "HEAD", "--", *changed, lock=lock)
        _git(root, "merge", "--ff-only", "--quiet", target, lock=lock)
        return [f"updated from {short[0]} to {short[1]}", *_settle(root), *_to_install(root, before, target)]
    except BaseException:  # an interrupt too
        if _journal(root).exists():
            _settle(root)
        raise


def _keep_for_update(root: Path, before: str, target: str, changed: list[str]) -> None:
    """Copy the learner's notebooks, then note in the journal what is under way; on an error leave neither."""
    copies: dict[str, str] = {}
    try:
        for name in changed:
            copies[name] = _keep(root, root / name).as_posix()
        journal = {"before": before, "target": target, "copies": copies}
        _write(_journal(root), json.dumps(journal, indent=1).encode(), _journal(root).parent)
    except BaseException:
        if not _journal(root).exists():
            for copy in copies.values():
                (root / copy).unlink(missing_ok=True)
        raise


def _settled(root: Path) -> list[str]:
    """What :func:`settle` says, with the lock held."""
    for part in [*root.glob(f"*/{KEPT}/{_PART}*"), *_journal(root).parent.glob(f"{_PART}*")]:
        part.unlink(missing_ok=True)
    if not _journal(root).exists():
        return []
    before = _read_journal(root)["before"]
    done = _git(root, "rev-parse", "HEAD") != before
    lines = _settle(root)
    what = "completed" if done else "undone: run course update again"
    return [f"an update was interrupted; your answers are in place, and it was {what}", *lines]


def _settle(root: Path) -> list[str]:
    """Bring every notebook of the journal to where it belongs, for the version that git is at now; then end it.

    May itself be interrupted anywhere and run again.
    """
    journal = _read_journal(root)
    before, target = journal["before"], journal["target"]
    now = _git(root, "rev-parse", "HEAD")
    if now == before:
        _undo_half_a_merge(root, before, target, journal["copies"])
    renewed = _git(root, "diff", "--name-only", before, now).splitlines()
    lines: list[str] = []
    unused: list[Path] = []
    for name, kept in journal["copies"].items():
        path, copy = root / name, root / kept
        if not copy.exists():  # settled before, by a run that was interrupted
            continue
        if _is_untouched_since(path, copy, _blob(root, now, name), _blob(root, target, name)):
            if name not in renewed:
                _write(path, copy.read_bytes(), copy.parent)
                unused.append(copy)
                continue
        else:  # somebody worked in it after the interruption
            lines.append(f"{name} was changed after the interruption; that version: {_keep(root, path).as_posix()}")
        lines += _renewed(root, name, copy, before, now)
    _journal(root).unlink()
    for copy in unused:
        copy.unlink(missing_ok=True)
    return lines


def _renewed(root: Path, name: str, copy: Path, before: str, now: str) -> Iterator[str]:
    """Carry the answers into a notebook that has a new version."""
    kept = copy.relative_to(root)
    fresh = _blob(root, now, name)
    if fresh is None:
        yield f"{name} is no longer part of the course; your copy: {kept}"
        return
    if not name.startswith("exercises/"):
        yield f"{name}: new version in place; your copy with its changes: {kept}"
        return
    given, mine = _cells(_blob(root, before, name)), _cells(copy.read_bytes())
    own = {cell_id: cell for cell_id, cell in mine.items() if cell != given.get(cell_id)}
    answers = _answers(given, mine, own)
    placed, lost = _place(answers, root / name, fresh, copy.parent)
    yield f"{name}: {placed} of your answers carried over; your old copy: {kept}"
    if lost:
        yield f"{name}: no place any more for {', '.join(lost)}; take them from {kept}"
    if others := len(own) - len(answers):
        cells = "1 other cell that you added or changed is" if others == 1 else f"{others} other cells of yours are"
        yield f"{name}: {cells} only in {kept}"


def _to_install(root: Path, before: str, now: str) -> list[str]:
    if "requirements.lock" not in _git(root, "diff", "--name-only", before, now).splitlines():
        return []
    return ["requirements.lock changed: install it with make lab, or .venv/bin/pip install -r requirements.lock -e ."]


def _undo_half_a_merge(root: Path, before: str, target: str, copies: dict[str, str]) -> None:
    """git was killed between two files: give those that are as in the new version, or half so, their old content.

    Writes files and leaves git's index alone, which another process may have locked.
    """
    for name in _git(root, "diff", "--name-only", before, target).splitlines():
        path, old, new = root / name, _blob(root, before, name), _blob(root, target, name)
        if name in copies or path.is_symlink() or (path.exists() and not path.is_file()):
            continue
        if old is None:
            if path.exists() and new is not None and _plain(path.read_bytes()) == _plain(new):
                path.unlink()
        elif not path.exists() or (_plain(path.read_bytes()) != _plain(old) and _begins(path, new)):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, old, _journal(root).parent)


def _is_untouched_since(path: Path, copy: Path, *versions: bytes | None) -> bool:
    """Does the notebook hold what an update leaves there at any moment, and nothing that came afterwards?"""
    if not path.exists() or path.read_bytes() == copy.read_bytes():
        return True
    return any(_begins(path, version) for version in versions)


def _begins(path: Path, content: bytes | None) -> bool:
    """Is the file this content, or the beginning of it, as far as it was written?"""
    return content is not None and _plain(content).startswith(_plain(path.read_bytes()))


def _plain(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def _refuse_other_changes(root: Path) -> None:
    notebooks = _changed_notebooks(root)
    other = [name for name in _git(root, "diff", "--name-only", "HEAD").splitlines() if name not in notebooks]
    if not other:
        return
    if not (root / other[0]).exists():
        back = f"git restore -s HEAD -SW -- {_quoted(other[:1])}"
        raise LearnerFilesError(f"{other[0]} was deleted. Bring it back ({back}), then update.")
    raise LearnerFilesError(
        f"{', '.join(other)} {'was' if len(other) == 1 else 'were'} changed by hand. Put the changes aside "
        f"(git stash push -- {_quoted(other)}), update, and take them back (git stash pop); "
        f"or drop them (git restore -s HEAD -SW -- {_quoted(other)})."
    )


def _target(root: Path) -> str:
    """The commit to update to. ``LearnerFilesError`` where git cannot go there from here, with what to do."""
    branch = _git(root, "branch", "--show-current")
    if not branch:
        known = _git(root, "for-each-ref", "--count=1", "--format=%(refname:short)", "refs/heads/")
        raise LearnerFilesError(
            "this clone is at a single version and on no branch (detached HEAD), so there is nothing to update. "
            f"Go back to the course's branch (git switch {known or 'main'}), then update."
        )
    upstream = _git_or_none(root, "rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}")
    if upstream is None:
        raise LearnerFilesError(
            f"your branch {branch} tracks no branch of the course. Go back to the course's branch (git switch main), "
            f"or let it track that one (git branch --set-upstream-to=origin/main {branch}), then update."
        )
    target = _git(root, "rev-parse", upstream)
    if not _is_ancestor(root, "HEAD", target) and not _is_ancestor(root, target, "HEAD"):
        count = _git(root, "rev-list", "--count", f"{upstream}..HEAD")
        raise LearnerFilesError(
            f"your branch {branch} has {count} commit{'s' * (count != '1')} that the course does not have, and the "
            f"course has new ones, so an update cannot join the two. Nothing was changed. Put yours on top of the new "
            f"version: git rebase --autostash {upstream} (git rebase --abort takes that back)."
        )
    return target


def _is_ancestor(root: Path, older: str, newer: str) -> bool:
    return _git_or_none(root, "merge-base", "--is-ancestor", older, newer) is not None


def _quoted(names: list[str]) -> str:
    return " ".join(map(shlex.quote, names))


def _changed_notebooks(root: Path) -> list[str]:
    names = _git(root, "diff", "--name-only", "HEAD", "--", "exercises", "notebooks", "solutions").splitlines()
    return [name for name in names if name.endswith(".ipynb") and (root / name).exists()]


# --- files that are whole or not there


def _journal(root: Path) -> Path:
    return _git_folder(root) / "course-update.json"


def _git_folder(root: Path) -> Path:
    """``.git``, or the folder that it names where it is a file."""
    folder = root / ".git"
    if folder.is_file():
        return root / folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    return folder


def _read_journal(root: Path) -> dict[str, Any]:
    return json.loads(_journal(root).read_text(encoding="utf-8"))


@contextlib.contextmanager
def _only_one(root: Path) -> Iterator[int | None]:
    """Hold the lock of updates, which ends with the process and with the git that it started."""
    path = _git_folder(root) / "course-update.lock"
    with path.open("a") as file:
        for last in [False] * 20 + [True]:
            try:
                _lock(file.fileno())
                break
            except OSError:
                if last:
                    raise LearnerFilesError("an update is running in another window; wait until it ends.") from None
                time.sleep(0.1)
        yield None if sys.platform == "win32" else file.fileno()


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _keep(root: Path, path: Path) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    kept = path.parent / KEPT / f"{path.stem}.{stamp}.ipynb"
    kept.parent.mkdir(exist_ok=True)
    _write(kept, path.read_bytes(), kept.parent)
    return kept.relative_to(root)


def _write(path: Path, content: bytes, beside: Path) -> None:
    """Write to a second file in ``beside``, have the disk confirm it, and put it in place at once."""
    part = beside / f"{_PART}{os.getpid()}-{path.name}"
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _disk_trouble(root: Path, error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    if not _journal(root).exists():
        return f"{reason}. Your notebooks are as they were; fix that (free space or get write access) and try again."
    return (
        f"{reason}. Your notebooks are safe in the kept/ folders and come back with the next course command: "
        "fix that (free space or get write access), then run course status."
    )


# --- notebooks


@dataclass(frozen=True)
class _Cell:
    source: str
    exercise: str | None
    """The exercise that it answers."""


def _cells(content: bytes | None) -> dict[str, _Cell]:
    """Cells by id; a notebook that cannot be read has none (its copy is kept all the same)."""
    try:
        cells = [x for x in json.loads((content or b"").decode("utf-8", "replace"))["cells"] if "id" in x]
        sources = {str(x["id"]): (_joined(x["source"]), x.get("cell_type") == "code") for x in cells}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {key: _Cell(source, exercise_of(source) if code else None) for key, (source, code) in sources.items()}


def _answers(given: dict[str, _Cell], mine: dict[str, _Cell], own: dict[str, _Cell]) -> dict[str, str]:
    """The learner's answers by exercise: what she made of the cell given for it, or of a new one if that is gone."""
    answers = {cell.exercise: own[key].source for key, cell in given.items() if cell.exercise and key in own}
    there = {cell.exercise for key, cell in given.items() if key in mine}
    for cell in own.values():
        if cell.exercise and cell.exercise not in there:
            answers.setdefault(cell.exercise, cell.source)
    return answers


def _place(answers: dict[str, str], path: Path, fresh: bytes, beside: Path) -> tuple[int, list[str]]:
    """Write the answers into the new notebook; returns how many found their cell, and the exercises that have none.

    A cell that was written in since the new version came is left as it is.
    """
    untouched = _cells(fresh)
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = list(notebook["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        notebook = json.loads(fresh.decode("utf-8"))
        cells = notebook["cells"]
    left = dict(answers)
    for cell in cells:
        given = untouched.get(cell.get("id"))
        if given and given.exercise in left and _joined(cell["source"]) in (given.source, left[given.exercise]):
            cell["source"] = left.pop(given.exercise).splitlines(keepends=True)
    _write(path, (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode(), beside)
    return len(answers) - len(left), sorted(left)


def _joined(source: Any) -> str:
    return "".join(source) if isinstance(source, list) else str(source)


# --- git


def _blob(root: Path, version: str, name: str) -> bytes | None:
    """A file of one version, with this system's line ends; None where that version has none."""
    done = _run(root, "cat-file", "--filters", f"{version}:{name}")
    return done.stdout if done.returncode == 0 else None


def _git_or_none(root: Path, *arguments: str) -> str | None:
    done = _run(root, *arguments)
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def _git(root: Path, *arguments: str, lock: int | None = None) -> str:
    done = _run(root, *arguments, lock=lock)
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip() or done.stdout.decode("utf-8", "replace").strip()
        lines = [line.strip() for line in told.splitlines() if line.strip() and not line.startswith("hint:")]
        reason = "\n  ".join(["", *lines]) if lines else " it ended without a message"
        raise LearnerFilesError(f"git {arguments[0]} failed:{reason}\nNothing was changed; fix that and try again.")
    return done.stdout.decode("utf-8", "replace").strip()


def _run(root: Path, *arguments: str, lock: int | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run git. lock: a file that git holds open as long as it runs."""
    try:
        return subprocess.run(
            ["git", "-C", str(root), "-c", "core.quotepath=off", *arguments],
            capture_output=True, check=False, pass_fds=() if lock is None else (lock,),
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        raise LearnerFilesError("git is not installed. Install it, or copy exercises/ into a new download.") from None
