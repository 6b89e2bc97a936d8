"""docs/test_archive.py, the gate that readers copy: it passes for good archives and fails for bad ones."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from course_utils.classroom import models
from course_utils.tools.parity import ParityError

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::FutureWarning:torch\.jit"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

GATE = Path(__file__).parents[1] / "docs" / "test_archive.py"
X = torch.rand(2, 1, 8, 8)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The tests of the gate, copied beside an archive, for the model that `build` makes."""

    def copied(build: Callable[[], nn.Module], archive: Any) -> dict[str, Any]:
        monkeypatch.setitem(sys.modules, "network", SimpleNamespace(build=build))
        if archive is not None:
            archive.save(str(tmp_path / "model.pt"))
        space = {"__name__": "gate", "__file__": str(tmp_path / "test_archive.py")}
        exec(compile(GATE.read_text(encoding="utf-8"), "test_archive.py", "exec"), space)
        return {name: value for name, value in space.items() if name.startswith("test_")}

    return copied


def digit_net() -> nn.Module:
    torch.manual_seed(0)
    return models.DigitNet()


def other_weights() -> nn.Module:
    net = digit_net().eval()
    with torch.no_grad():
        net.scores.bias[0] += 1e-3
    return net


@pytest.mark.parametrize(
    ("make", "passes"),
    [
        (lambda: torch.jit.script(digit_net().eval()), True),
        (lambda: torch.jit.freeze(torch.jit.script(digit_net().eval())), True),
        (lambda: torch.jit.trace(digit_net().eval(), X), True),
        (lambda: torch.jit.script(other_weights()), False),
        (lambda: torch.jit.trace(digit_net().train(), X, check_trace=False), False),
        (lambda: torch.jit.trace(copy.deepcopy(digit_net()).eval().double(), X.double()), False),
    ],
    ids=["scripted", "frozen", "traced", "other weights", "train mode", "float64"],
)
def test_good_archives_pass_and_bad_ones_do_not(gate, make: Callable[[], Any], passes: bool) -> None:
    tests = gate(digit_net, make())
    assert len(tests) == 2
    tests["test_the_comparison_says_something"]()
    if passes:
        tests["test_the_archive_matches_the_model"]()
    else:
        with pytest.raises(ParityError):
            tests["test_the_archive_matches_the_model"]()


def test_a_missing_archive_does_not_pass(gate) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        gate(digit_net, None)["test_the_archive_matches_the_model"]()


class Batches(nn.Module):
    """Scores with an infinite one, a thousand times larger for a batch of three; `wrong` scales those of the others."""

    def __init__(self, wrong: float = 1.0) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, images: Tensor) -> Tensor:
        scores = images.flatten(1)[:, :4] + 1.0
        if images.shape[0] == 3:
            return scores * 1000.0
        scores = scores * self.wrong
        return torch.cat([scores, torch.full((images.shape[0], 1), float("inf"))], 1)


def test_an_infinite_output_or_a_larger_batch_does_not_widen_the_tolerance(gate) -> None:
    gate(Batches, torch.jit.script(Batches()))["test_the_archive_matches_the_model"]()
    # 1e-3 of these outputs, of about 2: within 1e-5 of the greatest output of the batch of three, which is 2000.
    with pytest.raises(ParityError) as caught:
        gate(Batches, torch.jit.script(Batches(1.001)))["test_the_archive_matches_the_model"]()
    [finding] = caught.value.report.findings
    assert {finding.where.case, *(place.case for place in finding.also)} == {"input 1", "input 3", "input 4", "input 5"}


class Same(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return torch.full((images.shape[0], 2), self.value)


@pytest.mark.parametrize("value", [0.0, 3.0, float("nan")])
def test_a_comparison_that_says_nothing_does_not_pass(gate, value: float) -> None:
    tests = gate(lambda: Same(value), torch.jit.script(Same(value)))
    with pytest.raises(AssertionError):
        tests["test_the_comparison_says_something"]()
