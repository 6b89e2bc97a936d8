"""Find a C++ compiler and build the programs of ``cpp/`` with it; `cpp` runs them.

A build lives in ``build/cpp/`` of the course, in a folder named after everything that it depends on: sources, torch,
compiler. A second call finds it; two processes that build at once wait for each other.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from course_utils.classroom.backends import kept_folder
from course_utils.classroom.manifest import course_root
from course_utils.core.errors import CourseError
from course_utils.core.limits import run_command
from course_utils.core.status_line import status_line

WINDOWS = os.name == "nt"
PROGRAMS = ("run_model", "serve")
BUILD_SECONDS = 600.0
_STEP = re.compile(r"^\[(\d+)/(\d+)\] (\S+)(?:.*[ /\\]([\w.]+?)(?:\.o|\.obj)?)?$")


class CppError(CourseError):
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
        raise CppError("torch is not installed here; run make lab again")
    return Path(spec.submodule_search_locations[0])


# --- building --------------------------------------------------------------------------------------------------------


def build_folder() -> Path:
    """Where the build for these sources, this torch and this compiler is or will be. :class:`CppError` without one."""
    found = _compiler(os.environ.get("CXX", ""), os.environ.get("PATH", ""))
    if found is None:
        raise CppError(f"There is no C++ compiler here. {how_to_install()}")
    what = (sources_digest(), importlib.metadata.version("torch"), str(torch_folder()), *found, platform.machine())
    key = hashlib.sha256("\0".join(what).encode()).hexdigest()[:16]
    return kept_folder("cpp") / key


def build(name: str = "all", progress: bool = True) -> Path:
    """Build the programs, or find them built, and return where they are.

    name: ``"run_model"``, ``"serve"`` or another program of ``cpp/CMakeLists.txt``; ``"all"`` for all.
    progress: show a line that says what is being compiled (never where ``COURSE_QUIET`` is set).
    Returns the program's path, for ``"all"`` the folder. The first build takes half a minute to two minutes.
    Raises :class:`CppError` without a compiler, and with the compiler's first errors when it fails.
    """
    folder = build_folder()
    wanted = PROGRAMS if name == "all" else (name,)
    paths = [folder / executable(x) for x in wanted]
    if not all(path.is_file() for path in paths):
        with building(folder):
            if not all(path.is_file() for path in paths):  # another process may have built it while we waited
                work = folder / "work"
                configure(work)
                make(work, wanted, progress)
                for program, path in zip(wanted, paths, strict=True):
                    put(work / executable(program), path)
    return folder if name == "all" else paths[0]


def executable(program: str) -> str:
    return program + (".exe" if WINDOWS else "")


def put(source: Path, target: Path) -> None:
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
    raise CppError(f"{name} is not installed; run make lab again, it is in the course's lock")


def building(folder: Path) -> AcquireReturnProxy:
    """The lock of this build, taken: ``with building(folder): …`` waits for another process that builds."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(folder / "lock", timeout=BUILD_SECONDS).acquire()
    except Timeout:
        raise CppError("Another process has been building for ten minutes. End it, or delete build/cpp.") from None


def configure(work: Path, options: Sequence[str] = ()) -> None:
    found = _compiler(os.environ.get("CXX", ""), os.environ.get("PATH", ""))
    assert found is not None  # build_folder raised without one
    command = [
        _tool("cmake"), "-G", "Ninja", "-S", str(sources()), "-B", str(work), "-DCMAKE_BUILD_TYPE=MinSizeRel",
        f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}", f"-DCMAKE_CXX_COMPILER={found[0]}",
        f"-DTORCH_DIR={torch_folder().as_posix()}", *options,
    ]  # fmt: skip
    done = run_command(command, seconds=BUILD_SECONDS)
    if done.code:
        lines = [x for x in (done.err + done.out).splitlines() if x.strip()][:12]
        raise CppError("CMake could not configure the programs:\n" + "\n".join(lines))


def make(work: Path, targets: Iterable[str], progress: bool) -> None:
    start = time.monotonic()
    with status_line(progress, at_once=True) as show:

        def on_line(line: str) -> None:
            if step := _STEP.match(line.strip()):
                done, total, act, what = step.groups()
                show(f"{done} of {total} steps ({act.lower()} {what or ''}) after {time.monotonic() - start:.0f} s")

        show(f"compiling {', '.join(targets)}: half a minute to two minutes, the first time only")
        ended = run_command(
            [_tool("cmake"), "--build", str(work), "--target", *targets],
            seconds=BUILD_SECONDS,
            on_line=on_line,
            environment={"NINJA_STATUS": "[%f/%t] "},
        )
    if ended.late:
        raise CppError(f"The build took more than {BUILD_SECONDS:.0f} s. Close other programs and try again.")
    if ended.code:
        raise CppError(_compile_errors((ended.out + ended.err).splitlines()))


def _compile_errors(said: list[str]) -> str:
    """The compiler's own errors, file names without folders; else the last lines."""
    errors = [x for x in said if re.search(r"\b(error|undefined reference|unresolved)\b", x, re.IGNORECASE)]
    lines = [re.sub(r"(?:[A-Za-z]:)?[^\s:()]*[\\/]([\w.-]+)", r"\1", x) for x in errors or said[-8:]]
    return "The compiler reports:\n" + "\n".join(line[:300] for line in lines[:6])
