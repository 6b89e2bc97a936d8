"""Measure what the course costs to set up, import, run and test: ``python -m course_utils.authoring.bench``.

Five items, one table each, every figure with how it was measured:

1. set-up: ``install.py`` in an empty copy, and a second call that has nothing to do
2. ``import course_utils`` beside ``import torch``
3. the run time of each notebook under strict nbval
4. the whole suite against the work in the notebooks' cells; strict nbval with two workers against nbconvert
5. ``check_parity`` against the bare forward calls that it makes

CPU seconds of a command are the kernel's account of its finished descendants (``getrusage(RUSAGE_CHILDREN)``; not on
Windows, where the column stays empty). A process is added to that account when its parent waits for it. nbval kills
its Jupyter kernels, but jupyter_client then waits for each, pytest-xdist waits for its workers, and this program waits
for pytest; so the kernels' seconds climb up to us, killed or not. ``--check-accounting`` proves it on this machine: a
kernel that spends a known number of CPU seconds under pytest, and what arrives here.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import typer
from rich.console import Console
from rich.table import Table

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["Usage", "bench", "measure", "working_tree"]

console = Console()
if not console.is_terminal:
    console = Console(width=120)  # a file has no width; 80 columns would break every row
ITEMS = "12345"


@dataclass(frozen=True)
class Usage:
    """What one finished command used: seconds on the clock, CPU seconds of it and its descendants, its output."""

    wall_s: float
    cpu_s: float | None
    returncode: int
    output: str

    @property
    def remark(self) -> str:
        """Empty for a command that succeeded, else its exit status and last line."""
        lines = self.output.strip().splitlines()
        return "" if self.returncode == 0 else f"FAILED (exit {self.returncode}): {lines[-1] if lines else 'no output'}"


def measure(command: Sequence[str | Path], cwd: Path, **environment: str) -> Usage:
    """Run ``command`` in ``cwd`` to its end and say what it used. ``environment`` is added to the caller's."""
    before, start = _children_cpu(), time.perf_counter()
    # Progress lines are for people; PYTHONDONTWRITEBYTECODE would make every process compile torch again.
    env = {**os.environ, "COURSE_QUIET": "1", **environment}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    wall, after = time.perf_counter() - start, _children_cpu()
    cpu = None if before is None or after is None else after - before
    return Usage(wall, cpu, done.returncode, done.stdout)


