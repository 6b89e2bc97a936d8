"""What right answers to the exercises of lesson 02 must do. The checks script and call on inputs of their own."""

from __future__ import annotations

import contextlib
import copy
import io
import textwrap
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom.checks import NotYet, check_for, expect_parity

# What marks the compile errors that the lesson collects; the same sentences stand in its table.
_COLLECTED = (
    "Expected a default value of type Tensor (inferred)",
    "all inputs of range must be ints",
    "previously matched to type Tensor",
    "in the true branch and type",
    "is not defined in the false branch",
    "undefined value",
    "previously had type",
    "instead found type 'Optional[",
    "cannot be used as a value",
    "Don't support formatting in JoinedStr",
    "can't take variable number of arguments",
    "try blocks aren't supported",
    "Expected integer literal for index",
    "we do not support break or continue",
    "has no attribute",
    "Tried to set nonexistent attribute",
    "Expected NoneType but got",
)


def _scripted(answer: Any, what: str) -> Any:
    """The compiled answer; :class:`NotYet` with the compiler's sentence and the learner's line if there is none."""
    if isinstance(answer, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        return answer
    try:
        return torch.jit.script(answer)
    except Exception as error:
        lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
        here = next((n for n, line in enumerate(lines) if line.endswith("<--- HERE")), 0)
        reasons = [x.strip() for x in lines if x.strip().startswith(("Expected a value", "Could not match"))]
        says = textwrap.shorten((reasons or [x.strip() for x in lines] or [type(error).__name__])[0], 160)
        seen = {"the compiler says": f"{type(error).__name__}: {says}"}
        if here:
            seen["at"] = textwrap.dedent("\n".join(lines[here - 1 : here + 1]))
        raise NotYet(what, seen=seen, look_at=_where_to_read(says)) from None


def _where_to_read(says: str) -> str:
    if any(x in says for x in _COLLECTED):
        return "this sentence in the lesson's collection of compile errors"
    return "the underlined part: the type of each name in it, and where that type was decided"


def _last_line(error: BaseException) -> str:
    """What an error says in one line: of a compiled call its last sentence, without the Python frames below it."""
    lines = [line.strip() for line in str(error).partition("\nAt:\n")[0].splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return textwrap.shorten(lines[-1] if "TorchScript" in lines[0] else lines[0], 200)


def _module(make: Any, *args: Any) -> nn.Module:
    """An object of the learner's class, in eval mode."""
    if not (isinstance(make, type) and issubclass(make, nn.Module)):
        kind = f"the class {make.__name__}" if isinstance(make, type) else f"an object of type {type(make).__name__}"
        raise NotYet(
            "The answer is not a class of modules.",
            seen={"you gave": kind},
            look_at="the name in the last line of the cell: it takes the class, which inherits `nn.Module`",
        )
    return make(*args).eval()


def _shown(value: Any) -> str:
    """A result in one line: the shape of a tensor and its values, or the type of something else."""
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)}, {textwrap.shorten(str(value.tolist()), 120)}"
    return f"an object of type {type(value).__name__}"


@check_for("02.1")
def annotated(answer: Any) -> None:
    """A scriptable `padded`: rows, list of int, float, optional int."""

    def reference(rows: Tensor, lengths: list[int], fill: float = 0.0, limit: int | None = None) -> Any:
        width = max(lengths) if limit is None else min(max(lengths), limit)
        out = torch.full((len(lengths), width), fill)
        kept = [min(length, width, rows.size(1)) for length in lengths]
        for n, k in enumerate(kept):
            out[n, :k] = rows[n, :k]
        return out, kept

    rows = torch.rand(3, 6, generator=torch.Generator().manual_seed(1))
    calls = [
        (rows, [2, 5, 1]), (rows, [2, 5, 1], -0.5), (rows, [2, 5, 1], 0.5, 3),
        (rows, [2, 5, 1], 0.0, None), (rows, [2, 5, 1], -1.0, 0), (rows, [8, 0, 6]),
    ]  # fmt: skip
    given = ("rows and lengths alone", "`fill=-0.5`", "`limit=3`", "`limit=None`", "`limit=0`", "a length beyond a row")
    if not isinstance(answer, torch.jit.ScriptFunction):
        expect_parity(
            reference, answer, calls, "Not yet scripted, it differs from the given function.",
            look_at="the body: annotations alone are asked for, the statements stay",
        )  # fmt: skip
    scripted = _scripted(answer, "It does not compile.")
    for args, what in zip(calls, given, strict=True):
        try:
            scripted(*args)
        except Exception as error:
            raise NotYet(
                f"It compiles and cannot be called with {what}.",
                seen={"the call says": _last_line(error), "its schema": str(scripted.schema)},
                look_at=_wrong_types(scripted),
            ) from None
    expect_parity(reference, scripted, calls, "Scripted, it differs from the given function.")


