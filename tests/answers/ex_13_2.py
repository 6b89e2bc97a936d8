"""Answers to 13.2: the conversion that holds, or None."""

import warnings

import torch

from course_utils import check_parity
from course_utils.recommend import recommend
from tests.answers import right, wrong


def traced(model, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(model, x, check_trace=False)


@wrong("differs from the model")
def a_trace_is_believed():
    return lambda model, inputs: traced(model, inputs[0])


@wrong("returns None")
def gives_up_at_the_first_refusal():
    def converted(model, inputs):
        try:
            made = torch.jit.script(model)
        except Exception:
            return None
        return made if check_parity(model, made, inputs) else None

    return converted


@wrong("differs from the model")
def compared_on_the_example_alone():
    def converted(model, inputs):
        for make in (traced, lambda model, x: torch.jit.script(model)):
            try:
                made = make(model, inputs[0])
            except Exception:
                continue
            if torch.equal(made(inputs[0]), model(inputs[0])):
                return made
        return None

    return converted


@wrong("is no ScriptModule")
def the_advice_itself():
    return lambda model, inputs: recommend(model, inputs[0], inputs[1:])


@wrong("returns None")
def nothing_at_all():
    return lambda model, inputs: None


@wrong("RuntimeError", status="your code raised")
def only_scripts():
    return lambda model, inputs: torch.jit.script(model)


@right
def by_recommendation():
    return lambda model, inputs: recommend(model, inputs[0], inputs[1:]).converted


@right
def trace_first_and_frozen():
    def converted(model, inputs):
        for make in (traced, lambda model, x: torch.jit.script(model)):
            try:
                made = torch.jit.freeze(make(model, inputs[0]))
            except Exception:
                continue
            if check_parity(model, made, inputs).ok:
                return made
        return None

    return converted
