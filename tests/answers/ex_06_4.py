"""Answers to 06.4: the constants that differ between two traces of one model."""

import torch

from course_utils.tools import ir
from tests.answers import right, wrong


def constants(model, example, *, inlined=True):
    traced = torch.jit.trace(model, example, check_trace=False)
    graph = traced.inlined_graph if inlined else traced.graph
    values = [node.output().toIValue() for node in graph.findAllNodes("prim::Constant")]
    return [value.tolist() if torch.is_tensor(value) else value for value in values]


def differing(firsts, seconds):
    return [(a, b) for a, b in zip(firsts, seconds, strict=True) if a != b]


@wrong("what they call has constants of its own")
def not_inlined():
    def baked(model, first, second):
        return differing(constants(model, first, inlined=False), constants(model, second, inlined=False))

    return baked


@wrong("constants that are tensors")
def integers_only():
    def baked(model, first, second):
        pairs = differing(constants(model, first), constants(model, second))
        return [pair for pair in pairs if isinstance(pair[0], int)]

    return baked


@wrong("only values of `prim::Constant`")
def lines_of_text():
    def baked(model, first, second):
        texts = [ir.show(torch.jit.trace(model, x, check_trace=False), inlined=True) for x in (first, second)]
        return differing(*(text.splitlines() for text in texts))

    return baked


@wrong("the order inside of a pair")
def the_other_way_round():
    return lambda model, first, second: differing(constants(model, second), constants(model, first))


@wrong("not a list of pairs")
def how_many():
    return lambda model, first, second: len(differing(constants(model, first), constants(model, second)))


@wrong("which `prim::Constant` differs?")
def nothing_found():
    return lambda model, first, second: []


@wrong("the order of the pairs")
def sorted_pairs():
    def baked(model, first, second):
        pairs = differing(constants(model, first), constants(model, second))
        return sorted(pairs, key=repr, reverse=True) if len(pairs) > 1 else pairs

    return baked


@wrong("must match the size of tensor", status="your code raised")
def tensors_compared_as_they_are():
    def baked(model, first, second):
        lists = []
        for example in (first, second):
            nodes = ir.find(torch.jit.trace(model, example, check_trace=False), "prim::Constant")
            lists.append([node.output().toIValue() for node in nodes])
        return differing(*lists)

    return baked


@right
def by_find_all_nodes():
    return lambda model, first, second: differing(constants(model, first), constants(model, second))


@right
def walking_through_both():
    def baked(model, first, second):
        traces = [torch.jit.trace(model, example) for example in (first, second)]
        graphs = [traced.inlined_graph for traced in traces]
        found = []
        for one, other in zip(graphs[0].nodes(), graphs[1].nodes(), strict=True):
            if one.kind() == "prim::Constant":
                pair = tuple(node.output().toIValue() for node in (one, other))
                pair = tuple(value.tolist() if isinstance(value, torch.Tensor) else value for value in pair)
                if pair[0] != pair[1]:
                    found.append(list(pair))
        return found

    return baked


@wrong("A pair holds a tensor as it is")
def tensors_in_the_pairs():
    def raw(model, example):
        nodes = ir.find(torch.jit.trace(model, example, check_trace=False), "prim::Constant")
        return [node.output().toIValue() for node in nodes]

    def same(one, other):
        if torch.is_tensor(one):
            return one.shape == other.shape and torch.equal(one, other)
        return one == other

    def baked(model, first, second):
        pairs = zip(raw(model, first), raw(model, second), strict=True)
        return [(one, other) for one, other in pairs if not same(one, other)]

    return baked
