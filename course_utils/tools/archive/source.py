"""The code of an archive as text: its classes and methods, and what in it reaches beyond tensors. Nothing is compiled.

The code is written in the TorchScript language, a part of Python with indentation. It is read line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Operators that reach beyond the tensors of a call. Found by reading the names of all that torch 2.15 registers.
OUTSIDE = {
    "save": "writes a file",
    "write_file": "writes a file",
    "from_file": "reads a file",
    "read_file": "reads a file",
    "rpc_async": "calls another process",
    "rpc_sync": "calls another process",
    "rpc_remote": "calls another process",
    "manual_seed": "sets the random seed of the process",
}
# Namespaces of operators that `import torch` registers in torch 2.15; a test compares them with the installed one.
BUILT_IN = {
    "_c10d_functional", "_c10d_functional_autograd", "_dtensor", "_native", "_native_aot", "_quantized", "_test",
    "aten", "c10d", "coor", "cuda", "debug_mode_ops", "debugprims", "export", "flex_gemm", "fsdp", "inductor",
    "inductor_prims", "mkl", "mkldnn", "mkldnn_prepacked", "onednn", "onnx", "prim", "prims", "profiler",
    "quantization", "quantized", "rngprims", "sparse", "static_runtime", "symm_mem",
}  # fmt: skip

_TOKEN = re.compile(r"""\#[^\n]*|\\\n|(?P<text>'''.*?'''|\"\"\".*?\"\"\"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<name>[^\W\d]\w*)|\s+|(?P<other>.)""", re.VERBOSE | re.DOTALL)  # fmt: skip
_WORTH_READING = re.compile(r"save|_file|ops|print|getattr|rpc_|manual_seed")
_CLASS = re.compile(r"^(?:class)\s+(?P<name>\w+)\s*(?P<base>\([^)]*\))?\s*:")
_DEF = re.compile(r"^(?P<indent>\s*)def\s+(?P<name>\w+)\s*\(")
_FIELD = re.compile(r"^\s+(?P<name>\w+)\s*:\s*(?P<type>[^=]+?)\s*(?:=\s*(?P<value>.+))?$")
_ODD_FIELD = re.compile(r"^\s+__annotations__\[\"(?P<name>[^\"]+)\"\]\s*=\s*(?P<type>.+)$")


@dataclass(frozen=True)
class Method:
    """One method or function of the archive's code.

    name: without its class. owner: the full name of its class, or of its module for a function. signature: one line.
    source: as in the archive. file: the entry that holds it.
    """

    name: str
    owner: str
    signature: str
    source: str
    file: str

    @property
    def qualified(self) -> str:
        """The full name, such as ``__torch__.Net.forward``."""
        return f"{self.owner}.{self.name}"

    @property
    def short(self) -> str:
        """Class and method, such as ``Net.forward``."""
        return f"{self.owner.rpartition('.')[2]}.{self.name}"


@dataclass(frozen=True)
class Class:
    """One class of the archive's code: its full name, its base and the declared type of each attribute."""

    name: str
    base: str
    fields: dict[str, str]
    constants: dict[str, str]


@dataclass(frozen=True)
class Effect:
    """Something that code of the archive does beyond computing with tensors.

    when: "on load" or "when called". what: what happens. where: the method.
    """

    when: str
    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.when}: {self.where} {self.what}"


def parse(text: str, file: str) -> tuple[list[Class], list[Method]]:
    """The classes and the methods of one source file; ``file`` is its name inside ``code/``."""
    module = file.removesuffix(".py").replace("/", ".")
    classes: list[Class] = []
    methods: list[Method] = []
    owner, lines = module, text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        if match := _CLASS.match(line):
            owner = f"{module}.{match['name']}"
            classes.append(Class(owner, (match["base"] or "").strip("()"), {}, {}))
        elif match := _DEF.match(line):
            end = _end_of_block(lines, at, len(match["indent"]))
            body = lines[at:end]
            holder = owner if match["indent"] else module
            methods.append(Method(match["name"], holder, _signature(body), "\n".join(body), file))
            at = end
            continue
        elif len(line) > 2000:  # a declaration is short
            pass
        elif classes and (match := _ODD_FIELD.match(line)):
            classes[-1].fields[match["name"]] = match["type"]
        elif classes and (match := _FIELD.match(line)):
            classes[-1].fields[match["name"]] = match["type"]
            if match["value"] is not None:
                classes[-1].constants[match["name"]] = match["value"]
        at += 1
    return classes, methods


