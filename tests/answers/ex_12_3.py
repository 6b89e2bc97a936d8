"""Answers to 12.3: sums until the budget is spent."""

import torch

from tests.answers import right, wrong


@wrong("Python still decides about a value")
def left_as_it_was():
    def loop(costs):
        total = torch.zeros(())
        for cost in costs:
            total = total + cost
            if total > 10:
                break
        return total

    return loop


@wrong("Python loop over the size is unrolled")
def masked_but_unrolled():
    def unrolled(costs):
        total = torch.zeros(())
        for t in range(costs.shape[0]):
            total = torch.where(total > 10, total, total + costs[t])
        return total

    return unrolled


@wrong("differs for a budget that is spent in the middle")
def without_the_last_cost():
    def stingy(costs):
        sums = costs.cumsum(0)
        return sums.masked_fill(sums > 10, 0).max()

    return stingy


@wrong("differs for a budget that is never spent")
def always_the_first_above():
    def first(costs):
        sums = costs.cumsum(0)
        return sums[(sums > 10).int().argmax()]

    return first


@wrong("differs for a sum of exactly 10 on the way")
def stops_at_ten():
    def early(costs):
        def more(t, total):
            return (t < costs.shape[0]) & (total < 10)

        def pay(t, total):
            return t + 1, total + costs.index_select(0, t.reshape(1)).squeeze(0)

        return torch.while_loop(more, pay, (torch.zeros((), dtype=torch.int64), torch.zeros(())))[1]

    return early


@right
def by_while_loop():
    def loop(costs):
        def more(t, total):
            return (t < costs.shape[0]) & (total <= 10)

        def pay(t, total):
            return t + 1, total + costs.index_select(0, t.reshape(1)).squeeze(0)

        return torch.while_loop(more, pay, (torch.zeros((), dtype=torch.int64), torch.zeros(())))[1]

    return loop


@right
def by_what_was_spent_before():
    def masked(costs):
        before = costs.cumsum(0) - costs
        return (costs * (before <= 10)).sum()

    return masked


@wrong("a slice of all but one")
def shifted_by_a_slice():
    def shifted(costs):
        before = torch.cat([torch.zeros(1), costs.cumsum(0)[:-1]])
        return (costs * (before <= 10)).sum()

    return shifted


@wrong("the shape of the condition")
def a_condition_with_a_dimension():
    def loop(costs):
        def more(t, total):
            return (t < costs.shape[0]) & (total <= 10)

        def pay(t, total):
            return t + 1, total + costs.index_select(0, t)[0]

        return torch.while_loop(more, pay, (torch.zeros(1, dtype=torch.int64), torch.zeros(())))[1]

    return loop


@wrong("differs for one cost above the budget")
def never_above_the_budget_alone():
    def capped(costs):
        before = costs.cumsum(0) - costs
        paid = (costs * (before <= 10)).sum()
        return torch.where(costs.sum() == costs.max(), costs.sum().clamp(max=10), paid)

    return capped


@wrong("differs for a sum of exactly 10 at the end")
def at_ten_too():
    def early(costs):
        sums = costs.cumsum(0)
        within = sums.masked_fill(sums >= 10, 0).max()
        above = sums.masked_fill(sums <= 10, torch.inf).min()
        return torch.where(above.isinf(), within, above)

    return early


@wrong("differs for a sum below one")
def at_least_one():
    def lavish(costs):
        before = costs.cumsum(0) - costs
        return (costs * (before <= 10)).sum().clamp(min=1)

    return lavish
