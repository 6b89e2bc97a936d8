"""Claims of lesson 02, each with code that tries to break it."""

# No `from __future__ import annotations`: the compiler reads the annotations of what is here.
# Learners write both old and new types, and the compiler does not take all that ruff proposes.
# ruff: noqa: B006, E711, RUF012, SIM108, UP006, UP031, UP032, UP035, UP045

import math
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Final, List, NamedTuple, Optional

import pytest
import torch
from torch import Tensor, nn

from course_utils.tools import ir
from tests.claims import claim

LESSON = "notebooks/02_scripting.ipynb"
SETTINGS = types.ModuleType("settings")
NUMBER, TEXT, PAIR, TYPE, TENSOR = 2.0, "a", (1, 2), torch.float64, torch.ones(1)


def says(thing: Any) -> str:
    """The first line of the compile error, with its type; '' when it compiles."""
    try:
        torch.jit.script(thing)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return ""


def fails(call: Callable[[], Any]) -> BaseException:
    """The exception that a call raises; the claim fails when it raises none."""
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("it did not raise")


# --- what the compiler reaches


class Plain(nn.Module):
    def forward(self, x):
        return self.scaled(x)

    def scaled(self, x):
        return x * 2

    def report(self, x):
        return f"{x.mean():.2f}"


class WithProperty(Plain):
    @property
    def label(self):
        return f"{2:.1f}"


class WithPropertyNamed(WithProperty):
    __jit_unused_properties__ = ["label"]


class Empty(nn.Module):
    def forward(self, x):
        return x


def to_numpy(module, args, output):
    return output.numpy()


@claim(
    f"{LESSON}#ccb40eadf",
    "A method that no call reaches is not compiled, and may contain anything.",
    was="what no call reaches is never compiled",
)
def methods_that_no_call_reaches() -> None:
    assert says(Plain()) == ""
    scripted = torch.jit.script(Plain())
    assert hasattr(scripted, "scaled") and not hasattr(scripted, "report")
    assert "JoinedStr" in says(WithProperty())


@claim(
    f"{LESSON}#reached-property-why",
    "properties are compiled whether anything calls them or not, and so are forward hooks",
)
def properties_and_hooks() -> None:
    assert "JoinedStr" in says(WithProperty()) and says(WithPropertyNamed()) == ""
    forward, before, backward = Empty(), Empty(), Empty()
    forward.register_forward_hook(to_numpy)
    before.register_forward_pre_hook(lambda module, args: None)
    backward.register_full_backward_hook(to_numpy)
    assert says(forward) != "" and says(before) != "" and says(backward) == ""


# --- types


def default_int(x, n=2):
    return x * n


def default_flag(x, n=True):
    return x


def default_text(x, n="a"):
    return x


def default_none(x, n=None):
    return x if n is None else x * n


def default_list(x, n: List[int] = [0]):
    return x


def annotated_int(x, n: int = 2):
    return x * n


@claim(
    f"{LESSON}#c182ee142",
    "a `Tensor`, whatever its default: `n=2` does not compile; `mask=None` compiles, but loses its test",
    was="a Tensor; also when its default is None",
)
@claim(
    f"{LESSON}#untyped-default-why", "Without an annotation, `n` is a `Tensor`, and `2` is not one: write `n: int = 2`."
)
def defaults_without_annotation() -> None:
    for function in (default_int, default_flag, default_text):
        assert "Expected a default value of type Tensor (inferred)" in says(function)
    assert says(annotated_int) == "" and torch.jit.script(annotated_int)(torch.ones(1)).item() == 2
    assert not ir.has_control_flow(torch.jit.script(default_none))


@claim(f"{LESSON}#untyped-default-why", "A list as a default value is not supported at all.")
def list_defaults() -> None:
    def bare(x, n: list = [0]):
        return x

    def a_dict(x, n: Dict[str, int] = {}):
        return x

    for function in (default_list, bare, a_dict):
        assert "Mutable default parameters are not supported" in says(function)


def with_schema(x, n, flag):
    return x


