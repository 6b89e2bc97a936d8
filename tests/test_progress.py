"""A learner's progress file: nothing is lost by a crash, and no content of the file stops a check."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.classroom import progress
from course_utils.classroom.progress import Progress, Record

GOOD = {"about": progress.ABOUT, "format": 1, "exercises": {"01.1": {"status": "not yet", "attempts": 2}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "progress.json"


def beside(path: Path) -> list[str]:
    """The names of the other files in its folder."""
    return sorted(x.name for x in path.parent.iterdir() if x != path)


def test_no_file_is_no_progress(path: Path) -> None:
    done = progress.load(path)
    assert (done.records, done.notice) == ({}, "")
    assert done.of("01.1") == Record("not attempted", 0, 0, "")
    assert not path.exists()


def test_what_is_recorded_is_there_afterwards(path: Path) -> None:
    progress.record_attempt("01.1", "not yet", path)
    progress.record_hint("01.2", 2, path)
    progress.record_attempt("01.1", "passed", path)
    done = progress.load(path)
    assert done.of("01.1").status == "passed" and done.of("01.1").attempts == 2 and done.of("01.1").passed
    assert done.of("01.2") == Record(hints=2)
    assert beside(path) == []


def test_the_file_can_be_read_by_a_person(path: Path) -> None:
    progress.record_attempt("01.2", "not yet", path)
    progress.record_attempt("01.1", "your code raised", path)
    assert path.read_text(encoding="utf-8") == (
        "{\n"
        '  "about": "Progress in the TorchScript course. Delete this file to start afresh.",\n'
        '  "format": 1,\n'
        '  "exercises": {\n'
        '    "01.1": {\n'
        '      "status": "your code raised",\n'
        '      "attempts": 1,\n'
        '      "hints": 0,\n'
        '      "passed": ""\n'
        "    },\n"
        '    "01.2": {\n'
        '      "status": "not yet",\n'
        '      "attempts": 1,\n'
        '      "hints": 0,\n'
        '      "passed": ""\n'
        "    }\n"
        "  }\n"
        "}\n"
    )


def test_passed_stays_passed(path: Path) -> None:
    first = progress.record_attempt("01.1", "passed", path).of("01.1")
    later = progress.record_attempt("01.1", "your code raised", path).of("01.1")
    assert (later.status, later.passed, later.attempts) == ("passed", first.passed, 2)


def test_a_check_of_an_untouched_cell_is_no_attempt(path: Path) -> None:
    assert progress.record_attempt("01.1", "not attempted", path).records == {}
    assert not path.exists()
    progress.record_attempt("01.1", "not yet", path)
    assert progress.record_attempt("01.1", "not attempted", path).of("01.1") == Record("not yet", 1)


def test_the_path_can_be_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_PROGRESS_FILE", str(path))
    progress.record_attempt("01.1", "passed")
    assert path.exists() and progress.load().path == path
    monkeypatch.delenv("COURSE_PROGRESS_FILE")
    assert progress.default_path(path.parent) == path


# --- a crash half-way


@pytest.mark.parametrize("step", ["os.replace", "os.fsync"])
def test_a_full_disk_loses_nothing(path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    progress.record_attempt("01.1", "passed", path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, fail)
    done = progress.record_attempt("01.2", "passed", path)
    assert done.notice == (
        "Your progress could not be saved (No space left on device). "
        f"Make {path.parent.name}/ writable, then check again."
    )
    assert path.read_bytes() == before and beside(path) == []


CRASH = """
import os, signal, sys
from pathlib import Path
from course_utils.classroom import progress
path = Path(sys.argv[1])
progress.record_attempt("01.1", "passed", path)
os.replace = lambda *_: os._exit(9)    # the power goes between the write and the replace
progress.record_attempt("01.2", "passed", path)
"""


def test_a_crash_between_write_and_replace_loses_nothing(path: Path) -> None:
    root = Path(progress.__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", CRASH, str(path)], cwd=root, timeout=60)
    assert done.returncode == 9
    after = progress.load(path)
    assert after.of("01.1").status == "passed" and after.notice == ""
    progress.record_attempt("01.2", "passed", path)
    assert set(progress.load(path).records) == {"01.1", "01.2"}


# --- a file that is no progress file


def damaged(**changes: object) -> str:
    return json.dumps({**GOOD, "exercises": {"01.1": {"status": "not yet", **changes}}})


BAD = {
    "empty": (b"", "it is not valid JSON"),
    "cut off": (json.dumps(GOOD).encode()[:-3], "it is not valid JSON"),
    "nested without end": (b"[" * 100_000, "it is not valid JSON"),
    "not UTF-8": (b'{"format": "\xff\xfe"}', "it cannot be read (UnicodeDecodeError)"),
    "foreign list": (b"[1, 2]", "it is not a progress file of this course"),
    "foreign null": (b"null", "it is not a progress file of this course"),
    "foreign object": (b'{"name": "package"}', "it is not a progress file of this course"),
    "no exercises": (b'{"format": 1}', "it is not a progress file of this course"),
    "exercises a list": (b'{"format": 1, "exercises": []}', "it is not a progress file of this course"),
    "newer format": (b'{"format": 2, "exercises": {}}', "its format is 2, this course writes 1"),
    "key unknown": (damaged(score=1).encode(), "unexpected keyword argument 'score'"),
    "record a text": (b'{"format": 1, "exercises": {"01.1": "passed"}}', "it is not a progress file"),
    "attempts a text": (damaged(attempts="3").encode(), "the record of '01.1' is damaged"),
    "attempts negative": (damaged(attempts=-1).encode(), "the record of '01.1' is damaged"),
    "attempts a truth value": (damaged(attempts=True).encode(), "the record of '01.1' is damaged"),
    "status a number": (damaged(status=1).encode(), "the record of '01.1' is damaged"),
    "passed is null": (damaged(passed=None).encode(), "the record of '01.1' is damaged"),
}


@pytest.mark.parametrize("content, why", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_set_aside_and_said(content: bytes, why: str, path: Path) -> None:
    path.write_bytes(content)
    done = progress.record_attempt("01.1", "passed", path)
    assert done.notice.startswith("progress.json was not used: ") and why in done.notice
    [kept] = beside(path)
    assert kept.startswith("progress.set-aside-") and f"It is kept as {kept}; a new one was started." in done.notice
    assert (path.parent / kept).read_bytes() == content
    assert progress.load(path) == Progress(path, {"01.1": done.of("01.1")})


def test_a_folder_in_its_place_is_set_aside(path: Path) -> None:
    path.mkdir()
    (path / "precious.txt").write_text("x", encoding="utf-8")
    assert "it cannot be read" in progress.record_attempt("01.1", "passed", path).notice
    assert progress.load(path).of("01.1").status == "passed"
    [kept] = beside(path)
    assert (path.parent / kept / "precious.txt").exists()


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    done = progress.record_attempt("01.1", "passed", tmp_path / "gone" / "progress.json")
    assert done.notice == (
        "Your progress could not be saved (No such file or directory). Make gone/ writable, then check again."
    )
    assert done.of("01.1").status == "passed"


def test_a_file_where_its_folder_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    done = progress.record_attempt("01.1", "passed", tmp_path / "file" / "progress.json")
    assert "could not be saved" in done.notice
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x"


def test_a_file_that_cannot_be_moved_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("{", encoding="utf-8")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    done = progress.record_attempt("01.1", "passed", path)
    assert "It could not be moved away (Permission denied); move it yourself." in done.notice
    assert "Your progress could not be saved (Permission denied)" in done.notice
    assert path.read_text(encoding="utf-8") == "{" and beside(path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_without_write_access_is_said(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        assert "could not be saved" in progress.record_attempt("01.1", "passed", path).notice
    finally:
        path.parent.chmod(0o700)


# --- properties

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RECORD = st.fixed_dictionaries(
    {}, optional={"status": JSON, "attempts": JSON, "hints": JSON, "passed": JSON, "x": JSON}
)
FILE = st.fixed_dictionaries(
    {},
    optional={"format": st.just(1) | JSON, "exercises": JSON | st.dictionaries(st.text(), RECORD | JSON, max_size=3)},
)


@settings(deadline=None, max_examples=150)
@given(content=st.binary(max_size=60) | (JSON | FILE).map(lambda x: json.dumps(x).encode()))
def test_no_content_stops_a_record(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "progress.json"
    path.write_bytes(content)
    attempts = progress.load(path).of("01.1").attempts
    done = progress.record_attempt("01.1", "passed", path)
    assert done.of("01.1").attempts == attempts + 1
    assert progress.load(path) == Progress(path, done.records)
    assert bool(beside(path)) == (attempts == 0 and not is_progress(content))


def is_progress(content: bytes) -> bool:
    """Whether a file with this content is used; decided by the course's own reader on the parsed text."""
    try:
        progress._records(json.loads(content.decode("utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


STEPS = st.lists(
    st.tuples(st.sampled_from(["01.1", "01.2"]), st.sampled_from(["passed", "not yet", "your code raised", 1, 2, 3])),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_any_sequence_keeps_what_was_reached(steps: list, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("steps") / "progress.json"
    for exercise_id, what in steps:
        if isinstance(what, int):
            progress.record_hint(exercise_id, what, path)
        else:
            progress.record_attempt(exercise_id, what, path)
    done = progress.load(path)
    for exercise_id in ("01.1", "01.2"):
        mine = [what for name, what in steps if name == exercise_id]
        tried = [what for what in mine if isinstance(what, str)]
        record = done.of(exercise_id)
        assert record.attempts == len(tried)
        assert record.hints == max((what for what in mine if isinstance(what, int)), default=0)
        assert record.status == ("passed" if "passed" in tried else (tried or ["not attempted"])[-1])
        assert bool(record.passed) == ("passed" in tried)


WRITER = """
import sys
from pathlib import Path
from course_utils.classroom import progress
notices = {progress.record_attempt(sys.argv[2], "not yet", Path(sys.argv[1])).notice for _ in range(60)}
# Windows refuses to replace a file that the other writer reads at this moment; the notice says so.
sys.exit(sys.platform != "win32" and notices != {""})
"""


def test_two_writers_never_leave_a_broken_file(path: Path) -> None:
    root = Path(progress.__file__).resolve().parents[1]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), x], cwd=root) for x in ("01.1", "01.2")]
    while any(writer.poll() is None for writer in writers):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            assert progress._records(json.loads(path.read_text(encoding="utf-8")))
    assert [writer.returncode for writer in writers] == [0, 0]
    assert beside(path) == []


def test_two_writers_in_turn_keep_both_records(path: Path) -> None:
    for turn in range(1, 4):
        for exercise_id in ("01.1", "01.2"):
            assert progress.record_attempt(exercise_id, "not yet", path).of(exercise_id).attempts == turn
    assert set(progress.load(path).records) == {"01.1", "01.2"}
