"""check_parity: finds what was planted, keeps quiet about equal pairs, and leaves everything as it was."""

import collections
import copy
import functools
import random
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing._comparison import default_tolerances

from course_utils.core.errors import CourseError
from course_utils.tools.parity import (
    Case,
    ParityError,
    assert_parity,
    batch_sizes,
    check_parity,
    ulp_distance,
)
from course_utils.tools.parity.compare import TOLERANCES, Rules, compare
from course_utils.tools.parity.state import private_copy

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::FutureWarning:torch\.jit"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

Tensor = torch.Tensor
MANY = [torch.ones(2, 3), -torch.ones(4, 3), torch.zeros(1, 3)]


def script(thing: Any) -> Any:
    return torch.jit.script(thing)


def trace(thing: Any, *args: Tensor, strict: bool = True) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(thing, args, check_trace=False, strict=strict)


def freeze(module: nn.Module) -> Any:
    return torch.jit.freeze(script(module.eval()))


def seeded(build: Any) -> Any:
    torch.manual_seed(7)
    return build()


# --- models and functions that get converted ------------------------------------------------------


class Pair(NamedTuple):
    low: Tensor
    high: Tensor


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x)))


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x))).mean((2, 3))


class Drop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x)


class Norm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x)


class Tally(nn.Module):
    """Counts its calls in three ways."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.register_buffer("inplace", torch.zeros(1))
        self.register_buffer("assigned", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.inplace += 1
        self.assigned = self.assigned + 1
        return x + self.inplace + self.assigned


class Inplace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x.sum()
        return x + self.seen


class Assigned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.seen + 1
        return x * 2


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def forward(self, x: Tensor) -> Tensor:
        self.n += 1
        return x * 2


class Cache(nn.Module):
    """Builds a table on the first call and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.table = None

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(x.shape[0])
        return x + self.table[: x.shape[0], None]


class Flips(nn.Module):
    """Leaves training mode when it is called."""

    def forward(self, x: Tensor) -> Tensor:
        self.eval()
        return x * 2


class Clamps(nn.Module):
    """Edits its own weight past the version counter."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, -3.0]))

    def forward(self, x):
        self.w.data.clamp_(-1, 1)
        return x * self.w


class Keeps(nn.Module):
    """The same result as Clamps with an untouched weight."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, -3.0]))

    def forward(self, x):
        return x * self.w.clamp(-1, 1)


def branch(x: Tensor) -> Tensor:
    return x * 2 if bool(x.sum() > 0) else x * 3


def loop(x: Tensor) -> Tensor:
    total = torch.zeros_like(x[0])
    for i in range(x.shape[0]):
        total = total * 0.5 + x[i]
    return total


def positive(x: Tensor) -> Tensor:
    assert bool((x > 0).all()), "positive"
    return x.log()


def named(x: Tensor) -> Pair:
    return Pair(x.min(), x.max())


