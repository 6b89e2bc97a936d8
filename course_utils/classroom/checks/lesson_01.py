"""What right answers to the exercises of lesson 01 must do. The checks trace and call on inputs of their own."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for, expect_parity, expect_traced
from course_utils.classroom.checks.shared import NOTHING


def _leaves_its_input(answer: Any, x: Tensor) -> None:
    given = x.clone()
    answer(given)
    if given.shape != x.shape or not torch.equal(given, x):
        at = tuple((given != x).nonzero()[0].tolist()) if given.shape == x.shape else ()
        raise NotYet(
            "Your function changes its input.",
            seen={"at": list(at), "before": x[at].item(), "after": given[at].item()} if at else {},
            look_at="operators that write in place: their names end in `_`, and `-=`, `/=`, `+=` are among them",
        )


def _expect_trace_of(model: nn.Module, before: nn.Module, traced: Any, x: Tensor) -> None:
    """A trace, made in eval mode, and the caller's model as it was. The model has a dropout."""
    if traced is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the trace")
    expect_traced(traced, "Your function does not return a trace.")
    if isinstance(traced, torch.jit.ScriptModule) and _obeys_train(traced, x):
        raise NotYet(
            "Your function returns a module compiled from its source, not a trace.",
            seen={"after .train()": "its dropout is active again; a trace keeps the mode that it was recorded in"},
            look_at="the name of the function in `torch.jit` that records a run with an example",
        )
    for (name, old), (_, new) in zip(before.state_dict().items(), model.state_dict().items(), strict=True):
        if not torch.equal(old, new):
            statistics = name in dict(before.named_buffers())
            raise NotYet(
                "Your function changed the running statistics of the model."
                if statistics
                else "Your function changed the weights of the model.",
                seen={f"{name} before": old.flatten()[:4], "after": new.flatten()[:4]},
                look_at="what a normalisation does with every forward in train mode"
                if statistics
                else "what your function does to `model` besides tracing it",
            )
    for (name, old), (_, new) in zip(before.named_parameters(), model.named_parameters(), strict=True):
        if old.requires_grad != new.requires_grad:
            raise NotYet(
                "Your function changed `requires_grad` of the model's parameters.",
                seen={f"{name}.requires_grad before": old.requires_grad, "after": new.requires_grad},
                look_at="what your function does to `model` besides tracing it",
            )
    for (name, old), (_, new) in zip(before.named_modules(), model.named_modules(), strict=True):
        if old.training != new.training:
            raise NotYet(
                "Your function left the model in a different mode.",
                seen={f"{name or 'model'}.training before": old.training, "after": new.training},
                look_at="each submodule: not all of them need be in the same mode",
            )


def _obeys_train(converted: torch.jit.ScriptModule, x: Tensor) -> bool:
    """Whether a mode set now changes the result: it does for what was compiled, and not for a trace in eval mode."""
    if isinstance(converted, torch.jit.TopLevelTracedModule) or not converted._c.hasattr("training"):
        return False
    mine = copy.deepcopy(converted)

    def first(out: Any) -> Tensor:
        return next(iter(out.values())) if isinstance(out, dict) else out

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        mine.eval()
        calm = first(mine(x))
        mine.train()
        return not torch.equal(calm, first(mine(x)))


def _steady(traced: Any, x: Tensor) -> None:
    def tensors(out: Any) -> list[Tensor]:
        return list(out.values()) if isinstance(out, dict) else [out]

    first, second = tensors(traced(x)), tensors(traced(x))
    for one, other in zip(first, second, strict=True):
        if not torch.equal(one, other):
            raise NotYet(
                "Two calls of the trace with the same input differ.",
                seen={"first": one[0], "second": other[0]},
                look_at="the mode in which the model was traced",
            )