@claim(f"{LESSON}#caebd72f8", "**an argument without an annotation is a `Tensor`**")
def arguments_are_tensors() -> None:
    scripted = torch.jit.script(with_schema)
    assert [str(x.type) for x in scripted.schema.arguments] == ["Tensor"] * 3
    for value in (2, "a", [1], True):
        assert "Expected a value of type 'Tensor (inferred)'" in str(
            fails(lambda v=value: scripted(torch.ones(1), v, v))
        )


def counted(values: list) -> int:
    return len(values)


@claim(f"{LESSON}#cbccbc308", "The bare `list` of `count` matches no list")
def bare_lists() -> None:
    scripted = torch.jit.script(counted)
    for values in ([1, 2], [], [torch.ones(1)], ["a"]):
        assert "but instead found type 'list'" in str(fails(lambda v=values: scripted(v)))


# --- Optional


def refined_if(x, m: Optional[Tensor]):
    if m is not None:
        x = x * m
    return x


def refined_ternary(x, m: Optional[Tensor]):
    return x if m is None else x * m


def refined_isinstance(x, m: Optional[Tensor]):
    if isinstance(m, Tensor):
        x = x * m
    return x


def of_a_union(size: int | list[int]) -> int:
    if isinstance(size, int):
        return size
    return size[-1]


def by_operator(x, m: Optional[Tensor]):
    if m != None:
        x = x * m
    return x


def by_continue(x, m: Optional[Tensor]):
    for _ in range(2):
        if m is None:
            continue
        x = x * m
    return x


def by_while(x, m: Optional[Tensor]):
    while m is None:
        m = x
    return x * m


@claim(
    f"{LESSON}#c974e2b15",
    "It follows `is None` and `is not None` tests of a **local name**, in the condition of an `if` or an `assert`.",
    was="it follows tests against None of a local name",
)
@claim(f"{LESSON}#c0cad434c", "the compiler does not follow the operator `!=`, the jump or the loop")
@claim(f"{LESSON}#c974e2b15", "`isinstance` is proof too, and distinguishes between the members of a union")
def proofs_of_an_optional() -> None:
    scripted = torch.jit.script(of_a_union)
    assert [scripted(3), scripted([4, 5])] == [3, 5]
    for function in (refined_if, refined_ternary, refined_isinstance):
        assert says(function) == ""
    for function in (by_operator, by_continue, by_while):
        assert "Arguments for call are not valid" in says(function)


class AttributeTested(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.ones(1))

    def forward(self, x):
        if self.mask is not None:
            return x * self.mask
        return x


class OptionalAttributeTested(nn.Module):
    mask: Optional[Tensor]

    def __init__(self):
        super().__init__()
        self.mask = torch.ones(1)

    def forward(self, x):
        if self.mask is not None:
            x = x * self.mask
        return x


class OptionalAttributeCopied(OptionalAttributeTested):
    def forward(self, x):
        mask = self.mask
        if mask is not None:
            x = x * mask
        return x


@claim(
    f"{LESSON}#c0cad434c", "An attribute is not a local name either: `if self.mask is not None: x * self.mask` fails"
)
def attributes_are_not_refined() -> None:
    assert "Arguments for call are not valid" in says(OptionalAttributeTested())
    assert says(OptionalAttributeCopied()) == ""
    assert says(AttributeTested()) == ""  # a buffer is a Tensor and needs no proof


# --- paths and loops


def kept_in_one_branch(x):
    if x.sum() > 0:
        kept = x
    return kept


def unused_in_one_branch(x):
    if x.sum() > 0:
        kept = x  # noqa: F841
    return x


def other_path_raises(x):
    if x.dim() == 1:
        kept = x
    else:
        raise ValueError("one dimension")
    return kept


def joins_none(x, flag: bool):
    if flag:
        kept = x
    else:
        kept = None
    return kept


