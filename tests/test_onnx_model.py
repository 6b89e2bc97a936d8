"""An ONNX file as a callable, and its operators. The files are written by hand, without an exporter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from onnx import TensorProto, helper, save

from course_utils.tools.onnx_model import OnnxModel, op_counts

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def value(name: str, kind: int, shape: list[int | str]):
    return helper.make_tensor_value_info(name, kind, shape)


def write(path: Path, nodes, inputs, outputs) -> Path:
    graph = helper.make_graph(nodes, "test", inputs, outputs)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture
def scaled(tmp_path: Path) -> Path:
    """x · Cast(n), with a free dimension, and x itself."""
    nodes = [
        helper.make_node("Cast", ["n"], ["f"], to=FLOAT),
        helper.make_node("Mul", ["x", "f"], ["y"]),
        helper.make_node("Identity", ["x"], ["z"]),
    ]
    inputs = [value("x", FLOAT, ["rows", 2]), value("n", INT, [])]
    return write(tmp_path / "scaled.onnx", nodes, inputs, [value("y", FLOAT, ["rows", 2]), value("z", FLOAT, ["r", 2])])


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """An ``If`` in an ``If``; each innermost branch holds a constant."""

    def constant(name: str, number: float):
        tensor = helper.make_tensor(name, FLOAT, [1], [number])
        return helper.make_node("Constant", [], [name], value=tensor)

    def branch(name: str, nodes, out: str):
        return helper.make_graph(nodes, name, [], [value(out, FLOAT, [1])])

    inner = helper.make_node(
        "If",
        ["p"],
        ["i"],
        then_branch=branch("a", [constant("one", 1.0), helper.make_node("Neg", ["one"], ["m"])], "m"),
        else_branch=branch("b", [constant("two", 2.0)], "two"),
    )
    outer = helper.make_node(
        "If",
        ["p"],
        ["y"],
        then_branch=branch("c", [inner], "i"),
        else_branch=branch("d", [constant("three", 3.0)], "three"),
    )
    return write(tmp_path / "nested.onnx", [outer], [value("p", BOOL, [])], [value("y", FLOAT, [1])])


def test_a_file_is_called_with_tensors_and_numbers(scaled: Path) -> None:
    model = OnnxModel(scaled)
    assert model.inputs == {"x": ["rows", 2], "n": []} and list(model.outputs) == ["y", "z"]
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    for n in (3, torch.tensor(3)):
        y, z = model(x, n)
        assert torch.equal(y, x * 3) and torch.equal(z, x)
    assert torch.equal(model(x[:1].requires_grad_(), 2)[0], x[:1] * 2)


def test_one_output_is_a_tensor(nested: Path) -> None:
    model = OnnxModel(nested)
    assert [model(torch.tensor(p)).item() for p in (True, False)] == [-1.0, 3.0]


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ((torch.ones(2, 3), 1), "Got: 3 Expected: 2"),
        ((torch.ones(2, 2).double(), 1), "onnxruntime rejects this input"),
        ((torch.ones(2, 2),), r"2 inputs \(x, n\), you gave 1"),
    ],
)
def test_what_the_file_rejects_is_a_value_error(scaled: Path, args, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        OnnxModel(scaled)(*args)


def test_operators_are_counted_inside_branches(nested: Path, scaled: Path) -> None:
    assert op_counts(nested) == {"If": 2, "Neg": 1}
    assert list(op_counts(scaled)) == ["Cast", "Identity", "Mul"]


def test_weights_beside_the_file_are_not_needed_to_count(tmp_path: Path) -> None:
    path = tmp_path / "beside.onnx"
    weight = helper.make_tensor("w", FLOAT, [300, 300], bytes(4 * 90_000), raw=True)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    sizes = ["rows", 300]
    graph = helper.make_graph([node], "test", [value("x", FLOAT, sizes)], [value("y", FLOAT, sizes)], [weight])
    save(helper.make_model(graph), path, save_as_external_data=True, location="beside.onnx.data", size_threshold=0)
    assert [x.name for x in tmp_path.iterdir() if x != path] == ["beside.onnx.data"]
    (tmp_path / "beside.onnx.data").unlink()
    assert op_counts(path) == {"MatMul": 1}
