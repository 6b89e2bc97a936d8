"""A pytest plugin (``-p course_utils.authoring.pytest_notebooks``) that closes the gaps of nbval's strict mode.

With nbval alone a notebook can look proven when it isn't. This plugin changes the following:

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

import os
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import Empty
from typing import Any, NoReturn

import nbformat
import nbval.plugin
import pytest
from jupyter_client.manager import KernelManager
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager, RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError

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
POLL = 0.5  # seconds between two looks at whether the kernel is alive
IMAGE = re.compile(r'<img\b[^>]* src="data:image/')


class KernelDied(Exception):
    """The kernel's process ended, or did not start. The text says how, and holds the end of its stderr."""


# --- the kernel ------------------------------------------------------------------------------------------------------


class GuardedKernel(RunningKernel):
    """nbval's kernel, with its death noticed, history stored, and the words it left on stderr kept."""

    def __init__(self, kernel_name: str, notebook: Path, startup_timeout: float) -> None:
        """Start a kernel in the notebook's folder. Raises KernelDied when it isn't ready in ``startup_timeout`` s."""
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the kernel runs)
        specs = warm_kernel.WarmKernelspecManager() if warm_kernel.available() else NbvalKernelspecManager()
        self.km = KernelManager(kernel_name=kernel_name, kernel_spec_manager=specs)
        self.kc = None
        try:
            environment = kernel_environment(notebook)
            self.km.start_kernel(cwd=str(notebook.parent), env=environment, stderr=self.stderr)
            self.kc = self.km.client()
            self.kc.start_channels()
            self.kc.wait_for_ready(timeout=startup_timeout)
            self._ensure_iopub_up()
        except Exception as error:
            reason = f"the kernel did not start: {error}{self.last_words()}"
            self.stop()
            raise KernelDied(reason) from error
        except BaseException:
            self.stop()
            raise

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> str:
        """Send a cell to the kernel and return the message id. IPython honours a trailing ``;`` only in its history."""
        return self.kc.execute(cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait for the reply to ``msg_id``. Raises Empty after ``timeout`` s, KernelDied when there will be none."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise Empty
            message = self.get_message("shell", timeout=left)
            if message["parent_header"].get("msg_id") == msg_id:
                if message["content"]["status"] == "aborted":
                    raise RuntimeError("the kernel refused to run the cell")
                return

    def get_message(self, stream: str, timeout: float | None = None) -> dict[str, Any]:
        """Return the next message. Raises Empty after ``timeout`` s, and KernelDied when the kernel is gone."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = POLL if end is None else max(0.0, min(POLL, end - time.monotonic()))
            alive = self.is_alive()  # asked before the wait: what a dying kernel has sent is read first
            try:
                return super().get_message(stream, timeout=left)
            except Empty:
                if not alive:
                    raise KernelDied(f"the kernel died{self.how_it_ended()}{self.last_words()}") from None
                if end is not None and time.monotonic() >= end:
                    raise

    def run_quietly(self, source: str, limit: float) -> None:
        """Run a cell for what it leaves behind; its outputs, an exception among them, are dropped."""
        msg_id = self.execute_cell_input(source, allow_stdin=False)
        self.await_reply(msg_id, timeout=limit)
        self.await_idle(msg_id, timeout=limit)

    def how_it_ended(self) -> str:
        """Return " (exit code 3)" or " (signal SIGSEGV)", or nothing where the process cannot say."""
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        code = process.poll() if process is not None else None
        if code is None:
            return ""
        if code < 0:
            try:
                return f" (signal {signal.Signals(-code).name})"
            except ValueError:
                return f" (signal {-code})"
        return f" (exit code {code})"

    def last_words(self) -> str:
        """Return the last lines that the kernel's process wrote on stderr, or nothing."""
        self.stderr.seek(0)
        text = self.stderr.read().decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip() and "over TCP without encryption" not in line]
        return "\n" + "\n".join(lines[-20:]) if lines else ""

    def stop(self) -> None:
        """Kill the process (a graceful end costs a second with torch loaded) and close what was open."""
        if self.kc is not None:
            self.kc.stop_channels()
            self.kc = None
        if self.km is not None:
            if self.km.has_kernel:
                self.km.shutdown_kernel(now=True)
            self.km.cleanup_resources()
            self.km = None
        self.stderr.close()

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self.km is not None and self.km.is_alive()


def pictures(outputs: Iterable[Mapping[str, Any]]) -> int:
    """Return how many pictures the outputs hold, in HTML or by themselves."""
    kinds = [output.get("data", {}) for output in outputs]
    return sum(len(IMAGE.findall(str(data.get("text/html", "")))) + ("image/png" in data) for data in kinds)


# --- the items -------------------------------------------------------------------------------------------------------


