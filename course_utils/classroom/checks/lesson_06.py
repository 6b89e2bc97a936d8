"""What right answers to the exercises of lesson 06 must do. The checks bring graphs and models of their own."""

# No `from __future__ import annotations`: the models here are traced.

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for
from course_utils.classroom.checks.shared import NOTHING
from course_utils.tools import ir

# --- 06.1 ------------------------------------------------------------------------------------------------------------

# What the graph contains, its text, and where to look when the number is wrong. From small to large.
DEAD: tuple[tuple[str, str, str], ...] = (
    (
        "one operator that nothing uses",
        """
graph(%x : Tensor):
  %a : Tensor = aten::exp(%x)
  %b : Tensor = aten::sin(%x)
  %c : Tensor = aten::cos(%b)
  return (%c)
""",
        "which results lead to the output, and whether you return the number that is removed or the number that stays",
    ),
    (
        "nothing unused",
        """
graph(%x : Tensor):
  %one : int = prim::Constant[value=1]()
  %a : Tensor = aten::exp(%x)
  %b : Tensor = aten::add(%a, %x, %one)
  return (%b)
""",
        "the constant: the addition uses it",
    ),
    (
        "a chain: what is used only by something unused",
        """
graph(%x : Tensor):
  %two : int = prim::Constant[value=2]()
  %a : Tensor = aten::exp(%x)
  %b : Tensor = aten::mul(%a, %two)
  %c : Tensor = aten::cos(%b)
  %d : Tensor = aten::sin(%x)
  return (%d)
""",
        "the operands of an unused node: when it is removed, what still uses them?",
    ),
    (
        "a value that is printed and not used otherwise",
        """
graph(%x : Tensor):
  %a : Tensor = aten::exp(%x)
  %b : Tensor = aten::cos(%a)
  prim::Print(%b)
  %c : Tensor = aten::sin(%x)
  return (%c)
""",
        "`prim::Print`: it has no result that could be used. It stays, and so does what it needs",
    ),
    (
        "a value that is used only in a block",
        """
graph(%x : Tensor, %ask : bool):
  %a : Tensor = aten::exp(%x)
  %b : Tensor = prim::If(%ask)
    block0():
      %c : Tensor = aten::cos(%a)
      -> (%c)
    block1():
      -> (%x)
  return (%b)
""",
        "the nodes in the blocks: they use values from outside, and a block has outputs of its own",
    ),
    (
        "an unused operator in each block",
        """
graph(%x : Tensor, %ask : bool):
  %b : Tensor = prim::If(%ask)
    block0():
      %c : Tensor = aten::cos(%x)
      %d : Tensor = aten::sin(%x)
      -> (%c)
    block1():
      %e : Tensor = aten::exp(%x)
      %f : Tensor = aten::neg(%e)
      -> (%x)
  return (%b)
""",
        "`node.blocks()`: `graph.nodes()` contains the outermost nodes only",
    ),
    (
        "an unused `prim::If` with an unused one in it",
        """
graph(%x : Tensor, %ask : bool, %more : bool):
  %b : Tensor = prim::If(%ask)
    block0():
      %c : Tensor = prim::If(%more)
        block0():
          %d : Tensor = aten::sin(%x)
          -> (%d)
        block1():
          -> (%x)
      -> (%c)
    block1():
      -> (%x)
  %e : Tensor = aten::cos(%x)
  return (%e)
""",
        "what an `if` that is removed contains: it is removed too, and counts",
    ),
    (
        "an unused `prim::If` that prints",
        """
graph(%x : Tensor, %ask : bool):
  %b : Tensor = prim::If(%ask)
    block0():
      %c : Tensor = aten::sin(%x)
      prim::Print(%c)
      -> (%x)
    block1():
      -> (%x)
  %e : Tensor = aten::cos(%x)
  return (%e)
""",
        "an `if` with a `prim::Print` in a block: it has to run, whether or not its result is used",
    ),
    (
        "a `prim::If` that prints and whose result is not used",
        """
graph(%x : Tensor, %ask : bool):
  %b : Tensor = prim::If(%ask)
    block0():
      prim::Print(%x)
      %c : Tensor = aten::sin(%x)
      -> (%c)
    block1():
      %d : Tensor = aten::exp(%x)
      -> (%d)
  %e : Tensor = aten::cos(%x)
  return (%e)
""",
        "an `if` that stays for its print: what only its unused result needs is removed",
    ),
    (
        "a `prim::Print` two ifs deep",
        """
graph(%x : Tensor, %ask : bool, %more : bool):
  prim::If(%ask)
    block0():
      prim::If(%more)
        block0():
          prim::Print(%x)
          -> ()
        block1():
          -> ()
      -> ()
    block1():
      %d : Tensor = aten::exp(%x)
      -> ()
  %e : Tensor = aten::cos(%x)
  return (%e)
""",
        "blocks within blocks: a print at any depth keeps every `if` around it",
    ),
    (
        "two outputs",
        """
graph(%x : Tensor):
  %a : Tensor = aten::exp(%x)
  %b : Tensor = aten::sin(%x)
  %c : Tensor = aten::cos(%x)
  return (%b, %a)
""",
        "the outputs of the graph: there may be more than one, and each is needed",
    ),
    (
        "an output that is an input",
        """
graph(%x : Tensor):
  %a : Tensor = aten::exp(%x)
  return (%x)
""",
        "an output that no node computes: it needs nothing",
    ),
)


