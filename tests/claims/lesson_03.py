"""Claims of lesson 03, each with variants that could break it."""

# No `from __future__ import annotations`: functions here are scripted.

import random
import subprocess
import sys
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.tools.divergence import find_divergence
from course_utils.tools.parity import check_parity
from tests.claims import claim

LESSON = "notebooks/03_control_flow_pitfalls.ipynb"
ONES, MINUS = torch.ones(2), -torch.ones(2)


def traced_with_warnings(function: Any, example: Any) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        traced = torch.jit.trace(function, example, check_trace=False)
    return traced, [str(w.message) for w in seen if issubclass(w.category, torch.jit.TracerWarning)]


def is_silent(function: Any, example: Any, other: Any) -> bool:
    """No warning, and a result that differs from eager's on the other input."""
    traced, said = traced_with_warnings(function, example)
    one, two = traced(other), function(other)
    return not said and not (one.dtype == two.dtype and one.shape == two.shape and torch.equal(one, two))


def route(x: Tensor) -> Tensor:
    if x.mean() > 0:
        if x.max() > 2:
            return x.clamp(max=2)
        return x * 10
    return -x


def fails_with(inputs: list[Tensor]) -> bool:
    try:
        torch.jit.trace(route, torch.tensor([1.0, 0.0]), check_inputs=[(x,) for x in inputs])
    except torch.jit.TracingCheckError:
        return True
    return False


@claim(
    f"{LESSON}#c5ef07318",
    "An input that takes another path makes tracing *fail*; an input that takes the same path changes nothing.",
    was="more inputs make tracing fail",
)
def check_inputs() -> None:
    assert fails_with([torch.tensor([9.0, 1.0])])
    assert fails_with([torch.tensor([-1.0, -2.0])])
    assert not fails_with([torch.tensor([0.5, 0.0]), torch.tensor([1.0, 1.5])])


@claim(f"{LESSON}#cbe797465", "one path, the one its example took; no list of examples changes that")
def one_path() -> None:
    inputs = [torch.tensor([1.0, 0.0]), torch.tensor([9.0, 1.0]), torch.tensor([-1.0, -2.0])]
    for example in inputs:
        traced, _ = traced_with_warnings(route, example)
        assert torch.equal(traced(example), route(example))
        assert sum(not torch.equal(traced(x), route(x)) for x in inputs) >= 1
        assert not [node for node in traced.graph.nodes() if node.kind() == "prim::If"]


@claim(f"{LESSON}#silent-questions-why", "The other three return a Python `bool` from inside torch")
@claim(
    f"{LESSON}#cbe797465",
    "among others `torch.equal`, `torch.allclose`, `torch.is_nonzero`",
    was="an `if` on a value warns",
)
def questions_from_inside_torch() -> None:
    questions = [
        lambda x: torch.equal(x, x.abs()),
        lambda x: x.equal(x.abs()),
        lambda x: torch.allclose(x, x.abs()),
        lambda x: torch.is_nonzero(x.sum() > 0),
    ]
    for question in questions:
        assert isinstance(question(ONES), bool)
        assert is_silent(lambda x, ask=question: x * 2 if ask(x) else x * 3, ONES, MINUS)
    assert not is_silent(lambda x: x * 2 if bool(x.sum() > 0) else x * 3, ONES, MINUS)


@claim(f"{LESSON}#silent-questions-why", "and use `where` on it")
def compared_elementwise() -> None:
    def chosen(x: Tensor) -> Tensor:
        return torch.where((x == x.abs()).all(), x * 2, x * 3)

    traced, said = traced_with_warnings(chosen, ONES)
    assert not said
    for x in (ONES, MINUS, torch.tensor([1.0, -1.0]), torch.zeros(3)):
        assert torch.equal(traced(x), chosen(x))


