"""A kernel that is a fork behaves as one that was started: a name space, a folder and an end of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME

from course_utils.authoring import warm_kernel
from course_utils.authoring.pytest_notebooks import GuardedKernel, KernelDied

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(warm_kernel.FRESH_VARIABLE, raising=False)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[GuardedKernel]:
    started = GuardedKernel(CURRENT_ENV_KERNEL_NAME, tmp_path / "lesson.ipynb", startup_timeout=120)
    yield started
    started.stop()


def said(kernel: GuardedKernel, source: str) -> str:
    """What a cell prints, or the type of what it raises."""
    msg_id = kernel.execute_cell_input(source, allow_stdin=False)
    text = ""
    while True:
        message = kernel.get_message("iopub", timeout=60)
        content = message["content"]
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        if message["msg_type"] == "stream":
            text += content["text"]
        if message["msg_type"] == "error":
            text += content["ename"]
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            kernel.await_reply(msg_id, timeout=60)
            return text


def test_it_is_a_fork_with_torch_imported_and_nothing_defined(kernel: GuardedKernel) -> None:
    assert said(kernel, "import sys; print('torch' in sys.modules)") == "True\n"
    assert said(kernel, "torch") == "NameError"


def test_it_has_the_notebooks_folder_and_environment(kernel: GuardedKernel, tmp_path: Path) -> None:
    text = said(kernel, "import os; print(os.getcwd(), os.environ['JPY_SESSION_NAME'], 'PYTEST_VERSION' in os.environ)")
    assert text == f"{tmp_path} {tmp_path / 'lesson.ipynb'} False\n"


def test_two_share_nothing(kernel: GuardedKernel, tmp_path: Path) -> None:
    said(kernel, "import torch; torch.set_default_dtype(torch.float64); shared = 1")
    other = GuardedKernel(CURRENT_ENV_KERNEL_NAME, tmp_path / "other.ipynb", startup_timeout=120)
    try:
        assert said(other, "import torch; print(torch.get_default_dtype(), 'shared' in globals())") == (
            "torch.float32 False\n"
        )
    finally:
        other.stop()


def test_its_figures_are_inline(kernel: GuardedKernel) -> None:
    assert said(kernel, "import matplotlib.pyplot as plt; print(plt.get_backend())").strip().endswith("inline")


def test_its_death_is_noticed_with_its_last_words(kernel: GuardedKernel) -> None:
    source = "import os, sys; os.write(sys.stderr._original_stdstream_copy, b'the last words\\n'); os.abort()"
    with pytest.raises(KernelDied, match=r"(?s)signal SIGABRT.*the last words"):
        said(kernel, source)


def test_it_can_be_interrupted(kernel: GuardedKernel) -> None:
    msg_id = kernel.execute_cell_input("print('running', flush=True)\nwhile True: pass", allow_stdin=False)
    while kernel.get_message("iopub", timeout=60)["msg_type"] != "stream":
        pass
    kernel.km.interrupt_kernel()
    kernel.await_reply(msg_id, timeout=60)
    assert said(kernel, "print('alive')").endswith("alive\n")


def test_fresh_kernels_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warm_kernel.available()
    monkeypatch.setenv(warm_kernel.FRESH_VARIABLE, "1")
    assert not warm_kernel.available()