def _end_of_block(lines: list[str], start: int, indent: int) -> int:
    """The line behind a def: the next one that is indented no deeper."""
    for at in range(start + 1, len(lines)):
        line = lines[at]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            return at
    return len(lines)


def _signature(body: list[str]) -> str:
    """``(x: Tensor, n: int=2) -> Tensor``, without self, on one line."""
    joined = " ".join(line.strip() for line in body[:200])[:20_000]
    start = joined.find("(")
    depth = 0
    for at in range(start, len(joined)):
        depth += (joined[at] in "([{") - (joined[at] in ")]}")
        if joined[at] == ":" and depth == 0:
            return re.sub(r"^\(self(?::[^,()]*)?(?:, )?", "(", joined[start:at].strip())
    return joined[start : start + 200]


def effects(methods: list[Method], texts: dict[str, str], made: set[str]) -> list[Effect]:
    """What the code does beyond tensors, and when.

    ``__setstate__`` runs while loading, and so does what it calls: a name that it uses counts as every method of that
    name. texts: the whole source files, since something may be outside of all methods. made: the full names of the
    classes that the archive makes objects of. This finds what is written down; it proves nothing about what is not
    found.
    """
    starts = [x for x in methods if x.name == "__setstate__" and (not made or x.owner in made)]
    by_name: dict[str, list[Method]] = {}
    for method in methods:
        by_name.setdefault(method.name, []).append(method)
    running, waiting = {id(x) for x in starts}, list(starts)
    while waiting:
        for kind, word in _words(waiting.pop().source):
            for method in by_name.get(word, []) if kind == "name" else []:
                if id(method) not in running:
                    running.add(id(method))
                    waiting.append(method)
    found = [Effect("on load", "runs, because the loader calls it", x.short) for x in starts]
    inside: dict[str, set[str]] = {}
    for method in methods:
        for what in _outside(method.source):
            inside.setdefault(method.file, set()).add(what)
            found.append(Effect("on load" if id(method) in running else "when called", what, method.short))
    for file, text in texts.items():
        found += [Effect("when called", x, f"code/{file}") for x in _outside(text) if x not in inside.get(file, set())]
    return list(dict.fromkeys(found))


def _outside(text: str) -> Iterator[str]:
    """What this source reaches outside, a few words each."""
    if not _WORTH_READING.search(text):  # most code has none of it, and this is quick
        return
    words = list(_words(text))
    for at, (kind, word) in enumerate(words):
        before = words[at - 1][1] if at else ""
        following = [w for _, w in words[at + 1 : at + 5]]
        if kind == "name" and before == "." and word in OUTSIDE:
            yield f"{OUTSIDE[word]} (`{word}`)"
        elif kind == "name" and word == "print" and before not in (".", "def"):
            yield "prints (`print`)"
        elif kind == "text" and len(words) > at > 1 and "getattr" in [w for _, w in words[max(0, at - 40) : at]]:
            plain = word.strip("'\"")
            if plain in OUTSIDE or "\\" in plain:
                yield f"{OUTSIDE.get(plain, 'takes a function by a disguised name')} (by `getattr`)"
        elif kind == "name" and word == "ops" and before != "." and len(following) > 3 and following[0] == ".":
            namespace, operator = following[1], following[3]
            if namespace not in BUILT_IN and operator not in OUTSIDE:
                yield f"calls the custom operator `{namespace}::{operator}`"


def custom_operators(text: str) -> Iterator[tuple[str, str]]:
    """Namespace and name of each operator in this source that does not come with torch."""
    words = [word for _, word in _words(text)] if "ops" in text else []
    for at, word in enumerate(words):
        if word == "ops" and (at == 0 or words[at - 1] != ".") and words[at + 1 : at + 2] == ["."]:
            namespace, operator = words[at + 2 : at + 3], words[at + 4 : at + 5]
            if namespace and operator and namespace[0] not in BUILT_IN:
                yield namespace[0], operator[0]


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Names, texts and signs of TorchScript source, without comments and white space."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind:
            yield kind, match[0]
