"""The tensors and plain values in a described pickle, and what an unpickler would call for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from course_utils.tools.archive import pickles, source
from course_utils.tools.archive.container import Container
from course_utils.tools.archive.pickles import Call, Instance, Name, Pairs, Persistent, short
from course_utils.tools.archive.report import Attribute, TensorInfo

# dtype and bytes a value, by the class of the storage
STORAGES = {
    "FloatStorage": ("float32", 4), "DoubleStorage": ("float64", 8), "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2), "LongStorage": ("int64", 8), "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2), "CharStorage": ("int8", 1), "ByteStorage": ("uint8", 1), "BoolStorage": ("bool", 1),
    "ComplexFloatStorage": ("complex64", 8), "ComplexDoubleStorage": ("complex128", 16), "QInt8Storage": ("qint8", 1),
    "QUInt8Storage": ("quint8", 1), "QInt32Storage": ("qint32", 4), "UntypedStorage": ("bytes", 1),
}  # fmt: skip

# What the pickles of torch.save may name without running more than the making of tensors and containers.
HARMLESS = {
    "collections.OrderedDict", "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter", "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor", "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_device_tensor_from_numpy", "torch.Size", "torch.device", "torch.serialization._get_layout",
    "torch.per_tensor_affine", "torch.per_channel_affine", "_codecs.encode", "__builtin__.set", "builtins.set",
}  # fmt: skip


class Walker:
    """Collect tensors and plain values with their paths, each object once, within a limit."""

    LIMIT = 200_000

    def __init__(self, container: Container | None, folder: str, classes: dict[str, source.Class]) -> None:
        self.container, self.folder, self.classes = container, folder, classes
        self._walked = 0
        self.tensors: list[TensorInfo] = []
        self.attributes: list[Attribute] = []
        self.problems: list[str] = []
        self._keys: dict[str, list[str]] = {}

    def visit(self, root: Any, path: str) -> None:
        waiting = [(root, path, "", 0)]
        seen: set[int] = set()
        steps = 0
        while waiting:
            value, path, kind, depth = waiting.pop()
            steps += 1
            if steps > self.LIMIT or depth > 100:
                self.problems.append("its data is nested or long beyond any model; the report is cut off there")
                return
            value = _untagged(value)
            if _is_tensor(value):
                self._tensor(value, path)
                continue
            inside = list(self._inside(value, path))
            steps += len(inside)
            if isinstance(value, Instance) or (inside and self._holds_tensor(value)):
                if id(value) in seen:
                    self.attributes.append(Attribute(path, kind, "an object listed above under another path"))
                    continue
                seen.add(id(value))
                waiting += [(x, p, k, depth + 1) for x, p, k in reversed(inside)]
            elif path:
                self.attributes.append(Attribute(path, kind, short(value)))

    def _inside(self, value: Any, path: str) -> Iterator[tuple[Any, str, str]]:
        dot = f"{path}." if path else ""
        if isinstance(value, Instance):
            described = self.classes.get(str(value.kind))
            fields = described.fields if described else {}
            state = value.state if isinstance(value.state, Pairs) else Pairs()
            for name, inner in state.named():
                yield inner, dot + name, fields.get(name, "")
            if value.state is not None and not isinstance(value.state, Pairs):
                yield value.state, dot + "__getstate__()", ""
            for name, text in described.constants.items() if described else ():
                if state.get(name) is None:
                    self.attributes.append(Attribute(dot + name, fields[name], text))
        elif isinstance(value, Pairs):
            for name, inner in value.named():
                yield inner, dot + name, ""
        elif isinstance(value, (list, tuple)):
            for n, inner in enumerate(value[:1000]):
                yield inner, f"{path}[{n}]", ""
        elif isinstance(value, Call) and str(value.function) == "collections.OrderedDict":
            yield value.arguments if isinstance(value.arguments, Pairs) else Pairs(), path, ""

    def _tensor(self, value: Call, path: str) -> None:
        try:
            tensor = self._described_tensor(value, path)
        except (TypeError, ValueError, IndexError, AttributeError, OverflowError):
            self.problems.append(f"the description of tensor {path[:80]} is damaged; get the file again")
            return
        self.tensors.append(tensor)
        self._keys.setdefault(tensor.storage, []).append(path)

    def _described_tensor(self, value: Call, path: str) -> TensorInfo:
        arguments = value.arguments
        if str(value.function) == "torch._utils._rebuild_parameter":
            arguments = arguments[0].arguments
        reference = arguments[0].reference
        _, storage, key, device, length = reference[:5]
        if not (isinstance(key, str) and isinstance(length, int)):
            raise TypeError
        dtype, width = STORAGES.get(storage.name if isinstance(storage, Name) else "", ("unknown dtype", 1))
        offset, shape, stride = arguments[1], tuple(arguments[2]), tuple(arguments[3])
        numbers = (offset, length, *shape, *stride)
        if not all(isinstance(x, int) and 0 <= x < 2**63 for x in numbers) or not len(shape) == len(stride) <= 64:
            raise ValueError
        entry = f"{self.folder}/{key}"
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True)) if 0 not in shape else -1
        inside = self.container
        there = inside.size(entry) if inside is not None and inside.has(entry) else None
        if inside is None:
            entry = str(key)[:40]  # behind the pickles, in the form before torch 1.6
        elif there is None:
            self.problems.append(f"the bytes of tensor {path[:80]} are missing ({entry[:40]}); get the file again")
        elif (last + 1) * width > there and there:
            self.problems.append(f"tensor {path[:80]} reaches past the end of its bytes; do not load the file")
        return TensorInfo(path, dtype, shape, math.prod(shape) * width, entry, length * width, str(device)[:20])

    def _holds_tensor(self, value: Any) -> bool:
        """Is a tensor or an object inside? Yes as well when the question takes too long."""
        for part in pickles.walk(value):
            self._walked += 1
            if _is_tensor(part) or isinstance(part, (Persistent, Instance)) or self._walked > self.LIMIT:
                return True
        return False

    def found_tensors(self) -> list[TensorInfo]:
        """The tensors, each with the other paths on its storage."""
        done = []
        for tensor in self.tensors:
            others = tuple(x for x in self._keys[tensor.storage] if x != tensor.path)[:8]
            done.append(tensor if not others else replace(tensor, shared=others))
        return done


def _untagged(value: Any) -> Any:
    """The value inside torch's own wrappers for typed lists and dicts."""
    for _ in range(8):
        if not isinstance(value, Call) or not isinstance(value.arguments, tuple) or not value.arguments:
            return value
        name = str(value.function)
        if name == "torch.jit._pickle.restore_type_tag" or name.startswith("torch.jit._pickle.build_"):
            value = value.arguments[0]
        else:
            return value
    return value