@claim(
    f"{LESSON}#c430ae168",
    "a name that is used afterwards needs one type, and a value on each path that arrives there",
    was="a name needs one type and a value on each of them",
)
@claim(f"{LESSON}#c430ae168", "a tensor and `None` join as an `Optional`")
def names_where_paths_join() -> None:
    assert "kept is not defined in the false branch" in says(kept_in_one_branch)
    assert says(unused_in_one_branch) == "" and says(other_path_raises) == ""
    assert str(torch.jit.script(joins_none).schema.returns[0].type) == "Optional[Tensor]"


def name_of_a_range(x):
    for n in range(3):
        last = x * n
    return last


def type_in_a_range(x):
    n = 0
    for _ in range(3):
        n = 0.5
    return x * n


def loop_over_a_tuple(x):
    for item in (1, 2.5, "a"):
        last = item
    return last


class LoopOverModules(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    def forward(self, x):
        n = 0
        for layer in self.layers:
            last, n = layer(x), 0.5
        return last * n


@claim(
    f"{LESSON}#c430ae168",
    "Loops over a tuple or a `ModuleList` are exempt: they are unrolled",
    was="loop names do not exist afterwards, and must keep their type",
)
def names_after_loops() -> None:
    assert "undefined value last" in says(name_of_a_range)
    assert "previously had type int" in says(type_in_a_range)
    assert torch.jit.script(loop_over_a_tuple)(torch.ones(1)) == "a"
    assert torch.equal(torch.jit.script(LoopOverModules())(torch.ones(1)), torch.ones(1).tanh() * 0.5)


# --- numbers from outside


def global_number(x):
    return x * NUMBER


def global_text(x):
    return TEXT


def global_pair(x):
    return PAIR


def global_tensor(x):
    return x + TENSOR


@claim(
    f"{LESSON}#cb73d71c9",
    "A global number, string, tuple or tensor is not read",
    was="globals could change between calls, so none is read",
)
def globals_are_not_read() -> None:
    for function in (global_number, global_text, global_pair, global_tensor):
        assert "cannot be used as a value" in says(function)

    def uses_a_function(x):
        return other_path_raises(x)

    assert says(uses_a_function) == ""


def module_number(x):
    return x * SETTINGS.GAIN


def module_text(x):
    return SETTINGS.NAME


def module_pair(x):
    return SETTINGS.PAIR


def module_type(x):
    return x.to(SETTINGS.TYPE)


def module_list(x):
    return SETTINGS.LIST


@claim(
    f"{LESSON}#baked-module-number-why",
    "numbers, strings, bools, tuples and dtypes of an imported module compile, and are **baked in** when you script",
)
@claim(f"{LESSON}#c182ee142", "a global does not compile; one of an imported module is baked in")
def numbers_of_a_module_are_baked() -> None:
    SETTINGS.GAIN, SETTINGS.NAME, SETTINGS.PAIR, SETTINGS.TYPE, SETTINGS.LIST = 2.0, "a", (1, 2), torch.float64, [1]
    number, text, pair, kind = (torch.jit.script(x) for x in (module_number, module_text, module_pair, module_type))
    assert "cannot be used as a value" in says(module_list)
    SETTINGS.GAIN, SETTINGS.NAME, SETTINGS.PAIR, SETTINGS.TYPE = 10.0, "b", (3, 4), torch.int64
    x = torch.ones(1)
    assert (number(x).item(), text(x), pair(x), kind(x).dtype) == (2.0, "a", (1, 2), torch.float64)
    assert module_number(x).item() == 10.0


# --- classes


class Counter:
    def __init__(self, start: int):
        self.count = start

    def twice(self) -> int:
        return self.count * 2


class BadMethod:
    def __init__(self, start: int):
        self.count = start

    def report(self) -> str:
        return f"{self.count:03d}"


@dataclass
class Limits:
    low: float


def uses_counter(n: int):
    return Counter(n).twice()


def takes_counter(counter: Counter):
    return counter.count


def uses_bad(n: int):
    return BadMethod(n).count


def uses_limits(low: float):
    return Limits(low).low


@claim(
    f"{LESSON}#cd47cc6b3",
    "a plain class in a file is compiled where it is first used. Either way, all of its methods are compiled",
    was="a class needs @torch.jit.script above it to be a type",
)
def plain_classes() -> None:
    assert torch.jit.script(uses_counter)(3) == 6 and says(takes_counter) == ""
    assert "JoinedStr" in says(uses_bad)
    assert says(uses_limits).startswith("OSError")


@torch.jit.interface
class LayerNotAModule:
    def forward(self, input: Tensor) -> Tensor:
        pass


@torch.jit.interface
class LayerOtherName(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])


