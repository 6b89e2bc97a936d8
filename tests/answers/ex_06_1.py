"""Answers to 06.1: how many nodes a dead code elimination takes away."""

import re

import torch

from course_utils.tools import ir
from tests.answers import right, wrong


def total(graph):
    return sum(ir.op_counts(graph).values())


def nodes(block):
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from nodes(inner)


@wrong("whether you give the number that goes")
def what_stays():
    def unused(graph):
        copy = torch._C.parse_ir(str(graph))
        used = {value.debugName() for node in nodes(copy) for value in node.inputs()}
        used |= {value.debugName() for value in copy.outputs()}
        return sum(any(value.debugName() in used for value in node.outputs()) for node in nodes(copy))

    return unused


@wrong("a chain: what is used only by something unused")
def one_step_only():
    def unused(graph):
        used = {value.debugName() for value in graph.outputs()}
        used |= {value.debugName() for node in graph.nodes() for value in node.inputs()}
        return sum(not any(value.debugName() in used for value in node.outputs()) for node in graph.nodes())

    return unused


@wrong("a value that is printed and used by nobody else")
def printing_is_unused():
    def unused(graph):
        wanted = {value.debugName() for value in graph.outputs()}
        count = 0
        for node in reversed(list(graph.nodes())):
            if any(value.debugName() in wanted for value in node.outputs()):
                wanted.update(value.debugName() for value in node.inputs())
            else:
                count += 1
        return count

    return unused


@wrong("a value that is used inside of a block only")
def outermost_only():
    def unused(graph):
        wanted = {value.debugName() for value in graph.outputs()}
        count = 0
        for node in reversed(list(graph.nodes())):
            if node.kind() == "prim::Print" or any(value.debugName() in wanted for value in node.outputs()):
                wanted.update(value.debugName() for value in node.inputs())
            else:
                count += 1
        return count

    return unused


@wrong("an unused operator in each block")
def blocks_are_not_cleared():
    def unused(graph):
        wanted = {value.debugName() for value in graph.outputs()}
        count = 0
        for node in reversed(list(graph.nodes())):
            if node.kind() == "prim::Print" or any(value.debugName() in wanted for value in node.outputs()):
                wanted.update(value.debugName() for value in node.inputs())
                for block in node.blocks():
                    wanted.update(value.debugName() for value in block.outputs())
                    wanted.update(value.debugName() for inner in nodes(block) for value in inner.inputs())
            else:
                count += 1
        return count

    return unused


def counted(graph, *, inside=True, printing=True, exactly=True):
    """The answer, with three ways to spoil it."""
    wanted = {value.debugName() for value in graph.outputs()}

    def prints(node):
        held = printing and any(prints(inner) for block in node.blocks() for inner in block.nodes())
        return node.kind() == "prim::Print" or held

    def gone(block, node=None):
        gives = [node is None or value.debugName() in wanted for value in (node or block).outputs()]
        if not exactly:
            gives = [True for _ in block.outputs()]
        wanted.update(value.debugName() for value, asked in zip(block.outputs(), gives, strict=True) if asked)
        count = 0
        for node in reversed(list(block.nodes())):
            if prints(node) or any(value.debugName() in wanted for value in node.outputs()):
                wanted.update(value.debugName() for value in node.inputs())
                count += sum(gone(inner, node) for inner in node.blocks())
            else:
                count += 1 + (sum(1 for inner in node.blocks() for _ in nodes(inner)) if inside else 0)
        return count

    return gone(graph)


@wrong("an unused `prim::If` with an unused one in it")
def an_if_counts_once():
    return lambda graph: counted(graph, inside=False)


@wrong("an unused `prim::If` that prints")
def printing_inside_is_overlooked():
    return lambda graph: counted(graph, printing=False)


@wrong("Your function runs a pass")
def by_the_pass_itself():
    def unused(graph):
        copy = graph.copy()
        torch._C._jit_pass_dce(copy)
        return total(graph) - total(copy)

    return unused


@wrong("Your function runs a pass")
def by_the_report():
    return lambda graph: -sum(ir.pass_effects(graph, ["dce"])["dce"].diff.delta.values())


@wrong("a `prim::If` that prints and whose result nobody uses")
def results_of_an_if_that_prints_stay():
    return lambda graph: counted(graph, exactly=False)


