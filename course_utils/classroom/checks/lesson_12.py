"""What right answers to the exercises of lesson 12 must do. The checks export and convert on inputs of their own."""

# No `from __future__ import annotations`: the models here are scripted.

import contextlib
import copy
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from course_utils.classroom.checks import NotYet, check_for, expect_parity
from course_utils.classroom.checks.shared import expect_program, first_export, noise
from course_utils.classroom.models import DigitNet, randomise_statistics


def _expect_exported(reference: Any, module: nn.Module, x: Tensor, what: str, look_at: str) -> None:
    """Like `expect_parity`, for a module of an exported program: an input that it rejects is a difference, and not an
    error of the learner's code."""
    from course_utils.tools.parity import check_parity

    report = check_parity(reference, module, x, check_state=False)
    if not report.ok:
        finding = report.findings[0]
        seen = {"input": finding.input, "eager": finding.reference, "yours": finding.candidate}
        raise NotYet(what, seen={**seen, "difference": finding.detail}, look_at=look_at)


class _Plain(DigitNet):
    """The first hidden model of 12.1."""


class _Named(DigitNet):
    """The second: a dict, as in the exercise, and a size in the computation."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        scores = super().forward(images)
        return {"scores": scores, "share": scores.softmax(1).sum(0) / images.shape[0]}


@check_for("12.1", first_use=first_export)
def for_every_batch(answer: Any) -> None:
    """A function (model, example of one image) → a program for any number of images."""
    images = noise(100, 1, 8, 8, seed=1)
    for kind in (_Plain, _Named):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = randomise_statistics(kind()).eval()
        reference = copy.deepcopy(model)
        program = _declared(answer, model, images[:1].clone())
        expect_program(program, "what `torch.export.export` returns; `.module()` comes later, where it is called")
        module = ExportedProgram.module(program)  # the program's own, whatever was assigned to it
        for count in (1, 2, 3, 40, 65, 100):
            what = f"The program is not correct for a batch of {count}."
            _expect_exported(reference, module, images[:count], what, _what_was_fixed(program))
        for bounds in program.range_constraints.values():
            if bounds.upper < 2**31:
                raise NotYet(
                    f"The program takes at most {bounds.upper} images, but any number must work.",
                    seen={"range": f"{bounds.lower} to {bounds.upper}"},
                    look_at="the bounds that you declared: `program.range_constraints`",
                )


def _declared(answer: Any, model: nn.Module, example: Tensor) -> Any:
    """Call the answer. That an example of one contradicts a declaration is the exercise, so it is a message."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return answer(model, example)
    except Exception as error:
        if not any(part in str(error) for part in ("Constraints violated", "conflicts between user-specified")):
            raise
        raise NotYet(
            "torch.export raises: what you declare as free and the example contradict each other.",
            seen={"the example": f"shape {tuple(example.shape)}", "it says": _said(error)},
            look_at="the size of the example in that dimension: which sizes does export take for constants?",
        ) from None


def _said(error: Exception) -> str:
    """The line of torch's text that says something: its explanation, else the first one that is a reason."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("Explanation:", "You marked", "Not all values"))]
    return f"{type(error).__name__}: {(told or lines or [''])[0][:220]}"


def _what_was_fixed(program: ExportedProgram) -> str:
    sizes = [
        node.meta["val"].shape[0] for node in program.graph.nodes if node.name in program.graph_signature.user_inputs
    ]
    if sizes and isinstance(sizes[0], int):
        return (
            f"the program's own input has a fixed first size of {sizes[0]}: is a free one declared, "
            "and can it be free with an example of this size?"
        )
    return "the bounds that you declared: `program.range_constraints`"


class _Around(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _exported(answer: Any, example: Tensor, hints: dict[str, str]) -> nn.Module:
    """Export a function with a free first size. An error is a message; `hints` chooses by a part of torch's text."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # export prints its whole graph there
            return torch.export.export(_Around(answer), (example,), dynamic_shapes=({0: Dim("size")},)).module()
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        hint = next((hint for part, hint in hints.items() if part in text), "which line the error names")
        raise NotYet("torch.export rejects your function.", seen={"it says": _said(error)}, look_at=hint) from None


