"""check_parity on pairs of kinds that no lesson shows: planted differences are found, equal pairs raise no alarm."""

import copy
import dataclasses
import io
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.tools.parity import Case, batch_sizes, check_parity

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::FutureWarning:torch\.jit"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


def script(thing):
    return torch.jit.script(thing)


def trace(thing, *args):
    return torch.jit.trace(thing, args, check_trace=False)


def seeded(build):
    torch.manual_seed(3)
    return build()


def reloaded(module):
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


x = torch.linspace(-2, 2, 24).reshape(4, 6)
image = torch.linspace(-1, 1, 2 * 3 * 6 * 6).reshape(2, 3, 6, 6)
steps = torch.linspace(-1, 1, 60).reshape(2, 5, 6)


# --- what gets converted


def cubed(n: int) -> int:
    return n * n * n


def squared(n: int):
    return n**2


def told(value: float) -> str:
    return "{:.2f}".format(value)  # noqa: UP032


def popped(items: list[Tensor]) -> Tensor:
    return items.pop() * 2


def fixed_noise(x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return x + torch.rand(6)


def optional_bias(x: Tensor, bias: Tensor | None = None) -> Tensor:
    return x if bias is None else x + bias


def summed(parts: dict[str, Tensor]) -> Tensor:
    return parts["a"] + parts["b"]


def forked(x: Tensor) -> Tensor:
    task = torch.jit.fork(torch.relu, x)
    return torch.jit.wait(task) + x


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.inner(x, x, x, key_padding_mask=mask, need_weights=False)[0]


class Gru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.GRU(6, 4, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner(x)


class Bag(nn.Module):
    """An embedding that shortens its rows in place when they are used."""

    def __init__(self, most: float | None) -> None:
        super().__init__()
        self.inner = nn.Embedding(5, 3, max_norm=most)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.ParameterDict({"a": nn.Parameter(torch.ones(6))})

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors["a"]


def conv(**options):
    return seeded(lambda: nn.Conv2d(3, 4, 3, padding=1, **options))


def conv_bn():
    model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    model(image), model(image * 2)
    return model.eval()


def heads(block):
    q, k, v = (steps * n for n in (1, 2, 3))
    return block(q, k, v)


def plain_attention(q, k, v):
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v


def quantised(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)


def norm(model_type, **options):
    return seeded(lambda: model_type(**options)).train()


MASK = torch.tensor([[False] * 5, [False, False, True, True, True]])
WORDS = torch.tensor([[0, 4], [2, 2]])

PLANTED = {
    "int64 wraps around": (lambda: (cubed, script(cubed), [(2**30,)], {}), "value"),
    "an integer power becomes a float": (lambda: (squared, script(squared), [(3,)], {}), "dtype"),
    "a format specification is ignored": (lambda: (told, script(told), [(1 / 3,)], {}), "value"),
    "pop from a copied list": (lambda: (popped, script(popped), [([x, x + 1],)], {}), "input mutation"),
    "a seed set inside forward is lost": (lambda: (fixed_noise, trace(fixed_noise, x), x, {}), "randomness"),
    "division rounds towards zero": (
        lambda: (lambda x: x // 2, lambda x: torch.div(x, 2, rounding_mode="trunc"), torch.tensor([-3, 3]), {}),
        "value",
    ),
    "a mask is ignored": (
        lambda: (m := seeded(Attention).eval(), lambda x, mask: m(x, torch.zeros_like(mask)), (steps, MASK), {}),
        "value",
    ),
    "only the hidden state is missing": (
        lambda: (m := seeded(Gru).eval(), lambda x: m(x)[0], steps, {}),
        "structure",
    ),
    "rows are no longer shortened in place": (
        lambda: (seeded(lambda: Bag(0.5)), seeded(lambda: Bag(None)), WORDS, {}),
        "state",
    ),
    "corners aligned": (
        lambda: (
            lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear"),
            lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True),
            image,
            {},
        ),
        "value",
    ),
    "another padding, seen at the border only": (lambda: (conv(), conv(padding_mode="circular"), image, {}), "value"),
    "softmax over the wrong dimension": (lambda: (nn.Softmax(1), nn.Softmax(0), x, {}), "value"),
    "another momentum": (
        lambda: (
            norm(nn.BatchNorm1d, num_features=6),
            norm(nn.BatchNorm1d, num_features=6, momentum=0.01),
            x,
            {},
        ),
        "state",
    ),
    "half precision on the way": (lambda: (lambda x: x * 3, lambda x: (x * 3).half().float(), x / 7, {}), "value"),
    "quantised weights": (
        lambda: (m := seeded(lambda: nn.Sequential(nn.Linear(6, 6))).eval(), quantised(m), x, {}),
        "value",
    ),
    "the layer norm of another framework": (
        lambda: (nn.LayerNorm(6), nn.LayerNorm(6, eps=1e-3), x / 100, {}),
        "value",
    ),
    "a flag is baked": (
        lambda: (
            optional_bias,
            trace(lambda x, bias: optional_bias(x, None), x, x),
            [Case((x, torch.ones(6)), name="with a bias")],
            {},
        ),
        "value",
    ),
    "a frozen copy of a weight that was trained on": (
        lambda: (m := seeded(lambda: nn.Linear(6, 6)).eval(), nudged(torch.jit.freeze(script(m)), m), x, {}),
        "value",
    ),
}


def nudged(frozen, model):
    # A new tensor: what is frozen shares the old one, and an in-place step would reach both.
    model.weight = nn.Parameter(model.weight.detach() + 0.01)
    return frozen


def fused():
    model = conv_bn()
    return model, torch.nn.utils.fuse_conv_bn_eval(model[0], model[1])


def weight_norm():
    plain = seeded(lambda: nn.Linear(6, 6))
    return plain, torch.nn.utils.parametrizations.weight_norm(copy.deepcopy(plain))


def as_convolution():
    linear, layer = seeded(lambda: nn.Linear(3, 4)), nn.Conv2d(3, 4, 1)
    with torch.no_grad():
        layer.weight.copy_(linear.weight[..., None, None])
        layer.bias.copy_(linear.bias)
    return layer, lambda x: linear(x.movedim(1, -1)).movedim(-1, 1)


def checkpointed(model):
    return lambda x: torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)


EQUAL = {
    "convolution and normalisation fused": lambda: (*fused(), [image, image[:1] * 3], {}),
    "scaled dot product attention": lambda: (
        plain_attention,
        F.scaled_dot_product_attention,
        (steps, steps * 2, steps * 3),
        {},
    ),
    "attention with a mask, scripted": lambda: (
        *_both(lambda: seeded(Attention).eval(), script),
        (steps, MASK),
        {"modes": ("eval+no_grad",)},
    ),
    "a bidirectional GRU, saved and loaded": lambda: (
        *_both(lambda: seeded(Gru), lambda m: reloaded(script(m))),
        batch_sizes(steps),
        {"modes": ("eval", "train")},
    ),
    "rows shortened in place on both sides": lambda: (
        *_both(lambda: seeded(lambda: Bag(0.5)), copy.deepcopy),
        WORDS,
        {},
    ),
    "interpolation, scripted": lambda: (up, script(up), [image, image[..., :4]], {}),
    "group norm, traced in train mode": lambda: (
        *_both(lambda: nn.GroupNorm(3, 6), lambda m: trace(m, x)),
        x,
        {"modes": ("train", "eval")},
    ),
    "weight normalisation as a parametrisation": lambda: (*weight_norm(), x, {}),
    "a linear layer as a 1 × 1 convolution": lambda: (*as_convolution(), image, {}),
    "a parameter dict": lambda: (*_both(Scale, copy.deepcopy), x, {"grads": True}),
    "None as an argument": lambda: (optional_bias, script(optional_bias), [(x,), (x, None), (x, x)], {}),
    "a dict as an argument": lambda: (summed, script(summed), [({"a": x, "b": x * 2},)], {}),
    "fork and wait": lambda: (forked, script(forked), x, {}),
    "einsum for matmul": lambda: (lambda x: x @ x.mT, lambda x: torch.einsum("ij,kj->ik", x, x), x, {}),
    "vmap for a batch": lambda: (lambda x: x.softmax(1), torch.vmap(lambda row: row.softmax(0)), x, {}),
    "recomputed in the backward pass": lambda: (
        m := seeded(lambda: nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5))).train(),
        checkpointed(m),
        x.clone().requires_grad_(),
        {"grads": True},
    ),
    "an exported program": lambda: (
        m := seeded(lambda: nn.Linear(6, 6)).eval(),
        torch.export.export(m, (x,)).module(),
        x,
        {},
    ),
    "a model in bfloat16": lambda: (
        *_both(lambda: seeded(lambda: nn.Linear(6, 6)).bfloat16(), script),
        x.bfloat16(),
        {},
    ),
    "large integers that fit": lambda: (cubed, script(cubed), [(2**20,), (-(2**20),)], {}),
}


