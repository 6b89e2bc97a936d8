"""Take a TorchScript archive or a module to its successors: try the routes, prove each result, say what is left.

    report = migrate("model.pt", torch.rand(2, 3, 64, 64), into="migrated")
    print(report)                       # what was tried, on which inputs it holds, and what to do next
    report.best                         # the first route that holds on every input, or None

An archive is looked at before anything loads it. Every step that loads or converts runs in a child process with a time
limit, so that a crash or an endless conversion is a row of the report. What is compared is the file that was
written, loaded again, with the archive itself: three calls in a row for each input, since a model may keep state.
Sources of fact: the installed torch; `torch._export.converter` is private there and may change.
"""

from __future__ import annotations

import contextlib
import copy
import html
import io
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core import limits
from course_utils.core.cases import as_cases
from course_utils.core.status_line import Show, status_line
from course_utils.tools import archive, onnx_model
from course_utils.tools.parity import Case, batch_sizes, check_parity

ROUTES = {
    "convert": "TS2EPConverter, then .pt2",
    "export": "torch.export, then .pt2",
    "onnx": "ONNX",
    "aoti": "AOTInductor package",
}
NO_COMPILER = "there is no C++ compiler here"
FILES = {"convert": "exported.pt2", "export": "exported.pt2", "onnx": "model.onnx", "aoti": "compiled.pt2"}
CHECKS_VARIABLE = "AOTI_RUNTIME_CHECK_INPUTS"
"""Read when an AOTInductor package is loaded; without it the package takes any shape."""
HOLDS, PARTLY, DIFFERS, REFUSED = "holds", "partly", "differs", "refused"
SECONDS = 180.0
MEMORY_GIB = 16.0
# Compilers and folding move the last digits; what a wrong branch does is far beyond this.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5, "relative_to": "max"}
_DTYPES = {
    name: getattr(torch, name)
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
}


class MigrationError(ValueError):
    """The arguments cannot be used: no such file, no archive, inputs that the model refuses, a file in the way."""


@dataclass(frozen=True)
class Attempt:
    """One route. outcome: "holds" (equal on every input), "partly" (equal or refused with an error on each),
    "differs" (other values without an error), "refused" (the conversion raised), "crashed", "timed out", "not tried".

    text: what was seen. holds, refuses, differs: the names of the inputs, by what the result did with them.
    file: the name of the file it wrote into the folder that was asked for, or "".
    """

    route: str
    outcome: str
    text: str = ""
    holds: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    file: str = ""


@dataclass(frozen=True)
class MigrationReport:
    """What `migrate` found. facts: what was seen of the source; inputs: the names of the inputs tried; attempts: one a
    route, in order; advice: what to do next, most useful first."""

    source: str
    facts: tuple[str, ...]
    inputs: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    advice: tuple[str, ...]

    @property
    def best(self) -> Attempt | None:
        """The first route that holds on every input, or None."""
        return next((a for a in self.attempts if a.outcome == HOLDS), None)

    @property
    def ok(self) -> bool:
        """Whether some route holds on every input that was tried."""
        return self.best is not None

    @property
    def headline(self) -> str:
        if self.best:
            return f"{self.source}: {ROUTES[self.best.route]} holds on all {len(self.inputs)} inputs tried"
        if any(a.outcome == PARTLY for a in self.attempts):
            return f"{self.source}: migrated in part; some inputs are refused"
        return f"{self.source}: no route migrates it mechanically"

    def rows(self) -> list[tuple[str, str, str]]:
        """Route, outcome and what was seen, a row for each attempt."""
        return [(ROUTES[a.route], a.outcome, a.text + (f" (file: {a.file})" if a.file else "")) for a in self.attempts]

    def text(self) -> str:
        """The report as plain text."""
        lines = [self.headline]
        lines += [f"  seen: {fact}" for fact in self.facts]
        lines += [f"  {route}: {outcome}{' - ' if seen else ''}{seen}" for route, outcome, seen in self.rows()]
        lines += [f"  inputs tried: {', '.join(self.inputs)}"]
        lines += [f"  next: {line}" for line in self.advice]
        return "\n".join(textwrap.fill(line, 110, subsequent_indent="      ") for line in lines)

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        cell = (
            "border:1px solid currentColor;padding:0.3em 0.5em;text-align:left;"
            "vertical-align:top;overflow-wrap:anywhere"
        )
        head = "".join(f'<th scope="col" style="{cell}">{h}</th>' for h in ("route", "outcome", "seen"))
        rows = "".join(
            "<tr>" + "".join(f'<td style="{cell}">{html.escape(c)}</td>' for c in row) + "</tr>" for row in self.rows()
        )
        points = "".join(f"<li>{html.escape(x)}</li>" for x in self.facts)
        steps = "".join(f"<li>{html.escape(x)}</li>" for x in self.advice)
        return (
            '<div style="max-width:100%">'
            f"<p><strong>{html.escape(self.headline)}</strong></p><ul>{points}</ul>"
            f'<table style="border-collapse:collapse;font-size:90%"><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table>"
            f"<p>inputs tried: {html.escape(', '.join(self.inputs))}</p><p>next:</p><ol>{steps}</ol></div>"
        )