def _call(answer: Any, x: Tensor) -> None:
    """Call the function once. torch.cond compiles when it is called eagerly, and its errors hide what they mean."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            answer(x.clone())
    except Exception as error:
        hint = next((hint for part, hint in REFUSALS.items() if part in str(error)), None)
        if hint is None:
            raise
        raise NotYet(
            "torch rejects an operator of your function when it is called.",
            seen={"it says": _said(error)},
            look_at=hint,
        ) from None


REFUSALS = {
    "aliasing": "one of the two functions of your cond returns its operand itself, and must give a new tensor",
    "input mutation": "a function inside cond or while_loop changes its operand in place",
    "GuardOnDataDependent": "Python still decides about a value: look for `if`, `while`, `bool` or `int` on a tensor",
    "specialized it to be a constant": "the number of steps became a constant: a Python loop over the size is unrolled",
    "specified range satisfy": "an operator that works for some sizes only, such as a slice of all but one: "
    "the smallest size that it demands is in the line above, and an input may be smaller",
    "return a scalar": "the shape of the condition: it must be a tensor with one value and no dimensions",
    "same metadata": "what both sides or all rounds return: as many tensors, of the same dtypes and dimensions",
}


@check_for("12.2", first_use=first_export)
def a_branch_that_survives(answer: Any) -> None:
    """A function that halves a bright image, for export."""

    def reference(image: Tensor) -> Tensor:
        return image * 0.5 if bool(image.mean() > 0.5) else image.clone()

    grey = noise(12, 5, seed=2)
    dark, bright, even = grey * 0.6, grey * 0.6 + 0.3, torch.full((3, 5), 0.5)
    lit, unlit = torch.ones(1, 3), torch.full((1, 3), 0.1)
    images = {
        "a bright image": bright,
        "a dark image": dark,
        "a mean of exactly 0.5": even,
        "a bright image with a dark row": torch.cat([lit, lit, unlit]),
        "a dark image with a bright row": torch.cat([lit, unlit, unlit]),
        "a bright image whose pixels are mostly dark": torch.tensor(
            [[1.0, 1.0, 0.4], [0.4, 0.4, 1.0], [0.4, 0.4, 0.4]]
        ),
        "a dark image whose pixels are mostly bright": torch.tensor([[0.6, 0.6, 0.6], [0.6, 0.0, 0.0]]),
        "an image with negative pixels": torch.tensor([[-2.0, 1.0, 0.9]]),
    }
    _call(answer, bright)
    for name, image in images.items():
        expect_parity(
            reference,
            answer,
            image,
            f"The function itself, not yet exported, differs for {name}.",
            look_at="the given function: which side for which image, and nothing changed in place",
        )
    for made_with, example in (("a bright", bright), ("a dark", dark)):
        module = _exported(answer, example, REFUSALS)
        for image in (bright[:4], dark[:7], dark[:1], bright, even.reshape(-1, 5)[:1]):
            _expect_exported(
                reference,
                module,
                image,
                f"Exported with {made_with} image, it is not correct for another.",
                look_at="whether the decision is an operator of the program: `print(program.graph_module.code)`",
            )


@check_for("12.3", first_use=first_export)
def a_loop_on_data(answer: Any) -> None:
    """A function that sums costs until the sum is above 10, for export."""

    def reference(costs: Tensor) -> Tensor:
        total = torch.zeros(())
        for cost in costs:
            total = total + cost
            if bool(total > 10):
                break
        return total

    cases = {
        "a budget that is spent in the middle": [4.0, 5.0, 3.0, 2.0],
        "a budget that is never spent": [1.0, 2.0, 0.5],
        "a sum of exactly 10 on the way": [4.0, 6.0, 1.0, 1.0],
        "a first cost above the budget": [12.0, 1.0],
        "a budget spent with the last cost": [5.0, 5.0, 1.0],
        "a sum of exactly 10 at the end": [4.0, 6.0],
        "a sum close to 10 at the end": [4.0, 5.5],
        "a sum below one": [0.25, 0.25],
        "one cost": [3.0],
        "one cost above the budget": [11.0],
        "many costs": [0.25] * 60,
    }
    _call(answer, torch.tensor([4.0, 5.0, 3.0]))
    for name, costs in cases.items():
        expect_parity(
            reference,
            answer,
            torch.tensor(costs),
            f"The function itself, not yet exported, differs for {name}.",
            look_at="the given function: the cost that crosses the limit is still paid, those after it are not",
        )
    for example in ("a budget that is spent in the middle", "a budget that is never spent"):
        module = _exported(answer, torch.tensor(cases[example]), REFUSALS)
        for name, costs in cases.items():
            _expect_exported(
                reference,
                module,
                torch.tensor(costs),
                f"Exported with {example}, it differs for {name}.",
                look_at="what in the program still belongs to the example: `print(program.graph_module.code)`",
            )


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _Side(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 2):
            return x * 2
        return x - 1


class _Halve(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while bool(x.abs().max() > 1):
            x = x * 0.5
        return x


class _Numbered(nn.Module):
    """Its state is an int that decides after two calls."""

    calls: int

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x * self.calls


class _Total(nn.Module):
    """State in a buffer, which the converter carries."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.total += x.mean()
        return x + self.total


