"""What to do next, most useful first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from course_utils.tools.migration.report import MATCHES, PARTLY, RAISES, Attempt
from course_utils.tools.migration.routes import FEATURES, NO_COMPILER, QUANTISED

SWITCH = "run it beside the old model on real inputs before you switch; only the inputs above were compared"
BETTER_START = "where the model's source still exists, torch.export of the eager model is the better start"
NO_SILENCE = "if the inputs that match are all you need, use that file; the others raise and are not silently wrong"
COMPILER = "AOTInductor needs a C++ compiler: run `course doctor`, which says how to get one, and try again"
NO_NONE = "these routes take no None as an argument: give a value for it, or wrap the archive and give it there"
DATA_LOOP = "a loop depends on data: rewrite it with while_loop or without a loop, then torch.export"
STATE = "forward keeps state in attributes: make the state an input and an output (or a buffer), then export"
FORK = "fork has no successor inside a graph: call the parts one after the other, or use threads outside"
FLOAT_FIRST = "quantised operators do not export: start from the float model and quantise it again"
REWRITE = "the error above names the line to rewrite: torch.cond for a branch, while_loop for a loop"


def advise(given: Any, attempts: Sequence[Attempt], features: Sequence[str], saved: Sequence[str]) -> tuple[str, ...]:
    """given: as `migrate` got it. features: of its graphs, see `routes.FEATURES`. saved: files for a rewrite."""
    is_archive = not isinstance(given, nn.Module) or hasattr(given, "_c")  # a ScriptModule is saved as one
    if any(a.outcome == MATCHES for a in attempts):
        return (SWITCH, BETTER_START) if is_archive else (SWITCH,)
    lines = _siblings(Path(given)) if isinstance(given, (str, os.PathLike)) else []
    errors = " ".join(a.text for a in attempts)
    seen_and_advice = (
        (any(a.outcome == PARTLY for a in attempts), NO_SILENCE),
        (NO_COMPILER in errors, COMPILER),
        ("None's after flattening" in errors or "InvalidTag" in errors, NO_NONE),
        ("dynamic value of" in errors, DATA_LOOP),
        ("SetAttr" in errors or FEATURES["prim::SetAttr"] in features, STATE),
        (FEATURES["prim::fork"] in features, FORK),
        (QUANTISED in features, FLOAT_FIRST),
    )
    lines += [advice for seen, advice in seen_and_advice if seen]
    if is_archive:
        where = (
            f"{' and '.join(saved)} are in the folder" if saved else "give a folder (into=…) to get weights and code"
        )
        lines.append(f"otherwise rewrite the module from the archive's code and load its weights: {where}")
    elif any(a.outcome == RAISES and NO_COMPILER not in a.text for a in attempts):
        lines.append(REWRITE)
    return tuple(lines)


def _siblings(path: Path) -> list[str]:
    """Models of other formats with the archive's name, beside it; and a file of weights alone."""
    lines = []
    models = [path.with_suffix(kind).name for kind in (".onnx", ".pt2", ".pte") if path.with_suffix(kind).is_file()]
    if listed := " and ".join(models):
        if "site-packages" in path.absolute().parts:  # of an installed package
            lines.append(f"its publisher ships {listed} beside it: use that, and compare it with this archive")
        else:
            lines.append(f"{listed} lies beside it: if it is the same model, compare it with this archive and use that")
    weights = [path.with_suffix(".safetensors"), *sorted(path.parent.glob(f"{path.stem}_*.safetensors"))]
    if name := next((file.name for file in weights if file.is_file()), ""):
        lines.append(
            f"{name} beside it contains weights, and perhaps those of another training: names and shapes that fit "
            "prove nothing, so take this archive's own, or compare the values first"
        )
    return lines
