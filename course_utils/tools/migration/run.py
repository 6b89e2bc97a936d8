"""`migrate`, from its arguments to its report."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_utils.core.cases import Case, as_cases, batch_sizes, other_values
from course_utils.core.report import plural, size_text
from course_utils.core.status_line import Show, status_line
from course_utils.tools import archive
from course_utils.tools.migration.advice import advise
from course_utils.tools.migration.files import keep, salvage, target_of
from course_utils.tools.migration.report import (
    DIFFERS,
    MATCHES,
    PARTLY,
    RAISES,
    ROUTES,
    Attempt,
    MigrationError,
    MigrationReport,
)
from course_utils.tools.migration.routes import convert, first_size, look
from course_utils.tools.migration.worker import Found, Job, in_child, reason

SECONDS = 180.0


def migrate(
    reference: str | os.PathLike[str] | nn.Module,
    inputs: Any,
    *,
    others: Any = None,
    into: str | os.PathLike[str] | None = None,
    routes: Sequence[str] | None = None,
    seconds: float = SECONDS,
    run_anyway: bool = False,
    progress: bool | Show | None = None,
) -> MigrationReport:
    """Try to take a model out of TorchScript, and verify what came out.

    reference: a TorchScript archive, a ScriptModule, or an eager module in the mode in which it will run.
    inputs: one Tensor, a tuple of positional arguments, a `Case`, or a list of those; the first is the example that the
    conversion is given. others: further inputs that matter, in the same forms: give one from each side of every branch
    that you know. Inputs of other batch sizes and values are made from the example; those that the original rejects are
    left out.

    routes: out of "convert", "onnx" and "aoti" for an archive (default: the first two), "export", "onnx" and "aoti"
    for an eager module. into: a folder for what was made; an existing file is never replaced. Where no route matches,
    the weights (weights.pt, for ``torch.load(weights_only=True)``) and the archive's code (code/) go there.
    seconds: the limit for each route. run_anyway: take a file whose code, as `archive.inspect` reads it, reaches beyond
    tensors, or that it says not to load; without it such a file is not run, and MigrationError says what was seen.
    progress: as for `status_line`.

    Arguments that are left at their default are filled in from the schema of the archive's forward.

    Raises MigrationError, a ValueError, where the arguments cannot be used; its text ends with what to do. What a route
    does wrong is a row of the report. Loading an archive runs code that is in it: a child process is not a sandbox, so
    migrate only what you trust. An eager module is run in a copy of this process on Linux, and elsewhere in this one.
    """
    example, rest = _given(inputs, others)
    with tempfile.TemporaryDirectory() as folder, status_line(progress) as show:
        source, name, facts = _source(reference, Path(folder), run_anyway)
        wanted = _routes(routes, eager=isinstance(source, nn.Module))
        target = target_of(into, wanted)
        cases = [example, *rest, *_variants(example)]
        show(f"{name}: running the original on {plural(len(cases), 'input')}")
        seen = in_child(look, Job("look", source, cases), seconds)
        if seen.ended or seen.error:
            raise MigrationError(
                f"{name}: {seen.error or f'running the original {seen.ended}.'} "
                "Look at the inputs and at where the file comes from."
            )
        if example.name in seen.rejected:
            raise MigrationError(
                f"{name} rejects the example input: {seen.rejected[example.name]} "
                "Give inputs that the original takes; `.schema` of the loaded forward lists them."
            )
        cases = [case for case in cases if case.name not in seen.rejected]
        convert_with = next((c for c in cases if c.name == "batch 2" and first_size(example) == 1), example)
        facts += seen.facts
        if convert_with is not example:
            facts += ("converted with a batch of 2: an example batch of 1 would be fixed at 1",)
        attempts = []
        for n, route in enumerate(wanted, 1):
            show(f"{name}: route {n} of {len(wanted)}, {ROUTES[route]}, at most {seconds:g} s")
            stage = Path(folder) / f"out-{route}"
            stage.mkdir()
            job = Job(route, source, cases, convert_with, str(stage), seen.single)
            attempt = _attempt(route, in_child(convert, job, seconds), seconds)
            if target and attempt.outcome in (MATCHES, PARTLY):
                attempt = replace(attempt, file=keep(stage, target))
            attempts.append(attempt)
        saved: tuple[str, ...] = ()
        if target and not any(a.outcome == MATCHES for a in attempts) and isinstance(source, str):
            saved = salvage(source, target, seconds)
    against = "the archive" if isinstance(source, str) else "eager"
    advice = advise(reference, attempts, seen.features, saved)
    return MigrationReport(name, against, facts, tuple(c.name for c in cases), tuple(attempts), advice)


# --- the arguments ---------------------------------------------------------------------------------------------------


def _given(inputs: Any, others: Any) -> tuple[Case, list[Case]]:
    try:
        example, *rest = as_cases(inputs)
        rest += [] if others is None or (isinstance(others, (list, tuple)) and not others) else as_cases(others)
    except (TypeError, ValueError) as error:
        raise MigrationError(str(error)) from None
    named = [replace(case, name=f"other {n}") if _is_numbered(case.name) else case for n, case in enumerate(rest, 1)]
    return replace(example, name="the example"), named


def _is_numbered(name: str) -> bool:
    """Whether `as_cases` made up this name."""
    return bool(re.fullmatch(r"the input|input \d+", name))


def _source(given: Any, folder: Path, run_anyway: bool) -> tuple[str | nn.Module, str, tuple[str, ...]]:
    """A path of an archive or an eager module; its name for people; what is known without loading it."""
    if isinstance(given, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        name = getattr(given, "original_name", None) or getattr(given, "name", "the function")
        path = folder / "model.pt"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.jit.save(given, str(path))
        except Exception as error:
            raise MigrationError(f"{name} cannot be saved: {reason(error)} Fix that first; see lesson 05.") from None
        return str(path), str(name), _facts(path, run_anyway=True)  # it is loaded already
    if isinstance(given, nn.Module):
        mode = "train" if given.training else "eval"
        note = "; call .eval() first if it is for inference" if given.training else ""
        return given, type(given).__name__, (f"an eager module in {mode} mode{note}",)
    if not isinstance(given, (str, os.PathLike)):
        raise MigrationError(
            f"an object of type {type(given).__name__} cannot be migrated; give a path, a ScriptModule or a module."
        )
    return str(given), Path(given).name, _facts(given, run_anyway)


def _facts(path: str | os.PathLike[str], run_anyway: bool) -> tuple[str, ...]:
    """What is known of an archive without loading it: code, weights, what loading would run.

    Raises MigrationError for what is not a TorchScript archive, a damaged one, and one that is dangerous to run.
    """
    try:
        report = archive.inspect(path)
    except archive.ArchiveError as error:
        raise MigrationError(str(error)) from None
    if report.damaged:
        raise MigrationError(f"{report.file_name}: {report.warnings[0]}")
    if not report.kind.startswith("TorchScript "):
        raise MigrationError(
            f"{report.file_name}: {report.kind}; it is not a TorchScript archive. It is read by {report.loader}."
        )
    if report.dangers and not run_anyway:
        raise MigrationError(
            f"{report.file_name} was not run: {'; '.join(report.dangers[:3])}. "
            "Look at archive.inspect(path); if you trust its author, give run_anyway=True."
        )
    code = sum(bool(re.search(r"/code/.*\.py$", entry.name)) for entry in report.entries)
    weights = {tensor.storage: tensor.stored_bytes for tensor in (*report.tensors, *report.constants)}
    tensors = f"{plural(len(weights), 'tensor')} of {size_text(sum(weights.values()))}" if weights else "no tensors"
    return (f"{plural(code, 'code file')}, {tensors} (read without loading)", *map(str, report.runs_on_load))


def _routes(routes: Sequence[str] | None, eager: bool) -> tuple[str, ...]:
    known = ("export", "onnx", "aoti") if eager else ("convert", "onnx", "aoti")
    wanted = known[:2] if routes is None else tuple(routes)
    for route in wanted:
        if route not in known:
            kind = "an eager module" if eager else "an archive"
            raise MigrationError(f"{route!r} is not a route for {kind}; choose from {', '.join(known)}.")
    if not wanted or len(set(wanted)) < len(wanted):
        raise MigrationError(f"name each route once, at least one of {', '.join(known)}.")
    return wanted


def _variants(example: Case) -> list[Case]:
    """Other batch sizes and other values."""
    cases = []
    with contextlib.suppress(ValueError, RuntimeError, IndexError):
        cases += [c for c in batch_sizes(replace(example, name="")) if first_size(c) != first_size(example)]
    return cases + other_values(example)


# --- one route, in words ---------------------------------------------------------------------------------------------


def _attempt(route: str, found: Found, seconds: float) -> Attempt:
    if found.ended == "timed out":
        return Attempt(route, found.ended, f"stopped after {seconds:g} s")
    if found.ended:
        return Attempt(route, found.ended, "its process died without a result")
    if found.error:
        return Attempt(route, RAISES, found.error)
    by = {kind: tuple(n for n, outcome, _ in found.results if outcome == kind) for kind in (MATCHES, RAISES, DIFFERS)}
    first = {kind: next((f"{n}: {seen}" for n, outcome, seen in found.results if outcome == kind), "") for kind in by}
    if by[DIFFERS]:
        outcome, text = DIFFERS, f"silently returns different values for {', '.join(by[DIFFERS])}; {first[DIFFERS]}"
    elif by[RAISES]:
        outcome = PARTLY if by[MATCHES] else RAISES
        text = f"equal for {', '.join(by[MATCHES]) or 'none'}; raises for {first[RAISES]}"
    else:
        outcome, text = (
            MATCHES,
            "bitwise identical on every input" if found.exact else "equal within tolerance on every input",
        )
    return Attempt(route, outcome, text, by[MATCHES], by[RAISES], by[DIFFERS])
