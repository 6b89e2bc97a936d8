"""C++ programs: found compilers, builds that are kept, runs, and recorded results where nothing can be built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn

from course_utils.authoring import uncompared
from course_utils.classroom import backends
from course_utils.classroom.backends import cpp, cpp_build, recorded
from course_utils.classroom.manifest import course_root

ROOT = course_root()
LESSON = "notebooks/09_outside_python.ipynb"
needs_compiler = pytest.mark.skipif(cpp.compiler() is None, reason="no C++ compiler here")

HELLO = """
#include <fstream>
#include <iostream>
#include <string>
int main(int argc, char** argv) {
  std::string line;
  while (std::getline(std::cin, line)) std::cout << "read " << line << "\\n";
  for (int i = 1; i < argc; i++) std::cout << argv[i] << "\\n";
  if (argc > 1) std::ofstream(argv[1]) << "written";
  std::cerr << "done\\n";
  return argc > 2 ? 7 : 0;
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(tiny LANGUAGES CXX)
add_executable(hello hello.cpp)
"""


def tiny_in(folder: Path) -> Path:
    (folder / "cpp").mkdir(parents=True)
    (folder / "cpp" / "hello.cpp").write_text(HELLO, encoding="utf-8")
    (folder / "cpp" / "CMakeLists.txt").write_text(PROJECT, encoding="utf-8")
    return folder / "cpp"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with one small program that needs no torch."""
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path / "course"))
    return tiny_in(tmp_path / "course")


@pytest.fixture(scope="module")
def one_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_in(tmp_path_factory.mktemp("native") / "course")


