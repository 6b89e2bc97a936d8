"""Find the submodules that do not compile, and the first one that computes something else once converted.

    bisect_script(model)                          # which submodules does torch.jit.script refuse, at which lines?
    bisect_difference(model, converted, inputs)   # which submodule is the first to differ from eager?

`torch.jit.script` stops at the first error and says in which line it is, not in which submodule. Here each
submodule is compiled alone. One that fails although all below it compile is a find; then it is *set aside*, a
placeholder takes its place, and what stands above it is compiled again to see whether it has errors of its own.
"""

from __future__ import annotations

import contextlib
import copy
import html
import inspect
import itertools
import linecache
import re
import textwrap
import types
import typing
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.cases import leaves
from course_utils.tools.parity import Case, check_parity

WIDTH = 110  # characters in a line of the plain text
CELL = "border:1px solid currentColor;padding:0.3em 0.5em;text-align:left;vertical-align:top;overflow-wrap:anywhere"
NOT_THE_SAME_CALL = re.compile(r"missing value for argument|expected at most|Expected a value of type|Unknown keyword")


# --- what does not compile -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A line of source. file: its name without folders, "a cell" for a notebook; line: counted from 1; text: the line.

    `line` is 0 and `text` is empty where the compiler gives no line, for example for an error in a type. Where its
    line and its text do not belong together, as under a decorator, the line is looked up by the text; where it is
    not found, file and line are left out.
    """

    file: str = ""
    line: int = 0
    text: str = ""

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file or "no line is given"
        return f"{where}: {self.text}" if self.text else where


@dataclass(frozen=True)
class Failure:
    """One submodule that does not compile although everything below it does, or was set aside.

    names: where it stands, "" for the model itself; several where one object or one class fails for the same reason in
    several places. kind: the name of its class. reason: the first line of the compiler's message. place: the learner's
    line, the innermost one outside torch itself.
    """

    names: tuple[str, ...]
    kind: str
    reason: str
    place: Place


@dataclass(frozen=True)
class ScriptReport:
    """What `bisect_script` found. Prints as text, and as a table in a notebook.

    ok: the model compiles. failures: see `Failure`, in the order of `named_modules`. unclear: submodules that may have
    errors of their own, which show when those below are repaired. modules: the number of submodules of the model.
    """

    model: str
    modules: int
    failures: tuple[Failure, ...] = ()
    unclear: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.failures

    @property
    def names(self) -> list[str]:
        """The names of all submodules that were found."""
        return [name for failure in self.failures for name in failure.names]

    @property
    def headline(self) -> str:
        if self.ok:
            return f"{self.model} compiles, with all its {_count(self.modules, 'submodule')}."
        if self.names == [""]:
            return f"{self.model} itself does not compile; what is below it does."
        found = f"{_count(len(self.names), 'smallest part')} of {self.model} {_do(len(self.names))} not compile"
        if self.unclear:
            return f"{found}; repair and ask again, since more may be wrong in {_quoted(self.unclear)}."
        aside = "it" if len(self.names) == 1 else "them"
        return f"{found}; with {aside} set aside, all the rest does."

    def text(self) -> str:
        """The headline, and two lines for each failure."""
        lines = textwrap.wrap(self.headline, WIDTH)
        for failure in self.failures:
            lines += textwrap.wrap(f"{_quoted(failure.names)} ({failure.kind}): {failure.reason}", WIDTH, **_indent(2))
            lines += textwrap.wrap(str(failure.place), WIDTH, **_indent(6))
        return "\n".join(lines)

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        rows = [
            (_quoted(f.names), f.kind, f.reason, str(f.place.file) + (f", line {f.place.line}" * (f.place.line > 0)),
             f.place.text)
            for f in self.failures
        ]  # fmt: skip
        return _table(self.headline, ("submodule", "class", "reason", "where", "the line"), rows, code=(0, 4))


def bisect_script(model: nn.Module, example_inputs: Any = None) -> ScriptReport:
    """Find the smallest submodules of `model` that `torch.jit.script` refuses: all that fail independently.

    model: an eager module; it is not changed. example_inputs: a Tensor, a tuple of positional arguments or a `Case`
    that the model takes. With it, the model runs once and it is known what a submodule returns that does not compile;
    without it, that is read from the annotation of its `forward`. Where neither says it, an error above such a
    submodule cannot be told from a consequence, and the report lists it as `unclear`.

    Raises `TypeError` when `model` is no `nn.Module`. An error of the compiler is never raised.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"bisect_script takes a module, not a {type(model).__name__}; compile a function on its own")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = _Search({} if example_inputs is None else _returned(model, _case(example_inputs)))
        search.dig("", model)
    modules = sum(1 for name, _ in model.named_modules() if name)
    return ScriptReport(type(model).__name__, modules, tuple(search.failures()), tuple(search.unclear))


