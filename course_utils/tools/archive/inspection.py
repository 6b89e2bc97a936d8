"""Which kind of file this is, and the report of each kind."""

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

from course_utils.core.report import cut
from course_utils.tools.archive import pickles
from course_utils.tools.archive.container import Container, Entry
from course_utils.tools.archive.errors import ArchiveError
from course_utils.tools.archive.report import ArchiveReport, Sizes, TensorInfo
from course_utils.tools.archive.tensors import Walker, calls_of, calls_warning, kind_of_saved
from course_utils.tools.archive.torchscript import JIT, torchscript

PACKAGE = "torch.package.PackageImporter(path), and only if you trust its author: it runs Python code"
WEIGHTS = "torch.load(path, weights_only=True)"
TRUSTED = "torch.load(path, weights_only=False), and only if you trust its author: it runs code"

# How a file begins that is not a zip, what it is then, and what to do about it.
WEB_PAGE = "a web page, often a login or an error page saved under this name; download the file again"
NOT_A_ZIP = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer: the text that stands for a file not fetched yet; run git lfs pull",
    ),
    (b"<!doctype html", WEB_PAGE),
    (b"<html", WEB_PAGE),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras writes it; open it with h5py"),
    (b"ustar", "a tar file; unpack it first"),
    (b"gguf", "a GGUF model, as llama.cpp reads it; torch does not"),
    (b"7z\xbc\xaf", "a 7z file; unpack it first"),
    (b"\x89png", "a picture"),
)
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def inspect(file: str | os.PathLike[str] | bytes | BinaryIO, *, check: bool = True) -> ArchiveReport:
    """What a model file contains, without loading it and without running any of it.

    file: a path, the bytes, or an open binary file. check: compare the bytes of every entry with their checksum, which
    takes about a second per gigabyte. Works within the limits in ``errors.py``, whatever the file says. Raises
    `ArchiveError` where there is nothing to report on: a missing, empty, cut-off or foreign file.
    """
    with _opened(file) as (stream, name):
        try:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            head = stream.read(512)
        except OSError as error:
            raise ArchiveError(
                f"{name} cannot be read ({error.strerror}): it is not a plain file; copy its content into one"
            ) from None
        if not size:
            raise ArchiveError(f"{name} is empty: nothing was written, or the copy failed; save or copy it again")
        try:
            if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                with Container(stream, size) as container:
                    return _zip_report(container, name, size, check)
            return _not_a_zip(stream, head, name, size)
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
        shown = cut(name, 80)
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise ArchiveError(f"{name} is a folder; give the path of the file in it")
            if not stat.S_ISREG(mode):
                kind = "named pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
                raise ArchiveError(f"{name} is a {kind} and not a file; write its content into a file and give that")
            stream = path.open("rb")
        except FileNotFoundError:
            raise ArchiveError(f"there is no file {shown} in {path.parent}; check the path") from None
        except OSError as error:
            raise ArchiveError(
                f"{shown} cannot be opened: {error.strerror}; check the path and its permissions"
            ) from None
        except ValueError as error:
            if isinstance(error, ArchiveError):
                raise
            raise ArchiveError(f"{shown!a} is not a path ({error}); check where it comes from") from None
        with stream:
            yield stream, name


# --- not a zip -------------------------------------------------------------------------------------------------------


def _not_a_zip(stream: BinaryIO, head: bytes, name: str, size: int) -> ArchiveReport:
    if head.startswith(LEGACY):
        return _legacy(stream, name, size)
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        stream.seek(0)
        calls = calls_of(pickles.describe(stream, "the pickle"))
        warnings = calls_warning(calls, "pickle.load")
        kind, loader = "plain pickle, not from torch.save", "pickle, if you trust it"
        return ArchiveReport(name, kind, loader, size, warnings=warnings)
    is_safetensors = head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < size
    for is_it, kind, loader in (
        (head[4:8] == b"PTMF", "TorchScript module for mobile (flatbuffer)", JIT),
        (is_safetensors, "safetensors file", "safetensors.torch.load_file(path)"),
        (
            re.match(rb"ET\d\d", head[4:]),
            "ExecuTorch program (.pte)",
            "executorch.runtime.Runtime.get().load_program(path)",
        ),
        (re.match(rb"\x08[\x01-\x1f][\x12\x1a\x22\x3a\x42]", head), "ONNX model", "onnxruntime.InferenceSession(path)"),
    ):
        if is_it:
            return ArchiveReport(name, kind, loader, size)
    if head[4:8] == b"TFL3":
        raise ArchiveError("it is a TensorFlow Lite model; torch does not read it")
    start = head.lstrip().lower()
    for beginning, what in NOT_A_ZIP:
        if start.startswith(beginning) or (beginning == b"ustar" and head[257:262] == beginning):
            raise ArchiveError(f"it is {what}")
    if set(head) == {0}:
        raise ArchiveError("it contains only zeros: the disk or the copy failed; get it again")
    raise ArchiveError(
        f"it is not a file that torch writes; its first bytes are {ascii(head[:8])[1:]}, ask whoever produced it"
    )


def _legacy(stream: BinaryIO, name: str, size: int) -> ArchiveReport:
    """torch.save before 1.6: pickles in a row (magic number, protocol, system, the object, the keys), then bytes."""
    stream.seek(0)
    parts = [pickles.describe(stream, f"pickle {n + 1}") for n in range(4)]
    calls = calls_of(parts[3])
    kind = kind_of_saved(parts[3])
    walker = Walker(None, "data", {})
    walker.visit(parts[3], "")
    return ArchiveReport(
        name,
        f"{kind}, saved by torch.save in the form before torch 1.6",
        TRUSTED if calls else WEIGHTS,
        size,
        producer="torch.save",
        tensors=tuple(walker.found_tensors()),
        warnings=(*walker.problems, *calls_warning(calls, "torch.load")),
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
        "file_size": size,
        "entries": tuple(entries),
        "format_version": container.text(".data/version" if newer else "version", warnings),
        "sizes": _sizes(container.folder, entries, size),
    }
    if any(x.startswith("data/aotinductor/") for x in names):
        warnings.append("it contains a compiled library, which runs on load; load it only if you trust its author")
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
        return torchscript(container, names, warnings, common)
    if container.has("data.pkl") and not any(x.startswith("code/") for x in names):
        return _saved(container, warnings, common)
    missing = " and ".join(x for x in ("data.pkl", "constants.pkl") if not container.has(x))
    if container.has("version") or any(x.startswith("code/") for x in names):
        raise ArchiveError(f"it is a damaged model: {missing} is missing; get it again")
    raise ArchiveError(f"it is a zip, but not a model: there is no {missing}; look at it with python -m zipfile -l")


def _package(warnings: list[str], common: dict[str, Any]) -> ArchiveReport:
    warnings.append("it contains Python code, which runs on load; load it only if you trust its author")
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
            tensors.append(TensorInfo(f"tensors[{n}]", dtype, shape, size, str(key), size))
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


def _saved(container: Container, warnings: list[str], common: dict[str, Any]) -> ArchiveReport:
    data = container.describe("data.pkl", warnings)
    calls = calls_of(data)
    walker = Walker(container, "data", {})
    walker.visit(data, "")
    return ArchiveReport(
        kind=f"{kind_of_saved(data)}, saved by torch.save",
        loader=TRUSTED if calls else WEIGHTS,
        producer="torch.save",
        tensors=tuple(walker.found_tensors()),
        warnings=tuple(warnings + walker.problems) + calls_warning(calls, "torch.load(weights_only=False)"),
        **common,
    )


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