def _children_cpu() -> float | None:
    if resource is None:
        return None
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def working_tree(root: Path, target: Path) -> None:
    """Copy what git would keep of the working tree (tracked and new files, nothing ignored) to ``target``."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode("utf-8").split("\0"):
        source = root / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


# -- 1 set-up -----------------------------------------------------------------------------------------------


def set_up(root: Path, cold: bool, quick: bool) -> None:
    table = _table("1  Set-up, in an empty copy of the working tree", "", "wall s", "CPU s", "how")
    # The interpreter that made this environment, so that the copy starts from none.
    python = Path(sys._base_executable)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory(prefix="course-bench-") as name:
        copy, cache = Path(name) / "copy", Path(name) / "cache"
        working_tree(root, copy)
        environment = {"VIRTUAL_ENV": "", "COURSE_PROGRESS_FILE": str(Path(name) / "progress.json")}
        how = "python install.py; packages in uv's cache"
        if cold:
            environment |= {"UV_CACHE_DIR": str(cache), "PIP_CACHE_DIR": str(cache / "pip")}
            how = "python install.py; empty caches, everything downloaded"
        with _progress("cold set-up" if cold else "warm set-up"):
            first = measure([python, "install.py"], copy, **environment)
        _row(table, "cold set-up" if cold else "warm set-up", first, how)
        with _progress("second call"):
            again = [measure([python, "install.py"], copy, **environment) for _ in range(1 if quick else 5)]
        middle = sorted(again, key=lambda usage: usage.wall_s)[len(again) // 2]
        _row(table, "second call", middle, f"python install.py again, nothing to do; median of {len(again)}")
    console.print(table)


# -- 2 import -----------------------------------------------------------------------------------------------

IMPORTS = {
    "torch": "import torch",
    "torch + course_utils": "import torch, course_utils",
    "torch + its names": "import torch; from course_utils import check, check_parity, compare_speed, hint",
}

# Inside one process both times share its noise, so a share of a few per cent can be told.
SAME_PROCESS = (
    "from time import process_time as t; a = t(); import torch; b = t(); import course_utils; print(b - a, t() - b)"
)


def imports(root: Path, quick: bool) -> None:
    from course_utils.tools.speed import median_interval, summarise

    rounds = 5 if quick else 15
    wall: dict[str, list[float]] = {name: [] for name in IMPORTS}
    cpu: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for done in range(-1, rounds):
        with _progress(f"imports, round {done + 1} of {rounds}"):
            # The programs take turns, another one first in each round; round 0 fills the file cache.
            names = list(IMPORTS)[done % 3 :] + list(IMPORTS)[: done % 3]
            for name in names:
                usage = measure([sys.executable, "-c", IMPORTS[name]], root)
                if usage.returncode:
                    console.print(f"[red]{name}: {usage.remark}[/red]")
                    return
                if done >= 0:
                    wall[name].append(usage.wall_s)
                    cpu[name].append(usage.cpu_s if usage.cpu_s is not None else usage.wall_s)

    table = _table("2  Import", "", "wall s", "CPU s", "CPU more than torch", "interval", "goal")
    walls = {row.name: row for row in summarise(wall)}
    for row in summarise(cpu):
        # summarise gives torch's time / own time; here the wanted number is own time / torch's time.
        more = "" if row.verdict == "baseline" else f"{100 * (1 / row.ratio - 1):+.1f} %"
        spread = f"{100 * (1 / row.ratio_high - 1):+.1f} to {100 * (1 / row.ratio_low - 1):+.1f} %" if more else ""
        table.add_row(row.name, f"{walls[row.name].median_s:.2f}", f"{row.median_s:.2f}", more, spread, "")
    shares, costs = [], []
    for done in range(rounds):
        with _progress(f"import in one process, {done + 1} of {rounds}"):
            torchs, ours = map(float, measure([sys.executable, "-c", SAME_PROCESS], root).output.split()[-2:])
            shares.append(100 * ours / torchs)
            costs.append(ours)
    low, high, _ = median_interval(shares)
    share = statistics.median(shares)
    table.add_row(
        "course_utils after torch, in one process",
        "",
        f"{statistics.median(costs):.4f}",
        f"+{share:.2f} %",
        f"+{low:.2f} to +{high:.2f} %",
        _goal("< 3 %", share < 3),
    )
    table.caption = (
        f"python -c in a process of its own, {rounds} interleaved rounds after one that is not counted; medians, "
        f"and the median of the ratios within a round with its {100 * median_interval(cpu['torch'])[2]:.3g} % interval."
    )
    console.print(table)


# -- 3 notebooks --------------------------------------------------------------------------------------------


def notebooks_of(root: Path, quick: bool) -> list[Path]:
    folders = [sorted((root / folder).glob("*.ipynb")) for folder in ("notebooks", "solutions")]
    return [path for folder in folders for path in (folder[:2] if quick else folder)]


def each_notebook(root: Path, quick: bool) -> None:
    table = _table("3  Each notebook under strict nbval", "notebook", "wall s", "CPU s", "")
    usages = []
    for path in notebooks_of(root, quick):
        with _progress(str(path.relative_to(root))):
            usage = measure([sys.executable, "-m", "pytest", "-q", "-n0", str(path)], root)
        usages.append(usage)
        _row(table, str(path.relative_to(root)), usage, "")
    if usages:
        table.add_section()
        table.add_row("sum", f"{sum(u.wall_s for u in usages):.1f}", _seconds(_total_cpu(usages)), "")
    table.caption = "python -m pytest -n0 FILE, one after the other; the start of pytest and the kernel is counted."
    console.print(table)


# -- 4 suite ------------------------------------------------------------------------------------------------


def cell_work(path: Path) -> float:
    """Run a notebook once and return the CPU seconds its cells cost, in the kernel and in what the kernel started.

    Read by psutil from the kernel's process before the first and after each cell, so the start of the kernel is left
    out; ``import torch`` in a cell is in. A process that a cell started and that neither ended nor still runs when the
    cell is done is not seen. Cells tagged ``raises-exception`` may raise; another that raises ends the run, as
    nbclient does.
    """
    import psutil

    from course_utils.classroom import notebook_files

    spent: dict[str, float] = {"now": 0.0, "sum": 0.0}

    def clock(client: Any) -> float:
        kernel = psutil.Process(client.km.provisioner.pid)
        total = 0.0
        for process in [kernel, *kernel.children(recursive=True)]:
            try:
                used = process.cpu_times()
            except psutil.Error:
                continue
            # children_*: what the process has waited for, such as a compiler; always 0 on Windows.
            total += used.user + used.system + used.children_user + used.children_system
        return total

    from nbclient import NotebookClient

    notebook = notebook_files.read(path)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # no start-up advice between the tables
        on_cell_execute=lambda **_: spent.update(now=clock(client)),
        on_cell_executed=lambda **_: spent.update(sum=spent["sum"] + clock(client) - spent["now"]),
    )
    client.execute()
    return spent["sum"]


def suite(root: Path, quick: bool) -> None:
    paths = notebooks_of(root, quick)
    if not paths:
        console.print("4  Suite: there is no notebook yet. Write one in notebooks/ and run this again.")
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    table = _table("4  Suite", "", "wall s", "CPU s", "ratio", "goal", "how")

    with tempfile.TemporaryDirectory(prefix="course-bench-") as name:
        # Answers checked here are not a learner's progress.
        own = {"COURSE_PROGRESS_FILE": str(Path(name) / "progress.json"), "COURSE_QUIET": "1"}
        # Cells first: one run of every notebook fills the file cache for all that follows.
        work, broken = 0.0, []
        for path in paths:
            with _progress(f"cells of {path.relative_to(root)}"), patch.dict(os.environ, own):
                try:
                    work += cell_work(path)
                except Exception as error:  # the other figures are still worth having
                    broken.append(f"{path.name}: {type(error).__name__}")
        how = f"one run of {len(paths)} notebooks with nbclient, one after the other; psutil on the kernel"
        table.add_row("work in the cells", "", f"{work:.1f}", "", "", "; ".join([how, *broken]))
        floor = work / cores
        table.add_row("floor", f"{floor:.1f}", "", "", "", f"work in the cells / {cores} cores")

        files = [str(path) for path in paths]
        with _progress("strict nbval, 2 workers"):
            nbval = measure([sys.executable, "-m", "pytest", "-q", "-n2", "--dist=loadfile", *files], root)
        with _progress("nbconvert --execute, one after the other"):
            command = ["-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", name]
            nbconvert = measure([sys.executable, *command, *files], root, **own)
        _suite_row(table, "strict nbval", nbval, None, "", "pytest -n2 --dist=loadfile notebooks solutions")
        ratio = nbconvert.wall_s / nbval.wall_s
        # One command for all files spares nbconvert its start per file: the stronger rival.
        how = "nbconvert --execute, one command for the same files, right after; ratio = its wall / nbval's"
        comparable = nbval.returncode == 0  # a run that failed early is fast
        _suite_row(table, "nbconvert", nbconvert, ratio if comparable else None, _goal("≥ 2.5 ×", ratio >= 2.5), how)
        if not quick:
            with _progress("whole suite"):
                whole = measure([sys.executable, "-m", "pytest", "-q"], root)
            ratio = None if broken else whole.wall_s / floor
            goal = _goal("≤ 1.3 ×", whole.wall_s <= 1.3 * floor)
            _suite_row(table, "whole suite", whole, ratio, goal, "python -m pytest; ratio = its wall / floor")
    table.caption = f"Load of the machine at the end: {_load()}. A busy machine makes every wall time longer."
    console.print(table)


def _suite_row(table: Table, name: str, usage: Usage, ratio: float | None, goal: str, how: str) -> None:
    shown = "" if ratio is None else f"{ratio:.2f} ×"
    if usage.returncode:
        shown, how = "", f"{usage.remark}; {how}"
    goal = goal if shown else ""
    table.add_row(name, f"{usage.wall_s:.1f}", _seconds(usage.cpu_s), shown, goal, how)


# -- 5 parity -----------------------------------------------------------------------------------------------


def parity(quick: bool) -> None:
    """check_parity's time / the time of as many bare calls of the same two modules, in interleaved rounds."""
    import warnings

    import torch
    from torch import nn

    from course_utils.tools.parity import check_parity
    from course_utils.tools.speed import summarise

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.jit(\.|$)")
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    models: dict[str, tuple[nn.Module, Any, bool]] = {"MLP 64-64-10, 1x64": (mlp, torch.rand(1, 64), False)}
    if not quick:
        import torchvision

        models["resnet18, 1x3x64x64"] = (torchvision.models.resnet18(weights=None), torch.rand(1, 3, 64, 64), True)

    title = "5  check_parity against the bare forward calls"
    table = _table(title, "", "check ms", "bare ms", "calls", "ratio", "interval", "goal")
    rounds, before = 5 if quick else 15, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name, (model, x, has_goal) in models.items():
            model.eval()
            with torch.no_grad():
                for way, converted in (("traced", torch.jit.trace(model, x)), ("scripted", torch.jit.script(model))):
                    with _progress(f"parity of {name}, {way}"):
                        references, candidates = _calls(check_parity, model, converted, x)
                        bare = partial(_bare, model, references, converted, candidates, x)
                        check = partial(check_parity, model, converted, x)
                        bare_row, check_row = summarise(_interleaved({"bare": bare, "check": check}, rounds))
                    # summarise gives bare / check; wanted is how much longer the check takes.
                    ratio, low, high = 1 / check_row.ratio, 1 / check_row.ratio_high, 1 / check_row.ratio_low
                    table.add_row(
                        f"{name}, {way}",
                        f"{1e3 * check_row.median_s:.3g}",
                        f"{1e3 * bare_row.median_s:.3g}",
                        f"{references} + {candidates}",
                        f"{ratio:.2f} ×",
                        f"{low:.2f} to {high:.2f}",
                        _goal("≤ 1.2 ×", ratio <= 1.2) if has_goal else "none for a tiny model",
                    )
    finally:
        torch.set_num_threads(before)
    table.caption = (
        f"{rounds} interleaved rounds, 1 thread, grad mode off; ratio = check_parity / the same number of bare calls "
        "(reference + candidate), median over the rounds, with its interval."
    )
    console.print(table)


