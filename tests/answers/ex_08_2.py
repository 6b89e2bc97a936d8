"""Answers to 08.2: a tolerance that follows the dtype and the outputs."""

import copy

import torch

from tests.answers import right, wrong


@wrong("Too tight: an honest rounding is rejected")
def defaults_of_float32():
    return lambda model, x: (1.3e-6, 1e-5)


@wrong("Too loose: a planted error passes")
def whatever_makes_it_green():
    return lambda model, x: (0.1, 0.1)


@wrong("Too tight: an honest rounding is rejected")
def relative_only():
    return lambda model, x: (32 * torch.finfo(x.dtype).eps, 0.0)


@wrong("Too tight: an honest rounding is rejected")
def scale_forgotten():
    return lambda model, x: (0.0, 32 * torch.finfo(x.dtype).eps)


@wrong("Too loose: a planted error passes")
def dtype_forgotten():
    return lambda model, x: (0.0, 0.02 * model(x).abs().max().item())


@wrong("Too tight: an honest rounding is rejected")
def one_step_of_rounding():
    return lambda model, x: (0.0, 0.5 * torch.finfo(x.dtype).eps * model(x).abs().max().item())


@wrong("does not return two numbers")
def one_number():
    return lambda model, x: 32 * torch.finfo(x.dtype).eps * model(x).abs().max().item()


@wrong("A tolerance is a finite number")
def infinite():
    return lambda model, x: (0.0, float("inf"))


@right
def measured_against_float64():
    def tolerance(model, x):
        out = model(x)
        moved = (copy.deepcopy(model).double()(x.double()) - out).abs().max().item()
        step = torch.finfo(x.dtype).eps * out.abs().max().item()
        return 0.0, 8 * max(moved, step)

    return tolerance


@right
def both_parts():
    def tolerance(model, x):
        eps = torch.finfo(x.dtype).eps
        return 16 * eps, 16 * eps * model(x).abs().max().item()

    return tolerance


@right
def by_a_table():
    shares = {torch.float32: 1e-5, torch.bfloat16: 0.1, torch.float64: 1e-14}
    return lambda model, x: (0.0, shares[x.dtype] * float(model(x).detach().abs().max()))


@wrong("Too tight: an honest rounding is rejected")
def two_steps_of_the_greatest():
    return lambda model, x: (0.0, 2 * torch.finfo(x.dtype).eps * model(x).abs().max().item())
