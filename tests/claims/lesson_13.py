"""Lesson 13: what each stage from end to end keeps, drops and proves, and the rewrite of an archive."""

# No `from __future__ import annotations`: the models here are scripted.

import contextlib
import copy
import io
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._export.converter import TS2EPConverter
from torch.export import Dim, export

from course_utils import check_parity
from course_utils.classroom import models, notebook_files
from course_utils.tools import archive
from course_utils.tools.model_report import ModelReport, ModelReportError
from tests.claim_tools import ROOT, InBuffer, InInt, InTensor, error_of, from_cell
from tests.claims import claim

LESSON = "notebooks/13_capstone.ipynb"
SOLUTIONS = "solutions/13_capstone.ipynb"


COUNTERS = (InInt, InTensor, InBuffer)


def frozen(kind: Callable[[], nn.Module], **options: Any) -> torch.jit.ScriptModule:
    return torch.jit.freeze(torch.jit.script(kind().eval()), **options)


def calls(form: Callable[[Tensor], Tensor], count: int = 3) -> list[float]:
    return [form(torch.ones(1)).item() for _ in range(count)]


@claim(
    f"{LESSON}#cfe04eab7",
    "between inputs restores what either of them remembers",
    was="Of what a frozen module remembers the gate can put back buffers only",
)
def gates_for_frozen_memory() -> None:
    inputs = [torch.ones(1), torch.full((1,), 2.0)]
    for kind in COUNTERS:
        model, form = kind().eval(), frozen(kind)
        for candidate in (form, nn.Sequential(form).eval()):
            assert check_parity(model, candidate, inputs).ok
            assert model.calls == 0 == form.calls
        stuck = torch.jit.freeze(torch.jit.trace(nn.Identity().eval(), torch.ones(1)))
        assert not check_parity(model, stuck, inputs, check_state=False).ok


@claim(
    f"{LESSON}#ce606d069",
    "each stage below that calls it calls a copy, so that no stage starts with another's memory",
    was="Now put your own model into `my_model` at the top, run all cells […] (a buffer that counts failed)",
)
def a_model_that_remembers_keeps_its_memory() -> None:
    lines = {cell.id: cell.source for cell in notebook_files.read(ROOT / LESSON).cells}
    for cell_id in ("inspect", "gate-closed", "optimise", "measure", "current"):
        assert "copy.deepcopy(" in lines[cell_id], cell_id
    shown = from_cell(
        LESSON,
        "optimise",
        model=InInt().eval(),
        converted=torch.jit.script(InInt().eval()),
        inputs=[torch.ones(1), torch.ones(3)],
        check_parity=check_parity,
        page=ModelReport("counter"),
    )
    assert shown.entry.outcome == "ok"
    assert shown.model.calls == 0 == shown.converted.calls == shown.candidate.calls


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x)