def unnamed(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.min(), x.max()


def dead_random(x: Tensor) -> Tensor:
    unused = torch.rand(3)  # noqa: F841
    return x + torch.rand(3)


def noise(x: Tensor) -> Tensor:
    return x + torch.rand_like(x)


def python_noise(x):
    return x + random.random()


def numpy_noise(x):
    return x + float(np.random.rand())


def partly_detached(x: Tensor) -> Tensor:
    with torch.no_grad():
        y = x * 2
    return y + x


def power(n: int) -> int:
    return n * n * n


def shared(x: Tensor, y: Tensor) -> Tensor:
    x += 1
    return y * 2


def flat_index(x):
    return x + x.reshape(-1)[0] * 0 + (0 if x.is_contiguous() else 1)


def double(x: Tensor) -> Tensor:
    return x * 2


def scaled(factor: float) -> Any:
    return lambda x: x * factor


def once(values: list) -> Any:
    """Returns the values in turn, the last one for ever."""
    calls = []

    def call(x):
        calls.append(1)
        return x * values[min(len(calls), len(values)) - 1]

    return call


def same_rows(x):
    return torch.cat([x, x])[: x.shape[0]]


def edits(x):
    x.add_(1)
    return x * 2


def spares(x):
    return (x + 1) * 2


def appends(items: list) -> Tensor:
    items.append(items[0])
    return items[0] * 2


def reads(items: list) -> Tensor:
    return items[0] * 2


def refuses(x):
    raise ValueError("not today")


def trained_mode(module: nn.Module) -> nn.Module:
    return module.train()


# --- forty planted differences --------------------------------------------------------------------

x23, x43 = torch.linspace(-1, 1, 6).reshape(2, 3), torch.linspace(-2, 2, 12).reshape(4, 3)
image = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


def _pair(build: Any, convert: Any) -> tuple[Any, Any]:
    model = seeded(build)
    return model, convert(model)


PLANTED: dict[str, tuple[Any, str]] = {
    # values
    "value: a factor": (lambda: (double, scaled(2.1), x23, {}), "value"),
    "value: one element": (lambda: (double, lambda x: x * 2 + (x == x.max()) * 1e-3, x43, {}), "value"),
    "value: a branch that a trace fixed": (
        lambda: (branch, trace(branch, torch.ones(2, 3)), MANY, {}),
        "value",
    ),
    "value: a loop that a trace unrolled": (lambda: (loop, trace(loop, x23), [x23, x43], {}), "value"),
    "value: another weight": (lambda: (*_pair(Mlp, lambda m: script(nudged(m))), x23, {}), "value"),
    "value: int": (lambda: (power, lambda n: n**3 + 1, [(3,)], {}), "value"),
    "value: uint8 wraps around": (
        lambda: (lambda x: x, lambda x: x - 1, torch.zeros(2, dtype=torch.uint8), {}),
        "value",
    ),
    "value: bool": (lambda: (lambda x: x > 0, lambda x: x >= 0, torch.zeros(2), {}), "value"),
    "value: complex phase": (lambda: (lambda x: x, lambda x: x.conj(), torch.tensor([1 + 1j]), {}), "value"),
    "value: string": (lambda: (lambda x: ("a", x), lambda x: ("b", x), x23, {}), "value"),
    "value: bfloat16": (lambda: (double, scaled(2.1), x23.bfloat16(), {}), "value"),
    "value: float8": (
        lambda: (lambda x: x.to(torch.float8_e4m3fn), lambda x: (x * 2).to(torch.float8_e4m3fn), x23, {}),
        "value",
    ),
    "value: large int64": (lambda: (lambda x: x, lambda x: x + 1, torch.tensor([2**60]), {}), "value"),
    "value: NaN became zero": (
        lambda: (lambda x: x, torch.nan_to_num, torch.tensor([1.0, float("nan")]), {}),
        "value",
    ),
    "value: NaN where asked to differ": (
        lambda: (double, double, torch.tensor([float("nan")]), {"equal_nan": False}),
        "value",
    ),
    "value: sign of infinity": (lambda: (lambda x: x / 0, lambda x: -x / 0, torch.ones(2), {}), "value"),
    "value: only strided inputs": (lambda: (same_rows, flat_index, [x23, x43.t()], {}), "value"),
    "value: sparse": (lambda: (lambda x: x.to_sparse(), lambda x: (x * 2).to_sparse(), x23, {}), "value"),
    "value: inside a dict": (lambda: (lambda x: {"a": [x]}, lambda x: {"a": [x + 1]}, x23, {}), "value"),
    "value: second call": (lambda: (double, once([2, 3]), x23, {}), "value"),
    "value: third call": (lambda: (double, once([2, 2, 3]), x23, {}), "value"),
    "value: only the larger batch": (
        lambda: (double, lambda x: x * 2 if x.shape[0] < 5 else x * 3, batch_sizes(x23), {}),
        "value",
    ),
    "value: dtype branch fixed by a trace": (
        lambda: (from_pixels, trace(from_pixels, torch.ones(2)), [torch.ones(2, dtype=torch.uint8)], {}),
        "value",
    ),
    # shape, dtype, layout, structure
    "shape: transposed": (lambda: (double, lambda x: x.t() * 2, x23, {}), "shape"),
    "shape: empty batch": (
        lambda: (double, lambda x: x * 2 if len(x) else x.sum(), batch_sizes(x23, (1, 0)), {}),
        "shape",
    ),
    "shape: rank fixed by a trace": (
        lambda: (with_batch, trace(with_batch, torch.ones(1, 4, 4)), [torch.ones(2, 1, 4, 4)], {}),
        "shape",
    ),
    "dtype: float64": (lambda: (double, lambda x: (x * 2).double(), x23, {}), "dtype"),
    "dtype: int for float": (lambda: (lambda x: 2.0, lambda x: 2, x23, {}), "dtype"),
    "dtype: autocast ignored": (
        lambda: (nn.Linear(3, 3), *[off_autocast(nn.Linear(3, 3))], x23, {"modes": ("autocast",)}),
        "dtype",
    ),
    "device: meta": (lambda: (double, lambda x: torch.empty_like(x, device="meta"), x23, {}), "device"),
    "layout: sparse for dense": (lambda: (double, lambda x: (x * 2).to_sparse(), x23, {}), "layout"),
    "structure: tensor for tuple": (lambda: (unnamed, lambda x: x.min(), x23, {}), "structure"),
    "structure: a missing key": (
        lambda: (lambda x: {"a": x, "b": x}, lambda x: {"a": x}, x23, {}),
        "structure",
    ),
    "structure: a shorter tuple": (lambda: (lambda x: (x, x), lambda x: (x,), x23, {}), "structure"),
    "structure: names lost in a trace": (lambda: (named, trace(named, x23), x23, {}), "structure"),
    "structure: names of max lost in a script": (lambda: (largest, script(largest), x23, {}), "structure"),
    "structure: list for tuple, strict": (
        lambda: (lambda x: (x, x), lambda x: [x, x], x23, {"structure": "strict"}),
        "structure",
    ),
    "structure: None for a tensor": (lambda: (double, lambda x: None, x23, {}), "structure"),
    "nested tensors": (lambda: (nest, lambda x: nest(x * 2), x23, {}), "value"),
    "value: quantized": (lambda: (quantized(0.1), quantized(0.3), x23, {}), "value"),
    "not compared: objects": (lambda: (lambda x: object(), lambda x: object(), x23, {}), "not compared"),
    # exceptions
    "raises: an assert that a trace dropped": (
        lambda: (positive, trace(positive, torch.ones(2)), [torch.ones(2), -torch.ones(2)], {}),
        "raises",
    ),
    "raises: only the candidate": (lambda: (double, refuses, x23, {}), "raises"),
    "raises: only the reference": (lambda: (refuses, double, x23, {}), "raises"),
    "raises: a shorter input than traced": (lambda: (loop, trace(loop, x43), [x23], {}), "raises"),
    "raises: batch of one": (
        lambda: (double, lambda x: (x * 2).reshape(2, 3), batch_sizes(x23), {}),
        "raises",
    ),
    # inputs
    "input mutation: gained": (lambda: (spares, edits, x23, {}), "input mutation"),
    "input mutation: lost": (lambda: (edits, spares, x23, {}), "input mutation"),
    "input mutation: a list": (lambda: (appends, reads, [([x23],)], {}), "input mutation"),
    "input mutation: keyword": (
        lambda: (lambda x: x * 2, edits_keyword, [Case(kwargs={"x": x23})], {}),
        "input mutation",
    ),
    # state
    "state: assignment lost in a trace": (
        lambda: (*_pair(Assigned, lambda m: trace(copy.deepcopy(m), x23)), x23, {}),
        "state",
    ),
    "state: counter lost in a trace": (
        lambda: (*_pair(Counter, lambda m: trace(copy.deepcopy(m), x23)), x23, {}),
        "state",
    ),
    "state: cache warm before the trace": (lambda: (Cache(), warm(Cache()), x43, {}), "state"),
    "state: training flag": (lambda: (trained_mode(Flips()), trained_mode(NoFlip()), x23, {}), "state"),
    "state: weight edited through .data": (lambda: (Keeps(), Clamps(), torch.ones(2), {}), "state"),
    "state: running statistics": (
        lambda: (*_pair(Norm, lambda m: frozen_statistics(m)), x43, {"modes": ("train",)}),
        "state",
    ),
    # randomness
    "randomness: python's random in a trace": (
        lambda: (python_noise, trace(python_noise, x23), x23, {}),
        "randomness",
    ),
    "randomness: numpy in a trace": (lambda: (numpy_noise, trace(numpy_noise, x23), x23, {}), "randomness"),
    "randomness: gained": (lambda: (double, lambda x: x * 2 + torch.rand(3), x23, {}), "randomness"),
    "randomness: dead draw removed": (lambda: (dead_random, script(dead_random), x23, {}), "randomness"),
    "randomness: cached first draw": (lambda: (noise, first_draw(), x23, {}), "value"),
    # modes
    "mode: dropout traced in eval": (
        lambda: (*_pair(Drop, lambda m: trace(m.eval(), x23)), x23, {"modes": ("train",)}),
        "mode",
    ),
    "mode: dropout traced in train": (
        lambda: (*_pair(Drop, lambda m: trace(m.train(), x23)), x23, {"modes": ("eval",)}),
        "mode",
    ),
    "mode: batch norm frozen": (lambda: (*_pair(Norm, freeze), x43, {"modes": ("eval", "train")}), "mode"),
    # gradients
    "grad: no_grad dropped by a trace": (
        lambda: (partly_detached, trace(partly_detached, x23), x23, {"grads": True}),
        "grad",
    ),
    "grad: detached output": (lambda: (double, lambda x: x.detach() * 2, x23, {"grads": True}), "grad"),
    "grad: parameters became constants": (lambda: (*_pair(Mlp, freeze), x23, {"grads": True}), "grad"),
    "grad: another weight gradient": (
        lambda: (*_pair(lambda: nn.Linear(3, 3), half_grad), x23, {"grads": True}),
        "grad",
    ),
}


def nudged(module: nn.Module) -> nn.Module:
    module = copy.deepcopy(module)
    with torch.no_grad():
        next(module.parameters())[0, 0] += 0.1
    return module


def from_pixels(x: Tensor) -> Tensor:
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def with_batch(x: Tensor) -> Tensor:
    if x.dim() == 3:
        x = x.unsqueeze(0)
    return x.flatten(1).sum(1)


def off_autocast(module: nn.Module) -> Any:
    def call(x):
        with torch.autocast("cpu", enabled=False):
            return module(x)

    return call


def edits_keyword(x):
    y = x * 2
    x.zero_()
    return y


def nest(x):
    return torch.nested.nested_tensor([x[0], x[1, :2]], layout=torch.jagged)


def quantized(step: float) -> Any:
    def call(x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.quantize_per_tensor(x, step, 0, torch.qint8)

    return call


class NoFlip(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def warm(module: Cache) -> Any:
    module(x43)
    return trace(module, x43)


def frozen_statistics(module: Norm) -> Norm:
    twin = copy.deepcopy(module)
    twin.bn.momentum = 0.0
    return twin


def first_draw() -> Any:
    kept: list = []

    def call(x):
        fresh = torch.rand_like(x)
        kept.append(fresh)
        return x + kept[0]

    return call


def half_grad(module: nn.Module) -> Any:
    """The same values, half the gradient."""

    def call(x):
        y = module(x)
        return y / 2 + y.detach() / 2

    return call


@pytest.mark.parametrize("name", PLANTED)
def test_planted_difference_is_found_with_its_kind(name):
    build, kind = PLANTED[name]
    reference, candidate, inputs, options = build()
    report = check_parity(reference, candidate, inputs, **options)
    assert not report.ok
    assert kind in {f.kind for f in report.findings}, report.text()
    text = report.text()
    assert text.startswith("NOT OK" if name.startswith("not compared") else "DIFFERENT")
    assert len(text.splitlines()) <= 25
    assert "0x" not in text and "/" not in text.replace("and/or", "").replace("I/O", "")
    assert "<table" in report._repr_html_()


# --- forty equal pairs ----------------------------------------------------------------------------


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            return x * 2
        return x * 3


class Outputs(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"low": x.min(), "high": x.max()}


class Ordered(nn.Module):
    def forward(self, x):
        return collections.OrderedDict(low=x.min(), high=x.max())


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])

    def forward(self, x: Tensor) -> list[Tensor]:
        out: list[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            out.append(x)
        return out


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return self.rnn(x)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x))