@claim(
    f"{LESSON}#cbe797465",
    "a value that leaves a tensor through `if`, `while`, `int`, `float`, `.item()`, `.numpy()`, `len` or iteration",
    was="every value that leaves a tensor warns",
)
def what_warns() -> None:
    def halved(x: Tensor) -> Tensor:
        while x.abs().max() > 1:
            x = x / 2
        return x

    leaving = [
        lambda x: x * 2 if x.sum() > 0 else x,
        halved,
        lambda x: x * int(x.sum()),
        lambda x: x * float(x.sum()),
        lambda x: x * x.sum().item(),
        lambda x: torch.from_numpy(x.numpy() * 2),
        lambda x: x * len(x),
        lambda x: sum(row for row in x),
    ]
    for function in leaving:
        assert traced_with_warnings(function, ONES)[1]


@claim(f"{LESSON}#cc197dc7d", "a loop whose end depends on the data is unrolled as often as it ran for the example")
def while_is_unrolled() -> None:
    def halved(x: Tensor) -> Tensor:
        while x.abs().max() > 1:
            x = x / 2
        return x

    for start, steps in ((8.0, 3), (2.0, 1), (0.5, 0)):
        traced, _ = traced_with_warnings(halved, torch.tensor([start]))
        assert sum(node.kind() == "aten::div" for node in traced.graph.nodes()) == steps


@claim(f"{LESSON}#ccd2e43ec", "`where` computes both sides, and differentiates both.")
def where_differentiates_both() -> None:
    for infinite in (torch.sqrt, torch.log, lambda x: x.pow(0.5)):
        x = torch.tensor([0.0, 4.0], requires_grad=True)
        torch.where(x > 0, infinite(x), x).sum().backward()
        assert x.grad is not None and x.grad[0].isnan() and not x.grad[1].isnan()


@claim(f"{LESSON}#ce23c4ea5", "The output is a constant, whatever the input is.")
def through_numpy() -> None:
    for through in (
        lambda x: torch.from_numpy(x.numpy() * 2),
        lambda x: torch.tensor(x.numpy() + 1),
        lambda x: torch.as_tensor(x.numpy().mean()),
    ):
        traced, _ = traced_with_warnings(through, ONES)
        assert torch.equal(traced(MINUS), traced(torch.zeros(2)))


@claim(f"{LESSON}#c507a94eb", "This trace raises; most wrong traces return a result.", was="this trace fails aloud")
def pieces() -> None:
    for rows in (1, 3, 5):
        traced, _ = traced_with_warnings(lambda x: sum(row for row in x), torch.ones(2, 2))
        try:
            traced(torch.ones(rows, 2))
        except RuntimeError:
            continue
        raise AssertionError(rows)


@claim(f"{LESSON}#c507a94eb", "There is no warning. Two steps were recorded", was="from here on nothing warns")
def silent_range() -> None:
    def decayed(x: Tensor) -> Tensor:
        state = torch.zeros_like(x[0])
        for t in range(x.shape[0]):
            state = state * 0.5 + x[t]
        return state

    for rows in (3, 4, 6):
        assert is_silent(decayed, torch.ones(2, 1), torch.ones(rows, 1))
    traced, _ = traced_with_warnings(decayed, torch.ones(2, 1))
    assert sum(node.kind() == "aten::mul" for node in traced.graph.nodes()) == 2


@claim(f"{LESSON}#c60cb5526", "`dim()` returns a Python number, so no tensor is converted.")
def silent_questions_about_a_tensor() -> None:
    assert is_silent(lambda x: x * 2 if x.dim() == 1 else x, ONES, torch.ones(2, 2))
    assert is_silent(lambda x: x * 2 if x.ndim == 1 else x, ONES, torch.ones(2, 2))
    assert is_silent(lambda x: x * 2 if x.dtype == torch.float32 else x, ONES, ONES.double())
    assert is_silent(lambda x: x * 2 if x.is_contiguous() else x, torch.ones(2, 3), torch.ones(3, 2).mT)


@claim(f"{LESSON}#c9fc41892", "Dimension 1, recorded as a constant")
def negative_dimension() -> None:
    for shape, other in (((2, 4), (3, 2, 4)), ((4,), (2, 4)), ((2, 3, 4), (3, 4))):
        traced, said = traced_with_warnings(lambda x: x / x.shape[-1], torch.ones(shape))
        assert not said and f"torch.size(x, {len(shape) - 1})" in traced.code
        try:
            assert not torch.equal(traced(torch.ones(other)), torch.ones(other) / other[-1])
        except (IndexError, RuntimeError):
            assert len(other) < len(shape)