@claim(f"{LESSON}#c0db0c43d", "a conversion keeps the mode that the model is in")
def the_mode_of_a_conversion() -> None:
    x = torch.ones(64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for training in (True, False):
            model = Dropping().train(training)
            for form in (torch.jit.script(model), torch.jit.trace(model, x, check_trace=False)):
                assert bool((form(x) == 0).any()) is training
        trace = torch.jit.trace(Dropping().train(), x, check_trace=False).eval()
        assert (trace(x) == 0).any()
        assert not (torch.jit.script(Dropping().train()).eval()(x) == 0).any()


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


@claim(f"{LESSON}#cfa850e1b", "the normalisation is folded into the convolutions")
def normalisation_is_folded() -> None:
    model = models.randomise_statistics(Normed()).eval()
    x = torch.rand(2, 1, 5, 5)
    scripted = torch.jit.script(model)
    plain = torch.jit.freeze(scripted, optimize_numerics=False)
    folded = torch.jit.freeze(scripted)
    kinds = [
        any("batch_norm" in node.kind() for node in form.graph.nodes()) or "batch_norm" in str(form.graph)
        for form in (plain, folded)
    ]
    assert kinds == [True, False]
    assert torch.allclose(folded(x), model(x), rtol=1e-4, atol=1e-5)
    assert "eval" in error_of(lambda: torch.jit.freeze(torch.jit.script(Normed().train())))


class Deciding(nn.Module):
    def __init__(self, loud: bool, rounds: int) -> None:
        super().__init__()
        self.loud = loud
        self.rounds = rounds

    def forward(self, x: Tensor) -> Tensor:
        if self.loud:
            x = x * 2
        for _ in range(self.rounds):
            x = x + 1
        return x


class DecidingOnInput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            x = x * 2
        while bool(x.sum() < 0):
            x = x + 1
        return x


@claim(f"{LESSON}#c27b73d5b", "they depend on the input, and freezing folds only what does not")
def decisions_and_freezing() -> None:
    def left(model: nn.Module) -> list[bool]:
        graph = torch.jit.freeze(torch.jit.script(model.eval())).graph
        return [len(graph.findAllNodes(kind, True)) > 0 for kind in ("prim::If", "prim::Loop")]

    assert left(DecidingOnInput()) == [True, True]
    for loud in (True, False):
        assert left(Deciding(loud, 2)) == [False, False]
    assert left(Deciding(True, 0)) == [False, False]


class ChangesItsArgument(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.add_(1) * 2


@claim(f"{LESSON}#ca654de81", "a model may change them in place, and the request must contain them as they were")
@claim(
    f"{SOLUTIONS}#cde128629", "the request must contain it as it was passed: some models change an argument in place"
)
def arguments_after_a_call() -> None:
    scripted = torch.jit.script(ChangesItsArgument())
    for form in (ChangesItsArgument(), scripted, torch.jit.freeze(scripted.eval())):
        args = (torch.zeros(2),)
        assert torch.equal(form(*copy.deepcopy(args)), torch.full((2,), 2.0))
        assert torch.equal(args[0], torch.zeros(2))
        form(*args)
        assert torch.equal(args[0], torch.ones(2))


@claim(
    f"{LESSON}#vad-state-note",
    "Freezing keeps what `forward` writes: you can read the attributes and set them. "
    "It drops the method that resets them",
    was="Freezing keeps what forward writes, hidden in the graph, and drops the method that resets it.",
)
@claim(f"{LESSON}#vad-state-note", "`preserved_attrs` [keeps attributes and methods]")
def memory_of_a_frozen_module() -> None:
    for kind in COUNTERS:
        form = frozen(kind)
        start = copy.deepcopy(form.calls)
        assert calls(form) == [1, 2, 3]
        assert form.calls == 3
        form.calls = start
        assert calls(form) == [1, 2, 3]
        assert not hasattr(form, "reset")
        kept = frozen(kind, preserved_attrs=["reset"])
        assert calls(kept, 2) == [1, 2]
        kept.reset()
        assert calls(kept, 2) == [1, 2]


class BranchWrites(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            self.last = x
        return x + self.last


@claim(
    f"{LESSON}#c507fdd9d",
    "the converter stops at attributes that are written inside a branch, the older ONNX export at an operator",
    was="No tool takes it out, for its forward writes attributes inside a branch",
)
def what_the_converter_stops_at() -> None:
    for kind in (BranchWrites, InTensor, InBuffer):
        said = error_of(lambda kind=kind: TS2EPConverter(torch.jit.script(kind().eval()), (torch.ones(1),)).convert())
        assert ("prim::SetAttr" in said) is (kind is BranchWrites)


@cache
def detector() -> torch.jit.ScriptModule | None:
    path = models.third_party_archive()
    return None if path is None else torch.jit.load(path).eval()


def chunks(count: int) -> Tensor:
    return torch.rand(count, 512, generator=torch.Generator().manual_seed(count)) * 0.2 - 0.1


def archive_answers(rows: Tensor) -> Tensor:
    form = detector()
    assert form is not None
    form.reset_states()
    with torch.no_grad():
        return torch.cat([form(row[None], 16000) for row in rows])


def sound() -> Tensor:
    """The sound of figure 2."""
    time = torch.arange(3 * 16000) / 16000
    voice = torch.sin(2 * torch.pi * 140 * time) * (1 + torch.sin(2 * torch.pi * 3 * time))
    noise = 0.005 * torch.randn(len(time), generator=torch.Generator().manual_seed(0))
    return (0.3 * voice * ((time > 1) & (time < 2)) + noise).unfold(0, 512, 512)


def rewritten(values: list[Tensor]) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The lesson's `Detector` with these weights, and it as a function from a row of chunks to its answers."""
    made = from_cell(LESSON, "vad-rewrite").Detector().eval()
    made.load_state_dict(dict(zip(made.state_dict(), values, strict=True)))
    return made, from_cell(LESSON, "vad-rewrite-gate").carried_by(made)


def own_weights() -> list[Tensor]:
    form = detector()
    assert form is not None
    return [value for name, value in form.state_dict().items() if name.startswith("_model.")]


@claim(
    f"{LESSON}#c507fdd9d",
    "**rewrite it from the code in the archive, and load the archive's own weights.**",
    was="The gate above proved the way that remains: the publisher's own ONNX file.",
)
@claim(
    f"{LESSON}#vad-safetensors-question",
    "The same operators run in the same order on the same numbers, so little can differ",
)
def the_rewrite_equals_the_archive() -> None:
    if detector() is None:
        return
    _, answers = rewritten(own_weights())
    for rows in (chunks(1), chunks(12), sound()):
        assert torch.allclose(archive_answers(rows), answers(rows), rtol=1e-4, atol=1e-5)


@claim(f"{LESSON}#vad-safetensors-question", "The rewrite also takes any number of voices at once.")
def the_rewrite_exports_for_any_batch() -> None:
    if detector() is None:
        return
    made, _ = rewritten(own_weights())
    free = {"dynamic_shapes": {"heard": {0: Dim("voices")}, "state": {1: Dim("voices")}}}
    program = export(made, (torch.rand(2, 576), torch.zeros(2, 2, 128)), **free).module()
    for count in (1, 2, 5):
        rows = chunks(count)
        speech, state = program(torch.cat([torch.zeros(count, 64), rows], 1), torch.zeros(2, count, 128))
        each = torch.cat([archive_answers(row[None]) for row in rows])
        assert torch.allclose(speech, each, rtol=1e-4, atol=1e-5)
        assert state.shape == (2, count, 128)


@claim(
    f"{LESSON}#vad-safetensors-note",
    "Every key matches, every shape matches, and it is **another detector**",
    was="the publisher ships its weights as safetensors",
)
def the_weights_beside_the_archive() -> None:
    path = models.third_party_archive()
    if path is None:
        return
    read = from_cell(LESSON, "vad-safetensors").read_safetensors
    beside = list(read(path.with_name("silero_vad_16k.safetensors")).values())
    own = own_weights()
    assert [x.shape for x in beside] == [x.shape for x in own]
    assert [torch.equal(x, y) for x, y in zip(beside, own, strict=True)].count(True) == 1
    _, answers = rewritten(beside)
    apart = (answers(sound()) - archive_answers(sound())).abs()
    assert apart.max() > 0.3


@claim(
    f"{LESSON}#c0716303d",
    "Its package ships TorchScript, without the Python source that was compiled.",
    was="Its package ships TorchScript and no source for it.",
)
@claim(f"{LESSON}#vad-rewrite-note", "the same network for another framework, in `tinygrad_model.py`")
def what_the_package_ships() -> None:
    path = models.third_party_archive()
    if path is None:
        return
    sources = {file.name: file.read_text(encoding="utf-8") for file in path.parent.parent.glob("*.py")}
    for name in ("VADRNNJIT", "SileroVadBlock", "VADDecoderRNNJIT"):
        assert not any(f"class {name}" in text for text in sources.values())
    assert (
        "conv4" in sources["tinygrad_model.py"]
        and "import torch\n" not in sources["tinygrad_model.py"].split("class")[0]
    )


@claim(f"{LESSON}#ce8ec1646", "two vectors of 128, and the context, the last 64 samples")
def sizes_of_its_memory() -> None:
    form = detector()
    if form is None:
        return
    seen = {x.path: x.value for x in archive.inspect(models.third_party_archive()).attributes}
    assert str(seen["_model.decoder.rnn.hidden_size"]) == "128"
    assert str(seen["_model.context_size_samples"]) == "64"
    rows = chunks(3)
    for row in rows:
        form(row[None], 16000)
        assert form._state.shape == (2, 1, 128)
        assert torch.equal(form._context, row[None, -64:])


@claim(f"{LESSON}#c0716303d", "16,000 samples a second go in, 512 at a time")
def what_goes_into_the_detector() -> None:
    form = detector()
    if form is None:
        return
    form.reset_states()
    assert form(torch.zeros(1, 512), 16000).shape == (1, 1)
    for size in (256, 511, 1024):
        form.reset_states()
        assert "ValueError" in error_of(lambda size=size: form(torch.zeros(1, size), 16000))


@claim(
    f"{LESSON}#cf4b69c73",
    "Compare a model with memory over several calls from a fresh start, ideally as a stream.",
)
def one_call_is_not_enough() -> None:
    for kind in COUNTERS:
        stuck = lambda x: x * 1.0  # noqa: E731 - what a conversion that froze the counter computes
        first, second = (form(torch.ones(1)).item() for form in (kind(), stuck))
        assert first == second
        assert calls(kind()) == [1, 2, 3] != calls(stuck)


@claim(f"{LESSON}#c9c906ecb", "which needs the decisions written as operators: `torch.cond` and `torch.while_loop`")
def decisions_as_operators() -> None:
    class Loop(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.while_loop(lambda x: x.max() < 0.5, lambda x: (x * 2,), (x.clone(),))[0]

    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cond(x.max() <= 0, lambda x: x * 0, lambda x: x + 1, (x,))

    for kind in (Loop, Branch):
        made = export(kind(), (torch.rand(2, 2),)).module()
        for value in (0.1, -0.0, 0.9)[:: 1 if kind is Branch else 2]:
            x = torch.full((2, 2), value)
            assert torch.equal(made(x), kind()(x))
    assert "DataDependent" in error_of(lambda: export(DecidingOnInput(), (torch.rand(2, 2),)))


@claim(f"{LESSON}#c73a1248d", "`write` never replaces a file that isn't a model report")
def files_in_the_way_of_a_model_report() -> None:
    page = ModelReport("own")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("a.html", "<html></html>"), ("b.txt", "a note"), ("c.html", "")):
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            for replace in (False, True):
                assert "ModelReportError" in error_of(
                    lambda path=path, replace=replace: page.write(path, replace=replace)
                )
            assert path.read_text(encoding="utf-8") == text
        mine = page.write(Path(folder) / "d.html")
        assert "exists already" in error_of(lambda: page.write(mine))
        assert page.write(mine, replace=True) == mine


@claim(f"{LESSON}#c507fdd9d", "the model report says *warn*, with your reason beside it")
def a_verdict_that_is_changed() -> None:
    report = check_parity(lambda x: x, lambda x: x + 1, torch.ones(2))
    page = ModelReport("own")
    assert page.add("gate", report).outcome == "fail"
    with contextlib.suppress(ModelReportError):
        page.add("gate", report, outcome="warn")
        raise AssertionError("a verdict was changed without a reason")
    entry = page.add("migrate", report, outcome="warn", note="known, and why")
    assert entry.outcome == "warn" and entry.says.endswith("known, and why")


@claim(f"{SOLUTIONS}#why-13-2", "A trace *runs* what it records, so it gets a copy")
@claim(f"{SOLUTIONS}#why-13-2", "(`check_parity` puts back what its own calls change.)")
def what_a_conversion_does_to_the_model() -> None:
    for kind in COUNTERS:
        model = kind()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.trace(model, torch.ones(1), check_trace=False)
        assert model.calls == 1
        model = kind()
        scripted = torch.jit.script(model)
        assert model.calls == 0
        assert check_parity(model, scripted, [torch.ones(1), torch.ones(2)]).ok
        assert model.calls == 0


@claim(f"{SOLUTIONS}#why-13-4", "a model that remembers starts fresh in it")
def memory_of_a_loaded_file() -> None:
    for kind in COUNTERS:
        scripted, file = torch.jit.script(kind()), io.BytesIO()
        torch.jit.save(scripted, file)
        assert calls(scripted) == [1, 2, 3]
        file.seek(0)
        assert calls(torch.jit.load(file)) == [1, 2, 3]
        late = io.BytesIO()
        torch.jit.save(scripted, late)
        late.seek(0)
        assert calls(torch.jit.load(late), 1) == [4]  # it holds what the model remembered when it was saved


@claim(f"{SOLUTIONS}#why-13-5", "the two conditions are joined with `&`, since Python's `and` would ask for a value")
def two_conditions() -> None:
    def loop(joined: Callable[[Tensor, Tensor], Any]) -> nn.Module:
        class Loop(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                start = (torch.zeros((), dtype=torch.int64), x.clone())
                return torch.while_loop(lambda t, x: joined(t < 3, x.max() < 5), lambda t, x: (t + 1, x * 2), start)[1]

        return Loop()

    x = torch.ones(2)
    assert error_of(lambda: export(loop(lambda a, b: a and b), (x,))) != ""
    for joined in (lambda a, b: a & b, torch.logical_and):
        assert export(loop(joined), (x,)).module()(x)[0] == 8
