"""Answers to 13.2: the conversion that holds, or None."""

import copy
import warnings

import torch
from torch import nn

from course_utils import check_parity
from course_utils.tools.advice import recommend
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
        return made if check_parity(model, made, inputs).ok else None

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


@wrong("does not return a ScriptModule")
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
                made = torch.jit.freeze(make(copy.deepcopy(model), inputs[0]))
            except Exception:
                continue
            if check_parity(model, made, inputs).ok:
                return made
        return None

    return converted


@wrong("leaves a model with a branch that does not compile in a different mode")
def leaves_it_in_eval_mode():
    def converted(model, inputs):
        return recommend(model.eval(), inputs[0], inputs[1:]).converted

    return converted


@wrong("Your function changes a model that counts its calls in a buffer")
def traces_the_model_itself():
    def converted(model, inputs):
        for make in (traced, lambda model, x: torch.jit.script(model)):
            try:
                made = make(model, inputs[0])
            except Exception:
                continue
            if check_parity(model, made, inputs).ok:
                return made
        return None

    return converted


@wrong("Your function changes a model without decisions")
def leaves_no_weights_behind():
    def converted(model, inputs):
        made = copy.deepcopy(recommend(model, inputs[0], inputs[1:]).converted)
        with torch.no_grad():
            for weight in model.parameters():
                weight.zero_()
        return made

    return converted


class Table(nn.Module):
    """Knows the answers to the inputs of the list, and no others."""

    def __init__(self, asked, answers):
        super().__init__()
        self.asked = asked
        self.answers = answers

    def forward(self, x: torch.Tensor):
        for number, asked in enumerate(self.asked):
            if asked.shape == x.shape and bool((asked == x).all()):
                return self.answers[number]
        return x


@wrong("is right for the inputs of the list, but differs for another one")
def a_table_of_answers():
    def converted(model, inputs):
        with torch.no_grad():
            answers = [copy.deepcopy(model)(x) for x in inputs]
        return torch.jit.script(Table(inputs, answers))

    return converted


HELD = []


class Eager(nn.Module):
    """Scripted, it calls back into Python, where the eager model is."""

    @torch.jit.ignore
    def there(self, x: torch.Tensor) -> torch.Tensor:
        return HELD[-1](x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.there(x)


@wrong("cannot be saved")
def back_into_python():
    def converted(model, inputs):
        HELD.append(copy.deepcopy(model))
        return torch.jit.script(Eager())

    return converted


@wrong("Your function changes a model that counts its calls and does not compile")
def scripts_first_and_traces_the_model_itself():
    def converted(model, inputs):
        for make in (lambda model, x: torch.jit.script(model), traced):
            try:
                made = make(model, inputs[0])
            except Exception:
                continue
            if check_parity(model, made, inputs).ok:
                return made
        return None

    return converted
