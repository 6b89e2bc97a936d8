"""The wheel with its base dependencies alone: every tool runs, and nothing is written beside the package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement

from tests.tiny_course import ROOT

# Run before anything else: a package that the base does not ask for is not there.
BASE_ALONE = """
import importlib.machinery, sys

class Base(importlib.machinery.PathFinder):
    hidden = frozenset({hidden!r})

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in cls.hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Base
"""
MODELS = """
    import warnings, torch
    from torch import nn
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    example = torch.rand(2, 4)
    traced = torch.jit.trace(model, example)
"""
TOOLS = {
    "check_parity": "print(course_utils.check_parity(model, traced, [example]).ok)",
    "assert_parity": "course_utils.assert_parity(model, traced, [example]); print(True)",
    "find_divergence": "print(course_utils.find_divergence(model, traced, example, seconds=5).found is None)",
    "recommend": "print('trace' in course_utils.recommend(model, example).text())",
    "bisect_script": "print(course_utils.bisect_script(model).ok)",
    "bisect_difference": "print(course_utils.bisect_difference(model, traced, [example]).ok)",
    "compare_speed": (
        "print('eager' in course_utils.compare_speed({'eager': model, 'other': traced}, example, seconds=1).text())"
    ),
    "inspect": "traced.save('net.pt'); print('TorchScript' in course_utils.inspect('net.pt').text())",
    "migrate": (
        "traced.save('net.pt'); print(course_utils.migrate('net.pt', example, routes=['convert']).attempts[0].outcome)"
    ),
    "ModelReport": "r = course_utils.ModelReport('net'); r.add('inspect', model); r.write('page.html'); print(True)",
    "ir": "print(course_utils.ir.op_counts(traced)['aten::linear'] == 1, bool(course_utils.ir.draw(traced).text))",
}


def base_packages() -> set[str]:
    """The names of the distributions that the base dependencies bring, with all that they ask for."""
    wanted = re.search(
        r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M | re.S
    )
    assert wanted is not None
    open_ends = [Requirement(x).name for x in re.findall(r'"([^"]+)"', wanted[1])]
    found: set[str] = set()
    while open_ends:
        name = re.sub(r"[-_.]+", "-", open_ends.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for line in distribution(name).requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                open_ends.append(requirement.name)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The unpacked wheel, as `pip install` lays it out. It is the same when all tests are done."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--offline", "--quiet", "-o", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    before = sorted((folder / "site").rglob("*"))
    yield folder / "site"
    assert sorted((folder / "site").rglob("*")) == before


@pytest.fixture(scope="module")
def hidden() -> frozenset[str]:
    base = base_packages()
    vendored = {x.name for x in (Path(setuptools.__file__).parent / "_vendor").iterdir()}  # it falls back on those
    return frozenset(
        module
        for module, owners in packages_distributions().items()
        if module != "course_utils"
        and module not in vendored
        and not any(re.sub(r"[-_.]+", "-", x).lower() in base for x in owners)
    )


def run(site: Path, hidden: frozenset[str], code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = BASE_ALONE.format(hidden=sorted(hidden)) + textwrap.dedent(code)
    variables = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    variables.pop("COURSE_ROOT", None)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=variables, capture_output=True, text=True,
        encoding="utf-8", timeout=240,
    )  # fmt: skip


def test_what_the_course_needs_besides_is_hidden(installed: Path, hidden: frozenset[str], tmp_path: Path) -> None:
    assert {"onnx", "torchvision", "matplotlib", "nbformat", "pytest", "sklearn", "psutil"} <= hidden
    assert not {"torch", "typer", "rich", "sympy"} & hidden
    done = run(installed, hidden, "import course_utils; print(course_utils.__file__)\nimport onnx", tmp_path)
    assert done.stdout.startswith(str(installed)) and "No module named 'onnx'" in done.stderr


def test_every_tool_runs(installed: Path, hidden: frozenset[str], tmp_path: Path) -> None:
    lines = [textwrap.dedent(MODELS), "import course_utils"]
    for name, call in TOOLS.items():
        lines.append(f"print({name!r}, end=' ')\n{call}")
    done = run(installed, hidden, "\n".join(lines), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said == {**dict.fromkeys(TOOLS, "True"), "migrate": "matches", "ir": "True True"}


def test_the_command_runs_without_a_course(installed: Path, hidden: frozenset[str], tmp_path: Path) -> None:
    code = f"""
    {textwrap.indent(textwrap.dedent(MODELS), "    ").strip()}
    import subprocess, sys
    traced.save("net.pt")
    from typer.testing import CliRunner
    from course_utils.classroom.cli import app, main
    for arguments in (["--version"], ["inspect", "net.pt", "--json"], ["inspect", "net.pt"], ["--help"]):
        result = CliRunner().invoke(app, arguments)
        print("#", result.exit_code, type(result.exception).__name__, result.output.replace("\\n", "§"))
    sys.argv = ["course", "status"]
    main()
    """
    done = run(installed, hidden, code, tmp_path)
    version, as_json, text, help_ = done.stdout.splitlines()
    assert version.startswith("# 0") and "1.0.0" in version
    assert as_json.startswith("# 0") and json.loads(as_json.split(" ", 3)[3].replace("§", "\n"))
    assert text.startswith("# 0") and "TorchScript" in text
    assert help_.startswith("# 0")
    # Without a course there is no status: a sentence, and no traceback.
    assert done.returncode in (1, 2) and "course.toml" in done.stderr and "Traceback" not in done.stderr