@contextmanager
def _without_passes() -> Iterator[None]:
    """While this lasts, no pass of torch runs but inlining, which counting needs: some others end in a DCE."""
    names = [name for name in dir(torch._C) if name.startswith("_jit_pass_") and name != "_jit_pass_inline"]
    kept = {name: getattr(torch._C, name) for name in names}

    def refuse(*_: object) -> None:
        raise NotYet(
            "Your function runs a pass.",
            look_at="the operands and results of the nodes: the graph says what uses what",
        )

    try:
        for name in names:
            setattr(torch._C, name, refuse)
        yield
    finally:
        for name, function in kept.items():
            setattr(torch._C, name, function)


@check_for("06.1")
def predicted_dead_code(answer: Any) -> None:
    """A function graph → how many nodes a dead code elimination takes away."""
    for what, text, look_at in DEAD:
        graph = torch._C.parse_ir(text)
        cleared = graph.copy()
        torch._C._jit_pass_dce(cleared)
        before, after = (sum(ir.op_counts(g, inlined=False).values()) for g in (graph, cleared))
        with _without_passes():
            given = answer(graph)
        if given is None:
            raise NotYet(NOTHING, look_at="the last line of your function: `return` the number")
        if isinstance(given, bool) or not isinstance(given, int):
            raise NotYet(
                "Your function does not return a number of nodes.",
                seen={"yours": f"{type(given).__name__} {given!r}"[:80]},
                look_at="the task: one integer",
            )
        if given != before - after:
            raise NotYet(
                f"The number is wrong for a graph with {what}.",
                seen={"graph": text.strip(), "DCE removes": before - after, "yours": given},
                look_at=look_at,
            )


# --- 06.2 ------------------------------------------------------------------------------------------------------------

