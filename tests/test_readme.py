"""The README's section on the tools prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADING = "## Use the tools in your own project\n"


def without_sizes(text: str) -> str:
    """The debug records of an archive name source files, so its size depends on where it was made."""
    return re.sub(r"[\d.]+ (bytes|kB)\b", "SIZE", text).strip()


def test_the_calls_print_what_the_readme_shows(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    blocks = re.findall(r"^```(python|text)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    network, *calls, gate = [text for kind, text in blocks if kind == "python"]
    shown = [text for kind, text in blocks if kind == "text"]
    [test] = re.findall(r"^def (test_\w+)", gate, re.MULTILINE)
    (tmp_path / "network.py").write_text(network, encoding="utf-8")
    script = "\nprint('---')\n".join([*calls, f"{gate}\n{test}()"])
    (tmp_path / "calls.py").write_text(script, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "calls.py"],
        cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    printed = [without_sizes(text) for text in run.stdout.split("---\n")]
    assert printed == [*map(without_sizes, shown), ""]
