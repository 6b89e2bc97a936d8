"""Build and run the C++ programs of ``cpp/``; where there is no compiler, show what they printed elsewhere.

    cpp.build()                                        # both programs, built once and kept
    cpp.run("run_model", "digits.pt", "request.pt")

A build lives in ``build/cpp/`` of the course, in a folder named after everything that it depends on: sources, torch,
compiler. A second call finds it; two processes that build at once wait for each other. Without a compiler `run` gives
the result stored in ``cpp/stored.json``, made by ``python -m course_utils.authoring store``, and says so.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import EllipsisType
from typing import Any

from course_utils.classroom.manifest import course_root
from course_utils.core.status_line import status_line

WINDOWS = os.name == "nt"
PROGRAMS = ("run_model", "serve")
STORED = "stored.json"
RECORD_VARIABLE = "COURSE_RECORD_NATIVE"
"""Set to a folder by the verb that writes the stored results: each run leaves a file there."""
BUILD_SECONDS = 600.0
RUN_SECONDS = 120.0
_STEP = re.compile(r"^\[(\d+)/(\d+)\] (\S+)(?:.*[ /\\]([\w.]+?)(?:\.o|\.obj)?)?$")


class NativeError(RuntimeError):
    """A build or a run that could not be done. The text says what to do next."""


# --- what is there ---------------------------------------------------------------------------------------------------


def compiler() -> str | None:
    """Name and version of the C++ compiler that a build would use, such as ``c++ 12.2.0``; None if there is none.

    Looks at ``CXX``, then for the usual names in ``PATH``, and asks the first one found for its version: macOS has a
    ``c++`` that only offers to install one. On Windows ``cl`` is in ``PATH`` after *x64 Native Tools Command Prompt*.
    """
    found = _compiler(os.environ.get("CXX", ""), os.environ.get("PATH", ""))
    return found[1] if found else None


@cache
def _compiler(named: str, path: str) -> tuple[str, str] | None:
    """Path and name of the compiler. The arguments are what the answer depends on."""
    candidates = ("cl", "clang-cl") if WINDOWS else ("c++", "g++", "clang++")
    for name in (named, *candidates) if named else candidates:
        program = shutil.which(name, path=path)
        if program is None:
            continue
        is_cl = Path(program).stem.lower() == "cl"  # it has no option for its version, and prints it when called alone
        command = [program] if is_cl else [program, "--version"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = re.search(r"\d+(?:\.\d+)+", told.stdout + told.stderr)
        if version and (is_cl or told.returncode == 0):
            return program, f"{Path(program).stem} {version[0]}"
    return None


def how_to_install() -> str:
    """What to install on this system to have a C++ compiler."""
    if sys.platform == "darwin":
        return "In a terminal: xcode-select --install"
    if WINDOWS:
        return (
            "Install the Visual Studio Build Tools with the workload 'Desktop development with C++', and start "
            "JupyterLab from 'x64 Native Tools Command Prompt'."
        )
    return "Debian and Ubuntu: sudo apt install g++   Fedora: sudo dnf install gcc-c++   conda: conda install gxx"


def sources() -> Path:
    """The folder of the C++ sources."""
    return course_root() / "cpp"


def sources_digest(answers: bool = False) -> str:
    """A name for the sources as they are now: SHA-256 over the names and texts of all files that are compiled.

    answers: of what the answers to exercises are compiled with, in place of what the programs are.
    """
    digest = hashlib.sha256()
    for path in sorted(sources().iterdir()):
        is_answer = path.stem.startswith("answer")
        if path.suffix in (".cpp", ".h", ".txt") and (answers or not is_answer):
            digest.update(f"{path.name}\0{path.read_text(encoding='utf-8')}\0".encode())
    return digest.hexdigest()


def torch_folder() -> Path:
    """The folder of the installed torch package; it holds ``include/`` and ``lib/``. Does not import torch."""
    import importlib.util

    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise NativeError("torch is not installed here; run make lab again")
    return Path(spec.submodule_search_locations[0])


# --- building --------------------------------------------------------------------------------------------------------


def build_folder() -> Path:
    """Where the build for these sources, this torch and this compiler is or will be. :class:`NativeError` without one.

    ``build/cpp/`` of the course; where that cannot be written to, a folder of the user's cache.
    """
    found = _compiler(os.environ.get("CXX", ""), os.environ.get("PATH", ""))
    if found is None:
        raise NativeError(f"There is no C++ compiler here. {how_to_install()}")
    what = (sources_digest(), importlib.metadata.version("torch"), str(torch_folder()), *found, platform.machine())
    key = hashlib.sha256("\0".join(what).encode()).hexdigest()[:16]
    return _builds() / key


def _builds() -> Path:
    own = course_root() / "build" / "cpp"
    try:
        own.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=own, prefix=".probe-"):
            return own
    except OSError:
        cache_home = os.environ.get("LOCALAPPDATA" if WINDOWS else "XDG_CACHE_HOME") or Path.home() / ".cache"
        other = Path(cache_home) / "torchscript-course" / "cpp"
        other.mkdir(parents=True, exist_ok=True)
        return other


def build(name: str = "all", progress: bool = True) -> Path:
    """Build the programs, or find them built, and return where they are.

    name: ``"run_model"``, ``"serve"`` or another program of ``cpp/CMakeLists.txt``; ``"all"`` for all.
    progress: show a line that says what is being compiled (never where ``COURSE_QUIET`` is set).
    Returns the program's path, for ``"all"`` the folder. The first build takes half a minute to two minutes.
    Raises :class:`NativeError` without a compiler, and with the compiler's first errors when it fails.
    """
    folder = build_folder()
    wanted = PROGRAMS if name == "all" else (name,)
    paths = [folder / _executable(x) for x in wanted]
    if not all(path.is_file() for path in paths):
        with _locked(folder):
            if not all(path.is_file() for path in paths):  # another process may have built it while we waited
                work = folder / "work"
                _configure(work, [])
                _make(work, wanted, progress)
                for program, path in zip(wanted, paths, strict=True):
                    _put(work / _executable(program), path)
    return folder if name == "all" else paths[0]


def _executable(program: str) -> str:
    return program + (".exe" if WINDOWS else "")


def _put(source: Path, target: Path) -> None:
    """Copy so that ``target`` is never there in part."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.copy2(source, part)
    os.replace(part, target)


