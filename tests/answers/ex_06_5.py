"""Answers to 06.5: how often each operator runs."""

from collections import Counter

import torch

from course_utils.tools import ir
from tests.answers import right, wrong


def aten(node):
    return node.kind().startswith("aten::")


def rounds(node):
    return next(node.inputs()).toIValue()


def walk(block, times, counts):
    for node in block.nodes():
        if aten(node):
            counts[node.kind()] += times
        for inner in node.blocks():
            walk(inner, times * rounds(node), counts)
    return counts


@wrong("a graph with a loop.")
def as_they_stand():
    return lambda graph: {kind: n for kind, n in ir.op_counts(graph).items() if kind.startswith("aten::")}


@wrong("a graph with a loop.")
def outermost_only():
    return lambda graph: Counter(node.kind() for node in graph.nodes() if aten(node))


@wrong("two loops, one after the other")
def rounds_not_taken_back():
    def runs(graph):
        counts, times = Counter(), 1
        for node in graph.nodes():
            if aten(node):
                counts[node.kind()] += times
            for inner in node.blocks():
                times *= rounds(node)
                for held in inner.nodes():
                    if aten(held):
                        counts[held.kind()] += times
        return counts

    return runs


@wrong("the inner loop: it runs all its rounds")
def inner_loop_counted_alone():
    def runs(graph):
        counts = Counter()

        def visit(block, times):
            for node in block.nodes():
                if aten(node):
                    counts[node.kind()] += times
                for inner in node.blocks():
                    visit(inner, rounds(node))

        visit(graph, 1)
        return counts

    return runs


@wrong("loops at every depth")
def two_levels_only():
    def runs(graph):
        counts = Counter()
        for node in graph.nodes():
            counts[node.kind()] += 1
            for inner in node.blocks():
                for held in inner.nodes():
                    counts[held.kind()] += rounds(node)
                    for innermost in held.blocks():
                        for last in innermost.nodes():
                            counts[last.kind()] += rounds(node) * rounds(held)
        return {kind: number for kind, number in counts.items() if kind.startswith("aten::")}

    return runs


@wrong("more than the `aten` operators")
def with_everything():
    return lambda graph: dict(ir.op_counts(graph))


@wrong("is not a dict")
def the_most_frequent_only():
    return lambda graph: walk(graph, 1, Counter()).most_common(1)[0]


@right
def a_counter():
    return lambda graph: walk(graph, 1, Counter())


@right
def with_a_stack():
    def runs(graph):
        counts, stack = {}, [(graph, 1)]
        while stack:
            block, times = stack.pop()
            for node in block.nodes():
                if node.kind().split("::")[0] == "aten":
                    counts[node.kind()] = counts.get(node.kind(), 0) + times
                stack += [(inner, times * rounds(node)) for inner in node.blocks()]
        return counts

    return runs


@right
def round_by_round():
    """Goes through the program as the interpreter does."""

    def runs(graph):
        counts = Counter()

        def step(block):
            for node in block.nodes():
                if aten(node):
                    counts[node.kind()] += 1
                for inner in node.blocks():
                    for _ in range(rounds(node)):
                        step(inner)

        step(graph)
        return dict(counts)

    return runs


@wrong("a loop of many rounds")
def by_unrolling():
    def runs(graph):
        copy = graph.copy()
        for _ in range(3):
            torch._C._jit_pass_loop_unrolling(copy)
            torch._C._jit_pass_constant_propagation(copy)
        counts = ir.op_counts(copy, inlined=False)
        return {kind: number for kind, number in counts.items() if kind.startswith("aten::")}

    return runs