class History(nn.Module):
    """Keeps a Python list and a string."""

    def __init__(self) -> None:
        super().__init__()
        self.log = ["start"]

    def forward(self, x):
        self.log.append("call")
        self.last = len(self.log)
        return x * len(self.log)


def wrapped(module: Any) -> Any:
    return lambda x: module(x)


class Wrapper(nn.Module):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def reloaded(module: Any) -> Any:
    import io

    stream = io.BytesIO()
    torch.jit.save(module, stream)
    stream.seek(0)
    return torch.jit.load(stream)


ALL_MODES = ("as_is", "eval", "train", "eval+no_grad", "autocast")
EQUAL: dict[str, Any] = {
    "same function": lambda: (double, scaled(2.0), MANY, {}),
    "script: function": lambda: (branch, script(branch), MANY, {}),
    "trace: function without branches": lambda: (double, trace(double, x23), [*MANY, x43.t()], {}),
    "script: branch in a module": lambda: (*_pair(Gate, script), MANY, {}),
    "script: loop": lambda: (loop, script(loop), [x23, x43], {}),
    "script: MLP, all modes": lambda: (*_pair(Mlp, script), batch_sizes(x23), {"modes": ALL_MODES}),
    "script: MLP, gradients": lambda: (*_pair(Mlp, script), batch_sizes(x23), {"grads": True}),
    "trace: MLP, gradients": lambda: (
        *_pair(Mlp, lambda m: trace(m, x23)),
        batch_sizes(x23),
        {"grads": True},
    ),
    "trace: MLP, no_grad": lambda: (
        *_pair(Mlp, lambda m: trace(m, x23)),
        x43,
        {"modes": ("no_grad", "grad")},
    ),
    "freeze: MLP": lambda: (*_pair(Mlp, freeze), batch_sizes(x23), {"modes": ("eval",)}),
    "freeze: CNN": lambda: (*_pair(Cnn, freeze), [image, image[:1]], {"modes": ("eval", "eval+no_grad")}),
    "optimize_for_inference: CNN": lambda: (
        *_pair(lambda: Cnn().eval(), lambda m: torch.jit.optimize_for_inference(script(m))),
        image,
        {"modes": ("eval+no_grad",)},
    ),
    "script: CNN, train": lambda: (*_pair(Cnn, script), image, {"modes": ("train", "eval")}),
    "trace: CNN in the mode it was made in": lambda: (
        *_pair(lambda: Cnn().eval(), lambda m: trace(m, image)),
        batch_sizes(image),
        {},
    ),
    "trace: CNN made in train": lambda: (
        *_pair(lambda: Cnn().train(), lambda m: trace(copy.deepcopy(m), image)),
        image,
        {"check_state": False},
    ),
    "script: dropout": lambda: (*_pair(Drop, script), x43, {"modes": ("train", "eval")}),
    "script: batch norm shares buffers": lambda: (*_pair(Norm, script), x43, {"modes": ("train",)}),
    "script: batch norm, deep copy": lambda: (*_pair(Norm, lambda m: script(copy.deepcopy(m))), x43, {}),
    "script: every kind of state": lambda: (*_pair(Tally, script), [x23, x43], {}),
    "trace: in-place buffer": lambda: (*_pair(Inplace, lambda m: trace(m, x23)), [x23, x43], {}),
    "loaded: every kind of state": lambda: (*_pair(Tally, lambda m: reloaded(script(m))), x23, {}),
    "eager copy: Python list as state": lambda: (*_pair(History, copy.deepcopy), x23, {}),
    "eager copy: cache": lambda: (Cache(), Cache(), x43, {}),
    "same weight edited on both sides": lambda: (Clamps(), Clamps(), torch.ones(2), {}),
    "wrapped in a module": lambda: (*_pair(Norm, lambda m: Wrapper(script(copy.deepcopy(m)))), x43, {}),
    "wrapped in a lambda": lambda: (*_pair(Tally, lambda m: wrapped(script(m))), x43, {}),
    "bound method": lambda: (*_pair(Tally, lambda m: copy.deepcopy(m).forward), x43, {}),
    "partial": lambda: (double, functools.partial(torch.mul, torch.tensor(2.0)), x43, {}),
    "script: tied weights": lambda: (*_pair(Tied, script), x43, {"grads": True}),
    "script: list of layers": lambda: (*_pair(Tower, script), x43, {}),
    "script: LSTM": lambda: (*_pair(Recurrent, script), batch_sizes(torch.rand(2, 5, 3)), {}),
    "trace: LSTM, other lengths": lambda: (
        *_pair(Recurrent, lambda m: trace(m, torch.rand(2, 5, 3))),
        [torch.rand(3, 7, 3)],
        {},
    ),
    "script: named tuple": lambda: (named, script(named), x43, {}),
    "trace: named tuple, values": lambda: (named, trace(named, x43), x43, {"structure": "values"}),
    "script: dict": lambda: (*_pair(Outputs, script), x43, {"structure": "strict"}),
    "dict for OrderedDict": lambda: (Ordered(), Outputs(), x43, {}),
    "list for tuple": lambda: (lambda x: (x, x), lambda x: [x, x], x43, {}),
    "script: exceptions of other types": lambda: (
        positive,
        script(positive),
        [torch.ones(2), -torch.ones(2)],
        {},
    ),
    "script: random": lambda: (noise, script(noise), x43, {}),
    "python's random on both sides": lambda: (python_noise, lambda x: random.random() + x, x43, {}),
    "numpy's random on both sides": lambda: (numpy_noise, lambda x: float(np.random.rand()) + x, x43, {}),
    "trace: random": lambda: (noise, trace(noise, x43), [x43, x23], {}),
    "script: mutated input": lambda: (shared, script(shared), [(x23, x23 * 2)], {}),
    "script: aliased inputs": lambda: (shared, script(shared), [(x43, x43), (x43, x43[:2])], {}),
    "script: no_grad block": lambda: (partly_detached, script(partly_detached), x23, {"grads": True}),
    "script: int": lambda: (power, script(power), [(3,), (-2,)], {}),
    "NaN and infinity": lambda: (
        double,
        script(double),
        torch.tensor([float("nan"), float("inf"), -float("inf")]),
        {},
    ),
    "empty batch": lambda: (*_pair(Mlp, script), batch_sizes(x23, (0, 1)), {}),
    "zero-dimensional": lambda: (double, script(double), torch.tensor(3.0), {}),
    "expanded input": lambda: (double, script(double), torch.ones(1, 3).expand(4, 3), {}),
    "channels_last input": lambda: (
        *_pair(Cnn, lambda m: trace(m.eval(), image)),
        image.to(memory_format=torch.channels_last),
        {},
    ),
    "float16": lambda: (double, script(double), x43.half(), {}),
    "bfloat16": lambda: (lambda x: x.exp(), lambda x: x.float().exp().bfloat16(), x43.bfloat16(), {}),
    "complex": lambda: (double, script(double), torch.tensor([1 + 2j, -1j]), {}),
    "uint8": lambda: (double, script(double), torch.tensor([200, 3], dtype=torch.uint8), {}),
    "bool": lambda: (torch.logical_not, script(lambda_free_not), torch.tensor([True, False]), {}),
    "sparse": lambda: (lambda x: x.to_sparse(), lambda x: x.to_sparse(), x43, {}),
    "another order of summation": lambda: (
        lambda x: x.sum(),
        lambda x: x.flip(0).sum(),
        torch.rand(1000),
        {},
    ),
    "keyword arguments": lambda: (shared, script(shared), [Case((x23,), {"y": x43}, "keywords")], {}),
    "a list argument": lambda: (first_of, script(first_of), [([x23, x43],)], {}),
    "requires_grad input": lambda: (double, script(double), x23.clone().requires_grad_(), {}),
    "result of autograd as input": lambda: (double, script(double), x23.clone().requires_grad_() * 1, {}),
    "quantized": lambda: (quantized(0.1), quantized(0.1), x23, {}),
    "script: an exported method": lambda: (*_methods(), x43, {}),
    "script: max, values": lambda: (largest, script(largest), x43, {"structure": "values"}),
    "torch.compile": lambda: (*_pair(Norm, compiled), x43, {"modes": ("train", "eval"), "grads": True}),
    "a callable that holds a module": lambda: (*_pair(Tally, lambda m: Holder(m).run), x43, {}),
    "numpy result": lambda: (lambda x: x.numpy() * 2, lambda x: x.numpy() + x.numpy(), x23, {}),
}


