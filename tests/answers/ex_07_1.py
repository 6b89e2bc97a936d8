"""Answers to 07.1: a benchmark of inference that keeps five rules."""

import statistics
import time

import torch

from tests.answers import right, wrong


def nothing():
    return None


def measured(
    *,
    warm_up=5,
    evaluate=True,
    grad=False,
    same_input=True,
    wait="before the clock",
    first_wait=True,
    summary=statistics.median,
):
    """An answer in which each of the rules can be broken alone."""

    def honest_seconds(model, x, repeats, clock=time.perf_counter, synchronise=nothing):
        if evaluate:
            model.eval()
        times = []
        with torch.set_grad_enabled(grad):
            for _ in range(warm_up):
                model(x)
            if first_wait:
                synchronise()
            for _ in range(repeats):
                images = x if same_input else torch.rand_like(x)
                start = clock()
                model(images)
                if wait == "before the clock":
                    synchronise()
                times.append(clock() - start)
                if wait == "after the clock":
                    synchronise()
        return summary(times)

    return honest_seconds


@wrong("in train mode")
def as_it_was_given():
    return measured(warm_up=0, evaluate=False, grad=True, same_input=False, wait="after the clock")


@wrong("in train mode")
def mode_forgotten():
    return measured(evaluate=False)


@wrong("with gradients on")
def gradients_forgotten():
    return measured(grad=True)


@wrong("with gradients on")
def gradients_on_while_warming_up():
    rest = measured(warm_up=0)

    def honest_seconds(model, x, repeats, clock, synchronise):
        model.eval()
        for _ in range(5):
            model(x)
        synchronise()
        return rest(model, x, repeats, clock, synchronise)

    return honest_seconds


@wrong("a different input from the given one")
def new_input_each_time():
    return measured(same_input=False)


@wrong("calls of a cold model")
def not_warmed_up():
    return measured(warm_up=0)


@wrong("calls of a cold model")
def warmed_up_with_one_call():
    return measured(warm_up=1)


@wrong("calls of a cold model")
def warm_up_still_running_when_the_clock_starts():
    return measured(first_wait=False)


@wrong("the clock is read before the work is done")
def waits_too_late():
    return measured(wait="after the clock")


@wrong("the clock is read before the work is done")
def never_waits():
    return measured(wait="never")


@wrong("it is not a median")
def mean():
    return measured(summary=statistics.mean)


@wrong("not the median of the timed calls")
def fastest():
    return measured(summary=min)


@wrong("never reads the `clock`")
def own_clock():
    def honest_seconds(model, x, repeats, clock, synchronise):
        return measured()(model, x, repeats, time.perf_counter, synchronise)

    return honest_seconds


@wrong("makes fewer")
def one_call_is_enough():
    def honest_seconds(model, x, repeats, clock, synchronise):
        return measured()(model, x, 1, clock, synchronise)

    return honest_seconds


@right
def gives_the_mode_back_and_uses_inference_mode():
    def honest_seconds(model, x, repeats, clock=time.perf_counter, synchronise=nothing):
        training = model.training
        model.eval()

        def once():
            synchronise()
            start = clock()
            model(x)
            synchronise()
            return clock() - start

        try:
            with torch.inference_mode():
                times = [once() for _ in range(10 + repeats)][10:]
        finally:
            model.train(training)
        return sorted(times)[len(times) // 2]

    return honest_seconds


@right
def median_by_torch():
    return measured(warm_up=2, summary=lambda times: float(torch.tensor(times).median()))


@wrong("The number of calls that your function times is not `repeats`")
def always_a_hundred():
    rest = measured()
    return lambda model, x, repeats, clock, synchronise: rest(model, x, 100, clock, synchronise)


@wrong("The number of calls that your function times is not `repeats`")
def twice_as_many():
    rest = measured()
    return lambda model, x, repeats, clock, synchronise: rest(model, x, 2 * repeats, clock, synchronise)


@right
def warm_up_that_grows_with_the_repeats():
    def honest_seconds(model, x, repeats, clock, synchronise):
        return measured(warm_up=max(3, repeats // 5))(model, x, repeats, clock, synchronise)

    return honest_seconds
