"""The search finds planted divergences, raises no false alarm, shrinks what it finds and keeps within its limits."""

import copy
import dataclasses
import math
import random
import time
import warnings
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils.tools.divergence import INPUTS, Search, find_divergence
from course_utils.tools.divergence import search as search_module
from course_utils.tools.parity import Case, check_parity


def trace(function, *example, **options):
    """A trace, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(function, example, check_trace=False, **options)


# --- functions whose traces are wrong --------------------------------------------------------------------------------


def sign(x):
    return x * 2 if x.sum() > 0 else x * 3


def route(x):
    if x.mean() > 0:
        return x.clamp(max=2) if x.max() > 2 else x * 10
    return -x


def rare(x):
    return x.clamp(max=1) if x.max() > 5 else x * 1


def early(x):
    if x.abs().max() > 100:
        return x * 0
    return x / 2


def halving(x):
    while x.abs().max() > 1:
        x = x / 2
    return x


def by_item(x):
    return x / (x.max().item() + 1)


def by_index(x):
    return x[int(x.argmax())]


def by_numpy(x):
    return torch.from_numpy(x.numpy() + 1)


def by_list(x):
    return torch.tensor(x.tolist()) * 2


def by_math(x):
    return x.sum() / math.sqrt(x.shape[0])


def by_int(x):
    return x.reshape(int(x.shape[0]), -1) * 1


def by_len(x):
    return x.sum() / len(x)


def by_rows(x):
    return sum(row for row in x)


def by_range(x):
    total = torch.zeros_like(x[0])
    for i in range(x.shape[0]):
        total = total + x[i]
    return total / x.shape[0]


def by_rank(x):
    return x.unsqueeze(0).mean((1, 2)) if x.dim() == 2 else x.mean((1, 2))


def by_dtype(x):
    return x / 255 if x.dtype == torch.uint8 else x * 1.0


def fixed_dtype(x):
    return torch.cat([x, torch.zeros(1, *x.shape[1:], dtype=x.dtype)])


def by_strides(x):
    return x * 2 if x.is_contiguous() else x * 3


def by_requires_grad(x):
    return x * 2 if x.requires_grad else x * 3


def no_grad_inside(x):
    with torch.no_grad():
        y = x * 2
    return y + x


def python_random(x):
    return x * random.random()


def unused_random(x):
    torch.rand(2)
    return x + torch.rand(1)


def size_in_place(x):
    n = x.shape[0]
    longer = n
    longer += 2
    return torch.arange(longer) / n


def two_lengths(x, y):
    return x.sum() * y.sum() if x.shape[0] == y.shape[0] else x.sum() - y.sum()


def key_there(batch):
    return batch["x"] * 2 if batch["x"].sum() > 0 else batch["x"] - batch["y"]


def sorted_already(x):
    return x if bool((x.diff() >= 0).all()) else x.sort().values


def any_negative(x):
    return x.relu() if bool((x < 0).any()) else x + 1


def all_zero(x):
    return x + 1 if not bool(x.any()) else x / x.abs().max()


def even(x):
    return x.reshape(-1, 2).sum(1) if x.numel() % 2 == 0 else x.flatten()


def square(x):
    return x + x.mT if x.shape[0] == x.shape[1] else x * 1


def wide(x):
    return x[:, :3] if x.shape[1] > 3 else x * 2


def index_of(x, i):
    return x[int(i)]


def flag_argument(x, flag):
    return x * 2 if flag else x * 3


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(()))

    def forward(self, x):
        self.n = self.n + 1
        return x * self.n


class Cached(nn.Module):
    steps = None

    def forward(self, x):
        if self.steps is None or self.steps.shape[0] != x.shape[0]:
            self.steps = torch.arange(x.shape[0]) * 1.0
        return x + self.steps


class Dropping(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, 0.5, self.training)


def cached():
    module = Cached()
    module(torch.zeros(3))
    return module


ONE, ROWS = torch.tensor([1.0, 2.0]), torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
WRONG = [
    (sign, (ONE,), "values"), (route, (ONE,), "values"), (rare, (ROWS,), "values"), (early, (ONE,), "values"),
    (halving, (torch.tensor([8.0]),), "values"), (by_item, (ONE,), "values"), (by_index, (ONE,), "values"),
    (by_numpy, (ONE,), "values"), (by_list, (ONE,), "values"), (by_math, (torch.ones(4),), "batch"),
    (by_int, (ROWS,), "batch"), (by_len, (ROWS,), "batch"), (by_rows, (ROWS,), "batch"), (by_range, (ROWS,), "batch"),
    (by_rank, (ROWS,), "rank"), (by_dtype, (ROWS,), "dtype"), (fixed_dtype, (ROWS,), "dtype"),
    (by_strides, (ROWS,), "strides"), (by_requires_grad, (ROWS,), "grad"), (no_grad_inside, (ROWS,), "grad"),
    (python_random, (ONE,), "example"), (unused_random, (ONE,), "example"), (size_in_place, (ONE,), "example"),
    (two_lengths, (ONE, ONE), "apart"), (key_there, ({"x": ONE, "y": ONE},), "values"),
    (sorted_already, (ONE,), "values"), (any_negative, (ONE,), "values"), (all_zero, (ONE,), "values"),
    (even, (ROWS,), "batch"), (square, (ROWS,), "batch"), (wide, (ROWS,), "shape"),
    (index_of, (ROWS, torch.tensor(1)), "values"), (flag_argument, (ONE, torch.tensor(True)), "values"),
    (Counting(), (ONE,), "example"), (cached(), (torch.zeros(3),), "batch"), (Dropping().eval(), (ROWS,), "mode"),
]  # fmt: skip


def name_of(value):
    return getattr(value, "__name__", type(value).__name__) if callable(value) else None


@pytest.mark.parametrize(("function", "example", "kind"), WRONG, ids=name_of)
def test_a_wrong_trace_is_found(function, example, kind):
    vary = (*INPUTS, "apart", "mode", "grad")
    traced = trace(copy.deepcopy(function), *example)
    search = find_divergence(function, traced, example, vary=vary)
    assert search.found is not None, str(search)
    assert search.found.kind == kind, str(search)
    assert not search.ok
    # check_parity sees it too, and eager accepts it.
    options = {"grad": {"grads": True}, "mode": {"modes": ("train",)}}.get(kind, {})
    report = check_parity(function, traced, search.found.case, **options)
    assert not report.ok
    function(*copy.deepcopy(search.found.args), **search.found.kwargs)


# --- pairs that are equal --------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    low: torch.Tensor
    high: torch.Tensor


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 4)

    def forward(self, x):
        return {"a": self.a(x), "b": self.b(x).tanh()}


def by_where(x):
    return torch.where(x.sum() > 0, x * 2, x * 3)


def mean_by_size(x):
    return x.sum(0) / x.shape[0]


def rooted(x):
    return x / x.shape[1] ** 0.5


def flat(x):
    return x.reshape(x.shape[0], -1).relu()


def centred(x):
    return x - x.mean(0, keepdim=True)


def padded(x):
    return torch.cat([x, x.new_zeros(1, *x.shape[1:])])


def picked(x):
    return x[x.argmax(0)]


def positive(x):
    return x[x > 0]


def attention(q, k):
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ k


def named(x):
    return Pair(x.min(), x.max())


def random_scale(x):
    return x * torch.rand(())


def in_place(x):
    return x.add_(1) * 2


def embedded(x, table):
    return table[x]


def polynomial(x):
    return x**3 - 2 * x + 1


def softly(x):
    return x.softmax(-1)


def norm(x):
    return nn.functional.layer_norm(x, x.shape[-1:])


def checked(x):
    assert x.shape[0] >= 0
    return x * 2


def nested(pair):
    return pair[0] + pair[1], [pair[0] * 2]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)).eval()


def conv():
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(4, 3)).eval()


IMAGE = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
NET, CONV, HEADS, LSTM = net(), conv(), TwoHeads().eval(), nn.LSTM(3, 4, batch_first=True).eval()
FIXED = ("values", "batch", "shape", "strides")
SCRIPTED = (sign, route, halving, by_range, by_dtype, by_strides)
TRACED = [
    (by_where, (ONE,)), (mean_by_size, (ROWS,)), (rooted, (ROWS,)), (flat, (ROWS,)), (centred, (ROWS,)),
    (picked, (ROWS,)), (positive, (ROWS,)), (named, (ROWS,)),
    (random_scale, (ROWS,)), (in_place, (ONE.clone(),)), (embedded, (torch.tensor([0, 2, 1]), ROWS)),
    (polynomial, (ROWS,)), (softly, (ROWS,)), (checked, (ROWS,)), (nested, ((ONE, ONE),)),
]  # fmt: skip
EQUAL = [(f, trace(f, *copy.deepcopy(example)), example, INPUTS) for f, example in TRACED]
EQUAL += [(f, torch.jit.script(f), (ROWS,), INPUTS) for f in SCRIPTED]
# The sizes that they read from the end are recorded as counted from the front: another rank is a true divergence.
EQUAL += [
    (f, trace(f, *example), example, FIXED)
    for f, example in ((padded, (ROWS,)), (attention, (ROWS, ROWS)), (norm, (ROWS,)))
]
EQUAL += [
    (NET, trace(NET, ROWS), (ROWS,), INPUTS),
    (NET, torch.jit.script(NET), (ROWS,), (*INPUTS, "mode", "grad")),
    (NET, torch.jit.freeze(torch.jit.script(NET)), (ROWS,), INPUTS),
    (CONV, trace(CONV, IMAGE), (IMAGE,), INPUTS),
    (CONV, torch.jit.freeze(trace(CONV, IMAGE)), (IMAGE,), INPUTS),
    (HEADS, trace(HEADS, ROWS, strict=False), (ROWS,), INPUTS),
    (LSTM, trace(LSTM, ROWS[None]), (ROWS[None],), FIXED),  # it asks for the rank, and its trace does not
    (polynomial, trace(polynomial, ROWS), (ROWS,), (*INPUTS, "special", "grad")),
]


@pytest.mark.parametrize(("function", "converted", "example", "vary"), EQUAL, ids=name_of)
def test_an_equal_pair_raises_no_alarm(function, converted, example, vary):
    search = find_divergence(function, converted, example, vary=vary)
    assert search.found is None, str(search)
    assert search.complete and sum(search.tried.values()) > 10, str(search)


@pytest.mark.parametrize("name", ["BasicBlock", "InvertedResidual"])
def test_torchvision_raises_no_alarm(name):
    """The blocks of resnet and of mobilenet_v3, which freezing folds and fuses, two of each."""
    from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig
    from torchvision.models.resnet import BasicBlock

    from course_utils.classroom import models

    def block():
        if name == "BasicBlock":
            return BasicBlock(8, 8)
        return InvertedResidual(InvertedResidualConfig(8, 3, 16, 8, True, "HS", 1, 1, 1.0), nn.BatchNorm2d)

    torch.manual_seed(0)
    stem, head = [nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU()], [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = models.randomise_statistics(nn.Sequential(*stem, block(), block(), *head, nn.Linear(8, 10))).eval()
    x = torch.rand(1, 3, 32, 32)
    search = find_divergence(model, torch.jit.freeze(trace(model, x)), x, low=0, high=1, tries=4, seconds=30)
    assert search.found is None and search.tried["shape"] > 5, str(search)


def test_there_are_enough_pairs():
    assert len(WRONG) >= 30 and len(EQUAL) >= 30


# --- how it searches -------------------------------------------------------------------------------------------------


def test_the_failing_example_is_minimal():
    found = find_divergence(sign, trace(sign, torch.ones(5, 4)), torch.ones(5, 4)).found
    assert found.args[0].numel() == 1 and found.args[0].item() in (0, -1)
    found = find_divergence(by_range, trace(by_range, ROWS), ROWS).found
    assert found.args[0].shape == (5, 1)


def test_small_values_are_whole():
    found = find_divergence(rare, trace(rare, ROWS), ROWS).found
    assert found.args[0].shape == (1, 1) and found.args[0].item() in (6, 7)


def test_the_same_seed_gives_the_same_text():
    texts = {str(find_divergence(by_strides, trace(by_strides, ROWS), ROWS, seed=3)) for _ in range(2)}
    assert len(texts) == 1


@settings(deadline=None, max_examples=15)
@given(threshold=st.floats(-20, 20), seed=st.integers(0, 9))
def test_a_threshold_on_the_mean_is_found(threshold, seed):
    def stepped(x):
        return x * 2 if x.mean() > threshold else x * 3 + 1

    traced = trace(stepped, ROWS)
    found = find_divergence(stepped, traced, ROWS, seed=seed).found
    assert found is not None
    assert not torch.equal(stepped(found.args[0]), traced(found.args[0]))


def test_values_stay_within_the_limits():
    seen = []

    def watched(x):
        seen.append((x.min().item(), x.max().item()) if x.numel() else (0, 0))
        return x * 1

    find_divergence(watched, lambda x: x * 1, ROWS, low=0, high=1)
    assert min(low for low, _ in seen) >= 0 and max(high for _, high in seen) <= 1
    assert find_divergence(sign, trace(sign, ROWS), ROWS, low=0.1, high=1).found is None


def test_sizes_stay_within_the_limits():
    seen = []

    def watched(x):
        seen.append(x.numel())
        return x * 1

    find_divergence(watched, lambda x: x * 1, torch.rand(20, 10), growth=1.5)
    assert 200 < max(seen) <= 300


def test_only_what_may_vary_varies():
    search = find_divergence(by_range, trace(by_range, ROWS), ROWS, vary=("values", "dtype"))
    assert search.ok and set(search.tried) <= {"example", "values", "dtype", "mixed"}


def test_what_eager_rejects_is_not_a_divergence_and_is_reported():
    def guarded(x):
        assert bool(x.min() >= 0), "negative"
        return x.sqrt()

    search = find_divergence(guarded, trace(guarded, ONE), ONE)
    assert search.ok and search.rejected and search.unguarded
    assert "the reference rejects" in str(search) and "the reference rejects" in search._repr_html_()


def test_an_endless_eager_call_counts_as_rejected(monkeypatch):
    monkeypatch.setattr(search_module, "PATIENCE", 0.1)

    def doubled(x):
        while x.sum() < 100:
            x = x * 2
        return x

    began = time.monotonic()
    search = find_divergence(doubled, trace(doubled, torch.ones(2)), torch.ones(2), vary=("values",), seconds=20)
    assert search.found is not None and search.rejected
    assert time.monotonic() - began < 25


def test_the_time_is_bounded():
    def slow(x):
        time.sleep(0.05)
        return x * 1

    began = time.monotonic()
    search = find_divergence(slow, lambda x: x * 1, ROWS, seconds=0.3)
    assert time.monotonic() - began < 2
    assert not search.complete and "out of time" in str(search)


def test_a_conversion_that_raises_diverges():
    traced = trace(by_rows, ROWS)
    found = find_divergence(by_rows, traced, ROWS).found
    assert found.finding.kind == "raises"


def test_keyword_arguments_and_other_values_are_kept():
    def power(x, n, *, shift):
        return x**n + shift if x.sum() > 0 else x

    def always(x, n, *, shift):
        return x**n + shift

    search = find_divergence(power, always, Case((ROWS, 2), {"shift": torch.tensor(1.0)}))
    assert search.found.args[1] == 2 and set(search.found.kwargs) == {"shift"}


def test_several_examples_are_tried():
    search = find_divergence(by_where, trace(by_where, ONE), [ONE, ROWS])
    assert search.ok and search.tried["example"] == 2


def test_the_caller_sees_no_change():
    model, x = net(), ROWS.clone()
    state, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    find_divergence(model, trace(model, x), x, vary=(*INPUTS, "mode", "grad"))
    assert torch.equal(x, ROWS) and not model.training
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert torch.equal(rng, torch.get_rng_state())


def test_wrong_use_is_reported():
    with pytest.raises(TypeError, match=r"find_divergence\(\) got an unexpected keyword argument 'tires'"):
        find_divergence(sign, sign, ONE, tires=3)
    with pytest.raises(ValueError, match="the kinds are values, batch"):
        find_divergence(sign, sign, ONE, vary=("colour",))
    with pytest.raises(ValueError, match="give inputs that it accepts"):
        find_divergence(lambda x: x @ x, lambda x: x, torch.rand(2, 3))


def test_a_search_is_neither_true_nor_false():
    with pytest.raises(TypeError, match=r"\.ok"):
        bool(Search())


def test_progress_is_shown():
    lines = []
    find_divergence(by_where, by_where, ONE, vary=("values",), tries=0, progress=lines.append)
    assert "1 inputs tried in 0 of 10 s; now values: negated" in lines


def test_the_report_reads():
    search = find_divergence(sign, trace(sign, ONE), ONE)
    assert str(search).startswith("DIVERGES in value, found by values: negated")
    page = search._repr_html_()
    assert "<th" in page and "reference" in page and "<script" not in page and " at 0x" not in page
    assert "no divergence found" in str(find_divergence(by_where, by_where, ONE))


# --- differences that one example hides ------------------------------------------------------------------------------


class Out:
    def __init__(self, value):
        self.value = value


@dataclasses.dataclass
class Result:
    value: torch.Tensor


def rows_from_table(x, beyond):
    return torch.where(torch.arange(x.shape[0]) < beyond, 2.0, 3.0)[:, None] * x


def small_channel(x, factor):
    return x * torch.tensor([1e5, 1e4, factor])


def nest(*rows):
    return torch.nested.nested_tensor(list(rows))


class PaddedMask(nn.Module):
    """Attention over tokens with a mask; its trace keeps the length in one place."""

    def __init__(self, length):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.length = nn.Embedding(10, 4), length

    def forward(self, ids, mask):
        x = self.table(ids)
        if ids.shape[1] != self.length and self.length:
            return x * 0
        scores = (x @ x.mT).masked_fill(mask[:, None] == 0, -1e9)
        return scores.softmax(-1) @ x


IDS, MASK = torch.tensor([[1, 4, 9, 2], [3, 3, 0, 5]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
HALVES = torch.tensor([0.3, 1.2, -0.7, 2.1])
HIDDEN = {
    "round half up": (torch.round, lambda x: (x + 0.5).floor(), HALVES, {"vary": INPUTS[:3]}, "values"),
    "greater or equal": (
        lambda x: torch.where(x > 1, x, 0),
        lambda x: torch.where(x >= 1, x, 0),
        HALVES,
        {"vary": ("values",)},
        "values",
    ),
    "small channel": (lambda x: small_channel(x, 1), lambda x: small_channel(x, 1.1), ROWS, {}, "values"),
    "batch above 64": (
        lambda x: x * 2,
        lambda x: rows_from_table(x, 64),
        torch.ones(8, 3),
        {"vary": INPUTS[:3]},
        "batch",
    ),
    "length above 512": (
        lambda x: x.cumsum(1),
        lambda x: torch.cat([x[:, :512].cumsum(1), x[:, 512:]], 1),
        torch.ones(2, 100),
        {},
        "shape",
    ),
    "above 1e4": (lambda x: x * 1, lambda x: x.clamp(max=1e4), ROWS, {"vary": INPUTS[:3]}, "values"),
    "negative zero": (lambda x: x.signbit(), lambda x: x < 0, HALVES, {}, "values"),
    "sign of zero lost": (lambda x: x * -1, lambda x: x * -1 + 0, HALVES, {"signed_zero": True}, "values"),
    "maximum and fmax": (torch.maximum, torch.fmax, (HALVES, HALVES + 1), {"vary": ("special",)}, "special"),
    "nan replaced": (lambda x: x, lambda x: x.nan_to_num(0), HALVES, {"vary": ("special",)}, "special"),
    "growth is used": (
        lambda x: x * 3 if len(x) > 64 else x * 2,
        lambda x: x * 2,
        torch.ones(8, 3),
        {"growth": 1000},
        "batch",
    ),
    "growth far": (
        lambda x: x * 3 if len(x) > 7000 else x * 2,
        lambda x: x * 2,
        torch.ones(8, 3),
        {"growth": 1000},
        "batch",
    ),
    "one token of 5000": (
        lambda x: x * 1.0,
        lambda x: torch.where(x == 3_321, 0.0, x * 1.0),
        IDS,
        {"low": 0, "high": 4_999},
        "values",
    ),
    "channels_last input": (
        lambda x: x * 2,
        lambda x: x * 3 if x.is_contiguous(memory_format=torch.channels_last) else x * 2,
        torch.rand(2, 3, 4, 4),
        {"vary": ("values", "strides")},
        "strides",
    ),
    "plain objects": (lambda x: Out(x), lambda x: Out(x + 1), HALVES, {}, "example"),
    "dataclasses": (lambda x: Result(x), lambda x: Result(x.relu()), HALVES.abs(), {}, "values"),
    "nested, values": (lambda x: nest(x, x), lambda x: nest(x, x + 1), HALVES, {}, "example"),
    "nested, lengths": (lambda x: nest(x, x), lambda x: nest(x, x[:1]), HALVES, {}, "example"),
    "zero point": (
        lambda x: torch.quantize_per_tensor(x * 0, 0.1, 0, torch.qint8),
        lambda x: torch.quantize_per_tensor(x * 0, 0.1, 1, torch.qint8),
        HALVES,
        {},
        "example",
    ),
    "output is a view": (lambda x: x + 0, lambda x: x[:], HALVES, {"check_memory": True}, "example"),
    "inference mode only": (
        lambda x: x * 2,
        lambda x: x * 3 if torch.is_inference_mode_enabled() else x * 2,
        HALVES,
        {"vary": ("mode",)},
        "mode",
    ),
    "named tuple lost": (lambda x: Pair(x, x), lambda x: (x, x), HALVES, {"structure": "interface"}, "example"),
    "length fixed, with a mask": (PaddedMask(0), PaddedMask(4), (IDS, MASK), {}, "shape"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_one_example_hides_is_found(name):
    model, converted, example, options, kind = HIDDEN[name]
    # What is found, not how fast: the default of ten seconds may be over on a busy machine.
    search = find_divergence(model, converted, example, **{"seconds": 300.0, **options})
    assert search.found is not None and search.found.kind in (kind, "mixed"), str(search)


def test_what_the_options_ignore_is_reported():
    search = find_divergence(lambda x: x + 0, lambda x: x[:], HALVES, vary=("values",))
    assert search.ok and "check_memory=True makes it a finding" in str(search), str(search)
    search = find_divergence(lambda x: x * -1, lambda x: x * -1 + 0, HALVES)
    assert search.ok and "signed_zero=True makes it a finding" in str(search), str(search)
    assert not find_divergence(lambda x: x * 2, lambda x: x + x, HALVES).ignored


def test_nothing_compared_is_not_ok():
    search = find_divergence(lambda x: object(), lambda x: object(), HALVES)
    assert not search.ok and str(search).startswith("NOT OK: nothing was compared"), str(search)
    assert "nothing was compared" in search._repr_html_()
    search = find_divergence(lambda x: (x, object()), lambda x: (x, object()), HALVES)
    assert search.ok and "note       not compared: out[1], object" in str(search), str(search)


class TestSizesThatBelongTogether:
    def broadcast(self, ids, mask):
        return ids * 2 * mask

    def test_a_mask_changes_with_its_ids(self):
        """Apart, the conversion raises; nobody sends that."""
        seen = []

        def strict(ids, mask):
            seen.append((ids.shape, mask.shape))
            assert ids.shape[:2] == mask.shape[:2]
            return ids * 2 * mask

        search = find_divergence(self.broadcast, strict, (IDS, MASK), vary=("values", "batch", "shape"))
        assert search.ok and search.tried["batch"] > 3 and search.tried["shape"] > 3, str(search)
        assert all(ids == mask for ids, mask in seen)

    def test_apart_when_asked(self):
        def strict(ids, mask):
            return ids.reshape(mask.shape) * 2 * mask

        search = find_divergence(self.broadcast, strict, (IDS, MASK), vary=("apart",))
        assert search.found.kind == "apart" and "alone" in search.found.change, str(search)

    def test_a_second_example_shows_that_they_are_independent(self):
        def both(x, y):
            return x.sum() * y.sum() if x.shape[0] == y.shape[0] else x.sum() - y.sum()

        def one(x, y):
            return x.sum() * y.sum()

        assert find_divergence(both, one, (ONE, ONE + 1)).ok
        search = find_divergence(both, one, [(ONE, ONE + 1), (torch.zeros(3), torch.zeros(2))])
        assert search.found.kind == "shape", str(search)

    def test_what_eager_rejects_together_changes_apart(self):
        def once(x, y):
            assert y.shape[0] == 2
            return x.sum() / x.shape[0] * y

        def fixed(x, y):
            return x.sum() / 2 * y

        search = find_divergence(once, fixed, (ONE, ONE + 1))
        assert search.found is not None and search.found.args[1].shape == (2,), str(search)

    def test_masks_and_indices_stay_in_range(self):
        ids, masks = [], []

        def model(x, mask):
            ids.append((x.min().item(), x.max().item()) if x.numel() else (0, 0))
            masks.append((mask.min().item(), mask.max().item()) if mask.numel() else (0, 0))
            assert bool((x >= 0).all()) and bool((x < 10).all())
            return x * mask

        search = find_divergence(model, lambda x, mask: x * mask, (IDS, MASK))
        assert search.ok and min(m for m, _ in masks) >= 0 and max(m for _, m in masks) <= 1
        assert search.rejected < 25, str(search)


class TestInputsThatAModelIsSent:
    @pytest.mark.parametrize(("longest", "kind"), [(60, "shape"), (10_000, "rank")])
    def test_another_rank_comes_last(self, longest, kind):
        """Token ids: both sides take any rank, and differ at another one."""
        table = nn.Embedding(10, 4)

        def model(ids):
            return table(ids)

        def converted(ids):
            return table(ids) * 2 if ids.dim() != 2 or ids.shape[1] > longest else table(ids)

        found = find_divergence(model, converted, IDS, tries=10).found
        assert found.kind == kind and (found.args[0].dim() == 2) == (kind == "shape")

    def test_lengths_go_with_the_size_that_limits_them(self):
        """As in torchaudio's Conformer: [batch, time, features], and the length of each row."""

        class Padded(nn.Module):
            def forward(self, x, lengths):
                if int(lengths.max()) != x.shape[1]:
                    raise ValueError("the longest row fills the time")
                mask = torch.arange(x.shape[1]) < lengths[:, None]
                return x.masked_fill(~mask[..., None], 0.0).cumsum(1) / int(x.shape[1])

        example = torch.ones(2, 8, 3), torch.tensor([8, 5])
        search = find_divergence(Padded(), trace(Padded(), *example), example, vary=("shape",))
        assert search.found is not None and search.found.finding.kind == "value", str(search)
        x, lengths = search.found.args
        assert x.shape[1] == int(lengths.max()) != 8
        seen = []

        def lenient(x, lengths):
            seen.append((x.shape[1], int(lengths.max())))
            return x * 1

        assert find_divergence(lenient, lambda x, lengths: x * 1, example, vary=("shape",)).ok
        assert len({size for size, _ in seen}) > 3 and all(longest <= size for size, longest in seen)