def migrate(
    path_or_module: str | os.PathLike[str] | nn.Module,
    example_inputs: Any,
    *,
    others: Sequence[Any] = (),
    into: str | os.PathLike[str] | None = None,
    routes: Sequence[str] | None = None,
    seconds: float = SECONDS,
    run_anyway: bool = False,
    progress: bool | Show | None = None,
) -> MigrationReport:
    """Try to take a model out of TorchScript, and prove what came out.

    path_or_module: a TorchScript archive, a ScriptModule, or an eager module in the mode in which it will run.
    example_inputs: one Tensor, a tuple of positional arguments, or a `Case`. others: further inputs that matter, in
    the same forms: give one from each side of every branch that you know. Inputs of other batch sizes and values are
    made from the example; those that the original refuses are left out.

    routes: out of "convert", "onnx" and "aoti" for an archive (default: the first two), "export", "onnx" and "aoti"
    for an eager module. into: a folder for what was made; an existing file is never replaced. Where no route holds,
    the weights (weights.pt, for ``torch.load(weights_only=True)``) and the archive's code (code/) go there.
    seconds: the limit for each route. run_anyway: take a file whose code, as `archive.inspect` reads it, reaches beyond
    tensors, or that it says not to load; without it such a file is not run, and MigrationError says what was seen.
    progress: as for `status_line`.

    Arguments that are left at their default are filled in from the schema of the archive's forward.

    Raises MigrationError, a ValueError, where the arguments cannot be used; its text ends with what to do. What a route
    does wrong is a row of the report. Loading an archive runs code that is in it: a child process is no sandbox, so
    migrate only what you trust. An eager module is run in a copy of this process on Linux, and elsewhere in this one.
    """
    example, rest = _given(example_inputs, others)
    with tempfile.TemporaryDirectory() as folder, status_line(progress) as show:
        source, name, facts = _source(path_or_module, Path(folder), run_anyway)
        wanted = _routes(routes, eager=isinstance(source, nn.Module))
        target = _target(into, wanted)
        cases = [example, *rest, *_variants(example)]
        show(f"{name}: running the original on {len(cases)} inputs")
        seen = _in_child(_Job("look", source, cases), seconds)
        if seen.error:
            raise MigrationError(f"{name}: {seen.error} Look at the inputs and at where the file comes from.")
        if seen.refused and example.name in seen.refused:
            raise MigrationError(
                f"{name} refuses the example input: {seen.refused[example.name]} "
                "Give inputs that the original takes; its schema stands in `.schema` of the loaded forward."
            )
        cases = [case for case in cases if case.name not in seen.refused]
        convert_with = next((c for c in cases if c.name == "batch 2" and _first_size(example) == 1), example)
        facts += seen.facts
        if convert_with is not example:
            facts += ("converted with a batch of 2: an example batch of 1 would be fixed at 1",)
        attempts = []
        for n, route in enumerate(wanted, 1):
            show(f"{name}: route {n} of {len(wanted)}, {ROUTES[route]}, at most {seconds:g} s")
            stage = Path(folder) / f"out-{route}"
            stage.mkdir()
            job = _Job(route, source, cases, convert_with, str(stage))
            attempt = _attempt(route, _in_child(job, seconds), seconds)
            if target and attempt.outcome in (HOLDS, PARTLY):
                attempt = replace(attempt, file=_keep(stage, target))
            attempts.append(attempt)
        saved = ()
        if target and not any(a.outcome == HOLDS for a in attempts) and isinstance(source, str):
            saved = _salvage(source, target, seconds)
        advice = _advice(path_or_module, attempts, seen, saved)
    return MigrationReport(name, facts, tuple(c.name for c in cases), tuple(attempts), advice)


