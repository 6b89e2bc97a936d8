"""Put a report together: which kind of file this is, and what stands in it."""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from course_utils.tools.archive import pickles, source
from course_utils.tools.archive.container import Container, Entry
from course_utils.tools.archive.errors import CODE_BYTES, MIB, OPCODES, ArchiveError
from course_utils.tools.archive.pickles import Call, Instance, Name, Pairs, Persistent, short
from course_utils.tools.archive.report import ArchiveReport, Attribute, Sizes, Tensor

FORMATS = range(1, 11)  # versions that torch.jit.load of the locked torch reads; tests ask torch itself
# Namespaces of operators and classes that come with torch, and the package to import for those of others.
OF_TORCH = {"dist_rpc", "mkldnn", "nnapi", "profiling", "quantized", "rocksdb", "sparse", "tensorexpr", "xnnpack"}
IMPORTS = {"torchvision": "torchvision", "torchaudio": "torchaudio", "torchtext": "torchtext", "fbgemm": "fbgemm_gpu"}
IMPORTS |= {f"torch_{name}": f"torch_{name}" for name in ("scatter", "sparse", "cluster", "spline_conv")}
PACKAGE = "torch.package.PackageImporter(path), and only if you trust its maker: it runs Python code"
KEPT_EXTRA = MIB  # a larger extra file is named and not kept

JIT = "torch.jit.load(path)"
WEIGHTS = "torch.load(path, weights_only=True)"
TRUSTED = "torch.load(path, weights_only=False), and only if you trust its maker: it runs code"

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

# How a file begins that is no zip, what it is then, and what to do about it.
NO_ZIP = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer: the text that stands for a file not fetched yet; run git lfs pull",
    ),
    (b"<!doctype html", "a web page, often a login or an error page saved under this name; download the file again"),
    (b"<html", "a web page, often a login or an error page saved under this name; download the file again"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras writes it; open it with h5py"),
    (b"ustar", "a tar file; unpack it first"),
    (b"gguf", "a GGUF model, as llama.cpp reads it; torch does not"),
    (b"7z\xbc\xaf", "a 7z file; unpack it first"),
    (b"\x89png", "a picture"),
)
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def inspect(file: str | os.PathLike[str] | bytes | BinaryIO, *, check: bool = True) -> ArchiveReport:
    """What stands in a model file, without loading it and without running any of it.

    file: a path, the bytes, or an open binary file. check: compare the bytes of every entry with their checksum, which
    takes about a second per gigabyte. Works within the limits in ``errors.py``, whatever the file says. Raises
    :class:`ArchiveError` where there is nothing to report on: a missing, empty, cut-off or foreign file.
    """
    with _opened(file) as (stream, name):
        try:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            head = stream.read(512)
        except OSError as error:
            raise ArchiveError(
                f"{name} cannot be read ({error.strerror}): it is no plain file; copy its content into one"
            ) from None
        if not size:
            raise ArchiveError(f"{name} is empty: nothing was written, or the copy failed; save or copy it again")
        try:
            if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                with Container(stream, size) as container:
                    return _zip_report(container, name, size, check)
            return _no_zip(stream, head, name, size)
        except ArchiveError as error:
            raise ArchiveError(f"{name}: {error}") from None


@contextmanager
def _opened(file: Any) -> Iterator[tuple[BinaryIO, str]]:
    if isinstance(file, (bytes, bytearray, memoryview)):
        yield io.BytesIO(bytes(file)), "these bytes"
    elif hasattr(file, "read"):
        if not (hasattr(file, "seek") and isinstance(file.read(0), bytes)):
            raise TypeError("inspect needs a file opened with open(path, 'rb')")
        name = getattr(file, "name", "")
        at = file.tell()
        yield file, Path(name).name if isinstance(name, str) and name else "this buffer"
        file.seek(at)
    else:
        path = Path(file)
        name = path.name or path.absolute().resolve().name or str(path)
        shown = name if len(name) <= 80 else name[:77] + "..."
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise ArchiveError(f"{name} is a folder; give the path of the file in it")
            if not stat.S_ISREG(mode):
                kind = "named pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
                raise ArchiveError(f"{name} is a {kind} and no file; write its content into a file and give that")
            stream = path.open("rb")
        except FileNotFoundError:
            raise ArchiveError(f"there is no file {shown} in {path.parent}; check the path") from None
        except OSError as error:
            raise ArchiveError(
                f"{shown} cannot be opened: {error.strerror}; check the path, and who may read it"
            ) from None
        except ValueError as error:
            if isinstance(error, ArchiveError):
                raise
            raise ArchiveError(f"{shown!a} is no path ({error}); check where it comes from") from None
        with stream:
            yield stream, name


