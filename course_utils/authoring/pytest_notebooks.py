"""A pytest plugin (``-p course_utils.authoring.pytest_notebooks``) that closes the gaps of nbval's strict mode.

With nbval alone a notebook can look tested when it isn't. nbval collects the cells and compares their outputs here;
nbclient runs them, as it does for ``make run``. This plugin changes the following:

* A kernel that dies is noticed within two seconds; nbval waits for the cell's time limit, which is 60 s here, not 2000.
* After a cell that failed, the later cells of that notebook are reported as skipped and are not run.
* A cell that runs into its limit fails, also when it catches the interrupt.
* A trailing ``;`` hides the value, as it does in Jupyter.
* Misspelt or misplaced markers, cells that were never run, and cells that are left uncompared without a line in
  ``tests/uncompared.toml`` are errors at collection; nbval passes over them silently.
* ``raises-exception`` demands an exception, with the stored type and the stored first line of its text.
* A cell that is listed as different in every run and gives what is stored fails: it can be compared.
* A picture must be there in the stored and in the fresh output; nbval doesn't look at pictures.
* One cell may be asked for by name: the cells above it run first.
* Each kernel runs without the network, without the learner's files and without personal start-up files.

Only notebooks below the folders of the ini option ``course_notebooks`` are collected.
"""

from __future__ import annotations

import contextlib
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError, coalesce_streams

from course_utils.authoring import warm_kernel
from course_utils.authoring.books import cells_of
from course_utils.authoring.isolation import isolate, kernel_environment
from course_utils.authoring.markers import RAISES_TAG, marker_problems, stored_error
from course_utils.authoring.sanitize import read_rules, sanitize_text
from course_utils.authoring.uncompared import (
    ALLOWLIST,
    FOLDERS,
    notebook_allowlist_problems,
    read_allowlist,
    text_outputs,
)

NBVAL_DEFAULT_LIMIT = 2000  # what nbval's option holds when nobody set it
CELL_LIMIT = 60.0
OUTPUT_LIMIT = 30  # seconds to wait for the last output after the reply, or after an interrupt: long for a busy machine
IMAGE = re.compile(r'<img\b[^>]* src="data:image/')


def pictures(outputs: Sequence[Mapping[str, Any]]) -> int:
    """Return how many pictures the outputs hold, in HTML or by themselves."""
    kinds = [output.get("data", {}) for output in outputs]
    return sum(len(IMAGE.findall(str(data.get("text/html", "")))) + ("image/png" in data) for data in kinds)


class CourseNotebook(IPyNbFile):
    """A notebook whose kernel starts with its first cell, and whose cells stop at the first that fails."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cells: list[CourseCell] = []
        self.failed: CourseCell | None = None
        self.varying: dict[str, str] = {}
        self.client: NotebookClient | None = None
        self.stderr = contextlib.nullcontext()

    @property
    def relative_name(self) -> str:
        """The path relative to the repository, with forward slashes, as the allowlist writes it."""
        return self.path.relative_to(self.config.rootpath).as_posix()

    def collect(self) -> list[CourseCell]:
        """Return one item a code cell. Raises CollectError that lists everything wrong with the notebook."""
        try:
            # Not nbformat.read: it gives cells without an id, or with another cell's, a new one and goes on.
            notebook = nbformat.reader.reads(self.path.read_text(encoding="utf-8"))
            cells = cells_of(notebook)
            problems = marker_problems(cells, self.relative_name)
            if not problems:
                nbformat.validate(notebook)
        except Exception as error:  # nbformat raises many kinds for a file that is no notebook
            raise self.CollectError(
                f"{self.relative_name} is no valid notebook: {error}\nOpen it in JupyterLab and save it again."
            ) from error
        try:
            allowlist = read_allowlist(self.config.rootpath / self.config.getini("course_allowlist"))
            problems += notebook_allowlist_problems(cells, self.relative_name, allowlist)
            self.varying = {line.id: line.varies for line in allowlist if line.notebook == self.relative_name}
        except ValueError as error:
            problems.append(str(error))
        if problems:
            raise self.CollectError("\n".join(problems))
        self.cells = [
            CourseCell.from_parent(self, name=item.name, cell_num=item.cell_num, cell=item.cell, options=item.options)
            for item in super().collect()
        ]
        return self.cells

    def setup(self) -> None:
        """Nothing yet: the kernel starts with the first cell that runs, so a failing start is that cell's failure."""

    def start(self) -> None:
        """Start the kernel unless it was started. Raises DeadKernelError when it doesn't come up."""
        if self.client is not None:
            return
        options = self.config.option
        stored_name = self.nb.metadata.get("kernelspec", {}).get("name", "python")
        specs = warm_kernel.WarmKernelspecManager() if warm_kernel.available() else NbvalKernelspecManager()
        name = CURRENT_ENV_KERNEL_NAME if options.nbval_current_env else options.nbval_kernel_name or stored_name
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the kernel runs)
        self.client = NotebookClient(
            nbformat.from_dict({**self.nb, "cells": [cell.cell for cell in self.cells]}),
            km=AsyncKernelManager(kernel_name=name, kernel_spec_manager=specs),
            allow_errors=True,
            timeout=options.nbval_cell_timeout,
            startup_timeout=options.nbval_kernel_startup_timeout,
            interrupt_on_timeout=True,
            error_on_timeout={
                "ename": "TimeoutError",
                "evalue": "",
                "traceback": [],
            },  # the kernel's own goes to outputs
            iopub_timeout=OUTPUT_LIMIT,
            raise_on_iopub_timeout=True,
            record_timing=False,
            shutdown_kernel="immediate",  # a graceful end costs a second with torch loaded
        )
        try:
            self.client.start_new_kernel(
                cwd=str(self.path.parent), env=kernel_environment(self.path), stderr=self.stderr
            )
            self.client.start_new_kernel_client()
        except Exception as error:
            raise DeadKernelError(f"the kernel did not start: {error}") from error

    def teardown(self) -> None:
        """Kill the kernel."""
        if self.client is not None and self.client.km is not None:
            self.client._cleanup_kernel()
        with self.stderr:
            pass

    def how_it_ended(self) -> str:
        """Return " (exit code 3)" or " (signal SIGSEGV)", or nothing where the process cannot say."""
        process = getattr(getattr(self.client.km, "provisioner", None), "process", None)
        code = process.poll() if process is not None else None
        if code is None:
            return ""
        if code < 0:
            with contextlib.suppress(ValueError):
                return f" (signal {signal.Signals(-code).name})"
        return f" (exit code {code})"

    def last_words(self) -> str:
        """Return the last lines that the kernel's process wrote on stderr."""
        self.stderr.seek(0)
        text = self.stderr.read().decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip() and "over TCP without encryption" not in line]
        return "\n".join(lines[-20:])