def _bare(reference: Any, n: int, candidate: Any, m: int, x: Any) -> None:
    for _ in range(n):
        reference(x)
    for _ in range(m):
        candidate(x)


def _interleaved(actions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action, round by round, after two rounds that are not counted; the order turns each round."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for done in range(-2, rounds):
        for name in sorted(actions, reverse=bool(done % 2)):
            start = time.perf_counter()
            actions[name]()
            if done >= 0:
                times[name].append(time.perf_counter() - start)
    return times


def _calls(check: Callable[..., Any], model: Any, converted: Any, x: Any) -> tuple[int, int]:
    """How often one check calls each side: counted on wrappers whose state is the models' own."""
    from torch import nn

    # Outside the modules, so that it counts for copies of them too.
    counts = {"reference": 0, "candidate": 0}

    class Counting(nn.Module):
        def __init__(self, inner: nn.Module, side: str) -> None:
            super().__init__()
            self.inner, self.side = inner, side

        def forward(self, *args: Any) -> Any:
            counts[self.side] += 1
            return self.inner(*args)

    report = check(Counting(model, "reference").eval(), Counting(converted, "candidate").eval(), x)
    if 0 in counts.values():
        raise RuntimeError(f"check_parity called nothing, so there is nothing to compare it with. It says: {report}")
    return counts["reference"], counts["candidate"]


# -- accounting ---------------------------------------------------------------------------------------------


def accounting(root: Path) -> None:
    """A kernel under pytest, killed by nbval in the end, spends CPU seconds in a cell: do they arrive here?"""
    spend = "import time\nwhile time.process_time() < {}:\n    pass"
    table = _table("CPU accounting", "the cell spends", "wall s", "CPU s seen here", "")
    with tempfile.TemporaryDirectory(prefix="course-bench-") as name:
        seen = []
        for seconds in (0, 1, 6):  # the first fills the file cache
            cell = {"cell_type": "code", "id": "spend", "metadata": {}, "execution_count": 1, "outputs": []}
            notebook = {
                "nbformat": 4,
                "nbformat_minor": 5,
                "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
                "cells": [{**cell, "source": spend.format(seconds)}],
            }
            path = Path(name) / f"spend_{seconds}.ipynb"
            path.write_text(json.dumps(notebook), encoding="utf-8")
            where = ["--rootdir", root, "-c", root / "pyproject.toml", path]
            usage = measure([sys.executable, "-m", "pytest", "-q", "-n1", *where], root)
            seen.append(usage)
            _row(table, f"{seconds} CPU s", usage, "" if seconds else "not counted: fills the file cache")
    if all(usage.returncode == 0 and usage.cpu_s is not None for usage in seen):
        table.caption = f"The last cell spends 5 CPU s more; {seen[2].cpu_s - seen[1].cpu_s:.2f} more arrived."
    console.print(table)


# -- pieces -------------------------------------------------------------------------------------------------


@contextmanager
def _progress(what: str) -> Iterator[None]:
    with console.status(f"{what} …"):
        yield


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="left" if column in ("how", "goal", "") else "right")
    return table


