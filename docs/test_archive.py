"""A gate for a TorchScript archive. Copy this file into your tests and change the three places marked CHANGE.

It needs pytest and the course's package; "Use the tools in your own project" in the README says how to install it. It
fails when the archive at ARCHIVE is not the model that `build` makes: on another result, shape or dtype, for a batch
size that it was not made with, from the second call on, or when it changes its input or its state in another way. It
fails, too, when the archive is missing, or the comparison would say nothing.
"""

from pathlib import Path

import torch
from network import build  # CHANGE: your function; it returns the eager model with the weights of the archive

from course_utils import assert_parity

ARCHIVE = Path(__file__).with_name("model.pt")  # CHANGE: the file that you ship


def images(batch: int) -> torch.Tensor:  # CHANGE: inputs as your users send them
    return torch.rand(batch, 1, 8, 8, generator=torch.Generator().manual_seed(batch))


def test_the_archive_matches_the_model():
    inputs = [images(1), images(3), -images(8), images(2).transpose(2, 3), images(2) * 0]
    archive = torch.jit.load(ARCHIVE, map_location="cpu")
    # The tolerance is a fraction of the greatest finite output of each input: for float32; bfloat16 needs 0.05.
    assert_parity(build().eval(), archive, inputs, rtol=1e-5, atol=0, relative_to="max")


def test_the_comparison_says_something():
    with torch.no_grad():
        one, other = map(build().eval(), (images(3), images(3).flip(0)))
    assert one.isfinite().all() and one.any() and not torch.equal(one, other)
