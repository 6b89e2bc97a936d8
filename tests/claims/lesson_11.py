"""Claims of lesson 11, on ONNX and edge runtimes."""

# No `from __future__ import annotations`: some of the modules here are scripted.

import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from course_utils.tools.onnx_model import OnnxModel, op_counts
from tests.claims import claim

HERE = "notebooks/11_onnx_and_edge.ipynb"
UP = torch.tensor([1.0, 2.0, 3.0])


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):  # noqa: SIM108
            y = x * 2
        else:
            y = x - 1
        return y


class Halving(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while bool(x.abs().max() > 1):
            x = x / 2
        return x


class Rows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        level = x[0]
        for i in range(1, x.shape[0]):
            level = 0.5 * level + 0.5 * x[i]
        return level


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return x + self.calls


def old(model: nn.Module, *args: Tensor, **options: object) -> tuple[OnnxModel, dict, list[str]]:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        path = Path(folder) / "m.onnx"
        torch.onnx.export(model, args, str(path), dynamo=False, **options)
        return OnnxModel(path), op_counts(path), [w.category.__name__ for w in seen]


def raises(function, *args, **options) -> bool:
    try:
        function(*args, **options)
    except Exception:
        return True
    return False


@claim(f"{HERE}#c0c4f4dec", "`torch.while_loop` (public, a prototype in this release)", was="a private name")
def while_loop_is_public():
    from torch._higher_order_ops.while_loop import while_loop

    assert torch.while_loop is while_loop
    assert "while_loop" not in torch.__all__
    assert torch.while_loop(lambda x: x.max() > 1, lambda x: (x / 2,), (UP,))[0].max() <= 1


@claim(f"{HERE}#state-is-frozen", "the state at export has become a constant")
@claim(
    f"{HERE}#ca1d55328",
    "in ONNX, passed by the caller if `forward` takes and returns it, otherwise frozen at export without a warning",
    was="in the caller's hands in ONNX",
)
def state_is_frozen_by_the_export():
    eager = Counting().eval()
    assert [eager(torch.zeros(1)).item() for _ in range(3)] == [1, 2, 3]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.onnx.export(Counting().eval(), (torch.zeros(1),), Path(folder) / "c.onnx", verbose=False)
        file = OnnxModel(Path(folder) / "c.onnx")
    assert len({file(torch.zeros(1)).item() for _ in range(3)}) == 1
    assert list(file.inputs) == ["x"] and not [w for w in seen if "calls" in str(w.message)]


@claim(f"{HERE}#names-are-notes", "onnxruntime does not, so check before you call the session", was="equal sizes")
@claim(f"{HERE}#ca1d55328", "onnxruntime does not enforce that equal names mean equal sizes")
def equal_names_are_not_enforced():
    class Sums(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a.sum(0) + b.sum(0)

    names = {"a": {0: "n"}, "b": {0: "n"}}
    file, _, _ = old(Sums(), torch.ones(3, 2), torch.ones(3, 2), input_names=["a", "b"], dynamic_axes=names)
    assert file.inputs["a"][0] == file.inputs["b"][0] == "n"
    for a, b in ((2, 5), (5, 2), (1, 4)):
        assert file(torch.ones(a, 2), torch.ones(b, 2)).tolist() == [a + b] * 2


@claim(f"{HERE}#cc56fbff0", "Here the shape is a requirement")
def a_fixed_shape_is_demanded():
    file, _, _ = old(nn.Linear(3, 2).eval(), torch.ones(2, 3))
    assert not raises(file, torch.ones(2, 3))
    assert raises(file, torch.ones(3, 3)) and raises(file, torch.ones(1, 3)) and raises(file, torch.ones(2, 2))


@claim(f"{HERE}#c9c187d28", "Dropout does nothing in eval mode and is gone")
def dropout_is_gone_in_eval_mode():
    for layer in (nn.Dropout(0.5), nn.Dropout1d(0.5), nn.AlphaDropout(0.5)):
        _, counts, _ = old(nn.Sequential(layer, nn.ReLU()).eval(), torch.ones(2, 3, 4))
        assert not any("Dropout" in kind for kind in counts)


@claim(f"{HERE}#c2d3cf18b", "One `If`, both branches correct")
@claim(f"{HERE}#c2d3cf18b", "A `while` becomes a `Loop`, which runs for as many iterations as the data requires")
@claim(f"{HERE}#ca1d55328", "`dynamo=False` accepts it, with a deprecation warning, and keeps `if` and `while`")
def the_old_route_keeps_a_script():
    file, counts, warned = old(torch.jit.script(Gate()), UP)
    assert counts["If"] == 1 and "DeprecationWarning" in warned
    assert torch.equal(file(-UP), -UP - 1) and torch.equal(file(UP), UP * 2)
    file, counts, _ = old(torch.jit.script(Halving()), UP)
    assert counts["Loop"] == 1
    for x in (UP, UP / 9, UP * 100):
        assert torch.equal(file(x), Halving()(x))


@claim(f"{HERE}#c11df869f", "A multiplication by 2 is all that is left")
@claim(f"{HERE}#c11df869f", "The one sign was a `TracerWarning` next to the deprecation warning")
@claim(f"{HERE}#ca1d55328", "branches and loops are baked in, a loop over a size without a warning")
def the_old_route_bakes_what_is_not_scripted():
    file, counts, warned = old(Gate(), UP)
    assert "If" not in counts and "TracerWarning" in warned and torch.equal(file(-UP), -UP * 2)
    file, counts, warned = old(Halving(), UP)
    assert "Loop" not in counts and "TracerWarning" in warned and not torch.equal(file(UP * 100), Halving()(UP * 100))
    _, counts, warned = old(Rows(), torch.ones(4, 3))
    assert "Loop" not in counts and "TracerWarning" not in warned


@claim(f"{HERE}#c9c305c91", "Its signature declares any `n`, but the graph uses the first four rows")
def the_signature_lies():
    file, _, _ = old(Rows(), torch.ones(4, 3), input_names=["x"], dynamic_axes={"x": {0: "n"}})
    x = torch.arange(18.0).reshape(6, 3)
    for rows in (4, 5, 6):
        assert torch.equal(file(x[:rows]), Rows()(x[:4]))


@claim(f"{HERE}#c2e0ed112", "the function fails for every model")
@claim(f"{HERE}#ca1d55328", "fails for every model: torch is built without XNNPACK")
def the_mobile_optimiser_fails():
    from torch.utils.mobile_optimizer import optimize_for_mobile

    for model in (nn.Linear(2, 2), nn.ReLU(), Gate()):
        assert raises(optimize_for_mobile, torch.jit.script(model.eval()))


@claim(f"{HERE}#c6212ea83", "the `fallback` to the legacy exporter that earlier releases offered is gone")
def no_fallback():
    import inspect

    parameters = inspect.signature(torch.onnx.export).parameters
    assert parameters["dynamo"].default is True
    assert "fallback" not in parameters and "dynamic_shapes" in parameters


@claim(f"{HERE}#ceff7c54b", "`torch.jit.load` reads it too")
def a_ptl_is_an_archive():
    with tempfile.TemporaryDirectory() as folder:
        for number, model in enumerate((nn.Linear(3, 2), Gate(), Halving())):
            scripted, path = torch.jit.script(model.eval()), f"{folder}/{number}.ptl"
            scripted._save_for_lite_interpreter(path)
            assert torch.equal(torch.jit.load(path)(UP), scripted(UP))
