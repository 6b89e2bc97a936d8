"""An environment of its own inside the course's, for what the course itself does not need.

``.venv/NAME`` holds the packages of a lock of its own; all else, torch above all, comes from the course's environment
below it. The course's lock and environment stay as they are.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

READY = "course-ready"


def place(name: str) -> Path:
    """Where the environment is, or would be: inside the environment of this Python."""
    return Path(sys.prefix) / name


def python_of(home: Path) -> Path:
    """The environment's own Python, whether it is there or not."""
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def interpreter(home: Path) -> Path | None:
    """The environment's Python; None where `make` did not come to its end."""
    return python_of(home) if python_of(home).exists() and (home / READY).exists() else None


def make(home: Path, lock: Path) -> bool:
    """Make the environment: the locked packages, and a path to the course's own packages below them.

    Returns whether the installer came to its end; its words were shown.
    """
    if importlib.util.find_spec("uv") is None:  # where the course was installed by pip or conda
        print(f"uv makes the environment, and it is missing here: {sys.executable} -m pip install uv", file=sys.stderr)
        return False
    (home / READY).unlink(missing_ok=True)
    uv = [sys.executable, "-m", "uv"]
    for command in (
        [*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(home)],
        [*uv, "pip", "sync", "--python", str(python_of(home)), str(lock)],
    ):
        if subprocess.run(command, check=False, cwd=lock.parent).returncode:
            return False
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})
    below = dict.fromkeys((sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]))
    Path(paths["purelib"], "course.pth").write_text("\n".join(below) + "\n", encoding="utf-8")
    (home / READY).write_text("The last step of the installation wrote this file.\n", encoding="utf-8")
    return True
