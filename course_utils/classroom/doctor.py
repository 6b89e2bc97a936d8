"""Check the environment: what the lessons need, what this machine has, and what to do about the difference."""

import importlib.util
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from course_utils.classroom import manifest
from course_utils.core.errors import one_line
from course_utils.core.report import Html, Report, html_table, html_text, plural, text_table

Status = Literal["ok", "warning", "problem"]

TESTED_PYTHONS = ((3, 11), (3, 13))
COMPARED_WITH_LOCK = ("torch", "torchvision", "jupyterlab", "onnx")
GIBIBYTE = 2**30
DISK_PROBLEM, DISK_WARNING = 0.2 * GIBIBYTE, 1 * GIBIBYTE
MEMORY_WARNING = 1.5 * GIBIBYTE  # one kernel with torch, torchvision and matplotlib takes 0.7 GiB
SYMBOLS = {"ok": "✓", "warning": "!", "problem": "✗"}
STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One line of the examination. ``action`` says what to do next; it is empty when there is nothing to do."""

    name: str
    status: Status
    detail: str
    action: str = ""


def examine() -> list[Finding]:
    """Look at this machine and this Python. Takes 2 to 4 s, nearly all of it ``import torch``. Never raises:

    a check that fails in an unforeseen way is itself a finding of status "problem".
    """
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings.extend(check())
        except Exception as error:
            findings.append(
                Finding(
                    check.__name__.strip("_").replace("_", " "),
                    "problem",
                    f"the check itself failed: {one_line(error)}",
                    "Install again (make clean, then make lab); if it stays, report it with this line.",
                )
            )
    return findings


@dataclass(frozen=True)
class Examination(Report):
    """The findings, shown as a table in a notebook and as text elsewhere."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no finding is a problem."""
        return all(finding.status != "problem" for finding in self.findings)

    @property
    def headline(self) -> str:
        return summary(self.findings)

    def text(self) -> str:
        rows = []
        for x in self.findings:
            first, *more = f"{x.status}: {x.detail}".splitlines()
            rows.append((SYMBOLS[x.status], x.name, first))
            rows += [("", "", line) for line in (*more, *([f"to do: {x.action}"] if x.action else []))]
        return f"{text_table((), rows)}\n{self.headline}"

    def html_parts(self) -> list[str]:
        rows = []
        for x in self.findings:
            action = Html(f"<br><b>to do: {html_text(x.action)}</b>") if x.action else ""
            rows.append((x.name, f"{SYMBOLS[x.status]}\u00a0{x.status}", Html(html_text(x.detail) + action)))
        states = [x.status for x in self.findings]
        return [html_table(("check", "status", "found"), rows, row_heads=True, states=states)]


def report() -> Examination:
    """:func:`examine` for a notebook."""
    return Examination(tuple(examine()))


def main(as_json: bool = False) -> int:
    """Print the examination. Returns the exit code: 1 when a finding is a problem, else 0."""
    found = report()
    if as_json:
        print(json.dumps({"findings": [asdict(x) for x in found.findings], "summary": found.headline}, indent=1))
        return 0 if found.ok else 1
    # A pipe has no width; a path or a message must not be cut off there.
    console = Console(width=None if sys.stdout.isatty() else 110)
    symbols = SYMBOLS if _can_print("".join(SYMBOLS.values())) else dict.fromkeys(SYMBOLS, "")
    table = Table("check", "status", "found", box=None, pad_edge=False)
    for finding in found.findings:
        status = f"{symbols[finding.status]} {finding.status}".strip()
        # Text, not markup: a path or a message may hold square brackets.
        table.add_row(finding.name, Text(status, style=STYLES[finding.status]), Text(finding.detail))
        if finding.action:
            table.add_row("", "", Text(f"to do: {finding.action}", style="bold"))
    console.print(table)
    console.print(found.headline)
    return 0 if found.ok else 1


def summary(findings: Sequence[Finding]) -> str:
    """One sentence: can the learner begin?"""
    problems = sum(finding.status == "problem" for finding in findings)
    noted = sum(finding.status == "warning" for finding in findings)
    if problems:
        return f"{plural(problems, 'problem')} to solve before lesson 00: see the lines `to do`."
    return "Everything needed is here." + (f" {plural(noted, 'warning')} to read above." if noted else "")


# The checks, in the order they are shown


def _python() -> Iterator[Finding]:
    version = sys.version_info[:2]
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    oldest, newest = TESTED_PYTHONS
    if version < oldest:
        yield Finding(
            "Python", "problem", detail, "Install Python 3.12, then: make clean, and make lab PYTHON=python3.12"
        )
    elif version > newest:
        yield Finding(
            "Python",
            "warning",
            f"{detail}. The lessons are tested on 3.11 to 3.13, and torch.jit.script says of this version: "
            "`torch.jit.script` is not supported in Python 3.14+ and may break.",
            "For a tested version: make clean, then make lab PYTHON=python3.13",
        )
    else:
        yield Finding("Python", "ok", detail)


def _packages() -> Iterator[Finding]:
    locked = locked_versions((manifest.course_root() / "requirements.lock").read_text(encoding="utf-8"))
    for name in COMPARED_WITH_LOCK:
        wanted = locked.get(name)
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, "problem", f"not installed; the lock has {wanted}", "Install it: make install")
            continue
        # 2.15.0+cpu is the release 2.15.0, built without CUDA.
        if wanted is None or found.partition("+")[0] == wanted:
            yield Finding(name, "ok", found)
        else:
            yield Finding(
                name,
                "warning",
                f"{found}, but the lock has {wanted}: outputs and messages may differ from the ones in the lessons",
                "To have the locked versions back: make clean, then make lab",
            )