class Encoder(Inplace):
    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        self.seen += 1
        return x * self.seen


def _methods() -> tuple[Any, Any]:
    model = Encoder()
    return model.encode, script(model).encode


def largest(x: Tensor):
    return x.max(0)


def compiled(module: nn.Module) -> Any:
    return torch.compile(copy.deepcopy(module), backend="eager")


class Holder:
    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def run(self, x):
        return self.module(x)


def lambda_free_not(x: Tensor) -> Tensor:
    return torch.logical_not(x)


def first_of(items: list[Tensor]) -> Tensor:
    return items[0] * 2


@pytest.mark.parametrize("name", EQUAL)
def test_equal_pair_raises_no_alarm(name):
    reference, candidate, inputs, options = EQUAL[name]()
    report = check_parity(reference, candidate, inputs, **options)
    assert report.ok, report.text()
    assert_parity(reference, candidate, inputs, **options)


def test_the_two_tables_are_long_enough():
    assert len(PLANTED) >= 40 and len(EQUAL) >= 40


# --- closeness ------------------------------------------------------------------------------------

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
finite = st.floats(-1e4, 1e4, width=32)


def test_tolerances_are_those_of_assert_close():
    every = [d for d in vars(torch).values() if isinstance(d, torch.dtype) and not str(d).startswith("torch.q")]
    for dtype in every:
        assert Rules().tolerance(dtype) == default_tolerances(dtype), dtype
    assert set(TOLERANCES) <= set(every)
    assert Rules().tolerance(torch.float32, torch.bfloat16) == default_tolerances(torch.float32, torch.bfloat16)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(finite, st.sampled_from([0.0, 1e-6, 1e-5, 1e-4, 1.0])), min_size=1, max_size=5))
