"""The shipped weights of the digits model: they fit the class, they read digits, and loading leaves no trace."""

from __future__ import annotations

import torch

from course_utils.classroom import models


def test_the_shipped_weights_read_digits() -> None:
    model = models.trained_digit_net()
    *_, images, labels = models.digit_images()
    assert models.accuracy(model, images, labels) > 0.95
    assert not model.training and all(weight.isfinite().all() for weight in model.state_dict().values())


def test_rounding_changes_no_digit() -> None:
    # What another CPU computes from the same weights differs by far less than the gap between the two best digits.
    *_, images, _ = models.digit_images()
    with torch.no_grad():
        best = models.trained_digit_net()(images).topk(2).values
    assert float((best[:, 0] - best[:, 1]).min()) > 1e-2


def test_loading_leaves_the_random_state_as_it_was() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    models.trained_digit_net()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_file_is_small() -> None:
    assert models.WEIGHTS.stat().st_size < 100_000
