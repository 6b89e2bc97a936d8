"""Notebook kernels that start in a tenth of a second: forks of a process that has done the slow imports.

Importing torch, torchvision and the exporters takes three to seven seconds of processor time, and there are 28
notebooks. Here one process for each pytest worker pays for them, and a kernel is a fork of it: a process, a folder and
an environment of its own, with no name defined and nothing called. It differs from a fresh kernel in two ways: a module
that nobody imported may be found all the same, and what an import prints is not seen. Both are seen where the stored
outputs are made (``authoring run`` starts fresh kernels), and ``COURSE_FRESH_KERNELS=1`` starts fresh ones here too.

Linux only: elsewhere it is not safe to fork a process that has loaded frameworks.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from nbval.kernel import NbvalKernelspecManager

FRESH_VARIABLE = "COURSE_FRESH_KERNELS"
PROVISIONER = "course-fork"
IMPORTED = (
    "torch", "torchvision", "torch._dynamo", "torch.export", "torch._inductor.compile_fx",
    "torch.onnx._internal.exporter._core", "sklearn.datasets", "matplotlib.figure", "ipykernel.kernelapp",
    "ipykernel.ipkernel", "ipykernel.zmqshell",
)  # fmt: skip
"""Not onnxruntime: it opens a file when it is imported, which forks must not share."""

_forks = multiprocessing.get_context("forkserver") if sys.platform == "linux" else None


def available() -> bool:
    """Whether kernels are forked: on Linux, unless COURSE_FRESH_KERNELS is set."""
    return _forks is not None and not os.environ.get(FRESH_VARIABLE)


def import_all() -> None:
    """Import what the kernels will want. A package that isn't installed is left to the notebook that asks for it."""
    # matplotlib reads it when it is imported; a fresh kernel has set it by then.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for name in IMPORTED:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


class WarmKernelspecManager(NbvalKernelspecManager):
    """nbval's kernel specs, each of which asks for a fork."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        spec = super().get_kernel_spec(kernel_name)
        spec.metadata = {**spec.metadata, "kernel_provisioner": {"provisioner_name": PROVISIONER}}
        KernelProvisionerFactory.instance().provisioners[PROVISIONER] = EntryPoint(
            PROVISIONER, f"{__name__}:ForkProvisioner", KernelProvisionerFactory.GROUP_NAME
        )
        return spec


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel as a fork; everything after that is what jupyter_client does with a process of its own."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        assert _forks is not None
        _forks.set_forkserver_preload([f"{__package__}.warm_imports"])
        # Opened again by name in the fork, which inherits no files of this process.
        stderr = f"/proc/{os.getpid()}/fd/{kwargs['stderr'].fileno()}" if kwargs.get("stderr") else os.devnull
        connection_file = cmd[cmd.index("-f") + 1]
        process = _forks.Process(target=_be_a_kernel, args=(connection_file, kwargs["cwd"], kwargs["env"], stderr))
        with _no_main():
            process.start()
        self.process = _Fork(process)
        self.pid = self.pgid = process.pid
        self.cwd = kwargs["cwd"]
        return self.connection_info


class _Fork:
    """What a LocalProvisioner asks of a process."""

    stdin = stdout = stderr = None

    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # as subprocess does
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """A fork imports its parent's main program again, which here is pytest."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _be_a_kernel(connection_file: str, folder: str, environment: dict[str, str], stderr: str) -> None:
    """Run in the fork: take the place that ``python -m ipykernel_launcher`` would have."""
    os.setsid()  # a group of its own, so that an interrupt reaches what the notebook started as well
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment, JPY_PARENT_PID=str(os.getppid()))  # a kernel ends when this process does
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_APPEND), 2)
    multiprocessing.current_process().name = "MainProcess"
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=["-f", connection_file, f"--IPKernelApp.parent_handle={os.getppid()}"])