# What the graph does, its source, its inputs, the passes, and where to look when the list is wrong.
HARM: tuple[tuple[str, str, tuple[list[float], ...], tuple[str, ...], str], ...] = (
    (
        "clears an element through a view",
        """
def f(x):
    y = x * 1.5
    row = y[0]
    row.zero_()
    return y
""",
        ([1.0, 2.0],),
        ("cse", "remove_inplace_ops", "remove_mutation", "dce"),
        "what each pass starts from: a copy of the graph as it was given, not what another pass left",
    ),
    (
        "adds a little to a large element through a view",
        """
def f(x):
    y = x * 2
    row = y[0]
    row.add_(1)
    return y
""",
        ([1e6, 2e6],),
        ("remove_inplace_ops", "cse", "dce"),
        "how you compare: values that differ at all are other values",
    ),
    (
        "does nothing that these passes could spoil",
        """
def f(x):
    y = torch.relu(x) + torch.relu(x)
    torch.exp(x)
    return (y * 2).sum()
""",
        ([1.0, -2.0],),
        ("cse", "dce", "constant_propagation", "peephole", "remove_inplace_ops"),
        "what the graph returns: a pass may rewrite it as it likes, as long as the results stay",
    ),
    (
        "adds two masks",
        """
def f(x):
    vote = (x > 0) * 1
    return vote + vote
""",
        ([1.0, -1.0],),
        ("dce", "peephole", "cse"),
        "how you run a graph: by default, the executor runs its passes as well, on both sides",
    ),
    (
        "returns a mask as a number",
        """
def f(x):
    return ((x > 0) * 1).clone()
""",
        ([1.0, -1.0],),
        ("constant_pooling", "peephole"),
        "the dtype of the results: `torch.equal` takes `True` and `1` for equal",
    ),
    (
        "writes to its input",
        """
def f(x):
    x.add_(1)
    return x * 2
""",
        ([1.0, 2.0],),
        ("remove_mutation", "remove_inplace_ops", "cse"),
        "the inputs after the run: a caller sees what is written to them",
    ),
    (
        "writes to its second input in a branch",
        """
def f(x, y):
    if bool(x.sum() > 0):
        y.mul_(2)
    return x + 1
""",
        ([1.0, 2.0], [3.0, 4.0]),
        ("dce_allow_deleting_nodes_with_side_effects", "dce"),
        "the inputs after the run: each of them",
    ),
    (
        "has two outputs",
        """
def f(x):
    vote = (x > 0) + 0
    return x * 2, vote + vote
""",
        ([1.0, -1.0],),
        ("peephole", "cse"),
        "the outputs: with several, the graph returns a tuple, and each counts",
    ),
    (
        "writes in a branch",
        """
def f(x):
    y = x * 2
    if bool(x.sum() > 0):
        y.add_(1)
    return y
""",
        ([1.0, 2.0],),
        ("remove_inplace_ops", "remove_mutation", "dce_allow_deleting_nodes_with_side_effects"),
        "a graph that cannot run any more, and the order of the names: that in which they were given",
    ),
    (
        "returns NaN",
        """
def f(x):
    return torch.log(x) + torch.log(x)
""",
        ([1.0, -1.0],),
        ("cse", "dce"),
        "NaN, which is not equal to itself; two of them count as equal here",
    ),
)


def _behaviour(graph: Any, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """What a graph returns and what it leaves in its inputs, run as it is stored."""
    mine = [x.clone() for x in inputs]
    with torch.jit.optimized_execution(False):
        returned = torch._C._create_function_from_graph("f", graph)(*mine)
    return [*(returned if isinstance(returned, tuple) else (returned,)), *mine]


def _is_harmed(graph: Any, name: str, inputs: tuple[Tensor, ...]) -> bool:
    changed = graph.copy()
    getattr(torch._C, f"_jit_pass_{name}")(changed)
    try:
        torch.testing.assert_close(
            _behaviour(changed, inputs), _behaviour(graph, inputs), rtol=0, atol=0, equal_nan=True
        )
    except (AssertionError, RuntimeError):
        return True
    return False


@check_for("06.2")
def harmful_passes(answer: Any) -> None:
    """A function (graph, names, inputs) → the names of the passes after which the graph does something else."""
    for what, source, values, names, look_at in HARM:
        graph = torch.jit.CompilationUnit(source).f.graph
        inputs = tuple(torch.tensor(x) for x in values)
        expected = [name for name in names if _is_harmed(graph, name, inputs)]
        untouched, before = ir.show(graph), [x.clone() for x in inputs]
        given = answer(graph, list(names), inputs)
        if given is None:
            raise NotYet(NOTHING, look_at="the last line of your function: `return` the list")
        if ir.show(graph) != untouched:
            raise NotYet(
                f"Your function changes the graph that it was given, one that {what}.",
                seen={"before": untouched, "after": ir.show(graph)},
                look_at="`graph.copy()`: a pass rewrites the graph that it gets",
            )
        if not all(map(torch.equal, inputs, before)):
            raise NotYet(
                f"Your function changes the inputs that it was given, of a graph that {what}.",
                seen={"before": str([x.tolist() for x in before]), "after": str([x.tolist() for x in inputs])},
                look_at="a clone of each input, for each run",
            )
        if not isinstance(given, (list, tuple)) or not set(map(str, given)) <= set(names):
            raise NotYet(
                "Your function does not return a list of names of passes.",
                seen={"yours": f"{type(given).__name__} {given!r}"[:100], "names": ", ".join(names)},
                look_at="the task: those of the names that change what the graph does",
            )
        if list(given) != expected:
            raise NotYet(
                f"The list is wrong for a graph that {what}.",
                seen={
                    "source": source.strip(),
                    "names": ", ".join(names),
                    "expected": ", ".join(expected) or "none of them",
                    "yours": ", ".join(given) or "none of them",
                },
                look_at=look_at,
            )


# --- 06.3 ------------------------------------------------------------------------------------------------------------


class _Stage(nn.Module):
    def __init__(self, inside: int, outside: int, **options: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inside, outside, 3, padding=1, **options)
        self.shrink = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.shrink(torch.relu(self.mix(x)))


class _Tower(nn.Module):
    """A pyramid with one convolution in each stage."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 1)
        self.body = nn.Sequential(*stages)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.stem(x)).flatten(1)[:, :4])


class _Shared(nn.Module):
    """One small convolution that is called three times, and a larger one that is called once."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.again, self.wide = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = self.again(x)
        return self.wide(x)


def _towers() -> list[tuple[str, nn.Module, Tensor]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        pyramid = _Tower(_Stage(4, 8), _Stage(8, 12), _Stage(12, 16))
        flat = nn.Sequential(nn.Conv2d(1, 32, 1), nn.ReLU(), nn.Conv2d(32, 8, 5, padding=2), nn.Conv2d(8, 64, 1))
        grouped = _Tower(_Stage(4, 64), _Stage(64, 64, groups=64), _Stage(64, 16))
        shared = _Shared()
        stepping = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 12, 3, stride=4, padding=1), nn.Conv2d(12, 8, 8)
        )
        headed = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(2 * 28 * 28, 64))
        strided = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 96, 3, stride=8), nn.Conv2d(96, 4, 1))
        single = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Conv2d(6, 1, 7, padding=3), nn.Conv2d(1, 4, 1))
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(6))
    return [
        ("a network whose image shrinks", pyramid, image),
        ("a network whose image keeps its size", flat, image),
        ("a network with groups", grouped, image),
        ("a network with a large stride, and a batch of 2", strided, image.repeat(2, 1, 1, 1)),
        ("a network with a stride after its largest layer", stepping, image),
        ("a network whose linear layer costs the most", headed, image),
        ("a network that calls one layer three times", shared, image),
        ("a network whose costliest layer has one filter", single, image),
    ]


