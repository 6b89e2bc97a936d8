"""What must be so before a verdict means anything: torch is torch's own, and the answer does not read its check.

Neither is a lock, and a learner who wants to deceive herself can. It is for the answer that was found on the web, and
for the cell that replaced `torch.jit.trace` to try something out and was forgotten.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.export
import torch.onnx

from course_utils.classroom.checks import NotYet
from course_utils.tools import parity

_WATCHED = (
    "allclose", "compile", "equal", "export.export", "inference_mode", "isclose", "jit.ScriptFunction",
    "jit.ScriptModule", "jit.export", "jit.fork", "jit.freeze", "jit.ignore", "jit.load", "jit.optimize_for_inference",
    "jit.save", "jit.script", "jit.script_if_tracing", "jit.trace", "jit.trace_module", "jit.unused", "jit.wait",
    "no_grad", "onnx.export", "testing.assert_close",
)  # fmt: skip
# Names by which Python code reaches the frames and objects of its callers.
_FRAMES = {"_getframe", "currentframe", "f_back", "f_locals", "tb_frame", "get_referrers", "get_objects"}
_CHECKS = __package__
_DEEPEST = 6


def expect_torch_unchanged() -> None:
    """Raise :class:`NotYet` when a function that checks stand on is no longer torch's, or not the course's."""
    watched = {f"torch.{name}": functools.reduce(getattr, name.split("."), torch) for name in _WATCHED}
    changed = [name for name, value in watched.items() if not _is_from(torch, value)]
    if not _is_from(parity, parity.check_parity):
        changed.append("course_utils.tools.parity.check_parity")
    if changed:
        raise NotYet(
            f"`{changed[0]}` is not the function it was: something has replaced it.",
            seen={"replaced": ", ".join(changed)},
            look_at="take the replacement out, then restart the kernel and run the cells again",
        )


def forget_dead_builtins() -> None:
    """Take out of torch's table of builtins what is no longer alive.

    torch knows a builtin by its address, and `torch.library` leaves behind those of operators that it made again (torch
    imports such a library for Inductor). A list or tuple of a model may get the address later; scripting then says
    "builtin cannot be used as a value", once in some dozens of runs.
    """
    table: dict[int, str] = torch.jit._builtins._builtin_table or {}  # type: ignore[attr-defined]
    for address, name in list(table.items()):
        namespace, _, operator = name.partition("::")
        if namespace in ("aten", "prim"):
            continue  # functions of torch itself, which stay
        packet = getattr(getattr(torch.ops, namespace), operator, None)
        if packet is not None and id(packet._op) != address:
            del table[address]


def _is_from(package: types.ModuleType, value: Any) -> bool:
    """Whether the code of ``value`` lies in the package's folder; what is compiled has no code to look at."""
    if isinstance(value, types.FunctionType):
        return Path(value.__code__.co_filename).is_relative_to(Path(package.__file__ or "").parent)
    if inspect.isclass(value):
        return value.__module__.split(".")[0] == package.__name__.split(".")[0]
    return isinstance(value, types.BuiltinFunctionType)


def expect_own_work(answer: Any) -> None:
    """Raise :class:`NotYet` when the answer uses the course's checks, or reaches for the frames of its callers."""
    for code, scope in _code_of(answer):
        used = set(code.co_names) | {x for x in code.co_consts if isinstance(x, str)}
        reached = sorted(name for name in used if name in _FRAMES or name.startswith(_CHECKS))
        reached += sorted(name for name in code.co_names if _is_ours(scope.get(name)))
        if reached:
            raise NotYet(
                "Your answer looks at the check instead of the task.",
                seen={"it uses": f"`{reached[0]}`"},
                look_at="what the task says of every input; the inputs of the check are examples of it",
            )


def _is_ours(value: Any) -> bool:
    home = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return isinstance(home, str) and (home == _CHECKS or home.startswith(f"{_CHECKS}."))


def _code_of(given: Any, depth: int = 0, seen: set[int] | None = None) -> Iterator[tuple[types.CodeType, dict]]:
    """All Python code of an answer with its global names: functions in functions, closures, methods, containers."""
    seen = set() if seen is None else seen
    if depth > _DEEPEST or id(given) in seen:
        return
    seen.add(id(given))
    parts: list[Any] = []
    if isinstance(given, functools.partial):
        parts = [given.func, *given.args]
    elif isinstance(given, types.MethodType):
        parts = [given.__func__]
    elif isinstance(given, types.FunctionType):
        yield from ((code, given.__globals__) for code in _nested(given.__code__))
        parts = [cell.cell_contents for cell in given.__closure__ or () if not _is_empty(cell)]
    elif isinstance(given, (list, tuple)):
        parts = list(given[:20])
    elif isinstance(given, dict):
        parts = list(given.values())[:20]
    elif _is_the_learners(given if inspect.isclass(given) else type(given)):
        owner = given if inspect.isclass(given) else type(given)
        parts = [x for x in vars(owner).values() if isinstance(x, (types.FunctionType, staticmethod, classmethod))]
        parts = [getattr(x, "__func__", x) for x in parts]
    for part in parts:
        yield from _code_of(part, depth + 1, seen)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _nested(inner)


def _is_empty(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is None
    except ValueError:
        return True


def _is_the_learners(owner: type) -> bool:
    """Whether the class is neither torch's nor the course's nor Python's own."""
    first = owner.__module__.split(".")[0]
    return first not in ("torch", "course_utils", "torchvision", "numpy") and first not in sys.stdlib_module_names


def by_function(answer: Any) -> Callable[..., Any] | None:
    """A plain function that calls ``answer``, where it is a callable that torch cannot name; otherwise None."""
    if isinstance(answer, (type, types.FunctionType, torch.nn.Module, torch.jit.ScriptFunction)):
        return None
    if not callable(answer):
        return None

    def answered(*inputs: Any, **named: Any) -> Any:
        return answer(*inputs, **named)

    return answered
