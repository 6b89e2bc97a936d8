"""Nested values, as models take and return them: their leaves, the same with other tensors, one in a line."""

from __future__ import annotations

import copy
import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

_NO_RECORDS = (Tensor, torch.nn.Module, torch.Generator, type, types.FunctionType, types.MethodType, types.ModuleType)


def fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass or of a plain object, by name; None for a value that is neither.

    A plain object has attributes in `__dict__` or `__slots__` and defines no equality of its own.
    """
    if isinstance(value, _NO_RECORDS):
        return None
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if hasattr(value, f.name)}
    kind = type(value)
    if not by_identity(value) or callable(value):
        return None
    names = [n for c in kind.__mro__ for n in _slots(c) if hasattr(value, n)]
    fields = {n: getattr(value, n) for n in names} | dict(getattr(value, "__dict__", {}))
    return fields or None


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    named = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(n for n in named if not n.startswith("__"))


def by_identity(value: Any) -> bool:
    """Whether the class of an object has no equality of its own."""
    return getattr(type(value), "__eq__", None) is object.__eq__


def leaves(value: Any, above: tuple[int, ...] = ()) -> Iterator[Any]:
    """The leaves of nested lists, tuples, dicts, dataclasses and plain objects, in order."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item, above)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item, above)
    elif (fields := fields_of(value)) is not None:
        for item in fields.values() if id(value) not in above else ():
            yield from leaves(item, (*above, id(value)))
    else:
        yield value


def map_tensors(value: Any, fn: Callable[[Tensor], Any]) -> Any:
    """The same nested value with ``fn(tensor)`` in place of each tensor, in the order of `leaves`.

    What holds a tensor is built again, of the same class; everything else is the object itself.
    """
    if isinstance(value, Tensor):
        return fn(value)
    if not any(isinstance(leaf, Tensor) for leaf in leaves(value)):
        return value
    if isinstance(value, MutableMapping):
        made = copy.copy(value)  # keeps what the class knows besides, such as a default factory
        for key, item in value.items():
            made[key] = map_tensors(item, fn)
        return made
    if isinstance(value, Mapping):
        return type(value)((key, map_tensors(item, fn)) for key, item in value.items())  # type: ignore[call-arg]
    if isinstance(value, (list, tuple)):
        items = [map_tensors(item, fn) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    made = copy.copy(value)
    for name, item in (fields_of(value) or {}).items():
        object.__setattr__(made, name, map_tensors(item, fn) if item is not value else made)
    return made


# --- in one line -----------------------------------------------------------------------------------------------------


def number(value: Any) -> str:
    """A number in at most three significant digits; integers and bools in full."""
    if isinstance(value, complex):
        return f"{value.real:.3g}{value.imag:+.3g}j"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def plain(t: Tensor) -> Tensor:
    """`t` as a dense tensor on the CPU, outside autograd."""
    t = t.detach()
    if t.is_quantized:
        t = t.dequantize()
    if t.layout != torch.strided:
        t = t.to_dense()
    return t.cpu()


def brief(value: Any, limit: int = 8) -> str:
    """`value` in one line: dtype and shape of a tensor, and its elements where they are at most `limit`."""
    if isinstance(value, Tensor):
        if value.is_nested:
            return f"nested {str(value.dtype).removeprefix('torch.')}"
        head = f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
        if value.layout != torch.strided:
            return f"{str(value.layout).removeprefix('torch.')} {head}"
        if value.is_meta:
            return f"meta {head}"
        if not value.is_contiguous():
            head += f" strides {list(value.stride())}"
        return f"{head} = {elements(value)}" if 0 < value.numel() <= limit else head
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, (bool, int, float, complex)):
        return number(value)
    if isinstance(value, Mapping):
        items = [f"{k!r}: {brief(v, limit)}" for k, v in list(value.items())[:4]]
        return "{" + ", ".join(items + ["..."] * (len(value) > 4)) + "}"
    if isinstance(value, (list, tuple)):
        items = [brief(v, limit) for v in value[:4]] + ["..."] * (len(value) > 4)
        body = ", ".join(items)
        return f"[{body}]" if isinstance(value, list) else f"({body}{',' if len(value) == 1 else ''})"
    if value is None or isinstance(value, (torch.dtype, torch.device)):
        return str(value)
    return f"a {type(value).__name__}"


def elements(t: Tensor) -> str:
    """All elements of a tensor, in brackets."""

    def render(items: Any) -> str:
        return "[" + ", ".join(map(render, items)) + "]" if isinstance(items, list) else number(items)

    return render(plain(t).tolist())
