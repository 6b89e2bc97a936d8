"""The README's section on the tools prints what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from course_utils.classroom.cli import app

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


def commands_as_json() -> dict[str, tuple[list[str], set[str]]]:
    """Each command of the table, with its keys and its exit statuses."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `course (.+?)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    return {command: (re.findall(r"`(\w+)`", keys), set(re.findall(r"\b\d\b", codes))) for command, keys, codes in rows}


@pytest.mark.filterwarnings(r"ignore::FutureWarning:torch\.jit")
@pytest.mark.parametrize("command", commands_as_json())
def test_the_keys_and_the_exit_status_are_those_of_the_table(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, codes = commands_as_json()[command]
    monkeypatch.setenv("COURSE_PROGRESS_FILE", str(tmp_path / "progress.json"))
    monkeypatch.setenv("COURSE_ROOT", str(ROOT))
    monkeypatch.chdir(tmp_path)
    words = [*command.split(), "--json"]
    quick = ["--routes", "convert"] if "migrate" in words else []
    if "model.pt" in words:
        missing = CliRunner().invoke(app, [*words, *quick])
        assert missing.exit_code == 2 and "2" in codes and missing.stdout == ""
        torch.jit.script(torch.nn.Linear(3, 1)).save("model.pt")
    done = CliRunner().invoke(app, [*words, *quick])
    assert done.exit_code == 0 and "0" in codes, done.output
    assert list(json.loads(done.stdout)) == keys
    (tmp_path / "model.pt").write_bytes(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.")
    if "inspect" in words:
        assert CliRunner().invoke(app, words).exit_code == 1 and "1" in codes


def test_the_table_has_every_command_with_json() -> None:
    with_json = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback and "as_json" in command.callback.__annotations__
    }
    assert with_json == {command.split()[0] for command in commands_as_json()}