@claim(f"{LESSON}#c60cb5526", "`new_zeros` reads both from the tensor at run time")
def constants_of_the_example() -> None:
    for dtype in (torch.float16, torch.float64, torch.int64):
        x = torch.ones(2, dtype=dtype)
        baked, _ = traced_with_warnings(lambda x: torch.zeros(1, dtype=x.dtype, device=x.device), ONES)
        asked, _ = traced_with_warnings(lambda x: x.new_zeros(1), ONES)
        assert baked(x).dtype == torch.float32 and asked(x).dtype == dtype


class Exposure(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if self.training else x * 1


@claim(f"{LESSON}#c1c1a7a3b", "a Python value that tracing reads once. Scripting keeps the branch")
def flags() -> None:
    for mode in (True, False):
        model = Exposure().train(mode)
        traced, said = traced_with_warnings(model, ONES)
        assert not said
        scripted = torch.jit.script(model)
        for other in (True, False):
            factor = 2 if other else 1
            assert torch.equal(traced.train(other)(ONES), ONES * (2 if mode else 1))
            assert torch.equal(scripted.train(other)(ONES), ONES * factor)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))


class Assigned(Counter):
    def forward(self, x: Tensor) -> Tensor:
        self.steps = self.steps + 1
        return x * self.steps


class InPlace(Counter):
    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        return x * self.steps


class Copied(Counter):
    def forward(self, x: Tensor) -> Tensor:
        self.steps.copy_(self.steps + 1)
        return x * self.steps


@claim(f"{LESSON}#c1c1a7a3b", "is not recorded, here as in a")
def assignments_to_self() -> None:
    for kind, counts in ((Assigned, False), (InPlace, True), (Copied, True)):
        traced, said = traced_with_warnings(kind(), ONES)
        first, second = traced(ONES), traced(ONES)
        assert not said and (second[0] == first[0] + 1) == counts


@claim(f"{LESSON}#cb8c78fe2", "`+=` changes it under every name it has", was="for everyone who holds it")
def sizes_in_place() -> None:
    def plus(x: Tensor) -> Tensor:
        n = x.shape[0]
        longer = n
        longer += 2
        return torch.zeros(n)

    def times(x: Tensor) -> Tensor:
        n = x.shape[0]
        longer = n
        longer *= 3
        return torch.zeros(n)

    def by_sum(x: Tensor) -> Tensor:
        n = x.shape[0]
        longer = n
        longer = longer + 2
        return torch.zeros(n)

    for function, length in ((plus, 4), (times, 6), (by_sum, 2)):
        traced, said = traced_with_warnings(function, ONES)
        assert not said and traced(ONES).shape == (length,)


def root(x: Tensor) -> Tensor:
    assert bool(x.min() >= 0), "negative"
    return x.sqrt()


@claim(f"{LESSON}#c42274cb2", "Scripting keeps the assert, and raises `torch.jit.Error`.")
def asserts() -> None:
    traced, said = traced_with_warnings(root, ONES)
    assert said and traced(MINUS).isnan().all()
    scripted = torch.jit.script(root)
    assert torch.equal(scripted(ONES), ONES)
    for x in (MINUS, torch.tensor([1.0, -1.0])):
        try:
            scripted(x)
        except torch.jit.Error:
            continue
        raise AssertionError(x)


@claim(f"{LESSON}#c42274cb2", "The values match, but the gradient is three times too large.")
def no_grad_inside() -> None:
    def straight(x: Tensor) -> Tensor:
        with torch.no_grad():
            y = x * 2
        return y + x

    def detached(x: Tensor) -> Tensor:
        return (x * 2).detach() + x

    def slope(function: Any) -> float:
        x = torch.ones(1, requires_grad=True)
        function(x).sum().backward()
        assert x.grad is not None
        return x.grad.item()

    assert (slope(straight), slope(detached)) == (1.0, 1.0)
    assert slope(traced_with_warnings(straight, torch.ones(1))[0]) == 3.0
    assert slope(traced_with_warnings(detached, torch.ones(1))[0]) == 1.0