def test_closeness_is_that_of_assert_close(pairs):
    expected = torch.tensor([p[0] for p in pairs], dtype=torch.float64)
    actual = expected + torch.tensor([p[1] for p in pairs], dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        left, right = expected.to(dtype), actual.to(dtype)
        try:
            torch.testing.assert_close(right, left)
            close = True
        except AssertionError:
            close = False
        # assert_close computes in float32 where check_parity uses float64: at the very edge they may part.
        limit = 1e-5 + 1.3e-6 * left.double().abs() if dtype == torch.float32 else None
        edge = limit is not None and bool(
            ((right.double() - left.double()).abs() - limit).abs().min() < 1e-3 * limit.min()
        )
        assert edge or compare(left, right, Rules()).equal == close


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(FLOATS), finite)
def test_neighbours_are_one_ulp_apart(dtype, value):
    x = torch.tensor(value, dtype=torch.float64).to(dtype)
    one = torch.tensor(torch.inf, dtype=dtype)
    if dtype in (
        torch.float16,
        torch.bfloat16,
    ):  # nextafter on the CPU: float32 and float64, so step through the bits
        up = (x.view(torch.int16) + 1).view(dtype) if x > 0 else None
    else:
        up = torch.nextafter(x, one)
    if up is not None and x.isfinite() and up.isfinite():
        assert int(ulp_distance(x, up)) == int(ulp_distance(up, x)) == 1
    assert int(ulp_distance(x, x)) == 0


def test_ulp_distance_at_the_ends():
    def far(a, b, dtype=torch.float32):
        return int(ulp_distance(torch.tensor(a, dtype=dtype), torch.tensor(b, dtype=dtype)))

    greatest = torch.iinfo(torch.int64).max
    assert far(-0.0, 0.0) == 0
    assert far(torch.finfo(torch.float32).max, torch.inf) == 1
    tiny = torch.finfo(torch.float32).smallest_normal
    assert far(-tiny, tiny) == 2 * 2**23
    assert far(1.0, 2.0) == 2**23 and far(1.0, 2.0, torch.bfloat16) == 2**7
    assert far(torch.nan, torch.nan) == 0 and far(torch.nan, 1.0) == greatest
    assert far(-torch.inf, torch.inf, torch.float64) == greatest
    assert far(1 + 1j, 1 + 2j, torch.complex64) == 2**23
    assert ulp_distance(torch.ones(0), torch.ones(0)).shape == (0,)
    with pytest.raises(TypeError, match="convert first"):
        ulp_distance(torch.ones(1), torch.ones(1).double())
    with pytest.raises(TypeError, match="convert first"):
        ulp_distance(torch.ones(1).int(), torch.ones(1).int())
    with pytest.raises(ValueError, match="broadcast first"):
        ulp_distance(torch.ones(1), torch.ones(2))


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [
        (torch.tensor([0], dtype=torch.uint8), torch.tensor([255], dtype=torch.uint8), 255.0),
        (torch.tensor([-128], dtype=torch.int8), torch.tensor([127], dtype=torch.int8), 255.0),
        (torch.tensor([2**60]), torch.tensor([2**60 + 1]), 1.0),
        (torch.tensor([-(2**63)]), torch.tensor([2**63 - 1]), 2.0**64),
        (torch.tensor([2**64 - 1], dtype=torch.uint64), torch.tensor([0], dtype=torch.uint64), 2.0**64),
        (torch.tensor([True]), torch.tensor([False]), 1.0),
        (torch.tensor([6e4]).half(), torch.tensor([-6e4]).half(), 120000.0),
        (torch.tensor([1.0]), torch.tensor([torch.nan]), torch.inf),
        (torch.tensor([torch.inf]), torch.tensor([-torch.inf]), torch.inf),
        (torch.tensor([3 + 0j]), torch.tensor([0 + 4j]), 5.0),
    ],
)
def test_distances_do_not_wrap_around(left, right, distance):
    result = compare(left, right, Rules())
    assert result.stats.max_abs == distance and not result.equal and result.stats.differing == 1
    assert result.stats.max_ulp is None or left.dtype.is_floating_point or left.dtype.is_complex


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("base", [0.0, 1.0, -64.0])
def test_the_tolerance_is_exact_to_two_percent(dtype, base):
    rtol, atol = Rules().tolerance(dtype)
    expected = torch.tensor([base, base], dtype=torch.float64)
    step = torch.tensor([0.0, atol + rtol * abs(base)], dtype=torch.float64)
    rules = Rules(rtol, atol)
    assert compare(expected, expected + step * 0.98, rules).equal
    assert not compare(expected, expected + step * 1.02, rules).equal
    if dtype == torch.float32:  # the defaults, too
        assert compare(expected.float(), (expected + step * 0.9).float(), Rules()).equal
        assert not compare(expected.float(), (expected + step * 1.1).float(), Rules()).equal


