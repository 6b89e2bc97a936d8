"""One argument of ``forward`` in the command line's form, such as ``1x3x64x64:float32``.

The shape is written as in trtexec (``--shapes=x:1x3x64x64``), with the dtype behind it in place of the input's name.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from course_utils.tools.migration.report import MigrationError

FORMS = 'Write SHAPE:DTYPE such as 1x3x64x64:float32 or "2x5:int64<100", or int=3, float=0.5, bool=true, str=sum, none.'
_DTYPES = {
    name: getattr(torch, name)
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
}


def read_input(text: str) -> Any:
    """One argument from the command line's form.

    "1x3x64x64:float32" is a random tensor of this shape (integers count up from 0: "2x5:int64<100" stays below 100),
    "scalar:float32" one without dimensions; "int=16000", "float=0.5", "bool=true", "str=sum" and "none" are plain
    values. The same text gives the same values. Raises MigrationError for anything else.
    """
    if text == "none":
        return None
    if plain := re.fullmatch(r"(int|float|bool|str)=(.*)", text, re.DOTALL):
        kind, value = plain[1], plain[2]
        readers: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": _bool}
        try:
            return readers[kind](value)
        except (ValueError, KeyError):
            raise MigrationError(f"{text!r}: {value!r} is not a {kind}. {FORMS}") from None
    tensor = re.fullmatch(r"(scalar|\d+(?:x\d+)*):(\w+)(?:<(\d+))?", text)
    if tensor is None or tensor[2] not in _DTYPES:
        raise MigrationError(f"{text!r} is not an input. {FORMS}")
    shape = [] if tensor[1] == "scalar" else [int(size) for size in tensor[1].split("x")]
    dtype = _DTYPES[tensor[2]]
    if dtype.is_floating_point:
        if tensor[3]:
            raise MigrationError(f"{text!r}: a limit by < is for integers. {FORMS}")
        return torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    below = 2 if dtype is torch.bool else int(tensor[3] or 10)
    if below < 1:
        raise MigrationError(f"{text!r}: the limit is at least 1. {FORMS}")
    return (torch.arange(int(torch.tensor(shape).prod())) % below).reshape(shape).to(dtype)


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]
