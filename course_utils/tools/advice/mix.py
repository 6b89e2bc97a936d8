"""Two ways to mix: compile the whole with traced submodules, or trace it with compiled ones."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from torch import nn

from course_utils.core.cases import Case
from course_utils.tools.advice.attempt import Attempt, compiler_says, script, trace
from course_utils.tools.advice.inputs import call
from course_utils.tools.advice.report import Evidence
from course_utils.tools.bisection.compiling import compile_error, copied, is_compiled

MOST_SWAPS = 6  # submodules exchanged in one mix; a model that needs more is better rewritten


Mix = tuple[Attempt, dict[str, str]]  # one that matches eager, and how each submodule was converted


class Mixer:
    """Mixes of one model. Both methods return None where there is none, and `evidence` says why."""

    def __init__(self, model: nn.Module, cases: list[Case], evidence: list[Evidence]) -> None:
        self.model, self.cases, self.evidence = model, cases, evidence
        self.inputs = _recorded_inputs(copied(model), cases)

    def script_with_traced_parts(self) -> Mix | None:
        """Compile the model, with the smallest submodules that do not compile replaced by their traces."""
        work, parts = copied(self.model), {"": "script"}
        for _ in range(MOST_SWAPS):
            attempt = script(copied(work), self.model, self.cases)
            if not attempt.error:
                # Where nothing was exchanged, the whole compiles, and differs.
                return self._matching(attempt, parts, "script, with {} traced") if len(parts) > 1 else None
            name, error = _smallest_uncompilable(work)
            where = f"`{name}`" if name else "the model's own forward"
            self.evidence.append(Evidence("smallest part that does not compile", "raises", f"{where}: {error}"))
            if not name:
                return None
            if not self.inputs.get(name):
                self.evidence.append(Evidence(f"trace of {where}", "not tried", "it is not called, so has no example"))
                return None
            part = trace(copied(work.get_submodule(name)), self.model.get_submodule(name), self.inputs[name])
            self.evidence += part.evidence(f"trace of {where}")
            if not part.clean or not _exchange(work, name, part.converted):
                return None
            parts[name] = "trace"
        return None

    def trace_with_scripted_parts(self) -> Mix | None:
        """Trace the model, with the smallest submodules whose own trace is wrong compiled."""
        work, parts = copied(self.model), {"": "trace"}
        for name, attempt in self._smallest_untraceable(""):
            self.evidence += attempt.evidence(f"trace of `{name}`")
            module = self.model.get_submodule(name)
            part = script(copied(module), module, self.inputs[name])
            self.evidence += part.evidence(f"script of `{name}`")
            if not part.matches or not _exchange(work, name, part.converted):
                return None
            parts[name] = "script"
        if len(parts) == 1:
            return None
        return self._matching(trace(work, self.model, self.cases), parts, "trace, with {} scripted")

    def _matching(self, attempt: Attempt, parts: dict[str, str], step: str) -> Mix | None:
        self.evidence += attempt.evidence(step.format(names_of(parts)))
        good = attempt.matches if parts[""] == "script" else attempt.clean
        return (attempt, parts) if good else None

    def _smallest_untraceable(self, above: str) -> list[tuple[str, Attempt]]:
        """The submodules under `above` whose own trace warns or differs, and none of whose submodules' does."""
        found = []
        for name in self._called_under(above):
            module = self.model.get_submodule(name)
            if not is_compiled(module):
                attempt = trace(copied(module), module, self.inputs[name])
                if not attempt.clean:
                    found += self._smallest_untraceable(name) or [(name, attempt)]
        return found

    def _called_under(self, above: str) -> Iterator[str]:
        """The nearest submodules under `above` that were called; containers that are not called are looked through."""
        for child, _ in self.model.get_submodule(above).named_children():
            name = f"{above}.{child}" if above else child
            if self.inputs.get(name):
                yield name
            else:
                yield from self._called_under(name)


def names_of(parts: dict[str, str]) -> str:
    return " and ".join(f"`{name}`" for name in parts if name)


def _smallest_uncompilable(model: nn.Module, name: str = "") -> tuple[str, str]:
    """Go down from a module that does not compile to one whose submodules all do; its name and its error."""
    for child, module in model.named_children():
        if not is_compiled(module) and compile_error(copied(module)) is not None:
            return _smallest_uncompilable(module, f"{name}.{child}" if name else child)
    error = compile_error(copied(model))
    return name, "it compiles alone, and not inside the model" if error is None else compiler_says(error)


def _exchange(model: nn.Module, name: str, part: Any) -> bool:
    """Put `part` in the place of the submodule `name`; False where the parent does not take it."""
    parent, _, child = name.rpartition(".")
    try:
        setattr(model.get_submodule(parent), child, part)
    except Exception:
        return False
    return True


def _recorded_inputs(model: nn.Module, cases: list[Case]) -> dict[str, list[Case]]:
    """Run eager and keep what each submodule was first called with, for each case."""
    found: dict[str, list[Case]] = {}
    for name, module in model.named_modules():
        if name and not is_compiled(module):

            def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name) -> None:
                known = found.setdefault(name, [])
                if not known or known[-1].name != case.name:
                    known.append(Case(copy.deepcopy(args), copy.deepcopy(kwargs), case.name))

            module.register_forward_pre_hook(keep, with_kwargs=True)
    for case in cases:
        with contextlib.suppress(Exception):
            call(model, case)
    return found
