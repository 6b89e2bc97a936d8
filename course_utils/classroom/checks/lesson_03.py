"""What right answers to the exercises of lesson 03 must do. The checks trace and call on inputs of their own."""

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for, expect_parity
from course_utils.classroom.checks.shared import NOTHING
from course_utils.tools import ir
from course_utils.tools.parity.compare import brief


def _traced(answer: Any, example: Tensor) -> Any:
    """The answer's trace; one that is traced already stays as it is."""
    if isinstance(answer, (torch.jit.ScriptFunction, torch.jit.ScriptModule)):
        return answer
    return torch.jit.trace(answer, example, check_trace=False)


def _expect_no_script(traced: Any) -> None:
    """Raise :class:`NotYet` for a scripted answer and for a trace with a scripted part in it."""
    graph = traced.graph
    last = list(graph.inputs())[-1].type()
    scripted = isinstance(last, torch._C.TensorType) and last.sizes() is None
    kinds = [kind for kind in ("prim::CallFunction", "prim::Loop", "prim::If") if ir.find(graph, kind, inlined=False)]
    if scripted or kinds:
        found = ", ".join(kinds) or "no shape of an example, which a trace records for its input"
        raise NotYet(
            "Your function is scripted, or calls a part that is.",
            seen={"in its graph": found},
            look_at="the task: without scripting. Operators alone can do it, and a trace records those",
        )


def _limited(x: Tensor) -> Tensor:
    if x.shape[0] >= 4 and x.abs().max() > 1:
        return x.clamp(-1, 1)
    return x * 1


@check_for("03.1")
def exposing_input(answer: Any) -> None:
    """A tensor on which the trace of the given function is wrong."""
    if not isinstance(answer, Tensor):
        raise NotYet(
            "The answer is not a tensor.",
            seen={"you gave": f"an object of type {type(answer).__name__}"},
            look_at="`exposing` is the input itself, not a trace, a result or a search",
        )
    traced = torch.jit.trace(_limited, torch.tensor([0.1, 0.2, 0.3, 0.4]))
    try:
        eager = _limited(answer)
    except Exception as error:
        raise NotYet(
            "The eager function refuses this input, so it exposes nothing.",
            seen={"input": brief(answer), "eager": f"{type(error).__name__}: {str(error).splitlines()[0]}"},
            look_at="an input with at least one dimension, of numbers",
        ) from None
    got = traced(answer)
    if eager.shape != got.shape or not torch.allclose(eager, got, rtol=0, atol=0, equal_nan=True):
        return
    seen = {"input": brief(answer), "eager": brief(eager), "traced": brief(got)}
    if answer.shape[0] < 4:
        raise NotYet(
            "Both sides agree: the input is too short to reach the branch that was lost.",
            seen=seen,
            look_at="the first half of the condition: which sizes go in?",
        )
    if answer.is_floating_point() and answer.isnan().any():
        raise NotYet(
            "Both sides agree: NaN makes the comparison false, and both sides return it.",
            seen=seen,
            look_at="what `x.abs().max() > 1` is when one of the values is NaN",
        )
    raise NotYet(
        "Both sides agree: no value reaches the branch that was lost, or nothing happens to it there.",
        seen=seen,
        look_at="the second half of the condition: what must be true of the values?",
    )


@check_for("03.2")
def any_length(answer: Any) -> None:
    """A function whose trace gives running means for any number of rows."""

    def reference(x: Tensor) -> Tensor:
        return torch.stack([x[: t + 1].mean(0) for t in range(x.shape[0])])

    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(2))
    expect_parity(
        reference,
        answer,
        [x[:4], x[:2]],
        "The function itself, not yet traced, returns different results from the given one.",
        look_at="row t: the sum of the rows up to t, divided by their number t + 1",
        rtol=1e-5,
        atol=1e-5,
    )
    traced = _traced(answer, x[:4])
    _expect_no_script(traced)
    for rows in (9, 3, 1):
        expect_parity(
            reference,
            traced,
            x[:rows],
            f"Traced with 4 rows, it is wrong for {rows}.",
            look_at="what of your function is a loop in Python or a number: print the `.code` of its trace",
            rtol=1e-5,
            atol=1e-5,
        )


def _balanced(x: Tensor) -> Tensor:
    return x / x.abs().max().detach()