class _Counted(nn.Module):
    """Counts its calls in an int that no answer depends on: the converter drops it, and nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x * 2


class _BySize(nn.Module):
    """Converts, and the program takes the sizes of one side of the branch only."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 4:
            return x * 2
        return x - 1


ARCHIVES: dict[str, tuple[type[nn.Module], bool]] = {
    "a small network": (_Network, True),
    "a branch on a value": (_Side, True),
    "a running total in a buffer": (_Total, True),
    "a counter that no answer depends on": (_Counted, True),
    "a loop on a value": (_Halve, False),
    "a counter in an int": (_Numbered, False),
    "a branch on the number of rows": (_BySize, False),
}


@check_for("12.4", first_use=first_export)
def a_lost_model(answer: Any) -> None:
    """A function (path, example, others) → a program that equals the archive, or None."""
    example = noise(3, 4, seed=4)
    others = [-example, example * 4, noise(6, 4, seed=5)]
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (kind, converts)) in enumerate(ARCHIVES.items()):
            path = Path(folder) / f"model{number}.pt"
            with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
                warnings.simplefilter("ignore")
                torch.manual_seed(4)
                torch.jit.save(torch.jit.script(randomise_statistics(kind()).eval()), path)
            program = answer(path, example.clone(), [x.clone() for x in others])
            if not converts:
                if program is not None:
                    raise NotYet(
                        f"For {name} no program from the converter is correct, and your function returns something.",
                        seen={"yours": type(program).__name__, "expected": "None"},
                        look_at=_WHY_NOT.get(
                            name, "whether every input is compared, the others as well as the example"
                        ),
                    )
                continue
            if program is None:
                raise NotYet(
                    f"For {name} the converter returns a correct program, and your function returns None.",
                    look_at="what your comparison starts from: both sides need their state fresh; or the exception; "
                    "and what it compares: the answers",
                )
            expect_program(program, "what `TS2EPConverter(…).convert()` returns")
            archive = torch.jit.load(path)
            for key, value in dict(archive.named_buffers()).items():
                mine = program.state_dict.get(key)
                if isinstance(mine, Tensor) and mine.shape == value.shape and not torch.equal(mine, value):
                    raise NotYet(
                        f"The program that you return for {name} was called already: its state has changed.",
                        seen={key: f"{value.tolist()} in the archive, {mine.tolist()} in yours"},
                        look_at="what you compared with: `.module()` shares its buffers with the program",
                    )
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expect_parity(
                    archive,
                    ExportedProgram.module(program),
                    [example, *others, noise(1, 4, seed=6)],
                    f"What you return for {name} differs from the archive.",
                    look_at="whether the archive itself was converted, and with which example",
                    check_state=False,
                )