def test_relative_to_max_measures_against_the_largest_element():
    expected = torch.tensor([1e8, 1.0])
    actual = torch.tensor([1e8, 2.0])
    assert not compare(expected, actual, Rules()).equal
    assert compare(expected, actual, Rules(relative_to="max")).equal
    assert not compare(expected, torch.tensor([1e8, 1e3]), Rules(relative_to="max")).equal


def test_a_given_tolerance_does_not_loosen_integers():
    report = check_parity(double, lambda x: x * 2 + 1, torch.tensor([1, 2]), rtol=1.0, atol=10.0)
    assert [f.kind for f in report.findings] == ["value"]
    assert check_parity(double, lambda x: x * 2 + 1, torch.tensor([1.0, 2.0]), rtol=1.0, atol=10.0).ok


def test_negative_zero_is_equal_but_not_to_the_last_bit():
    report = check_parity(lambda x: x * 0, lambda x: -x * 0, torch.ones(2))
    assert report.ok and not report.worst.bit_equal and report.worst.max_ulp == 0
    assert report.headline.startswith("equal within tolerance")


# --- nested results, property-based ---------------------------------------------------------------

dtypes = st.sampled_from([*FLOATS, torch.int64, torch.uint8, torch.bool, torch.complex64])


@st.composite
def tensors(draw) -> Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    torch.manual_seed(draw(st.integers(0, 99)))
    t = (torch.randn(shape, dtype=torch.float64) * 3).to(draw(dtypes))
    return t.transpose(0, -1) if t.dim() > 1 and draw(st.booleans()) else t


scalars = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=True), st.text(max_size=3))
nested = st.recursive(
    st.one_of(tensors(), scalars),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
        st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100)
@given(nested)
def test_any_result_equals_its_copy(value):
    result = compare(value, copy.deepcopy(value), Rules(structure="strict"))
    assert result.equal and not result.differences and result.stats.bit_equal


@settings(deadline=None, max_examples=60)
@given(st.lists(tensors().filter(lambda t: t.numel() > 0), min_size=1, max_size=3), st.data())
def test_any_single_perturbation_is_found(values, data):
    which = data.draw(st.integers(0, len(values) - 1))
    original = values[which]
    flat = original.clone().flatten()
    at = data.draw(st.integers(0, flat.numel() - 1))
    if original.dtype == torch.bool:
        flat[at] = ~flat[at]
    else:
        flat[at] = flat[at] * 2 + 1 if flat[at] != -1 else 0
    changed = [*values]
    changed[which] = flat.reshape(original.shape)
    report = check_parity(lambda x: {"all": values}, lambda x: {"all": changed}, torch.ones(1), calls=1)
    assert [(f.kind, f.where.path) for f in report.findings] == [("value", f'out["all"][{which}]')]
    assert report.worst.differing == 1


@settings(deadline=None, max_examples=40)
@given(nested)
def test_a_private_copy_is_equal_and_separate(value):
    twin = private_copy(value)
    assert compare(value, twin, Rules(structure="strict")).equal


def test_a_private_copy_keeps_strides_aliases_and_requires_grad():
    base = torch.arange(12.0).reshape(3, 4)
    grad = torch.ones(3, requires_grad=True)
    value = (base.t(), base[1:], base[:1].expand(2, 4), {"g": grad, "twice": [grad, grad]}, grad * 2)
    left, right, wide, named_part, result = private_copy(value)
    assert left.stride() == base.t().stride() and wide.stride() == (0, 1)
    left[0, 1] = 77.0
    assert right[0, 0] == 77.0 and base[1, 0] == 4.0
    assert named_part["twice"][0] is named_part["g"] is not grad
    assert named_part["g"].requires_grad and result.requires_grad and result.is_leaf


# --- everything is as it was ----------------------------------------------------------------------


def _snapshot(module: nn.Module) -> Any:
    return {
        "state": {k: (id(v), v.clone()) for k, v in module.state_dict(keep_vars=True).items()},
        "flags": [m.training for m in module.modules()],
    }


def _unchanged(before: Any, module: nn.Module) -> bool:
    after = _snapshot(module)
    return before["flags"] == after["flags"] and all(
        i == after["state"][k][0] and torch.equal(v, after["state"][k][1]) for k, (i, v) in before["state"].items()
    )


@pytest.mark.parametrize("options", [{}, {"modes": ("train", "eval")}, {"grads": True}])
def test_modules_and_random_states_are_put_back(options):
    model = nn.Sequential(Norm(), Drop().eval(), nn.Linear(3, 3), Tally())
    scripted = script(model)
    before, scripted_before = _snapshot(model), _snapshot(scripted)

    def draw():
        return random.random(), float(np.random.rand()), torch.rand(2).tolist()

    def reseed():
        random.seed(3)
        np.random.seed(3)
        torch.manual_seed(3)

    reseed()
    expected = draw()
    reseed()
    assert check_parity(model, scripted, [x43, x23], **options).ok
    assert draw() == expected
    assert _unchanged(before, model) and _unchanged(scripted_before, scripted)
    assert model[3].calls == 0 and getattr(scripted, "3").calls == 0
    assert all(p.grad is None for p in model.parameters())


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 4), st.sampled_from([("as_is",), ("train",), ("eval", "train")]), st.booleans())
def test_state_is_put_back_whatever_the_calls(calls, modes, raising):
    model = nn.Sequential(Norm(), Tally())
    for flag, module in zip((True, False, True, False), model.modules(), strict=True):
        module.training = flag
    before = _snapshot(model)

    def candidate(x):
        model(x)
        if raising:
            raise ValueError("after the state has changed")
        return x

    report = check_parity(model, candidate, x43, calls=calls, modes=modes)
    assert not report.ok
    assert _unchanged(before, model) and model[1].calls == 0