@check_for("03.3")
def stopped_gradient(answer: Any) -> None:
    """A function whose trace divides by a maximum that is a constant for autograd."""
    x = torch.tensor([[1.0, -4.0], [2.0, 3.0]])
    expect_parity(
        _balanced,
        answer,
        [x, x[0]],
        "The function itself, not yet traced, returns different values from the given one.",
        look_at="the greatest of the absolute values, over the whole tensor",
    )
    traced = _traced(answer, x[0])
    _expect_no_script(traced)
    expect_parity(
        _balanced,
        traced,
        [x, 3 * x[1]],
        "The values of the trace differ from eager's.",
        look_at="whether the maximum is still a tensor where you divide by it",
    )
    for name, function, look in (
        ("function itself", answer, "what autograd may see: the numerator yes, the maximum no"),
        ("trace", traced, "how you say that the maximum is a constant: is it an operator of a tensor?"),
    ):
        ours, theirs = _gradient(_balanced, x), _gradient(function, x)
        if theirs is None:
            raise NotYet(
                f"The {name} has the right values and no gradient at all.",
                seen={"input": brief(x), "gradient of eager": brief(ours), "yours": "none"},
                look_at="what you detached: the input must still be differentiated",
            )
        if not torch.allclose(ours, theirs):
            raise NotYet(
                f"The {name} has the right values and the wrong gradient.",
                seen={"input": brief(x), "gradient of eager": brief(ours), "yours": brief(theirs)},
                look_at=look,
            )


def _gradient(function: Any, x: Tensor) -> Tensor | None:
    x = x.clone().requires_grad_()
    out = function(x)
    return torch.autograd.grad(out.sum(), x)[0] if out.requires_grad else None


class _Smooth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.average = 0.5 * self.average + 0.5 * x.mean()
        return x - self.average


@check_for("03.4")
def running_average(answer: Any) -> None:
    """A module class whose trace goes on averaging."""
    module = _instance(answer)
    # Averages below zero, and a mean that is not the middle of the extremes.
    inputs = [torch.tensor([1.0, 3.0]), torch.tensor([-20.0, 0.0, 5.0]), torch.tensor([[2.0, 7.0], [0.0, 0.0]])]
    _expect_averages(module, "eager module", inputs)
    if not isinstance(module, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        module.eval()
        _expect_averages(module, "eager module in eval mode", inputs)
        module.train()
    traced = _traced(module, inputs[0])
    _expect_no_script(traced)
    _expect_averages(traced, "trace", inputs)


def _instance(answer: Any) -> nn.Module:
    """The module itself: of a class, of a function that makes one, or a copy of the one given."""
    module = copy.deepcopy(answer) if isinstance(answer, nn.Module) else answer
    if inspect.isclass(answer):
        module = answer()
    elif callable(answer) and not isinstance(answer, nn.Module):
        try:
            module = answer()
        except TypeError:
            module = None
    if not isinstance(module, nn.Module):
        raise NotYet(
            "The answer is neither a module class nor an instance of one.",
            seen={"you gave": f"an object of type {type(answer).__name__}"},
            look_at="the last line of the cell: it hands over the class",
        )
    return module


def _average(module: nn.Module) -> Tensor:
    for name, buffer in module.named_buffers():
        if name.split(".")[-1] == "average":
            return buffer
    raise NotYet(
        "Your module has no buffer `average`.",
        seen={"its buffers": ", ".join(name for name, _ in module.named_buffers()) or "none"},
        look_at="the `__init__` of the given class: it registers the buffer",
    )


def _expect_averages(candidate: Any, who: str, inputs: list[Tensor]) -> None:
    with torch.no_grad():
        _average(candidate).zero_()
    reference = _Smooth()
    for call, x in enumerate(inputs, start=1):
        given, before = x.clone(), _average(candidate).detach().clone()
        eager, got = reference(x), candidate(given)
        after = _average(candidate).detach()
        seen = {
            "input": brief(x),
            "eager": brief(eager),
            "yours": brief(got),
            "average after the call, eager": brief(reference.average),
            "average after the call, yours": brief(after),
        }
        if not torch.equal(given, x):
            raise NotYet(
                f"Your {who} changes its input.", seen=seen, look_at="which tensor is changed in place: only the buffer"
            )
        if after.shape == reference.average.shape and torch.allclose(after, reference.average, atol=1e-5):
            if got.shape == eager.shape and torch.allclose(got, eager, atol=1e-5):
                continue
            what = f"Call {call} of your {who} returns the wrong difference, and the average is right."
            look = "the order: first the new average, then the difference"
        elif torch.equal(after, before):
            what = f"After call {call} of your {who} the buffer is what it was before: the average is not kept."
            look = "how the new average gets into the buffer: an assignment to `self`, or an operator? In which mode?"
        else:
            what = f"After call {call} of your {who} the average is wrong."
            look = "the new average: half of the old one, and half of the mean of the input"
        raise NotYet(what, seen=seen, look_at=look)


def _steps(x: Tensor) -> Tensor:
    total = torch.zeros_like(x[0])
    for i in range(x.shape[0]):
        total = total + x[i]
    return total


def _shape_checked(x: Tensor) -> Tensor:
    assert x.shape[0] >= 0, "a size"
    return x - x.mean()


def _sign(x: Tensor) -> Tensor:
    return x * 2 if x.sum() > 0 else x * 3


def _rare(x: Tensor) -> Tensor:
    return x.clamp(max=5) if x.max() > 5 else x * 1


def _rank(x: Tensor) -> Tensor:
    return x.mean(-1) if x.dim() == 2 else x.sum(-1)


def _bytes(x: Tensor) -> Tensor:
    return x / 255 if x.dtype == torch.uint8 else x * 1.0


def _by_size(x: Tensor) -> Tensor:
    return x.sum(0) / x.shape[0]


def _where(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * 0.1)


def _rows(x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], -1).relu()


