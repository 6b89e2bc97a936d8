"""Read a pickle as what it is, a program for a small stack machine, without running any of it.

A real unpickler looks a name up and calls it. Here a name stays a `Name` and a call a `Call`: the outcome
is a description of what would have been built. Nothing is imported, nothing is called, and no object of the pickle's
choice exists. Opcodes: the documentation of ``pickletools``.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from course_utils.tools.archive.errors import OPCODES, ArchiveError


@dataclass(frozen=True, eq=False)
class Name:
    """``module.name``, which an unpickler would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Call:
    """``function(*arguments)``, which an unpickler would call, and the state that it would give to what comes back.

    ``function`` is a `Name` in honest files.
    """

    function: Any
    arguments: Any
    state: Any = None


@dataclass(eq=False)
class Instance:
    """An object of class ``kind``, which an unpickler would make, and the state that it would give it."""

    kind: Any
    arguments: Any = ()
    state: Any = None


@dataclass(eq=False)
class Persistent:
    """A reference to something stored outside the pickle: in torch's files a tensor's bytes."""

    reference: Any


@dataclass(eq=False)
class Pairs:
    """A dict as the list of its pairs, since described keys cannot be hashed."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    def get(self, key: str) -> Any:
        """The value of a text key, or None."""
        return next((value for known, value in self.pairs if isinstance(known, str) and known == key), None)

    def named(self) -> Iterator[tuple[str, Any]]:
        """The pairs whose key is text or a number, the key as text."""
        return ((str(key), value) for key, value in self.pairs if isinstance(key, (str, int)))


_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = {"PROTO", "FRAME"}


def describe(data: bytes | BinaryIO, name: str = "pickle") -> Any:
    """What this pickle would build, as names, calls, instances and plain values.

    data: the pickle, or a file positioned at its beginning, and behind its end afterwards. Raises
    `ArchiveError` for what is not a pickle, for one that is damaged, and for one of more than ``OPCODES`` steps.
    Takes time and memory in proportion to the number of opcodes, whatever they say.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument) in enumerate(opcodes(data)):
            if count > OPCODES:
                raise ArchiveError(
                    f"{name} has more than {OPCODES:,} steps, which no model needs; do not load the file"
                )
            if opcode == "STOP":
                return machine.stack.pop()
            machine.step(opcode, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, AssertionError) as error:
        if isinstance(error, ArchiveError):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:80]
        raise ArchiveError(f"{name} is damaged or not a pickle ({reason}); get the file again") from None
    raise ArchiveError(f"{name} ends before its end mark; get the file again")


