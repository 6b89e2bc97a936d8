"""Answers to 01.3: a function (model, example) that returns a trace with the model's dict."""

import copy

import torch
from torch import nn

from tests.answers import right, wrong


@wrong("Encountering a dict at the output of the tracer", status="your code raised")
def strict():
    return lambda model, example: torch.jit.trace(model, example)


class _First(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return tuple(self.model(x).values())


@wrong("The trace does not return a dict")
def wrapped_into_a_tuple():
    return lambda model, example: torch.jit.trace(_First(model), example)


class _FixedKeys(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        out = self.model(x)
        return {"scores": out["scores"], "digit": out["scores"].argmax(1)}


@wrong("The dict of the trace differs")
def keys_of_the_notebook():
    return lambda model, example: torch.jit.trace(_FixedKeys(model), example, strict=False)


@wrong("does not return a trace")
def the_model_itself():
    return lambda model, example: model


@wrong("returns nothing")
def forgotten_return():
    def trace_with_dict(model, example):
        torch.jit.trace(model, example, strict=False)

    return trace_with_dict


@right
def not_strict():
    return lambda model, example: torch.jit.trace(model, example, strict=False)


@right
def not_strict_by_trace_module():
    return lambda model, example: torch.jit.trace_module(model, {"forward": example}, strict=False)


@right
def other_example():
    def trace_with_dict(model, example):
        with torch.no_grad():
            return torch.jit.trace(model.eval(), torch.cat([example, example]), strict=False, check_trace=False)

    return trace_with_dict


@wrong("compiled from its source, not a trace")
def scripted():
    return lambda model, example: torch.jit.script(model)


@wrong("Two calls of the trace with the same input differ")
def a_copy_in_train_mode():
    def trace_with_dict(model, example):
        return torch.jit.trace(copy.deepcopy(model).train(), example, strict=False, check_trace=False)

    return trace_with_dict


@wrong("left the model in a different mode")
def train_mode_left_behind():
    def trace_with_dict(model, example):
        traced = torch.jit.trace(model, example, strict=False)
        model.train()
        return traced

    return trace_with_dict


@right
def frozen():
    return lambda model, example: torch.jit.freeze(torch.jit.trace(model, example, strict=False))
