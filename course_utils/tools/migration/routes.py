"""What a child does: run the original on every input; convert it, write the file, load the file and compare."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.cases import Case, leaves
from course_utils.core.report import cut
from course_utils.tools.migration.report import DIFFERS, MATCHES, RAISES
from course_utils.tools.migration.worker import Found, Job, reason
from course_utils.tools.onnx_model import OnnxModel
from course_utils.tools.parity import check_parity

FILES = {"convert": "exported.pt2", "export": "exported.pt2", "onnx": "model.onnx", "aoti": "compiled.pt2"}
NO_COMPILER = "there is no C++ compiler here"
CHECKS_VARIABLE = "AOTI_RUNTIME_CHECK_INPUTS"
"""Read when an AOTInductor package is loaded; without it the package takes any shape."""
# Compilers and folding move the last digits; what a wrong branch does is far beyond this.
TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5, "relative_to": "max"}
FEATURES = {
    "prim::Loop": "loops",
    "prim::If": "branches",
    "prim::SetAttr": "attributes that forward writes",
    "prim::fork": "fork and wait",
    "prim::RaiseException": "exceptions",
}
QUANTISED = "quantised operators"
Candidate = Callable[..., Any]


def look(job: Job) -> Found:
    """Run the original on every case, and note what makes a migration hard."""
    model = _loaded(job.source)
    rejected, outputs = {}, []
    for case in job.cases:
        args, kwargs = _arguments(case)
        try:
            # A fresh one for each, since it may keep state; a function keeps none.
            fresh = model if isinstance(model, torch.jit.ScriptFunction) else _loaded(job.source)
            outputs.append(fresh(*args, **kwargs))
        except Exception as error:
            rejected[case.name] = reason(error)
    found = Found(rejected=rejected, single=bool(outputs) and isinstance(outputs[0], Tensor))
    if isinstance(job.source, str):
        found.features = _features(model)
        if defaults := _defaults(job.cases[0], _schema(model)):
            found.facts += (f"left at its default: {defaults}",)
        names = model._c._method_names() if isinstance(model, torch.jit.ScriptModule) else []
        methods = [name for name in names if name != "forward"]
        found.facts += (f"methods beside forward: {', '.join(methods)} (not migrated)",) if methods else ()
        found.facts += (f"in its graphs: {', '.join(found.features)}",) if found.features else ()
    flat = [t for t in leaves(outputs) if isinstance(t, Tensor)]
    if flat and not any(bool(t.any()) for t in flat):
        found.facts += ("every output is zero, so equal results prove little; give inputs whose outputs are not",)
    return found


def convert(job: Job) -> Found:
    """Convert by the job's route, and compare what was written with the original, on every case."""
    assert job.example is not None
    reference = _loaded(job.source)
    if isinstance(job.source, str):  # the routes know positions only, and no defaults
        schema = _schema(reference)
        cases = [_by_position(case, schema) for case in job.cases]
        job = replace(job, cases=cases, example=_by_position(job.example, schema))
    file = Path(job.stage) / FILES[job.route]
    make = {"onnx": _onnx, "aoti": _aoti, "convert": _pt2, "export": _pt2}[job.route](job, file)
    results, exact = [], True
    for case in job.cases:
        report = check_parity(reference, make(), [case], structure="values", check_state=False, **TOLERANCE)
        if report.ok:
            exact = exact and report.worst.bit_equal
            results.append((case.name, MATCHES, ""))
            continue
        finding = report.findings[0]
        # The report asks for inputs that the original takes, so it is the candidate that raised.
        if finding.kind == "raises":
            results.append((case.name, RAISES, cut(finding.candidate, 150)))
        else:
            seen = f"reference {cut(finding.reference, 70)}, candidate {cut(finding.candidate, 70)}"
            results.append((case.name, DIFFERS, f"call {finding.where.call}: {seen}"))
    return Found(results=tuple(results), exact=exact)


# --- the original and its arguments -----------------------------------------------------------------------------------


def _loaded(source: str | nn.Module) -> Any:
    return torch.jit.load(source, map_location="cpu") if isinstance(source, str) else copy.deepcopy(source)