def read_input(text: str) -> Any:
    """One argument from the command line's form.

    "1x3x64x64:float32" is a random tensor of this shape (integers count up from 0: "2x5:int64<100" stays below 100),
    "scalar:float32" one without dimensions; "int=16000", "float=0.5", "bool=true", "str=sum" and "none" are plain
    values. The same text gives the same values. Raises MigrationError for anything else.
    """
    if text == "none":
        return None
    if plain := re.fullmatch(r"(int|float|bool|str)=(.*)", text, re.DOTALL):
        kind, value = plain[1], plain[2]
        try:
            if kind == "bool":
                return {"true": True, "false": False}[value.lower()]
            return {"int": int, "float": float, "str": str}[kind](value)
        except (ValueError, KeyError):
            raise MigrationError(f"{text!r}: {value!r} is no {kind}. {_FORMS}") from None
    tensor = re.fullmatch(r"(scalar|\d+(?:x\d+)*):(\w+)(?:<(\d+))?", text)
    if tensor is None or tensor[2] not in _DTYPES:
        raise MigrationError(f"{text!r} is no input. {_FORMS}")
    shape = [] if tensor[1] == "scalar" else [int(size) for size in tensor[1].split("x")]
    dtype = _DTYPES[tensor[2]]
    if dtype.is_floating_point or dtype.is_complex:
        if tensor[3]:
            raise MigrationError(f"{text!r}: a limit by < is for integers. {_FORMS}")
        return torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    below = 2 if dtype is torch.bool else int(tensor[3] or 10)
    if below < 1:
        raise MigrationError(f"{text!r}: the limit is at least 1. {_FORMS}")
    return (torch.arange(int(torch.tensor(shape).prod())) % below).reshape(shape).to(dtype)


_FORMS = (
    'Write SHAPE:DTYPE such as 1x3x64x64:float32 or "2x5:int64<100", or int=3, float=0.5, bool=true, str=sum, none.'
)


# --- the arguments ---------------------------------------------------------------------------------------------------


def _given(example_inputs: Any, others: Sequence[Any]) -> tuple[Case, list[Case]]:
    try:
        (example,) = as_cases(example_inputs if not isinstance(example_inputs, list) else [example_inputs])
        rest = [replace(as_cases(x)[0], name=getattr(x, "name", "") or f"other {i + 1}") for i, x in enumerate(others)]
    except (TypeError, ValueError) as error:
        raise MigrationError(str(error)) from None
    return replace(example, name="the example"), rest