@contextlib.contextmanager
def fresh_types() -> Iterator[None]:
    """Compile with a private store of types: a class that failed once is never compiled anew otherwise.

    The second error would be "Can't redefine method", which says nothing (checked with torch 2.15.0).
    """
    from torch.jit import _recursive

    kept = _recursive.concrete_type_store
    _recursive.concrete_type_store = type(kept)()
    try:
        yield
    finally:
        _recursive.concrete_type_store = kept


def compile_error(module: nn.Module) -> Exception | None:
    """The error of compiling this module, or None. Asked twice it is the same error."""
    with fresh_types():
        try:
            torch.jit.script(module)
        except Exception as error:
            return error
    return None


def reason_of(error: Exception) -> str:
    """The first line of a message that says something."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line), type(error).__name__).rstrip(":")


def place_of(error: Exception, module: nn.Module | None = None) -> Place:
    """The learner's line in a compile error: the innermost one that is not in torch itself, else the innermost.

    module: the one that was compiled; its methods are looked through where the file does not have the line.
    """
    found = []
    lines = str(error).splitlines()
    for at, line in enumerate(lines):
        head = re.match(r'\s*File "(.+)", line (\d+)', line)
        if head:
            rest = lines[at + 1 :]
            mark = next((i for i, x in enumerate(rest) if re.search(r"~~* <--- HERE", x)), 0)
            found.append((head[1], int(head[2]), rest[mark - 1].strip() if mark else ""))
    # Under a decorator the compiler names the decorator's file and the line in the decorated function.
    found = [x for x in found if not _in_torch(x[0]) or linecache.getline(*x[:2]).strip() == x[2]]
    own = [x for x in found if not _in_torch(x[0])] or found
    return _checked(*own[0], module) if own else Place()


def _checked(path: str, line: int, text: str, module: nn.Module | None) -> Place:
    """The place, with file, line and text of one and the same line."""
    written = linecache.getline(path, line).strip()
    if written == text or (not linecache.getlines(path) and text):  # right, or nothing to look it up in
        return Place(_file(path), line, text)
    if not text:  # the compiler marks nothing: it names the line where an expression of several lines ends
        return Place(_file(path), line, written) if written else Place(_file(path))
    for function in _functions(module):
        with contextlib.suppress(OSError, TypeError):
            source, first = inspect.getsourcelines(function)
            found = [at for at, x in enumerate(source, start=first) if x.strip() == text]
            if found:
                return Place(_file(inspect.getsourcefile(function) or ""), found[0], text)
    return Place("", 0, text)


def _functions(module: nn.Module | None) -> Iterator[Any]:
    """The methods of a module's class and its bases, and the functions that they name, without decorators."""
    for kind in type(module).__mro__ if module is not None else ():
        for value in vars(kind).values():
            method = inspect.unwrap(value) if isinstance(value, types.FunctionType) else None
            if isinstance(method, types.FunctionType) and not _in_torch(method.__code__.co_filename):
                yield method
                names = [method.__globals__.get(name) for name in method.__code__.co_names]
                yield from (inspect.unwrap(x) for x in names if isinstance(x, types.FunctionType))


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
            self.errors[id(module)] = None if _is_compiled(module) else compile_error(module)
        return self.errors[id(module)]

    def dig(self, name: str, module: nn.Module) -> None:
        """Go down to what fails; on the way up, judge what stands above it."""
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
        consequence = "SetAside" in str(own) or "INTERNAL ASSERT" in str(own)
        if syntax or (known and not consequence):
            self.found[id(module)] = ([name], module, own)
        else:
            self.unclear.append(name or type(module).__name__)

    def without(self, module: nn.Module) -> tuple[nn.Module, bool]:
        """A shallow copy with placeholders for what does not compile, and whether all their results are known."""
        rest, known = copy.copy(module), True
        parts = dict(module._modules)
        for child, part in _parts(module):
            if self.error_of(part) is None:
                continue
            if _is_container(part):
                parts[child], sure = self.without(part)
            else:
                parts[child], sure = self.placeholder(part)
            known = known and sure
        rest.__dict__["_modules"] = parts
        return rest, known

    def placeholder(self, part: nn.Module) -> tuple[nn.Module, bool]:
        """A module that takes anything and gives what `part` gives, for the compiler only."""
        forward = inspect.unwrap(type(part).forward)
        if not isinstance(forward, types.FunctionType):  # made by a decorator that gives an object
            forward = _any_forward
        returns, known = self.returns(part)
        plain = types.FunctionType(
            forward.__code__, forward.__globals__, "forward", forward.__defaults__, forward.__closure__
        )
        plain.__kwdefaults__ = forward.__kwdefaults__
        # The compiler knows no *args: they are left out here, and the rest is told to be Any.
        fixed = [
            x for x in inspect.signature(plain).parameters.values() if x.kind not in (x.VAR_POSITIONAL, x.VAR_KEYWORD)
        ]
        parameters = [inspect.Parameter(x.name, x.POSITIONAL_OR_KEYWORD, annotation=Any) for x in fixed]
        plain.__annotations__ = {x.name: Any for x in fixed[1:]} | {"return": returns}
        plain.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
        made = type("SetAside", (nn.Module,), {"forward": torch.jit.ignore(plain), "__module__": __name__})()
        simple = {k: v for k, v in vars(part).items() if isinstance(v, (bool, int, float, str))}
        made.__dict__.update(simple, _parameters=part._parameters, _buffers=part._buffers)
        return made, known

    def returns(self, part: nn.Module) -> tuple[Any, bool]:
        """What `part` returns as an annotation, and whether that is known or the compiler's guess, a Tensor."""
        if id(part) in self.returned:
            kind = self.returned[id(part)]
        else:
            try:
                kind = typing.get_type_hints(type(part).forward).get("return", inspect.Parameter.empty)
            except Exception:  # a name that is not there at run time
                kind = inspect.Parameter.empty
        if kind is inspect.Parameter.empty or torch.jit.annotations.try_ann_to_type(kind, None) is None:
            return Tensor, False
        return kind, True

    def failures(self) -> Iterator[Failure]:
        """What was found, one for all that fail at the same line of the same class for the same reason."""
        together: dict[tuple[str, str, Place], list[str]] = {}
        for names, module, error in self.found.values():
            key = (type(module).__name__, reason_of(error), place_of(error, module))
            if not (key[2].line or key[2].text):
                key = (*key[:2], _class_place(type(module)))
            together.setdefault(key, []).extend(names)
        for (kind, reason, place), names in together.items():
            yield Failure(tuple(names), kind, reason, place)