def _row(table: Table, name: str, usage: Usage, how: str) -> None:
    table.add_row(name, f"{usage.wall_s:.2f}", _seconds(usage.cpu_s), "; ".join(filter(None, [usage.remark, how])))


def _seconds(cpu: float | None) -> str:
    return "–" if cpu is None else f"{cpu:.2f}"


def _total_cpu(usages: Sequence[Usage]) -> float | None:
    known = [usage.cpu_s for usage in usages if usage.cpu_s is not None]
    return sum(known) if len(known) == len(usages) else None


def _goal(text: str, met: bool) -> str:
    return f"{text}: {'met' if met else 'MISSED'}"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f} over the last minute" if hasattr(os, "getloadavg") else "not known here"


# -- the command --------------------------------------------------------------------------------------------


def bench(
    only: Annotated[str, typer.Option(help="items, such as 2,5")] = "1,2,3,4,5",
    quick: Annotated[bool, typer.Option(help="fewer rounds, two notebooks of each folder, no whole suite")] = False,
    cold: Annotated[bool, typer.Option(help="set up with empty caches: downloads gigabytes")] = False,
    check_accounting: Annotated[bool, typer.Option(help="prove that CPU seconds of killed kernels arrive")] = False,
) -> None:
    """Time set-up, imports, notebooks, the suite and the parity check; say how each figure was measured."""
    from course_utils.classroom import manifest

    root = manifest.course_root()
    chosen = [item.strip() for item in only.split(",") if item.strip()]
    unknown = [item for item in chosen if item not in ITEMS or len(item) != 1]
    if unknown:
        raise typer.BadParameter(f"there is no item {', '.join(unknown)}: pass numbers from 1 to 5, such as --only 2,5")
    if check_accounting:
        accounting(root)
        if only == "1,2,3,4,5":
            return
    work: Mapping[str, Callable[[], None]] = {
        "1": lambda: set_up(root, cold, quick),
        "2": lambda: imports(root, quick),
        "3": lambda: each_notebook(root, quick),
        "4": lambda: suite(root, quick),
        "5": lambda: parity(quick),
    }
    for item in chosen:
        work[item]()


if __name__ == "__main__":
    typer.run(bench)