def _tool(name: str) -> str:
    """The course's own CMake or Ninja, else the system's."""
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        if found := shutil.which(name, path=folder):
            return found
    if found := shutil.which(name):
        return found
    raise NativeError(f"{name} is not installed; run make lab again, it is in the course's lock")


def _configure(work: Path, options: Sequence[str]) -> None:
    found = _compiler(os.environ.get("CXX", ""), os.environ.get("PATH", ""))
    assert found is not None  # build_folder raised without one
    command = [
        _tool("cmake"), "-G", "Ninja", "-S", str(sources()), "-B", str(work), "-DCMAKE_BUILD_TYPE=MinSizeRel",
        f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}", f"-DCMAKE_CXX_COMPILER={found[0]}",
        f"-DTORCH_DIR={torch_folder().as_posix()}", *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
    if done.returncode:
        lines = [x for x in (done.stderr + done.stdout).splitlines() if x.strip()][:12]
        raise NativeError("CMake could not configure the programs. It said:\n" + "\n".join(lines))


def _make(work: Path, targets: Iterable[str], progress: bool) -> None:
    command = [_tool("cmake"), "--build", str(work), "--target", *targets]
    said: list[str] = []
    start = time.monotonic()
    with (
        status_line(progress, at_once=True) as show,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "NINJA_STATUS": "[%f/%t] "},
        ) as process,
    ):
        show(f"compiling {', '.join(targets)}: half a minute to two minutes, the first time only")
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            if step := _STEP.match(line.strip()):
                done, total, act, what = step.groups()
                show(f"{done} of {total} steps ({act.lower()} {what or ''}) after {time.monotonic() - start:.0f} s")
            if time.monotonic() - start > BUILD_SECONDS:
                process.kill()
                raise NativeError(
                    f"The build took more than {BUILD_SECONDS:.0f} s. Close other programs and try again."
                )
    if process.returncode:
        raise NativeError(_compile_errors(said))


def _compile_errors(said: list[str]) -> str:
    """The compiler's own errors, file names without folders; else the last lines."""
    errors = [x for x in said if re.search(r"\b(error|undefined reference|unresolved)\b", x, re.IGNORECASE)]
    lines = [re.sub(r"(?:[A-Za-z]:)?[^\s:()]*[\\/]([\w.-]+)", r"\1", x) for x in errors or said[-8:]]
    return "The compiler refused. It said:\n" + "\n".join(line[:300] for line in lines[:6])


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of this build; wait for a process that holds it. The system frees it if the holder is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+b") as handle:
        deadline = time.monotonic() + BUILD_SECONDS
        while not _take(handle):
            if time.monotonic() > deadline:
                raise NativeError("Another process has been building for ten minutes. End it, or delete build/cpp.")
            time.sleep(0.2)
        yield