def _whole(x: Tensor) -> Tensor:
    return x.reshape(int(x.shape[0]), -1).relu()


def _three_rounds(x: Tensor) -> Tensor:
    for _ in range(3):
        if x is not None:
            x = x / 2
    return x


def _settled(x: Tensor) -> Tensor:
    return x * float(3) + torch.tensor(2.0).item()


def _unasked(x: Tensor) -> Tensor:
    return (x * 3, x * 2)[torch.is_nonzero(x.sum() > 0)]


def _of_its_dtype(x: Tensor) -> Tensor:
    return x + torch.zeros(1, dtype=x.dtype)


# name: function, shape of the example, what makes its trace wrong (nothing: it is right)
_ZOO: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "sign": (_sign, (3, 2), "a branch on the sum of the values"),
    "rare": (_rare, (3, 2), "a branch that values beyond 5 take"),
    "steps": (_steps, (3, 2), "a loop over the rows, without a warning"),
    "rank": (_rank, (3, 2), "a branch on the rank, without a warning"),
    "bytes": (_bytes, (3, 2), "a branch on the dtype, without a warning"),
    "whole": (_whole, (3, 2), "a size that became a number"),
    "unasked": (_unasked, (3, 2), "a choice by `torch.is_nonzero`, without a warning"),
    "of_its_dtype": (_of_its_dtype, (3, 2), "a dtype that became a constant, without a warning"),
    "three_rounds": (_three_rounds, (3, 2), ""),
    "settled": (_settled, (3, 2), ""),
    "by_size": (_by_size, (3, 2), ""),
    "where": (_where, (3, 2), ""),
    "rows": (_rows, (3, 2, 2), ""),
    "shape_checked": (_shape_checked, (3, 2), ""),
}


@check_for("03.5")
def detector(answer: Any) -> None:
    """A function zoo → names of the functions that trace wrongly."""
    generator = torch.Generator().manual_seed(5)
    zoo = {name: (f, torch.rand(shape, generator=generator)) for name, (f, shape, _) in _ZOO.items()}
    given = answer(dict(zoo))
    if given is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the names")
    try:
        names = set(given)
    except TypeError:
        names = {given}
    strange = [name for name in names if name not in _ZOO]
    if isinstance(given, str) or strange:
        raise NotYet(
            "Your function does not return names of the zoo.",
            seen={"you gave": repr(given if isinstance(given, str) else strange[0])[:80]},
            look_at="what is collected: a list or a set of the keys of `zoo`",
        )
    guilty = {name for name, (_, _, reason) in _ZOO.items() if reason}
    missed, blamed = [n for n in _ZOO if n in guilty - names], [n for n in _ZOO if n in names - guilty]
    if blamed:
        warns = "its trace matches eager on every input tried"
        if "shape_checked" in blamed:
            warns = "it warns while it is traced, and its trace matches eager"
        raise NotYet(
            f"{len(blamed)} of the functions that you name are traced correctly.",
            seen={"for example": f"{blamed[-1]}: {warns}", "missed": len(missed)},
            look_at="whether you compare results, or take a warning or an input that eager refuses for proof",
        )
    if missed:
        raise NotYet(
            f"{len(missed)} of {len(guilty)} wrong traces are not found.",
            seen={"not found": "; ".join(_ZOO[name][2] for name in missed)},
            look_at="which inputs you compare on: other values, sizes, ranks and dtypes than the example's",
        )