class TestMoreThanOneFinding:
    def test_kinds_of_difference_are_listed_once_each(self):
        def model(x):
            return x * 2 if x.sum() > 0 else x * 3

        def other(x):
            return x * 2 if x.shape[0] == 4 else x.sum()

        search = find_divergence(model, other, ROWS, findings=5)
        kinds = {(one.kind, one.finding.kind) for one in search.findings}
        assert {("values", "value"), ("batch", "shape")} <= kinds and len(kinds) == len(search.findings) <= 5
        assert search.found is search.findings[0] and str(search).count("DIVERGES") == len(search.findings)
        assert search._repr_html_().count("DIVERGES") == len(search.findings)

    def test_one_of_the_example_hides_no_other(self):
        class Counts(nn.Module):
            n = 0

            def forward(self, x):
                self.n += 1
                return x.relu()

        search = find_divergence(Counts(), lambda x: x, ROWS, findings=3)
        assert search.found.kind == "example" and search.found.finding.kind == "state"
        assert any(one.finding.kind == "value" and one.kind == "values" for one in search.more), str(search)
        assert not find_divergence(Counts(), lambda x: x, ROWS).more

    def test_at_least_one(self):
        with pytest.raises(ValueError, match="findings is at least 1"):
            find_divergence(sign, sign, ONE, findings=0)


def test_a_record_among_the_inputs_is_varied():
    def model(r):
        return r.value * 2 if r.value.sum() > 0 else r.value

    search = find_divergence(model, lambda r: r.value * 2, (Result(ONE),))
    assert search.found.kind == "values" and isinstance(search.found.args[0], Result)


@pytest.mark.parametrize("any_batch", [True, False])
def test_one_token_of_a_large_vocabulary(any_batch: bool) -> None:
    table = nn.Embedding(6000, 2)

    def looked_up(ids: torch.Tensor) -> torch.Tensor:
        if not any_batch and len(ids) != 2:
            raise ValueError("a batch of 2")
        return table(ids)

    def converted(ids: torch.Tensor) -> torch.Tensor:
        return looked_up(ids) * (ids != 1734)[..., None]

    ids = torch.tensor([range(10), range(5990, 6000)])
    search = find_divergence(looked_up, converted, ids, vary=("values",), low=0, high=5999, tries=0, seconds=60)
    assert search.found is not None and 1734 in search.found.args[0]
    assert (sum(search.tried.values()) < 60) == any_batch
