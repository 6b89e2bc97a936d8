"""What right answers to the exercises of lesson 01 must do. The checks trace and call on inputs of their own."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.checks import NotYet, check_for, expect_parity, expect_traced
from course_utils.checks.shared import NOTHING


@check_for("01.1")
def every_batch_size(answer: Any) -> None:
    """A function whose trace subtracts each image's mean, for any number of images."""

    def reference(images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return flat - flat.mean(1, keepdim=True)

    images = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    expect_parity(
        reference,
        answer,
        [images[:4], images[:2]],
        "The function itself, not yet traced, gives another result than the given one.",
        look_at="what the given function computes: one row for each image, minus the mean of that row",
    )
    traced = answer if isinstance(answer, torch.jit.ScriptFunction) else torch.jit.trace(answer, images[:4])
    for n in (2, 7, 1):
        expect_parity(
            reference,
            traced,
            images[:n],
            f"Traced with 4 images, it does not hold for {n}.",
            look_at="where the number 4 stands in the trace: `print(torch.jit.trace(your_function, images[:4]).code)`",
        )


@check_for("01.2")
def free_size(answer: Any) -> None:
    """A function whose trace adds a position to each step and scales by the root of the width, for any sizes."""

    def reference(x: Tensor) -> Tensor:
        steps = torch.arange(x.shape[1]).unsqueeze(1)
        return x / x.shape[2] ** 0.5 + steps

    x = torch.rand(2, 9, 16, generator=torch.Generator().manual_seed(2))
    expect_parity(
        reference,
        answer,
        [x[:, :5, :4]],
        "The function itself, not yet traced, gives another result than the given one.",
        look_at="the given function: the root of the width divides, the number of the step is added",
    )
    traced = answer if isinstance(answer, torch.jit.ScriptFunction) else torch.jit.trace(answer, x[:, :5, :4])
    expect_parity(
        reference,
        traced,
        x[:, :5],
        "Traced with width 4, it does not hold for width 16.",
        look_at="how the root of the width is taken, and what kind of number that needs",
    )
    for length in (9, 3):
        expect_parity(
            reference,
            traced,
            x[:, :length, :4],
            f"Traced with 5 steps, it does not hold for {length}.",
            look_at="how the numbers of the steps are made, and what `.code` shows for them",
        )


class _Scores(nn.Module):
    """The hidden model of 01.3: other sizes and another key than the one in the notebook."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Linear(6, 5)
        self.scores = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = torch.relu(self.features(x))
        scores = self.scores(features)
        return {"scores": scores, "features": features, "best": scores.argmax(1)}


@check_for("01.3")
def dict_output(answer: Any) -> None:
    """A function (model, example) → trace that keeps the model's dict."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = _Scores().eval()
        x = torch.rand(6, 6)
    traced = answer(model, x[:2])
    if traced is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the trace")
    expect_traced(traced, "Your function does not return a trace.")
    out = traced(x)
    if not isinstance(out, dict):
        raise NotYet(
            "The trace does not return a dict.",
            seen={"expected": "a dict with the keys of the model", "yours": f"a {type(out).__name__}"},
            look_at="whether the model was changed or wrapped before it was traced; one argument of `trace` is enough",
        )
    expect_parity(model, traced, [x[:2], x], "The dict of the trace differs from the model's.")


class _Coder(nn.Module):
    """The hidden model of 01.4."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(12, 3), nn.Linear(3, 12)

    def encode(self, x: Tensor) -> Tensor:
        return torch.tanh(self.inner(x))

    def decode(self, code: Tensor) -> Tensor:
        return torch.sigmoid(self.outer(code))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


@check_for("01.4")
def two_methods(answer: Any) -> None:
    """A function (model, example) → trace with forward, encode and decode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = _Coder().eval()
        x = torch.rand(5, 12)
    traced = answer(model, x[:2])
    if traced is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the trace")
    expect_traced(traced, "Your function does not return a trace.")
    code = model.encode(x).detach()
    for name, given in (("encode", x), ("decode", code), ("forward", x)):
        if not traced._c._has_method(name):
            there = ", ".join(sorted(traced._c._method_names()))
            raise NotYet(
                f"The trace has no method `{name}`.",
                seen={"methods of yours": there or "none"},
                look_at="which names you gave to the function that traces",
            )
        what = f"`{name}` differs from the model's."
        expect_parity(getattr(model, name), getattr(traced, name), [given[:2], given], what)


@check_for("01.5")
def no_trace_left(answer: Any) -> None:
    """A function (model, example) → trace in eval mode that leaves the model as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2)).train()
        for _ in range(3):
            model(torch.rand(16, 4))
        model[0].eval()
        x = torch.rand(8, 4)
        for start in ("train", "eval"):
            if start == "eval":
                model.eval()
            _check_no_trace_left(answer, model, x)


def _check_no_trace_left(answer: Any, model: nn.Module, x: Tensor) -> None:
    before = copy.deepcopy(model)
    reference = copy.deepcopy(model).eval()
    traced = answer(model, x[:3])
    if traced is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the trace")
    expect_traced(traced, "Your function does not return a trace.")
    if not torch.equal(traced(x), traced(x)):
        raise NotYet(
            "Two calls of the trace with the same input differ.",
            seen={"first": traced(x)[0], "second": traced(x)[0]},
            look_at="the mode in which the model was traced",
        )
    for (name, old), (_, new) in zip(before.named_buffers(), model.named_buffers(), strict=True):
        if not torch.equal(old, new):
            raise NotYet(
                "Your function moved the statistics of the model.",
                seen={f"{name} before": old, f"{name} after": new},
                look_at="what a normalisation does with every forward in train mode",
            )
    for (name, old), (_, new) in zip(before.named_modules(), model.named_modules(), strict=True):
        if old.training != new.training:
            raise NotYet(
                "Your function left the model in another mode than it found it.",
                seen={f"{name or 'model'}.training before": old.training, "after": new.training},
                look_at="each submodule: in the hidden model not all of them are in the same mode",
            )
    expect_parity(reference, traced, [x[:1], x], "The trace differs from the model in eval mode.")
