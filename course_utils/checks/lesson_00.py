"""What a right answer to the exercise of lesson 00 must do."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.checks import NotYet, check_for, expect_parity, expect_traced


@check_for("00.1")
def first_check(answer: Any) -> None:
    """A traced function that subtracts the mean of its input."""
    x = torch.tensor([1.0, 2.0, 6.0])
    result = answer(x)
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
    expect_traced(answer, "The values are right, and the answer is a Python function: nothing was traced.")
