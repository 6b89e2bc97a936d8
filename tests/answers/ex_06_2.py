"""Answers to 06.2: what each pass changes."""

import re
from collections import Counter

import torch

from course_utils import ir
from tests.answers import right, wrong


def after_pass(name, graph):
    copy = graph.copy()
    getattr(torch._C, f"_jit_pass_{name}")(copy)
    return copy


def difference(before, after):
    kinds = {*before, *after}
    return {kind: after.get(kind, 0) - before.get(kind, 0) for kind in kinds if after.get(kind) != before.get(kind)}


@wrong("where each pass starts")
def one_after_another():
    def changes(graph, names):
        report, graph = {}, graph.copy()
        for name in names:
            before = ir.op_counts(graph)
            getattr(torch._C, f"_jit_pass_{name}")(graph)
            report[name] = difference(before, ir.op_counts(graph))
        return report

    return changes


@wrong("The graph that you were given is not what it was")
def given_graph_rewritten():
    def changes(graph, names):
        text, report = ir.show(graph), {}
        for name in names:
            copy = torch._C.parse_ir(text)
            getattr(torch._C, f"_jit_pass_{name}")(copy)
            report[name] = difference(ir.op_counts(torch._C.parse_ir(text)), ir.op_counts(copy))
        getattr(torch._C, f"_jit_pass_{names[0]}")(graph)
        return report

    return changes


@wrong("the nodes inside of blocks")
def outermost_only():
    def counts(graph):
        return Counter(node.kind() for node in graph.nodes())

    return lambda graph, names: {name: difference(counts(graph), counts(after_pass(name, graph))) for name in names}


@wrong("the sign")
def before_minus_after():
    def changes(graph, names):
        return {name: difference(ir.op_counts(after_pass(name, graph)), ir.op_counts(graph)) for name in names}

    return changes


@wrong("kinds whose count did not change")
def with_zeros():
    def changes(graph, names):
        before = ir.op_counts(graph)
        report = {}
        for name in names:
            after = ir.op_counts(after_pass(name, graph))
            report[name] = {kind: after.get(kind, 0) - count for kind, count in before.items()}
        return report

    return changes


@wrong("kinds that are in the graph after the pass")
def what_was_there_before():
    def changes(graph, names):
        before = ir.op_counts(graph)
        report = {}
        for name in names:
            after = ir.op_counts(after_pass(name, graph))
            deltas = {kind: after.get(kind, 0) - count for kind, count in before.items()}
            report[name] = {kind: number for kind, number in deltas.items() if number < 0}
        return report

    return changes


@wrong("no dict with one entry for each name")
def one_dict_for_all():
    return lambda graph, names: difference(ir.op_counts(graph), ir.op_counts(after_pass(names[0], graph)))


@wrong("there is no dict of changes")
def totals_only():
    def changes(graph, names):
        total = sum(ir.op_counts(graph).values())
        return {name: sum(ir.op_counts(after_pass(name, graph)).values()) - total for name in names}

    return changes


@right
def by_pass_effects():
    return lambda graph, names: {name: ir.pass_effects(graph, [name])[name].diff.delta for name in names}


@right
def counted_in_the_text():
    def counts(graph):
        return Counter(re.findall(r"\b(?:aten|prim)::\w+", ir.show(graph)))

    def changes(graph, names):
        report = {}
        for name in names:
            found, before = counts(after_pass(name, graph)), counts(graph)
            found.subtract(before)
            report[name] = {kind: number for kind, number in found.items() if number}
        return report

    return changes


@right
def through_text_and_back():
    def changes(graph, names):
        text = str(graph)
        report = {}
        for name in names:
            fresh = torch._C.parse_ir(text)
            getattr(torch._C, f"_jit_pass_{name}")(fresh)
            report[name] = ir.compare(graph, fresh).delta
        return report

    return changes