@check_for("01.1")
def every_batch_size(answer: Any) -> None:
    """A function whose trace subtracts each image's mean, for any number of images."""

    def reference(images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return flat - flat.mean(1, keepdim=True)

    images = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    _leaves_its_input(answer, images[:4])
    expect_parity(
        reference,
        answer,
        [images[:4], images[:2]],
        "The function itself, not yet traced, returns a different result from the given one.",
        look_at="what the given function computes: one row for each image, minus the mean of that row",
    )
    traced = answer if isinstance(answer, torch.jit.ScriptFunction) else torch.jit.trace(answer, images[:4])
    for n in (2, 7, 1):
        expect_parity(
            reference,
            traced,
            images[:n],
            f"Traced with 4 images, it is not correct for {n}.",
            look_at="where the number 4 appears in the trace: `print(torch.jit.trace(your_function, images[:4]).code)`",
        )


@check_for("01.2")
def free_size(answer: Any) -> None:
    """A function whose trace adds a position to each step and scales by the root of the width, for any sizes."""

    def reference(x: Tensor) -> Tensor:
        steps = torch.arange(x.shape[1]).unsqueeze(1)
        return x / x.shape[2] ** 0.5 + steps

    x = torch.rand(2, 9, 16, generator=torch.Generator().manual_seed(2))
    _leaves_its_input(answer, x[:, :5, :4])
    expect_parity(
        reference,
        answer,
        [x[:, :5, :4]],
        "The function itself, not yet traced, returns a different result from the given one.",
        look_at="the given function: the root of the width divides, the number of the step is added",
    )
    traced = answer if isinstance(answer, torch.jit.ScriptFunction) else torch.jit.trace(answer, x[:, :5, :4])
    expect_parity(
        reference,
        traced,
        x[:, :5],
        "Traced with width 4, it is not correct for width 16.",
        look_at="how the root of the width is taken, and what kind of number that needs",
    )
    long = torch.zeros(1, 2049, 4)
    for length, given in ((9, x[:, :9, :4]), (3, x[:, :3, :4]), (1, x[:, :1, :4]), (2049, long)):
        expect_parity(
            reference,
            traced,
            given,
            f"Traced with 5 steps, it is not correct for {length}.",
            look_at="how the numbers of the steps are made, and what `.code` shows for them",
        )


class _Scores(nn.Module):
    """The hidden model of 01.3: other sizes and another key than the one in the notebook."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Linear(6, 5)
        self.normal, self.drop = nn.BatchNorm1d(5), nn.Dropout(0.5)
        self.scores = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.drop(torch.relu(self.normal(self.features(x))))
        scores = self.scores(features)
        return {"scores": scores, "features": features, "best": scores.argmax(1)}


@check_for("01.3")
def dict_output(answer: Any) -> None:
    """A function (model, example) → trace that keeps the model's dict."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = _Scores().eval()
        x = torch.rand(64, 6)
    before = copy.deepcopy(model)
    traced = answer(model, x[:2])
    _expect_trace_of(model, before, traced, x)
    out = traced(x)
    if not isinstance(out, dict):
        raise NotYet(
            "The trace does not return a dict.",
            seen={"expected": "a dict with the keys of the model", "yours": f"a {type(out).__name__}"},
            look_at="whether the model was changed or wrapped before it was traced; one argument of `trace` is enough",
        )
    _steady(traced, x)
    expect_parity(
        before,
        traced,
        [x[:2], x],
        "The dict of the trace differs from the model's.",
        look_at="the keys and the values, one by one: the check brings a model of its own, with keys of its own",
    )


class _Coder(nn.Module):
    """The hidden model of 01.4."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer, self.drop = nn.Linear(12, 3), nn.Linear(3, 12), nn.Dropout(0.5)

    def encode(self, x: Tensor) -> Tensor:
        return torch.tanh(self.inner(self.drop(x)))

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
    before = copy.deepcopy(model)
    traced = answer(model, x[:2])
    if traced is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the trace")
    expect_traced(traced, "Your function does not return a trace.")
    code = before.encode(x).detach()
    for name in ("encode", "decode", "forward"):
        if not traced._c._has_method(name):
            there = ", ".join(sorted(traced._c._method_names()))
            raise NotYet(
                f"The trace has no method `{name}`.",
                seen={"methods of yours": there or "none"},
                look_at="which names you gave to the function that traces",
            )
    _expect_trace_of(model, before, traced, x)
    for name, given in (("encode", x), ("decode", code), ("forward", x)):
        method = getattr(traced, name)
        _steady(method, given)
        expect_parity(
            getattr(before, name),
            method,
            [given[:2], given],
            f"`{name}` differs from the model's.",
            look_at=f"what was recorded under this name: print `.{name}.code` of the trace",
        )


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
    _steady(traced, x)
    _expect_trace_of(model, before, traced, x)
    expect_parity(
        reference,
        traced,
        [x[:1], x],
        "The trace differs from the model in eval mode.",
        look_at="which model was traced: the given one, with its weights and statistics of this moment",
    )
