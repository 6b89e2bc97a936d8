"""Claims of lesson 07, on freezing, folding and the executor."""

# No `from __future__ import annotations`: some of the modules here are scripted.

import copy
import io

import torch
from torch import Tensor, nn

from course_utils.classroom.models import DigitNet, randomise_statistics
from course_utils.tools import ir
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
    f"{HERE}#second-is-cold",
    "Each trace and each freeze creates a new type, so the result starts cold, even for the same model",
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
    f"{HERE}#c658194cc", "A linear layer followed by a `BatchNorm1d` is folded in the same way", was="convolutions only"
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


@claim(
    f"{HERE}#ca2afe2f5", "with weights in oneDNN's layout, a saved model cannot be loaded again", was="cannot be saved"
)
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


@claim(f"{HERE}#cd33e797d", "silently switches **your** module to eval mode")
def the_optimiser_switches_the_mode():
    for net in (DigitNet(), nn.Sequential(nn.Dropout()), cold("mode").train()):
        scripted = torch.jit.script(net)
        torch.jit.optimize_for_inference(scripted)
        assert not scripted.training


@claim(f"{HERE}#cf47d09a4", "`train()` is accepted and has no effect")
@claim(f"{HERE}#cf47d09a4", "`double()` is accepted too, but converts none of the constants")
def a_frozen_module_is_fixed():
    for net, x in ((cold("fixed"), torch.rand(2, 4)), (DigitNet().eval(), torch.rand(2, 1, 8, 8))):
        frozen = torch.jit.freeze(torch.jit.script(net))
        assert torch.equal(frozen.train()(x), frozen.eval()(x))
        try:
            frozen.double()(x.double())
        except RuntimeError:
            continue
        raise AssertionError("it runs in float64")


@claim(
    f"{HERE}#ccde9dc88",
    "A weight that is used unchanged is not copied: both models share its storage",
    was="a weight that was not folded",
)
@claim(f"{HERE}#ccde9dc88", "a folded weight or `self.weight * 2`, is a new tensor")
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

    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2))

        def forward(self, x: Tensor) -> Tensor:
            return x @ (self.weight * 2)

    class Turned(Doubled):
        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight.t()

    for kind, moved in ((Doubled, False), (Turned, True)):
        model, x = kind().eval(), torch.ones(1, 2)
        frozen = torch.jit.freeze(torch.jit.script(model))
        with torch.no_grad():
            before = frozen(x)
            model.weight.add_(1)
            assert torch.equal(frozen(x), before) is not moved


@claim(f"{HERE}#c1bf4a75b", "`served` stays without being named, because `forward` writes to it")
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


@claim(f"{HERE}#c187b0168", "`optimize_numerics=False` freezes without folding, and the results stay bitwise identical")
def no_folding_keeps_the_bits():
    for seed in range(3):
        net = randomise_statistics(copy.deepcopy(DigitNet()), seed).eval()
        x, scripted = torch.rand(3, 1, 8, 8), torch.jit.script(net)
        assert torch.equal(torch.jit.freeze(scripted, optimize_numerics=False)(x), net(x))


def plan_after_training_calls(module, x: Tensor) -> int:
    """How many differentiable graphs a plan made with gradients on keeps when it serves without."""
    for _ in range(4):
        module(x)
    with torch.no_grad():
        module(x)
    return ir.op_counts(torch.jit.last_executed_optimized_graph()).get("prim::DifferentiableGraph", 0)


@claim(
    f"{HERE}#c5e292a85", "a model with trainable parameters keeps a check and a branch", was="every model keeps them"
)
@claim(f"{HERE}#c5e292a85", "A frozen model, or one with `requires_grad_(False)`, has nothing to differentiate")
@claim(f"{HERE}#ca2afe2f5", "if there are parameters to train, the mode of the first calls decides the plan")
def the_mode_matters_where_there_is_something_to_train():
    def net(name):
        made = nn.Sequential()
        for number in range(3):
            made.add_module(f"{name}{number}", nn.Linear(4, 4))
            made.add_module(f"{name}relu{number}", nn.ReLU())
        return made.eval()

    x = torch.rand(2, 4)
    assert plan_after_training_calls(torch.jit.script(net("trained")), x) > 0
    assert plan_after_training_calls(torch.jit.script(net("fixed").requires_grad_(False)), x) == 0
    assert plan_after_training_calls(torch.jit.freeze(torch.jit.script(net("frozen"))), x) == 0


