"""What a right answer to the exercise of lesson 00 must do."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.classroom.checks import NotYet, check_for, expect_parity, expect_traced


@check_for("00.1")
def first_check(answer: Any) -> None:
    """A traced function that subtracts the mean of its input."""
    x = torch.tensor([1.0, 2.0, 6.0])
    given = x.clone()
    result = answer(given)
    if not torch.equal(given, x):
        raise NotYet(
            "Your function changes its input.",
            seen={"input before": x.tolist(), "input after": given.tolist()},
            look_at="operators that write in place: their names end in `_`, and `-=` is one of them",
        )
    if torch.is_tensor(result) and result.shape == x.shape and torch.allclose(result, x - x.max()):
        raise NotYet(
            "The greatest value is subtracted, not the mean.",
            seen={"input": x, "expected": x - x.mean(), "yours": result},
            look_at="the sentence of the exercise",
        )
    expect_parity(
        lambda x: x - x.mean(),
        answer,
        [x, torch.tensor([[5.0, 1.0], [-2.0, 0.0]])],
        "The result differs from `x - x.mean()`.",
        look_at="what the answer subtracts when the input is not the one it was traced with: print its `.code`",
    )
    expect_parity(
        lambda x: x - x.mean(),
        answer,
        [torch.tensor([0.1, 1000.3, -7.7]), torch.tensor([[[0.1, 2.7]]], dtype=torch.float64)],
        "The result differs from `x - x.mean()` for numbers that are not whole.",
        look_at="the dtype in which the mean is taken: it is that of the input",
    )
    expect_traced(answer, "The values are right, but your answer is a Python function: nothing was traced.")
    if isinstance(answer, torch.jit.ScriptFunction) and _scripted(answer):
        raise NotYet(
            "The values are right, but your answer was compiled from its source, not traced.",
            look_at="the name of the function in `torch.jit` that records a run with an example",
        )


def _scripted(function: torch.jit.ScriptFunction) -> bool:
    """Whether it was compiled: a trace notes the sizes of its example, the compiler knows none."""
    return not any(isinstance(x.type(), torch._C.TensorType) and x.type().sizes() for x in function.graph.inputs())
