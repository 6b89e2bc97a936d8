"""Trace a model that returns an object, a dataclass or a mixed dict: through a wrapper that returns its tensors."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from course_utils.core.cases import Case
from course_utils.core.values import fields_of
from course_utils.tools.advice.inputs import call
from course_utils.tools.bisection.compiling import copied


class Fields(nn.Module):
    """Calls, and returns the tensors of a record as a dict by field: what a trace can return. See `fields_only`."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        super().__init__()
        self.inner = inner
        self.train(getattr(inner, "training", False))


def fields_only(inner: Callable[..., Any]) -> Fields:
    """`Fields`, with the argument names of what it wraps: a trace is called by them."""

    def forward(self: Fields, *args: Any, **kwargs: Any) -> Any:
        return _plain(self.inner(*args, **kwargs))

    with contextlib.suppress(TypeError, ValueError):
        known = inspect.signature(inner.forward if isinstance(inner, nn.Module) else inner)
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        forward.__signature__ = known.replace(parameters=[own, *known.parameters.values()])  # type: ignore[attr-defined]
    made: Fields = type("_Fields", (Fields,), {"forward": forward})(inner)
    return made


def record_of(module: Callable[..., Any], case: Case) -> str:
    """The class of what eager returns, where it has fields and among them tensors; otherwise nothing."""
    try:
        out = call(copied(module), case)
    except Exception:
        return ""
    record = isinstance(out, Mapping) or fields_of(out) is not None
    return type(out).__name__ if record and _plain(out) else ""


def _plain(value: Any) -> Any:
    """A record as a dict, without what is not a tensor; tuples and lists as tuples."""
    fields = value if isinstance(value, Mapping) else fields_of(value)
    if fields is not None:
        made = {str(k): _plain(v) for k, v in fields.items()}
        return _flat({k: v for k, v in made.items() if v is not None})
    if isinstance(value, (list, tuple)):
        return tuple(x for x in map(_plain, value) if x is not None) or None
    return value if isinstance(value, Tensor) else None


def _flat(found: dict[str, Any]) -> dict[str, Tensor] | None:
    """A trace's dict contains tensors only: what is nested gets a name of its own."""
    flat: dict[str, Tensor] = {}
    for name, value in found.items():
        if isinstance(value, Tensor):
            flat[name] = value
        else:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            flat |= _flat({f"{name}.{k}": v for k, v in pairs}) or {}
    return flat or None