@wrong("Your function runs a pass")
def by_another_pass():
    def unused(graph):
        copy = graph.copy()
        torch._C._jit_pass_lower_all_tuples(copy)
        return total(graph) - total(copy)

    return unused


@wrong("not a number of nodes")
def a_list_of_them():
    return lambda graph: [node for node in graph.nodes() if not list(node.outputs())]


@wrong("Your function returns nothing")
def only_printed():
    return lambda graph: print(counted(graph))


@right
def what_goes_is_counted():
    return counted


@right
def again_and_again():
    """Removes what nobody uses until nothing changes."""

    def unused(graph):
        alive = list(nodes(graph))
        before = len(alive)

        def holds_print(node):
            return node.kind() == "prim::Print" or any(holds_print(n) for b in node.blocks() for n in nodes(b))

        while True:
            used = {value.debugName() for value in graph.outputs()}
            for node in alive:
                used |= {value.debugName() for value in node.inputs()}
            while True:
                size = len(used)
                for node in alive:
                    for block in node.blocks():
                        for inside, outside in zip(block.outputs(), node.outputs(), strict=True):
                            used |= {inside.debugName()} if outside.debugName() in used else set()
                if len(used) == size:
                    break
            kept = [n for n in alive if holds_print(n) or any(value.debugName() in used for value in n.outputs())]
            inside_gone = {str(i) for n in alive if n not in kept for b in n.blocks() for i in nodes(b)}
            kept = [n for n in kept if str(n) not in inside_gone]
            if len(kept) == len(alive):
                return before - len(kept)
            alive = kept

    return unused


@right
def from_the_text():
    """Reads the text bottom up; an indented line belongs to the `prim::If` above it."""

    def unused(graph):
        lines = [line for line in ir.show(graph).splitlines() if line.strip() and not line.startswith("graph")]

        def names(text):
            return set(re.findall(r"%[\w.]+", text))

        def depth(line):
            return len(line) - len(line.lstrip())

        def body(at):
            end = at + 1
            while end < len(lines) and depth(lines[end]) > depth(lines[at]):
                end += 1
            return range(at + 1, end)

        def is_node(line):
            return "::" in line

        wanted, gone, skip = set(), 0, set()
        stays = {}
        for at, line in enumerate(lines):
            stays[at] = any("prim::Print" in lines[i] for i in (at, *body(at))) if is_node(line) else False
        parents = {i: at for at in range(len(lines)) if "prim::If" in lines[at] for i in body(at)}

        def visit(first, last):
            nonlocal gone
            for at in range(last - 1, first - 1, -1):
                line = lines[at]
                if at in skip or parents.get(at, -1) >= first:
                    continue
                if not is_node(line):
                    order, around = re.findall(r"%[\w.]+", line), parents.get(at)
                    if around is not None:
                        results = re.findall(r"%[\w.]+", lines[around].partition("prim::If")[0])
                        asked = {name for name in results if names(name) & wanted}
                        order = [a for a, b in zip(order, results, strict=False) if b in asked]
                    wanted.update(*(names(name) for name in order))
                    continue
                given, _, taken = line.partition("=") if "Print" not in line else ("", "", line)
                if stays[at] or names(given) & wanted:
                    wanted.update(names(taken))
                    inner = body(at)
                    if len(inner):
                        visit(inner.start, inner.stop)
                else:
                    gone += 1 + sum(is_node(lines[i]) for i in body(at))

        visit(0, len(lines))
        return gone

    return unused


@wrong("the outputs of the graph: there may be more than one")
def the_first_output_only():
    def unused(graph):
        wanted = {next(graph.outputs()).debugName()}
        count = 0

        def prints(node):
            return node.kind() == "prim::Print" or any(prints(n) for block in node.blocks() for n in block.nodes())

        def walk(block, asked):
            nonlocal count
            wanted.update(v.debugName() for v, ask in zip(block.outputs(), asked, strict=False) if ask)
            for node in reversed(list(block.nodes())):
                asked = [value.debugName() in wanted for value in node.outputs()]
                if prints(node) or any(asked):
                    count += 1
                    wanted.update(value.debugName() for value in node.inputs())
                    for inner in node.blocks():
                        walk(inner, asked)

        walk(graph, [True])
        return total(graph) - count

    return unused