def test_attributes_lists_and_edited_weights_are_put_back():
    model, twin = History(), Clamps()
    log = model.log
    assert check_parity(model, copy.deepcopy(model), x23).ok
    assert model.log is log and log == ["start"] and not hasattr(model, "last")
    assert check_parity(twin, twin, torch.ones(2)).ok
    assert twin.w.tolist() == [3.0, -3.0]


def test_a_weight_too_large_to_copy_is_reported():
    report = check_parity(Clamps(), Clamps(), torch.ones(2), snapshot_mib=0)
    spoilt = [f for f in report.findings if f.kind == "state"]
    assert spoilt and "not restored" in spoilt[0].detail and "snapshot_mib" in spoilt[0].hint


def test_shared_buffers_do_not_leak_from_one_side_to_the_other():
    model = Inplace()
    traced = trace(model, x23)
    assert traced.seen is model.seen
    model.seen.zero_()
    report = check_parity(model, traced, torch.ones(2), calls=3)
    assert report.ok and report.worst.bit_equal and model.seen.item() == 0


def test_each_side_goes_on_from_its_own_state():
    model, given = Tally(), []
    twin = script(model)

    def reference(x):
        given.append((float(model(x)[0]), "reference"))

    def candidate(x):
        given.append((float(twin(x)[0]), "candidate"))

    check_parity(reference, candidate, [torch.zeros(1), torch.zeros(1)], calls=3)
    steps = [(value, side) for value in (2.0, 4.0, 6.0) for side in ("reference", "candidate")]
    assert given == steps * 2  # the second case begins anew


def test_a_result_that_is_the_state_itself_is_compared_as_it_was_returned():
    class Returns(nn.Module):
        def __init__(self, step):
            super().__init__()
            self.step = step
            self.register_buffer("total", torch.zeros(1))

        def forward(self, x):
            self.total += self.step
            return self.total

    assert check_parity(Returns(1), Returns(1), x23).ok
    report = check_parity(Returns(1), Returns(2), x23)
    values = [f for f in report.findings if f.kind == "value"]
    assert values[0].reference == "[1]" and values[0].candidate == "[2]"


def test_inputs_are_not_touched():
    x, items = x23.clone(), [x23.clone()]
    check_parity(edits, edits, x)
    check_parity(appends, appends, [(items,)])
    assert torch.equal(x, x23) and len(items) == 1


def test_it_runs_under_inference_mode():
    with torch.inference_mode():
        model = Tally()
        assert check_parity(model, script(model), torch.ones(2, 3)).ok
        assert model.inplace.item() == 0


def test_only_the_calls_asked_for_are_made():
    made = []

    def count(x):
        made.append(1)
        return x * 2

    report = check_parity(count, double, [x23, x43], calls=2, modes=("as_is", "no_grad"))
    assert len(made) == 8 and report.calls == 8 and report.cases == 2 and report.compared == 8
    made.clear()

    def count_random(x):
        made.append(1)
        return x + torch.rand(3)

    check_parity(count_random, noise_row, [x23, x43], calls=2)
    assert len(made) == 5  # one more, with another seed


def noise_row(x):
    return x + torch.rand(3)


class CountsByAssignment(nn.Module):
    def __init__(self, start: Any) -> None:
        super().__init__()
        self.calls = start

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x * self.calls


class CountsInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return x * self.calls


class CountsInAList(nn.Module):
    names: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.names = []

    def forward(self, x: Tensor) -> Tensor:
        self.names.append(1)
        return x * len(self.names)


class CountsBelow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Sequential(CountsByAssignment(0), CountsInPlace())

    def forward(self, x: Tensor) -> Tensor:
        return self.steps(x)