def noisy(x: Tensor) -> Tensor:
    torch.rand(3)
    return x + torch.rand(1)


@claim(f"{LESSON}#c826ffc2e", "A scripted function drops it too")
def unused_random_numbers() -> None:
    def drawn(function: Any) -> float:
        torch.manual_seed(0)
        return function(torch.zeros(1)).item()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = torch.rand(1).item()
        torch.manual_seed(0)
        fourth = torch.rand(4)[3].item()
        assert (drawn(noisy) == first) is False
        assert drawn(torch.jit.script(noisy)) == first
        assert drawn(traced_with_warnings(noisy, torch.zeros(1))[0]) == first
        assert first != fourth


@claim(f"{LESSON}#c826ffc2e", "A random *tensor* comes from an operator, and every call draws it again")
def numbers_drawn_in_python() -> None:
    with torch.random.fork_rng(devices=[]):
        for function, moves in (
            (lambda x: x * random.random(), False),
            (lambda x: x * random.uniform(1, 2), False),
            (lambda x: x * torch.rand(()), True),
            (lambda x: x + torch.randn(2), True),
        ):
            traced, said = traced_with_warnings(function, ONES)
            assert not said and torch.equal(traced(ONES), traced(ONES)) != moves


@claim(
    f"{LESSON}#c06443caa",
    "the process survives an index out of range, such as `x[10]`",
    was="it happens when an error of an operator is caught",
)
def caught_errors() -> None:
    def survives(line: str) -> bool:
        program = (
            "import torch\ndef f(x):\n    try:\n        return " + line + "\n    except (RuntimeError, IndexError):\n"
            "        return x * 0\ntorch.jit.trace(f, torch.ones(3), check_trace=False)\nprint('end')\n"
        )
        command = [sys.executable, "-W", "ignore", "-c", program]
        return "end" in subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    assert not survives("x.view(2, 2)")
    assert survives("x[10]")


@claim(
    f"{LESSON}#cbe797465",
    "that the trace agrees with eager and with a second trace on this input, and nothing about other inputs",
    was="that recording is repeatable, not that it is right",
)
def check_trace() -> None:
    def says(function: Any) -> bool:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                torch.jit.trace(function, ONES)
            except torch.jit.TracingCheckError:
                return True
        return any("Output nr" in str(w.message) for w in seen)

    def ramp(x: Tensor) -> Tensor:
        n = x.shape[0]
        longer = n
        longer += 2
        return torch.arange(longer) / n

    assert says(ramp)  # another result than eager, in every recording
    assert says(lambda x: x * random.random())  # another recording
    assert not says(lambda x: x * 2 if x.sum() > 0 else x * 3)  # wrong for other inputs


@claim(f"{LESSON}#c9a704cc2", "If the two models are equal, the search reports what it tried")
def searches() -> None:
    quiet = torch.tensor([1.0, 0.0])
    assert find_divergence(route, traced_with_warnings(route, quiet)[0], quiet).found is not None
    assert find_divergence(route, torch.jit.script(route), quiet).found is None
    assert find_divergence(route, route, quiet).found is None


@claim(
    f"{LESSON}#c4bbf153a",
    "the compiler rejects much of what it cannot keep",
    was="tracing takes everything, the compiler refuses what it cannot keep",
)
def what_the_compiler_rejects() -> None:
    for function in (caught, with_else, two_types):
        try:
            torch.jit.script(function)
        except Exception:
            continue
        raise AssertionError(function)
    # It keeps this one, and changes it silently: see `unused_random_numbers`.
    assert check_parity(root, torch.jit.script(root), [ONES]).ok
    try:
        torch.jit.trace(lambda n: torch.ones(n), 3)
    except Exception:
        return
    raise AssertionError("tracing took an int")


def caught(x: Tensor) -> Tensor:
    try:
        return x.view(2, 2)
    except RuntimeError:
        return x


def with_else(x: Tensor) -> Tensor:
    for _ in range(3):
        x = x + 1
    else:
        x = x * 2
    return x


def two_types(x: Tensor):
    return x if x.sum() > 0 else 1.0
