"""What C++ programs, AOTInductor and ExecuTorch gave where they run, shown where they do not: ``recorded.json``.

    recorded.keep("aoti", "content", text)             # while `python -m course_utils.authoring store` runs
    recorded.results("aoti")["content"]                # the text, on every machine

Each backend has its `about` (date, system, torch, …) and its `results`, a value of JSON for each key.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("recorded.json")
RECORD_VARIABLE = "COURSE_RECORD"
"""Set to a folder by `store`: each result leaves a file there, so that several processes can record at once."""


def about(backend: str) -> dict[str, str]:
    """What the results of a backend were recorded with."""
    return _read()[backend]["about"]


def results(backend: str) -> dict[str, Any]:
    """The recorded values, by key."""
    return _read()[backend]["results"]


def origin(backend: str) -> str:
    """ "on 2026-01-31 (Linux x86_64, c++ 12.2.0, torch 2.15.0)" """
    with_ = about(backend)
    return f"on {with_['date']} ({with_['system']}, {with_['compiler']}, torch {with_['torch']})"


def keep(backend: str, key: str, value: Any) -> None:
    """Leave a result for `write`; does nothing unless `RECORD_VARIABLE` is set."""
    if folder := os.environ.get(RECORD_VARIABLE):
        name = hashlib.sha256(f"{backend}\0{key}".encode()).hexdigest()[:16]
        Path(folder, f"{name}.json").write_text(json.dumps([backend, key, value]), encoding="utf-8")


def write(folder: Path, date: str, facts: dict[str, dict[str, Any]]) -> list[str]:
    """Replace all results of those backends that left some in the folder, and return their names.

    facts: by backend, what else its results depend on, such as the compiler.
    """
    content = _read() if FILE.is_file() else {}
    left = sorted(json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json"))
    backends = sorted({backend for backend, _, _ in left})
    common = {
        "date": date,
        "system": f"{platform.system()} {platform.machine()}",
        "torch": importlib.metadata.version("torch").partition("+")[0],
    }
    for backend in backends:
        found = {key: value for name, key, value in left if name == backend}
        content[backend] = {"about": {**common, **facts.get(backend, {})}, "results": found}
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    FILE.write_text(text, encoding="utf-8", newline="\n")
    return backends


def _read() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))
