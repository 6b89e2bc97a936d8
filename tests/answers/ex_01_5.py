"""Answers to 01.5: a function (model, example) that returns a trace in eval mode and leaves the model as it was."""

import copy

import torch

from tests.answers import right, wrong


@wrong("Two calls of the trace with the same input differ")
def traced_as_it_is():
    return lambda model, example: torch.jit.trace(model, example)


@wrong("left the model in a different mode")
def mode_not_put_back():
    return lambda model, example: torch.jit.trace(model.eval(), example)


@wrong("left the model in a different mode")
def put_back_by_train():
    def snapshot(model, example):
        was_training = model.training
        model.eval()
        traced = torch.jit.trace(model, example)
        model.train(was_training)
        return traced

    return snapshot


@wrong("changed the running statistics")
def a_forward_to_warm_up():
    def snapshot(model, example):
        model(example)
        return torch.jit.trace(copy.deepcopy(model).eval(), example)

    return snapshot


@wrong("Two calls of the trace with the same input differ")
def eval_after_tracing():
    return lambda model, example: torch.jit.trace(copy.deepcopy(model), example, check_trace=False).eval()


@right
def remembered_modes():
    def snapshot(model, example):
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        traced = torch.jit.trace(model, example)
        for module, training in modes:
            module.training = training
        return traced

    return snapshot


@right
def a_copy():
    return lambda model, example: torch.jit.trace(copy.deepcopy(model).eval(), example)


@right
def a_copy_without_gradients():
    def snapshot(model, example):
        with torch.no_grad():
            return torch.jit.trace(copy.deepcopy(model).eval().requires_grad_(False), example, check_trace=False)

    return snapshot


@wrong("compiled from its source, not a trace")
def scripted():
    return lambda model, example: torch.jit.script(copy.deepcopy(model).eval())


@wrong("changed `requires_grad`")
def parameters_left_frozen():
    def snapshot(model, example):
        modes = [(module, module.training) for module in model.modules()]
        traced = torch.jit.trace(model.eval().requires_grad_(False), example)
        for module, training in modes:
            module.training = training
        return traced

    return snapshot


@wrong("The trace differs from the model in eval mode")
def a_fresh_model():
    def snapshot(model, example):
        fresh = copy.deepcopy(model).eval()
        fresh[0].reset_parameters()
        return torch.jit.trace(fresh, example)

    return snapshot