def _any_forward(self: Any, x: Any) -> Any:
    return x


def _parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The submodules one floor below that are compiled with the module."""
    left_out = getattr(module, "__jit_ignored_attributes__", ())
    for name, part in module._modules.items():
        if part is not None and name not in left_out:
            yield name, part


def _is_compiled(module: nn.Module) -> bool:
    return isinstance(module, torch.jit.ScriptModule)


def _is_container(module: nn.Module) -> bool:
    """Does it hold modules and have no forward of its own?"""
    if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        return True
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _returned(model: nn.Module, case: Case) -> dict[int, Any]:
    """What each submodule of a copy returns for this input, as an annotation; by the ids of the model's own."""
    own = [id(module) for module in model.modules()]
    found: dict[int, Any] = {}
    try:
        eager = copy.deepcopy(model)
    except Exception:  # what cannot be copied is not run: it might be changed
        return found
    with contextlib.ExitStack() as stack, torch.no_grad(), torch.random.fork_rng(devices=[]):
        for at, module in zip(own, eager.modules(), strict=True):
            if not _is_compiled(module):
                keep = lambda _module, _args, out, at=at: found.__setitem__(at, _annotation(out))  # noqa: E731
                stack.callback(module.register_forward_hook(keep).remove)
        # The compiler never runs a model: one that fails on its example can be bisected all the same.
        with contextlib.suppress(Exception):
            eager(*copy.deepcopy(case.args), **copy.deepcopy(dict(case.kwargs)))
    return found


