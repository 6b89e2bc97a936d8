"""Answers to 03.2: running means without a loop in Python."""

import torch

from tests.answers import right, wrong


@wrong("it is wrong for 9")
def the_same_loop():
    def running_for_any(x):
        return torch.stack([x[: t + 1].mean(0) for t in range(x.shape[0])])

    return running_for_any


@wrong("returns different results from the given one")
def divided_by_all():
    def running_for_any(x):
        return x.cumsum(0) / x.shape[0]

    return running_for_any


@wrong("returns different results from the given one")
def not_divided():
    def running_for_any(x):
        return x.cumsum(0)

    return running_for_any


@wrong("Traced with 4 rows")
def counted_in_python():
    def running_for_any(x):
        count = torch.tensor([[float(t + 1)] for t in range(x.shape[0])])
        return x.cumsum(0) / count

    return running_for_any


@right
def by_a_matrix():
    def running_for_any(x):
        below = torch.tril(x.new_ones(x.shape[0], x.shape[0]))
        return below @ x / below.sum(1, keepdim=True)

    return running_for_any


@right
def counts_by_cumsum():
    def running_for_any(x):
        return x.cumsum(0) / torch.ones_like(x).cumsum(0)

    return running_for_any


def the_given_loop(x):
    means = []
    for t in range(x.shape[0]):
        means.append(x[: t + 1].mean(0))
    return torch.stack(means)


@wrong("Your function is scripted, or calls a part that is")
def scripted():
    return torch.jit.script(the_given_loop)


@wrong("Your function is scripted, or calls a part that is")
def scripted_if_tracing():
    return torch.jit.script_if_tracing(the_given_loop)


@wrong("Your function is scripted, or calls a part that is")
def calls_a_scripted_part():
    part = torch.jit.script(the_given_loop)
    return lambda x: part(x) * 1.0


@right
def traced_already():
    def running_for_any(x):
        return x.cumsum(0) / torch.arange(1, x.shape[0] + 1).unsqueeze(1)

    return torch.jit.trace(running_for_any, torch.rand(4, 3))