@claim(f"{HERE}#c4517ad35", "In this build, `AlphaDropout` stays.", was="an eval dropout is removed")
@claim(f"{HERE}#ca2afe2f5", "`Dropout` is removed", was="dropout gone")
def which_dropouts_go():
    image = torch.rand(1, 2, 3, 3)
    for layer, stays in (
        (nn.Dropout(), False),
        (nn.Dropout2d(), False),
        (nn.AlphaDropout(), True),
        (nn.FeatureAlphaDropout(), True),
    ):
        net = nn.Sequential(layer, nn.ReLU()).eval()
        for converted in (torch.jit.script(net), torch.jit.trace(net, image)):
            kinds = ir.op_counts(torch.jit.freeze(converted))
            assert any(kind.startswith("aten::") and "dropout" in kind for kind in kinds) == stays


class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.read = 1
        self.layer = nn.Linear(2, 2)
        self.buffer: Tensor
        self.register_buffer("buffer", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.buffer.add_(1)
        return self.layer(x) * self.read

    @torch.jit.export
    def reset(self) -> None:
        self.written = 5


@claim(f"{HERE}#c2cbd040f", "unless `forward` or a method that you named writes to it", was="forward alone")
@claim(f"{HERE}#c1bf4a75b", "a buffer that `forward` writes to would stay", was="nothing is left to load a state into")
@claim(f"{HERE}#c4f3fcdeb", "and nearly every attribute", was="everything it holds becomes a constant")
def what_freezing_leaves():
    scripted = torch.jit.script(Kept().eval())
    for names, left in (([], {"buffer"}), (["reset"], {"buffer", "reset", "written"}), (["read"], {"buffer", "read"})):
        frozen = torch.jit.freeze(scripted, preserved_attrs=names)
        assert {name for name in ("written", "read", "layer", "buffer", "reset") if hasattr(frozen, name)} == left
        assert list(frozen.state_dict()) == ["buffer"]


@claim(
    f"{HERE}#optimised-saved", "those with weights in oneDNN's layout fail, and no others", was="which of three load"
)
def only_the_layout_keeps_a_file_from_loading():
    for layer in (nn.Linear(4, 4), nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(1, 2, 3), nn.Conv2d(1, 2, 3).double()):
        ready = torch.jit.optimize_for_inference(torch.jit.script(nn.Sequential(layer).eval()))
        file = io.BytesIO()
        torch.jit.save(ready, file)
        try:
            torch.jit.load(io.BytesIO(file.getvalue()))
            loads = True
        except RuntimeError:
            loads = False
        assert loads == ("ConstantMKLDNNTensor" not in str(ready.graph))


@claim(
    f"{HERE}#ca2afe2f5",
    "for a trace, the default check is the first of them",
    was="the first two, whatever was converted",
)
def a_checked_trace_was_called_once():
    x, net = torch.rand(2, 4), cold("checked")
    with torch.no_grad():
        assert profiled(torch.jit.trace(net, x, check_trace=False), x)
        assert not profiled(torch.jit.trace(net, x), x)
    assert not profiled(torch.jit.trace(net, x), x)


@claim(f"{HERE}#cf47d09a4", "a later call in which float64 meets one of them fails", was="the call fails later")
def double_fails_where_a_constant_is():
    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    x = torch.ones(2, 4, dtype=torch.float64)
    assert torch.jit.freeze(torch.jit.script(Plain().eval())).double()(x).dtype == torch.float64
    for net in (cold("in_double"), nn.Sequential(nn.Linear(4, 2)).eval()):
        frozen = torch.jit.freeze(torch.jit.script(net)).double()
        try:
            frozen(x)
        except RuntimeError:
            continue
        raise AssertionError("it runs in float64")


@claim("solutions/07_optimisation.ipynb#why-07-2", "It shares weights and buffers with the model", was="only weights")
def a_buffer_is_shared():
    for convert in (torch.jit.script, lambda m: torch.jit.freeze(torch.jit.script(m)), torch.jit.script):
        model = Kept().eval()
        convert(model)(torch.rand(1, 2))
        assert model.buffer.item() == 1
    model = Kept().eval()
    torch.jit.freeze(torch.jit.script(copy.deepcopy(model)))(torch.rand(1, 2))
    assert model.buffer.item() == 0
