"""Answers to 13.6: a model of one's own, and inputs that say something about it."""

import torch
from torch import nn

from course_utils.classroom import models
from tests.answers import right, wrong


class Limiter(nn.Module):
    def forward(self, x):
        while bool(x.abs().max() > 1):
            x = x * 0.5
        return x


class TwoInputs(nn.Module):
    def forward(self, x, rate: int):
        if rate > 8000:
            return {"sound": x[:, ::2], "rate": rate // 2}
        return {"sound": x, "rate": rate}


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.randn(x.shape, generator=GENERATOR)


GENERATOR = torch.Generator().manual_seed(0)


class Unconvertible(nn.Module):
    def __init__(self):
        super().__init__()
        self.change = lambda x: x * 2

    def forward(self, x):
        if bool(x.sum() < 0):
            return self.change(x)
        return x + 1


def two_sizes():
    return torch.rand(2, 3), [torch.rand(5, 3), -torch.rand(1, 3)]


@wrong("training mode")
def in_training_mode():
    return lambda: ("net", nn.Sequential(nn.Linear(3, 2), nn.Dropout()), *two_sizes())


@wrong("Every input has the same sizes")
def one_size():
    return lambda: ("limiter", Limiter().eval(), torch.rand(2, 3), [torch.rand(2, 3) * 10])


@wrong("Every input has the same sizes")
def no_others():
    return lambda: ("limiter", Limiter().eval(), torch.rand(2, 3), [])


@wrong("Two of your inputs are the same")
def the_same_twice():
    def my_model():
        example = torch.rand(2, 3)
        return "limiter", Limiter().eval(), example, [torch.rand(4, 3), example]

    return my_model


@wrong("differs from its own copy")
def random_numbers():
    return lambda: ("noisy", Noisy().eval(), *two_sizes())


@wrong("No conversion of your model is correct")
def neither_traced_nor_scripted():
    return lambda: ("neither", Unconvertible().eval(), torch.rand(2, 3), [-torch.rand(5, 3)])


@wrong("takes your function")
def called_too_early():
    return ("limiter", Limiter().eval(), *two_sizes())


@wrong("four things")
def without_a_name():
    return lambda: (Limiter().eval(), *two_sizes())


@wrong("in this order")
def in_another_order():
    return lambda: (Limiter().eval(), "limiter", *two_sizes())


@wrong("give the model a name", status="your code raised")
def a_name_of_signs():
    return lambda: ("!", Limiter().eval(), *two_sizes())


@right
def with_a_loop():
    return lambda: ("limiter", Limiter().eval(), torch.rand(2, 3), [torch.rand(5, 3) * 100, torch.zeros(1, 3)])


@right
def two_arguments_and_a_dict():
    def my_model():
        others = [(torch.rand(3, 6), 8000), (torch.rand(1, 4), 16000)]
        return "halver", TwoInputs().eval(), (torch.rand(2, 8), 16000), others

    return my_model


@right
def torchscript_already():
    def my_model():
        scripted = torch.jit.script(models.DigitNet().eval())
        return "digits", scripted, torch.rand(2, 1, 8, 8), [torch.rand(3, 1, 8, 8)]

    return my_model


class Tally(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.seen = 0

    def forward(self, x):
        self.calls += 1
        self.seen += x.shape[0]
        return x * self.calls + self.seen


class Picky(nn.Module):
    def forward(self, x):
        return x.reshape(2, 3) * 2


@wrong("No input has a value that the example does not have")
def another_size_and_the_same_values():
    return lambda: ("limiter", Limiter().eval(), torch.ones(2, 3), [torch.ones(5, 3), torch.ones(1, 3)])


@wrong("No input has a value that the example does not have")
def pieces_of_the_example():
    def my_model():
        example = torch.rand(4, 3)
        return "limiter", Limiter().eval(), example, [example[:1], example[1:]]

    return my_model


@wrong("Your model raises on number 1 of the others")
def the_other_size_is_an_error():
    return lambda: ("picky", Picky().eval(), torch.rand(2, 3), [torch.rand(5, 3), torch.rand(2, 3)])


@wrong("Your model raises on its own example")
def an_example_that_is_an_error():
    return lambda: ("picky", Picky().eval(), torch.rand(4, 3), [torch.rand(2, 3), torch.rand(6, 1)])


@right
def in_training_mode_without_a_difference():
    return lambda: ("net", nn.Sequential(nn.Linear(3, 2), nn.ReLU()), *two_sizes())


@right
def four_things_in_a_list():
    return lambda: ["limiter", Limiter().eval(), *two_sizes()]


@right
def a_model_that_remembers():
    return lambda: ("tally", Tally().eval(), *two_sizes())


@right
def frozen_already():
    return lambda: ("net", torch.jit.freeze(torch.jit.script(nn.Linear(3, 2).eval())), *two_sizes())
