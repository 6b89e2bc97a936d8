"""Claims of lesson 04: what crosses the boundary between a trace and a script."""

import contextlib
import io
import logging
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from tests.claims import claim
from tests.claims.lesson_01 import raises, traced

HERE = "notebooks/04_mixing.ipynb#"
ROOT = Path(__file__).resolve().parents[2]


@torch.jit.script
def a_list(x) -> list[torch.Tensor]:
    return x.unbind(0)


@torch.jit.script
def a_tuple(x):
    return x.sum(0), x


@torch.jit.script
def a_dict(x):
    return {"sum": x.sum(0)}


@torch.jit.script
def a_number(x):
    return x.shape[0]


@torch.jit.script
def a_decision(x):
    return bool(x.sum() > 0)


@torch.jit.script
def a_text(x):
    return "text"


@torch.jit.script
def repeated(x, rows: int):
    return x.sum() * rows


@claim(HERE + "results-why", "Numbers and decisions raise during tracing, even inside a tuple")
@claim(HERE + "c6ddf940f", "a number, a `bool`, a string or an optional raises", was="what may come back was not said")
def values_do_not_come_back():
    for function in (a_number, a_decision, a_text):
        assert "Tracer cannot set" in raises(lambda f=function: traced(lambda x: x if f(x) else -x, torch.ones(2)))


@claim(HERE + "results-why", "A tuple of tensors comes back whole")
@claim(HERE + "results-why", "another length raises in the call")
@claim(HERE + "c6ddf940f", "a list of the example's length")
def tensors_come_back():
    x = torch.ones(5, 3)
    for function in (lambda x: a_tuple(x)[0], lambda x: a_dict(x)["sum"]):
        made, _ = traced(function, torch.ones(2, 3))
        assert torch.equal(made(x), function(x))
    made, warned = traced(lambda x: torch.stack(a_list(x)).sum(0), torch.ones(2, 3))
    assert not warned and raises(lambda: made(x))


@claim(HERE + "c8941e776", "`check_inputs` of another length raises", was="no check of torch notices")
def numbers_are_baked():
    def function(x):
        return repeated(x, x.shape[0])

    made, warned = traced(function, torch.ones(2))
    assert not warned and made(torch.ones(5)).item() == 10
    assert raises(lambda: traced(function, torch.ones(2), check_inputs=[(torch.ones(5),)]))


@claim(HERE + "c85dfc110", "The scripted one reads `self.training` at run time.")
def the_scripted_part_follows_the_mode():
    x = torch.ones(200)
    for dropout in (nn.Dropout(0.5), nn.AlphaDropout(0.5), nn.FeatureAlphaDropout(0.5)):
        example = x.reshape(1, 200, 1)
        for part, alive in ((dropout, False), (torch.jit.script(dropout), True)):
            made, _ = traced(nn.Sequential(part).eval(), example)
            assert torch.equal(made(example), example)
            assert torch.equal(made.train()(example), example) is not alive


@claim(HERE + "ce678dd19", "it stays Python until you trace it, or compile its caller")
def script_if_tracing_is_late():
    @torch.jit.script_if_tracing
    def halved(x):
        while bool(x.abs().max() > 1):
            x = x / 2
        return x

    def python(x):
        return halved(x) + 1

    x, far = torch.tensor([3.0]), torch.tensor([9.0])
    assert not isinstance(halved, torch.jit.ScriptFunction) and halved(far).item() == 0.5625
    for made in (traced(python, x)[0], torch.jit.script(python)):
        assert torch.equal(made(far), python(far))
    assert not torch.equal(traced(lambda x: halved.__original_fn(x), x)[0](far), halved(far))


class Holder(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x) + 1


def doubled(x):
    return x * 2


def last_line(act) -> str:
    try:
        act()
    except Exception as error:
        return type(error).__name__
    return ""