def _convolutions(traced: Any) -> dict[str, tuple[list[int], Tensor, int]]:
    """Name → (sizes of the output, weight, number of calls) of each convolution."""
    weights = dict(traced.named_parameters())
    found: dict[str, tuple[list[int], Tensor, int]] = {}
    for node in ir.find(traced, "aten::_convolution"):
        name = node.scopeName().rpartition("__module.")[2]
        calls = found[name][2] + 1 if name in found else 1
        found[name] = (node.output().type().sizes(), weights[f"{name}.weight"], calls)
    return found


@check_for("06.3")
def costliest_convolution(answer: Any) -> None:
    """A function traced → name of the convolution with the most multiplications."""
    for what, model, image in _towers():
        traced = torch.jit.trace(model.eval(), image)
        found = _convolutions(traced)
        costs = {name: math.prod(size) * weight[0].numel() * calls for name, (size, weight, calls) in found.items()}
        expected = max(costs, key=lambda name: costs[name])
        given = answer(traced)
        if given is None:
            raise NotYet(NOTHING, look_at="the last line of your function: `return` the name")
        if given == expected:
            continue
        if given not in costs:
            raise NotYet(
                "Your function does not return the name of a convolution.",
                seen={"yours": repr(given)[:100], "names": ", ".join(costs)},
                look_at="the scope of a node: the part after the last `__module.` is the name of its module",
            )
        raise NotYet(
            f"In {what}, another convolution needs more multiplications.",
            seen={
                "expected": f"{expected}: {_described(found[expected], costs[expected])}",
                "yours": f"{given}: {_described(found[given], costs[given])}",
            },
            look_at=_how_it_was_chosen(given, found),
        )


def _described(convolution: tuple[list[int], Tensor, int], cost: int) -> str:
    sizes, weight, calls = convolution
    times = f" in {calls} calls" if calls > 1 else ""
    return f"{cost:,} multiplications{times}, output of shape {tuple(sizes)}, weight of shape {tuple(weight.shape)}"


