"""The forks that notebooks run in are kernels like any other: alone, in their folder, with an end that is told."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook
from nbval.kernel import CURRENT_ENV_KERNEL_NAME

from course_utils.authoring import warm_kernel
from course_utils.authoring.isolation import kernel_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(warm_kernel.FRESH_VARIABLE, raising=False)


class Kernel:
    """A forked kernel for the notebook at `path`, started as the tests of notebooks start theirs."""

    def __init__(self, path: Path, timeout: int = 60) -> None:
        specs = warm_kernel.WarmKernelspecManager()
        manager = AsyncKernelManager(kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=specs)
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the kernel runs)
        self.client = NotebookClient(
            new_notebook(), km=manager, allow_errors=True, timeout=timeout, interrupt_on_timeout=True,
            startup_timeout=120, shutdown_kernel="immediate",
        )  # fmt: skip
        self.client.start_new_kernel(cwd=str(path.parent), env=kernel_environment(path), stderr=self.stderr)
        self.client.start_new_kernel_client()

    def said(self, source: str) -> str:
        """What a cell prints, or the type of what it raises."""
        cell = new_code_cell(source)
        self.client.nb.cells = [cell]
        self.client.execute_cell(cell, 0)
        return "".join(out.get("text", out.get("ename", "")) for out in cell.outputs)

    def stop(self) -> None:
        self.client._cleanup_kernel()
        self.stderr.close()


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    started = Kernel(tmp_path / "lesson.ipynb")
    yield started
    started.stop()


def test_it_is_a_fork_with_torch_imported_and_nothing_defined(kernel: Kernel) -> None:
    assert kernel.said("import sys; print('torch' in sys.modules)") == "True\n"
    assert kernel.said("torch") == "NameError"


def test_it_has_the_notebooks_folder_and_environment(kernel: Kernel, tmp_path: Path) -> None:
    text = kernel.said("import os; print(os.getcwd(), os.environ['JPY_SESSION_NAME'], 'PYTEST_VERSION' in os.environ)")
    assert text == f"{tmp_path} {tmp_path / 'lesson.ipynb'} False\n"


def test_two_share_nothing(kernel: Kernel, tmp_path: Path) -> None:
    kernel.said("import torch; torch.set_default_dtype(torch.float64); shared = 1")
    other = Kernel(tmp_path / "other.ipynb")
    try:
        said = other.said("import torch; print(torch.get_default_dtype(), 'shared' in globals())")
        assert said == "torch.float32 False\n"
    finally:
        other.stop()


def test_its_figures_are_inline(kernel: Kernel) -> None:
    assert kernel.said("import matplotlib.pyplot as plt; print(plt.get_backend())").strip().endswith("inline")


def test_its_death_is_noticed_with_its_last_words(kernel: Kernel) -> None:
    source = "import os, sys; os.write(sys.stderr._original_stdstream_copy, b'the last words\\n'); os.abort()"
    process = kernel.client.km.provisioner.process
    with pytest.raises(DeadKernelError):
        kernel.said(source)
    assert process.wait() == -6  # SIGABRT
    kernel.stderr.seek(0)
    assert b"the last words" in kernel.stderr.read()


def test_it_can_be_interrupted(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path / "lesson.ipynb", timeout=2)
    try:
        assert "KeyboardInterrupt" in kernel.said("while True: pass")
        assert kernel.said("print('goes on')") == "goes on\n"
    finally:
        kernel.stop()


def test_a_variable_asks_for_fresh_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warm_kernel.available()
    monkeypatch.setenv(warm_kernel.FRESH_VARIABLE, "1")
    assert not warm_kernel.available()
