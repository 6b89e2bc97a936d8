"""Claims of lesson 06, each with variants that could break it."""

# No `from __future__ import annotations`: functions here are scripted.

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from course_utils.classroom import models
from course_utils.tools import ir
from tests.claims import claim

LESSON = "notebooks/06_reading_the_graph.ipynb"
LARGEST = 2**63 - 1


def compiled(source: str) -> Any:
    """The unit, whose functions are its attributes. Hold on to it while a graph of it is used."""
    return torch.jit.CompilationUnit(source)


def body(*lines: str) -> Any:
    """A unit with one function `f(x)` of these lines."""
    return compiled("def f(x):\n" + "".join(f"    {line}\n" for line in lines))


def alone(name: str, graph: Any) -> Any:
    copy = graph.copy()
    getattr(torch._C, f"_jit_pass_{name}")(copy)
    return copy


def run(graph: Any, *inputs: Any) -> Any:
    return torch._C._create_function_from_graph("f", graph)(*inputs)


def operators(obj: Any) -> dict[str, int]:
    return ir.op_counts(obj, inlined=False, constants=False)


@claim(f"{LESSON}#c419f2cb7", "A `prim::If` always has two blocks. Since a value is assigned once")
def two_blocks() -> None:
    units = [
        body("if bool(x.sum() > 0):", "    x = x * 2", "return x"),
        body("if bool(x.sum() > 0):", "    print('seen')", "return x"),
        body("if bool(x.sum() > 0):", "    return x * 2", "return x"),
        body("return x * 2 if bool(x.sum() > 0) else x"),
        body("if bool(x.sum() > 0):", "    x = x + 1", "elif bool(x.max() > 2):", "    x = x + 2", "return x"),
    ]
    for number, unit in enumerate(units):
        branches = ir.find(unit.f, "prim::If")
        assert len(branches) == (2 if number == 4 else 1)
        assert all(len(list(branch.blocks())) == 2 for branch in branches)


@claim(f"{LESSON}#four-views-head", "a `for` compiles to a `while` that does its own counting")
@claim(
    f"{LESSON}#c56e73a54",
    "so does one of the `for` loops below",
    was="only a `while` has 2**63 - 1 as its rounds",
)
def rounds_of_a_loop() -> None:
    def rounds(*lines: str) -> Any:
        unit = body(*lines)
        most, *_ = ir.find(unit.f, "prim::Loop")[0].inputs()
        return most.toIValue()

    head, test = "for i in range(10):", "    if bool(x.sum() > 10.0):"
    assert rounds(head, "    x = x * 2", "return x") == 10
    assert rounds(head, test, "        x = x * 2", "return x") == 10
    assert rounds(head, test, "        break", "    x = x * 2", "return x") == LARGEST
    assert rounds(head, test, "        return x", "    x = x * 2", "return x") == LARGEST
    assert rounds("while bool(x.sum() < 10.0):", "    x = x * 2", "return x") == LARGEST


@claim(f"{LESSON}#four-views-head", "`0 < 3` is known, so it is a constant")
def begin_of_a_while() -> None:
    def begin(*lines: str) -> tuple[str, Any]:
        unit = body(*lines)
        _, first, *_ = ir.find(unit.f, "prim::Loop")[0].inputs()
        return first.node().kind(), first.toIValue()

    assert begin("i = 0", "while i < 3:", "    i += 1", "return x * i") == ("prim::Constant", True)
    assert begin("i = 0", "while i < 2 + 1:", "    i += 1", "return x * i") == ("prim::Constant", True)
    assert begin("i = x.dim()", "while i < 3:", "    i += 1", "return x * i")[0] == "aten::lt"
    assert begin("while bool(x.sum() < 3):", "    x = x + 1", "return x")[0] == "aten::Bool"
    never = body("i = 5", "while i < 3:", "    i += 1", "return x * i")  # `5 < 3` is known, and the loop is left out
    assert operators(never.f) == {"aten::mul": 1}


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)

    @torch.jit.export
    def doubled(self, x: Tensor) -> Tensor:
        return x * 2