# --- no zip ----------------------------------------------------------------------------------------------------------


def _no_zip(stream: BinaryIO, head: bytes, name: str, size: int) -> ArchiveReport:
    if head.startswith(LEGACY):
        return _legacy(stream, name, size)
    if head[4:8] == b"PTMF":
        return ArchiveReport(name, "TorchScript module for mobile (flatbuffer)", JIT, size)
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        stream.seek(0)
        calls = _calls(pickles.describe(stream, "the pickle"))
        warnings = _calls_warning(calls, "pickle.load")
        return ArchiveReport(
            name, "plain pickle, not from torch.save", "pickle, if you trust it", size, warnings=warnings
        )
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < size:
        return ArchiveReport(name, "safetensors file", "safetensors.torch.load_file(path)", size)
    if re.match(rb"ET\d\d", head[4:8]):
        return ArchiveReport(
            name, "ExecuTorch program (.pte)", "executorch.runtime.Runtime.get().load_program(path)", size
        )
    if head[4:8] == b"TFL3":
        raise ArchiveError("it is a TensorFlow Lite model; torch does not read it")
    if head[:1] == b"\x08" and 0 < head[1] < 32 and head[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x3a", b"\x42"):
        return ArchiveReport(name, "ONNX model", "onnxruntime.InferenceSession(path)", size)
    start = head.lstrip().lower()
    for beginning, what in NO_ZIP:
        if start.startswith(beginning) or (beginning == b"ustar" and head[257:262] == beginning):
            raise ArchiveError(f"it is {what}")
    if set(head) == {0}:
        raise ArchiveError("it holds only zeros: the disk or the copy failed; get it again")
    raise ArchiveError(
        "it is no model file that torch writes; its first bytes are " + ascii(head[:8])[1:] + ", ask its maker"
    )


def _legacy(stream: BinaryIO, name: str, size: int) -> ArchiveReport:
    """torch.save before 1.6: pickles in a row (magic number, protocol, system, the object, the keys), then bytes."""
    stream.seek(0)
    parts = [pickles.describe(stream, f"pickle {n + 1}") for n in range(4)]
    calls = _calls(parts[3])
    kind = _kind_of_saved(parts[3])
    walker = _Walker(None, "data", {})
    walker.visit(parts[3], "")
    return ArchiveReport(
        name,
        f"{kind}, saved by torch.save in the form before torch 1.6",
        TRUSTED if calls else WEIGHTS,
        size,
        producer="torch.save",
        tensors=tuple(walker.found_tensors()),
        warnings=(*walker.problems, *_calls_warning(calls, "torch.load")),
    )


# --- a zip -----------------------------------------------------------------------------------------------------------


def _zip_report(container: Container, name: str, size: int, check: bool) -> ArchiveReport:
    names = container.names()
    warnings = list(container.problems)
    entries = container.checked() if check else [Entry(f"{container.folder}/{x}", container.size(x), 0) for x in names]
    warnings += [f"entry {x.name}: {x.problem}; get the file again" for x in entries if x.problem]
    newer = container.has(".data/version") and not container.has("version")  # torch.jit.save of gelu, for one
    common: dict[str, Any] = {
        "file_name": name,
        "bytes": size,
        "entries": tuple(entries),
        "format_version": _small_text(container, ".data/version" if newer else "version", warnings),
        "sizes": _sizes(container.folder, entries, size),
    }
    if any(x.startswith("data/aotinductor/") for x in names):
        warnings.append("it holds a compiled library, which runs on load; load it only if you trust its maker")
        loader = "torch._inductor.aoti_load_package(path)"
        return ArchiveReport(kind="AOTInductor package (.pt2)", loader=loader, warnings=tuple(warnings), **common)
    if container.has("archive_format") or container.has("models/model.json"):
        return ArchiveReport(
            kind="exported program (.pt2)", loader="torch.export.load(path)", warnings=tuple(warnings), **common
        )
    if container.has(".data/extern_modules") or (newer and not container.has("constants.pkl")):
        return _package(warnings, common)
    if container.has("model.json"):
        return _first_form(container, warnings, common)
    if container.has("constants.pkl") and container.has("data.pkl"):
        return _torchscript(container, names, warnings, common)
    if container.has("data.pkl") and not any(x.startswith("code/") for x in names):
        return _saved(container, warnings, common)
    missing = " and ".join(x for x in ("data.pkl", "constants.pkl") if not container.has(x))
    if container.has("version") or any(x.startswith("code/") for x in names):
        raise ArchiveError(f"it is a damaged model: {missing} is missing; get it again")
    raise ArchiveError(f"it is a zip, and no model: there is no {missing}; look at it with python -m zipfile -l")


def _package(warnings: list[str], common: dict[str, Any]) -> ArchiveReport:
    warnings.append("it holds Python code, which runs as soon as something is taken out; only if you trust its maker")
    return ArchiveReport(kind="torch.package file", loader=PACKAGE, warnings=tuple(warnings), **common)


def _first_form(container: Container, warnings: list[str], common: dict[str, Any]) -> ArchiveReport:
    """torch 1.0: a description as JSON in place of the pickles, and the code in one file of each module."""
    tensors = []
    try:
        described = json.loads(container.read("model.json"))
        for n, item in enumerate(described.get("tensors", ())):
            shape = tuple(int(x) for x in item.get("dims", ()))
            dtype, key = str(item.get("dataType", "unknown dtype")).lower(), item["data"]["key"]
            dtype, width = {"float": ("float32", 4), "double": ("float64", 8)}.get(dtype, (dtype, 8))
            size = math.prod(shape) * width
            tensors.append(Tensor(f"tensors[{n}]", dtype, shape, size, str(key), size))
    except ArchiveError as error:
        warnings.append(str(error))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        warnings.append("model.json is damaged; get the file again")
    return ArchiveReport(
        kind="TorchScript module in the form of torch 1.0 (model.json)",
        loader=JIT,
        producer="torch.jit.save of torch 1.0",
        tensors=tuple(tensors),
        warnings=tuple(warnings),
        **common,
    )


def _torchscript(container: Container, names: list[str], warnings: list[str], common: dict[str, Any]) -> ArchiveReport:
    data = _described(container, "data.pkl", warnings)
    constants = _described(container, "constants.pkl", warnings)
    classes, methods, texts = _code(container, names, warnings)
    by_class = {x.name: x for x in classes}
    root = str(data.kind) if isinstance(data, Instance) else ""
    walker = _Walker(container, "data", by_class)
    walker.visit(data, "")
    constant_walker = _Walker(container, "constants", by_class)
    items = list(constants) if isinstance(constants, (list, tuple)) else []
    for n, item in enumerate(items):
        constant_walker.visit(item, f"CONSTANTS.c{n}")
    warnings += walker.problems + constant_walker.problems
    made = {str(x.kind) for x in pickles.walk(data) if isinstance(x, Instance)}
    warnings += _version_warning(common["format_version"])
    warnings += _foreign_operators(methods)
    warnings += [
        f"it holds an object of {x}, whose code is in a C++ library and runs on load; load that library first"
        for x in sorted(made)
        if x.startswith("__torch__.torch.classes.") and x.split(".")[3] not in OF_TORCH
    ]
    unknown = sorted(made - set(by_class) - {x for x in made if x.startswith("__torch__.torch.classes.")})
    warnings += [f"the code of {x} is not in the archive; torch.jit.load will refuse it" for x in unknown[:8]]
    for part, described in (("data.pkl", data), ("constants.pkl", constants)):
        foreign = sorted(_calls(described, torchscript=True))
        warnings += [f"{part} names {x}, which torch.jit.save never writes; do not load it" for x in foreign[:8]]
    lost = sum(x.source.count("ops.prim.ConstantMKLDNNTensor()") for x in methods)
    if lost:
        warnings.append(
            f"{lost} of its constants were not written, as happens after optimize_for_inference, and it cannot be "
            "loaded; save the frozen model"
        )
    extras, kept = _extras(container, names)
    return ArchiveReport(
        kind="TorchScript function" if root.endswith(".PlaceholderModule") else "TorchScript module",
        loader=JIT,
        origin=_origin(container, root, by_class, bool(items)),
        producer="torch.jit.save, little endian" if _byte_order(container) == "little" else "torch.jit.save",
        root=root,
        methods=tuple(methods),
        tensors=tuple(walker.found_tensors()),
        constants=tuple(constant_walker.found_tensors()),
        attributes=tuple(walker.attributes + constant_walker.attributes),
        extra_files=extras,
        runs=tuple(source.effects(methods, texts, made)),
        disclosed=_disclosed(container, names),
        warnings=tuple(warnings),
        _extras=kept,
        **common,
    )


def _version_warning(version: str) -> list[str]:
    if not version:
        return ["there is no version in it, and torch.jit.load refuses it; get it again"]
    if not version.isdecimal():
        return [f"its version is {version!r} and no number; torch.jit.load refuses it; get it again"]
    if int(version) not in FORMATS:
        first, last = FORMATS[0], FORMATS[-1]
        return [
            f"it is of format version {version}, and torch.jit.load reads {first} to {last}: it refuses this one; "
            "ask its maker for the torch that wrote it"
        ]
    return []


def _foreign_operators(methods: list[source.Method]) -> list[str]:
    """What to import before loading, for operators that do not come with torch."""
    found: dict[str, set[str]] = {}
    for method in methods:
        for namespace, operator in source.custom_operators(method.source):
            found.setdefault(namespace, set()).add(f"{namespace}::{operator}")
    lines = []
    for namespace, operators in sorted(found.items()):
        package = IMPORTS.get(namespace)
        first = f"run import {package}" if package else "load the library that registers it (torch.ops.load_library)"
        listed = ", ".join(sorted(operators)[:3]) + (", …" if len(operators) > 3 else "")
        lines.append(f"it calls {listed}, which torch does not have: {first} before torch.jit.load")
    return lines


def _saved(container: Container, warnings: list[str], common: dict[str, Any]) -> ArchiveReport:
    data = _described(container, "data.pkl", warnings)
    calls = _calls(data)
    walker = _Walker(container, "data", {})
    walker.visit(data, "")
    return ArchiveReport(
        kind=f"{_kind_of_saved(data)}, saved by torch.save",
        loader=TRUSTED if calls else WEIGHTS,
        producer="torch.save",
        tensors=tuple(walker.found_tensors()),
        warnings=tuple(warnings + walker.problems) + _calls_warning(calls, "torch.load(weights_only=False)"),
        **common,
    )


def _described(container: Container, name: str, warnings: list[str]) -> Any:
    try:
        return pickles.describe(container.read(name), name)
    except ArchiveError as error:
        warnings.append(str(error))
        return None


def _small_text(container: Container, name: str, warnings: list[str]) -> str:
    try:
        return container.read(name)[:40].decode("ascii", "replace").strip() if container.has(name) else ""
    except ArchiveError as error:
        warnings.append(str(error))
        return ""


def _byte_order(container: Container) -> str:
    return _small_text(container, "byteorder", [])


def _code(
    container: Container, names: list[str], warnings: list[str]
) -> tuple[list[source.Class], list[source.Method], dict[str, str]]:
    classes: list[source.Class] = []
    methods: list[source.Method] = []
    texts: dict[str, str] = {}
    total = 0
    for name in names:
        if name.startswith("code/") and name.endswith(".py"):
            try:
                text = container.read(name).decode("utf-8")
            except ArchiveError as error:
                warnings.append(str(error))
                continue
            except UnicodeDecodeError:
                warnings.append(f"{name} is no text: its bytes are damaged; get the file again")
                continue
            total += len(text)
            if total > CODE_BYTES:
                warnings.append(
                    f"its code is longer than {CODE_BYTES // MIB} MiB and was not read to its end; do not load it"
                )
                break
            file = name.removeprefix("code/")
            texts[file] = text
            more_classes, more_methods = source.parse(text, file)
            classes += more_classes
            methods += more_methods
    return classes, methods, texts


def _origin(container: Container, root: str, classes: dict[str, Any], has_constants: bool) -> str:
    if container.has("bytecode.pkl"):
        return "with bytecode for the lite interpreter"
    if container.has("traced_inputs.pkl"):
        return "traced"
    described = classes.get(root)
    if described is not None and "training" not in described.fields:
        return "frozen" if has_constants or not described.fields else ""
    return ""


def _extras(container: Container, names: list[str]) -> tuple[dict[str, int], dict[str, bytes]]:
    sizes = {x.removeprefix("extra/"): container.size(x) for x in names if x.startswith("extra/")}
    kept: dict[str, bytes] = {}
    for name, size in sizes.items():
        if size <= KEPT_EXTRA and sum(map(len, kept.values())) + size <= 8 * KEPT_EXTRA:
            try:
                kept[name] = container.read(f"extra/{name}")
            except ArchiveError:
                continue  # said among the warnings, where the entries were checked
    return sizes, kept


def _disclosed(container: Container, names: list[str]) -> tuple[str, ...]:
    """Paths of source files in the debug records: texts that end in .py, of which some name a person's folders."""
    found: dict[str, None] = {}
    steps = 0
    for name in names:
        if not name.endswith(".debug_pkl"):
            continue
        try:
            for _, argument in pickles.opcodes(container.read(name)):
                steps += 1
                if steps > OPCODES:
                    return tuple(found)
                if isinstance(argument, str) and argument.endswith(".py") and "\n" not in argument:
                    found[argument] = None
        except (ValueError, IndexError, OverflowError, AssertionError):
            continue  # damaged: said among the warnings, where the entries were checked
    return tuple(found)


def _sizes(folder: str, entries: list[Entry], size: int) -> Sizes:
    groups = dict.fromkeys(("tensors", "code", "debug", "extra", "pickles", "other"), 0)
    for entry in entries:
        name = entry.name.removeprefix(folder + "/")
        if name.startswith(("data/", "constants/", "traced_inputs/")):
            group = "tensors"
        elif name.endswith(".debug_pkl"):
            group = "debug"
        elif name.startswith("code/"):
            group = "code"
        elif name.startswith("extra/"):
            group = "extra"
        else:
            group = "pickles" if name.endswith(".pkl") else "other"
        groups[group] += entry.stored
    return Sizes(**groups, zip=max(0, size - sum(groups.values())))


# --- what a description says ------------------------------------------------------------------------------------------


class _Walker:
    """Collect tensors and plain values with their paths, each object once, within a limit."""

    LIMIT = 200_000

    def __init__(self, container: Container | None, folder: str, classes: dict[str, source.Class]) -> None:
        self.container, self.folder, self.classes = container, folder, classes
        self._walked = 0
        self.tensors: list[Tensor] = []
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
                    self.attributes.append(Attribute(path, kind, "an object that stands above under another path"))
                    continue
                seen.add(id(value))
                waiting += [(x, p, k, depth + 1) for x, p, k in reversed(inside)]
            elif path:
                self.attributes.append(Attribute(path, kind, short(value)))

    def _inside(self, value: Any, path: str) -> Iterator[tuple[Any, str, str]]:
        dot = f"{path}." if path else ""
        if isinstance(value, Instance):
            described = self.classes.get(str(value.kind))
            state = value.state if isinstance(value.state, Pairs) else Pairs()
            for name, inner in state.named():
                yield inner, dot + name, described.fields.get(name, "") if described else ""
            if value.state is not None and not isinstance(value.state, Pairs):
                yield value.state, dot + "__getstate__()", ""
            for name, text in described.constants.items() if described else ():
                if state.get(name) is None:
                    self.attributes.append(Attribute(dot + name, described.fields[name], text))
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

    def _described_tensor(self, value: Call, path: str) -> Tensor:
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
            self.problems.append(f"tensor {path[:80]} reaches behind the end of its bytes; do not load the file")
        return Tensor(path, dtype, shape, math.prod(shape) * width, entry, length * width, str(device)[:20])

    def _holds_tensor(self, value: Any) -> bool:
        """Is a tensor or an object inside? Yes as well when the question takes too long."""
        for part in pickles.walk(value):
            self._walked += 1
            if _is_tensor(part) or isinstance(part, (Persistent, Instance)) or self._walked > self.LIMIT:
                return True
        return False

    def found_tensors(self) -> list[Tensor]:
        """The tensors, each with the other paths on its storage."""
        done = []
        for tensor in self.tensors:
            others = tuple(x for x in self._keys[tensor.storage] if x != tensor.path)[:8]
            done.append(tensor if not others else Tensor(**{**vars(tensor), "shared": others}))
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


def _kind_of_saved(data: Any) -> str:
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


def _calls(data: Any, torchscript: bool = False) -> set[str]:
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


def _calls_warning(calls: set[str], by: str) -> tuple[str, ...]:
    if not calls:
        return ()
    listed = ", ".join(sorted(calls)[:6]) + (", …" if len(calls) > 6 else "")
    return (f"{by} would import and call: {listed}; load it only if you trust its maker",)
