"""Answers to 04.2: a mix that holds for every number of steps."""

import torch

from tests.answers import right, wrong


@torch.jit.script
def settle(x, steps: int):
    level = x[:, 0]
    for i in range(1, steps):
        level = 0.8 * level + 0.2 * x[:, i]
    return level


@torch.jit.script
def settle_rows(x):
    level = x[:, 0]
    for i in range(1, x.shape[0]):
        level = 0.8 * level + 0.2 * x[:, i]
    return level


@torch.jit.script_if_tracing
def settle_lazily(x):
    level = x[:, 0]
    for i in range(1, x.shape[1]):
        level = 0.8 * level + 0.2 * x[:, i]
    return level


@torch.jit.script
def settle_columns(columns: list[torch.Tensor]):
    level = columns[0]
    for column in columns[1:]:
        level = 0.8 * level + 0.2 * column
    return level


@wrong("the loop is there, and what it counts to is not")
def another_way_to_the_number():
    return lambda x: settle(x, int(x.size(1)))


@wrong("the loop is there, and what it counts to is not")
def a_number_from_the_other_side():
    return lambda x: settle(x, x.numel() // x.shape[0])


@wrong("the loop was unrolled")
def no_script_at_all():
    def last_level_for_any(x):
        level = x[:, 0]
        for i in range(1, x.shape[1]):
            level = 0.8 * level + 0.2 * x[:, i]
        return level

    return last_level_for_any


@wrong("is not correct for 9")
def a_list_made_outside():
    return lambda x: settle_columns(list(x.unbind(1)))


@wrong("The function itself, not yet traced")
def the_wrong_dimension():
    return settle_rows


@right
def compiled_when_traced():
    return lambda x: settle_lazily(x)


@right
def as_a_weighted_sum():
    def last_level_for_any(x):
        age = x.shape[1] - 1 - torch.arange(x.shape[1])
        first = (torch.arange(x.shape[1]) == 0).to(x.dtype)
        return (x * 0.8**age * (0.2 + 0.8 * first)).sum(1)

    return last_level_for_any


@right
def all_of_it_scripted():
    return torch.jit.script(settle_lazily.__original_fn)


class Settle(torch.nn.Module):
    def forward(self, x):
        level = x[:, 0]
        for i in range(1, x.shape[1]):
            level = 0.8 * level + 0.2 * x[:, i]
        return level


@wrong("is not correct for 70")
def at_most_64_steps():
    @torch.jit.script
    def settle_some(x):
        level = x[:, 0]
        for i in range(1, min(x.shape[1], 64)):
            level = 0.8 * level + 0.2 * x[:, i]
        return level

    return settle_some


@right
def a_scripted_module():
    return torch.jit.script(Settle())