def _both(build, convert):
    model = build()
    return model, convert(model)


def up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


@pytest.mark.parametrize("name", PLANTED)
def test_planted_difference_is_found_with_its_kind(name):
    build, kind = PLANTED[name]
    reference, candidate, inputs, options = build()
    report = check_parity(reference, candidate, inputs, **options)
    assert kind in {f.kind for f in report.findings}, report.text()


@pytest.mark.parametrize("name", EQUAL)
def test_equal_pair_raises_no_alarm(name):
    reference, candidate, inputs, options = EQUAL[name]()
    report = check_parity(reference, candidate, inputs, **options)
    assert report.ok and report.worst.elements, report.text()


# --- what lies beside the values: objects, nested and quantised tensors, memory, zeros


class Plain:
    def __init__(self, logits: Tensor) -> None:
        self.logits, self.me = logits, self


class Slotted:
    __slots__ = ("logits",)

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


@dataclasses.dataclass
class Record:
    logits: Tensor
    parts: list[Plain]


def nest(*rows: Tensor) -> Tensor:
    return torch.nested.nested_tensor(list(rows))


def quantise(x: Tensor, scale: float, zero: int) -> Tensor:
    return torch.quantize_per_tensor(x, scale, zero, torch.qint8)


def channels(x: Tensor, zero: int) -> Tensor:
    zeros = torch.tensor([zero] * x.shape[0])
    return torch.quantize_per_channel(x, torch.full((x.shape[0],), 0.1), zeros, 0, torch.qint8)


