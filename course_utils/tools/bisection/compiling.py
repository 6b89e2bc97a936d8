"""Compile one module, and find the learner's line in the compiler's error."""

from __future__ import annotations

import contextlib
import copy
import inspect
import linecache
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Place:
    """A line of source. file: its name without folders, "a cell" for a notebook; line: counted from 1; text: the line.

    `line` is 0 and `text` is empty where the compiler gives no line, for example for an error in a type. Where its
    line and its text do not belong together, as under a decorator, the line is looked up by the text; where it is
    not found, file and line are left out.
    """

    file: str = ""
    line: int = 0
    text: str = ""

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file

    def __str__(self) -> str:
        where = self.where or "no line is given"
        return f"{where}: {self.text}" if self.text else where


@contextlib.contextmanager
def fresh_types() -> Iterator[None]:
    """Compile with a private store of types: otherwise a class that failed once is not compiled a second time.

    The second error would be "Can't redefine method", which hides the cause (checked with torch 2.15.0).
    """
    from torch.jit import _recursive

    kept = _recursive.concrete_type_store
    _recursive.concrete_type_store = type(kept)()
    try:
        yield
    finally:
        _recursive.concrete_type_store = kept


def compile_error(module: nn.Module) -> Exception | None:
    """The error of compiling this module, or None. A second call gives the same error."""
    with fresh_types():
        try:
            torch.jit.script(module)
        except Exception as error:
            return error
    return None


def place_of(error: Exception, module: nn.Module | None = None) -> Place:
    """The learner's line in a compile error: the innermost one that is not in torch itself, else the innermost.

    module: the one that was compiled; its methods are searched where the file does not have the line.
    """
    found = []
    lines = str(error).splitlines()
    for at, line in enumerate(lines):
        head = re.match(r'\s*File "(.+)", line (\d+)', line)
        if head:
            rest = lines[at + 1 :]
            mark = next((i for i, x in enumerate(rest) if re.search(r"~~* <--- HERE", x)), 0)
            found.append((head[1], int(head[2]), rest[mark - 1].strip() if mark else ""))
    # Under a decorator the compiler names the decorator's file and the line in the decorated function.
    found = [x for x in found if not _in_torch(x[0]) or linecache.getline(*x[:2]).strip() == x[2]]
    own = [x for x in found if not _in_torch(x[0])] or found
    return _checked(*own[0], module) if own else Place()


def class_place(kind: type) -> Place:
    """The line of the class, for an error that names no line."""
    try:
        source, line = inspect.getsourcelines(kind)
        return Place(file_name(inspect.getsourcefile(kind) or ""), line, source[0].strip())
    except (OSError, TypeError):
        return Place()


def file_name(path: str) -> str:
    """The name of the file, without its folders; for code of a notebook, "a cell"."""
    if re.search(r"ipykernel_\d+|<ipython-input", path):
        return "a cell"
    return (PureWindowsPath(path) if "\\" in path else PurePosixPath(path)).name


def is_compiled(module: Any) -> bool:
    return isinstance(module, torch.jit.ScriptModule)


def copied(value: Any) -> Any:
    """A copy, so that nothing that is done to it reaches the user's model; itself where it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def quoted(names: Iterable[str]) -> str:
    """Names of submodules in a sentence."""
    shown = [f"`{name}`" if name else "the model itself" for name in names]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _checked(path: str, line: int, text: str, module: nn.Module | None) -> Place:
    """The place, with file, line and text of one and the same line."""
    written = linecache.getline(path, line).strip()
    if written == text or (not linecache.getlines(path) and text):  # right, or nothing to look it up in
        return Place(file_name(path), line, text)
    if not text:  # the compiler marks nothing: it names the line where an expression of several lines ends
        return Place(file_name(path), line, written) if written else Place(file_name(path))
    for function in _functions(module):
        with contextlib.suppress(OSError, TypeError):
            source, first = inspect.getsourcelines(function)
            found = [at for at, x in enumerate(source, start=first) if x.strip() == text]
            if found:
                return Place(file_name(inspect.getsourcefile(function) or ""), found[0], text)
    return Place("", 0, text)


def _functions(module: nn.Module | None) -> Iterator[types.FunctionType]:
    """The methods of a module's class and its bases, and the functions that they name, without decorators."""
    for kind in type(module).__mro__ if module is not None else ():
        for value in vars(kind).values():
            method = inspect.unwrap(value) if isinstance(value, types.FunctionType) else None
            if isinstance(method, types.FunctionType) and not _in_torch(method.__code__.co_filename):
                yield method
                names = [method.__globals__.get(name) for name in method.__code__.co_names]
                yield from (inspect.unwrap(x) for x in names if isinstance(x, types.FunctionType))


def _in_torch(path: str) -> bool:
    """Is this file a part of the installed torch? torchvision and the like are not."""
    return PurePath(path).is_relative_to(PurePath(torch.__file__).parent)