def _is_tensor(value: Any) -> bool:
    if not isinstance(value, Call) or not isinstance(value.function, Name):
        return False
    return value.function.module == "torch._utils" and value.function.name.startswith("_rebuild_")


def kind_of_saved(data: Any) -> str:
    if isinstance(data, Call) and str(data.function) == "collections.OrderedDict":
        return "state_dict"
    if _is_tensor(data):
        return "tensor"
    if isinstance(data, Pairs):
        values = [_untagged(x) for _, x in data.pairs]
        return "state_dict" if values and all(_is_tensor(x) for x in values) else "checkpoint (a dict)"
    if isinstance(data, Instance) and isinstance(data.kind, Name):
        return f"pickled object of class {data.kind}"
    return "pickled data"


def calls_of(data: Any, torchscript: bool = False) -> set[str]:
    """Names that a plain unpickler would call or make, without those that make tensors and containers."""
    found = set()
    for part in pickles.walk(data):
        target = part.function if isinstance(part, Call) else part.kind if isinstance(part, Instance) else None
        if target is None:
            continue
        name = str(target) if isinstance(target, Name) else short(target)
        own = torchscript and name.startswith(("__torch__", "torch.jit._pickle."))
        if name not in HARMLESS and not own:
            found.add(name[:80])
    return found


def calls_warning(calls: set[str], by: str) -> tuple[str, ...]:
    if not calls:
        return ()
    listed = ", ".join(sorted(calls)[:6]) + (", …" if len(calls) > 6 else "")
    return (f"{by} would import and call: {listed}; load it only if you trust its author",)
