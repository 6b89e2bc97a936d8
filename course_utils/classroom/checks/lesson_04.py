"""What right answers to the exercises of lesson 04 must do. The checks trace and call on inputs of their own."""

# No `from __future__ import annotations`: the models here are scripted.

import copy
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for, expect_parity
from course_utils.classroom.checks.shared import NOTHING, noise
from course_utils.classroom.models import DigitNet
from course_utils.tools import ir


class _Calls(nn.Module):
    """A model that calls the answer. What is a module is one of its submodules, as in a model of one's own."""

    def __init__(self, answer: Any, plus: float) -> None:
        super().__init__()
        self.answer, self.plus = answer, plus

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(x) + self.plus


@check_for("04.1")
def alive_in_a_trace(answer: Any) -> None:
    """A function that halves a batch until its mean is at most 0.25, and whose loop survives a trace."""

    def reference(images: Tensor) -> Tensor:
        while bool(images.mean() > 0.25):
            images = images * 0.5
        return images

    x = noise(3, 1, 4, 4, seed=1)
    dark, grey, bright = x * 0.2, x * 0.8, x * 5  # no round, one round, four rounds
    expect_parity(
        reference,
        answer,
        [dark, grey, bright],
        "The function itself, not yet traced, returns a different result from the given one.",
        look_at="the given function: halve while the mean is above 0.25, and leave the rest alone",
    )
    expect_parity(
        reference,
        answer,
        torch.full((2, 2), 0.25),
        "The function itself returns a different result for a batch whose mean is 0.25 to the digit.",
        look_at="the given condition: at 0.25 it is not true",
    )
    uneven = torch.stack([torch.full((4,), 0.9), torch.full((4,), 0.1), torch.full((4,), 0.2)])
    expect_parity(
        reference,
        answer,
        [uneven, uneven.flip(0)],
        "The function itself returns a different result for a batch of images that are not equally bright.",
        look_at="whose mean decides: that of the whole batch, not of each image or of one of them",
    )
    traced = torch.jit.trace(_Calls(answer, 1.0), grey)
    for images, rounds in (
        (bright, "needs four rounds"),
        (dark, "needs none"),
        (x * 40000, "needs seventeen"),
        (torch.full((2, 2), 0.25), "has the mean 0.25 and needs none"),
    ):
        expect_parity(
            lambda images: reference(images) + 1.0,
            traced,
            images,
            f"Traced with a batch that needs one round, it is not correct for one that {rounds}.",
            look_at="`print(torch.jit.trace(your_function, images).code)`: is there a loop, or a call to one? "
            "And does a number go into that call?",
        )


@check_for("04.2")
def every_number_of_steps(answer: Any) -> None:
    """A function that smooths along dimension 1, and whose trace holds for any number of steps."""

    def reference(x: Tensor) -> Tensor:
        level = x[:, 0]
        for i in range(1, x.shape[1]):
            level = 0.8 * level + 0.2 * x[:, i]
        return level

    x = noise(3, 9, seed=2)
    expect_parity(
        reference,
        answer,
        [x[:, :4], x[:, :1]],
        "The function itself, not yet traced, returns a different result from the given one.",
        look_at="the given function: dimension 1 holds the steps, the first of them is where it starts",
    )
    traced = torch.jit.trace(_Calls(answer, 0.0), x[:, :4])
    many = noise(2, 70, seed=5)
    for steps, given in ((9, x), (1, x[:, :1]), (2, x[:, :2]), (70, many)):
        expect_parity(
            reference,
            traced,
            given,
            f"Traced with 4 steps, it is not correct for {steps}.",
            look_at=_where_the_steps_are(traced),
        )
    expect_parity(reference, traced, x[:1, :4], "Traced with a batch of 3, it is not correct for a batch of 1.")


def _where_the_steps_are(traced: Any) -> str:
    if ir.has_control_flow(traced):
        return "the loop is there, and what it counts to is not: print `.code` of the trace and find the number"
    return "the loop was unrolled: `.code` of the trace has one step for each step of the example"


