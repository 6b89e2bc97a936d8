"""What right answers to the exercises of lesson 07 must do. The checks bring their own models, clock and device."""

# No `from __future__ import annotations`: the models here are scripted.

import copy
import textwrap
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for, expect_parity
from course_utils.classroom.checks.shared import NOTHING, noise
from course_utils.classroom.models import DigitNet, randomise_statistics
from course_utils.tools import ir

WARM = 3  # a call of the probe is fast from this one on, counted from 1: two slow calls, as TorchScript has them


# -- 07.1 -------------------------------------------------------------------------------------------------------------


class _Bench:
    """A clock and a device that keep a record. Work is done when it is waited for; it costs what the bench says.

    Every read of the clock and every made input takes a little time as well, as it does in reality.
    """

    def __init__(self, slow_calls: int, interruptions: tuple[int, ...] = ()) -> None:
        self.now = 100.0
        self.waiting = 0.0
        self.calls: list[dict[str, Any]] = []
        self.reads: list[int] = []  # how many calls had been made at each read of the clock
        self.slow_calls = slow_calls
        self.interruptions = interruptions

    def clock(self) -> float:
        self.reads.append(len(self.calls))
        return self.now

    def synchronise(self) -> None:
        self.now += self.waiting
        self.waiting = 0.0

    def model(self) -> nn.Module:
        bench = self

        class Probe(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Linear(3, 2)
                self.dropout = nn.Dropout(0.5)

            def forward(self, x: Tensor) -> Tensor:
                number = len(bench.calls) + 1
                bench.calls.append(
                    {
                        "train": self.training or self.dropout.training,
                        "grad": torch.is_grad_enabled(),
                        "input": x.detach().clone(),
                    }
                )
                fast = (0.9, 1.0, 1.1)[number % 3]
                slow = number <= bench.slow_calls or number in bench.interruptions
                bench.waiting += 100.0 if slow else fast
                bench.now += 0.001  # what the call itself takes, before the device has finished
                return self.layer(x)

        return Probe()


@check_for("07.1")
def honest_benchmark(answer: Any) -> None:
    """A function (model, x, repeats, clock, synchronise) → the median seconds of a settled inference."""
    x = noise(4, 3, seed=1)
    bench = _Bench(slow_calls=WARM - 1)
    model = bench.model().train()
    # One timed call: whatever slow call is left among the timed ones is the result.
    seconds = answer(model, x, 1, bench.clock, bench.synchronise)
    if seconds is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the median")
    if not bench.calls:
        raise NotYet("Your function does not call the model.", look_at="where `repeats` is used")
    if not bench.reads:
        raise NotYet(
            "Your function never reads the `clock` it was given.",
            look_at="the arguments: `clock` and `synchronise` come from the caller",
        )
    _expect_settings(bench, x)
    if seconds < 0.5:
        raise NotYet(
            "It measures less than the device works: the clock is read before the work is done.",
            seen={"seconds a call takes": "0.9 to 1.1", "yours": f"{seconds:.4g}"},
            look_at="the order of three things after the start: the call, `synchronise()`, the clock",
        )
    if seconds > 50:
        raise NotYet(
            "Some of the calls that you time are calls of a cold model.",
            seen={"seconds of the calls": "100, 100, then 0.9 to 1.1", "yours": f"{seconds:.4g}"},
            look_at="what happens before the first read of the clock, and whether the device has finished that too",
        )
    _expect_the_median(answer, x)


def _expect_settings(bench: _Bench, x: Tensor) -> None:
    """What each call of the model must have in common."""
    for number, call in enumerate(bench.calls, start=1):
        if call["train"]:
            raise NotYet(
                "The model is timed in train mode: dropout is active.",
                seen={"call": number, "model.training": True},
                look_at="the mode in which the model arrives, and the mode of inference",
            )
        if call["grad"]:
            raise NotYet(
                "The model is called with gradients on.",
                seen={"call": number, "torch.is_grad_enabled()": True},
                look_at="rule 2 of the lesson, for every call, also while warming up: the plan is made then",
            )
        if not torch.equal(call["input"], x):
            raise NotYet(
                "The model is called with a different input from the given one.",
                seen={"call": number, "given": x[0].tolist(), "the model got": call["input"].flatten()[:3].tolist()},
                look_at="the argument of the call. To make an input takes time, and other inputs may take other paths",
            )


def _expect_the_median(answer: Any, x: Tensor) -> None:
    """Many calls, of which two are interrupted: by warm-up all are settled otherwise."""
    bench = _Bench(slow_calls=WARM - 1, interruptions=(23, 37))
    seconds = answer(bench.model(), x, 40, bench.clock, bench.synchronise)
    if len(bench.calls) < 40:
        raise NotYet(
            "Asked for 40 timed calls, your function makes fewer.",
            seen={"calls": len(bench.calls)},
            look_at="where `repeats` is used",
        )
    if bench.reads[-1] - bench.reads[0] == 41 and len(bench.reads) in (42, 82):
        raise NotYet(
            "Asked for 40 timed calls, your function times 41.",
            seen={"reads of the clock": len(bench.reads)},
            look_at="where `repeats` is used: the calls that warm up are not timed",
        )
    timed = "0.9, 1.0, 1.1 in turns, and 100 twice"
    if seconds > 1.15 and seconds < 50:
        raise NotYet(
            "A single interrupted call changes your result: it is not a median.",
            seen={"seconds of the calls": timed, "yours": f"{seconds:.4g}", "median": "1"},
            look_at="how the times of single calls become one number",
        )
    if not 0.95 <= seconds <= 1.15:
        raise NotYet(
            "Your result is not the median of the timed calls.",
            seen={"seconds of the calls": timed, "yours": f"{seconds:.4g}", "median": "1"},
            look_at="whether it is seconds of one call, and the middle one: the fastest is not what a user waits for",
        )
    fewer = _Bench(slow_calls=WARM - 1, interruptions=(23, 37))
    answer(fewer.model(), x, 10, fewer.clock, fewer.synchronise)
    if len(bench.reads) - len(fewer.reads) not in (30, 60):  # the clock is read once or twice for each timed call
        raise NotYet(
            "The number of calls that your function times is not `repeats`.",
            seen={"reads of the clock, 10 repeats": len(fewer.reads), "40 repeats": len(bench.reads)},
            look_at="what decides how often the loop with the clock runs",
        )


# -- 07.2 -------------------------------------------------------------------------------------------------------------


class _Reader(DigitNet):
    def __init__(self) -> None:
        super().__init__()
        self.names = ["a", "b"]
        self.served = 0
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.served += images.shape[0]
        self.seen.add_(images.shape[0])
        return self.scores(self.dropout(self.features(images).flatten(1)))

    @torch.jit.export
    def reset(self) -> None:
        self.served = 0


class _Scorer(nn.Module):
    """Two public methods that share layers, a threshold that users change, and no state."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5))
        self.threshold = 0.25

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mean(2)

    @torch.jit.export
    def decide(self, x: Tensor) -> Tensor:
        return self.body(x).mean(2) > self.threshold


@check_for("07.2")
def frozen_with_names(answer: Any) -> None:
    """A function (model, names) → the model scripted and frozen, with these names; the model is left alone."""
    cases: list[tuple[Callable[[], nn.Module], list[str], Tensor, bool]] = [
        (_Reader, ["names", "reset"], noise(3, 1, 8, 8, seed=1), False),
        (_Scorer, ["decide", "threshold"], noise(2, 2, 9, seed=2), True),
        (_Reader, ["reset"], noise(2, 1, 8, 8, seed=3), True),
        (_Scorer, [], noise(2, 2, 9, seed=4), False),
    ]
    made: list[tuple[nn.Module, dict[str, Tensor], Any, Tensor]] = []
    for kind, names, x, training in cases:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            model = randomise_statistics(kind()).train(training)
        if training:  # fine-tuned with a frozen normalisation, as many are
            next(m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)).eval()
        before = {name: module.training for name, module in model.named_modules()}
        reference = copy.deepcopy(model).eval()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        frozen = answer(model, list(names))
        _expect_frozen(frozen, names)
        changed = [name for name, module in model.named_modules() if module.training != before[name]]
        if changed:
            raise NotYet(
                "Your function changed the mode of the model that it was given.",
                seen={
                    "module": changed[0] or "the model itself",
                    "it came in": _mode(before[changed[0]]),
                    "it is in": _mode(not before[changed[0]]),
                },
                look_at="on which object you call `eval()`: the caller goes on with its model",
            )
        if any(not torch.equal(value, state[name]) for name, value in model.state_dict().items()):
            raise NotYet("Your function changed weights or statistics of the model that it was given.")
        with torch.no_grad():
            expect_parity(
                reference,
                frozen,
                [x, x[:1]],
                "The frozen model differs from the model in eval mode.",
                look_at="in which mode it was when it was frozen",
                atol=1e-4,
                rtol=1e-4,
                check_state=False,
            )
            _expect_methods(reference, frozen, names, x)
        made.append((model, state, frozen, x))
    for model, state, frozen, x in made:
        with torch.no_grad():
            frozen(x)  # the comparison above calls copies
        written = [name for name, value in model.state_dict().items() if not torch.equal(value, state[name])]
        if written:
            raise NotYet(
                "A call of the frozen model changes the original model.",
                seen={"buffer": written[0], "before": state[written[0]], "after": model.state_dict()[written[0]]},
                look_at="what scripting and freezing share with the model: a buffer that `forward` writes to, too",
            )


def _mode(training: bool) -> str:
    return "train mode" if training else "eval mode"


def _expect_frozen(frozen: Any, names: list[str]) -> None:
    if frozen is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the frozen module")
    if not isinstance(frozen, torch.jit.ScriptModule):
        raise NotYet(
            "Your function does not return a compiled module.",
            seen={"you gave": f"an object of type {type(frozen).__name__}"},
            look_at="what `torch.jit.freeze` takes and what it returns",
        )
    if list(frozen.parameters()):
        raise NotYet(
            "Your function does not return a frozen module: it still has parameters.",
            seen={"parameters": len(list(frozen.parameters()))},
            look_at="whether the result of `torch.jit.freeze` is used: it returns a new module",
        )
    missing = [name for name in names if not hasattr(frozen, name)]
    if missing:
        raise NotYet(
            "A name that should be preserved is gone.",
            seen={"asked for": ", ".join(names), "missing": ", ".join(missing)},
            look_at="the arguments of `torch.jit.freeze`: what is not named is removed",
        )
    counts = ir.op_counts(frozen)
    if "aten::batch_norm" in counts:
        raise NotYet(
            "The batch normalisations are still there: they are not folded.",
            seen={"aten::batch_norm": counts["aten::batch_norm"]},
            look_at="whether numerics may be optimised, and whether you preserve more than you were asked to",
        )


def _expect_methods(reference: nn.Module, frozen: Any, names: list[str], x: Tensor) -> None:
    if "decide" in names:
        expect_parity(
            reference.decide,
            frozen.decide,
            [x],
            "The preserved method `decide` returns a different result from the model's.",
        )
    if "threshold" in names:
        frozen.threshold = -1.0
        if not bool(frozen.decide(x).all()):
            raise NotYet("A preserved attribute has no effect when it is changed.", seen={"attribute": "threshold"})
    if "reset" in names:
        frozen.reset()
        if frozen.served != 0:
            raise NotYet("The preserved method `reset` does not reset.", seen={"served": frozen.served})
    if "names" in names and frozen.names != ["a", "b"]:
        raise NotYet("A preserved attribute has a different value.", seen={"names": frozen.names})


# -- 07.3 -------------------------------------------------------------------------------------------------------------


class _Looped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(x.shape[0]):
            x = torch.sin(x) if bool(x.sum() > 1) else x + 1
        return x


class _Counted(nn.Module):
    """Counts its calls in a buffer, so that one can see from outside how often it ran."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("with_grad", torch.zeros((), dtype=torch.int64))
        self.register_buffer("given", torch.zeros(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        if torch.is_grad_enabled():
            self.with_grad.add_(1)
        self.given.copy_(x)
        return self.inner(x)


def _cold(kind: str) -> Any:
    """A scripted module whose compiled code has never run: TorchScript shares it among equal types.

    A submodule under a new name makes a new type, also when the check runs for a second time in one process.
    """
    layers: dict[str, nn.Module] = {
        "linear": nn.Sequential(nn.Linear(4, 4), nn.Tanh()),
        "loop": _Looped(),
    }
    holder = nn.Sequential()
    _cold.made += 1  # type: ignore[attr-defined]
    holder.add_module(f"part{_cold.made}", layers[kind])  # type: ignore[attr-defined]
    return torch.jit.script(_Counted(holder).eval())


_cold.made = 0  # type: ignore[attr-defined]


@check_for("07.3")
def optimised_after(answer: Any) -> None:
    """A function (scripted, x) → the calls that it made until the executed plan was an optimised one."""
    x = noise(3, 4, seed=1)
    usual = torch._C._jit_get_num_profiled_runs()
    for kind in ("linear", "loop"):
        _expect_calls(answer, _cold(kind), x, usual + 1, "a cold model")
    warm = _cold("linear")
    with torch.no_grad():
        for _ in range(4):
            warm(x)
    _expect_calls(answer, warm, x, 1, "a model that is warm already")
    # The number of profiled calls is a setting, so an answer that knows it by heart must not pass.
    torch._C._jit_set_num_profiled_runs(3)
    try:
        for kind in ("linear", "loop"):
            _expect_calls(answer, _cold(kind), x, 4, "a cold model, where the executor profiles 3 calls")
    finally:
        torch._C._jit_set_num_profiled_runs(usual)


def _expect_calls(answer: Any, model: Any, x: Tensor, wanted: int, what: str) -> None:
    before = int(model.calls)
    said = answer(model, x.clone())
    made = int(model.calls) - before
    if said is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the number of calls")
    if isinstance(said, bool) or not isinstance(said, int):
        raise NotYet(
            "Your answer is not a whole number.",
            seen={"yours": f"{said!r}"},
            look_at="what is asked for: how many calls were made",
        )
    seen = {"model": what, "calls needed": wanted, "you made": made, "you say": said}
    if int(model.with_grad):
        raise NotYet(
            "Your function calls the model with gradients on.",
            seen={"model": what, "calls with gradients": int(model.with_grad)},
            look_at="the task: without gradients. The mode of the first calls decides the plan",
        )
    if made and not torch.equal(model.given, x):
        raise NotYet(
            "Your function calls the model with a different input from the given one.",
            seen={"model": what, "given": x[0].tolist(), "the model got": model.given[0].tolist()},
            look_at="the argument of the call: the model is to be warm for `x`",
        )
    if made < wanted:
        raise NotYet(
            "Your function stops while calls are still profiled." if made else "Your function does not call the model.",
            seen=seen,
            look_at="the graph that the last call executed: `torch.jit.last_executed_optimized_graph()`",
        )
    if made > wanted:
        raise NotYet(
            "Your function calls more often than is needed.",
            seen=seen,
            look_at="what tells a profiled call from the one after it, in nested blocks as well",
        )
    if said != made:
        raise NotYet(
            "The number that you return is not the number of calls that you made.",
            seen=seen,
            look_at="where you start to count, and whether the last call is counted",
        )


# -- 07.4 -------------------------------------------------------------------------------------------------------------

_FOLDS: tuple[tuple[str, Callable[[], tuple[nn.Module, nn.Module, tuple[int, ...]]]], ...] = (
    ("a 2d convolution with a bias", lambda: (nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), (2, 2, 6, 6))),
    ("a convolution without a bias", lambda: (nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), (1, 2, 5, 5))),
    ("a large eps", lambda: (nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, eps=0.5), (1, 2, 4, 4))),
    ("a normalisation without affine", lambda: (nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, affine=False), (1, 2, 5, 5))),
    (
        "no bias and no affine",
        lambda: (nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3, affine=False), (1, 2, 5, 5)),
    ),
    (
        "groups, stride and dilation",
        lambda: (nn.Conv2d(4, 8, 3, groups=4, stride=2, dilation=2), nn.BatchNorm2d(8), (1, 4, 9, 9)),
    ),
    (
        "padding that is not zeros",
        lambda: (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(2), (1, 2, 5, 5)),
    ),
    ("one dimension", lambda: (nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), (2, 2, 7))),
    ("three dimensions", lambda: (nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), (1, 1, 3, 3, 3))),
    ("float64", lambda: (nn.Conv2d(2, 3, 3).double(), nn.BatchNorm2d(3).double(), (1, 2, 5, 5))),
)