def _annotation(value: Any) -> Any:
    """The type of a value in the words of an annotation; `inspect.Parameter.empty` where TorchScript has none."""
    unknown = inspect.Parameter.empty
    if isinstance(value, Tensor):
        return Tensor
    if value is None or type(value) in (bool, int, float, str):
        return type(value)
    if type(value) not in (tuple, list, dict) or not value:
        return unknown
    members = [_annotation(x) for x in (value.values() if isinstance(value, dict) else value)]
    if unknown in members or (not isinstance(value, tuple) and len(set(members)) > 1):
        return unknown
    if isinstance(value, tuple):
        return tuple[tuple(members)]
    if isinstance(value, list):
        return list[members[0]]
    keys = {type(key) for key in value}
    return dict[keys.pop(), members[0]] if keys in ({str}, {int}) else unknown


def _in_torch(path: str) -> bool:
    """Is this file a part of the installed torch? torchvision and the like are not."""
    return PurePath(path).is_relative_to(PurePath(torch.__file__).parent)


def _file(path: str) -> str:
    """The name of the file, without its folders; for code of a notebook, "a cell"."""
    if re.search(r"ipykernel_\d+|<ipython-input", path):
        return "a cell"
    windows = "\\" in path
    return (PureWindowsPath(path) if windows else PurePosixPath(path)).name


def _class_place(kind: type) -> Place:
    """Where the class stands, for an error that names no line."""
    try:
        source, line = inspect.getsourcelines(kind)
        return Place(_file(inspect.getsourcefile(kind) or ""), line, source[0].strip())
    except (OSError, TypeError):
        return Place()


# --- what differs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DifferenceReport:
    """What `bisect_difference` found. Prints as text, and as a table in a notebook.

    name: the first submodule that differs, "" for the model itself; None when nothing differs. kind: its class.
    what: the sort of difference, such as "values" or "raises". eager, converted, detail: both results in short, and
    how far they are apart. compared: how many calls of submodules were compared. left_out: submodules that could not
    be, and why.
    """

    model: str
    name: str | None
    kind: str = ""
    what: str = ""
    eager: str = ""
    converted: str = ""
    detail: str = ""
    input: str = ""
    compared: int = 0
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        return self.name is None

    @property
    def headline(self) -> str:
        if self.name is None:
            return f"No difference between {self.model} and its conversion in {_count(self.compared, 'call')}."
        if not self.name:
            return f"{self.model} itself differs ({self.what}), and none of the submodules that were compared does."
        return f"`{self.name}` ({self.kind}) is the first to differ ({self.what})."

    def rows(self) -> list[tuple[str, str]]:
        pairs = [("its input", self.input), ("eager", self.eager), ("converted", self.converted)]
        pairs += [("difference", self.detail)]
        pairs = [(label, text) for label, text in pairs if text] if not self.ok else []
        reasons: dict[str, list[str]] = {}
        for name, why in self.left_out:
            reasons.setdefault(why, []).append(name)
        return pairs + [("not compared", f"{_quoted(names)}: {why}") for why, names in reasons.items()]

    def text(self) -> str:
        """The headline, and a line for each thing to know."""
        lines = textwrap.wrap(self.headline, WIDTH)
        for label, text in self.rows():
            lines += textwrap.wrap(f"{label:<12} {' '.join(text.split())}", WIDTH, **_indent(2))
        return "\n".join(lines)

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        return _table(self.headline, ("", "seen"), self.rows(), code=())


