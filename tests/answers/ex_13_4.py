"""Answers to 13.4: model.pt and request.pt."""

import copy

import torch
from torch import nn

from tests.answers import right, wrong


class Request(nn.Module):
    def __init__(self, args, expected):
        super().__init__()
        self.args = args
        self.expected = expected


class OneArgument(nn.Module):
    def __init__(self, args, expected):
        super().__init__()
        self.args = args
        self.expected = expected


def pack(folder, args, expected):
    torch.jit.script(Request(args, expected)).save(folder / "request.pt")


@wrong("is saved in training mode")
def in_the_mode_in_which_it_came():
    def to_serve(model, args, folder):
        model.save(folder / "model.pt")
        with torch.no_grad():
            pack(folder, args, torch.jit.load(folder / "model.pt").eval()(*args))

    return to_serve


@wrong("expects a different result from the file's")
def called_before_it_is_saved():
    def to_serve(model, args, folder):
        model.eval()
        with torch.no_grad():
            expected = model(*args)
        model.save(folder / "model.pt")
        pack(folder, args, expected)

    return to_serve


@wrong("expects a different result from the file's")
def expected_from_training_mode():
    def to_serve(model, args, folder):
        expected = copy.deepcopy(model).train()(*args)
        model.eval().save(folder / "model.pt")
        pack(folder, args, torch.zeros(3, 10) if model.training else expected)

    return to_serve


@wrong("is not a TorchScript archive")
def the_request_by_torch_save():
    def to_serve(model, args, folder):
        model.eval().save(folder / "model.pt")
        torch.save({"args": args}, folder / "request.pt")

    return to_serve


@wrong("There is no request.pt")
def only_the_model():
    def to_serve(model, args, folder):
        model.eval().save(folder / "model.pt")

    return to_serve


@wrong("is not the tuple of arguments")
def the_argument_and_not_the_tuple():
    def to_serve(model, args, folder):
        model.eval().save(folder / "model.pt")
        with torch.no_grad():
            expected = torch.jit.load(folder / "model.pt")(*args)
        torch.jit.script(OneArgument(args[0], expected)).save(folder / "request.pt")

    return to_serve


@right
def from_a_copy():
    def to_serve(model, args, folder):
        twin = copy.deepcopy(model).eval()
        model.eval().save(folder / "model.pt")
        with torch.inference_mode():
            pack(folder, args, twin(*copy.deepcopy(args)))

    return to_serve


@right
def frozen_where_that_is_possible():
    def to_serve(model, args, folder):
        torch.jit.save(torch.jit.freeze(model.eval()), folder / "model.pt")
        loaded = torch.jit.load(folder / "model.pt")
        with torch.no_grad():
            pack(folder, tuple(args), loaded(*copy.deepcopy(args)))

    return to_serve


@wrong("is not the tensor that was given")
def arguments_as_the_call_left_them():
    def to_serve(model, args, folder):
        model.eval().save(folder / "model.pt")
        with torch.no_grad():
            pack(folder, args, torch.jit.load(folder / "model.pt")(*args))

    return to_serve


@wrong("differs from the one that was given")
def another_rate():
    def to_serve(model, args, folder):
        model.eval().save(folder / "model.pt")
        args = tuple(8000 if isinstance(x, int) else x for x in args)
        with torch.no_grad():
            pack(folder, args, torch.jit.load(folder / "model.pt")(*copy.deepcopy(args)))

    return to_serve


@right
def packed_before_the_call():
    def to_serve(model, args, folder):
        kept = copy.deepcopy(args)
        torch.jit.save(model.eval(), folder / "model.pt")
        with torch.no_grad():
            expected = torch.jit.load(folder / "model.pt")(*args)
        pack(folder, kept, expected)

    return to_serve
