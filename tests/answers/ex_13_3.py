"""Answers to 13.3: the fastest candidate that holds."""

import statistics
import time

import torch

from course_utils import check_parity, compare_speed
from tests.answers import right, wrong


def median_time(form, x, calls=5):
    form(x)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        form(x)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@wrong("beyond the tolerance")
def the_fastest_of_all():
    def deployed(reference, candidates, inputs, tolerance):
        return min(candidates, key=lambda name: median_time(candidates[name], inputs[0]))

    return deployed


@wrong("another candidate that holds is faster")
def one_call_with_a_stopwatch():
    def deployed(reference, candidates, inputs, tolerance):
        def first_call(form):
            start = time.perf_counter()
            form(inputs[0])
            return time.perf_counter() - start

        times = {name: first_call(form) for name, form in candidates.items()}
        right = [name for name, form in candidates.items() if check_parity(reference, form, inputs, **tolerance).ok]
        return min(right, key=times.get, default=None)

    return deployed


@wrong("finds no candidate where there is one")
def the_tolerance_does_not_arrive():
    def deployed(reference, candidates, inputs, tolerance):
        forms = {name: form for name, form in candidates.items() if name != "eager"}
        right = [name for name, form in forms.items() if check_parity(reference, form, inputs).ok]
        return min(right, key=lambda name: median_time(candidates[name], inputs[0]), default=None)

    return deployed


@wrong("beyond the tolerance")
def compared_on_the_first_input():
    def deployed(reference, candidates, inputs, tolerance):
        right = [name for name, form in candidates.items() if check_parity(reference, form, inputs[0], **tolerance).ok]
        return min(right, key=lambda name: median_time(candidates[name], inputs[0]), default=None)

    return deployed


@wrong("the name of a candidate")
def the_candidate_itself():
    def deployed(reference, candidates, inputs, tolerance):
        return next(iter(candidates.values()))

    return deployed


@wrong("beyond the tolerance")
def eager_where_nothing_passes():
    def deployed(reference, candidates, inputs, tolerance):
        right = {k: form for k, form in candidates.items() if check_parity(reference, form, inputs, **tolerance).ok}
        right = right or candidates
        return min(right, key=lambda name: median_time(right[name], inputs[0]))

    return deployed


@right
def a_stopwatch_of_ones_own():
    def deployed(reference, candidates, inputs, tolerance):
        def holds(form):
            try:
                return all(torch.allclose(form(x), reference(x), **tolerance) for x in inputs)
            except RuntimeError:
                return False

        times = {name: median_time(form, inputs[0]) for name, form in candidates.items() if holds(form)}
        return min(times, key=times.get) if times else None

    return deployed


@right
def by_the_ratio_of_a_report():
    def deployed(reference, candidates, inputs, tolerance):
        right = {k: form for k, form in candidates.items() if check_parity(reference, form, inputs, **tolerance).ok}
        if len(right) < 2:
            return next(iter(right), None)
        return max(compare_speed(right, inputs[1], time_budget=1.0).rows, key=lambda row: row.ratio).name

    return deployed


@wrong("another candidate that holds is faster")
def the_last_that_holds():
    def deployed(reference, candidates, inputs, tolerance):
        right = [name for name, form in candidates.items() if check_parity(reference, form, inputs, **tolerance).ok]
        return right[-1] if right else None

    return deployed


@wrong("another candidate that holds is faster")
def without_the_relative_tolerance():
    def deployed(reference, candidates, inputs, tolerance):
        loose = {"rtol": 0.0, "atol": tolerance["atol"]}
        right = [name for name, form in candidates.items() if check_parity(reference, form, inputs, **loose).ok]
        return min(right, key=lambda name: median_time(candidates[name], inputs[0]), default=None)

    return deployed


@wrong("another candidate that holds is faster")
def without_the_absolute_tolerance():
    def deployed(reference, candidates, inputs, tolerance):
        loose = {"rtol": tolerance["rtol"], "atol": 0.0}
        right = [name for name, form in candidates.items() if check_parity(reference, form, inputs, **loose).ok]
        return min(right, key=lambda name: median_time(candidates[name], inputs[0]), default=None)

    return deployed


@wrong("finds no candidate where there is one")
def the_fastest_and_then_the_gate():
    def deployed(reference, candidates, inputs, tolerance):
        fastest = min(candidates, key=lambda name: median_time(candidates[name], inputs[0]))
        return fastest if check_parity(reference, candidates[fastest], inputs, **tolerance).ok else None

    return deployed


@wrong("One candidate raises on one input")
def ends_with_a_candidate_that_raises():
    def deployed(reference, candidates, inputs, tolerance):
        right = {
            name: median_time(form, inputs[0])
            for name, form in candidates.items()
            if all(torch.allclose(form(x), reference(x), **tolerance) for x in inputs)
        }
        return min(right, key=right.get, default=None)

    return deployed