@pytest.fixture
def shared(one_course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, built once for all tests that leave its sources alone."""
    monkeypatch.setenv("COURSE_ROOT", str(one_course.parent))
    return one_course


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No compiler in PATH; a folder in it to put one into."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


class TestTheCompiler:
    def test_none_in_an_empty_path(self, bare: Path) -> None:
        assert cpp.compiler() is None
        with pytest.raises(cpp.CppError, match="There is no C\\+\\+ compiler here"):
            cpp.build()

    @pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
    def test_one_that_does_not_work_is_passed_over(self, bare: Path) -> None:
        # As on macOS before the command line tools are installed.
        for name, body in (("c++", "echo no tools 1.2.3 >&2; exit 1"), ("g++", "echo 'g++ (Some) 99.1.2'")):
            script = bare / name
            script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
            script.chmod(0o755)
        assert cpp.compiler() == "g++ 99.1.2"

    @pytest.mark.parametrize(("system", "part"), [("darwin", "xcode-select"), ("linux", "apt install g++")])
    def test_what_to_install(self, system: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", system)
        assert part in cpp.how_to_install()

    def test_what_to_install_on_windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cpp_build, "WINDOWS", True)
        monkeypatch.setattr(sys, "platform", "win32")
        assert "Build Tools" in cpp.how_to_install()


@needs_compiler
class TestBuilding:
    def test_a_build_is_kept(self, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = cpp.build("hello")
        assert program.is_relative_to(shared.parent / "build")
        monkeypatch.setattr(cpp_build, "make", lambda *a: pytest.fail("it was built twice"))
        assert cpp.build("hello") == program

    def test_another_source_is_another_build(self, tiny: Path) -> None:
        before = cpp.build_folder()
        (tiny / "hello.cpp").write_text(HELLO.replace("done", "ready"), encoding="utf-8")
        assert cpp.build_folder() != before
        assert cpp.run("hello").err == "ready\n"

    def test_an_error_is_told_without_folders_and_leaves_no_program(self, tiny: Path) -> None:
        (tiny / "hello.cpp").write_text("int main() { return missing; }\n", encoding="utf-8")
        for _ in range(2):
            with pytest.raises(cpp.CppError, match=r"(?ms)The compiler reports:.*^hello\.cpp.*missing") as caught:
                cpp.build("hello")
            assert str(tiny) not in str(caught.value)

    def test_cmake_that_fails_is_told(self, tiny: Path) -> None:
        (tiny / "CMakeLists.txt").write_text(PROJECT + 'message(FATAL_ERROR "set this")\n', encoding="utf-8")
        with pytest.raises(cpp.CppError, match=r"(?s)CMake could not configure.*set this"):
            cpp.build("hello")

    def test_two_processes_build_once(self, tiny: Path) -> None:
        code = textwrap.dedent(
            """
            from course_utils.classroom.backends import cpp, cpp_build
            make = cpp_build.make
            def told(*arguments):
                print("built")
                make(*arguments)
            cpp_build.make = told
            print(cpp.run("hello").code)
            """
        )
        command = [sys.executable, "-c", code]
        workers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [worker.communicate()[0].split() for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0]
        assert [words[-1] for words in said] == ["0", "0"]
        assert sum("built" in words for words in said) == 1


@needs_compiler
class TestRunning:
    def test_what_comes_back(self, shared: Path, tmp_path: Path) -> None:
        target = tmp_path / "file.txt"
        done = cpp.run("hello", target, "--fast", stdin=[tmp_path / "in.pt", "plain"])
        assert done.command == "hello file.txt --fast"
        assert done.out.splitlines() == ["read in.pt", "read plain", "file.txt", "--fast"]
        assert (done.code, done.err, done.stored) == (7, "done\n", False)
        assert repr(done).splitlines()[0] == "$ hello file.txt --fast"
        assert repr(done).splitlines()[-1] == "exit code 7"

    def test_too_slow(self, tiny: Path) -> None:
        (tiny / "hello.cpp").write_text("int main() { for (volatile int i = 0;; i = i + 1) {} }\n", encoding="utf-8")
        with pytest.raises(cpp.CppError, match="more than 1 s and was stopped"):
            cpp.run("hello", seconds=1)

    def test_recorded_and_recalled(self, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        left, target = tmp_path / "left", tmp_path / "file.txt"
        left.mkdir()
        monkeypatch.setattr(recorded, "FILE", tmp_path / "recorded.json")
        monkeypatch.setenv(recorded.RECORD_VARIABLE, str(left))
        done = cpp.run("hello", target, writes=target)
        assert recorded.write(left, "2026-01-31", {"cpp": {"compiler": "c++ 9"}}) == ["cpp"]
        target.unlink()
        monkeypatch.delenv(recorded.RECORD_VARIABLE)
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setenv("PATH", str(left))
        again = cpp.run("hello", target, writes=target)
        assert again.stored and repr(again) == repr(done)
        assert target.read_text(encoding="utf-8") == "written"
        assert "recorded on 2026-01-31" in repr(cpp.state())
        with pytest.raises(cpp.CppError, match="no recorded result of `hello --other`"):
            cpp.run("hello", "--other")

    def test_the_folder_of_builds_where_the_course_is_read_only(self, tmp_path: Path, monkeypatch) -> None:
        (tmp_path / "build").write_text("a file in the way", encoding="utf-8")
        monkeypatch.setattr(backends, "course_root", lambda: tmp_path)
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE"):
            monkeypatch.setenv(name, str(tmp_path / "cache"))
        folder = backends.kept_folder("cpp")
        assert folder.is_dir() and folder.name == "cpp" and not folder.is_relative_to(tmp_path / "build")


class Doubles(nn.Module):
    def forward(self, x):
        return x * 2


class Request(nn.Module):
    def __init__(self, args, expected):
        super().__init__()
        self.args = args
        self.expected = expected


@needs_compiler
class TestThePrograms:
    """The course's own programs, built for real against the installed torch."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        torch.jit.script(Doubles()).save(tmp_path / "model.pt")
        x = torch.arange(4.0)
        for name, expected in (("good", x * 2), ("other", x * 3), ("nan", x * torch.nan), ("shape", x[:2])):
            torch.jit.script(Request((x,), expected)).save(tmp_path / f"{name}.pt")
        return tmp_path

    def test_equal_to_python(self, files: Path) -> None:
        scores = files / "scores.bin"
        done = cpp.run("run_model", files / "model.pt", files / "good.pt", "--save", scores)
        assert done.code == 0 and "bitwise identical" in done.out, repr(done)
        assert torch.equal(torch.load(scores, weights_only=True), torch.arange(4.0) * 2)

    @pytest.mark.parametrize(
        ("request_name", "options", "code", "part"),
        [
            ("other", (), 1, "differs by 3"),
            ("other", ("--tolerance", "5"), 0, "within 5"),
            ("nan", ("--tolerance", "5"), 1, "another shape, type or structure"),
            ("shape", (), 1, "another shape, type or structure"),
            ("missing", (), 3, "there is no file missing.pt"),
            ("model", (), 3, "not a request: it has no tuple `args`"),
            ("good", ("--method", "backward"), 4, "Method 'backward' is not defined"),
            ("good", ("--fast", "1"), 2, "unknown option --fast"),
            ("good", ("--tolerance", "wide"), 2, "usage: run_model"),
        ],
    )
    def test_what_it_says(self, files: Path, request_name: str, options: tuple[str, ...], code: int, part: str) -> None:
        done = cpp.run("run_model", files / "model.pt", files / f"{request_name}.pt", *options)
        assert done.code == code and part in done.out + done.err, repr(done)

    def test_the_server_answers_every_line(self, files: Path) -> None:
        (files / "broken.pt").write_bytes(b'"\\ no archive')
        names = ["good", "missing", "other", "broken", *["good"] * 20]
        served = cpp.run("serve", files / "model.pt", "--threads", "4", stdin=[files / f"{x}.pt" for x in names])
        answers = {x["id"]: x for x in map(json.loads, served.out.splitlines())}
        assert served.code == 0 and sorted(answers) == list(range(24))
        assert [answers[i]["ok"] for i in range(4)] == [True, False, True, False]
        assert answers[2]["compared"].startswith("differs")
        assert all(answers[i]["compared"] == "bitwise identical" for i in (0, *range(4, 24)))

    @pytest.mark.parametrize(
        ("arguments", "code"), [((), 2), (("--threads", "0"), 2), (("--threads", "x"), 2), (("--slow", "1"), 2)]
    )
    def test_the_server_refuses(self, files: Path, arguments: tuple[str, ...], code: int) -> None:
        model = [files / "model.pt"] if arguments else []
        done = cpp.run("serve", *model, *arguments)
        assert done.code == code and "usage: serve" in done.err

    def test_the_server_needs_a_model(self, files: Path) -> None:
        assert cpp.run("serve", files / "missing.pt").code == 3


class TestAnswers:
    def test_dots_stay_dots(self) -> None:
        assert cpp.answer("batch", ...) is ...

    def test_an_unknown_kind(self) -> None:
        with pytest.raises(ValueError, match="the exercises are batch, labels"):
            cpp.answer("other", "text")

    def test_without_a_compiler_only_the_stored_answer_is_known(self, bare: Path) -> None:
        from course_utils.classroom import exercises

        assert not cpp.answer("batch", "some text").known
        outcome = exercises.evaluate("09.1", cpp.answer("batch", "some text"))
        assert outcome.status == "not yet"
        assert "needs a C++ compiler" in outcome.what and cpp.how_to_install() in outcome.next_step


class TestRecordedResults:
    def test_they_are_of_these_sources(self) -> None:
        again = "run python -m course_utils.authoring store"
        assert recorded.about("cpp")["sources"] == cpp_build.sources_digest(), again
        assert set(recorded.about("cpp")) == {"torch", "compiler", "system", "date", "sources"}
        assert sum(key.startswith("answer ") for key in recorded.results("cpp")) == 2, again

    def test_the_lesson_and_its_solutions_read_the_same_without_a_compiler(self) -> None:
        from nbclient import NotebookClient

        rules = ROOT / "tests" / "sanitize.cfg"
        for name in (LESSON, LESSON.replace("notebooks", "solutions")):
            stored = nbformat.read(ROOT / name, as_version=4)
            fresh = nbformat.read(ROOT / name, as_version=4)
            client = NotebookClient(
                fresh, timeout=120, kernel_name="python3", resources={"metadata": {"path": str((ROOT / name).parent)}}
            )
            # Other kernels than those of the CPU that the results were stored on, whichever CPU this is.
            client.execute(env=uncompared.perturbed_environment(ROOT / name) | {"ATEN_CPU_CAPABILITY": "default"})
            for old, new in zip(stored.cells, fresh.cells, strict=True):
                if "nbval-ignore-output" in old.metadata.get("tags", []):
                    assert "There is no C++ compiler here" in str(new.outputs)
                else:
                    assert uncompared.text_outputs(new, rules) == uncompared.text_outputs(old, rules), old.id
