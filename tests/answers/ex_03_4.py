"""Answers to 03.4: a buffer that a trace goes on changing."""

import torch
from torch import nn

from tests.answers import right, wrong


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(()))


@wrong("the average is not kept")
def assigned():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average = 0.5 * self.average + 0.5 * x.mean()
            return x - self.average

    return SmoothInTrace


@wrong("the order: first the new average")
def subtracted_first():
    class SmoothInTrace(Base):
        def forward(self, x):
            out = x - self.average
            self.average.mul_(0.5).add_(0.5 * x.mean())
            return out

    return SmoothInTrace


@wrong("the average is not kept")
def local_only():
    class SmoothInTrace(Base):
        def forward(self, x):
            average = 0.5 * self.average + 0.5 * x.mean()
            return x - average

    return SmoothInTrace


@wrong("changes its input")
def input_in_place():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.mul_(0.5).add_(0.5 * x.mean())
            return x.sub_(self.average)

    return SmoothInTrace


@wrong("neither a module class nor an instance of one")
def a_function():
    return lambda x: x - x.mean()


@right
def copied():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.copy_(0.5 * self.average + 0.5 * x.mean())
            return x - self.average

    return SmoothInTrace


@right
def by_lerp():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.lerp_(x.mean(), 0.5)
            return x - self.average

    return SmoothInTrace


@right
def an_instance():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average += 0.5 * (x.mean() - self.average)
            return x - self.average

    return SmoothInTrace()


@right
def a_function_that_makes_one():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.copy_((self.average + x.mean()) / 2)
            return x - self.average

    return lambda: SmoothInTrace()


@wrong("the average is wrong")
def clamped_at_zero():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.mul_(0.5).add_(0.5 * x.mean()).clamp_(min=0)
            return x - self.average

    return SmoothInTrace


@wrong("the average is wrong")
def the_middle_of_the_extremes():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.mul_(0.5).add_(0.25 * (x.min() + x.max()))
            return x - self.average

    return SmoothInTrace


@wrong("the average is wrong")
def twice_the_average_kept():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.mul_(0.5).add_(x.mean())
            return x - self.average / 2

    return SmoothInTrace


@wrong("half of the old one, and half of the mean")
def other_weights():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.mul_(0.9).add_(0.1 * x.mean())
            return x - self.average

    return SmoothInTrace


@wrong("half of the old one, and half of the mean")
def the_sum():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.mul_(0.5).add_(0.5 * x.sum())
            return x - self.average

    return SmoothInTrace


@wrong("eager module in eval mode the buffer is what it was before")
def only_in_train_mode():
    class SmoothInTrace(Base):
        def forward(self, x):
            if self.training:
                self.average.mul_(0.5).add_(0.5 * x.mean())
            return x - self.average

    return SmoothInTrace


@wrong("trace the buffer is what it was before: the average is not kept")
def by_data():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average.data = 0.5 * self.average.data + 0.5 * x.mean()
            return x - self.average

    return SmoothInTrace


@wrong("has no buffer `average`")
def under_another_name():
    class SmoothInTrace(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, x):
            self.mean.mul_(0.5).add_(0.5 * x.mean())
            return x - self.mean

    return SmoothInTrace


class Scripted(Base):
    def forward(self, x):
        self.average = 0.5 * self.average + 0.5 * x.mean()
        return x - self.average


@wrong("Your function is scripted, or calls a part that is")
def scripted():
    return torch.jit.script(Scripted())
