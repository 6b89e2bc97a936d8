"""Answers to 08.3: a counterexample made small."""

import itertools

import torch

from tests.answers import right, wrong


def drops(x):
    return [torch.cat([x[:i], x[i + 1 :]]) for i in range(len(x))]


def zeros(x):
    return [torch.where(torch.arange(len(x)) == i, 0.0, x) for i in range(len(x)) if x[i] != 0]


def greedy(neighbours):
    def shrink(differs, x):
        while True:
            better = next((y for y in neighbours(x) if differs(y)), None)
            if better is None:
                return x
            x = better

    return shrink


@wrong("can be 0")
def drops_only():
    return greedy(drops)


@wrong("can be dropped")
def zeros_only():
    return greedy(zeros)


@wrong("can be dropped")
def one_pass():
    def shrink(differs, x):
        i = 0
        while i < len(x):
            y = torch.cat([x[:i], x[i + 1 :]])
            if differs(y):
                x = y
            else:
                i += 1
        for i in range(len(x)):
            y = x.clone()
            y[i] = 0
            if differs(y):
                x = y
        return x

    return shrink


@wrong("no longer shows the difference")
def never_asks():
    return lambda differs, x: x[:1]


@wrong("changes the tensor it was given")
def writes_into_it():
    def shrink(differs, x):
        for i in range(len(x)):
            old = x[i].item()
            x[i] = 0
            if not differs(x):
                x[i] = old
        return greedy(lambda x: drops(x) + zeros(x))(differs, x.clone())

    return shrink


@wrong("does not end")
def zero_for_ever():
    def shrink(differs, x):
        while True:
            y = x.clone()
            if len(y):
                y[0] = 0
            if not differs(y):
                return x
            x = y

    return shrink


@wrong("can be dropped")
def left_as_it_was():
    return lambda differs, x: x


@wrong("does not return a tensor with one dimension")
def nothing():
    return lambda differs, x: None


@right
def zeros_first():
    return greedy(lambda x: zeros(x) + drops(x))


@right
def halves_then_single_steps():
    def shrink(differs, x):
        step = len(x) // 2
        while step > 1:
            for start in range(0, len(x), step):
                y = torch.cat([x[:start], x[start + step :]])
                if differs(y):
                    x = y
                    break
            else:
                step //= 2
            step = min(step, len(x))
        return greedy(lambda x: drops(x) + zeros(x))(differs, x)

    return shrink


@right
def smallest_subset_of_all():
    """Tries every subset, the shortest first, with every choice of zeros."""

    def shrink(differs, x):
        values = x.tolist()
        for size in range(len(values) + 1):
            for chosen in itertools.combinations(values, size):
                y = torch.tensor(chosen)
                if differs(y):
                    return greedy(lambda x: drops(x) + zeros(x))(differs, y)
        return x

    return shrink