@claim(
    f"{LESSON}#cff457392",
    "modules and their methods have it, functions do not",
    was="only modules have `code_with_constants`",
)
def code_with_constants() -> None:
    scripted = torch.jit.script(Weighted())
    traced = torch.jit.trace(Weighted(), torch.ones(1, 2))
    for obj in (scripted, scripted.forward, scripted.doubled, scripted.dense, traced, traced.forward):
        code, constants = obj.code_with_constants
        assert "return" in code and getattr(constants, "const_mapping", constants) == {}  # a method gives a dict
    recorded = torch.jit.trace(Shifting(), torch.ones(2))
    assert [x.tolist() for x in recorded.code_with_constants[1].const_mapping.values()] == [[3.0, 4.0]]
    assert [x.tolist() for x in recorded.forward.code_with_constants[1].values()] == [[3.0, 4.0]]
    unit = body("return x * 2")
    for function in (unit.f, torch.jit.script(double), torch.jit.trace(double, torch.ones(2))):
        assert hasattr(function, "code") and not hasattr(function, "code_with_constants")


SHIFT = torch.tensor([3.0, 4.0])


class Shifting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + SHIFT


def double(x: Tensor) -> Tensor:
    return x * 2


@claim(f"{LESSON}#c338a2e5d", "**a scripted graph has already been through some passes**")
def scripted_graphs_are_folded() -> None:
    for line in ("y = 2 * 3", "y = 10 - 4", "y = 12 // 2"):
        unit = body(line, "return x * y")
        assert operators(unit.f) == {"aten::mul": 1}
        assert any(node.output().toIValue() == 6 for node in ir.find(unit.f, "prim::Constant"))
    for unused in ("torch.exp(x)", "x.sum()", "torch.rand(2)"):
        unit = body(unused, "return x * 2")
        assert operators(unit.f) == {"aten::mul": 1}
    unit = body("x.add_(1)", "return (x * 2) * 1 + x * 2")  # "some": neither a write, nor CSE, nor peephole
    assert operators(unit.f) == {"aten::add_": 1, "aten::mul": 3, "aten::add": 1}


@claim(f"{LESSON}#c6abb7d94", "the compiler does not fold tensors, the pass does")
def tensor_constants() -> None:
    for line in ("torch.ones(3) * 2", "(torch.zeros(3) + 2)", "torch.arange(3).float()"):
        unit = body(f"return x + {line}")
        assert len(operators(unit.f)) > 1
        folded = alone("constant_propagation", unit.f.graph)
        assert operators(folded) == {"aten::add": 1}
        assert torch.equal(run(folded, torch.ones(3)), unit.f(torch.ones(3)))


@claim(f"{LESSON}#caa485272", "A node with a side effect stays, even when nothing uses its value.")
def effects_stay() -> None:
    for effect, kind in (
        ("x.add_(1)", "aten::add_"),
        ("x[0].zero_()", "aten::zero_"),
        ("print('hello')", "prim::Print"),
    ):
        unit = body(effect, "return 3")
        assert operators(alone("dce", unit.f.graph))[kind] == 1
    for without in ("x.exp()", "torch.rand(2)", "(x * 2).relu_()"):
        unit = body(without, "return 3")
        assert operators(alone("dce", unit.f.graph)) == {}


CALLING = """
def votes(x):
    vote = (x > 0) * {factor}
    return vote + vote
def called(x):
    return votes(x)
"""


