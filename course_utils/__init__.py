"""What the course and your own project import. Each name is loaded when it is first used, so importing is cheap.

    from course_utils import check_parity, find_divergence, inspect, migrate      # tools: they need torch alone
    from course_utils import check, hint, models, ir                              # in a lesson

Four rooms, each of which imports only from those before it: ``core``, ``tools`` (to take home), ``classroom`` (the
command, exercises, checks), ``authoring`` (for maintainers).
"""

import importlib
import sys
import warnings
from typing import Any

__version__ = "1.0.0"

if sys.version_info[:3] == (3, 13, 0):
    # On this one patch release torch.compile and torch.export advise another, in red. The README says so instead.
    warnings.filterwarnings("ignore", message="Guards may run slower on Python 3.13.0", category=RuntimeWarning)

_HOME = {
    "assert_parity": "tools.parity",
    "batch_sizes": "core.cases",
    "bisect_difference": "tools.bisection",
    "bisect_script": "tools.bisection",
    "Case": "core.cases",
    "check": "classroom.exercises",
    "check_parity": "tools.parity",
    "compare_speed": "tools.speed",
    "CourseError": "core.errors",
    "find_divergence": "tools.divergence",
    "hint": "classroom.exercises",
    "inspect": "tools.archive",
    "migrate": "tools.migration",
    "ModelReport": "tools.model_report",
    "OnnxModel": "tools.onnx_model",
    "recommend": "tools.advice",
    "ulp_distance": "tools.parity",
}
_MODULES = {
    "aoti": "classroom.backends.aoti",
    "archive": "tools.archive",
    "cpp": "classroom.backends.cpp",
    "doctor": "classroom.doctor",
    "ir": "tools.ir",
    "models": "classroom.models",
    "zoo": "classroom.backends.zoo",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_MODULES])
