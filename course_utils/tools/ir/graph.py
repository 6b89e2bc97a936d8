"""Get at a TorchScript graph: its text, its operators, and a plain Python copy of its structure.

The graph classes (`torch.Graph`, `torch.Node`, `torch.Value`) and everything under `torch._C` are private to
PyTorch and not documented. This file and `passes.py` are the only places of the course package that touch
them. Checked with torch 2.15.0.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

Graph = torch._C.Graph
TorchNode = torch._C.Node
PLUMBING = frozenset({"prim::Constant", "prim::GetAttr"})
MAX_INT = 2**63 - 1
HOW_TO_CONVERT = "script or trace it first: torch.jit.script(it) or torch.jit.trace(it, example_inputs)"


def graph_of(obj: Any, *, inlined: bool = False) -> Graph:
    """The graph of a scripted or traced module or function, of one of its methods, of a graph, or of IR text.

    `inlined=True` gives a graph in which every called function and submodule is written out; it is then
    always a copy. With `inlined=False` the object's own graph is given: change a `.copy()` of it, not the
    graph itself.

    Raises TypeError for eager modules and plain functions, ValueError for text that is not IR and for a module
    without `forward`.
    """
    if isinstance(obj, str):
        try:
            # torch prints a node with no outputs as " = prim::Print(…)", which its own parser does not take.
            graph = torch._C.parse_ir(re.sub(r"^( *) = (?=\w+::)", r"\1", obj, flags=re.MULTILINE))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            message = f'this is not TorchScript IR ({reason}); begin with a line such as "graph(%x : Tensor):"'
            raise ValueError(message) from None
    elif isinstance(obj, Graph):
        graph = obj
    elif isinstance(obj, torch.jit.ScriptModule):
        if not obj._c._has_method("forward"):
            methods = ", ".join(sorted(obj._c._method_names())[:6]) or "none"
            name = obj.original_name
            raise ValueError(
                f"{name} has no single compiled forward; pass a method, as module.method. It has: {methods}"
            )
        graph = obj.graph
    elif isinstance(obj, torch._C.ScriptFunction | torch._C.ScriptMethod):
        graph = obj.graph
    elif isinstance(obj, torch.nn.Module):
        raise TypeError(f"{_type_name(obj)} is an eager module and has no graph; {HOW_TO_CONVERT}")
    elif callable(obj):
        name = getattr(obj, "__name__", _type_name(obj))
        raise TypeError(f"{name} is a Python callable and has no graph; {HOW_TO_CONVERT}")
    else:
        raise TypeError(
            f"{_type_name(obj)} objects have no graph; pass a scripted or traced module or function, or IR text"
        )
    if inlined:
        graph = graph.copy()
        torch._C._jit_pass_inline(graph)
    return graph


def show(obj: Any, *, inlined: bool = False) -> str:
    """The IR text of a graph (or of one `torch.Node`), without file names and `___torch_mangle_N`.

    torch writes `# file:line:column` behind every line, and `graph.str(False)` leaves it there inside nested
    blocks. No global print setting is changed.
    """
    if isinstance(obj, TorchNode):
        return clean(str(obj))
    return clean(str(graph_of(obj, inlined=inlined)))


def clean(text: str) -> str:
    """IR text without source ranges and without the `___torch_mangle_N` that distinguishes equal type names."""
    lines = (_without_source_range(line) for line in text.splitlines())
    return re.sub(r"\.?___torch_mangle_\d+", "", "\n".join(lines)).strip("\n")


def _without_source_range(line: str) -> str:
    """Cut the line at the first ` # ` that stands outside a quoted string."""
    quoted = False
    position = 0
    while position < len(line):
        char = line[position]
        if quoted and char == "\\":
            position += 1
        elif char == '"':
            quoted = not quoted
        elif char == "#" and not quoted and line[position - 1 : position] == " ":
            return line[:position].rstrip()
        position += 1
    return line.rstrip()


def nodes_of(graph: Graph) -> Iterator[TorchNode]:
    """Every node in program order; nodes of blocks and subgraphs (as in `prim::fork`) follow their holder."""
    for node in graph.nodes():
        yield from _with_nested(node)


def _with_nested(node: TorchNode) -> Iterator[TorchNode]:
    yield node
    for block in node.blocks():
        for inner in block.nodes():
            yield from _with_nested(inner)
    for subgraph in _subgraphs(node):
        yield from nodes_of(subgraph)


def _subgraphs(node: TorchNode) -> list[Graph]:
    return [node.g(name) for name in node.attributeNames() if node.kindOf(name) == "g"]


def op_counts(obj: Any, *, inlined: bool = True, constants: bool = True) -> dict[str, int]:
    """How many nodes of each kind there are, nested blocks included: most frequent first, then by name.

    `constants=False` leaves out `prim::Constant` and `prim::GetAttr`, which hold values and compute nothing.
    """
    counts = Counter(node.kind() for node in nodes_of(graph_of(obj, inlined=inlined)))
    chosen = ((kind, count) for kind, count in counts.items() if constants or kind not in PLUMBING)
    return dict(sorted(chosen, key=lambda pair: (-pair[1], pair[0])))


_recent: deque[Graph] = deque(maxlen=64)


class Nodes(list[TorchNode]):
    """A list of `torch.Node` that keeps their graph alive: torch invalidates a node when its graph goes.

    The last graphs are also kept for a while, so that `find(model, kind)[0].output()` works, where the list
    itself is gone.
    """

    def __init__(self, nodes: list[TorchNode], graph: Graph):
        super().__init__(nodes)
        self.graph = graph
        _recent.append(graph)


def find(obj: Any, kind: str, *, inlined: bool = True) -> Nodes:
    """All nodes of one kind, such as `"aten::mul"`, nested blocks included, in program order.

    The nodes are torch's own (`node.inputs()`, `node.output().toIValue()`, …) and live as long as the
    returned list does. Raises ValueError for a kind with no namespace.
    """
    if "::" not in kind:
        raise ValueError(f'"{kind}" is not a kind of node; write it with its namespace, such as "aten::{kind}"')
    graph = graph_of(obj, inlined=inlined)
    return Nodes([node for node in nodes_of(graph) if node.kind() == kind], graph)


def has_control_flow(obj: Any) -> bool:
    """Is there a `prim::If` or a `prim::Loop` anywhere, called functions and submodules included?"""
    graph = graph_of(obj, inlined=True)
    return any(node.kind() in ("prim::If", "prim::Loop") for node in nodes_of(graph))


# ----------------------------------------------------------------------------------------------------
# A plain copy of the structure, for the drawing. Nothing below the next line hands out a torch object.


Scope = tuple[tuple[str, str], ...]  # the submodules a node came from, outermost first: (name, type)


@dataclass(frozen=True)
class Literal:
    """A value that is known when the program is compiled. `text` is what a reader sees."""

    text: str
    value: Any = None


@dataclass(frozen=True)
class Argument:
    """One argument of an operator, from its schema."""

    name: str
    has_default: bool
    default: Any


@dataclass
class Step:
    """One node. Values are named as in the IR, without the `%`."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, str]
    arguments: tuple[Argument, ...]
    scope: Scope
    blocks: list[Block] = field(default_factory=list)
    is_subgraph: bool = False
    literal: Literal | None = None
    node: TorchNode | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The kind without its namespace."""
        return self.kind.rpartition("::")[2]


@dataclass
class Block:
    """A list of steps with the names of what goes in and out."""

    inputs: list[str]
    outputs: list[str]
    steps: list[Step]


@dataclass
class Program:
    """A whole graph. `types` gives each value its type as text; `root` is the name of `self`, if any."""

    block: Block
    types: dict[str, str]
    root: str | None
    graph: Graph = field(repr=False)


def read(graph: Graph) -> Program:
    """Copy the structure of a graph."""
    types: dict[str, str] = {}
    inputs = list(graph.inputs())
    root = inputs[0].debugName() if inputs and inputs[0].type().kind() == "ClassType" else None
    block = _read_block(inputs, graph.outputs(), graph.nodes(), types, prefix="")
    return Program(block, types, root, graph)


def _read_block(inputs: Any, outputs: Any, nodes: Any, types: dict[str, str], prefix: str) -> Block:
    names = []
    for value in inputs:
        names.append(prefix + value.debugName())
        types[names[-1]] = _type_text(value)
    steps = [_read_node(node, types, prefix) for node in nodes]
    return Block(names, [prefix + value.debugName() for value in outputs], steps)


def _read_node(node: TorchNode, types: dict[str, str], prefix: str) -> Step:
    outputs = [prefix + value.debugName() for value in node.outputs()]
    for name, value in zip(outputs, node.outputs(), strict=True):
        types[name] = _type_text(value)
    subgraphs = _subgraphs(node)
    step = Step(
        kind=node.kind(),
        inputs=[prefix + value.debugName() for value in node.inputs()],
        outputs=outputs,
        attributes={name: node.s(name) for name in node.attributeNames() if node.kindOf(name) == "s"},
        arguments=_schema(node.schema()),
        scope=_scope(node),
        is_subgraph=bool(subgraphs),
        literal=_literal(node),
        node=node,
    )
    step.blocks = [_read_block(b.inputs(), b.outputs(), b.nodes(), types, prefix) for b in node.blocks()]
    for number, g in enumerate(subgraphs):
        # A subgraph names its values on its own, so a prefix keeps them apart from those outside.
        inner = f"{prefix}{outputs[0] if outputs else step.name}/{number}/"
        step.blocks.append(_read_block(g.inputs(), g.outputs(), g.nodes(), types, inner))
    return step


def _type_text(value: Any) -> str:
    """`Tensor`, `int`, `Tensor[]`, …: no shape, no module path."""
    kind = value.type().kind()
    if kind == "TensorType":
        return "Tensor"
    return re.sub(r"__torch__\.(?:\w+\.)*", "", clean(str(value.type())))


@functools.cache
def _schema(text: str) -> tuple[Argument, ...]:
    if text == "(no schema)":
        return ()
    try:
        arguments = torch._C.parse_schema(text).arguments
    except RuntimeError:  # an operator of an extension, with a type that this parser does not know
        return ()
    return tuple(Argument(a.name, a.has_default_value(), a.default_value) for a in arguments)


def _scope(node: TorchNode) -> Scope:
    """Empty when nothing was inlined."""
    pairs = re.findall(r"([^.()]+)\(([^()]*)\)", node.getModuleHierarchy())
    found = tuple((name, type_) for name, type_ in pairs if name not in ("SELF", "UNKNOWN_INSTANCE"))
    if found or not node.scopeName():
        return found
    last = node.scopeName().split("/")[-1].removeprefix("__module").strip(".")
    return tuple((name, "") for name in last.split(".") if name)


def _literal(node: TorchNode) -> Literal | None:
    kind = node.kind()
    if kind == "prim::Uninitialized":
        return Literal("uninitialized")
    if kind.startswith("prim::Constant") and kind != "prim::Constant":
        return Literal(_tensor_text(node.t("value")) if kind == "prim::ConstantMKLDNNTensor" else "constant")
    if kind != "prim::Constant":
        return None
    if node.output().type().kind() == "FunctionType":
        return Literal(re.sub(r"___torch_mangle_\d+\.?", "", node.s("name")))
    value = node.output().toIValue()
    return Literal(text_of(value), value)


def text_of(value: Any) -> str:
    """A short text for a constant. Floats are given to 3 significant digits."""
    if isinstance(value, torch.Tensor):
        return _tensor_text(value)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return "max int" if value == MAX_INT else str(value)
    if isinstance(value, float):
        return f"{value:.3g}" if value != int_or_none(value) else f"{value:.1f}" if abs(value) < 1e4 else f"{value:.3g}"
    if isinstance(value, str):
        return repr(value if len(value) <= 28 else value[:27] + "…")
    if isinstance(value, list | tuple):
        inner = ", ".join(text_of(item) for item in value[:6]) + (", …" if len(value) > 6 else "")
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"dict of {len(value)}"
    if isinstance(value, torch.device):
        return f"'{value}'"
    return _type_name(value)


def int_or_none(value: float) -> int | None:
    """The integer equal to `value`, if there is one."""
    return int(value) if value == value and abs(value) != float("inf") and value == int(value) else None


def _tensor_text(value: torch.Tensor) -> str:
    if value.is_mkldnn or value.is_quantized or value.is_sparse or value.numel() > 4:
        return "tensor " + "×".join(str(size) for size in value.shape)
    return f"tensor {text_of(value.detach().tolist())}"


def _type_name(obj: Any) -> str:
    return type(obj).__name__