@claim(
    f"{LESSON}#inline-optimises-why",
    "`inline` inserts the optimised graph of the callee",
    was="inlining changes no result",
)
def inlining_can_change_a_result() -> None:
    x = torch.tensor([1.0, -1.0])
    for factor, result in (("1", [True, False]), ("2", [4, 0]), ("1.0", [2.0, 0.0])):
        unit = compiled(CALLING.format(factor=factor))
        assert "aten::mul" in operators(unit.votes) and "aten::mul" in operators(unit.votes.graph)
        inlined = alone("inline", unit.called.graph)
        assert ("aten::mul" in operators(inlined)) == (factor != "1")
        assert ("aten::mul" in operators(unit.called.inlined_graph)) == (factor != "1")
        got = run(inlined, x)
        assert torch.equal(got, torch.tensor(result)) and got.dtype == torch.tensor(result).dtype


@claim(
    f"{LESSON}#c48ede1a6",
    "body is unrolled completely up to 63 rounds. From 64 on",
    was="short loops unroll",
)
def unrolling() -> None:
    for rounds, loops in ((2, 0), (63, 0), (64, 2), (200, 2)):
        unit = body(f"for i in range({rounds}):", "    x = x + i", "return x")
        unrolled = alone("loop_unrolling", unit.f.graph)
        assert operators(unrolled).get("prim::Loop", 0) == loops
        assert torch.equal(run(unrolled, torch.zeros(1)), torch.full((1,), rounds * (rounds - 1) / 2))
    unit = compiled("def f(x, n: int):\n    for i in range(n):\n        x = x + i\n    return x\n")
    unrolled = alone("loop_unrolling", unit.f.graph)
    assert operators(unrolled)["prim::Loop"] == 2
    assert [run(unrolled, torch.zeros(1), n).item() for n in (0, 7, 8, 17)] == [0, 21, 28, 136]


@claim(
    f"{LESSON}#cd803d755",
    "others that would be safe to replace: `y[0] = 1` on the function's own tensor, or `add_` inside an `if`",
)
def writes_that_stay() -> None:
    def changed(*lines: str) -> bool:
        unit = body(*lines)
        return operators(alone("remove_mutation", unit.f.graph)) != operators(unit.f)

    assert changed("y = x * 2", "y.add_(1).relu_()", "return y")
    assert not changed("x.add_(1)", "return x * 2")
    assert not changed("y = x * 2", "y[0] = 1", "return y")
    assert not changed("y = x * 2", "if bool(x.sum() > 0):", "    y.add_(1)", "return y")


@claim(f"{LESSON}#ce2e0eeaa", "which also sees the write through the view `row`")
def cse_asks_about_aliases() -> None:
    def sums(*lines: str) -> int:
        unit = body("a = x.sum()", *lines, "return a + x.sum()")
        return operators(alone("cse", unit.f.graph))["aten::sum"]

    assert sums() == 1
    for view in ("x[0]", "x.view(-1)", "x.t()", "x[0].unsqueeze(0)", "x.detach()"):
        assert sums(f"row = {view}", "row.add_(1)") == 2
    assert sums("row = x[0].clone()", "row.add_(1)") == 1  # a copy, not a view


@claim(f"{LESSON}#cd803d755", "the row is no longer cleared, and no error is raised")
def the_unchecked_pass() -> None:
    for write in ("x[0].zero_()", "x[0].fill_(7.0)", "x.view(-1).mul_(3.0)"):
        unit = body("x = x * 1.5", f"{write}", "return x")
        expected = unit.f(torch.ones(2, 2))
        assert torch.equal(run(alone("remove_mutation", unit.f.graph), torch.ones(2, 2)), expected)
        assert not torch.equal(run(alone("remove_inplace_ops", unit.f.graph), torch.ones(2, 2)), expected)


@claim(
    f"{LESSON}#graph-that-runs",
    "once the plan is final, it returns that graph and runs nothing",
    was="`graph_for` runs the function each time",
)
def graph_for_runs_the_function() -> None:
    for write, start in (("x.add_(1)", 0.0), ("x.mul_(2)", 1.0), ("x[0].sub_(1)", 5.0)):
        unit = body(write, "return x * 2")
        x = torch.full((2,), start)
        before = x.clone()
        unit.f.graph_for(x)
        assert not torch.equal(x, before)
        for _ in range(3):
            unit.f(x)
        before = x.clone()
        for _ in range(2):
            graph = unit.f.graph_for(x)
            assert torch.equal(x, before) and "prim::profile" not in operators(graph)