def _arguments(case: Case | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A copy, since a call may change its arguments."""
    assert case is not None
    return copy.deepcopy((case.args, dict(case.kwargs)))


def _schema(model: Any) -> Any:
    return getattr(model, "forward", model).schema


def _asked(case: Case, schema: Any) -> list[Any]:
    """The arguments of the schema behind those that the case gives by position."""
    return [argument for argument in schema.arguments if argument.name != "self"][len(case.args) :]


def _by_position(case: Case, schema: Any) -> Case:
    """The same call without keywords; every argument that was not given gets its default."""
    rest = [
        case.kwargs.get(argument.name, argument.default_value)
        for argument in _asked(case, schema)
        if argument.name in case.kwargs or argument.has_default_value()
    ]
    return Case((*case.args, *rest), {}, case.name)


def _defaults(case: Case, schema: Any) -> str:
    """The arguments that the call leaves at their default, as ``name=value``."""
    left = [x for x in _asked(case, schema) if x.name not in case.kwargs and x.has_default_value()]
    return ", ".join(f"{x.name}={cut(repr(x.default_value), 30)}" for x in left)


def _features(model: Any) -> tuple[str, ...]:
    """What its graphs contain that makes a migration hard, in words."""
    kinds: set[str] = set()

    def walk(block: Any) -> None:
        for node in block.nodes():
            kinds.add(node.kind())
            for inner in node.blocks():
                walk(inner)
            if node.kind() == "prim::fork":
                walk(node.g("Subgraph"))

    for module in model.modules() if isinstance(model, nn.Module) else [model]:
        with contextlib.suppress(Exception):
            walk(module.inlined_graph)
    found = [words for kind, words in FEATURES.items() if kind in kinds]
    if any(kind.startswith("quantized::") for kind in kinds):
        found.append(QUANTISED)
    known = ("aten::", "prim::", "quantized::")
    found += sorted(f"custom operator {kind}" for kind in kinds if not kind.startswith(known))
    return tuple(found)


# --- the routes: each writes a file, and returns how to make a candidate of that file ---------------------------------


def _program(job: Job) -> torch.export.ExportedProgram:
    args, kwargs = _arguments(job.example)
    model = _loaded(job.source)
    if isinstance(job.source, str):
        from torch._export.converter import TS2EPConverter

        return TS2EPConverter(model, args, kwargs or None).convert()
    return torch.export.export(model, args, kwargs or None, dynamic_shapes=_free_batch(job))


def first_size(case: Case | None) -> int | None:
    """The batch: the first size of the first tensor that has one."""
    assert case is not None
    return next((t.shape[0] for t in case.tensors if t.dim()), None)


def _free_batch(job: Job) -> Any:
    """Dim.AUTO for the first dimension of every tensor that has the batch's size, where other batches are tried."""
    batch = first_size(job.example)
    if not any(first_size(case) != batch for case in job.cases):
        return None

    def free(value: Any) -> Any:
        is_batch = isinstance(value, Tensor) and value.dim() and value.shape[0] == batch
        return {0: torch.export.Dim.AUTO} if is_batch else None

    args, kwargs = torch.utils._pytree.tree_map(free, _arguments(job.example))
    return (*args, *kwargs.values()) if kwargs else args


def _pt2(job: Job, file: Path) -> Callable[[], Candidate]:
    torch.export.save(_program(job), file)
    module = torch.export.load(file).module()
    return lambda: module


@cache
def has_compiler() -> bool:
    """Whether Inductor finds a C++ compiler that it can use."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        return shutil.which(get_cpp_compiler()) is not None
    except Exception:  # Inductor's InvalidCxxCompiler, and what a broken compiler does when asked for its version
        return False


def _aoti(job: Job, file: Path) -> Callable[[], Candidate]:
    program = _program(job)
    if not has_compiler():
        raise RuntimeError(NO_COMPILER)
    os.environ[CHECKS_VARIABLE] = "1"  # read when a package is loaded; without it any shape is taken
    torch._inductor.aoti_compile_and_package(program, package_path=str(file))
    return lambda: torch._inductor.aoti_load_package(str(file))  # a fresh one, since it may keep state


def _onnx(job: Job, file: Path) -> Callable[[], Candidate]:
    args, kwargs = _arguments(job.example)
    if isinstance(job.source, str):
        given = _flat(args, kwargs)
        names = [f"input_{i}" for i in range(len(given))]
        axes = {n: {0: "batch"} for n, x in zip(names, given, strict=True) if isinstance(x, Tensor) and x.dim()}
        torch.onnx.export(
            _loaded(job.source),
            args,
            str(file),
            kwargs=kwargs or None,
            dynamo=False,
            input_names=names,
            dynamic_axes=axes,
        )
    else:
        program = torch.onnx.export(_program(job), dynamo=True, verbose=False)
        assert program is not None
        program.save(file)
    try:
        model = OnnxModel(file)
    except ImportError:
        raise RuntimeError("onnxruntime is not installed, so nothing could be compared; install it.") from None

    def run(*args: Any, **kwargs: Any) -> Any:
        given = _flat(args, kwargs)
        if isinstance(job.source, str):  # the exporter drops an input that nothing uses
            given = [given[int(name.rpartition("_")[2])] for name in model.inputs]
        found = model(*given)
        return found if job.single or isinstance(found, tuple) else (found,)

    return lambda: run


def _flat(args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    return [x for x in torch.utils._pytree.tree_leaves((args, kwargs)) if x is not None]
