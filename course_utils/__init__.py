"""The small package behind the notebooks. The names below are loaded when first used, so importing it is cheap."""

import importlib
import sys
import warnings
from typing import Any

__version__ = "1.0.0"

if sys.version_info[:3] == (3, 13, 0):
    # On this one patch release torch.compile and torch.export advise another, in red. The README says so instead.
    warnings.filterwarnings("ignore", message="Guards may run slower on Python 3.13.0", category=RuntimeWarning)

_HOME = {
    "check": "exercises",
    "hint": "exercises",
    "check_parity": "parity",
    "assert_parity": "parity",
    "compare_speed": "timing",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
