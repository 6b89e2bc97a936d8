"""Run the C++ programs of ``cpp/``; where there is no compiler, show what they printed elsewhere.

    cpp.build()                                        # both programs, built once and kept
    cpp.run("run_model", "digits.pt", "request.pt")

`cpp_build` builds them. Without a compiler `run` gives the recorded result, and says so.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any

from course_utils.classroom.backends import cpp_build, recorded
from course_utils.classroom.backends.cpp_build import (
    PROGRAMS,
    WINDOWS,
    CppError,
    build,
    build_folder,
    compiler,
    how_to_install,
    sources,
    torch_folder,
)
from course_utils.core.limits import run_command

__all__ = [
    "PROGRAMS", "WINDOWS", "Answer", "Completed", "CppError", "State", "answer", "build", "build_folder", "compiler",
    "how_to_install", "run", "sources", "state",
]  # fmt: skip
RUN_SECONDS = 120.0


@dataclass(frozen=True)
class Completed:
    """What one run of a program gave. ``stored``: it is a recorded result, since nothing could be built here."""

    command: str
    code: int
    out: str
    err: str
    stored: bool = False

    def __repr__(self) -> str:
        lines = [f"$ {self.command}", *self.out.splitlines(), *self.err.splitlines()]
        return "\n".join([*lines, f"exit code {self.code}"])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(frozen=True)
class State:
    """Whether programs are built here, and by what; see :func:`state`."""

    compiler: str | None

    def __repr__(self) -> str:
        if self.compiler:
            version = importlib.metadata.version("torch")
            return f"Built here with {self.compiler} against torch {version}. What follows is run on this machine."
        return (
            f"There is no C++ compiler here, so nothing is built.\n{how_to_install()}\n"
            f"What follows was recorded {recorded.origin('cpp')}."
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def state(progress: bool = True) -> State:
    """Build the programs if there is a compiler, and say what will be shown: runs on this machine, or recorded ones."""
    found = compiler()
    if found:
        build("all", progress)
    return State(found)


def run(
    program: str | Path,
    *arguments: str | Path,
    stdin: Iterable[str | Path] = (),
    writes: Path | None = None,
    seconds: float = RUN_SECONDS,
) -> Completed:
    """Run a program on this machine, or give its recorded result where there is no compiler.

    program: a name of :data:`PROGRAMS`, which is built if need be; or the path of an executable.
    arguments: files and options. A path is shown by its file name alone.
    stdin: lines for the standard input; a path is written in full and shown by its name.
    writes: the file that the program writes, among the arguments. A recorded result brings its bytes.
    Never raises for an exit code. Raises :class:`CppError` when it takes more than ``seconds``, or when
    there is no compiler and no recorded result for this command.
    """
    lines = list(stdin)
    command = " ".join([Path(program).stem, *(_short(x) for x in arguments)])
    key = "\n".join([command, *(_short(x) for x in lines)])
    if not isinstance(program, Path) and compiler() is None:
        return _recall(key, command, writes)
    executable = program if isinstance(program, Path) else build(program)
    environment = {"OMP_NUM_THREADS": "1"}
    if WINDOWS:  # where its DLLs are
        environment["PATH"] = os.pathsep.join([str(torch_folder() / "lib"), os.environ.get("PATH", "")])
    try:
        done = run_command(
            [str(executable), *map(str, arguments)],
            seconds=seconds,
            given="".join(f"{line}\n" for line in lines).encode(),
            environment=environment,
        )
    except OSError as error:
        raise CppError(f"{command} could not be started ({error.strerror}); delete build/cpp and try again") from None
    if done.late:
        raise CppError(f"{command} ran for more than {seconds:.0f} s and was stopped; give it less to do")
    folders = {str(x.parent) + os.sep for x in (*arguments, *lines) if isinstance(x, Path)}
    out, err = (_without(text, folders) for text in (done.out, done.err.replace("\r\n", "\n")))
    if not isinstance(program, Path):
        written = base64.b64encode(writes.read_bytes()).decode("ascii") if writes and writes.is_file() else ""
        recorded.keep("cpp", key, {"code": done.code, "out": out, "err": err, "written": written})
    return Completed(command, done.code, out, err)


def _short(argument: str | Path) -> str:
    return argument.name if isinstance(argument, Path) else argument


def _without(text: str, folders: Iterable[str]) -> str:
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder, "").replace(json.dumps(folder)[1:-1], "")
    return text


def _recall(key: str, command: str, writes: Path | None) -> Completed:
    kept = recorded.results("cpp").get(key)
    if kept is None:
        raise CppError(f"There is no compiler here, and no recorded result of `{command}`. {how_to_install()}")
    if writes is not None and kept["written"]:
        writes.write_bytes(base64.b64decode(kept["written"]))
    return Completed(command, kept["code"], kept["out"], kept["err"], stored=True)


# --- answers to exercises --------------------------------------------------------------------------------------------

# An answer is one function; the frame that calls it wants both, so the other one is filled in.
_OTHERS = {
    "labels": "at::Tensor in_batches(const Forward&, const at::Tensor&, int64_t) { return {}; }",
    "batch": "std::vector<std::string> read_labels(const ExtraFiles&, int64_t) { return {}; }",
}


@dataclass(frozen=True)
class Answer:
    """A compiled answer: its source, the program or None, what the compiler said, and whether this is a known answer
    that was compiled and passed elsewhere (where there is no compiler here)."""

    kind: str
    source: str
    program: Path | None
    errors: str = ""
    known: bool = False

    def __repr__(self) -> str:
        return self.errors or ("compiled" if self.program else "not compiled here")


def answer(kind: str, source: str | EllipsisType, progress: bool = True) -> Answer | EllipsisType:
    """Compile the C++ text of an exercise's answer. kind: ``"batch"`` or ``"labels"``.

    The dots of an untouched cell come back as they are. A text that does not compile comes back with the compiler's
    errors, for the check to show. Nothing is raised for a missing compiler either.
    """
    if not isinstance(source, str):
        return source
    if kind not in _OTHERS:
        raise ValueError(f"kind is {kind!r}; the exercises are {', '.join(sorted(_OTHERS))}")
    name = hashlib.sha256(f"{kind}\0{source}".encode()).hexdigest()[:16]
    if compiler() is None:
        return Answer(kind, source, None, known=f"answer {name}" in recorded.results("cpp"))
    folder = build_folder() / f"answers-{cpp_build.sources_digest(answers=True)[:16]}"
    program = folder / cpp_build.executable(f"answer-{name}")
    if not program.is_file():
        text = f'#include "answer.h"\n{_OTHERS[kind]}\n#line 1 "your answer"\n{source}\n'
        with cpp_build.building(folder):
            path = folder / f"{name}.cpp"
            path.write_text(text, encoding="utf-8")
            cpp_build.configure(folder / "work", [f"-DANSWER={path.as_posix()}"])
            try:
                cpp_build.make(folder / "work", ["answer"], progress)
            except CppError as error:
                return Answer(kind, source, None, str(error))
            cpp_build.put(folder / "work" / cpp_build.executable("answer"), program)
    recorded.keep("cpp", f"answer {name}", True)
    return Answer(kind, source, program)
