"""A gate for a TorchScript archive. Copy this file into your tests and change the three places marked CHANGE.

It needs torch and pytest. It fails when the archive at ARCHIVE is not the model that `build` makes: on another result,
shape or dtype, for a batch size that it was not made with, from the second call on, or when it changes its input or its
state in another way. It fails, too, when the archive is missing, or the comparison would say nothing.
"""

from pathlib import Path

import pytest
import torch
from network import build  # CHANGE: your function; it returns the eager model with the weights of the archive

ARCHIVE = Path(__file__).with_name("model.pt")  # CHANGE: the file that you ship
SHARE = 1e-5  # the tolerance, as a share of the greatest output: for float32; bfloat16 needs 0.05


def images(batch: int) -> torch.Tensor:  # CHANGE: inputs as your users send them
    return torch.rand(batch, 1, 8, 8, generator=torch.Generator().manual_seed(batch))


INPUTS = {
    "one": images(1),
    "three": images(3),
    "eight, negative": -images(8),
    "strided": images(2).transpose(2, 3),
    "zeros": images(2) * 0,
}


@pytest.fixture
def pair():
    return build().eval(), torch.jit.load(ARCHIVE, map_location="cpu")


@pytest.mark.parametrize("name", INPUTS)
def test_same_result_in_three_calls(pair, name):
    eager, archive = pair
    with torch.no_grad():
        for call in (1, 2, 3):
            given, given_too = INPUTS[name].clone(), INPUTS[name].clone()
            expected, actual = eager(given), archive(given_too)
            # None of the outputs may be further off than a share of the greatest finite one of this batch.
            finite = expected[expected.isfinite()]
            allowed = SHARE * finite.abs().max().item() if finite.numel() else 0.0
            torch.testing.assert_close(actual, expected, rtol=0, atol=allowed, equal_nan=True)
            assert torch.equal(given, given_too), f"call {call}: only one of the two changes its input"
    left, right = eager.state_dict(), archive.state_dict()
    for key in left.keys() & right.keys():
        torch.testing.assert_close(right[key], left[key], msg=f"{key} differs after the calls")


def test_the_comparison_says_something(pair):
    with torch.no_grad():
        one, other = pair[0](INPUTS["three"]), pair[0](INPUTS["three"].flip(0))
    assert one.isfinite().all() and one.any() and not torch.equal(one, other)