@claim(HERE + "c4235baff", "is already scripted or traced, it does not look inside", was="anything already compiled")
@claim("course.toml", "A trace records a call to a scripted function, and does not look inside.")
def calls_are_recorded():
    x = torch.ones(1, 2)
    parts = (torch.jit.script(doubled), traced(doubled, x)[0])
    parts += (torch.jit.script(nn.Linear(2, 2)), traced(nn.Linear(2, 2), x)[0])
    for part in parts:
        kinds = [node.kind() for node in traced(Holder(part), x)[0].graph.nodes()]
        assert ("prim::CallFunction" in kinds) != ("prim::CallMethod" in kinds)
        assert not {"aten::mul", "aten::linear"} & set(kinds)


@claim(HERE + "cc676cfe1", "raises as a submodule", was="compiled parts without exception")
@claim(HERE + "c6ddf940f", "a module like any other, unless it was frozen in this process", was="a module like others")
def a_frozen_part_raises():
    x, file = torch.ones(1, 2), io.BytesIO()
    net = nn.Sequential(nn.Linear(2, 2)).eval()
    frozen = torch.jit.freeze(torch.jit.script(net))
    for part in (frozen, torch.jit.freeze(traced(net, x)[0])):
        for convert in (torch.jit.script, lambda module: traced(module, x)):
            assert "Could not cast attribute" in raises(lambda p=part, c=convert: c(Holder(p)))
    torch.jit.save(frozen, file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for convert in (torch.jit.script, lambda module: traced(module, x)[0]):
        assert torch.allclose(convert(Holder(loaded))(x), net(x) + 1)


@torch.jit.script
def with_text(x, word: str):
    return x * 2 if word == "twice" else x


@torch.jit.script
def with_sizes(x, sizes: list[int]):
    return x.sum() * sizes[0]


@torch.jit.script
def with_optional(x, y: torch.Tensor | None = None):
    return x if y is None else x + y


@claim(
    HERE + "c6ddf940f",
    "a number, a `bool`, a string, a list of numbers or `None` is silently baked",
    was="an int, float or bool argument",
)
def other_arguments_are_baked():
    for function, example, other in (
        (lambda x: with_sizes(x, list(x.shape)), torch.ones(2), torch.ones(5)),
        (lambda x: with_text(x, "twice" if x.dim() == 1 else "once"), torch.ones(2), torch.ones(5, 1)),
        (lambda x: with_optional(x, None if x.dim() == 1 else x), torch.ones(2), torch.ones(5, 1)),
    ):
        made, warned = traced(function, example)
        assert not warned and torch.equal(made(example), function(example))
        assert not torch.equal(made(other), function(other))


@torch.jit.script
def sum_of_list(parts: list[torch.Tensor]):
    return torch.stack(parts).sum(0)


@torch.jit.script
def value_of_dict(parts: dict[str, torch.Tensor]):
    return parts["a"]


@torch.jit.script
def first_of_tuple(parts: tuple[torch.Tensor, torch.Tensor]):
    return parts[0]


@claim(HERE + "c654dde87", "with as many elements as the example had", was="lists and dicts of tensors go through")
def tensors_go_in():
    x = torch.ones(4, 3)
    for function in (
        lambda x: sum_of_list([x, x * 2]),
        lambda x: value_of_dict({"a": x * 2}),
        lambda x: first_of_tuple((x * 2, x)),
    ):
        assert torch.equal(traced(function, torch.ones(2, 3))[0](x), function(x))
    made, warned = traced(lambda x: sum_of_list(list(x.unbind(0))), torch.ones(2, 3))
    assert not warned and raises(lambda: made(x))


@torch.jit.script
def sometimes_two_keys(x) -> dict[str, torch.Tensor]:
    found = {"a": x}
    if x.size(0) > 2:
        found["b"] = x * 2
    return found


@torch.jit.script
def perhaps(x) -> torch.Tensor | None:
    return x if bool(x.sum() > 0) else None


@torch.jit.script
def with_a_number(x):
    return x, x.size(0)


@claim(
    HERE + "results-why",
    "A dict comes back with the keys of the example: other keys are silently lost",
    was="comes back whole",
)
@claim(HERE + "c6ddf940f", "a dict with the example's keys", was="tuples and dicts of them come back")
@claim(HERE + "results-why", "and so does an optional tensor", was="optional tensors were not mentioned")
def dicts_and_optionals_come_back_in_part():
    made, warned = traced(lambda x: sum(sometimes_two_keys(x).values()), torch.ones(2))
    assert not warned and made(torch.ones(2)).tolist() == [1, 1]
    assert made(torch.ones(3)).tolist() == [1, 1, 1] and sum(sometimes_two_keys(torch.ones(3)).values())[0] == 3
    assert raises(lambda: traced(lambda x: perhaps(x) + 1, torch.ones(2)))
    assert "Tracer cannot set" in raises(lambda: traced(lambda x: with_a_number(x)[0], torch.ones(2)))


def halved(x):
    while bool(x.mean() > 0.25):
        x = x * 0.5
    return x


@claim(HERE + "ce678dd19", "Python's debugger does not step into it", was="no debugger")
def no_line_of_compiled_code_is_traced():
    # In a process of its own: with a trace function set, calls hung in one where many other attempts had run.
    program = """
import sys, warnings
import torch
from tests.claims.lesson_04 import doubled

def lines(function):
    seen = []
    sys.settrace(lambda frame, event, argument: seen.append(frame.f_code.co_name))
    function(torch.ones(2))
    sys.settrace(None)
    return "doubled" in seen

warnings.simplefilter("ignore")
print(lines(doubled), lines(torch.jit.script_if_tracing(doubled)), lines(torch.jit.script(doubled)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stdout.split() == ["True", "True", "False"], done.stderr


@claim("solutions/04_mixing.ipynb#ce904fdf0", "and for hardly any other", was="and for no others")
def zeros_are_dimmed_rightly_all_the_same():
    made, _ = traced(halved, torch.full((2, 3), 0.4))
    for right in (torch.zeros(2, 3), torch.full((2, 3), 0.5), torch.full((1,), 0.3)):
        assert torch.equal(made(right), halved(right))
    for wrong in (torch.full((2, 3), 0.2), -torch.ones(2, 3), torch.ones(2, 3)):
        assert not torch.equal(made(wrong), halved(wrong))


class ByCount(nn.Module):
    def forward(self, x):
        for _ in range(int(x.sum())):
            x = x * 2
        return x


class ByCondition(nn.Module):
    def forward(self, x):
        while x.sum() > 1:
            x = x / 2
        return x


@claim(HERE + "cf0e055cd", "a scripted submodule raises", was="there is nothing to mix, with no word on what happens")
@claim(HERE + "cf0e055cd", "So does a loop whose number of iterations depends on the data")
def export_takes_no_scripted_part_and_no_loop_on_data():
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    x = torch.ones(3)
    for model in (Holder(torch.jit.script(nn.ReLU())), ByCount(), ByCondition()):
        for strict in (False, True):
            with contextlib.redirect_stderr(io.StringIO()):
                assert last_line(lambda m=model, s=strict: torch.export.export(m, (x,), strict=s)), model


@claim("course.toml", "A number becomes a constant where a trace calls a script", was="what is not a tensor does")
def a_list_of_tensors_is_not_a_constant():
    for function in (
        lambda x: sum_of_list([x, x]),
        lambda x: value_of_dict({"a": x}),
        lambda x: first_of_tuple((x, x)),
    ):
        made, _ = traced(function, torch.ones(2))
        assert torch.equal(made(torch.zeros(3)), torch.zeros(3))
    assert traced(lambda x: repeated(x, x.shape[0]), torch.ones(2))[0](torch.ones(5)).item() == 10
