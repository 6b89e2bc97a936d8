"""Answers to 03.5: detectors of wrong traces."""

import inspect
import warnings

import torch

from course_utils.tools.divergence import find_divergence
from course_utils.tools.parity import batch_sizes, check_parity
from tests.answers import right, wrong


def _trace(function, example, **options):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        traced = torch.jit.trace(function, example, **options)
    return traced, any(issubclass(w.category, torch.jit.TracerWarning) for w in seen)


@wrong("it warns while it is traced, and its trace matches eager")
def by_warnings():
    def wrong_traces(zoo):
        return [name for name, (function, example) in zoo.items() if _trace(function, example)[1]]

    return wrong_traces


@wrong("8 of 8 wrong traces are not found")
def by_the_example():
    def wrong_traces(zoo):
        return [n for n, (f, x) in zoo.items() if not check_parity(f, _trace(f, x)[0], x).ok]

    return wrong_traces


@wrong("a branch on the sum of the values")
def by_batches():
    def wrong_traces(zoo):
        return [n for n, (f, x) in zoo.items() if not check_parity(f, _trace(f, x)[0], batch_sizes(x)).ok]

    return wrong_traces


@wrong("without a warning")
def by_values():
    def wrong_traces(zoo):
        found = set()
        for name, (function, x) in zoo.items():
            if not check_parity(function, _trace(function, x)[0], [x, -x, 1000 * x]).ok:
                found.add(name)
        return found

    return wrong_traces


@wrong("are traced correctly")
def any_refusal():
    def wrong_traces(zoo):
        found = []
        for name, (function, x) in zoo.items():
            search = find_divergence(function, _trace(function, x)[0], x)
            if search.found is not None or search.rejected:
                found.append(name)
        return found

    return wrong_traces


@wrong("does not return names of the zoo")
def positions():
    def wrong_traces(zoo):
        return [0, 1, 2]

    return wrong_traces


@right
def by_search_as_a_set():
    def wrong_traces(zoo):
        kinds = ("values", "batch", "shape", "rank", "dtype")
        return {n for n, (f, x) in zoo.items() if not find_divergence(f, _trace(f, x)[0], x, vary=kinds).ok}

    return wrong_traces


@right
def by_hand():
    def wrong_traces(zoo):
        for name, (function, x) in zoo.items():
            traced, _ = _trace(function, x, check_trace=False)
            others = [-x, 1000 * x, torch.cat([x, x + 1]), x[:1], x[0], (100 * x).to(torch.uint8)]
            kept = []
            for other in others:
                try:
                    function(other)
                except Exception:
                    continue
                kept.append(other)
            if not check_parity(function, traced, kept).ok:
                yield name

    return wrong_traces


@wrong("are traced correctly")
def by_words_in_the_source():
    words = (" if ", "for ", "while ", "item", "int(", "float(", "numpy")

    def wrong_traces(zoo):
        return [n for n, (f, _) in zoo.items() if any(word in inspect.getsource(f) for word in words)]

    return wrong_traces