class SwitchNotAModule(Layers):
    def forward(self, x, n: int):
        layer: LayerNotAModule = self.layers[n]
        return layer.forward(x)


class SwitchOtherName(Layers):
    def forward(self, x, n: int):
        layer: LayerOtherName = self.layers[n]
        return layer.forward(x)


class SwitchCalled(Layers):
    def forward(self, x, n: int):
        layer: LayerNotAModule = self.layers[n]
        return layer(x)


@claim(
    f"{LESSON}#cd47cc6b3",
    "you have to write the call as `layer.forward(x)`",
    was="an interface inherits nn.Module",
)
def interfaces() -> None:
    assert says(SwitchNotAModule()) == ""
    assert "is not of annotated type" in says(SwitchOtherName())
    assert "cannot call a value of type" in says(SwitchCalled())


class Reading(NamedTuple):
    digit: Tensor
    sure: float


def read(x) -> Reading:
    return Reading(x.argmax(), 0.5)


@claim(f"{LESSON}#ce5d17853", "The result belongs to a class that is created on the fly with the same fields.")
def named_tuples() -> None:
    out = torch.jit.script(read)(torch.tensor([0.0, 1.0]))
    assert out._fields == Reading._fields and out.digit.item() == 1
    assert not isinstance(out, Reading) and isinstance(out, tuple)


# --- what is compiled


class Decided(nn.Module):
    fixed: Final[bool]
    kind: Final[int]

    def __init__(self):
        super().__init__()
        self.fixed, self.open, self.kind = False, False, 1


class DecidedFinal(Decided):
    def forward(self, x):
        return x.numpy() if self.fixed else x


class DecidedFinalBranch(Decided):
    def forward(self, x):
        if self.fixed:
            x = x.numpy()
        return x


class DecidedPlain(Decided):
    def forward(self, x):
        if self.open:
            x = x.numpy()
        return x


class DecidedCompared(Decided):
    def forward(self, x):
        if self.kind == 3:
            x = x.numpy()
        return x


@claim(
    f"{LESSON}#cd45fae5f",
    "A `Final[bool]` is decided at compile time; a plain `bool` is not, and neither is a comparison of a `Final[int]`",
)
def what_is_decided() -> None:
    assert says(DecidedFinalBranch()) == "" and says(DecidedFinal()) == ""
    for kind in (DecidedPlain, DecidedCompared):
        assert "numpy" in says(kind())


# --- the same source, a different value


def remainder(n: int, size: int):
    return n % size


def quotient(n: int, size: int):
    return n // size


def ratio(a: float, b: float):
    return a / b


def power(n: int):
    return n**2


def square(n: int):
    return n * n


def total(values: List[int]):
    return sum(values)


def formatted(a: float):
    return "{:.2f}".format(a)


@claim(
    f"{LESSON}#cd370fef1",
    "Floats divided by zero return `inf`, `-inf` or `nan`; `n // 0` with two `int` operands raises.",
    was="a division by zero is inf",
)
def divisions_by_zero() -> None:
    scripted = torch.jit.script(ratio)
    assert (scripted(1.0, 0.0), scripted(-1.0, 0.0)) == (math.inf, -math.inf) and math.isnan(scripted(0.0, 0.0))
    assert "division by 0" in str(fails(lambda: torch.jit.script(quotient)(1, 0)))


