"""docs/test_archive.py, the gate that readers copy: it passes for good archives and fails for bad ones."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course_utils.classroom import models

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::FutureWarning:torch\.jit"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

GATE = Path(__file__).parents[1] / "docs" / "test_archive.py"
NETWORK = """
import torch
from course_utils.classroom.models import DigitNet


def build():
    torch.manual_seed(0)
    return DigitNet()
"""


def archives():
    torch.manual_seed(0)
    net = models.DigitNet().eval()
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.scores.bias[0] += 1e-3
    scripted = torch.jit.script(net)
    return {
        "scripted": scripted,
        "frozen": torch.jit.freeze(scripted),
        "traced": torch.jit.trace(net, torch.rand(2, 1, 8, 8)),
        "bad-weights": torch.jit.script(other),
        "bad-mode": torch.jit.trace(copy.deepcopy(net).train(), torch.rand(2, 1, 8, 8), check_trace=False),
        "bad-missing": None,
    }


def test_the_gate_tells_good_archives_from_bad_ones(tmp_path):
    (tmp_path / "network.py").write_text(NETWORK, encoding="utf-8")
    made = archives()
    for name, archive in made.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "test_archive.py").write_text(GATE.read_text(encoding="utf-8"), encoding="utf-8")
        if archive is not None:
            archive.save(str(tmp_path / name / "model.pt"))
    path = os.pathsep.join([str(tmp_path), str(GATE.parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "--color=no", "--import-mode=importlib", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
    )
    said = [line for line in done.stdout.splitlines() if "::" in line]
    bad = {line.split("/")[0] for line in said if " FAILED" in line or " ERROR" in line}
    assert bad == {name for name in made if name.startswith("bad")}, done.stdout[-3000:]
    assert sum(" PASSED" in line for line in said) >= 18


class Batches(torch.nn.Module):
    """Scores with an infinite one, a thousand times larger for a batch of three; `wrong` scales those of the others."""

    def __init__(self, wrong: float = 1.0) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = images.flatten(1)[:, :4] + 1.0
        if images.shape[0] == 3:
            return scores * 1000.0
        scores = scores * self.wrong
        return torch.cat([scores, torch.full((images.shape[0], 1), float("inf"))], 1)


@pytest.mark.parametrize(("factor", "passes"), [(1.0, True), (100.0, False), (1.001, False)])
def test_an_infinite_output_or_a_larger_batch_does_not_widen_the_tolerance(tmp_path, monkeypatch, factor, passes):
    (tmp_path / "network.py").write_text("build = None\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    space = {"__name__": "gate", "__file__": str(tmp_path / "test_archive.py")}
    monkeypatch.delitem(sys.modules, "network", raising=False)
    exec(compile(GATE.read_text(encoding="utf-8"), "test_archive.py", "exec"), space)
    monkeypatch.delitem(sys.modules, "network", raising=False)
    pair = Batches().eval(), torch.jit.script(Batches(factor).eval())
    for name in ("one", "strided"):
        if passes:
            space["test_same_result_in_three_calls"](pair, name)
        else:
            with pytest.raises(AssertionError, match="not close"):
                space["test_same_result_in_three_calls"](pair, name)
    space["test_same_result_in_three_calls"](pair, "three")


def test_the_gate_needs_torch_and_pytest_only():
    imports = [line.split()[1] for line in GATE.read_text("utf-8").splitlines() if line.startswith(("import", "from"))]
    assert imports == ["pathlib", "pytest", "torch", "network"]
