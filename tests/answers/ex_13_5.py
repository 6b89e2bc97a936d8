"""Answers to 13.5: a smoothing loop for torch.export."""

import torch
from torch import nn
from torch.export import Dim, export

from tests.answers import right, wrong

ROWS = {"dynamic_shapes": ({0: Dim("rows")},)}


def smooth(signal):
    return 0.5 * signal + 0.25 * (signal.roll(1, 1) + signal.roll(-1, 1))


def jump(signal):
    return signal.diff(dim=1).abs().max()


class New(nn.Module):
    def __init__(self, rate, condition, body):
        super().__init__()
        self.rate, self.condition, self.body = rate, condition, body

    def forward(self, signal):
        start = (torch.zeros((), dtype=torch.int64), signal.clone())
        return self.rate(torch.while_loop(self.condition, self.body, start)[1])


def body(rounds, signal):
    return rounds + 1, smooth(signal)


@wrong("torch rejects your successor")
def exported_as_it_stands():
    return lambda model, example: export(model, (example,), **ROWS)


@wrong("Python still decides about a value")
def joined_by_and():
    def successor(model, example):
        return export(
            New(model.rate, lambda n, s: jump(s) > model.limit and n < 20, body),
            (example,),
            **ROWS,
        )

    return successor


@wrong("stays rough for 20 rounds")
def no_limit_of_rounds():
    def successor(model, example):
        return export(New(model.rate, lambda n, s: (jump(s) > model.limit) & (n < 200), body), (example,), **ROWS)

    return successor


@wrong("differs for a signal")
def a_limit_of_its_own():
    def successor(model, example):
        return export(New(model.rate, lambda n, s: (jump(s) > 0.2) & (n < 20), body), (example,), **ROWS)

    return successor


@wrong("differs for one row")
def fixed_number_of_rows():
    def successor(model, example):
        return export(New(model.rate, lambda n, s: (jump(s) > model.limit) & (n < 20), body), (example,))

    return successor


@wrong("does not return an ExportedProgram")
def the_module_of_it():
    def successor(model, example):
        new = New(model.rate, lambda n, s: (jump(s) > model.limit) & (n < 20), body)
        return export(new, (example,), **ROWS).module()

    return successor


@wrong("differs for a signal that is smooth already")
def always_one_round():
    class Once(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.rate, self.limit = model.rate, model.limit

        def forward(self, signal):
            start = (torch.ones((), dtype=torch.int64), 2 * smooth(signal))
            return self.rate(torch.while_loop(lambda n, s: (jump(s) > self.limit) & (n < 20), body, start)[1])

    return lambda model, example: export(Once(model), (example,), **ROWS)


@right
def twenty_rounds_with_a_mask():
    class Masked(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.rate, self.limit = model.rate, model.limit

        def forward(self, signal):
            for _ in range(20):
                signal = torch.where(jump(signal) > self.limit, smooth(signal), signal)
            return self.rate(signal)

    return lambda model, example: export(Masked(model), (example,), **ROWS)


@right
def counted_down_in_floats():
    class Down(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.rate, self.limit = model.rate, model.limit

        def forward(self, signal):
            def rough(left, signal):
                return torch.logical_and(jump(signal) > self.limit, left > 0)

            start = (torch.full((), 20.0), signal * 1)
            return self.rate(torch.while_loop(rough, lambda left, signal: (left - 1, smooth(signal)), start)[1])

    return lambda model, example: export(Down(model), (example,), dynamic_shapes=({0: Dim.DYNAMIC},))


@wrong("differs for steps that are exactly the limit")
def at_the_limit_too():
    def successor(model, example):
        new = New(model.rate, lambda n, s: (jump(s) >= model.limit) & (n < 20), body)
        return export(new, (example,), **ROWS)

    return successor


@wrong("differs for steps that are exactly the limit")
def from_the_last_to_the_first():
    def around(signal):
        return (signal - signal.roll(1, 1)).abs().max()

    def successor(model, example):
        new = New(model.rate, lambda n, s: (around(s) > model.limit) & (n < 20), body)
        return export(new, (example,), **ROWS)

    return successor


@wrong("stays rough for 20 rounds")
def one_round_fewer():
    def successor(model, example):
        return export(New(model.rate, lambda n, s: (jump(s) > model.limit) & (n < 19), body), (example,), **ROWS)

    return successor


@wrong("differs for a signal")
def the_model_in_place_of_its_module():
    def successor(model, example):
        program = export(nn.Linear(16, 2), (example,), **ROWS)
        program.module = lambda *_, **__: model
        return program

    return successor