def inferred(x: Tensor) -> Tensor:
    with torch.inference_mode():
        return x * 2


def same_memory(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x * 2
    return y, y.view(-1)


def own_memory(x: Tensor) -> tuple[Tensor, Tensor]:
    return x * 2, (x * 2).view(-1)


BESIDE = {
    "plain objects": (lambda x: Plain(x), lambda x: Plain(x + 1), {}, "value"),
    "objects with slots": (lambda x: Slotted(x), lambda x: Slotted(x + 1), {}, "value"),
    "objects in a list in a dataclass": (
        lambda x: Record(x, [Plain(x)]),
        lambda x: Record(x, [Plain(x + 1)]),
        {},
        "value",
    ),
    "nested tensors, values": (lambda x: nest(x, x[:1]), lambda x: nest(x, x[:1] + 1), {}, "value"),
    "nested tensors, lengths": (lambda x: nest(x, x[:1]), lambda x: nest(x, x[:2]), {}, "shape"),
    "nested tensors, number": (lambda x: nest(x, x), lambda x: nest(x, x, x), {}, "shape"),
    "a nested tensor and a padded one": (lambda x: nest(x, x), lambda x: torch.stack([x, x]), {}, "layout"),
    "zero point of a quantised output": (
        lambda x: quantise(x * 0, 0.1, 0),
        lambda x: quantise(x * 0, 0.1, 1),
        {},
        "quantisation",
    ),
    "scale of a quantised output": (
        lambda x: quantise(x * 0, 0.1, 0),
        lambda x: quantise(x * 0, 0.2, 0),
        {},
        "quantisation",
    ),
    "zero points by channel": (lambda x: channels(x * 0, 0), lambda x: channels(x * 0, 1), {}, "quantisation"),
    "an output is a view of the input": (
        lambda x: x + 0,
        lambda x: x.view(-1).view(x.shape),
        {"check_memory": True},
        "memory",
    ),
    "two outputs share memory": (own_memory, same_memory, {"check_memory": True}, "memory"),
    "channels_last output": (
        lambda x: x.reshape(1, 2, 3, 4) * 1,
        lambda x: (x.reshape(1, 2, 3, 4) * 1).contiguous(memory_format=torch.channels_last),
        {"check_memory": True},
        "memory",
    ),
    "an inference tensor": (lambda x: x * 2, inferred, {"check_memory": True}, "memory"),
    "the sign of zero": (
        lambda x: x.clamp(max=0) * -1,
        lambda x: (x.clamp(max=0) * -1).abs(),
        {"signed_zero": True},
        "value",
    ),
    "wrong under inference mode only": (
        lambda x: x * 2,
        lambda x: x * 3 if torch.is_inference_mode_enabled() else x * 2,
        {"modes": ("as_is", "inference")},
        "value",
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_the_values_is_found_or_named(name):
    reference, candidate, options, kind = BESIDE[name]
    report = check_parity(reference, candidate, x, **options)
    assert kind in {f.kind for f in report.findings}, report.text()
    for option in options.keys() & {"check_memory", "signed_zero"}:  # off, the report names it
        report = check_parity(reference, candidate, x)
        assert report.ok and any(f"{option}=True makes it a finding" in note for note in report.notes), report.text()
    for fn in (reference, candidate):  # equal to itself
        report = check_parity(fn, lambda x, fn=fn: fn(x), x, **options)
        assert report.ok and not any("makes it a finding" in note for note in report.notes), report.text()


class Odd:
    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None


@pytest.mark.parametrize(
    "make",
    [lambda x: object(), lambda x: x.to("meta"), lambda x: torch.Generator(), lambda x: iter([x]), lambda x: Odd()],
)
def test_what_cannot_be_compared_is_not_ok(make):
    report = check_parity(make, lambda x: make(x), x)
    assert not report.ok and report.text().startswith("NOT OK: nothing was compared"), report.text()
    report = check_parity(lambda x: (x, make(x)), lambda x: (x, make(x)), x)
    assert not report.ok and report.text().startswith("NOT OK: 1 of the outputs not compared"), report.text()


def test_an_error_says_its_type_once():
    def reshaped(x: Tensor) -> Tensor:
        return x.reshape(7)

    report = check_parity(lambda x: x, script(reshaped), x)
    assert "RuntimeError: shape" in report.text() and "RuntimeError: RuntimeError" not in report.text()