@check_for("07.4")
def folded_by_hand(answer: Any) -> None:
    """A function (conv, norm) → one convolution that does what both do in eval mode."""
    for name, make in _FOLDS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            conv, norm, shape = make()
            pair = randomise_statistics(nn.Sequential(conv, norm)).eval()
            if norm.affine:
                nn.init.uniform_(norm.weight, 0.5, 2.0)
                nn.init.normal_(norm.bias)
        reference = copy.deepcopy(pair)
        x = noise(*shape, seed=5).to(conv.weight.dtype)
        folded = answer(conv, norm)
        _expect_one_convolution(folded, conv, name, x)
        left = reference.state_dict()
        if any(not torch.equal(value, left[key]) for key, value in pair.state_dict().items()) or len(left) != len(
            pair.state_dict()
        ):
            raise NotYet(
                "Your function changes the layers that it was given.",
                seen={"case": name},
                look_at="what you write into: the caller may go on with the convolution",
            )
        tolerance = 1e-10 if x.dtype == torch.float64 else 1e-4
        with torch.no_grad():
            expect_parity(
                reference,
                folded,
                [x, x * 0],
                f"For {name}, the folded convolution differs from the two layers.",
                look_at=_where(name),
                atol=tolerance,
                rtol=tolerance,
                check_state=False,
            )