class CourseNotebook(IPyNbFile):
    """A notebook whose kernel starts with its first cell, and whose cells stop at the first that fails."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cells: list[CourseCell] = []
        self.failed: CourseCell | None = None
        self.varying: dict[str, str] = {}

    @property
    def relative_name(self) -> str:
        """The path relative to the repository, with forward slashes, as the allowlist writes it."""
        return Path(os.path.relpath(self.path, self.config.rootpath)).as_posix()

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
        """Start the kernel unless it was started. Raises KernelDied when it doesn't come up."""
        if self.kernel is not None:
            return
        options = self.config.option
        stored_name = self.nb.metadata.get("kernelspec", {}).get("name", "python")
        name = CURRENT_ENV_KERNEL_NAME if options.nbval_current_env else options.nbval_kernel_name or stored_name
        self.kernel = GuardedKernel(name, self.path, options.nbval_kernel_startup_timeout)
        if getattr(options, "cov_source", None):
            nbval.plugin.setup_coverage(self.config, self.kernel, self.path)

    def teardown(self) -> None:
        """Kill the kernel."""
        if self.kernel is not None:
            if self.kernel.is_alive() and getattr(self.config.option, "cov_source", None):
                nbval.plugin.teardown_coverage(self.config, self.kernel)
            self.kernel.stop()


class CourseCell(IPyNbCell):
    """A code cell, as a test."""

    parent: CourseNotebook

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.started = False

    @property
    def output_timeout(self) -> float:
        """Seconds to wait for one more output after the reply: long for a busy machine, short after a time-out."""
        return 5.0 if self.parent.timed_out else 30.0

    @output_timeout.setter
    def output_timeout(self, value: float) -> None:
        """nbval sets a fixed 5 s; the property above decides."""

    def setup(self) -> None:
        """Skip the cell when one above it failed."""
        if self.parent.failed is not None:
            pytest.skip(f"not run: cell {self.parent.failed.cell_num} failed before it")

    def runtest(self) -> None:
        """Run the cell and compare. Raises NbCellError, whose text names the notebook and the cell."""
        try:
            self.parent.start()
            self.run_cells_above()
            self.started = True
            if not self.parent.kernel.is_alive():
                raise KernelDied("the kernel died after the cell above it ended")
            super().runtest()
            if self.parent.timed_out:
                self.raise_cell_error(
                    f"ran into its limit of {self.config.option.nbval_cell_timeout:g} s and caught the interrupt"
                )
            if not self.options["check"]:
                self.check_error_and_pictures(self.test_outputs, self.cell.outputs)
                self.check_that_it_varies()
        except KernelDied as error:
            self.parent.failed = self
            reason, _, last_words = str(error).partition("\n")
            self.raise_cell_error(reason, last_words)
        except BaseException:
            self.parent.failed = self
            raise

    def run_cells_above(self) -> None:
        """Run the cells above this one that this test run left out, so that one cell can be asked for by name."""
        for cell in self.parent.cells[: self.cell_num]:
            if not cell.started:
                cell.started = True
                try:
                    self.parent.kernel.run_quietly(cell.cell.source, self.config.option.nbval_cell_timeout)
                except Empty:
                    self.raise_cell_error(f"not run: cell {cell.cell_num}, which it needs, ran into its time limit")

    def compare_outputs(self, test: list[Any], ref: list[Any], skip_compare: Any = None) -> bool:
        """Return whether fresh (``test``) and stored (``ref``) outputs agree."""
        self.check_error_and_pictures(test, ref)
        return super().compare_outputs(test, ref, skip_compare)

    def check_error_and_pictures(self, fresh: Sequence[Mapping], stored: Sequence[Mapping]) -> None:
        """Compare what nbval leaves out: that a tagged cell raises, what it raises, and whether pictures are there."""
        if self.options["check_exception"]:
            was, now = stored_error(stored), stored_error(fresh)
            if now is None:
                self.raise_cell_error(f"is tagged {RAISES_TAG} and no longer raises; remove the tag, or mend the cell")
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

    def check_that_it_varies(self) -> None:
        """Fail a cell that is listed as different in every run and gave what is stored, twice."""
        if self.parent.varying.get(self.cell.get("id")) != "run":
            return
        cfg = self.config.option.nbval_sanitize_with
        rules = Path(cfg) if cfg else None
        stored = text_outputs(self.cell, rules)
        for _ in range(2):  # two times of 2.7 ms may agree by chance
            if text_outputs({"outputs": self.test_outputs}, rules) != stored:
                return
            self.test_outputs = self.run_again()
        self.raise_cell_error(f"its output has become stable; remove its line from {ALLOWLIST} and its tag")

    def run_again(self) -> list[Any]:
        """Run the cell once more and return its new outputs."""
        kernel = self.parent.kernel
        msg_id = kernel.execute_cell_input(self.cell.source, allow_stdin=False)
        outputs = []
        while True:
            message = kernel.get_message("iopub", timeout=self.config.option.nbval_cell_timeout)
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return outputs
            if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                outputs.append(nbformat.v4.output_from_msg(message))

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

    def stop(self) -> None:
        """Kill the kernel; nbval calls this when a cell's outputs stop coming."""
        self.parent.kernel.stop()


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