def _wrong_types(scripted: torch.jit.ScriptFunction) -> str:
    """Where to look when `padded` compiles and cannot be called: at the arguments that became something else."""
    names, kinds = ("rows", "lengths", "fill", "limit"), ("Tensor", "List[int]", "float", "Optional[int]")
    found = [str(x.type) for x in scripted.schema.arguments]
    odd = [f"`{name}`, a {mine}" for name, kind, mine in zip(names, kinds, found, strict=False) if mine != kind]
    if not odd:
        return "the line of your function that the call stops at"
    return "the type in the schema of " + ", and of ".join(odd) + ": what may the call give there"


def _clipped(x: Tensor) -> Tensor:
    return x.clamp(-1.0, 1.0) if bool(x.abs().max() > 1) else x


def _average(x: Tensor) -> float:
    return sum(float(v) for v in x) / x.size(0)


def _inverse_or_zero(x: Tensor) -> Tensor:
    try:
        return torch.linalg.inv(x)
    except RuntimeError:
        return torch.zeros_like(x)


def _is_stub(function: Any, args: tuple[Any, ...]) -> bool:
    try:
        function(*copy.deepcopy(args))
    except NotImplementedError as error:
        return not str(error)
    except Exception:
        return False
    return False


@check_for("02.2")
def five_repairs(answer: Any) -> None:
    """Five functions in order, each scriptable and equal to its original."""
    x, good = torch.tensor([[2.0, -0.5], [-3.0, 0.25]]), torch.eye(2)
    batches = [torch.stack([good, 2 * good]), torch.stack([good, torch.zeros(2, 2)])]
    matrices = [good, torch.ones(2, 2), torch.zeros(3, 3), 0.01 * good, -good, *batches]
    cases: list[tuple[str, Callable[..., Any], list[Any]]] = [
        ("clipped", _clipped, [(x,), (x / 10,), (torch.tensor([-3.0, 0.5]),), (torch.tensor([1.25, -0.5]),)]),
        ("average", _average, [(torch.tensor([1.0, 2.0, 4.5]),), (torch.tensor([-1.0, 0.25]),)]),
        ("scaled", lambda x: x * 0.5, [(x,), (x[0],)]),
        ("joined", lambda parts: torch.cat(parts), [([x, x + 1, x[:1]],), ([x],)]),
        ("inverse_or_zero", _inverse_or_zero, [(m,) for m in matrices]),
    ]
    if not isinstance(answer, (list, tuple)) or len(answer) != len(cases):
        raise NotYet(
            "The answer is not a list of five functions.",
            seen={"you gave": f"{type(answer).__name__}"},
            look_at="the last line of the cell; leave it as it is",
        )
    stubs = [name for function, (name, _, inputs) in zip(answer, cases, strict=True) if _is_stub(function, inputs[0])]
    if len(stubs) == len(cases):
        raise NotImplementedError
    for function, (name, reference, inputs) in zip(answer, cases, strict=True):
        if name in stubs:
            continue
        scripted = _scripted(function, f"`{name}` does not compile.")
        hint = f"`{name}` as it was given: what does it do with this input?"
        expect_parity(reference, scripted, inputs, f"`{name}` compiles and differs from the given one.", look_at=hint)
    if stubs:
        rest = ", ".join(f"`{name}`" for name in stubs)
        done = len(cases) - len(stubs)
        raise NotYet(f"{done} of 5 are right. Still to write: {rest}.", look_at="the next of the given five")