COUNTING = {
    "int": lambda: CountsByAssignment(0),
    "float": lambda: CountsByAssignment(0.0),
    "plain tensor": lambda: CountsByAssignment(torch.zeros(1)),
    "plain tensor in place": CountsInPlace,
    "list": CountsInAList,
    "below": CountsBelow,
}
FORMS = {
    "scripted": lambda model: script(model.eval()),
    "frozen": freeze,
    "frozen in an eager module": lambda model: nn.Sequential(freeze(model)).eval(),
    "optimised": lambda model: torch.jit.optimize_for_inference(script(model.eval())),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", COUNTING)
def test_attributes_of_compiled_modules_are_seen_and_put_back(kind, form):
    model, candidate = COUNTING[kind]().eval(), FORMS[form](COUNTING[kind]())
    inputs = [torch.ones(1), torch.full((1,), 2.0)]
    for check_state in (True, False):
        assert check_parity(model, candidate, inputs, check_state=check_state).ok
    assert torch.equal(candidate(torch.ones(1)), torch.ones(1))  # as fresh as it came
    moved = check_parity(model, candidate, inputs, check_state=False)
    assert [finding.where.call for finding in moved.findings][:1] == [1]


@pytest.mark.parametrize("kind", COUNTING)
def test_an_attribute_that_only_one_side_moves_is_found(kind):
    class Still(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 1

    found = check_parity(freeze(COUNTING[kind]()), Still().eval(), torch.ones(1), calls=1).findings
    assert {finding.kind for finding in found} == {"state"}


# --- what the report says -------------------------------------------------------------------------


def test_first_lines():
    assert str(check_parity(double, double, x23)).startswith("bitwise identical; 1 case, 3 pairs of calls, 3 tensors")
    text = check_parity(double, lambda x: x * 2 + 1e-6, x23).text()
    assert text.startswith("equal within tolerance (max abs ") and "rtol 1.3e-06, atol 1e-05)" in text
    assert check_parity(double, scaled(3), x23).text().startswith("DIFFERENT: 1 finding; ")
    assert check_parity(refuses, refuses, x23).text().startswith("no difference found, but no value was compared")


def test_a_finding_is_shown_at_its_smallest_input():
    report = check_parity(
        branch,
        trace(branch, torch.ones(2)),
        [-torch.ones(9), Case((-torch.ones(2),), name="two"), torch.ones(2)],
    )
    (finding,) = report.findings
    assert finding.kind == "value" and finding.where.case == "two" and finding.where.call == 1
    assert finding.reference == "[-3, -3]" and finding.candidate == "[-2, -2]"
    assert finding.input == "float32[2] = [-1, -1]"
    assert len(finding.also) == 5 and {w.case for w in finding.also} == {"input 1", "two"}
    assert "same in 1 other case" in report.text()


def test_a_finding_names_the_path_and_the_worst_element():
    def planted(x):
        return {"scores": [x, torch.where(x == x.max(), x + 0.25, x)]}

    (finding,) = check_parity(lambda x: {"scores": [x, x]}, planted, x43).findings
    assert finding.where.path == 'out["scores"][1]'
    assert finding.reference == "2 at [3, 2]" and finding.candidate == "2.25 at [3, 2]"
    assert "1 of 12 elements" in finding.detail and "differ by 0.25" in finding.detail


def test_a_later_call_is_pointed_out():
    (finding,) = check_parity(double, once([2, 2, 3]), x23).findings
    assert finding.where.call == 3 and finding.hint.startswith("Call 1 agrees")


def test_many_findings_stay_within_25_lines():
    report = check_parity(lambda x: [x] * 40, lambda x: [x + 1] * 40, x23)
    assert len(report.findings) == 40 and len(report.text().splitlines()) <= 25
    assert "more findings in .findings" in report.text()
    assert report._repr_html_().count("<tr>") == 13


def test_html_is_plain_escaped_and_the_same_each_time():
    def build():
        return check_parity(lambda x: "<b>", lambda x: "</b>", x23)._repr_html_()

    page = build()
    assert page == build()
    assert "<script" not in page and "&lt;b&gt;" in page and "http" not in page and "color:#" not in page


def test_a_report_is_neither_true_nor_false():
    for report in (check_parity(double, double, x23), check_parity(double, scaled(3), x23)):
        with pytest.raises(TypeError, match=r"a ParityReport is neither true nor false; ask its \.ok"):
            bool(report)


def test_assert_parity_raises_with_the_report():
    with pytest.raises(ParityError, match="DIFFERENT: 1 finding") as caught:
        assert_parity(double, scaled(3), x23)
    assert isinstance(caught.value, AssertionError) and isinstance(caught.value, CourseError)
    assert str(caught.value) == caught.value.report.text()
    assert assert_parity(double, double, x23).ok


@pytest.mark.parametrize(
    ("reference", "candidate", "inputs", "words"),
    [
        (scaled(0), scaled(0.0), x23, "all zero"),
        (lambda x: x / 0 * 0, lambda x: x / 0 * 0, x23, "all NaN"),
        (lambda x: "text", lambda x: "text", x23, "no tensor was compared"),
        (lambda x: x > 0, lambda x: x > 0, x23, "no floating-point value"),
        (lambda x: x[:0], lambda x: x[:0], x23, "all empty"),
        (lambda x: torch.ones(2), lambda x: torch.ones(2), [x23, x43], "all cases give the same output"),
        (double, double, x23, "same object"),
        (refuses, refuses, x23, "every call raised"),
        (
            refuses,
            refuses,
            [x23, x43],
            "both raise on 2 cases, such as input 1: reference ValueError: not today; candidate",
        ),
        (nn.Linear(3, 3).train(), nn.Linear(3, 3).eval(), x23, "train mode, the candidate in eval mode"),
        (Ordered(), Outputs(), x23, "different class of dict"),
    ],
)
def test_a_check_that_says_little_says_so(reference, candidate, inputs, words):
    assert any(words in note for note in check_parity(reference, candidate, inputs).notes)


def test_a_full_check_has_no_notes():
    model = Mlp()
    assert check_parity(model, script(model), [x23, x43]).notes == ()


def test_freezing_is_a_note_unless_gradients_matter():
    model = seeded(Mlp)
    frozen = freeze(model)
    report = check_parity(model, frozen, x23)
    assert report.ok and any("requires_grad" in n for n in report.notes)
    assert {f.kind for f in check_parity(model, frozen, x23, grads=True).findings} == {"grad"}


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "kind", "words"),
    [
        ([], ValueError, "at least one case"),
        ((), ValueError, "at least one case"),
        (3, TypeError, "Wrap a single argument"),
        ([x23, {"x": x23}], TypeError, "Case"),
        (None, TypeError, "a case is a Tensor"),
        (((i for i in range(3)),), TypeError, "cannot be copied"),
    ],
)
def test_unusable_inputs_say_what_to_do(inputs, kind, words):
    with pytest.raises(kind, match=words):
        check_parity(double, double, inputs)


def test_unusable_options_say_what_to_do():
    with pytest.raises(TypeError, match="give a module or a function"):
        check_parity(3, double, x23)
    with pytest.raises(TypeError, match="the candidate"):
        check_parity(double, None, x23)
    for options in (
        {"modes": ("evil",)},
        {"modes": ("eval+train",)},
        {"modes": ()},
        {"calls": 0},
        {"structure": "x"},
    ):
        with pytest.raises(ValueError):
            check_parity(double, double, x23, **options)
    with pytest.raises(TypeError, match="tuple"):
        Case(x23)
    with pytest.raises(ValueError, match="call it once"):
        check_parity(nn.LazyLinear(3), double, x23)


# --- real models ----------------------------------------------------------------------------------


def test_a_resnet_scripted_to_the_last_bit_and_frozen_within_tolerance():
    from torchvision.models.resnet import BasicBlock, ResNet

    model = seeded(lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    before = _snapshot(model)
    x = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    report = check_parity(model, script(model), x, modes=("eval", "train"), calls=2)
    assert report.worst.bit_equal, report.text()
    report = check_parity(model, freeze(model), x, modes=("eval+no_grad",))
    assert report.ok and not report.worst.bit_equal and report.worst.max_ulp > 0
    assert {f.kind for f in check_parity(model, freeze(model), x, modes=("train",), calls=1).findings} >= {
        "mode",
        "value",
    }
    assert _unchanged(before, model)


def test_exported_programs_can_be_candidates():
    model = Mlp().eval()
    program = torch.export.export(model, (x23,)).module()
    assert check_parity(model, program, x23).ok
    report = check_parity(model, program, x23, modes=("train",))
    assert "mode" in {f.kind for f in report.findings}
