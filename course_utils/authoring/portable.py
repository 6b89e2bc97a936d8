"""Run the notebooks, the solutions and the answers as other machines would, and print what held: ``make portable``.

What is compared or judged must not depend on the CPU's instructions, on the number of threads, on a compiler, on what
was built before, or on how busy the machine is. Each row of the table is one run of pytest in such a surrounding. The
log of a row stays in ``build/portable/``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.authoring.uncompared import without_compilers
from course_utils.authoring.warm_kernel import FRESH_VARIABLE

CHECKED = ("notebooks", "solutions", "tests/test_answers.py", "tests/test_claims.py", "tests/test_cpp.py")
LOGS = Path("build") / "portable"
# The variables that choose kernels: ATen's own, oneDNN's convolutions, MKL's matrix products.
_KERNELS = {
    "default": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}


@dataclass(frozen=True)
class Surrounding:
    """One machine to imitate: what it is, the variables it sets, whether it has a compiler, caches and other work."""

    name: str
    what: str
    variables: Mapping[str, str] = field(default_factory=dict)
    compiler: bool = True
    cold: bool = False
    busy: bool = False


SURROUNDINGS = (
    Surrounding("this", "this machine as it is"),
    Surrounding("default", "kernels without vector instructions", _KERNELS["default"]),
    Surrounding("avx2", "AVX2 kernels, no AVX-512", _KERNELS["avx2"]),
    Surrounding("mixed", "plain ATen kernels, best oneDNN kernels", {"ATEN_CPU_CAPABILITY": "default"}),
    Surrounding("two-threads", "two OpenMP threads", {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}),
    Surrounding("no-compiler", "no C++ compiler, no build tools", compiler=False),
    Surrounding("cold", "a fresh clone, empty caches, fresh kernels", {FRESH_VARIABLE: "1"}, cold=True),
    Surrounding("busy", "every core kept busy by another job", busy=True),
    Surrounding("busy-default", "plain kernels and every core busy", _KERNELS["default"], busy=True),
)


@dataclass(frozen=True)
class Row:
    """What one run gave. ``seconds`` is wall time; ``failed`` are the tests' names, empty when all held."""

    surrounding: Surrounding
    passed: int
    failed: tuple[str, ...]
    seconds: float
    exit_code: int

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.passed > 0 and not self.failed

    def __str__(self) -> str:
        verdict = "ok" if self.ok else f"{len(self.failed)} failed" if self.failed else f"exit code {self.exit_code}"
        counts = f"{self.passed:>6} passed  {self.seconds:>6.0f} s"
        return f"{self.surrounding.name:<13}{verdict:<12}{counts}   {self.surrounding.what}"


def run(root: Path, surrounding: Surrounding, arguments: tuple[str, ...] = ()) -> Row:
    """Run pytest on ``arguments`` (everything that is compared or judged, if none) in this surrounding."""
    log = root / LOGS / f"{surrounding.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with _folder(root, surrounding) as folder, _environment(surrounding, folder) as variables, _other_job(surrounding):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(arguments or CHECKED)]
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(command, cwd=folder, env=variables, stdout=file, stderr=subprocess.STDOUT)
    text = log.read_text(encoding="utf-8", errors="replace")
    return Row(surrounding, *outcome_of(text), time.monotonic() - start, done.returncode)


def outcome_of(text: str) -> tuple[int, tuple[str, ...]]:
    """How many passed, and the names of those that failed or could not be run, from the end of pytest's output."""
    passed = re.findall(r"\b(\d+) passed\b", text)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    return int(passed[-1]) if passed else 0, tuple(dict.fromkeys(failed))


@contextlib.contextmanager
def _folder(root: Path, surrounding: Surrounding) -> Iterator[Path]:
    """The repository itself, or for a cold start a clone of it: nothing is built there."""
    if not surrounding.cold:
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="course-cold-") as parent:
        clone = Path(parent) / "course"
        subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
        yield clone


@contextlib.contextmanager
def _environment(surrounding: Surrounding, folder: Path) -> Iterator[dict[str, str]]:
    variables = {**os.environ, **surrounding.variables}
    variables["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    if not surrounding.compiler:
        variables["PATH"] = without_compilers(variables.get("PATH", ""))
        variables.pop("CC", None)
        variables.pop("CXX", None)
    # What Inductor compiled for one set of instructions is wrong for another, so each surrounding has its own.
    with tempfile.TemporaryDirectory(prefix="course-cache-") as cache:
        variables["TORCHINDUCTOR_CACHE_DIR"] = cache
        if surrounding.cold:
            variables["XDG_CACHE_HOME"] = cache
        yield variables
        shutil.rmtree(cache, ignore_errors=True)
        Path(cache).mkdir(exist_ok=True)


@contextlib.contextmanager
def _other_job(surrounding: Surrounding) -> Iterator[None]:
    count = (os.cpu_count() or 1) if surrounding.busy else 0
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
