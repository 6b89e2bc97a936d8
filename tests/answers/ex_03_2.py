"""Answers to 03.2: running means without a loop in Python."""

import torch

from tests.answers import right, wrong


@wrong("does not hold for 9")
def the_same_loop():
    def running_for_any(x):
        return torch.stack([x[: t + 1].mean(0) for t in range(x.shape[0])])

    return running_for_any


@wrong("gives other results than the given one")
def divided_by_all():
    def running_for_any(x):
        return x.cumsum(0) / x.shape[0]

    return running_for_any


@wrong("gives other results than the given one")
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