def _how_it_was_chosen(given: str, found: dict[str, tuple[list[int], Tensor, int]]) -> str:
    largest_output = max(found, key=lambda name: math.prod(found[name][0]))
    most_weights = max(found, key=lambda name: found[name][1].numel())
    ungrouped = max(found, key=lambda name: math.prod(found[name][0]) * _as_without_groups(name, found))
    once = max(found, key=lambda name: math.prod(found[name][0]) * found[name][1][0].numel())
    if given == once and max(calls for *_, calls in found.values()) > 1:
        return "the calls: a layer that is called again computes again"
    if given == most_weights:
        return "the output: a layer with many weights may return few numbers. How many does each return?"
    if given == largest_output:
        return "the filters: a layer with a large output may need few multiplications for each number"
    if given == ungrouped:
        return "`groups`: each filter then covers some of the channels. The shape of the weight says how many"
    if given == max(found, key=lambda name: _input_places(name, found) * found[name][1].numel()):
        return "which size you use: with a stride, the output is smaller than the input"
    return "the product of two numbers: the size of the output, and the weights in one filter"


def _input_places(name: str, found: dict[str, tuple[list[int], Tensor, int]]) -> int:
    """How many places the output of the layer before has."""
    names = list(found)
    return math.prod(found[names[max(0, names.index(name) - 1)]][0][2:])


def _as_without_groups(name: str, found: dict[str, tuple[list[int], Tensor, int]]) -> int:
    """The weights of one filter, if it saw every channel of the layer before."""
    names = list(found)
    before = names.index(name) - 1
    channels = found[names[before]][0][1] if before >= 0 else 1
    return channels * math.prod(found[name][1].shape[2:])


# --- 06.4 ------------------------------------------------------------------------------------------------------------


class _Free(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1) / x.shape[1] ** 0.5 * 3


class _Rows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(int(x.shape[0]), -1) * 3


class _Rooted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / math.sqrt(x.shape[1]) + 2


class _Positions(nn.Module):
    """Bakes a whole tensor."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tensor([float(i) for i in range(x.shape[1])])


class _Holder(nn.Module):
    """What is baked is in submodules, and once more outside."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.rooted = _Rows(), _Rooted()

    def forward(self, x: Tensor) -> Tensor:
        return self.rooted(self.rows(x)).expand(int(x.shape[0]), -1)


BAKED: tuple[tuple[str, type[nn.Module]], ...] = (
    ("a model that bakes nothing", _Free),
    ("a model that bakes a size", _Rows),
    ("a model that bakes the root of a size", _Rooted),
    ("a model that bakes a tensor", _Positions),
    ("a model with submodules that bake", _Holder),
)


@check_for("06.4")
def baked_constants(answer: Any) -> None:
    """A function (model, first, second) → pairs of constants that differ between two traces."""
    first, second = (torch.rand(size, generator=torch.Generator().manual_seed(6)) for size in ((4, 9), (7, 5)))
    for what, kind in BAKED:
        expected = _pairs(kind(), first, second)
        given = answer(kind(), first.clone(), second.clone())
        if given is None:
            raise NotYet(NOTHING, look_at="the last line of your function: `return` the list of pairs")
        try:
            pairs = [tuple(pair) for pair in given]
        except TypeError:
            raise NotYet(
                "Your function does not return a list of pairs.",
                seen={"yours": repr(given)[:100]},
                look_at="the task: a list of (in the first trace, in the second trace)",
            ) from None
        if any(torch.is_tensor(value) for pair in pairs for value in pair):
            raise NotYet(
                "A pair contains a tensor.",
                seen={"for": what, "yours": repr(pairs)[:100]},
                look_at="the task: what to return for a constant that is a tensor",
            )
        plain = pairs
        if plain == expected:
            continue
        seen = {"expected": _listed(expected), "yours": _listed(plain)}
        if plain == [(b, a) for a, b in expected]:
            look_at = "the order in a pair: the constant of the first trace comes first"
        elif sorted(map(repr, plain)) == sorted(map(repr, expected)):
            look_at = "the order of the pairs: that of the constants in the inlined graph"
        elif len(plain) > len(expected):
            look_at = "what you compare: only values of `prim::Constant`. Types contain shapes, which differ harmlessly"
        elif kind is _Holder:
            look_at = "the submodules: `.graph` contains calls, and what they call has constants of its own"
        elif kind in (_Rooted, _Positions):
            look_at = "constants that are tensors: a number combined with a tensor is recorded as one, here of a float"
        else:
            look_at = "`print(traced.graph)` for both examples: which `prim::Constant` differs?"
        raise NotYet(f"The pairs are wrong for {what}.", seen=seen, look_at=look_at)