def _expect_one_convolution(folded: Any, conv: nn.Module, name: str, x: Tensor) -> None:
    if folded is None:
        raise NotYet(NOTHING, look_at="the last line of your function: `return` the convolution")
    if type(folded) is not type(conv):
        raise NotYet(
            "Your function does not return one convolution of the same kind.",
            seen={"case": name, "expected": type(conv).__name__, "yours": type(folded).__name__},
            look_at="what is left when the normalisation is in the weights: no second layer",
        )
    patched = {"forward", "_conv_forward"} & vars(folded).keys()
    if folded._forward_hooks or folded._forward_pre_hooks or patched:
        raise NotYet(
            "The convolution that you return does more than a convolution: a hook or a `forward` of its own.",
            seen={"case": name},
            look_at="where the numbers of the normalisation go: into `weight` and `bias`",
        )
    for part, value in folded.named_parameters():
        if value.dtype != conv.weight.dtype:
            raise NotYet(
                f"For {name}, the folded convolution has a different dtype from the given one.",
                seen={"parameter": part, "expected": str(conv.weight.dtype), "yours": str(value.dtype)},
                look_at=_where("float64"),
            )
    if folded.weight.shape != conv.weight.shape:
        raise NotYet(
            f"For {name}, the weight of the folded convolution has a different shape.",
            seen={"expected": f"shape {tuple(conv.weight.shape)}", "yours": f"shape {tuple(folded.weight.shape)}"},
            look_at=_where(name),
        )
    try:
        with torch.no_grad():
            folded(x)
    except Exception as error:
        raise NotYet(
            f"For {name}, the folded convolution cannot be called.",
            seen={"input": f"shape {tuple(x.shape)}, {x.dtype}", "the call says": _first_line(error)},
            look_at="the shapes of weight and bias, and the options: the input is one that the given convolution takes",
        ) from None


def _first_line(error: Exception) -> str:
    return textwrap.shorten(next(iter(str(error).strip().splitlines()), type(error).__name__), 160)


def _where(name: str) -> str:
    if "affine" in name:
        return "what `weight` and `bias` of such a normalisation are, and which numbers do nothing in their place"
    if "without a bias" in name:
        return "the bias of the result: the normalisation shifts even where the convolution does not"
    if "eps" in name:
        return "the number under the root, which belongs to the layer"
    if "groups" in name or "padding" in name:
        return "which options of the convolution the new one has"
    if name == "float64":
        return "the dtype of every number on the way: one step in float32 costs half of the digits"
    if "dimension" in name:
        return "the shape of the scale: one for each output channel, and as many ones behind it as the weight needs"
    return "the formula of the lesson, for the weight and for the bias; the input of zeros shows the bias alone"
