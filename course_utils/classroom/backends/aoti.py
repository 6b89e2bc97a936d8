"""Compile exported programs with AOTInductor once, and keep the packages; without a compiler, show recorded results.

    package = aoti.compiled(program, "digits")         # Path of a .pt2, or None where there is no C++ compiler
    aoti.shown("parity", lambda: ...)                  # the text that the function gives, or the recorded one

A package lives in ``build/aoti/`` of the course, under a name made of all that it depends on: the program, its weights,
torch, the CPU's instructions. The first compilation takes ten to forty seconds, a later call finds the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_utils.classroom.backends import kept_folder, recorded
from course_utils.core.status_line import status_line
from course_utils.tools.migration import CHECKS_VARIABLE, has_compiler

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def state() -> str:
    """One sentence for the reader: is what follows compiled here, or recorded?"""
    if has_compiler():
        return "There is a C++ compiler here: what follows is compiled and run on this machine."
    return (
        "There is no C++ compiler here (course doctor says how to get one): "
        f"what follows was recorded {recorded.origin('aoti')}."
    )


def compiled(program: ExportedProgram, name: str, progress: bool = True) -> Path | None:
    """The AOTInductor package of this program: compiled now, or found from an earlier run; None without a compiler.

    name: for people, the start of the file name. progress: show a line while it compiles (never where ``COURSE_QUIET``
    is set). Raises what Inductor raises for a program that it cannot compile.
    """
    if not has_compiler():
        return None
    target = kept_folder("aoti") / f"{name}-{_key(program)}.pt2"
    if not target.is_file():
        import torch

        text = f"compiling {name} with AOTInductor: ten to forty seconds, the first time only"
        with (
            status_line(progress, at_once=True) as show,
            _quiet(),
            tempfile.TemporaryDirectory(dir=target.parent) as work,
        ):
            show(text)
            made = torch._inductor.aoti_compile_and_package(program, package_path=str(Path(work) / target.name))
            os.replace(made, target)  # never there in part; of two processes that compile at once, the last one wins
    return target


def load(package: Path, check_inputs: bool) -> Callable[..., Any]:
    """Load a package, and call it with or without its own checks of the inputs.

    They are off unless the environment holds ``AOTI_RUNTIME_CHECK_INPUTS=1`` when a loaded package is called for the
    first time; a later change has no effect on it. Here the environment is as asked during each call, and put back.
    """
    import torch

    loaded = torch._inductor.aoti_load_package(str(package))

    def call(*args: Any, **kwargs: Any) -> Any:
        # An error is also written to the process's own stderr, past Python; the exception says the same.
        with _checks(check_inputs), _silent_stderr() if check_inputs else contextlib.nullcontext():
            return loaded(*args, **kwargs)

    return call


def run_in_cpp(package: Path, inputs: tuple[Any, ...], expected: Any = None, *, check_inputs: bool = False) -> str:
    """What the C++ program ``cpp/aoti.cpp`` prints for this package and these tensors, with its exit code.

    expected: Python's result, to be compared within 1e-4. Builds the program when it is not there yet.
    """
    import torch

    from course_utils.classroom.backends import cpp

    box = torch.nn.Module()
    box.args = tuple(inputs)
    box.expected = expected
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _checks(check_inputs):
        warnings.simplefilter("ignore", FutureWarning)
        request = Path(folder) / "request.pt"
        torch.jit.save(torch.jit.script(box), request)
        done = cpp.run(cpp.build("aoti"), package, request, "1e-4")  # the text is recorded, and not the run
    lines = [*done.out.splitlines(), *done.err.splitlines()[-1:], f"exit code {done.code}"]
    return "\n".join(lines)


@contextlib.contextmanager
def _checks(wanted: bool) -> Iterator[None]:
    before = os.environ.pop(CHECKS_VARIABLE, None)
    if wanted:
        os.environ[CHECKS_VARIABLE] = "1"
    try:
        yield
    finally:
        os.environ.pop(CHECKS_VARIABLE, None)
        if before is not None:
            os.environ[CHECKS_VARIABLE] = before


def shown(key: str, look: Callable[[], str]) -> str:
    """What ``look()`` says on this machine; without a compiler, the text recorded under ``key``.

    Raises ``KeyError`` where nothing is recorded under it.
    """
    if not has_compiler():
        return recorded.results("aoti")[key]
    text = look()
    recorded.keep("aoti", key, text)
    return text


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _key(program: ExportedProgram) -> str:
    import torch

    digest = hashlib.sha256()
    capability = torch.backends.cpu.get_cpu_capability()
    shapes = [str(node.meta.get("val")) for node in program.graph.nodes if node.op == "placeholder"]
    text = [torch.__version__, platform.machine(), platform.system(), capability, str(program.graph), *shapes]
    digest.update("\0".join([*text, str(program.range_constraints)]).encode())
    for name, tensor in sorted({**program.state_dict, **program.constants}.items()):
        digest.update(name.encode())
        if isinstance(tensor, torch.Tensor):
            digest.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # Inductor tells of the CUDA toolkit that a CPU build does not need
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
