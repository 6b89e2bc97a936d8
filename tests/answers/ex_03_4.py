"""Answers to 03.4: a buffer that a trace goes on changing."""

import torch
from torch import nn

from tests.answers import right, wrong


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(()))


@wrong("the average of the call before is not kept")
def assigned():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.average = 0.5 * self.average + 0.5 * x.mean()
            return x - self.average

    return SmoothInTrace


@wrong("The first call of your eager module is wrong already")
def subtracted_first():
    class SmoothInTrace(Base):
        def forward(self, x):
            out = x - self.average
            self.average.mul_(0.5).add_(0.5 * x.mean())
            return out

    return SmoothInTrace


@wrong("is wrong: the average of the call before is not kept")
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


@wrong("The answer is no module class")
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