class _Stage(nn.Module):
    """A layer that counts its calls, so that the check sees which stages ran."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.runs: Tensor
        self.register_buffer("runs", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return x * self.scale


class _Head(nn.Module):
    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0] + self.shift, x[:, 1]], dim=1)


def _first_sure(scores: list[Tensor], least: float) -> int:
    sure = (n for n, s in enumerate(scores) if s.softmax(1).amax(1).min() > least)
    return next(sure, len(scores) - 1)


@check_for("02.3")
def early_exit(answer: Any) -> None:
    """A class (stages, heads, least) whose scripted objects stop at the first sure head and count."""
    _exits_as_given(answer, 0.9, [
        torch.tensor([[3.0, 0.0]]),
        torch.tensor([[3.0, 0.0], [1.0, 0.0]]),
        torch.tensor([[0.5, 0.0]]),
        torch.tensor([[0.01, 0.0], [4.0, 0.0]]),
        torch.tensor([[0.0, 5.0]]),
    ])  # fmt: skip
    # As sure as `least` and no more, at each head.
    ties = [torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0]])]
    _exits_as_given(answer, 0.5, ties)


def _exits_as_given(answer: Any, least: float, batches: list[Tensor]) -> None:
    scales = (1.0, 2.0, 2.5, 3.0)
    stages, heads = [_Stage(s) for s in scales], [_Head(0.0) for _ in scales]
    module = _scripted(_module(answer, stages, heads, least), "Its objects do not compile.")
    counted = [0] * len(scales)
    for x in batches:
        values, scores = x, []
        for scale in scales:
            values = values * scale
            scores.append(values)
        right = _first_sure(scores, least)
        counted[right] += 1
        for stage in stages:
            stage.runs.zero_()
        out = module(x.clone())
        if not isinstance(out, Tensor) or not torch.equal(out, scores[right]):
            # At a tie two heads give the same scores; which stages ran tells them apart.
            same = [n for n, s in enumerate(scores) if isinstance(out, Tensor) and torch.equal(out, s)]
            raise NotYet(
                "It answers with the scores of another head." if same else "What it returns are the scores of no head.",
                seen={
                    "batch": x.tolist(),
                    "least": least,
                    "expected": f"head {right} of 0 to 3, {scores[right].tolist()}",
                    "yours": f"head {same[0]}" if same else _shown(out),
                },
                look_at="the condition: sure of every row of the batch, more than `least`; the last head in any case",
            )
        ran = [int(stage.runs) for stage in stages]
        seen = {"batch": x.tolist(), "least": least, "last word": f"head {right}", "runs of each stage": ran}
        if sum(ran) > right + 1:
            raise NotYet(
                "The scores are right, and stages ran that were not needed.",
                seen=seen,
                look_at="when the loop ends: nothing after the sure head may be computed",
            )
        if sum(ran) < right + 1:
            raise NotYet(
                "It stops at a head that is not sure enough.",
                seen=seen,
                look_at="the condition: *more* than `least`, as in the given class",
            )
        exits = getattr(module, "exits", None)
        mine = [int(n) for n in exits] if exits is not None else None
        if mine != counted:
            raise NotYet(
                "The scores are right, `exits` is not.",
                seen={"batch": x.tolist(), "expected exits": counted, "yours": mine},
                look_at="which head had the last word, the last one included, and where the count is kept",
            )


@check_for("02.4")
def optional_cache(answer: Any) -> None:
    """A class without arguments whose scripted objects add positions and keep the longest table."""
    module = _scripted(_module(answer), "It does not compile while the cache is empty.")
    if getattr(module, "cache", ...) is not None:
        raise NotYet(
            "The cache of a fresh object is not `None`.",
            seen={"expected": "None", "yours": _kind_of(module.cache) if hasattr(module, "cache") else "no `cache`"},
            look_at="what `cache` holds before the first call, in the given class and in yours",
        )
    x = torch.rand(4, 9, 5, generator=torch.Generator().manual_seed(4))
    longest, before, lengths = 0, None, []
    for length, batch, width in ((4, 2, 3), (2, 2, 3), (7, 2, 3), (3, 4, 5), (7, 1, 1), (1, 1, 3)):
        lengths.append(length)
        given = x[:batch, :length, :width].clone()
        seen = {"lengths so far": lengths, "input": f"shape {tuple(given.shape)}"}
        expected = given + torch.arange(length).unsqueeze(1) * 0.1
        mine = given.clone()
        try:
            out = module(mine)
        except Exception as error:
            raise NotYet(
                f"A sequence of length {length} after one of {longest} fails." if longest else "The first call fails.",
                seen={**seen, "the call says": _last_line(error)},
                look_at="the shape of the table that is kept, and the shape of this sequence",
            ) from None
        if not isinstance(out, Tensor) or out.shape != expected.shape:
            yours = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else _shown(out)
            raise NotYet(
                "The shape of the result differs from that of the given class.",
                seen={**seen, "expected": f"shape {tuple(expected.shape)}", "yours": yours},
                look_at="which rows of the table are added, and what the table is added to",
            )
        if not torch.allclose(out, expected):
            raise NotYet(
                "The result differs from that of the given class.",
                seen={**seen, "expected": expected[0, :, 0], "yours": out[0, :, 0]},
                look_at="which rows of the table are added",
            )
        if not torch.equal(mine, given):
            raise NotYet(
                "The result is right, and the caller's sequence has changed.",
                seen={**seen, "before": given[0, :, 0], "after the call": mine[0, :, 0]},
                look_at="whether the sum is written into `x` or into a new tensor",
            )
        cache = module.cache
        if cache is None:
            raise NotYet(
                "The result is right and the cache stays empty.", seen=seen, look_at="where the new table is stored"
            )
        if length <= longest and (before is None or cache.data_ptr() != before.data_ptr()):
            raise NotYet(
                "The table is made again although a longer one is there.",
                seen={**seen, "rows in the cache now": cache.size(0), "longest so far": longest},
                look_at="the condition under which a table is made",
            )
        longest, before = max(longest, length), cache


def _kind_of(cache: Any) -> str:
    return f"a tensor of shape {tuple(cache.shape)}" if isinstance(cache, Tensor) else repr(cache)[:60]


class _Net(nn.Module):
    """The hidden network of 02.5: features and scores, with other sizes than the digit net."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        self.scores = nn.Linear(32, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.scores(self.features(images).flatten(1))


