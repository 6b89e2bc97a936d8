"""Answers to 04.4: a converter that compares before it returns."""

import torch

from course_utils import check_parity
from course_utils.tools.advice import recommend
from tests.answers import right, wrong


@wrong("What you return for a branch on the first value differs")
def always_traced():
    return lambda model, example, others: torch.jit.trace(model, example)


@wrong("'Tensor' object has no attribute or method 'forward'", status="your code raised")
def always_scripted():
    return lambda model, example, others: torch.jit.script(model)


@wrong("What you return for a branch on the first value differs")
def compared_on_the_example_only():
    def convert(model, example, others):
        traced = torch.jit.trace(model, example, strict=False)
        return traced if check_parity(model, traced, example).ok else torch.jit.script(model)

    return convert


@wrong("What you return for an integer power differs")
def what_compiles_is_believed():
    def convert(model, example, others):
        try:
            return torch.jit.script(model)
        except Exception:
            traced = torch.jit.trace(model, example)
            return traced if check_parity(model, traced, [example, *others]).ok else None

    return convert


@wrong("is not converted")
def eager_when_in_doubt():
    def convert(model, example, others):
        try:
            traced = torch.jit.trace(model, example)
        except Exception:
            return model
        return traced if check_parity(model, traced, [example, *others]).ok else model

    return convert


@wrong("there is a conversion that holds, and your function returns None")
def gives_up_after_the_first():
    def convert(model, example, others):
        try:
            traced = torch.jit.trace(model, example)
        except Exception:
            return None
        return traced if check_parity(model, traced, [example, *others]).ok else None

    return convert


@wrong("no conversion holds, and your function returns one")
def any_conversion_in_the_end():
    def convert(model, example, others):
        try:
            scripted = torch.jit.script(model)
            if check_parity(model, scripted, [example, *others]).ok:
                return scripted
        except Exception:
            pass
        return torch.jit.trace(model, example)

    return convert


@right
def script_first():
    def convert(model, example, others):
        for way in (torch.jit.script, lambda m: torch.jit.trace(m, example, check_trace=False, strict=False)):
            try:
                converted = way(model)
            except Exception:
                continue
            if check_parity(model, converted, [example, *others], calls=1).ok:
                return converted

    return convert


@right
def by_recommend():
    return lambda model, example, others: recommend(model, example, others).converted


@right
def compared_by_hand():
    def same(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        return a.dtype == b.dtype and a.shape == b.shape and torch.allclose(a, b)

    def convert(model, example, others):
        for way in ("trace", "script"):
            try:
                converted = torch.jit.trace(model, example) if way == "trace" else torch.jit.script(model)
                if all(same(model(x), converted(x)) for x in [example, *others]):
                    return converted
            except Exception:
                continue
        return None

    return convert
