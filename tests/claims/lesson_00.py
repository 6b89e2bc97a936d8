"""Claims of lesson 00: the warning and its filter, the first trace, the first archive, and what export refuses."""

import io
import pickle
import random
import subprocess
import sys
import types
import warnings
from pathlib import Path

import torch
from torch import nn

from course_utils.classroom import exercises, manifest, notebook_files
from tests.claims import claim
from tests.claims.lesson_01 import raises, traced

HERE = "notebooks/00_start_here.ipynb#"
ROOT = Path(__file__).resolve().parents[2]
FILTER = {"category": FutureWarning, "module": r"torch\.jit(\.|$)"}


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def halve_if_positive(x):
    return x / 2 if x.sum() > 0 else x


class Calls(nn.Module):
    """A model around a function, for `torch.export`."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def heard(act, **ignored) -> list[warnings.WarningMessage]:
    """The warnings of a call, after one filter where one is given."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        if ignored:
            warnings.filterwarnings("ignore", **ignored)
        act()
    return seen


def deprecations() -> dict:
    """Calls of `torch.jit`, by name."""
    compiled, archive = torch.jit.script(nn.Linear(2, 2).eval()), io.BytesIO()
    torch.jit.save(compiled, archive)
    return {
        "script": lambda: torch.jit.script(double),
        "trace": lambda: torch.jit.trace(double, torch.ones(2)),
        "freeze": lambda: torch.jit.freeze(compiled),
        "load": lambda: torch.jit.load(io.BytesIO(archive.getvalue())),
        "save": lambda: torch.jit.save(compiled, io.BytesIO()),
        "call": lambda: compiled(torch.ones(1, 2)),
        "code": lambda: compiled.code,
        "ignore": lambda: torch.jit.ignore(double),
    }


def exported(function, *, strict=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(Calls(function), (torch.ones(2),), strict=strict).module()


def refused(function, **options) -> str:
    try:
        exported(function, **options)
    except Exception as error:
        return type(error).__name__
    return ""


@claim(
    HERE + "cb84bf732",
    "It then runs the model again to check the recording",
    was="torch runs the model once on an example",
)
def a_trace_runs_the_model_again():
    def runs(**options):
        seen = []
        traced(lambda x: seen.append(1) or x * 2, torch.ones(2), **options)
        return len(seen)

    assert runs(check_trace=False) == 1
    assert runs() > 1
    assert runs(check_inputs=[torch.ones(3), torch.ones(4)]) > runs()


@claim(HERE + "c5192bcf5", "no class, no source file, the same answers")
@claim(HERE + "c3729fb85", "no class is needed to load it")
def an_archive_needs_no_class():
    home = types.ModuleType("a_class_that_goes_away")
    text = (
        "from torch import nn\nclass Away(nn.Sequential):\n    def forward(self, x):\n        return self[0](x).abs()\n"
    )
    exec(text, home.__dict__)
    sys.modules[home.__name__] = home
    try:
        model, x = home.Away(nn.Linear(2, 2)).eval(), torch.ones(3, 2)
        right, pickled = model(x), pickle.dumps(model)
        made = torch.jit.trace(model, x)
        archives = []
        for converted in (made, torch.jit.freeze(made), torch.jit.script(Calls(made))):
            archives.append(io.BytesIO())
            torch.jit.save(converted, archives[-1])
    finally:
        del sys.modules[home.__name__]
    for archive in archives:
        archive.seek(0)
        assert torch.allclose(torch.jit.load(archive)(x), right)
    try:
        pickle.loads(pickled)
    except ModuleNotFoundError:
        return
    raise AssertionError("the pickle was read without the class")


@claim(HERE + "caab48b3c", "`script`, `trace`, `freeze` and `torch.jit.load` among them", was="at nearly every call")
def not_every_call_warns():
    warns = {name: bool(heard(act)) for name, act in deprecations().items()}
    assert [name for name in warns if warns[name]] == ["script", "trace", "freeze", "load", "save"]


@claim(HERE + "c4894456a", "the warning is raised on a line inside torch")
@claim(HERE + "c4894456a", "filter `DeprecationWarning`, which hides nothing here")
def the_category_and_the_place():
    acts = deprecations()
    for name in ("script", "trace", "freeze", "load"):
        seen = heard(acts[name])
        assert all(w.category is FutureWarning and Path(w.filename).parent.name == "jit" for w in seen)
        assert len(heard(acts[name], category=DeprecationWarning)) == len(seen) > 0
        assert heard(acts[name], **FILTER) == []


@claim(HERE + "c4894456a", "`FutureWarning`, which Python shows by default")
def python_shows_it_by_default():
    def shown(category, module):
        program = f"import warnings; warnings.warn_explicit('here', {category}, 'a.py', 1, module={module!r})"
        return (
            "here" in subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True).stderr
        )

    assert shown("FutureWarning", "torch.jit._script")
    assert shown("FutureWarning", "__main__")
    assert not shown("DeprecationWarning", "torch.jit._script")


@claim(HERE + "c4894456a", "Every lesson uses this filter", was="the one filter the course uses")
def every_lesson_has_the_filter():
    line = 'warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\\.jit(\\.|$)")'
    others = 0
    for lesson in manifest.load(ROOT).lessons:
        (path,) = (ROOT / "notebooks").glob(f"{lesson.id}_*.ipynb")
        code = "\n".join(cell.source for cell in notebook_files.read(path).cells if cell.cell_type == "code")
        assert line in code, path.name
        others += code.replace(line, "").count("warnings.filterwarnings(")
    assert others > 0


