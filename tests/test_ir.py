"""Reading and drawing TorchScript graphs: `course_utils.tools.ir`."""

import base64
import gc
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils.tools import ir
from course_utils.tools.ir.drawing.svg import text_width

ROOT = Path(__file__).resolve().parents[1]
SVG = "{http://www.w3.org/2000/svg}"
RAW = """
graph(%x : Tensor):
  %two : int = prim::Constant[value=2]()
  %three : int = prim::Constant[value=3]()
  %one : int = prim::Constant[value=1]()
  %one2 : int = prim::Constant[value=1]()
  %six : int = aten::mul(%two, %three)
  %y : Tensor = aten::mul(%x, %six)
  %a : Tensor = aten::relu(%y)
  %b : Tensor = aten::relu(%y)
  %dead : Tensor = aten::exp(%x)
  %s : Tensor = aten::add(%a, %b, %one)
  %s2 : Tensor = aten::add(%s, %x, %one2)
  return (%s2)
"""


def affine(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1


def branch(x: torch.Tensor) -> torch.Tensor:
    if x.sum() > 0:
        y = torch.relu(x)
        y = y * 2
    else:
        y = -x
    return y + 1


def caller(x: torch.Tensor) -> torch.Tensor:
    return branch(x) * 3


def steps(x: torch.Tensor, n: int) -> torch.Tensor:
    i = 0
    while i < n:
        if x.sum() > 0:
            x = x * 2
        else:
            print("a # b:1:1", x)
            x = x - 1
        i += 1
    return x


def forked(x: torch.Tensor) -> torch.Tensor:
    future = torch.jit.fork(torch.relu, x)
    return torch.jit.wait(future) + x


def collects(x: torch.Tensor, names: list[str]) -> torch.Tensor:
    parts: list[torch.Tensor] = []
    for name in names:
        if name == "double":
            parts.append(x * 2)
    return torch.stack(parts)


def wide(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor,
    d: torch.Tensor,
    e: torch.Tensor,
    a_rather_long_name: torch.Tensor,
) -> torch.Tensor:
    return torch.cat([a.relu(), b.exp(), c.sigmoid(), d.tanh(), e.sin(), a_rather_long_name.cos(), a, b, c, d, e])


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.fc = nn.Linear(36, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv(x))
        return self.fc(self.block(x).flatten(1))


class Counting(nn.Module):
    k: int

    def __init__(self) -> None:
        super().__init__()
        self.k = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.k += 1
        return x * self.k


@pytest.fixture(scope="module")
def net() -> torch.jit.ScriptModule:
    torch.manual_seed(0)
    return torch.jit.trace(Net().eval(), torch.ones(1, 1, 8, 8))


# -- the graph and its text --


def test_graph_of_takes_whatever_has_a_graph(net):
    scripted = torch.jit.script(Net())
    for source in (net, scripted, torch.jit.script(affine), net.forward, RAW, ir.graph_of(RAW)):
        assert isinstance(ir.graph_of(source), torch.Graph)
        assert isinstance(ir.graph_of(source, inlined=True), torch.Graph)


def test_graph_of_names_what_to_do_for_eager_code():
    with pytest.raises(TypeError, match=r"Net is an eager module.*script or trace it first"):
        ir.graph_of(Net())
    with pytest.raises(TypeError, match=r"affine is a Python callable.*script or trace it first"):
        ir.graph_of(affine)
    with pytest.raises(TypeError, match="a int has no graph; pass"):
        ir.graph_of(3)
    with pytest.raises(ValueError, match=r"no TorchScript IR .*begin with"):
        ir.graph_of("x = 3")
    with pytest.raises(ValueError, match=r"LSTM has no single compiled forward; pass a method.*forward__0"):
        ir.graph_of(torch.jit.script(nn.LSTM(2, 2)))


def test_inlined_graph_is_a_copy(net):
    before = str(net.graph)
    graph = ir.graph_of(net, inlined=True)
    assert "prim::CallMethod" in before
    assert "prim::CallMethod" not in str(graph)
    for node in list(graph.nodes()):
        node.removeAllInputs()
    assert str(net.graph) == before
    own = ir.graph_of(RAW)
    assert ir.graph_of(own) is own
    assert ir.graph_of(own, inlined=True) is not own


def test_show_has_no_path_and_no_source_range_even_in_nested_blocks():
    function = torch.jit.script(steps)
    raw = function.graph.str(False)
    assert "test_ir.py" in raw  # torch leaves them in blocks: without this the test would prove nothing
    shown = ir.show(function)
    assert "test_ir.py" not in shown
    assert str(ROOT) not in shown
    assert not re.search(r":\d+:\d+$", shown, re.MULTILINE)
    assert 'value="a # b:1:1"' in shown  # what looks like a comment inside a string stays
    assert shown.count("\n") == raw.strip("\n").count("\n")
    assert "return (%x)" in shown


def test_show_removes_mangled_names_and_leaves_global_settings():
    models = [torch.jit.script(Net()) for _ in range(2)]
    before = torch.Graph.global_print_source_ranges
    texts = [ir.show(model) for model in models]
    assert torch.Graph.global_print_source_ranges == before
    assert all("torch_mangle" not in text for text in texts)
    mangled = "graph(%self : __torch__.a.___torch_mangle_12.Net):\n  return (%self)"
    assert ir.graph.clean(mangled) == "graph(%self : __torch__.a.Net):\n  return (%self)"
    assert "__torch__.torch.nn.modules.conv.Conv2d" in texts[0]


def test_show_takes_a_node():
    (node,) = ir.find(torch.jit.script(affine), "aten::mul")
    assert re.fullmatch(r"%\S+ : Tensor = aten::mul\(%x\S*, %\S+\)", ir.show(node))


# -- counting and finding --


def test_op_counts_are_sorted_and_count_nested_blocks():
    counts = ir.op_counts(RAW)
    assert counts == {"prim::Constant": 4, "aten::add": 2, "aten::mul": 2, "aten::relu": 2, "aten::exp": 1}
    assert list(counts) == ["prim::Constant", "aten::add", "aten::mul", "aten::relu", "aten::exp"]
    assert "prim::Constant" not in ir.op_counts(RAW, constants=False)
    nested = ir.op_counts(torch.jit.script(steps))
    assert nested["aten::mul"] == nested["aten::sub"] == nested["prim::If"] == nested["prim::Loop"] == 1


def test_op_counts_inline_first_unless_told_otherwise(net):
    assert ir.op_counts(net)["aten::_convolution"] == 3
    assert ir.op_counts(net, inlined=False)["prim::CallMethod"] == 3
    assert "prim::GetAttr" in ir.op_counts(net)
    assert "prim::GetAttr" not in ir.op_counts(net, constants=False)


def test_op_counts_include_subgraphs():
    assert ir.op_counts(torch.jit.script(forked))["aten::relu"] == 1


def test_find_reaches_nested_blocks_and_its_nodes_stay_alive(net):
    found = ir.find(torch.jit.script(steps), "aten::mul")
    gc.collect()
    assert [node.kind() for node in found] == ["aten::mul"]
    values = [value.toIValue() for value in found[0].inputs()]
    assert values[1] == 2
    alone = ir.find(torch.jit.script(steps), "aten::mul")[0]  # the list is gone
    gc.collect()
    assert alone.output().node() == alone
    assert ir.find(net, "aten::linear", inlined=False) == []
    with pytest.raises(ValueError, match='write it with its namespace, such as "aten::mul"'):
        ir.find(net, "mul")


def test_has_control_flow_looks_into_called_functions(net):
    assert ir.has_control_flow(torch.jit.script(branch))
    assert ir.has_control_flow(torch.jit.script(caller))
    assert ir.has_control_flow(torch.jit.script(steps))
    assert not ir.has_control_flow(torch.jit.script(affine))
    assert not ir.has_control_flow(net)


# -- before and after --


def test_compare_counts_side_by_side():
    folded = ir.graph_of(RAW).copy()
    torch._C._jit_pass_cse(folded)
    diff = ir.compare(RAW, folded)
    assert (diff.total_before, diff.total_after) == (11, 9)
    assert diff.delta == {"prim::Constant": -1, "aten::relu": -1}
    lines = str(diff).splitlines()
    assert lines[0].split() == ["kind", "before", "after", "change"]
    assert "aten::relu           2      1      -1" in lines
    assert lines[-1].split() == ["all", "nodes", "11", "9", "-2"]
    page = ET.fromstring(diff._repr_html_())
    rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
    assert ["aten::relu", "2", "1", "-1"] in rows
    assert rows[-1] == ["all nodes", "11", "9", "-2"]
    assert "color:#" not in diff._repr_html_()


def test_compare_escapes_names_in_html():
    page = ir.compare(RAW, RAW, names=("<b>", "a & b"))._repr_html_()
    ET.fromstring(page)
    assert "&lt;b&gt;" in page


def test_figure_says_what_it_shows_without_colour():
    plt = pytest.importorskip("matplotlib.pyplot", reason="the figure needs matplotlib")
    open_before = plt.get_fignums()
    figure = ir.compare(RAW, RAW, names=("raw", "folded")).figure(constants=False)
    (axes,) = figure.axes
    assert axes.get_title() == "11 nodes raw, 11 folded (constants and attributes not drawn)"
    assert axes.get_xlabel() and axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["raw", "folded"]
    assert {bar.get_hatch() or "" for bar in axes.patches} == {"", "///"}
    assert [label.get_text() for label in axes.get_yticklabels()][::-1] == [
        "aten::add", "aten::mul", "aten::relu", "aten::exp",
    ]  # fmt: skip
    assert plt.get_fignums() == open_before  # closed, or a notebook would show it twice


def test_pass_effects_alone_and_in_sequence():
    graph = ir.graph_of(RAW)
    text = str(graph)
    alone = ir.pass_effects(graph)
    assert {effect.name: (effect.before, effect.after) for effect in alone} == {
        "constant_propagation": (11, 8),
        "constant_pooling": (11, 10),
        "cse": (11, 9),
        "dce": (11, 10),
        "peephole": (11, 11),
        "inline": (11, 11),
    }
    assert str(graph) == text
    assert alone["dce"].summary == "aten::exp -1"
    assert "aten::exp" not in alone["dce"].text
    assert alone["inline"].summary == "no change"
    assert not alone["inline"].changed
    names = ["constant_propagation", "constant_pooling", "cse", "dce", "peephole"]
    assert [e.after for e in ir.pass_effects(graph, names, in_sequence=True)] == [8, 7, 6, 6, 6]
    for effect in alone:
        assert effect.name in str(alone)
        assert effect.meaning
    ET.fromstring(f"<div>{alone._repr_html_()}</div>")


def test_pass_effects_on_a_model_inlines_for_every_other_pass(net):
    before = str(net.graph)
    report = ir.pass_effects(net, ["inline", "cse"])
    assert str(net.graph) == before
    assert report["inline"].diff.delta["prim::CallMethod"] == -3
    assert report["cse"].before == sum(ir.op_counts(net).values())
    result = net(torch.ones(1, 1, 8, 8))
    assert result.shape == (1, 2)


def test_pass_effects_suggests_a_name():
    with pytest.raises(ValueError, match='no pass "peephol"; did you mean peephole'):
        ir.pass_effects(RAW, ["peephol"])
    with pytest.raises(ValueError, match="try one of constant_propagation"):
        ir.pass_effects(RAW, ["qqqqqq"])
    with pytest.raises(KeyError, match="run were: cse"):
        ir.pass_effects(RAW, ["cse"])["dce"]


# -- the drawing --


def elements(drawing: ir.Drawing) -> ET.Element:
    return ET.fromstring(drawing.svg)


def kinds(drawing: ir.Drawing) -> Counter:
    return Counter(g.get("data-kind") for g in elements(drawing).iter(f"{SVG}g"))


def words(drawing: ir.Drawing) -> list[str]:
    return [text.text or "" for text in elements(drawing).iter(f"{SVG}text")]


def extent(text: ET.Element) -> tuple[float, float]:
    """Left and right end of a text, by the estimate that the drawing uses."""
    wide = text_width(text.text or "", int(text.get("font-size")), text.get("font-weight") == "bold")
    x = int(text.get("x"))
    left = {"start": x, "middle": x - wide / 2, "end": x - wide}[text.get("text-anchor")]
    return left, left + wide


def check_geometry(drawing: ir.Drawing) -> None:
    """Nothing is cut off, no text leaves its box, no two boxes of operators or pills overlap."""
    root = elements(drawing)
    _, _, width, height = (int(number) for number in root.get("viewBox").split())
    assert int(root.get("width")) <= max(900, width * 11 // 12 + 1)
    for text in root.iter(f"{SVG}text"):
        left, right = extent(text)
        assert left >= 0 and right <= width, (text.text, left, right, width)
        assert 10 <= int(text.get("y")) <= height - 3, text.text
        assert int(text.get("font-size")) * int(root.get("width")) / width >= 10.9
    leaves = []
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0 and x + w <= width and y >= 0 and y + h <= height
    for group in root.iter(f"{SVG}g"):
        rect = group.findall(f"{SVG}rect")[-1]
        x, y, w, h = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        for text in group.iter(f"{SVG}text"):
            left, right = extent(text)
            assert x <= left and right <= x + w, (text.text, left, right, x, x + w)
            assert y < int(text.get("y")) < y + h
        if group.get("data-kind") not in ("prim::If", "prim::Loop", "prim::fork"):
            leaves.append((x, y, x + w, y + h))
    for i, a in enumerate(leaves):
        for b in leaves[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    for path in root.iter(f"{SVG}path"):
        assert re.fullmatch(r"M\d+ \d+( (V\d+|C\d+ \d+ \d+ \d+ \d+ \d+))+", path.get("d"))
    ends = [tuple(map(int, p.get("points").split()[-1].split(","))) for p in root.iter(f"{SVG}polygon")]
    tops = [
        (float(r.get("x")), float(r.get("x")) + float(r.get("width")), float(r.get("y")))
        for r in root.iter(f"{SVG}rect")
    ]
    for x, y in ends:
        assert any(left <= x <= right and top == y for left, right, top in tops), (x, y)


def test_drawing_of_an_expression():
    drawing = ir.draw(torch.jit.script(affine))
    assert kinds(drawing) == {"aten::mul": 1, "aten::add": 1}
    assert {"input x", "mul", "× 2", "add", "+ 1", "output"} <= set(words(drawing))
    assert drawing.caption.startswith("TorchScript graph: 1 input, 2 operators, 1 output.")
    assert re.fullmatch(
        r"graph\(%x.1: Tensor\)\n  %\S+ = mul\(%x.1, 2\)\n  %\S+ = add\(%\S+, 1\)\n  return %\S+",
        drawing.text,
    )
    check_geometry(drawing)


def test_drawing_is_an_svg_with_a_text_alternative_for_jupyter():
    drawing = ir.draw(torch.jit.script(branch))
    bundle = drawing._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    # JupyterLab shows an SVG of its own only in a notebook that it trusts.
    image = ET.fromstring(bundle["text/html"].replace(">", "/>"))
    data = image.get("src").removeprefix("data:image/svg+xml;base64,")
    assert base64.b64decode(data).decode() == drawing.svg
    assert (image.get("alt"), image.get("style")) == (drawing.caption, "max-width:100%;height:auto")
    assert bundle["text/plain"] == f"{drawing.text}\n\n{drawing.caption}" == str(drawing) == repr(drawing)
    root = elements(drawing)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == drawing.caption
    assert root.find(f"{SVG}desc").text == drawing.text
    assert not any(element.get("id") or element.tag.endswith(("script", "style")) for element in root.iter())


def test_if_is_a_frame_with_its_condition_and_two_named_columns():
    drawing = ir.draw(torch.jit.script(branch))
    assert {"if sum(x) > 0", "true", "false", "→ y"} <= set(words(drawing))
    assert "1 if" in drawing.caption
    assert "if sum(x) > 0:\n    true:\n" in drawing.text
    check_geometry(drawing)


def test_loop_says_how_often():
    assert "loop: while i < n" in words(ir.draw(torch.jit.script(steps)))
    assert "i, first 0" in words(ir.draw(torch.jit.script(steps)))
    assert "loop: len(names) times" in words(ir.draw(torch.jit.script(collects)))


def test_a_list_that_grows_is_a_box_and_a_list_of_constants_is_not(net):
    drawing = ir.draw(torch.jit.script(collects))
    assert kinds(drawing)["prim::ListConstruct"] == 1
    assert "[]" not in drawing.text
    inlined = ir.draw(net, inlined=True)
    assert kinds(inlined)["prim::ListConstruct"] == 0
    assert "stride=[2, 2]" in " ".join(words(inlined))
    assert "fc: weight, bias" in words(inlined)


def test_side_effects_keep_their_order():
    drawing = ir.draw(torch.jit.script(Counting()))
    assert "set k" in words(drawing)
    heights = {text.text: int(text.get("y")) for text in elements(drawing).iter(f"{SVG}text")}
    assert heights["k + 1"] < heights["set k"] < heights["mul"]


def test_calls_of_submodules_are_boxes(net):
    drawing = ir.draw(net)
    assert kinds(drawing)["prim::CallMethod"] == 3
    assert {"conv", "Conv2d", "block", "Sequential", "fc", "Linear"} <= set(words(drawing))


def test_constant_that_is_returned_is_drawn():
    graph = "graph():\n  %c : int = prim::Constant[value=3]()\n  return (%c, %c)"
    drawing = ir.draw(graph)
    assert {"3", "constant", "output 0", "output 1"} <= set(words(drawing))
    assert "return 3, 3" in drawing.text
    check_geometry(drawing)


def test_subgraph_is_a_frame():
    drawing = ir.draw(torch.jit.script(forked))
    assert kinds(drawing)["aten::relu"] == 1
    check_geometry(drawing)


def test_highlight_by_kind_by_function_and_by_constant():
    function = torch.jit.script(branch)
    marked = ir.draw(function, highlight=["aten::mul"])
    assert "★ mul" in words(marked)
    assert "★ and thick border: aten::mul" in words(marked)
    assert [line.strip()[:3] for line in marked.text.splitlines() if "★" in line] == ["★ %"]
    assert ir.draw(function, highlight="aten::mul").svg == marked.svg
    chosen = ir.draw(function, highlight=lambda node: node.kind() == "prim::If")
    assert "★ if sum(x) > 0" in words(chosen)
    one = ir.draw(
        torch.jit.script(affine),
        highlight=lambda n: n.kind() == "prim::Constant" and n.output().toIValue() == 2,
    )
    assert "★ mul" in words(one) and "add" in words(one)
    nothing = ir.draw(function, highlight=["aten::conv2d"])
    assert any("nothing to highlight: no aten::conv2d" in line for line in words(nothing))
    for drawing in (marked, chosen, one, nothing):
        check_geometry(drawing)


def test_a_large_graph_collapses_by_submodule_and_says_so(net):
    full = ir.draw(net, inlined=True)
    assert "Collapsed" not in full.caption
    small = ir.draw(net, inlined=True, max_nodes=6)
    assert "Collapsed from 7 boxes to 5" in small.caption
    assert {"block", "Sequential · 3 operators"} <= set(words(small))
    assert small.caption.split(".")[0] == full.caption.split(".")[0]
    check_geometry(small)
    star = ir.draw(net, inlined=True, max_nodes=6, highlight="aten::relu")
    assert "★ block" in words(star)


def test_scripted_batch_norm_collapses_into_its_module():
    model = torch.jit.script(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()))
    drawing = ir.draw(model, inlined=True, max_nodes=5)
    assert any(word.startswith("BatchNorm2d · ") for word in words(drawing))
    assert sum(kinds(drawing).values()) == 3


@pytest.mark.parametrize("limit", [1, 2, 3, 8])
def test_no_more_boxes_than_allowed(limit, net):
    for source in (net, torch.jit.script(steps), torch.jit.script(collects), torch.jit.script(wide)):
        drawing = ir.draw(source, inlined=True, max_nodes=limit)
        assert 1 <= sum(kinds(drawing).values()) <= limit
        check_geometry(drawing)
    with pytest.raises(ValueError, match="max_nodes is 0"):
        ir.draw(net, max_nodes=0)


def test_many_inputs_stay_on_the_canvas():
    check_geometry(ir.draw(torch.jit.script(wide)))


def test_outputs_hold_no_path():
    here = Path(__file__)
    for function in (affine, branch, caller, steps, forked, collects):
        scripted = torch.jit.script(function)
        drawing = ir.draw(scripted, inlined=True)
        report = ir.pass_effects(scripted)
        texts = [
            ir.show(scripted), ir.show(scripted, inlined=True), drawing.svg, drawing.text, drawing.caption,
            str(report), report._repr_html_(), *(effect.text for effect in report),
        ]  # fmt: skip
        for text in texts:
            for part in (str(here), here.name, str(ROOT), str(Path(torch.__file__).parent)):
                assert part not in text


CODE = """
import sys, warnings
warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\\.jit(\\.|$)")
import torch
from course_utils.tools import ir
torch.set_num_threads(1)
cu = torch.jit.CompilationUnit(sys.stdin.read())
d = ir.draw(cu.f, max_nodes=9)
sys.stdout.buffer.write((d.svg + str(d) + ir.show(cu.f)).encode())
"""
PROGRAM = """
def f(x: Tensor, n: int) -> Tensor:
    for i in range(n):
        if bool(x.sum() > i):
            x = torch.relu(x) * 2
        else:
            y = x.exp()
            x = torch.softmax(y + x.sin() + x.cos(), 0)
    return x + x.mean() - 1
"""


def test_another_process_draws_the_same():
    function = torch.jit.CompilationUnit(PROGRAM).f
    drawing = ir.draw(function, max_nodes=9)
    expected = drawing.svg + str(drawing) + ir.show(function)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        input=PROGRAM.encode(),
        capture_output=True,
        env=environment,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode() == expected


# -- two drawings side by side --


def marked(drawing: ir.Drawing) -> list[str]:
    return [word for word in words(drawing) if word.startswith("★ ") and "thick" not in word]


def after_pass(name: str, graph: str) -> torch.Graph:
    result = torch._C.parse_ir(graph)
    getattr(torch._C, f"_jit_pass_{name}")(result)
    return result


def test_draw_change_marks_what_goes_and_what_comes():
    text = RAW
    drawing = ir.draw_change(text, after_pass("dce", text))
    assert marked(drawing) == ["★ exp"]
    assert {"before: 11 nodes", "after: 10 nodes", "every box is on the other side too"} <= set(words(drawing))
    assert "before: 11 nodes" in drawing.text and "after: 10 nodes" in drawing.text
    assert drawing.text.count("graph(%x: Tensor)") == 2
    assert marked(ir.draw_change(text, after_pass("cse", text))) == ["★ relu"]
    folded = ir.draw_change(text, after_pass("constant_propagation", text))
    assert marked(folded).count("★ mul") == 3  # 2 * 3 and its user on the left, the user of 6 on the right
    same = ir.draw_change(text, text, names=("one", "other"))
    assert marked(same) == [] and words(same).count("every box is on the other side too") == 2
    assert {"one: 11 nodes", "other: 11 nodes"} <= set(words(same))


def test_draw_change_marks_a_frame_that_goes():
    function = torch.jit.CompilationUnit("def f(x):\n    for i in range(3):\n        x = x + i\n    return x\n").f
    unrolled = function.graph.copy()
    torch._C._jit_pass_loop_unrolling(unrolled)
    drawing = ir.draw_change(function, unrolled)
    assert "★ loop: 3 times" in words(drawing)
    assert "★ and thick border: only before" in words(drawing)
    assert drawing.svg == ir.draw_change(function, unrolled).svg
    with pytest.raises(ValueError, match="max_nodes is 0"):
        ir.draw_change(function, unrolled, max_nodes=0)


def test_draw_change_is_one_picture_with_its_parts_inside(net):
    """Small ones stand side by side, wide ones below each other; nothing is outside of the canvas."""
    for before, after in ((RAW, RAW), (net, torch.jit.script(wide)), (torch.jit.script(branch), net)):
        root = elements(ir.draw_change(before, after, inlined=True))
        _, _, width, height = (int(number) for number in root.get("viewBox").split())
        assert root.get("role") == "img" and len(root.findall(f"{SVG}title")) == 1
        groups = [group for group in root.findall(f"{SVG}g") if group.get("transform")]
        assert len(groups) == 2
        for group in groups:
            left, top = map(int, re.fullmatch(r"translate\((\d+) (\d+)\)", group.get("transform")).groups())
            for rect in group.iter(f"{SVG}rect"):
                x, y, w, h = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
                assert left + x + w <= width and top + y + h <= height
            for text in group.iter(f"{SVG}text"):
                begin, end = extent(text)
                assert begin >= 0 and left + end <= width, text.text
        second = groups[1].get("transform")
        assert (second.endswith(" 0)")) == (int(root.get("width")) <= 900 and not second.startswith("translate(0 "))


# -- random programs --

ACTIONS = [
    "x = x * {k}", "y = x + y", "x = torch.relu(y) - {k}", "y = x.exp()", "x = torch.add(x, y, alpha={k})",
    "k += {k}", "x = x.clamp(min={k}.5)", "print('a # b', x)", "x = torch.cat([x, y])",
    "y = y.sum(dim=[0], keepdim=True)",
]  # fmt: skip


@st.composite
def bodies(draw, depth: int = 3) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        what = draw(st.sampled_from(["do", "do", "if", "for", "while"] if depth else ["do"]))
        number = draw(st.integers(0, 9))
        if what == "do":
            lines.append(draw(st.sampled_from(ACTIONS)).format(k=number))
            continue
        head = {
            "if": f"if k > {number}:",
            "for": f"for i{depth} in range(k + {number}):",
            "while": f"while bool(x.sum() > {number}):",
        }
        lines += [head[what], *("    " + line for line in draw(bodies(depth - 1)))]
        if what == "if" and draw(st.booleans()):
            lines += ["else:", *("    " + line for line in draw(bodies(depth - 1)))]
    return lines


def compiled(lines: list[str]):
    source = [
        "def f(x: Tensor, y: Tensor, k: int):",
        *("    " + line for line in lines),
        "    return x, y, k\n",
    ]
    return torch.jit.CompilationUnit("\n".join(source)).f


@settings(deadline=None, max_examples=60)
@given(bodies())
def test_random_programs_are_counted_and_shown_right(lines):
    function = compiled(lines)
    shown = ir.show(function)
    recount = Counter(re.findall(r"^ *(?:%.*)?= (\w+::\w+)", shown, re.MULTILINE))
    assert ir.op_counts(function) == recount
    assert all(len(ir.find(function, kind)) == count for kind, count in recount.items())
    assert ir.has_control_flow(function) == bool(recount["prim::If"] + recount["prim::Loop"])
    parsed = ir.op_counts(shown)  # what is shown is whole: it can be read back
    assert parsed == recount


@settings(deadline=None, max_examples=60)
@given(bodies(), st.integers(1, 30))
def test_random_programs_are_drawn_whole(lines, limit):
    function = compiled(lines)
    drawing = ir.draw(function, max_nodes=10_000)
    drawn = kinds(drawing)
    counts = ir.op_counts(function, constants=False)
    folded = ("prim::ListConstruct", "prim::Uninitialized")  # written on their users where they are constant
    assert {k: n for k, n in drawn.items() if k not in folded and k != "constant"} == {
        k: n for k, n in counts.items() if k not in folded
    }
    check_geometry(drawing)
    assert drawing.svg == ir.draw(function, max_nodes=10_000).svg
    small = ir.draw(function, max_nodes=limit)
    assert sum(n for kind, n in kinds(small).items() if kind != "constant") <= limit
    check_geometry(small)
