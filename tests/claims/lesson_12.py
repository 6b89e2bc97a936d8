"""Lesson 12: what torch.export, the converter and torch.compile keep, check, fix and reject."""

# No `from __future__ import annotations`: the models here are scripted.

import copy
import io
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._export.converter import TS2EPConverter
from torch.export import Dim, export

from course_utils.classroom import models
from tests.claim_tools import InBuffer, InInt, InTensor, error_of, from_cell, quiet
from tests.claims import claim

LESSON = "notebooks/12_leaving.ipynb"
SOLUTIONS = "solutions/12_leaving.ipynb"


class Around(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Any:
        return self.function(*args)


def exported(function: Callable[..., Any], *args: Tensor, **options: Any) -> nn.Module:
    with quiet():
        return export(Around(function), args, **options).module()


class WithIds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("ids", torch.arange(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.ids


@claim(
    f"{LESSON}#c39abc0cf",
    "The `state_dict` of this archive has the same names as the eager model",
    was="An archive's `state_dict` has the names of the eager model.",
)
def names_in_a_state_dict() -> None:
    plain = nn.Linear(2, 2).eval()
    assert list(torch.jit.script(plain).state_dict()) == list(plain.state_dict())
    model = WithIds().eval()
    for form in (torch.jit.script(model), torch.jit.trace(model, torch.ones(1, 2))):
        assert set(form.state_dict()) - set(model.state_dict()) == {"ids"}
        assert "Unexpected key" in error_of(lambda form=form: WithIds().load_state_dict(form.state_dict()))
    frozen = torch.jit.freeze(torch.jit.script(model))
    assert "layer.weight" not in frozen.state_dict()


@claim(f"{LESSON}#c8a478a2e", "You don't call it directly: `.module()` turns it into a module.")
def a_program_is_not_called() -> None:
    program = export(nn.Linear(2, 2), (torch.ones(2, 2),))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    for form in (program, torch.export.load(file), program.run_decompositions()):
        assert "Unable to call ExportedProgram directly" in error_of(lambda form=form: form(torch.ones(2, 2)))
        assert form.module()(torch.ones(2, 2)).shape == (2, 2)


@claim(
    f"{LESSON}#guards-note",
    "They cover neither the dtype nor the number of dimensions",
    was="What was assumed is checked, and refused aloud.",
)
@claim(f"{LESSON}#cd39761d2", "the guards of `.module()` cover sizes")
def guards_of_a_module() -> None:
    by_type = exported(lambda x: x * 2 if x.dtype == torch.float32 and x.dim() == 2 else x * 3, torch.ones(2, 4))
    ones = torch.ones(2, 4)
    for given in (ones.double(), ones.half(), ones.long(), ones.reshape(2, 4, 1), ones.reshape(2, 4, 1, 1)):
        assert by_type(given).flatten()[0] == 2
    for given in (torch.ones(3, 4), torch.ones(2, 5), torch.ones(4, 2)):
        assert "Guard failed: " in error_of(lambda given=given: by_type(given))


@claim(
    f"{LESSON}#c8a1d09ba",
    "By default, export treats sizes 0 and 1 in the example as constants.",
    was="Sizes 0 and 1 are always taken for constants.",
)
def sizes_zero_and_one() -> None:
    for size in (0, 1):
        fixed = exported(lambda x: x * 2, torch.ones(size, 2), dynamic_shapes={"args": (({0: Dim.AUTO}),)})
        assert "Guard failed" in error_of(lambda fixed=fixed: fixed(torch.ones(7, 2)))
    free = exported(lambda x: x * 2, torch.ones(2, 2), dynamic_shapes={"args": (({0: Dim.AUTO}),)})
    assert free(torch.ones(7, 2)).shape == (7, 2)
    with torch.fx.experimental._config.patch(backed_size_oblivious=True):
        free = exported(lambda x: x * 2, torch.ones(1, 2), dynamic_shapes={"args": (({0: Dim.AUTO}),)})
    assert free(torch.ones(7, 2)).shape == (7, 2)


@claim(f"{LESSON}#c8a1d09ba", "A named `Dim` is a promise: export raises if the size cannot stay dynamic.")
@claim(f"{SOLUTIONS}#why-12-1", "`AUTO` then fixes it with a line in the log")
def a_promise_and_a_wish() -> None:
    def fixed(x: Tensor) -> Tensor:
        return x + torch.ones(3, 2)

    def tried(dim: Any) -> str:
        return error_of(lambda: exported(fixed, torch.ones(3, 2), dynamic_shapes={"args": (({0: dim}),)}))

    assert "Constraints violated" in tried(Dim("rows"))
    assert tried(Dim.DYNAMIC) != ""
    assert tried(Dim.AUTO) == ""


@claim(
    f"{LESSON}#c9238efd0",
    "The program treats the two arguments as one, and reads the second for both.",
    was="The program took the two arguments for one.",
)
@claim(f"{LESSON}#c9238efd0", "is a separate object and does not cause this problem")
def one_tensor_for_two_arguments() -> None:
    class Digits(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a * 10 + b

    zero, one, five = torch.zeros(1), torch.ones(1), torch.full((1,), 5.0)
    for strict in (False, True):
        assert export(Digits(), (zero, zero), strict=strict).module()(one, five).item() == 55
    for other in (zero.clone(), zero.view(-1), zero.detach()):
        assert export(Digits(), (zero, other)).module()(one, five).item() == 15


@claim(f"{LESSON}#c71332e66", "**the example goes into the file.**")
def the_example_is_in_the_file() -> None:
    secret = torch.tensor([[12345.5, -54321.25]])
    for options in ({}, {"extra_files": {"note.txt": "x"}}):
        for example in (secret, secret.expand(3, 2).contiguous()):
            file = io.BytesIO()
            torch.export.save(export(nn.Linear(2, 2), (example,)), file, **options)
            with zipfile.ZipFile(file) as content:
                inside = b"".join(content.read(name) for name in content.namelist() if "sample_inputs" in name)
            assert secret.numpy().tobytes() in inside
            file.seek(0)
            assert torch.equal(torch.export.load(file).example_inputs[0][0], example)


@claim(f"{LESSON}#c71332e66", "Neither format's loader reads the other format")
def two_formats() -> None:
    program, archive = io.BytesIO(), io.BytesIO()
    torch.export.save(export(nn.Linear(2, 2), (torch.ones(2, 2),)), program)
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), archive)
    for load, file in ((torch.jit.load, program), (torch.export.load, archive)):
        file.seek(0)
        assert "RuntimeError" in error_of(lambda load=load, file=file: load(file))
    for load, file in ((torch.jit.load, archive), (torch.export.load, program)):
        file.seek(0)
        assert load(file) is not None


class OnBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        if bool(self.level > 0):
            return x * 2
        return x - 1


def halved(x: Tensor) -> Tensor:
    while bool(x.max() > 1):
        x = x * 0.5
    return x


@claim(
    f"{LESSON}#c4bebb950",
    "it rejects every branch or loop that depends on the *values* in a tensor; nothing is baked in",
)
def branches_on_values() -> None:
    x = torch.rand(2, 4)
    values = (
        lambda x: x * 2 if bool(x.sum() > 0) else x - 1,
        lambda x: x * 2 if x.sum().item() > 3 else x - 1,
        lambda x: x * 2 if x.any() else x - 1,
        lambda x: x + 1 if torch.equal(x, x * 2) else x,
        halved,
    )
    for function in values:
        assert error_of(lambda function=function: exported(function, x)) != ""
    with quiet():
        assert "GuardOnDataDependent" in error_of(lambda: export(OnBuffer(), (x,)))


@claim(
    f"{LESSON}#c4bebb950",
    "(A branch on a size becomes a guard; a branch on the dtype was decided at export, as above.)",
)
def branches_on_sizes() -> None:
    def by_size(x: Tensor) -> Tensor:
        return x * 2 if x.shape[0] > 3 else x - 1

    for rows, good, bad in ((2, 3, 4), (5, 9, 3), (4, 7, 2)):
        made = exported(by_size, torch.ones(rows, 2), dynamic_shapes={"args": (({0: Dim.AUTO}),)})
        assert torch.equal(made(torch.ones(good, 2)), by_size(torch.ones(good, 2)))
        assert error_of(lambda made=made, bad=bad: made(torch.ones(bad, 2))) != ""


@claim(
    f"{LESSON}#c5872151f",
    "return the same number of tensors, with the same dtypes and numbers of dimensions. "
    "(A size may differ: it is then dynamic in the result.)",
    was="pure and give tensors of the same shape and dtype",
)
def two_sides_of_a_cond() -> None:
    def sides(if_true: Callable[[Tensor], Any], if_false: Callable[[Tensor], Any]) -> nn.Module:
        return exported(lambda x: torch.cond(x.sum() > 0, if_true, if_false, (x,)), torch.rand(4, 2))

    made = sides(lambda x: x[:2] * 2, lambda x: x + 1)
    assert [made(torch.ones(4, 2) * sign).shape for sign in (1, -1)] == [(2, 2), (4, 2)]
    for if_true in (lambda x: x.sum(), lambda x: x.double() * 2, lambda x: (x * 2, x * 3)):
        assert error_of(lambda if_true=if_true: sides(if_true, lambda x: x + 1)) != ""


@claim(
    f"{LESSON}#cf0781d10",
    "The first function returns its input itself (write `x.clone()`); the second changes it in place.",
)
def impure_sides() -> None:
    def tried(if_true: Callable[[Tensor], Tensor]) -> str:
        def choose(x: Tensor) -> Tensor:
            return torch.cond(x.sum() > 0, if_true, lambda x: x + 1, (x,))

        return error_of(lambda: exported(choose, torch.rand(3, 4)))

    assert "aliasing" in tried(lambda x: x)
    assert "aliasing" in tried(lambda x: x.view(3, 4))
    assert "input mutation" in tried(lambda x: x.mul_(2) + 1)
    assert tried(lambda x: x.clone()) == ""


@claim(
    f"{LESSON}#cf0781d10",
    "For a loop, use `torch.while_loop`. It takes a condition, a body, and the values that the body carries from one "
    "iteration to the next. Its documentation calls it a *prototype*",
    was="A loop is `while_loop` […]. It still stands in a private module.",
)
def the_public_loop() -> None:
    from torch._higher_order_ops.while_loop import while_loop

    assert torch.while_loop is while_loop
    assert "prototype" in (torch.while_loop.__doc__ or "")

    def limit(x: Tensor) -> Tensor:
        return torch.while_loop(lambda x: x.max() > 1, lambda x: (x * 0.5,), (x.clone(),))[0]

    made = exported(limit, torch.ones(2))
    for start, end in ((0.5, 0.5), (2.0, 1.0), (1000.0, 1000 / 1024)):
        assert made(torch.full((2,), start))[0] == end == limit(torch.full((2,), start))[0]


@claim(
    f"{LESSON}#c6b03182e",
    "the module of an exported program reports `training` whatever was exported; its mode was fixed at export",
)
def the_mode_of_an_exported_module() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    x = torch.ones(2, 2)
    for model in (copy.deepcopy(net).eval(), copy.deepcopy(net).train(), nn.Linear(2, 2).eval()):
        made = export(model, (x,)).module()
        assert made.training
        assert "not supported" in error_of(made.eval)
    made = export(net.eval(), (x,)).module()
    assert torch.equal(made(x), made(x))


class ByAdd(InTensor):
    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return x * self.calls


class ByPlus(InTensor):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


class ByIndex(InTensor):
    def forward(self, x: Tensor) -> Tensor:
        self.calls[0] = self.calls[0] + 1
        return x * self.calls


def counted(model: nn.Module) -> tuple[list[float], bool]:
    """Three calls of the exported program, and whether export warned of the state."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        made = export(model, (torch.ones(1),)).module()
    warned = any("register_buffer" in str(w.message) for w in seen)
    return [made(torch.ones(1)).item() for _ in range(3)], warned


@claim(
    f"{LESSON}#c78d4990b",
    "The `int` **freezes silently**, the plain tensor that is *assigned* "
    "freezes with a warning, and the buffer keeps counting.",
    was="the plain tensor freezes with a warning",
)
def three_counters() -> None:
    assert counted(InInt()) == ([1, 1, 1], False)
    assert counted(InTensor()) == ([1, 1, 1], True)
    assert counted(InBuffer()) == ([1, 2, 3], False)


@claim(f"{LESSON}#state-in-place-note", "It counts, without a warning, and the count is **off by one**")
@claim(f"{LESSON}#state-in-place-note", "which it shares with your model. Run one, and the other changes too.")
@claim(
    f"{LESSON}#c4eb39018",
    "a plain tensor changed in place, an example that passes one tensor twice, and a branch on the dtype",
    was="two losses are silent: an `int` that counts, and an example that passes one tensor twice",
)
def a_tensor_changed_in_place() -> None:
    for kind, expected in ((ByAdd, [2, 3, 4]), (ByPlus, [2, 3, 4]), (ByIndex, [1, 2, 3])):
        model = kind()
        assert counted(model) == (expected, False)
        assert model.calls.item() == expected[-1]
        scripted = torch.jit.script(kind())
        assert [scripted(torch.ones(1)).item() for _ in range(3)] == [1, 2, 3]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.rnn = nn.GRU(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(self.embed(x))[0]


def by_converter(model: nn.Module, x: Tensor) -> nn.Module:
    scripted = model if isinstance(model, torch.jit.ScriptModule) else torch.jit.script(model.eval())
    with quiet():
        return TS2EPConverter(scripted, (x,)).convert().module()


@claim(
    f"{LESSON}#c68856a1f",
    "It cannot do so in every graph (a scripted GRU stays fixed at the "
    "sizes of its example), so compare with other sizes.",
    was="Equal to the last bit, for any batch: sizes above 1 in the example become variable by themselves.",
)
def sizes_that_the_converter_frees() -> None:
    layer = nn.Linear(2, 2).eval()
    for form in (layer, torch.jit.trace(layer, torch.ones(2, 2))):
        made = by_converter(form, torch.ones(2, 2))
        assert [made(torch.ones(rows, 2)).shape[0] for rows in (1, 9)] == [1, 9]
    made = by_converter(Recurrent(), torch.zeros(2, 6, dtype=torch.int64))
    for rows in (1, 5):
        tokens = torch.zeros(rows, 6, dtype=torch.int64)
        assert "Guard failed" in error_of(lambda tokens=tokens: made(tokens))


class Nested(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            if bool(x.max() > 3):
                return x * 3
            return x * 2
        return x - 1


class OtherDtype(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            return x.double()
        return x


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() < 0):
            raise ValueError("negative")
        return x * 2


class InPlaceInside(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        if bool(x.sum() > 0):
            x.add_(1)
        return x


class AppendInside(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        out: list[Tensor] = []
        if bool(x.sum() > 0):
            out.append(x * 2)
        else:
            out.append(x)
        return out[0]


@claim(
    f"{LESSON}#c9a628a27",
    "those with different dtypes on the two sides, or with a `raise`, an in-place change or a list's `append` inside",
    was="Branches hold on both sides",
)
def branches_that_the_converter_rejects() -> None:
    x = torch.rand(3, 2)
    made = by_converter(Nested(), x)
    for given in (x, -x, x * 10):
        assert torch.equal(made(given), Nested()(given))
    for kind in (OtherDtype, Raises, InPlaceInside, AppendInside):
        assert error_of(lambda kind=kind: by_converter(kind(), x)) != ""


class FourRounds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for i in range(4):
            x = x * 2 + i
        return x


class ForEachRow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        level = x[0]
        for t in range(x.shape[0]):
            level = level + x[t]
        return level


class Halve(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while bool(x.max() > 1):
            x = x * 0.5
        return x


class Forked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.jit.wait(torch.jit.fork(torch.sin, x)) + 1


@claim(
    f"{LESSON}#c9a628a27",
    "the fixed loop is unrolled, and `fork` and loops whose length depends on the input are rejected",
)
def loops_and_the_converter() -> None:
    x = torch.ones(3, 2)
    assert torch.equal(by_converter(FourRounds(), x)(x), FourRounds()(x))
    for kind in (ForEachRow, Halve, Forked):
        assert error_of(lambda kind=kind: by_converter(kind(), x)) != ""


@claim(f"{LESSON}#c9a628a27", "Again, the `int` converts and is wrong.")
def counters_and_the_converter() -> None:
    for kind, expected in ((InInt, [1, 1, 1]), (InBuffer, [1, 2, 3]), (InTensor, [1, 2, 3])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = by_converter(kind(), torch.ones(1))
        assert [made(torch.ones(1)).item() for _ in range(3)] == expected


@cache
def traced() -> torch.jit.ScriptModule:
    return torch.jit.trace(nn.Linear(2, 2).eval(), torch.ones(2, 2))


@claim(
    f"{LESSON}#c82093a31",
    "`torch.export` does not accept a `ScriptModule`, and its error message names the tool that does:",
)
def export_and_compiled_modules() -> None:
    scripted = torch.jit.script(nn.Linear(2, 2).eval())
    for form in (scripted, traced(), torch.jit.freeze(scripted)):
        assert "TS2EPConverter" in error_of(lambda form=form: export(form, (torch.ones(2, 2),)))


@claim(
    f"{LESSON}#c613f3a76",
    "A scripted or frozen module is rejected when you pass it directly; a trace, or a scripted part of an eager model, "
    "is accepted.",
    was="`torch.compile` […] refuses what is already TorchScript",
)
def compile_and_compiled_modules() -> None:
    x = torch.ones(2, 2)
    scripted = torch.jit.script(nn.Linear(2, 2).eval())
    for form in (scripted, torch.jit.freeze(scripted), torch.jit.freeze(traced())):
        said = error_of(lambda form=form: torch.compile(form, backend="eager")(x))
        assert "does not support compiling torch.jit.script" in said
    for form in (traced(), nn.Sequential(scripted), torch.jit.trace(lambda x: x * 2, x)):
        assert torch.equal(torch.compile(form, backend="eager")(x), form(x))


@claim(f"{SOLUTIONS}#why-12-4", "`.module()` *shares* its buffers with the program")
def a_program_that_has_been_called() -> None:
    program = export(InBuffer(), (torch.ones(1),))
    assert [program.module()(torch.ones(1)).item() for _ in range(3)] == [1, 2, 3]
    assert program.state_dict["calls"].item() == 3
    assert copy.deepcopy(program).module()(torch.ones(1)).item() == 4
    assert program.state_dict["calls"].item() == 3


@claim(
    f"{SOLUTIONS}#why-12-2",
    "returning the operand itself is aliasing, and is rejected. If both sides are cheap, `torch.where",
)
def a_branch_by_where() -> None:
    def dimmed(image: Tensor) -> Tensor:
        return torch.where(image.mean() > 0.5, image * 0.5, image)

    made = exported(dimmed, torch.ones(2, 2))
    for level, expected in ((1.0, 0.5), (0.5, 0.5), (0.25, 0.25)):
        assert made(torch.full((2, 2), level))[0, 0] == expected


@claim(
    f"{LESSON}#cca3ba0e5",
    "the safetensors file has *different* weights",
    was="the publisher ships the same network as ONNX and its weights as safetensors",
)
def weights_beside_the_archive() -> None:
    path = models.third_party_archive()
    if path is None:
        return
    read = from_cell("notebooks/13_capstone.ipynb", "vad-safetensors").read_safetensors
    beside = read(path.with_name("silero_vad_16k.safetensors"))
    weights = torch.jit.load(path).state_dict()
    same = {}
    for mine, theirs in (
        ("_model.stft.forward_basis_buffer", "stft_conv.weight"),
        ("_model.encoder.0.reparam_conv.weight", "conv1.weight"),
        ("_model.encoder.3.reparam_conv.weight", "conv4.weight"),
        ("_model.decoder.rnn.weight_ih", "lstm_cell.weight_ih"),
    ):
        same[theirs] = torch.allclose(weights[mine], beside[theirs], atol=0.1)
    assert same == {
        "stft_conv.weight": True,
        "conv1.weight": False,
        "conv4.weight": False,
        "lstm_cell.weight_ih": False,
    }