class CourseCell(IPyNbCell):
    """A code cell, as a test."""

    parent: CourseNotebook
    started = False

    def setup(self) -> None:
        """Skip the cell when one above it failed."""
        if self.parent.failed is not None:
            pytest.skip(f"not run: cell {self.parent.failed.cell_num} failed before it")

    def runtest(self) -> None:
        """Run the cell and compare. Raises NbCellError, whose text names the notebook and the cell."""
        try:
            for cell in self.parent.cells[: self.cell_num]:
                if not cell.started:  # left out of this test run, which asks for one cell by name
                    cell.execute()
            self.judge(self.execute())
        except BaseException:
            self.parent.failed = self
            raise

    def execute(self) -> list[NotebookNode]:
        """Run the cell and return its outputs. Raises NbCellError when it does not come to an end."""
        self.started = True
        cell = nbformat.from_dict({**self.cell, "outputs": []})
        limit = self.config.option.nbval_cell_timeout
        try:
            self.parent.start()
            start = time.monotonic()
            self.parent.client.execute_cell(cell, self.cell_num)
            if time.monotonic() - start < limit:
                return coalesce_streams(cell.outputs)
            where = "\n".join((stored_error(cell.outputs) or {"traceback": []})["traceback"])
            self.raise_cell_error(f"ran into its limit of {limit:g} s", where)
        except CellTimeoutError:
            self.raise_cell_error(f"ran into its limit of {limit:g} s, and could not be interrupted")
        except DeadKernelError as error:
            what = str(error) if "did not start" in str(error) else f"the kernel died{self.parent.how_it_ended()}"
            self.raise_cell_error(what, self.parent.last_words())

    def judge(self, fresh: Sequence[NotebookNode]) -> None:
        """Compare fresh outputs with the stored ones, and with what the cell's tags say."""
        raised = stored_error(fresh)
        if raised is not None and not self.options["check_exception"]:
            self.raise_cell_error("Cell execution caused an exception", "\n".join(raised["traceback"]))
        self.check_error_and_pictures(fresh, self.cell.outputs)
        if not self.options["check"]:
            self.check_that_it_varies(fresh)
        elif not self.compare_outputs(fresh, coalesce_streams(self.cell.outputs)):
            self.raise_cell_error("Cell outputs differ", "\n".join(self.comparison_traceback))

    def check_error_and_pictures(self, fresh: Sequence[Mapping], stored: Sequence[Mapping]) -> None:
        """Compare what nbval leaves out: that a tagged cell raises, what it raises, and whether pictures are there."""
        if self.options["check_exception"]:
            was, now = stored_error(stored), stored_error(fresh)
            if now is None:
                self.raise_cell_error(f"is tagged {RAISES_TAG} and no longer raises; remove the tag, or fix the cell")
            if was is not None:
                for what, old, new in (
                    ("exception", was["ename"], now["ename"]),
                    ("first line of the exception's text", self.first_line(was), self.first_line(now)),
                ):
                    if old != new:
                        self.raise_cell_error(f"raises something else: the {what} was {old!r} and is {new!r}")
        before, after = pictures(stored), pictures(fresh)
        if before > after or (self.options["check"] and after != before):
            self.raise_cell_error(f"pictures differ: {before} in the stored output, {after} in the fresh one")

    def check_that_it_varies(self, fresh: Sequence[NotebookNode]) -> None:
        """Fail a cell that is listed as different in every run and gave what is stored, twice."""
        if self.parent.varying.get(self.cell.id) != "run":
            return
        cfg = self.config.option.nbval_sanitize_with
        rules = Path(cfg) if cfg else None
        stored = text_outputs(self.cell, rules)
        for _ in range(2):  # two times of 2.7 ms may agree by chance
            if text_outputs({"outputs": fresh}, rules) != stored:
                return
            fresh = self.execute()
        self.raise_cell_error(f"its output has become stable; remove its line from {ALLOWLIST} and its tag")

    def first_line(self, error: Mapping[str, Any]) -> str:
        """Return the first line with text of an exception's message, sanitized: the part that is always compared."""
        lines = [line for line in self.sanitize(error["evalue"]).splitlines() if line.strip()]
        return lines[0] if lines else ""

    def sanitize(self, s: Any) -> Any:
        """Return ``s`` after the rules of the sanitize file, if it is text and there is such a file."""
        cfg = self.config.option.nbval_sanitize_with
        return sanitize_text(s, cfg) if isinstance(s, str) and cfg else s

    def raise_cell_error(self, message: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise NbCellError with the notebook's and the cell's name before ``message``."""
        name = f"{self.parent.relative_name}, cell {self.cell_num} (id {self.cell.get('id', 'none')!r})"
        raise NbCellError(self.cell_num, f"{name}: {message}", self.cell.source, *args, **kwargs)


# --- the hooks -------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's ini options; each has the value that the course uses as its default."""
    parser.addoption("--lesson", help="such as 03: leave out what is about another lesson")
    parser.addini("course_notebooks", "folders below the root whose notebooks are run", "args", list(FOLDERS))
    parser.addini("course_allowlist", "the allowlist of cells that are not compared", default=ALLOWLIST)
    parser.addini("course_first", "test files to begin with, the slowest first", "args", ["tests/test_jupyterlab.py"])


LESSON_FILES = ("tests/test_answers.py", "tests/test_claims.py", "tests/test_stubs.py")


def concerns(nodeid: str, lesson: str) -> bool:
    """Whether a test is about this lesson (such as "03"), or about no lesson in particular."""
    file, _, name = nodeid.partition("::")
    if file.startswith(FOLDERS):
        return Path(file).name.startswith(f"{lesson}_")
    return file not in LESSON_FILES or re.search(rf"\[(lesson_)?{lesson}\b|\[{lesson}_", name) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Isolate this run, and settle the options."""
    isolate(config.rootpath)
    options = config.option
    if hasattr(options, "loadscopereorder"):
        options.loadscopereorder = False  # xdist would sort by the number of tests; this plugin gives the order
    if not (getattr(options, "nbval", False) or getattr(options, "nbval_lax", False)):
        return
    if options.nbval_cell_timeout == NBVAL_DEFAULT_LIMIT:
        options.nbval_cell_timeout = CELL_LIMIT
    if options.nbval_sanitize_with:
        # From the repository, not from where pytest was started.
        options.nbval_sanitize_with = str(config.rootpath / options.nbval_sanitize_with)
        try:
            read_rules(Path(options.nbval_sanitize_with))
        except (OSError, ValueError) as error:
            raise pytest.UsageError(f"--nbval-sanitize-with: {error}") from error


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Iterator[None]:
    """Put a guarded notebook in the place of nbval's."""
    collectors = yield
    return [
        CourseNotebook.from_parent(parent, path=file_path) if isinstance(collector, IPyNbFile) else collector
        for collector in collectors
    ]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out notebooks outside ``course_notebooks``: the exercises, for one, raise on purpose."""
    if collection_path.suffix != ".ipynb":
        return None
    folders = [config.rootpath / folder for folder in config.getini("course_notebooks")]
    return None if any(folder in collection_path.parents for folder in folders) else True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order whole files: those of ``course_first``, then notebooks by their number of cells, then the rest as it was.

    With two workers the slow files must not come last. The order inside a file stays.
    """
    if lesson := config.getoption("--lesson"):
        items[:] = [item for item in items if concerns(item.nodeid, lesson)]
    first = list(config.getini("course_first"))
    sizes = Counter(item.nodeid.partition("::")[0] for item in items)

    def rank(item: pytest.Item) -> tuple[int, int, str]:
        file = item.nodeid.partition("::")[0]
        if file in first:
            return (0, first.index(file), "")
        if isinstance(item, CourseCell):
            return (1, -sizes[file], file)
        return (2, 0, "")

    items.sort(key=rank)