def _take(handle: Any) -> bool:
    try:
        if WINDOWS:
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- running ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Completed:
    """What one run of a program gave. ``stored``: it is a stored result, since nothing could be built here."""

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
    stored: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        torch_version = importlib.metadata.version("torch")
        if self.compiler:
            return (
                f"Built here with {self.compiler} against torch {torch_version}. What follows is run on this machine."
            )
        where = f"{self.stored['system']}, {self.stored['compiler']}, torch {self.stored['torch']}"
        return (
            f"There is no C++ compiler here, so nothing is built.\n{how_to_install()}\n"
            f"What follows shows the results stored on {self.stored['date']} ({where})."
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def state(progress: bool = True) -> State:
    """Build the programs if there is a compiler, and say what will be shown: runs on this machine, or stored ones."""
    found = compiler()
    if found:
        build("all", progress)
    return State(found, {} if found else stored())


def run(
    program: str | Path,
    *arguments: str | Path,
    stdin: Iterable[str | Path] = (),
    writes: Path | None = None,
    timeout: float = RUN_SECONDS,
) -> Completed:
    """Run a program on this machine, or give its stored result where there is no compiler.

    program: a name of :data:`PROGRAMS`, which is built if need be; or the path of an executable.
    arguments: files and options. A path is shown by its file name alone.
    stdin: lines for the standard input; a path is written in full and shown by its name.
    writes: the file that the program writes, among the arguments. A stored result brings its bytes.
    Never raises for an exit code. Raises :class:`NativeError` when it takes more than ``timeout`` seconds, or when
    there is no compiler and no stored result for this command.
    """
    lines = list(stdin)
    command = " ".join([Path(program).stem, *(_short(x) for x in arguments)])
    key = "\n".join([command, *(_short(x) for x in lines)])
    if not isinstance(program, Path) and compiler() is None:
        return _recall(key, command, writes)
    executable = program if isinstance(program, Path) else build(program)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if WINDOWS:  # where its DLLs are
        environment["PATH"] = os.pathsep.join([str(torch_folder() / "lib"), environment.get("PATH", "")])
    try:
        done = subprocess.run(
            [str(executable), *map(str, arguments)],
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise NativeError(f"{command} ran for more than {timeout:.0f} s and was stopped; give it less to do") from None
    except OSError as error:
        raise NativeError(
            f"{command} could not be started ({error.strerror}); delete build/cpp and try again"
        ) from None
    folders = {str(x.parent) + os.sep for x in (*arguments, *lines) if isinstance(x, Path)}
    out, err = (_without(text, folders) for text in (done.stdout, done.stderr))
    result = Completed(command, done.returncode, out, err)
    if (folder := os.environ.get(RECORD_VARIABLE)) and not isinstance(program, Path):
        _record(Path(folder), key, result, writes)
    return result


def _short(argument: str | Path) -> str:
    return argument.name if isinstance(argument, Path) else argument


def _without(text: str, folders: Iterable[str]) -> str:
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder, "").replace(json.dumps(folder)[1:-1], "")
    return text


# --- stored results --------------------------------------------------------------------------------------------------


def stored() -> dict[str, Any]:
    """The content of ``cpp/stored.json``: torch, compiler, system, date, sources, runs and answers."""
    path = sources() / STORED
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NativeError(f"{path.name} is not in cpp/, and there is no compiler; get the newest course") from None


def _recall(key: str, command: str, writes: Path | None) -> Completed:
    kept = stored()["runs"].get(key)
    if kept is None:
        raise NativeError(f"There is no compiler here, and no stored result of `{command}`. {how_to_install()}")
    if writes is not None and kept["written"]:
        writes.write_bytes(base64.b64decode(kept["written"]))
    return Completed(command, kept["code"], kept["out"], kept["err"], stored=True)


def _record(folder: Path, key: str, result: Completed, writes: Path | None) -> None:
    written = base64.b64encode(writes.read_bytes()).decode("ascii") if writes is not None and writes.is_file() else ""
    entry = {"key": key, "code": result.code, "out": result.out, "err": result.err, "written": written}
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    (folder / f"run-{name}.json").write_text(json.dumps(entry), encoding="utf-8")


def write_stored(recorded: Path, date: str) -> Path:
    """Write ``cpp/stored.json`` from what runs left in the folder ``recorded``, and return its path."""
    entries = [json.loads(x.read_text(encoding="utf-8")) for x in sorted(recorded.glob("run-*.json"))]
    entries.sort(key=lambda x: x["key"])
    content = {
        "torch": importlib.metadata.version("torch").partition("+")[0],
        "compiler": compiler(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": date,
        "sources": sources_digest(),
        "runs": {x.pop("key"): x for x in entries},
        "answers": sorted(x.name.removeprefix("answer-") for x in recorded.glob("answer-*")),
    }
    path = sources() / STORED
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    return path


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
        return Answer(kind, source, None, known=name in stored()["answers"])
    folder = build_folder() / f"answers-{sources_digest(answers=True)[:16]}"
    program = folder / _executable(f"answer-{name}")
    if not program.is_file():
        text = f'#include "answer.h"\n{_OTHERS[kind]}\n#line 1 "your answer"\n{source}\n'
        with _locked(folder):
            path = folder / f"{name}.cpp"
            path.write_text(text, encoding="utf-8")
            _configure(folder / "work", [f"-DANSWER={path.as_posix()}"])
            try:
                _make(folder / "work", ["answer"], progress)
            except NativeError as error:
                return Answer(kind, source, None, str(error))
            _put(folder / "work" / _executable("answer"), program)
    if recorded := os.environ.get(RECORD_VARIABLE):
        (Path(recorded) / f"answer-{name}").touch()
    return Answer(kind, source, program)