def _kernel() -> Iterator[Finding]:
    missing = [name for name in ("ipykernel", "matplotlib", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding("notebooks", "problem", f"{', '.join(missing)} not found", "Install the packages: make install")
        return
    versions = [f"{name} {metadata.version(name)}" for name in ("ipykernel", "matplotlib")]
    yield Finding("notebooks", "ok", ", ".join(versions))


def _torchscript() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:  # a missing system library is an OSError or an ImportError, by platform
        yield Finding("import torch", "problem", one_line(error), _how_to_repair_torch(str(error)))
        return

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            scripted = torch.jit.script(_clip_or_double)
            works = [scripted(torch.tensor([x])).item() for x in (3.0, -1.0)] == [1.0, -2.0]
        except Exception as error:
            yield Finding(
                "TorchScript",
                "problem",
                f"torch {torch.__version__} does not script a small function: {one_line(error)}",
                "To have the course's torch back: make clean, then make lab",
            )
            return
    said = [f"{w.category.__name__}: {' '.join(str(w.message).split())}" for w in caught if "jit" in str(w.message)]
    if not works:
        yield Finding(
            "TorchScript", "problem", "a scripted function returns wrong numbers", "Install again: make clean, make lab"
        )
    elif said:
        yield Finding("TorchScript", "ok", f"works in torch {torch.__version__} and is deprecated. It says:\n{said[0]}")
    else:
        yield Finding("TorchScript", "ok", f"works in torch {torch.__version__}; no deprecation was announced")


def _clip_or_double(x):  # scripted above; its branch shows that control flow works
    if x.sum() > 0:
        return x.clamp(max=1.0)
    return x * 2


def _devices() -> Iterator[Finding]:
    import torch

    instructions = torch.backends.cpu.get_cpu_capability()
    yield Finding("CPU", "ok", f"{os.cpu_count()} cores, vector instructions: {instructions}")
    named = os.environ.get("OMP_NUM_THREADS")
    yield Finding(
        "threads",
        "ok",
        f"{torch.get_num_threads()} within an operation, {torch.get_num_interop_threads()} between operations; "
        + (f"OMP_NUM_THREADS={named}" if named else "OMP_NUM_THREADS is not set"),
    )
    if torch.cuda.is_available():
        detail = f"{torch.cuda.get_device_name()}; the lessons run on the CPU all the same"
    elif torch.backends.mps.is_available():
        detail = "Apple MPS; the lessons run on the CPU all the same"
    else:
        detail = "none, and none is needed: the lessons run on the CPU"
    yield Finding("GPU", "ok", detail)


def _cpp() -> Iterator[Finding]:
    from course_utils.classroom.backends import cpp

    if found := cpp.compiler():
        yield Finding("C++ tools", "ok", f"{found}, for the programs of lesson 09")
    else:
        yield Finding(
            "C++ tools",
            "warning",
            "no C++ compiler found; lesson 09 shows stored results in place of building its C++ programs",
            f"To build them: {cpp.how_to_install()}",
        )


def _places() -> Iterator[Finding]:
    root = manifest.course_root()
    for name, folder in (("course folder", root), ("temporary folder", Path(tempfile.gettempdir()))):
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".course-check-"):
                pass
        except OSError as error:
            yield Finding(
                name,
                "problem",
                f"{folder} cannot be written to: {error.strerror or error}",
                "Copy the course to a folder of your own, such as your home folder."
                if folder == root
                else "Set TMPDIR (on Windows: TEMP) to a folder that you can write to.",
            )
            continue
        free = shutil.disk_usage(folder).free
        status: Status = "problem" if free < DISK_PROBLEM else "warning" if free < DISK_WARNING else "ok"
        yield Finding(
            name,
            status,
            f"{folder.name}, writable, {free / GIBIBYTE:.1f} GiB free",
            "" if status == "ok" else "Make room: the lessons write up to 1 GiB of archives and compiled programs.",
        )


def _memory() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    short = memory.available < MEMORY_WARNING
    yield Finding(
        "memory",
        "warning" if short else "ok",
        f"{memory.available / GIBIBYTE:.1f} of {memory.total / GIBIBYTE:.1f} GiB free",
        "Close other programs, and shut down the kernels of lessons you have left." if short else "",
    )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _kernel,
    _torchscript,
    _devices,
    _cpp,
    _places,
    _memory,
)


# Small things


def locked_versions(lock: str) -> dict[str, str]:
    """Name → version, from the text of a requirements lock. Of a package that has two by Python version, the first."""
    versions: dict[str, str] = {}
    for name, version in re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)", lock, re.MULTILINE):
        versions.setdefault(name.lower(), version)
    return versions


def _how_to_repair_torch(message: str) -> str:
    if os.name == "nt" and ("DLL" in message or "126" in message or "1114" in message):
        return "Install the Microsoft Visual C++ Redistributable (x64), then try again."
    if "libgomp" in message:
        return "Install OpenMP's library: sudo apt install libgomp1"
    return "Install again: make clean, then make lab"


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
