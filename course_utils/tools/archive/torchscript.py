"""A TorchScript zip: its classes, tensors, code and extra files, and what is unusual about them."""

from __future__ import annotations

from typing import Any

from course_utils.tools.archive import pickles, source
from course_utils.tools.archive.container import Container
from course_utils.tools.archive.errors import CODE_BYTES, MIB, OPCODES, ArchiveError
from course_utils.tools.archive.pickles import Instance
from course_utils.tools.archive.report import ArchiveReport
from course_utils.tools.archive.tensors import Walker, calls_of

JIT = "torch.jit.load(path)"
FORMATS = range(1, 11)  # versions that torch.jit.load of the locked torch reads; tests ask torch itself
# Namespaces of operators and classes that come with torch, and the package to import for those of others.
OF_TORCH = {"dist_rpc", "mkldnn", "nnapi", "profiling", "quantized", "rocksdb", "sparse", "tensorexpr", "xnnpack"}
IMPORTS = {"torchvision": "torchvision", "torchaudio": "torchaudio", "torchtext": "torchtext", "fbgemm": "fbgemm_gpu"}
IMPORTS |= {f"torch_{name}": f"torch_{name}" for name in ("scatter", "sparse", "cluster", "spline_conv")}
KEPT_EXTRA = MIB  # a larger extra file is named and not kept


def torchscript(container: Container, names: list[str], warnings: list[str], common: dict[str, Any]) -> ArchiveReport:
    data = container.describe("data.pkl", warnings)
    constants = container.describe("constants.pkl", warnings)
    classes, methods, texts = _code(container, names, warnings)
    by_class = {x.name: x for x in classes}
    root = str(data.kind) if isinstance(data, Instance) else ""
    walker = Walker(container, "data", by_class)
    walker.visit(data, "")
    constant_walker = Walker(container, "constants", by_class)
    items = list(constants) if isinstance(constants, (list, tuple)) else []
    for n, item in enumerate(items):
        constant_walker.visit(item, f"CONSTANTS.c{n}")
    warnings += walker.problems + constant_walker.problems
    made = {str(x.kind) for x in pickles.walk(data) if isinstance(x, Instance)}
    warnings += _version_warning(common["format_version"])
    warnings += _foreign_operators(methods)
    warnings += [
        f"it contains an object of {x}, whose code is in a C++ library and runs on load; load that library first"
        for x in sorted(made)
        if x.startswith("__torch__.torch.classes.") and x.split(".")[3] not in OF_TORCH
    ]
    unknown = sorted(made - set(by_class) - {x for x in made if x.startswith("__torch__.torch.classes.")})
    warnings += [f"the code of {x} is not in the archive; torch.jit.load will raise" for x in unknown[:8]]
    for part, described in (("data.pkl", data), ("constants.pkl", constants)):
        foreign = sorted(calls_of(described, torchscript=True))
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
        producer="torch.jit.save, little endian" if container.text("byteorder", []) == "little" else "torch.jit.save",
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
        return ["there is no version in it, and torch.jit.load raises; get it again"]
    if not version.isdecimal():
        return [f"its version is {version!r}, which is not a number; torch.jit.load raises; get it again"]
    if int(version) not in FORMATS:
        first, last = FORMATS[0], FORMATS[-1]
        return [
            f"it is of format version {version}, and torch.jit.load reads {first} to {last}: it raises for this one; "
            "ask its author which torch wrote it"
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
                warnings.append(f"{name} is not text: its bytes are damaged; get the file again")
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
                continue  # among the warnings, where the entries were checked
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
            continue  # damaged: among the warnings, where the entries were checked
    return tuple(found)
