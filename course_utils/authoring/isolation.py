"""Keep a test run away from the network and from the learner's own files.

`isolate` prepares the process that calls it and every process started from it; `kernel_environment` is what one
notebook's kernel gets. Only the standard library is imported here, so that a conftest can call it first.
"""

from __future__ import annotations

import atexit
import os
import runpy
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

PROGRESS_VARIABLE = "COURSE_PROGRESS_FILE"

_scratch: Path | None = None


def scratch() -> Path:
    """Return this process's own temporary directory; it is removed when the process ends."""
    global _scratch
    if _scratch is None:
        _scratch = Path(tempfile.mkdtemp(prefix="course-tests-"))
        atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
    return _scratch


def isolate(root: Path) -> None:
    """Seal this process and its children: no network, and a progress file of its own.

    ``root`` is the repository; its ``tests/offline/sitecustomize.py`` holds the network rule. The directory is put
    first on ``PYTHONPATH`` for child processes, and the rule is applied to this process as well. Calling it twice
    changes nothing.
    """
    offline = root / "tests" / "offline"
    if (offline / "sitecustomize.py").is_file():
        others = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        entries = [str(offline), *(entry for entry in others if entry != str(offline))]
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)
        runpy.run_path(str(offline / "sitecustomize.py"))
    _one_thread(os.environ)
    # Set in every process, so that two workers never share one file.
    os.environ[PROGRESS_VARIABLE] = str(scratch() / "progress.json")


def kernel_environment(notebook: Path, **changes: str) -> dict[str, str]:
    """Return the environment variables of the kernel that runs ``notebook``.

    Each notebook starts with no progress recorded, because a learner's count would change what it prints. IPython's
    directory is a temporary one: personal start-up files don't apply, and the personal history isn't written. The
    variables of pytest are left out, since course code must not know that it is tested; the notebook's path is told,
    as JupyterLab tells it. ``changes`` come last.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    progress = Path(tempfile.mkdtemp(prefix=f"{notebook.stem}-", dir=scratch())) / "progress.json"
    environment[PROGRESS_VARIABLE] = str(progress)
    environment["JPY_SESSION_NAME"] = str(notebook)
    _one_thread(environment)
    environment["IPYTHONDIR"] = str(scratch() / "ipython")
    environment["COURSE_QUIET"] = "1"  # a progress line appears only where work is slow, so it would come and go
    environment.update(changes)
    return environment


def _one_thread(environment: MutableMapping[str, str]) -> None:
    """Two workers share two cores: a second OpenMP thread in each would wait for the other worker's core."""
    environment.setdefault("OMP_NUM_THREADS", "1")
