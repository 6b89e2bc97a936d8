"""Decide what a drawing shows: which boxes there are, what is written on them, and what is collapsed.

Constants, attributes (`self.weight`) and lists of constants get no box: they are written on the operators
that use them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from course_utils.core.report import cut, plural
from course_utils.tools.ir import graph as ir

MARK = "★"
SYMBOLS = {
    "add": "+", "sub": "−", "mul": "×", "div": "/", "floordiv": "//", "remainder": "%", "pow": "**",
    "lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "==", "ne": "!=",
    "__and__": "and", "__or__": "or", "__is__": "is", "__isnot__": "is not",
}  # fmt: skip
CONVERSIONS = {"Bool", "Int", "Float", "IntImplicit", "FloatImplicit", "ScalarImplicit", "NumToTensor"}
SIDE_EFFECTS = {
    "prim::Print", "prim::RaiseException", "prim::SetAttr", "aten::warn", "aten::append", "aten::extend",
    "aten::insert", "aten::pop", "aten::clear", "aten::remove", "aten::reverse", "aten::_set_item",
    "aten::Delete",
}  # fmt: skip
# Arguments of the recorded convolution that no model chooses.
UNSAID = {"benchmark", "deterministic", "cudnn_enabled", "allow_tf32", "cudnn_enable"}
USUAL: dict[str, dict[str, Any]] = {
    "aten::_convolution": {
        "stride": 1, "padding": 0, "dilation": 1, "transposed": False, "output_padding": 0, "groups": 1,
    },
    "aten::batch_norm": {"momentum": 0.1, "eps": 1e-05},
}  # fmt: skip
DTYPES = {
    0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64",
    9: "complex64", 11: "bool", 15: "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class Highlight:
    kinds: tuple[str, ...] = ()
    chosen: Callable[[Any], bool] | None = None
    words: str = ""  # what the legend says of the marked boxes, instead of the kinds

    @classmethod
    def of(cls, highlight: str | Iterable[str] | Callable[[Any], bool]) -> Highlight:
        if isinstance(highlight, str):
            return cls((highlight,))
        if callable(highlight):
            return cls((), highlight)
        return cls(tuple(highlight))

    def __call__(self, step: ir.Step) -> bool:
        if self.chosen is not None:
            return bool(self.chosen(step.node))
        return step.kind in self.kinds or step.name in self.kinds

    def legend(self, marked: int) -> str:
        if not self.kinds and self.chosen is None:
            return ""
        if self.words:
            return f"{MARK} and thick border: {self.words}" if marked else "every box is on the other side too"
        what = ", ".join(self.kinds) or "node that your function chose"
        return (
            f"{MARK} and thick border: {what}" if marked else f"{MARK} nothing to highlight: no {what} in this picture"
        )


@dataclass(eq=False)
class Entry:
    """One box of the picture: a step, or several steps collapsed into one."""

    steps: list[ir.Step]
    ins: list[str]
    outs: list[str]
    name: str
    details: list[str]
    operators: int
    marked: bool
    barrier: bool
    collapsed: bool = False
    columns: list[Column] = field(default_factory=list)


@dataclass(eq=False)
class Column:
    """One block inside a frame."""

    title: str
    ports: list[tuple[str, str]]  # value, text on the pill
    entries: list[Entry]
    yields: list[tuple[str | None, str]]  # value (None: a constant, no edge), text on the pill


class Sketch:
    """Decides what is drawn and what is written on it."""

    def __init__(self, program: ir.Program, highlight: Highlight):
        self.program = program
        self.highlight = highlight
        self.made_by: dict[str, ir.Step] = {}
        self.uses: dict[str, list[ir.Step | None]] = {}
        self._index(program.block, None)
        self.folded: dict[str, str] = {}
        self.carries_mark: set[str] = set()
        self._fold(program.block)
        scopes = {inner.scope for step in program.block.steps for inner in all_steps(step)}
        above = {scope[:n] for scope in scopes for n in range(len(scope))}
        self.leaf_modules = scopes - above
        self.modules = {".".join(name for name, _ in scope): scope for scope in sorted(scopes | above)}

    # -- folding constants into their users --

    def _index(self, block: ir.Block, owner: ir.Step | None) -> None:
        for step in block.steps:
            for value in step.inputs:
                self.uses.setdefault(value, []).append(step)
            for value in step.outputs:
                self.made_by[value] = step
            for inner in step.blocks:
                self._index(inner, step)
        # Used by the step that holds the block; at the outermost level by nobody but the caller.
        for value in block.outputs:
            self.uses.setdefault(value, []).append(owner)

    def _fold(self, block: ir.Block) -> None:
        for step in block.steps:
            text = self._folded_text(step)
            if text is not None:
                self.folded[step.outputs[0]] = text
                if self.highlight(step) or any(value in self.carries_mark for value in step.inputs):
                    self.carries_mark.add(step.outputs[0])
            for inner in step.blocks:
                self._fold(inner)

    def _folded_text(self, step: ir.Step) -> str | None:
        if step.literal is not None:
            return step.literal.text
        if step.kind == "prim::GetAttr":
            owner, name = step.inputs[0], step.attributes["name"]
            if owner == self.program.root:
                return name
            if owner in self.folded:
                return f"{self.folded[owner]}.{name}"
        if step.kind in ("prim::ListConstruct", "prim::TupleConstruct"):
            known = all(value in self.folded and not self._is_attribute(value) for value in step.inputs)
            if known and all(self._only_reads(user) for user in self.uses.get(step.outputs[0], [])):
                items = ", ".join(self.folded[value] for value in step.inputs)
                return (
                    f"[{items}]" if step.name == "ListConstruct" else f"({items}{',' if len(step.inputs) == 1 else ''})"
                )
        return None

    def _is_attribute(self, value: str) -> bool:
        return value in self.made_by and self.made_by[value].kind == "prim::GetAttr"

    @staticmethod
    def _only_reads(user: ir.Step | None) -> bool:
        return user is not None and user.kind.startswith("aten::") and not user.blocks and not _has_side_effect(user)

    def literal(self, value: str) -> Any:
        """The Python value behind a folded constant or list of constants; its text where there is none."""
        step = self.made_by.get(value)
        if step is not None and step.literal is not None:
            return step.literal.value
        if step is not None and step.kind == "prim::ListConstruct":
            return [self.literal(item) for item in step.inputs]
        return self.folded.get(value)

    # -- names --

    def short(self, value: str) -> str:
        """`x` for `x.7`, `%14` for a value with no name of its own."""
        name = value.rsplit("/", 1)[-1]
        name = re.sub(r"\.\d+$", "", name)
        return f"%{name}" if name.isdigit() else name

    def written(self, value: str) -> str:
        """How a value is written in a line of text: its constant, or its short name."""
        return self.folded[value] if value in self.folded else self.short(value)

    def expression(self, value: str, depth: int = 3) -> str:
        """A condition as a short expression, such as `sum(x) > 0`."""
        text = self._expression(value, depth)
        return text if len(text) <= 44 else self.written(value)

    def _expression(self, value: str, depth: int) -> str:
        step = self.made_by.get(value)
        if not self.short(value).startswith("%"):  # it has a name, which the reader knows from the picture
            return self.written(value)
        if value in self.folded or step is None or depth == 0 or step.blocks or len(step.outputs) != 1:
            return self.written(value)
        if step.kind.startswith("aten::") and step.name in CONVERSIONS and len(step.inputs) == 1:
            return self._expression(step.inputs[0], depth)
        if step.name in ("__not__",):
            return f"not {self._expression(step.inputs[0], depth - 1)}"
        if step.name in SYMBOLS and len(step.inputs) >= 2:
            left, right = (self._expression(item, depth - 1) for item in step.inputs[:2])
            return f"{left} {SYMBOLS[step.name]} {right}"
        if step.kind.startswith("aten::"):
            kept = [item for item in step.inputs if self.folded.get(item) != "None"]
            return f"{step.name}({', '.join(self._expression(item, depth - 1) for item in kept)})"
        return self.written(value)

    # -- entries --

    def entries(self, block: ir.Block, scope_depth: int | None, frame_depth: int | None) -> list[Entry]:
        """The boxes of a block: submodules collapsed at `scope_depth`, frames open to `frame_depth`."""
        drawn = [step for step in block.steps if not (step.outputs and step.outputs[0] in self.folded)]
        runs: list[tuple[ir.Scope, list[ir.Step]]] = []
        for step, scope in zip(drawn, self.scopes(drawn), strict=True):
            key = scope[:scope_depth] if scope_depth is not None else ()
            if len(key) != scope_depth and key not in self.leaf_modules:
                key = ()
            if key and runs and runs[-1][0] == key:
                runs[-1][1].append(step)
            else:
                runs.append((key, [step]))
        result = []
        for key, steps in runs:
            operators = sum(self.count(step) for step in steps)
            if key and operators > 1:
                title = ".".join(name for name, _ in key)
                type_ = key[-1][1]
                details = [f"{type_} · {operators} operators" if type_ else f"{operators} operators"]
                result.append(self.group(steps, title, details))
            else:
                result += [self.entry(step, scope_depth, frame_depth) for step in steps]
        return result

    def scopes(self, steps: list[ir.Step]) -> list[ir.Scope]:
        """The scope of each step. torch gives a frame none: it takes that of its contents or neighbours."""
        found = [step.scope or _shared(self._inner_scopes(step)) for step in steps]
        for i, step in enumerate(steps):
            if step.blocks and i and not found[i]:
                rest = zip(steps[i:], found[i:], strict=True)
                found[i] = _shared([found[i - 1], next((scope for s, scope in rest if scope or not s.blocks), ())])
        return found

    def _inner_scopes(self, step: ir.Step) -> list[ir.Scope]:
        everything = list(all_steps(step))
        values = [value for inner in everything for value in inner.inputs if self._is_attribute(value)]
        read = [self.folded.get(value, "").rpartition(".")[0] for value in values]
        owners = [self.modules[name] for name in read if self.modules.get(name)]
        return [inner.scope for inner in everything if inner.scope] + owners

    def count(self, step: ir.Step) -> int:
        """Operators in a step: itself, and those in its blocks that are not folded away."""
        inner = (s for block in step.blocks for s in block.steps if not (s.outputs and s.outputs[0] in self.folded))
        return 1 + sum(self.count(s) for s in inner)

    def group(self, steps: list[ir.Step], name: str, details: list[str]) -> Entry:
        """Several steps as one box."""
        inside = {value for step in steps for value in step.outputs}
        ins = _unique(value for step in steps for value in self.reads(step) if value not in inside)
        taken = {id(inner) for step in steps for inner in all_steps(step)}
        outs = []
        for step in steps:
            for value in step.outputs:
                if any(user is None or id(user) not in taken for user in self.uses.get(value, [])):
                    outs.append(value)
        everything = [inner for step in steps for inner in all_steps(step)]
        return Entry(
            steps, ins, outs, name, details,
            operators=sum(self.count(step) for step in steps),
            marked=any(self.is_marked(inner) for inner in everything),
            barrier=any(_has_side_effect(inner) for inner in everything),
            collapsed=True,
        )  # fmt: skip

    def is_marked(self, step: ir.Step) -> bool:
        folded = bool(step.outputs) and step.outputs[0] in self.folded
        return not folded and (self.highlight(step) or any(value in self.carries_mark for value in step.inputs))

    def reads(self, step: ir.Step) -> list[str]:
        """Values a step takes in through an edge: arguments first, then what its blocks use from outside."""
        values = [value for value in step.inputs if value not in self.folded and value != self.program.root]
        if step.blocks and not step.is_subgraph:
            outside = _unique(value for block in step.blocks for value in self.captured(block))
            return [*values, *(value for value in outside if value not in values)]
        return values

    def captured(self, block: ir.Block) -> list[str]:
        """Values from outside that a block uses, in order of first use."""
        made = {*block.inputs, *(value for step in block.steps for value in step.outputs)}
        used = [value for step in block.steps for value in self.reads(step)]
        used += [value for value in block.outputs if value not in self.folded]
        return _unique(value for value in used if value not in made and value != self.program.root)

    def entry(self, step: ir.Step, scope_depth: int | None, frame_depth: int | None) -> Entry:
        """One step as a box, or as a frame where it holds blocks."""
        name, details = self.inscription(step)
        if step.blocks and frame_depth == 0:
            folded = self.group([step], name, details)
            folded.details = [*details, f"{folded.operators - 1} operators inside"]
            return folded
        result = Entry(
            [step], self.reads(step), list(step.outputs), name, details,
            operators=1,
            marked=self.is_marked(step),
            barrier=any(_has_side_effect(inner) for inner in all_steps(step)),
        )  # fmt: skip
        deeper = None if frame_depth is None else frame_depth - 1
        for number, block in enumerate(step.blocks):
            result.columns.append(self.column(step, number, block, scope_depth, deeper))
        return result

    def column(
        self, step: ir.Step, number: int, block: ir.Block, scope_depth: int | None, frame_depth: int | None
    ) -> Column:
        used = {value for inner in block.steps for value in self.reads(inner)} | set(block.outputs)
        captured = [] if step.is_subgraph else self.captured(block)
        ports = [(value, self.short(value)) for value in captured]
        entries = self.entries(block, scope_depth, frame_depth)
        if step.kind == "prim::If":
            title = ("true", "false")[number]
            yields = list(zip(block.outputs, (self.short(value) for value in step.outputs), strict=True))
        elif step.kind == "prim::Loop":
            title = ""
            ports = (
                [(value, f"{self.short(value)} (step)") for value in block.inputs[:1] if value in used]
                + [
                    (value, self._carried(value, start))
                    for value, start in zip(block.inputs[1:], step.inputs[2:], strict=True)
                    if value in used
                ]
                + ports
            )
            yields = [(block.outputs[0], "go on?")] if self.folded.get(block.outputs[0]) != "True" else []
            yields += [
                (value, f"next {self.short(target)}")
                for value, target in zip(block.outputs[1:], block.inputs[1:], strict=True)
            ]
        else:
            title = "" if len(step.blocks) == 1 else f"block {number}"
            ports = [(value, self.short(value)) for value in block.inputs] + ports
            yields = [(value, self.short(value)) for value in block.outputs]
        written: list[tuple[str | None, str]] = [
            (None, f"{text} = {self.folded[value]}") if value in self.folded else (value, text)
            for value, text in yields
        ]
        return Column(title, ports, entries, written)

    def _carried(self, value: str, start: str) -> str:
        return f"{self.short(value)}, first {self.folded[start]}" if start in self.folded else self.short(value)

    # -- what is written on a box --

    def inscription(self, step: ir.Step) -> tuple[str, list[str]]:
        """The name on a box, and the lines below it."""
        if step.kind == "prim::If":
            return f"if {self.expression(step.inputs[0])}", []
        if step.kind == "prim::Loop":
            return self._loop_header(step), []
        if step.kind == "prim::CallMethod":
            return self._call(step)
        if step.kind == "prim::CallFunction":
            rest = self._literals(step.inputs[1:])
            return self.folded.get(step.inputs[0], "call"), ["function", *rest]
        if step.kind == "prim::SetAttr":
            owner = self.folded.get(step.inputs[0])
            target = f"{owner}.{step.attributes['name']}" if owner else step.attributes["name"]
            value = self.folded.get(step.inputs[1])
            return f"set {target}", [f"= {value}"] if value is not None else []
        if step.kind == "prim::GetAttr":
            return f"get {step.attributes['name']}", []
        if step.kind == "prim::RaiseException":
            message = self.literal(step.inputs[0])
            return "raise", _wrap(cut(message, 80).split(), 30, " ") if isinstance(message, str) else []
        name = {
            "ListConstruct": "list", "TupleConstruct": "tuple", "DictConstruct": "dict",
            "ListUnpack": "unpack list",
            "TupleUnpack": "unpack tuple", "Print": "print", "RaiseException": "raise",
        }.get(step.name, step.name) if step.kind.startswith("prim::") else step.name  # fmt: skip
        return name, self._details(step)

    def _loop_header(self, step: ir.Step) -> str:
        limit, begin = step.inputs[:2]
        goes_on = step.blocks[0].outputs[0]
        bounded = self.folded.get(limit) != "max int"
        checked = self.folded.get(goes_on) != "True" or self.folded.get(begin) != "True"
        times = f"at most {self.expression(limit)} times" if checked else f"{self.expression(limit)} times"
        parts = [times] if bounded else []
        if checked:
            parts.append(f"while {self.expression(goes_on)}")
        return "loop: " + (", ".join(parts) if parts else "for ever")

    def _call(self, step: ir.Step) -> tuple[str, list[str]]:
        owner, method = step.inputs[0], step.attributes["name"]
        name = self.folded.get(owner, "self" if owner == self.program.root else self.short(owner))
        type_ = self.program.types.get(owner, "")
        title = name if method == "forward" and name != "self" else f"{name}.{method}"
        return title, [type_ or "module", *self._literals(step.inputs[1:])]

    def _literals(self, values: list[str]) -> list[str]:
        texts = [self.folded[value] for value in values if self.folded.get(value, "None") != "None"]
        return [", ".join(texts)] if texts else []

    def _details(self, step: ir.Step) -> list[str]:
        symbol = _symbol(step)
        texts: list[str] = []
        attributes: list[str] = []
        usual = USUAL.get(step.kind, {})
        operands = [self.folded.get(value, "") for value in step.inputs[:2]] if symbol else []
        if any(operands):
            texts.append(f"{operands[0]} {symbol} {operands[1]}".strip())
        for position, value in enumerate(step.inputs):
            if value not in self.folded or position < len(operands):
                continue
            argument = step.arguments[position] if position < len(step.arguments) else None
            text = self.folded[value]
            if self._is_attribute(value):
                attributes.append(text)
            elif argument is None:
                texts.append(text)
            elif not self._goes_without_saying(argument, value, usual):
                if argument.name == "dtype" and self.literal(value) in DTYPES:
                    text = DTYPES[self.literal(value)]
                texts.append(f"{argument.name}={text}")
        return [*_wrap(texts, 30), *_wrap(_common_prefix(attributes), 30)]

    def _goes_without_saying(self, argument: ir.Argument, value: str, usual: dict[str, Any]) -> bool:
        if argument.name in UNSAID or self.folded[value] == "None":
            return True
        literal = self.literal(value)
        if argument.name in usual:
            return _same_setting(literal, usual[argument.name])
        return argument.has_default and _same_setting(literal, argument.default)

    # -- fitting --

    def fit(self, max_nodes: int) -> tuple[list[Entry], str]:
        """The finest set of boxes that is allowed, and a sentence on what was collapsed."""
        if max_nodes < 1:
            raise ValueError(f"max_nodes is {max_nodes}; at least one box must be allowed")
        block = self.program.block
        entries = self.entries(block, None, None)
        full = _how_many(entries)
        if full <= max_nodes:
            return entries, ""
        deepest = max((len(step.scope) for top in block.steps for step in all_steps(top)), default=0)
        depth_of_frames = max((_depth(step) for step in block.steps), default=0)
        attempts: list[tuple[int | None, int | None]] = [(depth, None) for depth in range(deepest, 0, -1)]
        attempts += [(1 if deepest else None, frames) for frames in range(depth_of_frames - 1, -1, -1)]
        for scope_depth, frame_depth in attempts:
            entries = self.entries(block, scope_depth, frame_depth)
            drawn = _how_many(entries)
            if drawn <= max_nodes:
                how = []
                if scope_depth is not None:
                    how.append(f"the operators of one submodule are one box (submodule names {scope_depth} deep)")
                if frame_depth is not None:
                    how.append("inner blocks are folded")
                return entries, f"Collapsed from {full} boxes to {drawn}: {' and '.join(how)}."
        chunks = self._chunks(entries, max_nodes)
        return (
            chunks,
            f"Collapsed from {full} boxes to {len(chunks)}: operators that follow each other are one box.",
        )

    def _chunks(self, entries: list[Entry], count: int) -> list[Entry]:
        size = -(-len(entries) // count)
        result = []
        position = 1
        for start in range(0, len(entries), size):
            part = entries[start : start + size]
            operators = sum(self.count(step) for entry in part for step in entry.steps)
            kinds = Counter(step.name for entry in part for step in entry.steps).most_common()
            kinds.sort(key=lambda pair: (-pair[1], pair[0]))
            texts = [f"{n} {kind}" for kind, n in kinds[:4]] + (["…"] if len(kinds) > 4 else [])
            name = f"operators {position} to {position + operators - 1}"
            steps = [step for entry in part for step in entry.steps]
            result.append(part[0] if len(part) == 1 else self.group(steps, name, _wrap(texts, 34)))
            position += operators
        return result

    # -- words --

    def inputs(self) -> list[str]:
        """Graph inputs that are drawn: all but `self`."""
        return [value for value in self.program.block.inputs if value != self.program.root]

    def caption(self, entries: list[Entry], note: str) -> str:
        kinds = Counter(step.kind for entry in walk(entries) for top in entry.steps
                        for step in (self._visible(top) if entry.collapsed else [top]))  # fmt: skip
        frames = kinds["prim::If"] + kinds["prim::Loop"]
        parts = [plural(len(self.inputs()), "input"), plural(sum(kinds.values()) - frames, "operator")]
        parts += [
            plural(kinds[kind], word) for kind, word in (("prim::If", "if"), ("prim::Loop", "loop")) if kinds[kind]
        ]
        parts.append(plural(len(self.program.block.outputs), "output"))
        sentences = [f"TorchScript graph: {', '.join(parts)}."]
        if self.folded:
            sentences.append("Constants and attributes are written on the boxes that use them.")
        return " ".join([*sentences, *([note] if note else [])])

    def _visible(self, step: ir.Step) -> Iterator[ir.Step]:
        yield step
        for block in step.blocks:
            for inner in block.steps:
                if not (inner.outputs and inner.outputs[0] in self.folded):
                    yield from self._visible(inner)

    def outline(self, entries: list[Entry]) -> str:
        """The picture in words, one line a box."""
        inputs = ", ".join(f"%{value}: {self.program.types[value]}" for value in self.inputs())
        lines = [f"graph({inputs})", *self._outline(entries, "  ")]
        outputs = [self._named(value) for value in self.program.block.outputs]
        return "\n".join([*lines, f"  return {', '.join(outputs)}".rstrip()])

    def _named(self, value: str) -> str:
        return self.folded[value] if value in self.folded else "%" + value.rsplit("/", 1)[-1]

    def _outline(self, entries: list[Entry], indent: str) -> list[str]:
        lines = []
        for entry in entries:
            mark = f"{MARK} " if entry.marked else ""
            given = ", ".join(self._named(value) for value in entry.outs)
            left = f"{given} = " if given else ""
            operands = entry.steps[0].inputs[:2] if _symbol(entry.steps[0]) and not entry.collapsed else []
            taken = ", ".join(self._named(value) for value in operands or entry.ins)
            details = [] if any(value in self.folded for value in operands) else [d.rstrip(",") for d in entry.details]
            more = f"  [{', '.join(details)}]" if details else ""
            if not entry.columns:
                lines.append(f"{indent}{mark}{left}{entry.name}({taken}){more}")
                continue
            lines.append(f"{indent}{mark}{left}{entry.name}:")
            for column in entry.columns:
                inner = indent + "  "
                if column.title:
                    lines.append(f"{inner}{column.title}:")
                    inner += "  "
                lines += self._outline(column.entries, inner)
                result = [text if value is None else self._yielded(value, text) for value, text in column.yields]
                lines.append(f"{inner}gives {', '.join(result) or 'nothing'}")
        return lines

    def _yielded(self, value: str, text: str) -> str:
        return (
            text if self._named(value).removeprefix("%") == text.removeprefix("%") else f"{text} = {self._named(value)}"
        )


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def all_steps(step: ir.Step) -> Iterator[ir.Step]:
    yield step
    for block in step.blocks:
        for inner in block.steps:
            yield from all_steps(inner)


def _shared(scopes: list[ir.Scope]) -> ir.Scope:
    """The longest common beginning."""
    shared = scopes[0] if scopes else ()
    for scope in scopes[1:]:
        same = (a == b for a, b in zip(shared, scope, strict=False))
        shared = shared[: sum(takewhile(bool, same))]
    return shared


def _depth(step: ir.Step) -> int:
    """How deep blocks are nested in a step."""
    return max((1 + max((_depth(inner) for inner in block.steps), default=0) for block in step.blocks), default=0)


def walk(entries: list[Entry]) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        for column in entry.columns:
            yield from walk(column.entries)


def _how_many(entries: list[Entry]) -> int:
    return sum(1 for _ in walk(entries))


def _has_side_effect(step: ir.Step) -> bool:
    in_place = step.name.endswith("_") and not step.name.endswith("__")
    return step.kind in SIDE_EFFECTS or in_place or (not step.outputs and not step.blocks)


def _symbol(step: ir.Step) -> str:
    """The sign of an arithmetic operator or a comparison, `+=` for one in place; empty for any other step."""
    if not step.kind.startswith("aten::") or len(step.inputs) < 2:
        return ""
    if step.name in SYMBOLS:
        return SYMBOLS[step.name]
    plain = SYMBOLS.get(step.name.removesuffix("_"))
    return f"{plain}=" if plain and step.name.endswith("_") else ""


def _same_setting(value: Any, default: Any) -> bool:
    """Equal, where a list of equal numbers counts as that number: stride=[1, 1] is stride=1."""

    def plain(setting: Any) -> Any:
        if isinstance(setting, list) and setting and all(item == setting[0] for item in setting):
            return setting[0]
        return setting

    value, default = plain(value), plain(default)
    return type(value) in (int, float, bool, str, list, type(None)) and value == default


def _common_prefix(attributes: list[str]) -> list[str]:
    """`fc.weight, fc.bias` as `fc: weight, bias`."""
    owners = {name.rpartition(".")[0] for name in attributes}
    if len(owners) == 1 and (owner := owners.pop()):
        names = [name.rpartition(".")[2] for name in attributes]
        return [f"{owner}: {names[0]}", *names[1:]]
    return attributes


def _wrap(items: list[str], width: int, between: str = ", ") -> list[str]:
    """Items on lines of about `width` characters; an item is never broken."""
    lines: list[str] = []
    for number, item in enumerate(items):
        text = item + (between.rstrip() if number < len(items) - 1 else "")
        if lines and len(lines[-1]) + 1 + len(text) <= width:
            lines[-1] += " " + text
        else:
            lines.append(text)
    return lines