def bisect_difference(
    model: nn.Module, converted: nn.Module, inputs: Any, *, rtol: float | None = None, atol: float | None = None
) -> DifferenceReport:
    """Find the first submodule whose converted form computes something else on what eager gave it.

    model: the eager module in eval mode. converted: its trace or script; frozen modules have no submodules left, so
    there only the whole is compared. inputs: a Tensor, a tuple of positional arguments or a `Case`, or a list of them,
    tried in this order. rtol and atol are given on to `check_parity`.

    Eager runs with hooks, each converted submodule is called with what its eager twin was called with, and the results
    are compared in the order in which eager finished them: inner ones before outer ones. So the one named has no
    compared submodule that differs. Both run on copies, without gradients. Raises whatever eager raises.
    """
    cases = [_case(x) for x in (inputs if isinstance(inputs, list) else [inputs])]
    twins, untouched = dict(_copied(converted).named_modules()), dict(converted.named_modules())
    kinds = {name: module for name, module in model.named_modules()}
    left_out: dict[str, str] = {}
    compared = 0
    with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in cases:
            for name, number, call, out in _calls(model, case):
                twin = twins.get(name)
                if twin is None or (_is_compiled(twin) and not hasattr(twin, "forward")):
                    left_out[name] = "the conversion has no such submodule"
                    continue
                # A trace keeps the second call of a module as a method of its own.
                method_name = f"forward{number}" if number else "forward"
                method = getattr(twin, method_name, twin) if number else twin
                options = {"calls": 1, "check_state": False, "check_inputs": False, "check_random": False}
                report = check_parity(_Recorded(out), method, call, rtol=rtol, atol=atol, **options)
                orders: list[Case] = []
                if name and not report.ok:
                    orders = _other_orders(untouched[name], method_name, kinds[name].forward, call)
                for other in orders:
                    if report.ok:
                        break
                    again = check_parity(_Recorded(out), method, other, rtol=rtol, atol=atol, **options)
                    if again.ok or len(orders) == 1:  # the only order that its graph can mean
                        report = again
                if report.ok:
                    compared += 1
                    continue
                finding = report.findings[0]
                if len(orders) > 1:
                    left_out[name] = "a trace gives its parts other arguments and results"
                    continue
                if name and (finding.kind == "structure" or NOT_THE_SAME_CALL.search(str(finding.candidate))):
                    left_out[name] = "a trace gives its parts other arguments and results"
                    continue
                twice = check_parity(_Recorded(out), _copied(kinds[name]), call, rtol=rtol, atol=atol, **options)
                if not twice.ok:
                    left_out[name] = "eager itself gives another result each time; use eval mode"
                    continue
                return DifferenceReport(
                    type(model).__name__, name, type(kinds[name]).__name__, finding.kind, str(finding.reference),
                    str(finding.candidate), str(finding.detail), str(finding.input), compared + 1,
                    tuple(left_out.items()),
                )  # fmt: skip
    return DifferenceReport(type(model).__name__, None, compared=compared, left_out=tuple(left_out.items()))