def opcodes(data: bytes | BinaryIO) -> Iterator[tuple[str, Any]]:
    """Name and argument of each step. Raises what ``pickletools`` raises: ``ValueError`` and its like."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of an odd escape in a damaged text
        for opcode, argument, _ in pickletools.genops(data):
            yield opcode.name, argument


class _Machine:
    """The stack and the memo of an unpickler, with descriptions in place of objects."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[int(argument)])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[int(argument)] = self._top()
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self._top()
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _TUPLES:
            count = _TUPLES[name]
            self._need(count)
            stack[-count:] = [tuple(stack[-count:])]
        elif name not in _IGNORED:
            getattr(self, "_pop_opcode" if name == "POP" else f"_{name.lower()}")(argument)

    def _need(self, count: int) -> None:
        if len(self.stack) < count or any(x is _MARK for x in self.stack[-count:]):
            raise ValueError("the stack is empty")

    def _top(self) -> Any:
        self._need(1)
        return self.stack[-1]

    def _pop(self) -> Any:
        self._need(1)
        return self.stack.pop()

    def _to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            if at == 0:
                raise ValueError("no mark on the stack")
            at -= 1
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def _empty_tuple(self, _: Any) -> None:
        self.stack.append(())

    def _empty_list(self, _: Any) -> None:
        self.stack.append([])

    _empty_set = _empty_list

    def _empty_dict(self, _: Any) -> None:
        self.stack.append(Pairs())

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._to_mark()))

    def _list(self, _: Any) -> None:
        self.stack.append(self._to_mark())

    _frozenset = _list

    def _dict(self, _: Any) -> None:
        self.stack.append(Pairs(_paired(self._to_mark())))

    def _append(self, _: Any) -> None:
        value = self._pop()
        self._grow(self._top(), [value])

    def _appends(self, _: Any) -> None:
        values = self._to_mark()
        self._grow(self._top(), values)

    _additems = _appends

    def _setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._set(self._top(), [(key, value)])

    def _setitems(self, _: Any) -> None:
        pairs = _paired(self._to_mark())
        self._set(self._top(), pairs)

    @staticmethod
    def _grow(target: Any, values: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, (Call, Instance)):  # a list of another class: its items are part of its state
            target.arguments = [target.arguments, values]
        else:
            raise ValueError("items for what is not a list")

    @staticmethod
    def _set(target: Any, pairs: list[tuple[Any, Any]]) -> None:
        if isinstance(target, Pairs):
            target.pairs.extend(pairs)
        elif isinstance(target, (Call, Instance)):  # an OrderedDict is a call, filled afterwards
            if isinstance(target.arguments, Pairs):
                target.arguments.pairs.extend(pairs)
            else:
                target.arguments = Pairs(list(pairs))
        else:
            raise ValueError("pairs for what is not a dict")

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Name(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self.stack.append(Name(_text(module), _text(name)))

    def _reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        self.stack.append(Call(function, arguments))

    def _inst(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Call(Name(module, name), tuple(self._to_mark())))

    def _obj(self, _: Any) -> None:
        kind, *arguments = self._to_mark()
        self.stack.append(Call(kind, tuple(arguments)))

    def _newobj(self, _: Any) -> None:
        arguments, kind = self._pop(), self._pop()
        self.stack.append(Instance(kind, arguments))

    def _newobj_ex(self, _: Any) -> None:
        named, arguments, kind = self._pop(), self._pop(), self._pop()
        self.stack.append(Instance(kind, (arguments, named)))

    def _build(self, _: Any) -> None:
        state, target = self._pop(), self._top()
        if not isinstance(target, (Instance, Call)):
            raise ValueError("a state for what is not an object")
        target.state = state

    def _binpersid(self, _: Any) -> None:
        reference = self._pop()
        # Before torch 1.6 a module's class was stored with its source: ("module", class, file, source).
        stored = isinstance(reference, tuple) and len(reference) == 4 and reference[0] == "module"
        self.stack.append(reference[1] if stored and isinstance(reference[1], Name) else Persistent(reference))

    def _persid(self, argument: str) -> None:
        self.stack.append(Persistent(argument))

    def _pop_opcode(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self._top())

    def _ext1(self, argument: Any) -> None:
        self.stack.append(Name("copyreg extension", str(argument)))

    _ext2 = _ext4 = _ext1


def _paired(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"({type(value).__name__})"


def walk(root: Any) -> Iterator[Any]:
    """Every part of a description once, parents before children; safe for shared, deep and endless structures."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, tuple, Pairs, Call, Instance, Persistent, Name)):
            if id(value) in seen:
                continue
            seen.add(id(value))
        yield value
        waiting.extend(reversed(children(value)))


def children(value: Any) -> list[Any]:
    """The direct parts of one part of a description."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, Pairs):
        return [x for pair in value.pairs for x in pair]
    if isinstance(value, Call):
        return [value.function, value.arguments, value.state]
    if isinstance(value, Instance):
        return [value.kind, value.arguments, value.state]
    if isinstance(value, Persistent):
        return [value.reference]
    return []


def short(value: Any, depth: int = 3) -> str:
    """A description in a few characters, for people."""
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, Persistent):
        return "stored bytes"
    if depth == 0 and isinstance(value, (list, tuple, Pairs, Call, Instance)):
        return "…"
    if isinstance(value, Call):
        arguments = value.arguments if isinstance(value.arguments, tuple) else (value.arguments,)
        inside = ", ".join(short(x, depth - 1) for x in arguments[:4])
        return f"{short(value.function, depth - 1)}({inside}{', …' if len(arguments) > 4 else ''})"
    if isinstance(value, Instance):
        return f"an object of {short(value.kind, depth - 1)}"
    if isinstance(value, Pairs):
        inside = ", ".join(f"{short(k, depth - 1)}: {short(v, depth - 1)}" for k, v in value.pairs[:4])
        return "{" + inside + (", …" if len(value.pairs) > 4 else "") + "}"
    if isinstance(value, (list, tuple)):
        ends = "[]" if isinstance(value, list) else "()"
        inside = ", ".join(short(x, depth - 1) for x in value[:4])
        return ends[0] + inside + (", …" if len(value) > 4 else "") + ends[1]
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length():,} bits"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (str, bytes)) and len(value) > 60:
        return repr(value[:57])[:-1] + "…" + repr(value)[-1]
    return repr(value)
