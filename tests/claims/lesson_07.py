"""Claims of lesson 07, on freezing, folding and the executor."""

# No `from __future__ import annotations`: some of the modules here are scripted.

import copy
import io

import torch
from torch import Tensor, nn

from course_utils import ir
from course_utils.models import DigitNet, randomise_statistics
from tests.claims import claim

HERE = "notebooks/07_optimisation.ipynb"


def profiled(module, x: Tensor) -> bool:
    with torch.no_grad():
        module(x)
    return ir.op_counts(torch.jit.last_executed_optimized_graph()).get("prim::profile", 0) > 0


def cold(name: str) -> nn.Module:
    net = nn.Sequential()
    net.add_module(name, nn.Linear(4, 4))
    return net.eval()


@claim(
    f"{HERE}#second-is-cold", "Each trace and each freeze makes a new type, so it starts cold, even from the same model"
)
@claim(
    f"{HERE}#ca2afe2f5",
    "a second trace or freeze starts cold",
    was="a second instance of the same type, with no word on these",
)
def second_conversions_start_cold():
    x, net = torch.rand(2, 4), cold("claimed")
    script = torch.jit.script(net)
    assert [profiled(script, x) for _ in range(3)] == [True, False, False]
    assert not profiled(torch.jit.script(net), x)
    for make in (lambda: torch.jit.trace(net, x, check_trace=False), lambda: torch.jit.freeze(script)):
        for _ in range(2):
            assert [profiled(made, x) for made in [make()] * 3] == [True, False, False]


@claim(f"{HERE}#ca1af1dac", "in this build one call is profiled")
def one_call_is_profiled():
    assert torch._C._jit_get_num_profiled_runs() == 1
    for number in range(3):
        module = torch.jit.script(cold(f"profiled{number}"))
        assert [profiled(module, torch.rand(2, 4)) for _ in range(3)] == [True, False, False]


@claim(
    f"{HERE}#c658194cc", "The same is done to a linear layer with a `BatchNorm1d` behind it", was="convolutions only"
)
def linear_layers_are_folded_too():
    for bias in (True, False):
        pair = randomise_statistics(nn.Sequential(nn.Linear(4, 3, bias=bias), nn.BatchNorm1d(3))).eval()
        frozen, x = torch.jit.freeze(torch.jit.script(pair)), torch.rand(2, 4)
        assert "aten::batch_norm" not in ir.op_counts(frozen) and torch.allclose(frozen(x), pair(x), atol=1e-4)
    turned = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)).eval()
    assert "aten::batch_norm" in ir.op_counts(torch.jit.freeze(torch.jit.script(turned)))


@claim(
    f"{HERE}#c3114befc", "autograd cannot save them for the backward pass of a product", was="never part of a gradient"
)
def inference_tensors_and_gradients():
    weight = torch.ones(2, requires_grad=True)
    with torch.inference_mode():
        made = torch.ones(2) * 2
    (weight + made).sum().backward()
    (weight * made.clone()).sum().backward()
    assert weight.grad.tolist() == [3, 3]
    try:
        (weight * made).sum()
    except RuntimeError as error:
        assert "Inference tensors" in str(error)
    else:
        raise AssertionError("the product was taken")


@claim(f"{HERE}#ca2afe2f5", "with weights in oneDNN's layout it cannot be loaded again", was="cannot be saved")
def optimised_models_that_load():
    for layer in (nn.Linear(4, 4), nn.Conv1d(1, 2, 3), nn.Conv2d(1, 2, 3)):
        ready, file = torch.jit.optimize_for_inference(torch.jit.script(nn.Sequential(layer).eval())), io.BytesIO()
        torch.jit.save(ready, file)
        try:
            torch.jit.load(io.BytesIO(file.getvalue()))
            loads = True
        except RuntimeError:
            loads = False
        assert loads == ("ConstantMKLDNNTensor" not in str(ready.graph))


@claim(f"{HERE}#c16899e01", "no conversion changes them")
def threads_stay():
    before, net = torch.get_num_threads(), cold("threads")
    for convert in (torch.jit.script, torch.jit.freeze, torch.jit.optimize_for_inference):
        convert(net if convert is torch.jit.script else torch.jit.script(net))
        assert torch.get_num_threads() == before


@claim(f"{HERE}#cd33e797d", "switches **your** module to eval mode silently")
def the_optimiser_switches_the_mode():
    for net in (DigitNet(), nn.Sequential(nn.Dropout()), cold("mode").train()):
        scripted = torch.jit.script(net)
        torch.jit.optimize_for_inference(scripted)
        assert not scripted.training


@claim(f"{HERE}#cf47d09a4", "`train()` is accepted and does nothing")
@claim(f"{HERE}#cf47d09a4", "`double()` is accepted and reaches no constant; the call fails later")
def a_frozen_module_is_fixed():
    for net, x in ((cold("fixed"), torch.rand(2, 4)), (DigitNet().eval(), torch.rand(2, 1, 8, 8))):
        frozen = torch.jit.freeze(torch.jit.script(net))
        assert torch.equal(frozen.train()(x), frozen.eval()(x))
        try:
            frozen.double()(x.double())
        except RuntimeError:
            continue
        raise AssertionError("it runs in float64")


@claim(f"{HERE}#ccde9dc88", "A weight that was not folded is not copied: both models hold the same storage")
@claim(f"{HERE}#ccde9dc88", "One that was folded is a new tensor")
def shared_storage():
    for layers, moves in (([nn.Linear(4, 4)], 1), ([nn.Conv1d(2, 3, 1)], 1), ([nn.Linear(4, 4), nn.BatchNorm1d(4)], 0)):
        net, x = (
            nn.Sequential(*layers).eval(),
            torch.rand(2, 2, 5) if isinstance(layers[0], nn.Conv1d) else torch.rand(2, 4),
        )
        frozen = torch.jit.freeze(torch.jit.script(net))
        with torch.no_grad():
            before = frozen(x)
            net[0].bias.add_(1)
            assert (frozen(x) - before).abs().max().round() == moves


@claim(f"{HERE}#c1bf4a75b", "`served` stays without being named, since `forward` writes to it")
def what_forward_writes_stays():
    class Served(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.served = 0
            self.unused = 3

        def forward(self, x: Tensor) -> Tensor:
            self.served += 1
            return x

    scripted = torch.jit.script(Served().eval())
    frozen, kept = torch.jit.freeze(scripted), torch.jit.freeze(scripted, preserved_attrs=["unused"])
    assert hasattr(frozen, "served") and not hasattr(frozen, "unused") and hasattr(kept, "unused")


@claim(f"{HERE}#c187b0168", "`optimize_numerics=False` freezes without folding, and keeps every bit")
def no_folding_keeps_the_bits():
    for seed in range(3):
        net = randomise_statistics(copy.deepcopy(DigitNet()), seed).eval()
        x, scripted = torch.rand(3, 1, 8, 8), torch.jit.script(net)
        assert torch.equal(torch.jit.freeze(scripted, optimize_numerics=False)(x), net(x))