def _other_orders(twin: nn.Module, method: str, forward: Any, call: Case) -> list[Case]:
    """The same tensors in the other orders in which a trace may pass them; where its graph says types, by these.

    `torch.jit.trace` gives a submodule its tensors in the order in which they are used, and only those. twin: the
    converted one, as it was before it was copied: a copy has lost the types. forward: eager's.
    """
    tensors = [x for x in leaves((call.args, dict(call.kwargs))) if isinstance(x, Tensor)]
    if not _is_compiled(twin) or not 1 < len(tensors) <= 5:
        return []
    graph = twin._c._get_method(method).graph
    inputs = [x for x in graph.inputs() if not isinstance(x.type(), torch._C.ClassType)]
    typed = any(isinstance(x.type(), torch._C.TensorType) and x.type().dim() is not None for x in inputs)
    names = [x.debugName().split(".")[0] for x in inputs]
    with contextlib.suppress(TypeError, ValueError):
        if not typed and names == list(inspect.signature(forward).parameters):
            return []  # compiled from source: its arguments are eager's
    as_given = tuple(range(len(tensors)))
    fitting = [
        order
        for order in itertools.permutations(as_given, len(inputs))
        if all(_fits(tensors[i], x.type()) for i, x in zip(order, inputs, strict=True))
    ]
    return [Case(tuple(tensors[i] for i in order)) for order in fitting] if fitting != [as_given] else []


def _fits(tensor: Tensor, kind: Any) -> bool:
    if not isinstance(kind, torch._C.TensorType):
        return False
    dtype, rank = kind.dtype(), kind.dim()
    return (dtype is None or dtype == tensor.dtype) and (rank is None or rank == tensor.dim())


class _Recorded:
    """Gives what was recorded, whatever it is called with."""

    def __init__(self, out: Any) -> None:
        self.out = out

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return copy.deepcopy(self.out)


def _calls(model: nn.Module, case: Case) -> list[tuple[str, int, Case, Any]]:
    """Run a copy of the model; (submodule, how often it was called before, its arguments, its result) as they end."""
    eager = _copied(model)
    open_calls: list[Case] = []
    ended: list[tuple[str, int, Case, Any]] = []
    counts: dict[str, int] = {}
    for name, module in eager.named_modules():
        if _is_compiled(module):
            continue

        def starts(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            open_calls.append(Case(*copy.deepcopy((args, kwargs))))

        def ends(_: nn.Module, _args: Any, _kwargs: Any, out: Any, name: str = name) -> None:
            ended.append((name, counts.get(name, 0), open_calls.pop(), copy.deepcopy(out)))
            counts[name] = counts.get(name, 0) + 1

        module.register_forward_pre_hook(starts, with_kwargs=True)
        module.register_forward_hook(ends, with_kwargs=True)
    eager(*copy.deepcopy(case.args), **copy.deepcopy(dict(case.kwargs)))
    return ended


# --- small things ----------------------------------------------------------------------------------------------------


def _case(value: Any) -> Case:
    if isinstance(value, Case):
        return value
    if isinstance(value, (tuple, Tensor)):
        return Case(value if isinstance(value, tuple) else (value,))
    raise TypeError(
        f"an input is a Tensor, a tuple of arguments or a Case, not a {type(value).__name__}; "
        "wrap a single argument of another type in a tuple: (value,)"
    )


def _copied(module: nn.Module) -> nn.Module:
    """A copy, so that a run changes no state of the caller's; itself where it cannot be copied."""
    try:
        return copy.deepcopy(module)
    except Exception:
        return module


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _do(n: int) -> str:
    return "does" if n == 1 else "do"


def _quoted(names: Any) -> str:
    shown = [f"`{name}`" if name else "the model itself" for name in names]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _indent(n: int) -> dict[str, str]:
    return {"initial_indent": " " * n, "subsequent_indent": " " * (n + 4)}


def _table(headline: str, heads: tuple[str, ...], rows: list[Any], code: tuple[int, ...]) -> str:
    title = f"<p><strong>{html.escape(headline)}</strong></p>"
    if not rows:
        return f'<div style="max-width:100%">{title}</div>'
    head = "".join(f'<th scope="col" style="{CELL};white-space:nowrap">{h}</th>' for h in heads)
    body = "".join("<tr>" + "".join(_td(text, i in code) for i, text in enumerate(row)) + "</tr>" for row in rows)
    return (
        f'<div style="max-width:100%">{title}<table style="border-collapse:collapse;font-size:90%">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _td(text: str, code: bool) -> str:
    shown = html.escape(text.replace("`", "") if code else text)
    return f'<td style="{CELL}">{f"<code>{shown}</code>" if code and shown else shown}</td>'
