"""Claims of the README, of CONTRIBUTING, and of what the learner's files and the archive reader say of themselves."""

from __future__ import annotations

import io
import json
import re
import tempfile
import tomllib
import zipfile
from pathlib import Path

from typer.testing import CliRunner

from course_utils.classroom import cli, manifest, progress
from course_utils.classroom import learner_files as files
from course_utils.tools import archive, onnx_model
from tests.claims import claim

ROOT = Path(__file__).resolve().parents[2]


def _ends(*arguments: str) -> int:
    return CliRunner().invoke(cli.app, arguments).exit_code


def _zip(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in entries.items():
            made.writestr(f"m/{name}", content)
    return buffer.getvalue()


@claim("README.md", "for Python 3.11 to 3.13 on Linux, macOS and Windows")
@claim("README.md", "You need Python 3.11, 3.12 or 3.13")
def the_pythons():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    bounds = re.findall(r"3\.(\d+)", asked)
    assert "11" in bounds
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert all(name in text for name in ("torch", "jupyterlab", "nbval"))
    assert all(name in text for name in ("win32", "darwin", "linux"))


@claim("README.md", "the one list of lessons and exercises: titles, minutes, objectives, hints")
def one_list():
    course = manifest.load(ROOT)
    assert all(x.title and x.minutes for x in course.lessons)
    assert all(x.hints for x in course.exercises())
    assert all(x.objectives for x in course.lessons)


@claim("README.md", "Read a lesson in `notebooks/`, then open the notebook of the same name in `exercises/`")
@claim("README.md", "`solutions/` holds one worked answer for each exercise and why it works")
def same_names():
    course = manifest.load(ROOT)
    for lesson in course.lessons:
        assert course.notebook(lesson).exists()
        if lesson.exercises:
            assert course.exercise_notebook(lesson).exists()
            assert course.solution(lesson).exists()


@claim("README.md", "`course inspect model.pt` shows what is inside a model file without loading it, and exits with 1")
@claim(
    "course_utils/classroom/cli.py",
    "runs as soon as the file is loaded; 2 if the file or the arguments cannot be used.",
)
def the_ends_of_inspect():
    with tempfile.TemporaryDirectory() as folder:
        missing, good, bad = Path(folder) / "missing.pt", Path(folder) / "good.pte", Path(folder) / "bad.pt"
        good.write_bytes(b"\0\0\0\0ET12" + bytes(32))
        bad.write_bytes(_zip(**{"data.pkl": b"cposix\nsystem\n(S'x'\ntR.", "version": b"3"}))
        assert [_ends("inspect", str(x)) for x in (good, bad, missing)] == [0, 1, 2]


@claim("README.md", "`--json` prints machine-readable output (`doctor`, `status`, `inspect`, `migrate`)")
def json_where_it_says():
    for command in ("doctor", "status", "inspect", "migrate"):
        shown = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "200"}).output
        assert "--json" in shown
    assert "exercises" in json.loads(CliRunner().invoke(cli.app, ["status", "--json"]).stdout)


@claim(
    "README.md",
    "killed half-way, the next `course` command completes or undoes it and says so",
    was="put back as it was",
)
@claim("course_utils/classroom/learner_files.py", "May itself be interrupted anywhere and run again.")
def an_interrupted_update():
    text = (ROOT / "tests" / "test_learner_files.py").read_text(encoding="utf-8")
    for name in ("killed_at_any_step", "settling_killed_at_any_step", "full_disk_at_any_step", "two_updates"):
        assert re.search(rf"^def test_\w*{name}", text, re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        part = root / "a.ipynb"
        part.write_bytes(b"{\r\n")
        assert files._begins(part, b"{\n}\n") and not files._begins(part, b"[\n") and not files._begins(part, None)


@claim("README.md", "your version is kept.")
@claim("README.md", "it is kept in `progress.json` on your disk and nowhere else")
def kept_files_are_the_learners():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    for name in ("progress.json", "exercises/kept/", "notebooks/kept/"):
        assert name in ignored


@claim("course_utils/classroom/progress.py", "never stops a check")
@claim("course_utils/classroom/progress.py", "A passed exercise stays passed.")
def progress_is_never_in_the_way():
    for content in (b"", b"[1]", b'{"format": 9}', b"\xff"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "progress.json"
            path.write_bytes(content)
            assert progress.record_attempt("01.1", "passed", path).notice
            for status in ("not yet", "your code raised", "not attempted"):
                assert progress.record_attempt("01.1", status, path).of("01.1").status == "passed"


@claim("course_utils/tools/archive/pickles.py", "Nothing is imported, nothing is called")
def a_pickle_is_only_read():
    for pickled in (
        b"cno_such_module\nname\n(tR.",
        b"cposix\nsystem\n(S'exit 3'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01x\x85R.",
    ):
        assert archive.pickles.describe(pickled).function.name in ("name", "system", "exec")


@claim("course_utils/tools/archive/__init__.py", "Only the standard library is used: torch is not imported.")
def no_torch_in_the_reader():
    for path in (ROOT / "course_utils" / "tools" / "archive").glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not [x for x in imported if x.split(".")[0] in ("torch", "numpy", "onnx")]


@claim(
    "course_utils/tools/archive/report.py",
    'or "", which may be a scripted module or a trace whose inputs were not saved.',
    was='"scripted", "traced", "frozen" or ""',
)
def what_a_file_tells_of_its_origin():
    import torch

    def origin(module):
        buffer = io.BytesIO()
        torch.jit.save(module, buffer)
        return archive.inspect(buffer.getvalue()).origin, buffer

    traced, file = origin(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)))
    file.seek(0)
    assert traced == "traced"
    assert origin(torch.jit.script(torch.nn.Linear(2, 2)))[0] == ""
    assert origin(torch.jit.load(file))[0] == ""  # loaded and saved again


@claim("course_utils/tools/onnx_model.py", "a plain number in the type that the file asks for")
def numbers_take_the_type_asked_for():
    for kind, name in (("tensor(double)", "float64"), ("tensor(float)", "float32"), ("tensor(int64)", "int64")):
        assert str(onnx_model.as_input(2, kind).dtype) == name
