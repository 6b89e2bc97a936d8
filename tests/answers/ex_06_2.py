"""Answers to 06.2: what each pass changes."""

import re
from collections import Counter

import torch

from course_utils.tools import ir
from tests.answers import right, wrong


def counted(graph):
    return ir.op_counts(graph, inlined=False)


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
            before = counted(graph)
            getattr(torch._C, f"_jit_pass_{name}")(graph)
            report[name] = difference(before, counted(graph))
        return report

    return changes


@wrong("The graph that you were given is not what it was")
def given_graph_rewritten():
    def changes(graph, names):
        text, report = ir.show(graph), {}
        for name in names:
            copy = torch._C.parse_ir(text)
            getattr(torch._C, f"_jit_pass_{name}")(copy)
            report[name] = difference(counted(torch._C.parse_ir(text)), counted(copy))
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
        return {name: difference(counted(after_pass(name, graph)), counted(graph)) for name in names}

    return changes


@wrong("kinds whose count did not change")
def with_zeros():
    def changes(graph, names):
        before = counted(graph)
        report = {}
        for name in names:
            after = counted(after_pass(name, graph))
            report[name] = {kind: after.get(kind, 0) - count for kind, count in before.items()}
        return report

    return changes


@wrong("kinds that are in the graph after the pass")
def what_was_there_before():
    def changes(graph, names):
        before = counted(graph)
        report = {}
        for name in names:
            after = counted(after_pass(name, graph))
            deltas = {kind: after.get(kind, 0) - count for kind, count in before.items()}
            report[name] = {kind: number for kind, number in deltas.items() if number < 0}
        return report

    return changes


@wrong("not a dict with one entry for each name")
def one_dict_for_all():
    return lambda graph, names: difference(counted(graph), counted(after_pass(names[0], graph)))


@wrong("there is no dict of changes")
def totals_only():
    def changes(graph, names):
        total = sum(counted(graph).values())
        return {name: sum(counted(after_pass(name, graph)).values()) - total for name in names}

    return changes


@wrong("the calls: this pass is to run on the graph as it is")
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
            # The text of a call cannot be read back.
            fresh = graph.copy() if "prim::CallFunction" in text else torch._C.parse_ir(text)
            getattr(torch._C, f"_jit_pass_{name}")(fresh)
            report[name] = ir.compare(graph, fresh, inlined=False).delta
        return report

    return changes


@wrong("`ir.op_counts` writes calls out first")
def counted_after_inlining():
    def changes(graph, names):
        before = ir.op_counts(graph)
        return {name: difference(before, ir.op_counts(after_pass(name, graph))) for name in names}

    return changes


@wrong("the calls: this pass is to run on the graph as it is")
def only_the_first_count_leaves_calls_alone():
    def changes(graph, names):
        before = counted(graph)
        return {name: difference(before, ir.op_counts(after_pass(name, graph))) for name in names}

    return changes


@wrong("the calls: this pass is to run on the graph as it is")
def on_the_inlined_graph():
    def changes(graph, names):
        inlined = after_pass("inline", graph)
        report = {name: difference(counted(inlined), counted(after_pass(name, inlined))) for name in names}
        return report | {"inline": difference(counted(graph), counted(inlined))} if "inline" in names else report

    return changes


@wrong("whether the pass ran")
def misspelt_pass_swallowed():
    def changes(graph, names):
        report = {}
        for name in names:
            copy = graph.copy()
            getattr(torch._C, f"_jit_pass_{name}_", lambda _: None)(copy)
            report[name] = difference(counted(graph), counted(copy))
        return report

    return changes


@wrong("whether negative changes are kept")
def counters_subtracted():
    return lambda graph, names: {
        name: dict(Counter(counted(after_pass(name, graph))) - Counter(counted(graph))) for name in names
    }


@wrong("constants: they are nodes, and count")
def without_constants():
    def changes(graph, names):
        report = {name: difference(counted(graph), counted(after_pass(name, graph))) for name in names}
        return {name: {k: n for k, n in found.items() if k != "prim::Constant"} for name, found in report.items()}

    return changes


@wrong("the counts before and after of")
def canned():
    return lambda graph, names: {name: {"aten::exp": -1, "aten::mul": -1} for name in names}