class _Backbone(DigitNet):
    """The hidden backbone of 04.3, which does not compile."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).tanh()


class _Watched(_Backbone):
    """Raises where no pixel reaches 0.1, so that running it for a blank batch is noticed."""

    def forward(self, images: Tensor) -> Tensor:
        bright = (images.flatten() >= 0.1).nonzero()[0]
        return super().forward(images) + 0.0 * bright


def _runs_for_a_blank_batch(answer: Any, backbone: nn.Module, x: Tensor) -> bool:
    try:
        module = answer(backbone, x)
    except Exception:
        return False  # its example is one of its own, and blank
    with torch.no_grad():
        module(x)
        try:
            module(x * 0.05)
        except Exception:
            return True
    return False


@check_for("04.3")
def sparing_reader(answer: Any) -> None:
    """A function (backbone, example) → a compiled module that asks before it runs the traced backbone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        backbone = _Backbone().eval()
    full = noise(5, 1, 8, 8, seed=3)
    half = full * torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0]).reshape(5, 1, 1, 1)
    reference = copy.deepcopy(backbone)

    def expected(images: Tensor) -> Tensor:
        return torch.zeros(images.shape[0], 10) if bool(images.max() < 0.1) else reference(images)

    for example in (full[:2], full[:3] * 0.05):
        module = answer(backbone, example)
        if module is None:
            raise NotYet(NOTHING, look_at="the last line of your function: `return` the compiled module")
        if not isinstance(module, torch.jit.ScriptModule):
            raise NotYet(
                "Your function does not return a compiled module.",
                seen={"you gave": f"an object of type {type(module).__name__}"},
                look_at="the outer module: it contains the trace, and has to be compiled itself",
            )
        if not ir.has_control_flow(module):
            raise NotYet(
                "Your module runs the backbone for every batch: there is no branch in its graph.",
                seen={"operators": ", ".join(k for k in ir.op_counts(module, constants=False))[:200]},
                look_at="which of the two is outside. In a trace the decision is made once, or computed both ways",
            )
        first, last = full.clone(), full.clone()
        first[1:], last[:-1] = 0.0, 0.0
        point = torch.zeros(3, 1, 8, 8)
        point[2, 0, 5, 5] = 0.9
        edge = torch.zeros(2, 1, 8, 8)
        edge[0, 0, 3, 3] = 0.1
        decides = "what decides: the brightest pixel of the whole batch, whichever image it is in"
        zeros = "what the shape of the zeros is made from"
        network = "what runs for a bright batch: the given backbone, in the mode in which it came"
        with torch.no_grad():
            for images, what, look in (
                (full[:2], "It differs from the backbone for a batch with ink.", network),
                (full, "It is not correct for a batch of 5.", network),
                (half, "It differs where some images of a batch are blank and others are not.", decides),
                (first, "It differs where only the first image of a batch has ink.", decides),
                (last, "It differs where only the last image of a batch has ink.", decides),
                (point, "It differs for a batch with a single bright pixel.", decides),
                (edge, "It differs for a batch whose brightest pixel is 0.1.", "the word of the task: reaches"),
                (full * 0.05, "It does not give zeros for a blank batch.", zeros),
                (full[:1] * 0, "It does not give zeros for a blank batch of 1.", zeros),
                (-full, "It does not give zeros for a batch of negative pixels.", decides + ", with its sign"),
            ):
                expect_parity(expected, module, images, what, look_at=look, check_state=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        watched = _Watched().eval()
    if _runs_for_a_blank_batch(answer, watched, full[:2]):
        raise NotYet(
            "Your module runs the backbone for a blank batch, and then discards the result.",
            seen={"input": "a batch in which no pixel reaches 0.1", "expected": "the backbone is not called"},
            look_at="the order in `forward`: first the question, then the call",
        )


class _Net(nn.Module):
    """Convolution and normalisation: traces and compiles."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.reshape(1, 1, -1)).sum(1)


class _Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x[0] > 0):
            return x.cumsum(0)
        return x.flip(0)


class _Rounds(nn.Module):
    """A loop over a size: unrolled by a trace without a warning."""

    def forward(self, x: Tensor) -> Tensor:
        level = x[0]
        for i in range(1, x.shape[0]):
            level = 0.5 * level + x[i]
        return level


class _Super(_Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class _Power(nn.Module):
    """Compiles, and gives another dtype: an integer power is a float in TorchScript."""

    def forward(self, x: Tensor) -> Tensor:
        return x.long() * x.dim() ** 2


class _Sorted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor(sorted(x.tolist(), key=lambda value: -value))


class _Named(nn.Module):
    """Its dict is rejected by a strict trace."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"sum": x.sum(), "sorted": x.sort().values}


class _Lonely(nn.Module):
    """Takes the Python value of a tensor, and compiles."""

    def forward(self, x: Tensor) -> Tensor:
        return x[: int(x.abs().max())]


ZOO: dict[str, tuple[type[nn.Module], str]] = {
    "a small network": (_Net, "both"),
    "a branch on the first value": (_Branch, "script"),
    "a loop over the length": (_Rounds, "script"),
    "a subclass that calls its parent": (_Super, "trace"),
    "an integer power": (_Power, "trace"),
    "a dict of results": (_Named, "script"),
    "a slice up to a value": (_Lonely, "script"),
    "a sort with a key function": (_Sorted, "neither"),
}


@check_for("04.4")
def a_zoo_converted(answer: Any) -> None:
    """A function (model, example, others) → a conversion that holds, or None where there is none."""
    example = torch.tensor([2.0, -1.0, 3.0])
    others = [torch.tensor([-2.0, 1.0, 3.0]), torch.tensor([1.0, 4.0, -2.0, 0.5, 1.5])]
    unseen = [torch.tensor([-1.0, -4.0]), torch.tensor([3.0, 1.0, 2.0, -6.0, 0.0, 2.5])]
    for name, (kind, ways) in ZOO.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            model = kind().eval()
        reference = copy.deepcopy(model)
        converted = answer(model, example.clone(), [x.clone() for x in others])
        if ways == "neither":
            if converted is not None:
                raise NotYet(
                    f"For {name} no conversion is correct, and your function returns one.",
                    seen={"yours": type(converted).__name__, "expected": "None"},
                    look_at="whether what you return was compared with eager, on `others` too",
                )
            continue
        if converted is None:
            raise NotYet(
                f"For {name} there is a correct conversion, and your function returns None.",
                look_at="whether you try both ways, also when the first raises, or converts and then differs",
            )
        if not isinstance(converted, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
            raise NotYet(
                f"For {name} your function returns something that is not converted.",
                seen={"yours": f"an object of type {type(converted).__name__}"},
                look_at="what `torch.jit.trace` and `torch.jit.script` return",
            )
        with torch.no_grad():
            expect_parity(
                reference,
                converted,
                [example, *others, *unseen],
                f"What you return for {name} differs from eager.",
                look_at="the order: convert, compare with eager on the example and on `others`, and only then return",
            )
