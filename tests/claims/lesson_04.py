"""Claims of lesson 04: what crosses the border between a trace and a script."""

import torch
from torch import nn

from tests.claims import claim
from tests.claims.lesson_01 import raises, traced

HERE = "notebooks/04_mixing.ipynb#"


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


@claim(HERE + "results-why", "Numbers and decisions raise while tracing.")
@claim(HERE + "c6ddf940f", "a number, a `bool` or a string raises", was="what may come back was not said")
def values_do_not_come_back():
    for function in (a_number, a_decision, a_text):
        assert "Tracer cannot set" in raises(lambda f=function: traced(lambda x: x if f(x) else -x, torch.ones(2)))


@claim(HERE + "results-why", "A tuple or a dict of tensors comes back whole.")
@claim(HERE + "results-why", "another length raises in the call")
@claim(HERE + "c6ddf940f", "a list keeps the example's length")
def tensors_come_back():
    x = torch.ones(5, 3)
    for function in (lambda x: a_tuple(x)[0], lambda x: a_dict(x)["sum"]):
        made, _ = traced(function, torch.ones(2, 3))
        assert torch.equal(made(x), function(x))
    made, warned = traced(lambda x: torch.stack(a_list(x)).sum(0), torch.ones(2, 3))
    assert not warned and raises(lambda: made(x))


@claim(HERE + "c8941e776", "`check_inputs` of another length raises", was="no check of torch notices")
@claim(HERE + "c6ddf940f", "an `int`, `float` or `bool` argument is silently baked")
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


@claim(HERE + "ce678dd19", "it stays Python until somebody traces it, or compiles what calls it")
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