@claim(HERE + "c25e19dd0", "hides the deprecation warning but not the `TracerWarning`")
@claim(HERE + "c3729fb85", "so that `TracerWarning` stays visible")
def the_filter_lets_tracer_warnings_through():
    for function in (halve_if_positive, lambda x: x - float(x.mean()), lambda x: x if bool(x.max() > 0) else -x):
        seen = heard(lambda f=function: torch.jit.trace(f, torch.ones(2)), **FILTER)
        assert {w.category for w in seen} == {torch.jit.TracerWarning}
    assert heard(lambda: torch.jit.trace(double, torch.ones(2)), **FILTER) == []


@claim(HERE + "c403ed351", "The trace recorded the division but not the condition")
def the_condition_is_not_recorded():
    def by_maximum(x):
        return x / 2 if x.max() > 0 else x

    def by_item(x):
        return x / 2 if x.sum().item() > 0 else x

    for function in (halve_if_positive, by_maximum, by_item):
        made, _ = traced(function, torch.ones(2))
        x = torch.tensor([-2.0, -4.0])
        assert torch.equal(made(x), x / 2) and torch.equal(function(x), x)
        kinds = {node.kind() for node in made.graph.nodes()}
        assert "aten::div" in kinds and not kinds & {"prim::If", "aten::gt"}


@claim(
    HERE + "c91351eb6", "`random.random()` is still silently baked in", was="export refuses what it cannot represent"
)
def a_random_number_is_baked():
    for function in (
        lambda x: x * random.random(),
        lambda x: x * random.uniform(1.0, 2.0),
        lambda x: x * random.Random().random(),
    ):
        program = exported(function)
        x = torch.ones(2)
        assert torch.equal(program(x), program(x)) and not torch.equal(function(x), function(x))


@claim(HERE + "c91351eb6", "it has no modes to switch")
def an_exported_module_has_no_modes():
    program = exported(lambda x: x * 2)
    assert program.training
    for act in (program.eval, program.train, lambda: program.train(False)):
        try:
            act()
        except NotImplementedError:
            continue
        raise AssertionError("the mode was switched")


@claim(HERE + "c403ed351", "it *raises* at a data-dependent branch", was="it refuses what it cannot represent")
def export_raises_at_a_branch_on_data():
    for function in (
        halve_if_positive,
        lambda x: x / 2 if x.sum().item() > 0 else x,
        lambda x: x / 2 if bool((x > 0).all()) else x,
    ):
        assert refused(function)
    assert not refused(lambda x: x / 2 if x.shape[0] > 1 else x)


@claim(
    HERE + "cb84bf732",
    "records the tensor operations that lead to its result",
    was="records every tensor operation",
)
def what_does_not_lead_to_the_result_is_not_recorded():
    def kinds(function):
        return [node.kind() for node in traced(function, torch.ones(2))[0].graph.nodes()]

    assert "aten::mul" not in kinds(lambda x: (x * 3, x + 1)[1])
    assert "aten::mul" not in kinds(lambda x: x + float((x * 3).sum()))
    assert "aten::mul" not in kinds(lambda x: x + torch.from_numpy(x.numpy() * 3))
    assert {"aten::mul", "aten::sum"} <= set(kinds(lambda x: x + (x * 3).sum()))


@claim(
    HERE + "c7215f64d",
    "wrong for every input whose mean differs from the example's",
    was="wrong for all inputs but one",
)
def a_baked_mean_is_right_for_the_same_mean():
    def centre(x):
        return x - float(x.mean())

    made, _ = traced(centre, torch.ones(3))
    for same in ([0.0, 2.0], [[0.5, 1.5], [1.0, 1.0]], [1.0]):
        assert torch.equal(made(torch.tensor(same)), centre(torch.tensor(same)))
    for other in ([1.0, 2.0, 6.0], [0.0], [-1.0, -1.0]):
        assert not torch.equal(made(torch.tensor(other)), centre(torch.tensor(other)))


@claim(HERE + "c656229c4", "There are four outcomes", was="a check calls the answer and compares with eager, always")
def four_outcomes():
    assert len(exercises.Status) == 4
    seen = {
        str(exercises.evaluate("00.1", answer).status)
        for answer in (
            ...,
            lambda x: x - x.meen(),
            traced(lambda x: x - 1, torch.ones(2))[0],
            traced(lambda x: x - x.mean(), torch.ones(2))[0],
        )
    }
    assert seen == {str(status) for status in exercises.Status}


@claim("course.toml", "then trace that function with any floating-point example", was="any example")
def the_example_is_of_floats():
    def centre(x):
        return x - x.mean()

    x = torch.tensor([[1.0, 2.0, 6.0]])
    for example in (torch.ones(3), torch.ones(2, 2), torch.tensor(4.0), torch.ones(1, dtype=torch.float64)):
        assert torch.equal(traced(centre, example)[0](x), centre(x))
    assert "mean(): could not infer output dtype" in raises(lambda: traced(centre, torch.tensor([1, 2])))
