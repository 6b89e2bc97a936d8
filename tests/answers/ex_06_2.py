"""Answers to 06.2: the passes after which a graph does something else."""

import torch

from course_utils.tools import ir
from tests.answers import right, wrong


def after_pass(name, graph):
    copy = graph.copy()
    getattr(torch._C, f"_jit_pass_{name}")(copy)
    return copy


def as_list(returned):
    return list(returned) if isinstance(returned, tuple) else [returned]


def behaviour(graph, inputs):
    mine = [x.clone() for x in inputs]
    with torch.jit.optimized_execution(False):
        return as_list(torch._C._create_function_from_graph("f", graph)(*mine)) + mine


def close(one, other):
    try:
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    except AssertionError:
        return False
    return True


def harmful_by(differs):
    """An answer that asks this of each pass; what cannot run differs."""

    def harmful(graph, names, inputs):
        found = []
        for name in names:
            try:
                if differs(graph, after_pass(name, graph), inputs):
                    found.append(name)
            except RuntimeError:
                found.append(name)
        return found

    return harmful


def differ(graph, changed, inputs):
    return not close(behaviour(graph, inputs), behaviour(changed, inputs))


@wrong("what each pass starts from")
def one_after_another():
    def harmful(graph, names, inputs):
        found, current = [], graph.copy()
        for name in names:
            getattr(torch._C, f"_jit_pass_{name}")(current)
            if differ(graph, current, inputs):
                found.append(name)
        return found

    return harmful


@wrong("values that differ at all are other values")
def within_a_tolerance():
    def beyond(graph, changed, inputs):
        pairs = zip(behaviour(graph, inputs), behaviour(changed, inputs), strict=True)
        return not all(a.dtype == b.dtype and torch.allclose(a.double(), b.double(), equal_nan=True) for a, b in pairs)

    return harmful_by(beyond)


@wrong("as long as the results stay")
def whatever_rewrites():
    return harmful_by(lambda graph, changed, inputs: ir.op_counts(graph) != ir.op_counts(changed))


@wrong("the executor runs its passes as well")
def optimised_execution():
    def run(graph, inputs):
        mine = [x.clone() for x in inputs]
        return as_list(torch._C._create_function_from_graph("f", graph)(*mine)) + mine

    return harmful_by(lambda graph, changed, inputs: not close(run(graph, inputs), run(changed, inputs)))


@wrong("the dtype of the results")
def values_only():
    def differs(graph, changed, inputs):
        pairs = zip(behaviour(graph, inputs), behaviour(changed, inputs), strict=True)
        return not all(torch.equal(one, other) for one, other in pairs)

    return harmful_by(differs)


@wrong("for a graph that writes to its input")
def results_only():
    def differs(graph, changed, inputs):
        count = len(inputs)
        return not close(behaviour(graph, inputs)[:-count], behaviour(changed, inputs)[:-count])

    return harmful_by(differs)


@wrong("the inputs after the run: each of them")
def first_input_only():
    def differs(graph, changed, inputs):
        last = 1 - len(inputs) or None
        return not close(behaviour(graph, inputs)[:last], behaviour(changed, inputs)[:last])

    return harmful_by(differs)


@wrong("Your function changes the inputs")
def inputs_not_cloned():
    def run(graph, inputs):
        with torch.jit.optimized_execution(False):
            return as_list(torch._C._create_function_from_graph("f", graph)(*inputs)) + [x.clone() for x in inputs]

    return harmful_by(lambda graph, changed, inputs: not close(run(graph, inputs), run(changed, inputs)))


@wrong("with several, the graph returns a tuple")
def first_output_only():
    def differs(graph, changed, inputs):
        one, other = behaviour(graph, inputs), behaviour(changed, inputs)
        return not close([one[0], *one[-len(inputs) :]], [other[0], *other[-len(inputs) :]])

    return harmful_by(differs)


@wrong("not in scope", status="your code raised")
def no_graph_may_fail():
    return lambda graph, names, inputs: [n for n in names if differ(graph, after_pass(n, graph), inputs)]


@wrong("the order of the names")
def sorted_by_name():
    return lambda graph, names, inputs: sorted(harmful_by(differ)(graph, names, inputs))


@wrong("two of them count as equal")
def nan_differs():
    def differs(graph, changed, inputs):
        pairs = zip(behaviour(graph, inputs), behaviour(changed, inputs), strict=True)
        return not all(one.dtype == other.dtype and torch.equal(one, other) for one, other in pairs)

    return harmful_by(differs)


@wrong("Your function changes the graph")
def given_graph_rewritten():
    def harmful(graph, names, inputs):
        expected, found = behaviour(graph, inputs), []
        for name in names:
            getattr(torch._C, f"_jit_pass_{name}")(graph)
            if not close(expected, behaviour(graph, inputs)):
                found.append(name)
        return found

    return harmful


@wrong("The list is wrong for a graph that clears an element")
def none_is_harmful():
    return lambda graph, names, inputs: []


@wrong("does not return a list of names")
def a_dict():
    return lambda graph, names, inputs: {n: differ(graph, after_pass(n, graph), inputs) for n in names}


@right
def by_behaviour():
    return harmful_by(differ)


@right
def by_bytes():
    def told(graph, inputs):
        return [(x.dtype, x.shape, str(x.tolist())) for x in behaviour(graph, inputs)]

    def harmful(graph, names, inputs):
        names = list(names)
        expected = told(graph, inputs)

        def harmed(name):
            try:
                return told(after_pass(name, graph), inputs) != expected
            except RuntimeError:
                return True

        return tuple(filter(harmed, names))

    return harmful


@right
def by_lint():
    def harmful(graph, names, inputs):
        found = []
        for name in names:
            changed = after_pass(name, graph)
            try:
                changed.lint()
            except RuntimeError:
                found.append(name)
                continue
            if differ(graph.copy(), changed, inputs):
                found.append(name)
        return found

    return harmful