@claim(f"{LESSON}#peephole-why", "stays too: the output would become an alias of the input")
def peephole_and_aliases() -> None:
    for pattern in ("* 1", "+ 0", "- 0"):
        kept, gone = body(f"return x {pattern}"), body(f"return (torch.exp(x) {pattern}).cos()")
        assert len(operators(alone("peephole", kept.f.graph))) == 1
        assert set(operators(alone("peephole", gone.f.graph))) == {"aten::exp", "aten::cos"}
        x = torch.ones(2)
        for _ in range(3):
            assert kept.f(x).data_ptr() != x.data_ptr()


@claim(f"{LESSON}#ccfe4e09f", "Here all of them come from batch normalisation")
def branches_of_a_network() -> None:
    net = models.DigitNet().eval()
    traced = torch.jit.trace(net, torch.ones(1, 1, 8, 8))
    with_norms = {x for x in operators_inlined(torch.jit.script(net)) if x not in operators_inlined(traced)}
    assert {"prim::If", "prim::Loop", "prim::RaiseException", "aten::size"} <= with_norms
    for name in ("1", "5"):
        setattr(net.features, name, nn.Identity())
    without = {x for x in operators_inlined(torch.jit.script(net)) if x not in operators_inlined(traced)}
    assert without == {"aten::conv2d"}


def operators_inlined(obj: Any) -> dict[str, int]:
    return ir.op_counts(obj, constants=False)


@claim(
    f"{LESSON}#c01e8e3f4",
    "In the network there are fewer again, because each callee is optimised before it is inserted",
)
def branches_of_a_normalisation() -> None:
    norm = torch.jit.script(nn.BatchNorm2d(16))
    stored, inlined = operators(norm)["prim::If"], operators_inlined(norm)["prim::If"]
    deeper = operators_inlined(torch.jit.script(nn.Sequential(nn.BatchNorm2d(16))))["prim::If"]
    for net in (models.DigitNet(), models.DigitNet().eval()):
        assert stored < operators_inlined(torch.jit.script(net))["prim::If"] / 2 < inlined
    assert stored < deeper < inlined


@claim(f"{LESSON}#cd803d755", "the new tensor is used outside of its block, and the graph is invalid")
def graphs_that_cannot_run() -> None:
    for head in ("if bool(x.sum() > 0):", "for i in range(3):", "while bool(y.sum() < 3):"):
        unit = body("y = x * 2", head, "    y.add_(1)", "return y")
        broken = alone("remove_inplace_ops", unit.f.graph)
        with pytest.raises(RuntimeError, match="not in scope"):
            broken.lint()
        with pytest.raises(RuntimeError, match="not in scope"):
            run(broken, torch.ones(2))
        assert torch.equal(run(alone("remove_mutation", unit.f.graph), torch.ones(2)), unit.f(torch.ones(2)))


@claim(f"{LESSON}#c2f9d1e11", "`optimized_execution(False)` runs a graph as it is stored, if it has not run before")
def execution_without_passes() -> None:
    x, right = torch.tensor([1.0, -1.0]), torch.tensor([2, 0])
    for lines in (("vote = (x > 0) * 1", "return vote + vote"), ("vote = (x > 0) + 0", "return vote + vote")):
        unit = body(*lines)
        with torch.jit.optimized_execution(False):
            for _ in range(3):
                assert torch.equal(run(unit.f.graph, x), right)
            assert torch.equal(unit.f(x), right)
        ran = body(*lines)
        for _ in range(2):
            ran.f(x)
        with torch.jit.optimized_execution(False):
            assert torch.equal(ran.f(x), torch.tensor([True, False]))  # it keeps the plan of its first calls