_WHY_NOT = {"a counter in an int": "the values of the second and the third call, not only of the first"}


@check_for("12.5")
def a_guarded_package(answer: Any) -> None:
    """A function (package, example, most) → a function that raises ValueError for what the package must not get."""
    got: list[Tensor] = []

    def package(x: Tensor) -> Tensor:
        got.append(x)
        return x.flatten(1).sum(1)

    for example, most in ((torch.zeros(2, 3), 8), (torch.zeros(4, 2, 5, dtype=torch.int64), 4)):
        call = answer(package, example.clone(), most)
        if not callable(call):
            raise NotYet(
                "Your function returns nothing that can be called.",
                seen={"you gave": f"an object of type {type(call).__name__}"},
                look_at="a function inside your function, and the `return` of it",
            )
        tail, kind = list(example.shape[1:]), example.dtype
        good = {f"{n} rows": torch.ones(n, *tail).to(kind) for n in (1, most)}
        swapped = torch.arange(most * example[0].numel()).reshape(*reversed(tail), most).to(kind)
        good["a transposed tensor"] = swapped.permute(*reversed(range(swapped.dim())))
        for name, x in good.items():
            got.clear()
            try:
                out = call(x)
            except Exception as error:
                raise NotYet(
                    f"Your function rejects {name}, which is safe.",
                    seen={
                        "input": f"{kind}, shape {tuple(x.shape)}, most {most}",
                        "it says": f"{type(error).__name__}: {error}",
                    },
                    look_at="what may differ from the example: the number of rows, from 1 to `most`",
                ) from None
            if len(got) != 1 or not isinstance(out, Tensor) or not torch.equal(out, x.flatten(1).sum(1)):
                raise NotYet(
                    f"For {name} your function returns something other than the package does.",
                    seen={"calls of the package": len(got)},
                    look_at="call the package once, and return what it gives",
                )
            if not got[0].is_contiguous():
                raise NotYet(
                    "A transposed tensor reaches the package as it is.",
                    seen={"shape": tuple(got[0].shape), "strides": tuple(got[0].stride())},
                    look_at="the package reads memory in order; there is a method that puts a tensor in order",
                )
        other, as_wide = (torch.float64, torch.int32) if kind is torch.float32 else (torch.int32, torch.float64)
        bad = {
            "another dtype": torch.ones(2, *tail).to(other),
            "another dtype of the same width": torch.ones(2, *tail).to(as_wide),
            "another last size": torch.ones(2, *tail[:-1], tail[-1] + 1).to(kind),
            "another size in the middle": torch.ones(2, tail[0] + 4, *tail[1:]).to(kind),
            "one dimension more": torch.ones(2, *tail, 1).to(kind),
            "one dimension more in the middle": torch.ones(2, 1, *tail).to(kind),
            "one dimension fewer": torch.ones(2, *tail[:-1]).to(kind),
            "a tensor without dimensions": torch.ones(()).to(kind),
            "too many rows": torch.ones(most + 1, *tail).to(kind),
            "no rows": torch.ones(0, *tail).to(kind),
        }
        for name, x in bad.items():
            got.clear()
            try:
                call(x)
            except ValueError as error:
                if got:
                    raise NotYet(f"For {name} the package is called before the check.") from error
                continue
            except Exception as error:
                raise NotYet(
                    f"For {name} your function raises an error that is not a ValueError.",
                    seen={"input": f"{x.dtype}, shape {tuple(x.shape)}", "it says": f"{type(error).__name__}: {error}"},
                    look_at="`raise ValueError(…)`, with what was expected and what came",
                ) from None
            raise NotYet(
                f"Your function lets {name} through.",
                seen={
                    "input": f"{x.dtype}, shape {tuple(x.shape)}",
                    "example": f"{kind}, shape {tuple(example.shape)}, most {most}",
                },
                look_at="the list in the task: dtype, dimensions, sizes, rows",
            )
