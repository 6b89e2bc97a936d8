"""Answers to 01.4: a function (model, example) that returns a trace with forward, encode and decode."""

import torch

from tests.answers import right, wrong


@wrong("The trace has no method `encode`")
def forward_only():
    return lambda model, example: torch.jit.trace(model, example)


@wrong("The trace has no method `decode`")
def decode_forgotten():
    return lambda model, example: torch.jit.trace_module(model, {"forward": example, "encode": example})


@wrong("The trace has no method `forward`")
def forward_forgotten():
    def trace_coder(model, example):
        return torch.jit.trace_module(model, {"encode": example, "decode": model.encode(example)})

    return trace_coder


@wrong("shapes cannot be multiplied", status="your code raised")
def decode_with_the_input_of_encode():
    def trace_coder(model, example):
        return torch.jit.trace_module(model, {"forward": example, "encode": example, "decode": example})

    return trace_coder


@wrong("does not return a trace")
def three_traces():
    def trace_coder(model, example):
        encode = torch.jit.trace_module(model, {"encode": example})
        decode = torch.jit.trace_module(model, {"decode": model.encode(example)})
        return encode, decode, torch.jit.trace(model, example)

    return trace_coder


@wrong("doesn't support compiling individual module's functions", status="your code raised")
def trace_of_a_method():
    return lambda model, example: torch.jit.trace(model.encode, example)


@right
def three_methods():
    def trace_coder(model, example):
        inputs = {"forward": example, "encode": example, "decode": model.encode(example)}
        return torch.jit.trace_module(model, inputs)

    return trace_coder


@right
def without_gradients():
    def trace_coder(model, example):
        with torch.no_grad():
            code = model.encode(example)
            return torch.jit.trace_module(model, {"decode": (code,), "encode": (example,), "forward": (example,)})

    return trace_coder


@right
def by_keywords():
    def trace_coder(model, example):
        code = model.encode(example).detach()
        inputs = {"forward": {"x": example}, "encode": {"x": example}, "decode": {"code": code}}
        return torch.jit.trace_module(model, inputs, example_inputs_is_kwarg=True)

    return trace_coder


@wrong("changed the weights of the model")
def weights_set_to_zero():
    def trace_coder(model, example):
        for parameter in model.parameters():
            parameter.data.zero_()
        inputs = {"forward": example, "encode": example, "decode": model.encode(example)}
        return torch.jit.trace_module(model, inputs)

    return trace_coder


class _Exported(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    @torch.jit.export
    def encode(self, x):
        return self.model.encode(x)

    @torch.jit.export
    def decode(self, code):
        return self.model.decode(code)

    def forward(self, x):
        return self.model(x)


@wrong("compiled from its source, not a trace")
def scripted():
    return lambda model, example: torch.jit.script(_Exported(model))
