"""Claims of lesson 01: what a trace records, and what it does not."""

import math
import warnings

import torch
from torch import nn

from tests.claims import claim

HERE = "notebooks/01_tracing.ipynb#"


def traced(function, example, **options):
    """The trace, and whether a TracerWarning came."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        made = torch.jit.trace(function, example, **options)
    return made, any(w.category is torch.jit.TracerWarning for w in seen)


def raises(act):
    try:
        act()
    except (RuntimeError, TypeError, torch.jit.TracingCheckError) as error:
        return str(error) or type(error).__name__
    return ""


@claim(HERE + "silent-leaks-intro", "The list of warnings is not complete.")
@claim(HERE + "silent-leaks-why", "All are silently baked in.", was="TracerWarning tells that a value left the tensors")
@claim(
    HERE + "c5f4815b6",
    "that a value may have left the tensors and become a constant; many do so silently",
    was="range and the mode only",
)
def values_leave_silently():
    for function in (
        lambda x: x * x.data.sum(),
        lambda x: x * 2 if torch.equal(x, x.abs()) else x * 3,
        lambda x: x * 2 if torch.allclose(x, x.abs()) else x * 3,
        lambda x: x * 2 if (x.sum() > 0).is_nonzero() else x * 3,
        lambda x: x * [3, 2][(x.sum() > 0).long()],
    ):
        made, warned = traced(function, torch.ones(2))
        assert not warned
        assert not torch.equal(made(-torch.ones(2)), function(-torch.ones(2)))


@claim(HERE + "silent-leaks-why", "`x.detach()`, which is recorded")
def detach_is_recorded():
    for function in (lambda x: x.detach() * 2, lambda x: x * x.detach().sum(), lambda x: x.detach().clone() + x):
        made, warned = traced(function, torch.ones(2))
        assert not warned and torch.equal(made(-torch.ones(3)), function(-torch.ones(3)))


@claim(HERE + "sizes-silent-why", "A loop over `split` or `unbind` is unrolled too")
@claim(HERE + "sizes-silent-why", "with a different number of pieces, the trace raises")
def pieces_are_unrolled():
    for function in (
        lambda x: sum(p for p in x.split(1)),
        lambda x: sum(p for p in x.unbind(0)),
        lambda x: torch.stack(list(x.unbind(0))),
    ):
        made, warned = traced(function, torch.ones(2, 3))
        assert not warned and raises(lambda made=made: made(torch.ones(5, 3)))


@claim(HERE + "sizes-silent-why", "`shape.numel()` is silently baked in, whereas `x.numel()` is recorded")
def number_of_elements():
    x = torch.ones(5)
    for function, right in (
        (lambda x: x * x.shape.numel(), False),
        (lambda x: x * x.size().numel(), False),
        (lambda x: x * x.numel(), True),
    ):
        made, warned = traced(function, torch.ones(2))
        assert not warned and torch.equal(made(x), function(x)) is right


@claim(
    HERE + "sizes-silent-why", "arithmetic on a size is done in **float32**", was="arithmetic on a recorded size stays"
)
@claim(HERE + "c5f4815b6", "arithmetic on it, computed in float32", was="stays variable, without the precision")
def sizes_in_single_precision():
    x = torch.ones(2, 7, dtype=torch.float64)
    for function in (lambda x: x * x.shape[1] ** 0.5, lambda x: x * (x.shape[1] / 3), lambda x: x * (x.shape[1] + 0.1)):
        made, warned = traced(function, torch.ones(2, 3, dtype=torch.float64), check_trace=False)
        off = (made(x) - function(x)).abs().max()
        assert not warned and 1e-12 < off < 1e-5


@claim(HERE + "ca767398a", "through `+`, `*`, `/`, `//` and `**`")
def arithmetic_stays():
    x = torch.ones(9)
    for function in (
        lambda x: x * (x.shape[0] + 1),
        lambda x: x * (x.shape[0] * 2),
        lambda x: x * (x.shape[0] / 2),
        lambda x: x * (x.shape[0] // 2),
        lambda x: x * (x.shape[0] ** 2),
    ):
        made, warned = traced(function, torch.ones(4))
        assert not warned and torch.allclose(made(x), function(x))


@claim(HERE + "ca767398a", "`math.sqrt`, `int`, or `max`, which compares")
def plain_numbers_lose_it():
    x = torch.ones(9)
    for function in (
        lambda x: x * math.sqrt(x.shape[0]),
        lambda x: x * int(x.shape[0]),
        lambda x: x * max(x.shape[0], 3),
    ):
        made, warned = traced(function, torch.ones(2))
        assert warned and not torch.equal(made(x), function(x))


@claim(HERE + "ca767398a", "`round` and `divmod` raise")
def round_raises():
    for function in (lambda x: x * round(x.shape[0] / 3), lambda x: x * divmod(x.shape[0], 3)[0]):
        assert raises(lambda function=function: traced(function, torch.ones(2)))


@claim(HERE + "ceef9911e", "three calls in all by default", was="calls the function once")
def calls_of_the_function():
    for check, times in ((True, 3), (False, 1)):
        calls = []

        def function(x, calls=calls):
            calls.append(1)
            return x * 2

        traced(function, torch.ones(2), check_trace=check)
        assert len(calls) == times


@claim(HERE + "c2a653d3f", "Numbers, strings and `None` raise")
@claim(
    HERE + "c2a653d3f", "The values of a dict must have one type, and a list must not be empty", was="dicts of tensors"
)
def inputs_that_raise():
    for other in (3, "three", None, [], {"a": torch.ones(1), "b": [torch.ones(1)]}):
        assert raises(lambda other=other: traced(lambda x, y: x, (torch.ones(1), other)))
    made, _ = traced(lambda x, y: x + y["a"], (torch.ones(1), {"a": torch.ones(1)}))
    assert made(torch.ones(1), {"a": torch.ones(1)}).item() == 2


@claim(HERE + "cdb6b375f", "a tensor, a tuple, or a list, which warns", was="a tensor or a tuple")
@claim(HERE + "cdb6b375f", "A number, a string or `None` in the output raises.")
def outputs():
    made, warned = traced(lambda x: (x, x * 2), torch.ones(1))
    assert not warned and len(made(torch.ones(1))) == 2
    made, warned = traced(lambda x: [x, x * 2], torch.ones(1))
    assert warned and isinstance(made(torch.ones(1)), list)
    for other in (3, "three", None):
        assert raises(lambda other=other: traced(lambda x: (x, other), torch.ones(1), strict=False))


class Marked(nn.Module):
    def forward(self, x):
        return x

    @torch.jit.export
    def gate(self, x):
        if bool(x.sum() > 0):
            return x * 2
        return x * 3

    def plain(self, x):
        return x


@claim(
    HERE + "c1ec9f278", "Other methods are absent unless they are marked with `@torch.jit.export`", was="are not there"
)
def marked_methods():
    made, _ = traced(Marked(), torch.ones(1))
    assert not hasattr(made, "plain")
    assert made.gate(torch.ones(1)).item() == 2 and made.gate(-torch.ones(1)).item() == -3
    assert "if" in made.gate.code


@claim(HERE + "c42077ee2", "the structure does not depend on the input")
def structure_of_the_example():
    def function(x):
        return {"big": x} if x.numel() > 2 else {"small": x}

    made, _ = traced(function, torch.ones(2), strict=False)
    assert list(made(torch.ones(5))) == ["small"] and list(function(torch.ones(5))) == ["big"]
    assert list(made(torch.ones(1))) == ["small"]


@claim(HERE + "ca07ec541", "The mode of the *recording* is therefore the mode of the trace, permanently")
def mode_for_good():
    x = torch.ones(64)
    for training in (False, True):
        made, _ = traced(nn.Sequential(nn.Dropout(0.5)).train(training), x, check_trace=False)
        for mode in (False, True):
            assert bool((made.train(mode)(x) == 0).any()) is training