@claim(f"{LESSON}#modulo-zero-why", "There is no exception to catch.")
def remainder_by_zero() -> None:
    program = (
        "import torch\ndef left(n: int, size: int):\n    return n % size\n"
        "try:\n    torch.jit.script(left)(7, 0)\nexcept Exception:\n    print('caught')\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "left.py")
        path.write_text(program, encoding="utf-8")
        child = subprocess.run(
            [sys.executable, "-W", "ignore", str(path)], capture_output=True, text=True, timeout=60, check=False
        )
    assert "caught" not in child.stdout and "Traceback" not in child.stderr
    scripted = torch.jit.script(remainder)
    assert [scripted(a, b) for a, b in ((7, 2), (-7, 2), (7, -2))] == [1, 1, -1]  # with others it is Python's


@claim(f"{LESSON}#cd370fef1", "An `int` has 64 bits and wraps around.")
@claim(f"{LESSON}#cd370fef1", "`int ** int` is a `float`, because the exponent may be negative")
def arithmetic_of_ints() -> None:
    assert [torch.jit.script(power)(n) for n in (3, 0, -2)] == [9.0, 0.0, 4.0]
    assert all(type(torch.jit.script(power)(n)) is float for n in (3, 0, -2))
    scripted = torch.jit.script(square)
    assert scripted(2**40) == 0 and scripted(3_037_000_499) == 3_037_000_499**2 and scripted(3_037_000_500) < 0


@claim(f"{LESSON}#cd370fef1", "`sum` of a list of `int` already wraps at 32 bits: add the values in a loop.")
def sums_of_ints() -> None:
    scripted = torch.jit.script(total)
    assert scripted([2**31 - 1, 1]) == -(2**31)
    assert scripted([2**31 - 2, 1]) == 2**31 - 1 and scripted([]) == 0


@claim(f"{LESSON}#cd370fef1", "A format specification is not interpreted, and stays in the text as written.")
def format_specifications() -> None:
    def wide(n: int):
        return "{:03d}|{}".format(n, n)

    def percent(n: int):
        return "%03d" % n

    assert torch.jit.script(formatted)(1.234) == "{:.2f}"
    assert torch.jit.script(wide)(7) != wide(7) and "{:03d}" in torch.jit.script(wide)(7)
    assert says(percent) == ""


def note_list(values: List[int], x):
    values.append(1)
    x += 1
    return values


def note_dict(values: Dict[str, int]):
    values["b"] = 1
    return values


@claim(f"{LESSON}#c05af4703", "A list is **copied** when you pass it in; a tensor is not.")
@claim(f"{LESSON}#c05af4703", "A dict is copied as well.")
def containers_are_copied() -> None:
    mine, x, names = [7], torch.zeros(2), {"a": 0}
    assert torch.jit.script(note_list)(mine, x) == [7, 1] and torch.jit.script(note_dict)(names) == {"a": 0, "b": 1}
    assert (mine, names) == ([7], {"a": 0}) and x.tolist() == [1.0, 1.0]


# --- exceptions


def raises_called(x):
    if x.dim() != 2:
        raise ValueError("want a matrix")
    return x


def raises_bare(x):
    if x.dim() != 2:
        raise ValueError
    return x


def asserts(x):
    assert x.dim() == 2, "want a matrix"
    return x


def index_of_a_list(x, keys: List[int]):
    return keys[5]


def index_of_a_tensor(x):
    return x[10]


def key_of_a_dict(x, keys: Dict[str, int]):
    return keys["missing"]


@claim(
    f"{LESSON}#c334f8f40",
    "The original type is kept in the message text, unless the class is raised without a call: "
    "nothing is left of `raise ValueError`",
    was="the original type is left in the text",
)
def exceptions_of_the_source() -> None:
    for function, last in (
        (raises_called, "builtins.ValueError: want a matrix"),
        (asserts, "RuntimeError: AssertionError: want a matrix"),
        (raises_bare, "RuntimeError: "),
    ):
        error = fails(lambda f=function: torch.jit.script(f)(torch.ones(2)))
        assert type(error) is torch.jit.Error and not isinstance(error, (RuntimeError, ValueError))
        assert str(error).rstrip("\n").splitlines()[-1] == last


@claim(f"{LESSON}#c334f8f40", "An error inside an operator, or an invalid index, raises a `RuntimeError`.")
def exceptions_of_operators() -> None:
    x = torch.ones(2)
    for function, args in ((index_of_a_list, (x, [1])), (index_of_a_tensor, (x,)), (key_of_a_dict, (x, {"a": 1}))):
        error = fails(lambda f=function, a=args: torch.jit.script(f)(*a))
        assert isinstance(error, RuntimeError) and not isinstance(error, LookupError)


# --- what you get back, and the tools of today


@claim(f"{LESSON}#c2b6109ef", "Access the parts of a scripted container by name.")
def parts_of_a_container() -> None:
    for pair in (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.ModuleList([nn.Linear(2, 2)])):
        scripted = torch.jit.script(pair)
        assert not isinstance(next(iter(pair)), torch.jit.ScriptModule)
        assert isinstance(getattr(scripted, "0"), torch.jit.ScriptModule)


@claim(f"{LESSON}#c2b6109ef", "wrap them in another module and script that")
def recurrent_layers() -> None:
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        bare = torch.jit.script(kind(2, 3))
        with pytest.raises(AttributeError, match="no attribute 'forward'"):
            bare(torch.ones(4, 1, 2))
        wrapped = torch.jit.script(nn.Sequential(kind(2, 3)))
        assert wrapped(torch.ones(4, 1, 2))[0].shape == (4, 1, 3)


@claim(
    f"{LESSON}#cfb45b8c0",
    "It accepts a scripted function but rejects a scripted module:",
    was="torch.compile does not take what is already scripted",
)
def compiling_what_is_scripted() -> None:
    x = torch.ones(1)
    compiled = torch.compile(torch.jit.script(annotated_int), backend="eager")
    assert compiled(x).item() == 2
    for module in (Empty(), nn.Linear(1, 1)):
        scripted = torch.jit.script(module)
        with pytest.raises(RuntimeError, match=r"does not support compiling torch\.jit\.script"):
            torch.compile(scripted, backend="eager")(x)


def safe(x):
    inverse, failed = torch.linalg.inv_ex(x)
    return torch.zeros_like(x) if bool(failed.any()) else inverse


@claim(f"{LESSON}#cb73d71c9", "A matrix that is not square, or that contains integers, still raises")
def asking_first() -> None:
    scripted = torch.jit.script(safe)
    assert torch.equal(scripted(torch.eye(2)), torch.eye(2)) and not scripted(torch.zeros(2, 2)).any()
    for bad in (torch.ones(2, 3), torch.ones(2, 2, dtype=torch.int64), torch.ones(2)):
        assert isinstance(fails(lambda b=bad: scripted(b)), RuntimeError)


@claim(f"{LESSON}#cf3a51ac2", "A name that starts as an empty list is a `List[Tensor]`")
def empty_lists() -> None:
    def of_ints(x):
        found = []
        found.append(1)
        return x

    def of_tensors(x):
        found = []
        found.append(x)
        return found

    def returned(x) -> List[int]:
        return []

    assert "previously matched to type Tensor" in str(fails(lambda: torch.jit.script(of_ints)))
    assert says(of_tensors) == "" and says(returned) == ""


@claim(f"{LESSON}#ce7488d1a", "The compiler does not see an annotation inside `__init__`:")
def annotations_inside_init() -> None:
    class Lists(nn.Module):
        def __init__(self):
            super().__init__()
            self.values: List[int] = []

        def forward(self, x):
            self.values.append(1)
            return x

    class Nones(nn.Module):
        def __init__(self):
            super().__init__()
            self.first: Optional[Tensor] = None

        def forward(self, x):
            self.first = x
            return x

    class InTheClass(nn.Module):
        values: List[int]

        def __init__(self):
            super().__init__()
            self.values = []

        def forward(self, x):
            self.values.append(1)
            return x

    assert "has no attribute 'values'" in says(Lists())
    assert "Expected NoneType but got Tensor" in says(Nones())
    assert says(InTheClass()) == ""