def _pairs(model: nn.Module, first: Tensor, second: Tensor) -> list[tuple[Any, Any]]:
    traces = [torch.jit.trace(model, example, check_trace=False) for example in (first, second)]
    constants = [[node.output().toIValue() for node in ir.find(traced, "prim::Constant")] for traced in traces]
    plain = [[value.tolist() if torch.is_tensor(value) else value for value in values] for values in constants]
    return [(one, other) for one, other in zip(*plain, strict=True) if one != other]


def _listed(pairs: list[tuple[Any, ...]]) -> str:
    def one(value: Any) -> str:
        return repr(round(value, 3)) if isinstance(value, float) else str(value)[:30]

    return "; ".join(" and ".join(one(value) for value in pair) for pair in pairs[:5]) or "no pairs"


# --- 06.5 ------------------------------------------------------------------------------------------------------------

# What the source contains, the source, and where to look when the numbers are wrong.
ROUNDS: tuple[tuple[str, str, str], ...] = (
    (
        "no loop",
        """
def f(x):
    return x.sin().sin() + 1
""",
        "the plain case: each node runs once",
    ),
    (
        "a loop",
        """
def f(x):
    x = x.sin()
    for i in range(5):
        x = x.sin() * 2
    return x
""",
        "the first operand of a `prim::Loop`: the number of rounds, for everything in its block",
    ),
    (
        "two loops, one after the other",
        """
def f(x):
    for i in range(2):
        x = x.sin()
    for i in range(7):
        x = x.sin()
    return x.cos()
""",
        "what you multiply by after a loop: its rounds are over",
    ),
    (
        "a loop in a loop",
        """
def f(x):
    for i in range(3):
        x = x.sin()
        for j in range(5):
            x = x.cos()
        x = x.exp()
    return x
""",
        "the inner loop: it runs all its rounds in each round of the outer one",
    ),
    (
        "loops three deep, and two side by side",
        """
def f(x):
    for i in range(2):
        for j in range(3):
            x = x.sin()
            for k in range(4):
                x = x.cos()
        for j in range(6):
            x = x.exp()
    return x
""",
        "loops at every depth: a function that handles two levels has to handle any number",
    ),
    (
        "a loop of many rounds, and operators on constants",
        """
def f(x):
    for i in range(5000):
        x = x.sin()
    return x + torch.ones(3) * 2
""",
        "the graph as it is given: a pass may compute operators away, and unrolls a long loop in part only",
    ),
    (
        "a loop of no rounds",
        """
def f(x):
    for i in range(0):
        x = x.sin()
    return x.cos()
""",
        "the number of rounds: it may be zero",
    ),
)


@check_for("06.5")
def how_often_it_runs(answer: Any) -> None:
    """A function graph → aten kind → how often it runs in one call."""
    for what, source, look_at in ROUNDS:
        graph = torch.jit.CompilationUnit(source).f.graph
        expected = dict(_runs(graph, 1))
        given = answer(graph)
        if given is None:
            raise NotYet(NOTHING, look_at="the last line of your function: `return` the dict")
        if not isinstance(given, dict):
            raise NotYet(
                "Your function does not return a dict.",
                seen={"yours": f"{type(given).__name__} {given!r}"[:100]},
                look_at="the task: kind → how often it runs",
            )
        others = [kind for kind in given if not str(kind).startswith("aten::")]
        if others:
            raise NotYet(
                "Your dict contains more than the `aten` operators.",
                seen={"yours": ", ".join(map(str, others))},
                look_at="the namespace of a kind: `prim` is for what belongs to the language",
            )
        if {kind: number for kind, number in given.items() if number != 0} != expected:
            raise NotYet(
                f"The numbers are wrong for a graph with {what}.",
                seen={"source": source.strip(), "expected": _times(expected), "yours": _times(given)},
                look_at=look_at,
            )


def _runs(block: Any, times: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for node in block.nodes():
        if node.kind().startswith("aten::"):
            counts[node.kind()] += times
        for inner in node.blocks():
            counts += _runs(inner, times * next(node.inputs()).toIValue())
    return counts


def _times(numbers: dict[str, int]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(numbers.items())) or "none"
