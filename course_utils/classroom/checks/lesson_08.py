"""What right answers to the exercises of lesson 08 must do. The pairs, models and archives here are hidden ones."""

# No `from __future__ import annotations`: the models here are scripted.

import contextlib
import copy
import io
import os
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for
from course_utils.classroom.checks.shared import NOTHING, noise
from course_utils.classroom.models import randomise_statistics

# Its first call imports a good part of torch, for seconds; that is not to count against the time limit of an answer.
torch.testing.assert_close(torch.zeros(1), torch.zeros(1))


def _trace(module: nn.Module, *example: Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        return torch.jit.trace(module, example, check_trace=False)


def _short(value: Any) -> str:
    from course_utils.core.values import brief

    return brief(value)


# --- 08.1 ------------------------------------------------------------------------------------------------------------


class _Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            return x * 2
        return x * 3


class _Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class _OnePercent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2.02


class _Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() < 0):
            raise ValueError("negative")
        return x * 2


class _Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.full((1,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class _Row(nn.Module):
    """The same numbers with a dimension more."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 2).unsqueeze(0)


class _Wide(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 2).double()


class _Cleaned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 2).nan_to_num(0.0)


class _Edits(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x += 1
        return (x - 1) * 2


class _Spares(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + 1 - 1) * 2


class _Count(nn.Module):
    """Its result never shows the buffer."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(self.by)
        return x * 2


class _Second(nn.Module):
    """The first result is right; the next is scaled when `steady` is False. The buffer is not persistent."""

    def __init__(self, steady: bool) -> None:
        super().__init__()
        self.steady, self.n = steady, 0

    def forward(self, x: Tensor) -> Tensor:
        self.n += 1
        if self.n > 1 and not self.steady:
            return x * 2.5
        return x * 2


class _Running(nn.Module):
    """Uses its buffer, which a scripted module shares with it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.total.add_(1.0)
        return x + self.total


class _OneOrder(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 0.1 + x * 0.7) + x * 0.3


class _OtherOrder(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0.1 + (x * 0.7 + x * 0.3)


class _Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * 2, x.argmax(-1)


def _differing() -> Iterator[tuple[str, nn.Module, nn.Module, list[Tensor]]]:
    x = noise(2, 3, seed=1) + 0.5
    drop = nn.Dropout(0.5).eval()
    holes = torch.tensor([[1.0, torch.nan, 2.0]])
    yield "the second input takes another branch", _Branch(), _trace(_Branch(), x), [x, -x]
    yield "the result has a dimension more", _Double(), _Row(), [x]
    yield "the result is float64", _Double(), _Wide(), [x]
    yield "dropout does nothing in train mode", drop, _trace(drop, x), [x]
    yield "NaN becomes 0", _Double(), _Cleaned(), [x, holes]
    yield "the input is changed in place", _Spares(), _Edits(), [x]
    yield "a buffer is left with a different value", _Count(1.0), _Count(2.0), [x]
    train = nn.Dropout(0.5).train()
    yield "the trace keeps dropout in eval mode", train, _trace(train, x), [x]
    yield "the result is off by one per cent", _Double(), _OnePercent(), [x]
    yield "the converted one raises for the second input", _Double(), torch.jit.script(_Raises()), [x, -x]
    yield "the second call returns a different result", _Second(True), torch.jit.script(_Second(False)), [x]


def _agreeing() -> Iterator[tuple[str, nn.Module, nn.Module, list[Tensor]]]:
    x = noise(2, 3, seed=2) + 0.5
    holes = torch.tensor([[1.0, torch.nan, torch.inf]])
    running, normal = _Running(), nn.BatchNorm1d(3)
    drop = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    yield "a scripted branch", _Branch(), torch.jit.script(_Branch()), [x, -x]
    yield "a sum in another order", _OneOrder(), _OtherOrder(), [x * 100, x]
    yield "NaN and inf on both sides", _Double(), torch.jit.script(_Double()), [holes, x]
    yield "dropout, which is random in train mode", drop, torch.jit.script(drop), [x]
    yield "a buffer that both share", running, torch.jit.script(running), [x, x]
    yield "batch normalisation, scripted", normal, torch.jit.script(normal), [x, x * 3]
    yield "an input that both change", _Edits(), torch.jit.script(_Edits()), [x, x]
    yield "a buffer that the converted one no longer has", _Scaled(), torch.jit.script(_Double()), [x]
    yield "a tuple of floats and integers, and an empty batch", _Two(), torch.jit.script(_Two()), [x, x[:0]]


@check_for("08.1")
def a_check_of_your_own(answer: Any) -> None:
    """A function (model, converted, inputs) → bool that distinguishes pairs that differ from pairs that agree."""
    torch.manual_seed(0)
    for build, expected in ((_differing, False), (_agreeing, True)):
        for name, model, converted, inputs in build():
            before = [_state(side) for side in (model, converted)]
            given = [x.clone() for x in inputs]
            said = answer(model, converted, given)
            if said is None:
                raise NotYet(NOTHING, look_at="each way through it: it ends in True or False")
            if bool(said) != expected:
                if expected:
                    raise NotYet(
                        f"A false alarm: these two agree, and your function says that they differ ({name}).",
                        seen={"inputs": "; ".join(map(_short, inputs)), "yours": said},
                        look_at=_LOOK_AT.get(name, "whether each side starts from its own copy, and the same seed"),
                    )
                raise NotYet(
                    f"Not seen: {name}, and your function says that the two agree.",
                    seen={"inputs": "; ".join(map(_short, inputs)), "yours": said},
                    look_at=_LOOK_AT.get(name, "which of the conditions of the task your function asks about"),
                )
            if any(old != _state(side) for old, side in zip(before, (model, converted), strict=True)):
                raise NotYet(
                    f"Your function changes the modules that it compares (the pair: {name}).",
                    seen={"changed": "a buffer, or train/eval mode"},
                    look_at="what `train` and a call change in a module, and whether it is the caller's",
                )
            for x, left in zip(inputs, given, strict=False):
                if not torch.equal(x.nan_to_num(), left.nan_to_num()):
                    raise NotYet(
                        f"Your function changes the inputs that it was given (the pair: {name}).",
                        seen={"given": _short(x), "afterwards": _short(left)},
                        look_at="what a module that works in place writes into: the tensor in `inputs`, or a copy",
                    )


_LOOK_AT = {
    "the second input takes another branch": "whether every one of `inputs` is given to both",
    "the result has a dimension more": "what your comparison does with shapes: `allclose` broadcasts",
    "the result is float64": "what your comparison does with dtypes",
    "dropout does nothing in train mode": "the modes in which you run the two",
    "the trace keeps dropout in eval mode": "the modes in which you run the two: train and eval",
    "the result is off by one per cent": "your tolerance: a rounding is far smaller than this",
    "the converted one raises for the second input": "what your function returns when one side raises",
    "a buffer that the converted one no longer has": "the task: only buffers that both have are compared",
    "NaN becomes 0": "an input with NaN is among `inputs`: what does your comparison say about NaN and 0",
    "the input is changed in place": "the input after the call, beside the input before it",
    "a buffer is left with a different value": "`named_buffers` of both, after the calls",
    "the second call returns a different result": "how often you call each side, and whether it is the same copy",
    "a sum in another order": "your tolerance: the two differ by a rounding",
    "NaN and inf on both sides": "what your comparison says about NaN in the same place: `equal_nan`",
    "dropout, which is random in train mode": "the seed that each side starts from",
    "a buffer that both share": "whether the call of one side moves the buffer of the other",
    "an input that both change": "whether the second side gets an input that the first has not changed",
}


def _state(module: nn.Module) -> Any:
    buffers = {name: b.tolist() for name, b in module.named_buffers()}
    return buffers, [m.training for m in module.modules()]


# --- 08.2 ------------------------------------------------------------------------------------------------------------


def _network(dtype: torch.dtype, scale: float, seed: int) -> nn.Sequential:
    """Convolutions with normalisation, and a last layer that gives outputs of about this size."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for channels in (3, 16, 16, 16):
        layers += [nn.Conv2d(channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)).eval()
    randomise_statistics(model, seed)
    with torch.no_grad():
        head = model[-1]
        # Half of the outputs are sums that cancel, and lie near zero.
        head.bias.normal_()
        probe = model(noise(16, 3, 8, 8, seed=seed)).mean(0)
        head.bias[::2] -= probe[::2]
        head.weight.mul_(scale)
        head.bias.mul_(scale)
    return model.to(dtype)


def _honest(model: nn.Sequential, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "float64 arithmetic", copy.deepcopy(model).double()(x.double()).to(x.dtype)
    yield "one image at a time", torch.cat([model(row[None]) for row in x])
    folded = copy.deepcopy(model)
    for i in (0, 3, 6, 9):
        folded[i] = torch.nn.utils.fuse_conv_bn_eval(folded[i], folded[i + 1])
        folded[i + 1] = nn.Identity()
    yield "folded normalisation", folded(x)
    out = model(x)
    yield "a deeper model, 4 eps of the greatest output", out + 4 * torch.finfo(out.dtype).eps * out.abs().max()


def _planted(model: nn.Sequential, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    coarse = x.dtype == torch.bfloat16
    wrong = copy.deepcopy(model)
    wrong[-1].bias.zero_()
    yield "a bias that is lost", wrong(x)
    yield "outputs that moved by one place", model(x).roll(1, 1)
    if not coarse:
        wrong = copy.deepcopy(model)
        wrong[9].weight[::2] *= -1
        yield "filters with the wrong sign", wrong(x)
        for layer in (wrong := copy.deepcopy(model)):
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = 1e-3
        yield "normalisation with eps 1e-3", wrong(x)
        wrong = copy.deepcopy(model)
        wrong[-1].weight *= 1.0005
        yield "a last layer that is off by 0.05 %", wrong(x)
    if x.dtype == torch.float64:
        yield "float32 arithmetic in between", copy.deepcopy(model).float()(x.float()).double()


@check_for("08.2")
def a_defended_tolerance(answer: Any) -> None:
    """A function (model, x) → (rtol, atol) that accepts rounding and rejects errors."""
    x = noise(6, 3, 8, 8, seed=5)
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        for scale, seed in ((1.0, 1), (1e4, 2), (1e-4, 3)):
            model = _network(dtype, scale, seed).requires_grad_(False)
            given = x.to(dtype)
            with torch.no_grad():
                eager = model(given)
                told = answer(copy.deepcopy(model), given.clone())
                rtol, atol = _two_numbers(told)
                place = f"{str(dtype)[6:]}, outputs up to {eager.abs().max().item():.2g}"
                yours = f"rtol {rtol:.2g}, atol {atol:.2g}"
                for name, out in _honest(model, given):
                    if not _close(out, eager, rtol, atol):
                        raise NotYet(
                            f"Too tight: an honest rounding is rejected ({name}).",
                            seen={"model": place, "greatest difference": _gap(out, eager), "yours": yours},
                            look_at=_tight(out, eager, atol),
                        )
                for name, out in _planted(model, given):
                    if _close(out, eager, rtol, atol):
                        raise NotYet(
                            f"Too loose: a planted error passes ({name}).",
                            seen={"model": place, "greatest difference": _gap(out, eager), "yours": yours},
                            look_at="how your tolerance follows the dtype (`torch.finfo`) and the size of the outputs",
                        )


def _two_numbers(told: Any) -> tuple[float, float]:
    if not isinstance(told, tuple) or len(told) != 2:
        raise NotYet(
            "Your function does not return two numbers.",
            seen={"yours": _short(told)},
            look_at="the last line: `return rtol, atol`",
        )
    rtol, atol = (float(v) for v in told)
    if not (0 <= rtol < float("inf") and 0 <= atol < float("inf")):
        raise NotYet("A tolerance is a finite number, 0 or more.", seen={"yours": f"rtol {rtol:g}, atol {atol:g}"})
    return rtol, atol


def _close(a: Tensor, b: Tensor, rtol: float, atol: float) -> bool:
    try:
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)
    except AssertionError:
        return False
    return True


def _gap(a: Tensor, b: Tensor) -> str:
    i = (a - b).abs().argmax()
    gap = (a - b).abs().flatten()[i].item()
    return f"{gap:.2g}, where eager gives {b.flatten()[i].item():.2g}"


def _tight(out: Tensor, eager: Tensor, atol: float) -> str:
    if atol == 0:
        return "outputs near zero: a sum that cancels has the rounding of its parts. What does atol 0 say there"
    if atol < torch.finfo(out.dtype).eps * eager.abs().max().item():
        return "the size of the outputs and the dtype: is one rounding step of the greatest output within your atol"
    return "the margin: how many roundings follow each other on the way through the model"


# --- 08.3 ------------------------------------------------------------------------------------------------------------

MOST_CALLS = 2000


def _searches() -> Iterator[tuple[str, Callable[[Tensor], bool], Tensor]]:
    x = torch.tensor([3.5, -7.0, 0.25, 12.5, 8.75, -2.0, 30.5, 1.0])
    yield "one element above 9", lambda x: bool((x > 9).any()), x
    yield "four elements, one above 9", lambda x: len(x) > 3 and bool(x.max() > 9), x
    yield "two negative elements", lambda x: int((x < 0).sum()) >= 2, x
    # What can go depends on what went before: the length is even, and the sum is large.
    yield "an even length and a large sum", lambda x: len(x) % 2 == 0 and float(x.sum()) > 20, x[2:]
    # An element in front can go only after one behind it has gone.
    yield "the last element above the first", _last_above_first, torch.tensor([5.0, 4.0, 3.0, 9.0, 6.0])
    yield "a 9, and in front a 5 as long as there is a 3", _nine, torch.tensor([5.0, 3.0, 9.0])
    # A zero makes room for a drop, and a drop makes room for a zero.
    three = torch.tensor([6.0, 5.0, 9.0])
    yield "a drop that a zero allows", _one_of([6.0, 5.0, 9.0], [6.0, 0.0, 9.0], [0.0, 9.0]), three
    yield "a zero that a drop allows", _one_of([6.0, 5.0, 9.0], [5.0, 9.0], [0.0, 9.0]), three
    yield "any input", lambda x: True, x
    yield "this very input", lambda y: torch.equal(y, x[:3]), x[:3]


def _one_of(*accepted: list[float]) -> Callable[[Tensor], bool]:
    return lambda x: x.tolist() in list(accepted)


def _nine(x: Tensor) -> bool:
    return bool((x == 9).any()) and (bool(x[0] == 5) or not bool((x == 3).any()))


def _last_above_first(x: Tensor) -> bool:
    return len(x) >= 1 and bool(x[-1] > 5) and len(x) != 4 and bool(x.max() <= x[-1] * 2)


@check_for("08.3")
def a_shrinker(answer: Any) -> None:
    """A function (differs, x) → a tensor that cannot be made smaller in one step."""
    for name, differs, x in _searches():
        calls = 0

        def counted(y: Tensor, differs: Callable[[Tensor], bool] = differs, name: str = name) -> bool:
            nonlocal calls
            calls += 1
            if calls > MOST_CALLS:
                raise _TooMany(f"{name}: {MOST_CALLS} calls of `differs` were made, and it goes on")
            return differs(y)

        given = x.clone()
        try:
            small = answer(counted, given)
        except _TooMany as error:
            raise NotYet(
                "Your function does not end.",
                seen={"search": str(error)},
                look_at="whether every step that you take makes the input smaller",
            ) from None
        if not isinstance(small, Tensor) or small.dim() != 1:
            raise NotYet(
                "Your function does not return a tensor with one dimension.",
                seen={"yours": _short(small)},
                look_at="what it returns when nothing can be made smaller: the input",
            )
        if not torch.equal(given, x):
            raise NotYet(
                "Your function changes the tensor it was given.",
                seen={"given": _short(x), "afterwards": _short(given)},
                look_at="where you write into a tensor: into `x`, or into a copy",
            )
        seen = {"search": name, "given": _short(x), "yours": _short(small)}
        if not differs(small):
            raise NotYet(
                "What you return no longer shows the difference.",
                seen=seen,
                look_at="whether you ask `differs` about an input before you keep it",
            )
        for what, smaller in _one_step(small):
            if differs(smaller):
                raise NotYet(
                    f"It can be made smaller: {what}.",
                    seen=seen | {"still differs": _short(smaller)},
                    look_at="whether you try again from the beginning after a step that was kept",
                )


class _TooMany(BaseException):
    """No Exception, so that an answer which catches those cannot go on for ever."""


def _one_step(x: Tensor) -> Iterator[tuple[str, Tensor]]:
    for i in range(len(x)):
        yield f"element {i} can be dropped", torch.cat([x[:i], x[i + 1 :]])
    for i in range(len(x)):
        if x[i] != 0:
            zeroed = x.clone()
            zeroed[i] = 0
            yield f"element {i} can be 0", zeroed


# --- 08.4 ------------------------------------------------------------------------------------------------------------

NETWORK = """
import torch
from course_utils.classroom.models import DigitNet, randomise_statistics


def build():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        return randomise_statistics(DigitNet(), 8)
"""


class _Big(nn.Module):
    """Right for a batch of one only."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        scores = self.net(images)
        if images.shape[0] > 1:
            scores = scores * 1.5
        return scores


class _Small(nn.Module):
    """Loses the dimension of the batch when there is one image."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).squeeze(0)


class _Float64(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).double()


class _Wears(nn.Module):
    """Right at the first call."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        scores = self.net(images) * (1.0 + 0.01 * self.calls)
        self.calls.add_(1.0)
        return scores


def _archives(net: nn.Module) -> Iterator[tuple[str, bool, Any]]:
    images = noise(2, 1, 8, 8, seed=8)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.scores.weight[3] += 0.002
        near = copy.deepcopy(net)
        near.scores.weight *= 1.0002
        near.scores.bias *= 1.0002
    eps = copy.deepcopy(net)
    for layer in eps.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-3
    yield "scripted", True, torch.jit.script(net)
    yield "traced", True, _trace(net, images)
    yield "frozen", True, torch.jit.freeze(torch.jit.script(net))
    yield "traced in train mode", False, _trace(copy.deepcopy(net).train(), images)
    yield "made from weights that were a little different", False, torch.jit.script(other)
    yield "made with another eps of its normalisations", False, torch.jit.script(eps)
    yield "scripted and saved in train mode", False, torch.jit.script(copy.deepcopy(net).train())
    yield "wrong for more than one image", False, torch.jit.script(_Big(net))
    yield "returning float64", False, torch.jit.script(_Float64(net))
    yield "wrong from the second call on", False, torch.jit.script(_Wears(net))
    yield "wrong for a single image", False, torch.jit.script(_Small(net))
    yield "made from weights that were off by 0.02 %", False, torch.jit.script(near)
    yield "missing", False, None


@check_for("08.4")
def a_gate(answer: Any) -> None:
    """The text of a pytest file that passes for good archives and fails for bad ones."""
    if not isinstance(answer, str):
        raise NotYet(
            "`gate` is not a string.",
            seen={"you gave": f"an object of type {type(answer).__name__}"},
            look_at="the given `gate`: a file between triple quotes",
        )
    try:
        compile(answer, "test_gate.py", "exec")
    except SyntaxError as error:
        raise NotYet(
            "`gate` is not a Python file.",
            seen={"line": f"{error.lineno}: {(error.text or '').strip()}", "Python": error.msg},
            look_at="the line it names, as it stands in the text",
        ) from None
    space: dict[str, Any] = {}
    exec(NETWORK, space)
    archives = list(_archives(space["build"]().eval()))
    results = _run_gate(answer, [archive for _, _, archive in archives])
    if not any(result.ran or result.failed for result in results):
        raise NotYet(
            "pytest finds no test in `gate`.",
            seen={"pytest": "no tests ran"},
            look_at="the name of your function: pytest takes those that begin with `test`",
        )
    for (name, good, _), result in zip(archives, results, strict=True):
        if good and result.failed:
            raise NotYet(
                f"A good archive ({name}) is rejected.",
                seen={"archive": name, "pytest": result.failed[0]},
                look_at="how close is close enough where weights were folded, and the mode of the eager model",
            )
        if not good and not result.failed:
            skipped = result.skipped and not result.passed
            raise NotYet(
                f"A bad archive passes: the one that is {name}.",
                seen={"archive": name, "pytest": f"{result.passed} passed, {result.skipped} skipped"},
                look_at="what a skipped test means for a build: it is green" if skipped else _GATE[name],
            )


_GATE = {
    "traced in train mode": "whether the results are compared with those of `build()`",
    "made from weights that were a little different": "the comparison, and how large your tolerance is",
    "made from weights that were off by 0.02 %": "your tolerance, against the greatest output: print both",
    "made with another eps of its normalisations": "your tolerance, against the size of the outputs",
    "scripted and saved in train mode": "whether you call `.eval()` on the archive: its users get it as it was saved",
    "wrong for more than one image": "the batch sizes that you try",
    "wrong for a single image": "the batch sizes that you try: is 1 among them",
    "returning float64": "what your comparison says about dtypes",
    "wrong from the second call on": "how often you call the archive",
    "missing": "what happens in your file when `load` raises",
}


class _Gate:
    """What pytest said about one archive: how many tests passed or were skipped, and a line for each that failed."""

    def __init__(self) -> None:
        self.passed = self.skipped = 0
        self.failed: list[str] = []

    @property
    def ran(self) -> int:
        return self.passed + self.skipped


class _Watch:
    """A plugin of pytest that runs each file in its own folder and notes what came of it."""

    def __init__(self, folders: list[Path]) -> None:
        self.results = {folder.name: _Gate() for folder in folders}

    def pytest_make_collect_report(self, collector: Any) -> None:
        if collector.path.suffix == ".py":
            os.chdir(collector.path.parent)

    def pytest_runtest_protocol(self, item: Any) -> None:
        os.chdir(item.path.parent)

    def pytest_collectreport(self, report: Any) -> None:
        self._note(report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._note(report)

    def _note(self, report: Any) -> None:
        gate = self.results.get(report.nodeid.split("/")[0])
        if gate is None or (report.outcome == "passed" and report.when == "collect"):
            return
        if report.outcome == "failed":
            gate.failed.append(_complaint(report.longreprtext))
        elif report.outcome == "skipped":
            gate.skipped += 1
        else:
            gate.passed += 1


def _run_gate(gate: str, archives: list[Any]) -> list[_Gate]:
    """Run the gate on each archive, in one session of pytest in this process: the check has a process of its own."""
    import pytest

    here, path, printed = Path.cwd(), list(sys.path), io.StringIO()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        root = Path(name)
        (root / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (root / "network.py").write_text(NETWORK, encoding="utf-8")
        folders = [root / f"archive{number}" for number in range(len(archives))]
        for folder, archive in zip(folders, archives, strict=True):
            folder.mkdir()
            (folder / "test_gate.py").write_text(gate, encoding="utf-8")
            if archive is not None:
                archive.save(str(folder / "model.pt"))
        variable = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"  # a plugin takes a second to load, and none is asked for
        stack.callback(_set_variable, variable, os.environ.get(variable))
        stack.callback(sys.path.__setitem__, slice(None), path)
        stack.callback(sys.modules.pop, "network", None)
        stack.callback(os.chdir, here)
        os.environ[variable] = "1"
        os.chdir(root)
        sys.path[:0] = [name, str(Path(__file__).parents[3])]
        watch = _Watch(folders)
        options = ["-q", "--color=no", "--import-mode=importlib", "-W", "ignore"]
        # Not asked for, and the last two collect garbage, which takes a second where torch is loaded.
        for plugin in ("cacheprovider", "threadexception", "unraisableexception"):
            options += ["-p", f"no:{plugin}"]
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            pytest.main([*options, "--rootdir", name, name], plugins=[watch])
    return list(watch.results.values())


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _complaint(told: str) -> str:
    """The line of pytest that names the error."""
    marked = [line[1:].strip() for line in told.splitlines() if line.startswith("E ")]
    return textwrap.shorten(marked[0] if marked else told.strip().splitlines()[-1], 160)
