"""A learner's notebooks: bring one back to its first state, or get a newer course, and lose no answer either way."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from course_utils.manifest import Course

KEPT = "kept"
_ANSWER = "answer-"


class LearnerFilesError(RuntimeError):
    """Nothing was changed; the text says why and what to do."""


def reset(course: Course, lesson_id: str) -> Path | None:
    """Write the lesson's exercise notebook anew from its solutions.

    Returns where the learner's version was kept, relative to the course; None if it was as new. ``KeyError`` for an
    unknown lesson, :class:`LearnerFilesError` for one without exercises.
    """
    from course_utils.authoring import derive, notebooks

    lesson = course.lesson(lesson_id)
    if not lesson.exercises:
        raise LearnerFilesError(f"lesson {lesson_id} has no exercises; see course status for those that have")
    path = course.exercise_notebook(lesson)
    fresh = notebooks.to_text(derive.exercise_from(notebooks.read(course.solution(lesson)), course, lesson))
    kept = None
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != fresh:
        kept = _keep(course, path)
    path.write_text(fresh, encoding="utf-8", newline="\n")
    return kept


def update(course: Course) -> Iterator[str]:
    """Pull the newest course; yields one line for each thing done.

    Changed notebooks are copied to ``kept/`` folders first, then the pull runs on clean files. A notebook that is not
    renewed comes back as it was; into a renewed exercise notebook goes the source of every answer cell, found by its
    cell id. When the pull fails, everything is put back.
    """
    root = course.root
    if not (root / ".git").exists():
        raise LearnerFilesError(
            "this folder is no git clone. Unpack the new version beside it, "
            "then copy exercises/ and progress.json over."
        )
    changed = _changed_notebooks(root)
    other = [name for name in _git(root, "diff", "--name-only", "HEAD").splitlines() if name not in changed]
    if other:
        raise LearnerFilesError(
            f"{other[0]} was changed by hand. Commit it or undo it (git restore {other[0]}), then update."
        )
    answers = {name: _own_answers(root, name) for name in changed if name.startswith("exercises/")}
    copies = {name: _keep(course, root / name) for name in changed}
    if changed:
        _git(root, "checkout", "HEAD", "--", *changed)
    before = _git(root, "rev-parse", "--short", "HEAD")
    try:
        _git(root, "pull", "--ff-only", "--quiet")
    except BaseException:  # an interrupt too
        for name, copy in copies.items():
            _put_back(root, name, copy)
        raise
    after = _git(root, "rev-parse", "--short", "HEAD")
    yield f"already the newest version ({after})" if before == after else f"updated from {before} to {after}"
    renewed = _git(root, "diff", "--name-only", before, after).splitlines()
    for name, copy in copies.items():
        if name not in renewed:
            _put_back(root, name, copy)
        elif not (root / name).exists():
            yield f"{name} is no longer part of the course; your copy: {copy}"
        elif name in answers:
            placed, lost = _place(answers[name], root / name)
            yield f"{name}: {placed} of your answers carried over; your old copy: {copy}"
            if lost:
                yield f"{name}: no place any more for {', '.join(lost)}; take them from {copy}"
        else:
            yield f"{name}: new version in place; your copy with its changes: {copy}"


def _put_back(root: Path, name: str, copy: Path) -> None:
    shutil.copyfile(root / copy, root / name)
    (root / copy).unlink()


def _changed_notebooks(root: Path) -> list[str]:
    names = _git(root, "diff", "--name-only", "HEAD", "--", "exercises", "notebooks", "solutions").splitlines()
    return [name for name in names if name.endswith(".ipynb") and (root / name).exists()]


def _keep(course: Course, path: Path) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    kept = path.parent / KEPT / f"{path.stem}.{stamp}.ipynb"
    kept.parent.mkdir(exist_ok=True)
    shutil.copyfile(path, kept)
    return kept.relative_to(course.root)


def _own_answers(root: Path, name: str) -> dict[str, str]:
    """Source by cell id of the answer cells that the learner changed, against the version the course came with."""
    given = _answer_cells(_git(root, "show", f"HEAD:{name}"))
    mine = _answer_cells((root / name).read_text(encoding="utf-8", errors="replace"))
    return {cell_id: source for cell_id, source in mine.items() if source != given.get(cell_id)}


def _answer_cells(text: str) -> dict[str, str]:
    """Source by cell id; a notebook that cannot be read has no answers (its copy is kept all the same)."""
    try:
        cells = json.loads(text)["cells"]
        return {cell["id"]: _joined(cell["source"]) for cell in cells if str(cell.get("id", "")).startswith(_ANSWER)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _place(answers: dict[str, str], path: Path) -> tuple[int, list[str]]:
    """Write the answers into the new notebook; returns how many found their cell, and the ids that did not."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    left = dict(answers)
    for cell in notebook["cells"]:
        if cell.get("id") in left:
            cell["source"] = left.pop(cell["id"]).splitlines(keepends=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    return len(answers) - len(left), sorted(left)


def _joined(source: Any) -> str:
    return "".join(source) if isinstance(source, list) else str(source)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "-c", "core.quotepath=off", *arguments],
            capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise LearnerFilesError("git is not installed. Install it, or copy exercises/ into a new download.") from None
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1].rstrip(".")
        raise LearnerFilesError(f"git {arguments[0]} failed: {reason}. Nothing was changed; mend that and try again.")
    return done.stdout.strip()