def _printed(call: Callable[[], Any]) -> tuple[Any, str]:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        result = call()
    return result, text.getvalue()


@check_for("02.5")
def debugging_left_out(answer: Any) -> None:
    """A class (net) that explains in Python, and scripted is silent, can be saved and has `features`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        net, batch = _Net().eval(), torch.rand(70, 1, 6, 6)
    module = _module(answer, net)
    for call, images in (("first", batch[:2]), ("second", batch[2:5])):
        _prints_as_given(module, net, images, call)
    _, text = _printed(lambda: module.features(batch[:2]))
    if text:
        raise NotYet(
            "In Python `features` prints, which it does not in the given class.",
            seen={"printed": textwrap.shorten(text, 120)},
            look_at="which of the methods calls `explain`",
        )
    images, right = batch[:2], net(batch).argmax(1)
    scripted = _scripted(module, "It does not compile.")
    try:
        _, text = _printed(lambda: scripted(images))
    except Exception as error:
        raise NotYet(
            "It compiles, and the call fails.",
            seen={"the call says": _last_line(error)},
            look_at="what the compiled model does when it reaches a method that was left out",
        ) from None
    file = io.BytesIO()
    try:
        torch.jit.save(scripted, file)
    except Exception as error:
        raise NotYet(
            "It cannot be saved.",
            seen={"saving says": _last_line(error)},
            look_at="the table of decorators: which of them keeps a call to Python in the compiled model",
        ) from None
    calls = {"2 images": lambda: scripted(images), "70 images": lambda: scripted(batch)}
    if scripted._c._has_method("features"):
        calls["`features`"] = lambda: scripted.features(images)
    for what, call in calls.items():
        _, text = _printed(call)
        if text:
            raise NotYet(
                "Scripted, it still prints.",
                seen={"called with": what, "printed": textwrap.shorten(text, 120)},
                look_at="the call of `explain`, and what decides whether it is compiled",
            )
    loaded = torch.jit.load(io.BytesIO(file.getvalue()))
    if not loaded._c._has_method("features"):
        raise NotYet(
            "The saved model has no method `features`.",
            seen={"methods": ", ".join(sorted(loaded._c._method_names()))},
            look_at="how the compiler learns of a method that no compiled one calls",
        )
    for name, got, expected in (
        ("features", loaded.features(images), net.features(images).flatten(1)),
        ("forward", loaded(batch), right),
    ):
        if not isinstance(got, Tensor) or got.shape != expected.shape:
            yours = f"shape {tuple(got.shape)}" if isinstance(got, Tensor) else _shown(got)
            raise NotYet(
                f"`{name}` of the saved model gives another shape than that of the given class.",
                seen={"expected": f"shape {tuple(expected.shape)}", "yours": yours},
                look_at=f"the last line of `{name}`",
            )
        if not torch.equal(got, expected):
            raise NotYet(
                f"`{name}` of the saved model differs from that of the given class.",
                seen={"expected": f"{expected.flatten()[:4].tolist()} …", "yours": f"{got.flatten()[:4].tolist()} …"},
                look_at=f"what `{name}` computes when it is compiled",
            )


def _prints_as_given(module: nn.Module, net: nn.Module, images: Tensor, call: str) -> None:
    probabilities = net(images).softmax(1)
    wanted = "\n".join(" ".join(f"{p:.2f}" for p in row) for row in probabilities.tolist())
    digits, text = _printed(lambda: module(images))
    if text.strip() != wanted:
        raise NotYet(
            "In Python it does not print what the given class prints.",
            seen={"call": f"the {call}, {len(images)} images", "expected": wanted, "yours": text.strip() or "nothing"},
            look_at="whether the call of `explain` is still made, in each call, when nothing is scripted",
        )
    if not isinstance(digits, Tensor) or not torch.equal(digits, probabilities.argmax(1)):
        seen = {"expected": probabilities.argmax(1), "yours": _shown(digits)}
        raise NotYet("In Python it returns something else.", seen=seen, look_at="the last line of `forward`")


@check_for("02.6")
def as_python(answer: Any) -> None:
    """A function (list of int, int) equal to Python's summary, eager and scripted, that leaves the list alone."""
    sides = [("in Python", answer), ("scripted", None)]
    for values, n in (([1, 2], 3), ([], 5), ([7], 2**31 - 1), ([4, 9, -2], 3), ([5], -40), ([0, 0], 0)):
        longer = [*values, n]
        expected = (longer, n * n, f"{len(longer)} values, last {n}")
        for side, function in sides:
            if function is None:
                function = _scripted(answer, "It does not compile.")
            mine = list(values)
            try:
                out = function(mine, n)
            except NotImplementedError:
                raise
            except Exception as error:
                raise NotYet(
                    f"The call fails {side}.", seen={"call": f"({values}, {n})", "it says": _last_line(error)}
                ) from None
            if not isinstance(out, tuple) or len(out) != len(expected):
                raise NotYet(
                    f"Your function does not return the three results, {side}.",
                    seen={"call": f"({values}, {n})", "expected": "a list, a square, a text", "yours": repr(out)[:80]},
                    look_at="the last line of the given function",
                )
            for want, got, name in zip(expected, out, ("list", "square", "text"), strict=True):
                if type(want) is not type(got) or want != got:
                    raise NotYet(
                        f"The {name} differs from Python's, {side}.",
                        seen={"call": f"({values}, {n})", "expected": repr(want), "yours": repr(got)},
                        look_at=_LOOK[name],
                    )
            if mine != values:
                raise NotYet(
                    "Your function changes the caller's list.",
                    seen={"list before": values, f"after, {side}": mine},
                    look_at="what happens to the list before it is returned",
                )


_LOOK = {
    "list": "what is in the list that you return, and in which order",
    "square": "the type of a power of two ints in TorchScript, and how many digits that type holds",
    "text": "the number that is written, its sign included; a specification such as `{:d}` in compiled code",
}
