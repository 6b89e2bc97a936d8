"""Answers to 03.4: buffers that a trace goes on changing."""

import torch
from torch import nn

from tests.answers import right, wrong


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("average", torch.zeros(()))


class InPython(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0
        self.register_buffer("average", torch.zeros(()))


@wrong("Your module has no buffer `calls`")
def counted_in_python():
    class SmoothInTrace(InPython):
        def forward(self, x):
            self.calls += 1
            self.average += (x.mean() - self.average) / self.calls
            return x - self.average

    return SmoothInTrace


@wrong("of your trace `calls` is what it was before: it is not kept")
def assigned():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls = self.calls + 1
            self.average = self.average + (x.mean() - self.average) / self.calls
            return x - self.average

    return SmoothInTrace


@wrong("of your trace `average` is what it was before: it is not kept")
def average_assigned():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average = self.average + (x.mean() - self.average) / self.calls
            return x - self.average

    return SmoothInTrace


@wrong("After call 1 of your trace `average` is wrong")
def divided_by_a_number():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average += (x.mean() - self.average) / float(self.calls)
            return x - self.average

    return SmoothInTrace


@wrong("the order: first the new average")
def subtracted_first():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            out = x - self.average
            self.average += (x.mean() - self.average) / self.calls
            return out

    return SmoothInTrace


@wrong("of your eager module `average` is what it was before")
def local_only():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            average = self.average + (x.mean() - self.average) / self.calls
            return x - average

    return SmoothInTrace


@wrong("changes its input")
def input_in_place():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average += (x.mean() - self.average) / self.calls
            return x.sub_(self.average)

    return SmoothInTrace


@wrong("neither a module class nor an instance of one")
def a_function():
    return lambda x: x - x.mean()


@right
def copied():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls.copy_(self.calls + 1)
            self.average.copy_(self.average + (x.mean() - self.average) / self.calls)
            return x - self.average

    return SmoothInTrace


@right
def by_lerp_with_whole_numbers():
    class SmoothInTrace(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
            self.register_buffer("average", torch.zeros(()))

        def forward(self, x):
            self.calls.add_(1)
            self.average.lerp_(x.mean(), 1 / self.calls)
            return x - self.average

    return SmoothInTrace


@right
def an_instance():
    class SmoothInTrace(Base):
        def forward(self, x):
            total = self.average * self.calls + x.mean()
            self.calls += 1
            self.average.copy_(total / self.calls)
            return x - self.average

    return SmoothInTrace()


@right
def a_function_that_makes_one():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average.mul_(1 - 1 / self.calls).add_(x.mean() / self.calls)
            return x - self.average

    return lambda: SmoothInTrace()


@wrong("`average` is wrong")
def clamped_at_zero():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average += (x.mean() - self.average) / self.calls
            self.average.clamp_(min=0)
            return x - self.average

    return SmoothInTrace


@wrong("`average` is wrong")
def the_middle_of_the_extremes():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average += (0.5 * (x.min() + x.max()) - self.average) / self.calls
            return x - self.average

    return SmoothInTrace


@wrong("its distance to the mean divided by the count")
def half_and_half():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average.lerp_(x.mean(), 0.5)
            return x - self.average

    return SmoothInTrace


@wrong("its distance to the mean divided by the count")
def the_sum():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average += (x.sum() - self.average) / self.calls
            return x - self.average

    return SmoothInTrace


@wrong("the count: one more in each call")
def counts_values():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += x.numel()
            self.average += (x.mean() - self.average) / self.calls
            return x - self.average

    return SmoothInTrace


@wrong("eager module in eval mode `calls` is what it was before")
def only_in_train_mode():
    class SmoothInTrace(Base):
        def forward(self, x):
            if self.training:
                self.calls += 1
                self.average += (x.mean() - self.average) / self.calls
            return x - self.average

    return SmoothInTrace


@wrong("of your trace `average` is what it was before: it is not kept")
def by_data():
    class SmoothInTrace(Base):
        def forward(self, x):
            self.calls += 1
            self.average.data = self.average.data + (x.mean() - self.average.data) / self.calls
            return x - self.average

    return SmoothInTrace


@wrong("has no buffer `average`")
def under_another_name():
    class SmoothInTrace(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            self.mean += (x.mean() - self.mean) / self.calls
            return x - self.mean

    return SmoothInTrace


class Scripted(Base):
    def forward(self, x):
        self.calls = self.calls + 1
        self.average = self.average + (x.mean() - self.average) / self.calls
        return x - self.average


@wrong("Your function is scripted, or calls a part that is")
def scripted():
    return torch.jit.script(Scripted())
