"""Find the smallest submodules that `torch.jit.script` rejects, all of them in one run.

Each submodule is compiled alone. One that fails although all below it compile is a smallest one; then a placeholder
takes its place, and the module above it is compiled again to see whether it has errors of its own.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import types
import typing
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.cases import Case, as_cases
from course_utils.core.errors import one_line
from course_utils.core.report import Report, html_table, plural, wrapped
from course_utils.tools.bisection.compiling import Place, class_place, compile_error, is_compiled, place_of, quoted

UNKNOWN: Any = inspect.Parameter.empty  # the type of what a submodule returns


@dataclass(frozen=True)
class Failure:
    """One submodule that does not compile although everything below it does, or was replaced by a placeholder.

    names: its names in the model, "" for the model itself; several where one object or one class fails for the same
    reason in several places. kind: the name of its class. reason: the compiler's message in one line. place: the
    learner's line, the innermost one outside torch itself.
    """

    names: tuple[str, ...]
    kind: str
    reason: str
    place: Place


@dataclass(frozen=True)
class ScriptReport(Report):
    """What `bisect_script` found. Prints as text, and as a table in a notebook.

    ok: the model compiles. failures: see `Failure`, in the order of `named_modules`. unclear: submodules that may have
    errors of their own, which show when those below are fixed. modules: the number of submodules of the model.
    """

    model: str
    modules: int
    failures: tuple[Failure, ...] = ()
    unclear: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.failures

    @property
    def findings(self) -> tuple[Failure, ...]:
        return self.failures

    @property
    def names(self) -> list[str]:
        """The names of all submodules that were found."""
        return [name for failure in self.failures for name in failure.names]

    @property
    def headline(self) -> str:
        if self.ok:
            return f"{self.model} compiles, with all its {plural(self.modules, 'submodule')}."
        if self.names == [""]:
            return f"{self.model} itself does not compile; its submodules do."
        n = len(self.names)
        found = f"{plural(n, 'smallest part')} of {self.model} {'does' if n == 1 else 'do'} not compile"
        if self.unclear:
            return f"{found}; fix what is named and run this again: more may be wrong in {quoted(self.unclear)}."
        return f"{found}; with {'a placeholder' if n == 1 else 'placeholders'} in place, everything else does."

    def text(self) -> str:
        """The headline, and two lines for each failure."""
        lines = [(f"  {quoted(f.names)} ({f.kind}): {f.reason}", f"      {f.place}") for f in self.failures]
        return wrapped([self.headline, *itertools.chain(*lines)])

    def html_parts(self) -> list[str]:
        rows = [
            (quoted(f.names).replace("`", ""), f.kind, f.reason, f.place.where, f.place.text) for f in self.failures
        ]
        return [html_table(("submodule", "class", "reason", "where", "the line"), rows, code=(0, 4))]


def bisect_script(model: nn.Module, example_inputs: Any = None) -> ScriptReport:
    """Find the smallest submodules of `model` that `torch.jit.script` rejects: all that fail independently.

    model: an eager module; it is not changed. example_inputs: a Tensor, a tuple of positional arguments, a `Case`, or a
    list of those, that the model accepts. With it, the model runs once and it is known what a submodule returns that
    does not compile; without it, that is read from the annotation of its `forward`. Where neither says it, an error
    above such a submodule cannot be distinguished from a consequence, and the report lists it as `unclear`.

    Raises `TypeError` when `model` is not an `nn.Module`. An error of the compiler is never raised.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"bisect_script takes a module, not a {type(model).__name__}; compile a function on its own.")
    cases = [] if example_inputs is None else as_cases(example_inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = _Search(_returned(model, cases) if cases else {})
        search.dig("", model)
    modules = sum(1 for name, _ in model.named_modules() if name)
    return ScriptReport(type(model).__name__, modules, tuple(search.failures()), tuple(search.unclear))


class _Search:
    """One run of `bisect_script`. returned: what each module, by its id, was seen to return, as annotations."""

    def __init__(self, returned: dict[int, Any]) -> None:
        self.returned = returned
        self.errors: dict[int, Exception | None] = {}
        self.found: dict[int, tuple[list[str], nn.Module, Exception]] = {}
        self.judged: set[int] = set()
        self.unclear: list[str] = []

    def error_of(self, module: nn.Module) -> Exception | None:
        if id(module) not in self.errors:
            self.errors[id(module)] = None if is_compiled(module) else compile_error(module)
        return self.errors[id(module)]

    def dig(self, name: str, module: nn.Module) -> None:
        """Go down to what fails; on the way up, look at each module above it for errors of its own."""
        error = self.error_of(module)
        if error is None:
            return
        if id(module) in self.found:
            self.found[id(module)][0].append(name)
        failing = {child: part for child, part in _parts(module) if self.error_of(part) is not None}
        for child, part in failing.items():
            self.dig(f"{name}.{child}" if name else child, part)
        if id(module) in self.judged:
            return
        self.judged.add(id(module))
        if not failing:
            self.found[id(module)] = ([name], module, error)
            return
        rest, known = self.without(module)
        own = compile_error(rest)
        if own is None:
            return
        syntax = isinstance(own, torch.jit.frontend.NotSupportedError | torch.jit.frontend.UnsupportedNodeError)
        consequence = "Placeholder" in str(own) or "INTERNAL ASSERT" in str(own)
        if syntax or (known and not consequence):
            self.found[id(module)] = ([name], module, own)
        else:
            self.unclear.append(name or type(module).__name__)

    def without(self, module: nn.Module) -> tuple[nn.Module, bool]:
        """A shallow copy with placeholders for what does not compile, and whether all their results are known."""
        rest, known = copy.copy(module), True
        parts = dict(module._modules)
        for child, part in _parts(module):
            if self.error_of(part) is not None:
                parts[child], sure = self.without(part) if _is_container(part) else self.placeholder(part)
                known = known and sure
        rest.__dict__["_modules"] = parts
        return rest, known

    def placeholder(self, part: nn.Module) -> tuple[nn.Module, bool]:
        """A module that takes anything and returns what `part` returns, for the compiler only."""
        forward = inspect.unwrap(type(part).forward)
        if not isinstance(forward, types.FunctionType):  # made by a decorator that gives an object
            forward = _any_forward
        returns, known = self.returns(part)
        plain = types.FunctionType(
            forward.__code__, forward.__globals__, "forward", forward.__defaults__, forward.__closure__
        )
        plain.__kwdefaults__ = forward.__kwdefaults__
        # The compiler has no *args: they are left out here, and the rest is declared as Any.
        signature = inspect.signature(plain).parameters.values()
        fixed = [x.name for x in signature if x.kind not in (x.VAR_POSITIONAL, x.VAR_KEYWORD)]
        parameters = [inspect.Parameter(x, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Any) for x in fixed]
        plain.__annotations__ = dict.fromkeys(fixed[1:], Any) | {"return": returns}
        plain.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
        made = type("Placeholder", (nn.Module,), {"forward": torch.jit.ignore(plain), "__module__": __name__})()
        simple = {k: v for k, v in vars(part).items() if isinstance(v, (bool, int, float, str))}
        made.__dict__.update(simple, _parameters=part._parameters, _buffers=part._buffers)
        return made, known

    def returns(self, part: nn.Module) -> tuple[Any, bool]:
        """What `part` returns as an annotation, and whether that is known or the compiler's guess, a Tensor."""
        kind = self.returned.get(id(part))
        if kind is None:
            try:
                kind = typing.get_type_hints(type(part).forward).get("return", UNKNOWN)
            except Exception:  # a name that does not exist at run time
                kind = UNKNOWN
        if kind is UNKNOWN or torch.jit.annotations.try_ann_to_type(kind, None) is None:
            return Tensor, False
        return kind, True

    def failures(self) -> Iterator[Failure]:
        """What was found, one for all that fail at the same line of the same class for the same reason."""
        together: dict[tuple[str, str, Place], list[str]] = {}
        for names, module, error in self.found.values():
            place = place_of(error, module)
            if not (place.line or place.text):
                place = class_place(type(module))
            together.setdefault((type(module).__name__, one_line(error), place), []).extend(names)
        for (kind, reason, place), names in together.items():
            yield Failure(tuple(names), kind, reason, place)


def _any_forward(self: Any, x: Any) -> Any:
    return x


def _parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The direct submodules that are compiled with the module."""
    left_out = getattr(module, "__jit_ignored_attributes__", ())
    for name, part in module._modules.items():
        if part is not None and name not in left_out:
            yield name, part


def _is_container(module: nn.Module) -> bool:
    """Does it contain modules and have no forward of its own?"""
    if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        return True
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _returned(model: nn.Module, cases: list[Case]) -> dict[int, Any]:
    """What each submodule of a copy returns for these inputs, as an annotation; by the ids of the model's own."""
    own = [id(module) for module in model.modules()]
    found: dict[int, Any] = {}
    try:
        eager = copy.deepcopy(model)
    except Exception:  # what cannot be copied is not run: it might be changed
        return found
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for at, module in zip(own, eager.modules(), strict=True):
            if not is_compiled(module):
                module.register_forward_hook(lambda _module, _args, out, at=at: found.update({at: _annotation(out)}))
        for case in cases:
            # The compiler never runs a model: one that fails on its example can be bisected all the same.
            with contextlib.suppress(Exception):
                eager(*copy.deepcopy(case.args), **copy.deepcopy(dict(case.kwargs)))
    return found


def _annotation(value: Any) -> Any:
    """The type of a value as an annotation; `UNKNOWN` where TorchScript has none."""
    if isinstance(value, Tensor):
        return Tensor
    if value is None or type(value) in (bool, int, float, str):
        return type(value)
    if type(value) not in (tuple, list, dict) or not value:
        return UNKNOWN
    members = [_annotation(x) for x in (value.values() if isinstance(value, dict) else value)]
    if UNKNOWN in members or (not isinstance(value, tuple) and len(set(members)) > 1):
        return UNKNOWN
    if isinstance(value, tuple):
        return tuple[tuple(members)]  # type: ignore[misc]
    if isinstance(value, list):
        return list[members[0]]  # type: ignore[valid-type]
    keys = {type(key) for key in value}
    return dict[keys.pop(), members[0]] if keys in ({str}, {int}) else UNKNOWN  # type: ignore[misc]