def _source(given: Any, folder: Path, run_anyway: bool) -> tuple[str | nn.Module, str, tuple[str, ...]]:
    """A path of an archive or an eager module; its name for people; what can be said without loading it."""
    if isinstance(given, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        name = getattr(given, "original_name", None) or getattr(given, "name", "the function")
        path = folder / "model.pt"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.jit.save(given, str(path))
        except Exception as error:
            raise MigrationError(f"{name} cannot be saved: {_said(error)} Mend that first; lesson 05 helps.") from None
        return str(path), str(name), _facts(path, run_anyway=True)  # it is loaded already
    if isinstance(given, nn.Module):
        mode = "train" if given.training else "eval"
        note = "; call .eval() first if it is for inference" if given.training else ""
        return given, type(given).__name__, (f"an eager module in {mode} mode{note}",)
    if not isinstance(given, (str, os.PathLike)):
        raise MigrationError(f"a {type(given).__name__} cannot be migrated; give a path, a ScriptModule or a module.")
    return str(given), Path(given).name, _facts(given, run_anyway)


def _facts(path: str | os.PathLike[str], run_anyway: bool) -> tuple[str, ...]:
    """What can be said of an archive without loading it: code, weights, what loading would run.

    Raises MigrationError for what is no TorchScript archive, a damaged one, and one that is dangerous to run.
    """
    try:
        report = archive.inspect(path)
    except archive.ArchiveError as error:
        raise MigrationError(str(error)) from None
    if report.damaged:
        raise MigrationError(f"{report.file_name}: {report.warnings[0]}")
    if not report.kind.startswith("TorchScript "):
        raise MigrationError(
            f"{report.file_name}: {report.kind}; it is no TorchScript archive. It is read by {report.loader}."
        )
    if report.dangers and not run_anyway:
        raise MigrationError(
            f"{report.file_name} was not run: {'; '.join(report.dangers[:3])}. "
            "Look at archive.inspect(path); if you trust its maker, give run_anyway=True."
        )
    code = sum(bool(re.search(r"/code/.*\.py$", entry.name)) for entry in report.entries)
    weights = {tensor.storage: tensor.stored_bytes for tensor in (*report.tensors, *report.constants)}
    files = f"{code} code file{'s' * (code != 1)}"
    tensors = f"{len(weights)} tensors of {_bytes(sum(weights.values()))}" if weights else "no tensors"
    return (f"{files}, {tensors} (read without loading)", *map(str, report.runs_on_load))


def _bytes(count: int) -> str:
    return f"{count / 2**20:.3g} MiB" if count >= 2**20 else f"{count / 2**10:.3g} KiB"


def _routes(routes: Sequence[str] | None, eager: bool) -> tuple[str, ...]:
    known = ("export", "onnx", "aoti") if eager else ("convert", "onnx", "aoti")
    wanted = known[:2] if routes is None else tuple(routes)
    for route in wanted:
        if route not in known:
            kind = "an eager module" if eager else "an archive"
            raise MigrationError(f"{route!r} is no route for {kind}; choose from {', '.join(known)}.")
    if not wanted or len(set(wanted)) < len(wanted):
        raise MigrationError(f"name each route once, at least one of {', '.join(known)}.")
    return wanted


def _target(into: Any, routes: Sequence[str]) -> Path | None:
    if into is None:
        return None
    target = Path(into)
    if target.exists() and not target.is_dir():
        raise MigrationError(f"{target.name} is a file and not a folder; choose another.")
    for name in (*(FILES[route] for route in routes), "weights.pt", "code"):
        if (target / name).exists():
            raise MigrationError(f"{target.name}/{name} is there already and is not replaced; choose another folder.")
    return target


def _variants(example: Case) -> list[Case]:
    """Other batch sizes and other values."""
    cases = []
    with contextlib.suppress(ValueError, RuntimeError, IndexError):
        cases += [c for c in batch_sizes(replace(example, name="")) if _first_size(c) != _first_size(example)]
    for name, change in (("negated", torch.neg), ("times 10", lambda x: x * 10), ("zeros", torch.zeros_like)):
        changed = _mapped((example.args, dict(example.kwargs)), change)
        if changed is not None:
            cases.append(Case(*changed, name))
    return cases


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The nested value with every float tensor changed; None where there is none."""
    found = False

    def walk(value: Any) -> Any:
        nonlocal found
        if isinstance(value, Tensor):
            if not value.is_floating_point():
                return value
            found = True
            return change(value)
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(walk(item) for item in value))
        return type(value)(walk(item) for item in value) if isinstance(value, (list, tuple)) else value

    changed = walk(value)
    return changed if found else None


def _tensors(case: Case) -> list[Tensor]:
    found: list[Tensor] = []
    torch.utils._pytree.tree_map_only(Tensor, found.append, (case.args, dict(case.kwargs)))
    return found


def _first_size(case: Case) -> int | None:
    sizes = [t.shape[0] for t in _tensors(case) if t.dim()]
    return sizes[0] if sizes else None


# --- in a child ------------------------------------------------------------------------------------------------------


@dataclass
class _Job:
    """What a child does: "look" runs the original on every case; a route converts with `example` and compares."""

    route: str
    source: str | nn.Module
    cases: list[Case]
    example: Case | None = None
    stage: str = ""


@dataclass
class _Found:
    """What a child saw, as plain values."""

    error: str = ""
    ended: str = ""  # "crashed" or "timed out"
    facts: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    refused: dict[str, str] | None = None
    results: tuple[tuple[str, str, str], ...] = ()  # case, outcome, what was seen
    exact: bool = False


def _in_child(job: _Job, seconds: float) -> _Found:
    """Run the job where a crash or an endless conversion does no harm. Never raises for what the job does."""
    try:
        if sys.platform == "linux":
            return limits.run_limited(lambda: _work(job), seconds=seconds, memory_gib=MEMORY_GIB).value
        if isinstance(job.source, str):
            return _in_new_process(job, seconds)
        return limits.run_limited(lambda: _work(job), seconds=seconds, memory_gib=MEMORY_GIB).value
    except limits.TimeLimit:
        return _Found(ended="timed out")
    except limits.Crash:
        return _Found(ended="crashed")
    except Exception as error:
        return _Found(error=_said(error))


def _in_new_process(job: _Job, seconds: float) -> _Found:
    """The same in a fresh Python, where there is no fork."""
    command = [sys.executable, "-c", "from course_utils.tools.migration import _main; _main()"]
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command,
            input=pickle.dumps((job.route, job.source, job.cases, job.example, job.stage)),
            capture_output=True,
            timeout=seconds,
            env={**os.environ, "PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired:
        return _Found(ended="timed out")
    _, _, payload = done.stdout.partition(b"\0found\0")
    return pickle.loads(payload) if payload and done.returncode == 0 else _Found(ended="crashed")


def _main() -> None:
    """The whole life of the fresh Python."""
    torch.set_num_threads(1)
    found = _work(_Job(*pickle.load(sys.stdin.buffer)))
    sys.stdout.flush()
    sys.stdout.buffer.write(b"\0found\0" + pickle.dumps(found))
    sys.stdout.buffer.flush()


def _work(job: _Job) -> _Found:
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings(), torch.no_grad(), contextlib.redirect_stderr(io.StringIO()), _quiet_stdout():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            return _look(job) if job.route == "look" else _converted(job)
        except Exception as error:
            return _Found(error=_said(error))
        finally:
            logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _loaded(source: str | nn.Module) -> Any:
    return torch.jit.load(source, map_location="cpu") if isinstance(source, str) else copy.deepcopy(source)


def _look(job: _Job) -> _Found:
    """Run the original on every case, and note what makes a migration hard."""
    model = _loaded(job.source)
    refused, outputs = {}, []
    for case in job.cases:
        args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
        try:
            # A fresh one for each, since it may keep state; a function keeps none.
            fresh = model if isinstance(model, torch.jit.ScriptFunction) else _loaded(job.source)
            outputs.append(fresh(*args, **kwargs))
        except Exception as error:
            refused[case.name] = _said(error)
    traits = _traits(model) if isinstance(job.source, str) else ()
    facts: tuple[str, ...] = ()
    if isinstance(job.source, str):
        defaults = _defaults(job.cases[0], getattr(model, "forward", model).schema)
        facts += (f"left at its default: {defaults}",) if defaults else ()
        methods = [m for m in model._c._method_names() if m != "forward"] if isinstance(model, nn.Module) else []
        facts += (f"methods beside forward: {', '.join(methods)} (not migrated)",) if methods else ()
        facts += (f"in its graphs: {', '.join(traits)}",) if traits else ()
    flat = [t for out in outputs for t in torch.utils._pytree.tree_leaves(out) if isinstance(t, Tensor)]
    if flat and not any(bool(t.any()) for t in flat):
        facts += ("every output is zero, so equal results prove little; give inputs that bring the model to life",)
    return _Found(facts=facts, traits=traits, refused=refused)


_TRAITS = {
    "prim::Loop": "loops",
    "prim::If": "branches",
    "prim::SetAttr": "attributes that forward writes",
    "prim::fork": "fork and wait",
    "prim::RaiseException": "exceptions",
}


def _traits(model: Any) -> tuple[str, ...]:
    kinds: set[str] = set()

    def walk(block: Any) -> None:
        for node in block.nodes():
            kinds.add(node.kind())
            for inner in node.blocks():
                walk(inner)
            if node.kind() == "prim::fork":
                walk(node.g("Subgraph"))

    modules = model.modules() if isinstance(model, nn.Module) else [model]
    for module in modules:
        with contextlib.suppress(Exception):
            walk(module.inlined_graph)
    found = [words for kind, words in _TRAITS.items() if kind in kinds]
    if any(kind.startswith("quantized::") for kind in kinds):
        found.append("quantised operators")
    known = ("aten::", "prim::", "quantized::")
    found += sorted(f"custom operator {kind}" for kind in kinds if not kind.startswith(known))
    return tuple(found)


def _converted(job: _Job) -> _Found:
    assert job.example is not None
    if isinstance(job.source, str):  # the routes know positions only, and no defaults
        model = _loaded(job.source)
        schema = getattr(model, "forward", model).schema
        cases = [_by_position(case, schema) for case in job.cases]
        job = replace(job, cases=cases, example=_by_position(job.example, schema))
    file = Path(job.stage) / FILES[job.route]
    if job.route == "onnx":
        make = _onnx(job, file)
    else:
        program = _program(job)
        make = _aoti(program, file) if job.route == "aoti" else _pt2(program, file)
    results, exact = [], True
    reference = _loaded(job.source)
    for case in job.cases:
        report = check_parity(reference, make(), [case], structure="values", check_state=False, **TOLERANCE)
        if report.ok:
            exact = exact and report.worst.bit_equal
            results.append((case.name, HOLDS, ""))
            continue
        finding = report.findings[0]
        # The report asks for inputs that the original takes, so it is the candidate that raised.
        outcome = REFUSED if finding.kind == "raises" else DIFFERS
        seen = f"call {finding.where.call}: original {_cut(finding.reference)}, migrated {_cut(finding.candidate)}"
        results.append((case.name, outcome, _cut(finding.candidate, 150) if outcome == REFUSED else seen))
    return _Found(results=tuple(results), exact=exact)


def _by_position(case: Case, schema: Any) -> Case:
    """The same call without keywords; every argument that was not given gets its default."""
    asked = [argument for argument in schema.arguments if argument.name != "self"][len(case.args) :]
    rest = [
        case.kwargs.get(argument.name, argument.default_value)
        for argument in asked
        if argument.name in case.kwargs or argument.has_default_value()
    ]
    return Case((*case.args, *rest), {}, case.name)


def _defaults(case: Case, schema: Any) -> str:
    """The arguments that the call leaves at their default, as ``name=value``."""
    asked = [argument for argument in schema.arguments if argument.name != "self"][len(case.args) :]
    left = [x for x in asked if x.name not in case.kwargs and x.has_default_value()]
    return ", ".join(f"{x.name}={_cut(repr(x.default_value), 30)}" for x in left)


def _program(job: _Job) -> torch.export.ExportedProgram:
    example = copy.deepcopy(job.example)
    args, kwargs = example.args, dict(example.kwargs)
    model = _loaded(job.source)
    if isinstance(job.source, str):
        from torch._export.converter import TS2EPConverter

        return TS2EPConverter(model, args, kwargs or None).convert()
    return torch.export.export(model, args, kwargs or None, dynamic_shapes=_free_batch(job))


def _free_batch(job: _Job) -> Any:
    """Dim.AUTO for the first dimension of every tensor that has the batch's size, where other batches are tried."""
    assert job.example is not None
    batch = _first_size(job.example)
    if not any(_first_size(case) != batch for case in job.cases):
        return None

    def free(value: Any) -> Any:
        return (
            {0: torch.export.Dim.AUTO}
            if isinstance(value, Tensor) and value.dim() and value.shape[0] == batch
            else None
        )

    args, kwargs = torch.utils._pytree.tree_map(free, (job.example.args, dict(job.example.kwargs)))
    return (*args, *kwargs.values()) if kwargs else args


def _pt2(program: torch.export.ExportedProgram, file: Path) -> Callable[[], Callable[..., Any]]:
    torch.export.save(program, file)
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


def _aoti(program: torch.export.ExportedProgram, file: Path) -> Callable[[], Callable[..., Any]]:
    if not has_compiler():
        raise RuntimeError(NO_COMPILER)
    os.environ[CHECKS_VARIABLE] = "1"  # read when a package is loaded; without it any shape is taken
    torch._inductor.aoti_compile_and_package(program, package_path=str(file))
    return lambda: torch._inductor.aoti_load_package(str(file))  # a fresh one, since it may keep state


def _onnx(job: _Job, file: Path) -> Callable[[], Callable[..., Any]]:
    try:
        import onnxruntime
    except ImportError:
        raise RuntimeError("onnxruntime is not installed, so nothing could be compared; install it.") from None
    example = copy.deepcopy(job.example)
    if isinstance(job.source, str):
        leaves = [x for x in torch.utils._pytree.tree_leaves((example.args, dict(example.kwargs))) if x is not None]
        names = [f"input_{i}" for i in range(len(leaves))]
        axes = {n: {0: "batch"} for n, x in zip(names, leaves, strict=True) if isinstance(x, Tensor) and x.dim()}
        torch.onnx.export(
            _loaded(job.source),
            example.args,
            str(file),
            kwargs=dict(example.kwargs) or None,
            dynamo=False,
            input_names=names,
            dynamic_axes=axes,
        )
    else:
        program = torch.onnx.export(_program(job), dynamo=True, verbose=False)
        program.save(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    types = {node.name: node.type for node in session.get_inputs()}
    wanted = list(types)
    single = isinstance(_output(job), Tensor)

    def run(*args: Any, **kwargs: Any) -> Any:
        given = [x for x in torch.utils._pytree.tree_leaves((args, kwargs)) if x is not None]
        if isinstance(job.source, str):
            pairs = [(name, given[int(name.rpartition("_")[2])]) for name in wanted]
        else:
            pairs = list(zip(wanted, given, strict=True))
        feed = {name: onnx_model.as_input(value, types[name]) for name, value in pairs}
        out = tuple(torch.from_numpy(array) for array in session.run(None, feed))
        return out[0] if single else out

    return lambda: run


def _output(job: _Job) -> Any:
    example = copy.deepcopy(job.example)
    return _loaded(job.source)(*example.args, **dict(example.kwargs))


# --- in words --------------------------------------------------------------------------------------------------------


def _attempt(route: str, found: _Found, seconds: float) -> Attempt:
    if found.ended == "timed out":
        return Attempt(route, "timed out", f"stopped after {seconds:g} s")
    if found.ended:
        return Attempt(route, "crashed", "its process ended without a word")
    if found.error:
        return Attempt(route, REFUSED, found.error)
    by = {kind: tuple(n for n, outcome, _ in found.results if outcome == kind) for kind in (HOLDS, REFUSED, DIFFERS)}
    first = {kind: next((f"{n}: {seen}" for n, outcome, seen in found.results if outcome == kind), "") for kind in by}
    if by[DIFFERS]:
        outcome, text = DIFFERS, f"other values without an error for {', '.join(by[DIFFERS])}; {first[DIFFERS]}"
    elif by[REFUSED]:
        outcome = PARTLY if by[HOLDS] else REFUSED
        text = f"equal for {', '.join(by[HOLDS]) or 'none'}; refuses {first[REFUSED]}"
    else:
        outcome, text = HOLDS, "equal on every input" + (", to the last bit" if found.exact else " within tolerance")
    return Attempt(route, outcome, text, by[HOLDS], by[REFUSED], by[DIFFERS])


def _keep(stage: Path, target: Path) -> str:
    """Move what a route made into the folder of the caller; an existing file there stays and is named."""
    target.mkdir(parents=True, exist_ok=True)
    names = []
    for path in sorted(stage.iterdir()):
        if (target / path.name).exists():
            raise MigrationError(
                f"{target.name}/{path.name} is there already and is not replaced; choose another folder."
            )
        shutil.move(path, target / path.name)
        names.append(path.name)
    return ", ".join(names)


def _salvage(source: str, target: Path, seconds: float) -> tuple[str, ...]:
    """Write what a rewrite needs: the weights as plain tensors, and the code that the archive holds."""

    def weights() -> int:
        state = {name: tensor.detach().cpu() for name, tensor in torch.jit.load(source).state_dict().items()}
        torch.save(state, target / "weights.pt")
        return len(state)

    target.mkdir(parents=True, exist_ok=True)
    saved = []
    with contextlib.suppress(Exception):
        count = limits.run_limited(weights, seconds=seconds, memory_gib=MEMORY_GIB).value
        saved.append(f"weights.pt ({count} tensors)")
    with zipfile.ZipFile(source) as content:
        for name in content.namelist():
            inner = Path(*Path(name).parts[1:])
            if inner.parts[:1] == ("code",) and inner.suffix == ".py" and ".." not in inner.parts:
                (target / inner).parent.mkdir(parents=True, exist_ok=True)
                (target / inner).write_bytes(content.read(name))
    saved.append("code/")
    return tuple(saved)


def _advice(given: Any, attempts: Sequence[Attempt], seen: _Found, saved: tuple[str, ...]) -> tuple[str, ...]:
    lines = []
    is_archive = not (isinstance(given, nn.Module) and not isinstance(given, torch.jit.ScriptModule))
    best = next((a for a in attempts if a.outcome == HOLDS), None)
    if best:
        lines.append(
            "run it beside the old model on real inputs before you switch; only the inputs above were compared"
        )
        if is_archive:
            lines.append("where the model's source still exists, torch.export of the eager model is the better start")
        return tuple(lines)
    twins, weights = _twins(given)
    if twins:
        listed = " and ".join(twins)
        if "site-packages" in Path(given).absolute().parts:  # of an installed package
            lines.append(f"its publisher ships {listed} beside it: use that, and compare it with this archive")
        else:
            lines.append(f"{listed} lies beside it: if it is the same model, compare it with this archive and use that")
    if weights:
        lines.append(
            f"{weights} beside it holds weights, and perhaps those of another training: names and shapes that fit "
            "prove nothing, so take this archive's own, or compare the values first"
        )
    if any(a.outcome == PARTLY for a in attempts):
        lines.append(
            "if the inputs that hold are all you need, use that file; the others end in an error and not in silence"
        )
    refusals = " ".join(a.text for a in attempts)
    if NO_COMPILER in refusals:
        lines.append("AOTInductor needs a C++ compiler: run `course doctor`, which says how to get one, and try again")
    if "None's after flattening" in refusals or "InvalidTag" in refusals:
        lines.append(
            "these routes take no None as an argument: give a value for it, or wrap the archive and give it there"
        )
    if "dynamic value of" in refusals:
        lines.append("a loop depends on data: rewrite it with while_loop or without a loop, then torch.export")
    if "SetAttr" in refusals or "attributes that forward writes" in seen.traits:
        lines.append(
            "forward keeps state in attributes: make the state an input and an output (or a buffer), then export"
        )
    if "fork and wait" in seen.traits:
        lines.append("fork has no successor inside a graph: call the parts one after the other, or use threads outside")
    if "quantised operators" in seen.traits:
        lines.append("quantised operators do not export: start from the float model and quantise it anew")
    if is_archive:
        where = (
            f"{' and '.join(saved)} are in the folder" if saved else "give a folder (into=…) to get weights and code"
        )
        lines.append(f"otherwise rewrite the module from the archive's code and load its weights: {where}")
    elif any(a.outcome == REFUSED and NO_COMPILER not in a.text for a in attempts):
        lines.append("the error above names the line to rewrite: torch.cond for a branch, while_loop for a loop")
    return tuple(lines)


def _twins(given: Any) -> tuple[list[str], str]:
    """Models of other formats with the archive's name, beside it; and a file of weights alone, or ""."""
    if not isinstance(given, (str, os.PathLike)):
        return [], ""
    path = Path(given)
    models = [path.with_suffix(kind).name for kind in (".onnx", ".pt2", ".pte") if path.with_suffix(kind).is_file()]
    weights = [path.with_suffix(".safetensors"), *sorted(path.parent.glob(f"{path.stem}_*.safetensors"))]
    return models, next((file.name for file in weights if file.is_file()), "")


def _said(error: BaseException) -> str:
    """The sentence that says most: the cause behind a chain, without paths and C++ frames."""
    seen: list[BaseException] = []
    while error is not None and error not in seen and len(seen) < 6:
        seen.append(error)
        error = error.__cause__ or error.__context__
    best = seen[-1] if "TS2EPConverter failed" in str(seen[0]) else seen[0]
    lines = [line.strip() for line in str(best).splitlines() if line.strip()]
    useless = (
        r"(The following operation failed|Traceback of|File |Serialized|~+|<--- HERE|Exception raised from|frame #)"
    )
    lines = [line for line in lines if not re.match(useless, line)] or [""]
    told = next((x for x in reversed(lines) if re.match(r"[\w.]*(Error|Exception): ", x)), lines[0])
    told = re.sub(r"^[\w.]*(Error|Exception): ", "", told)
    told = re.sub(
        r"(\S.*?) ?INTERNAL ASSERT FAILED at .*?please report a bug to PyTorch\.", r"torch's own check \1 failed.", told
    )
    return _cut(f"{type(best).__name__}: {told}", 190)


def _cut(text: str, width: int = 70) -> str:
    text = " ".join(str(text).split())
    return text if len(text) <= width else text[: width - 1] + "…"
