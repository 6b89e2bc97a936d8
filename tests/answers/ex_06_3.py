"""Answers to 06.3: the convolution with the most multiplications."""

import math
from collections import Counter

from course_utils.tools import ir
from tests.answers import right, wrong


def parts(traced):
    """(name, sizes of the output, weight) of each convolution."""
    weights = dict(traced.named_parameters())
    for node in ir.find(traced, "aten::_convolution"):
        name = node.scopeName().rpartition("__module.")[2]
        yield name, node.output().type().sizes(), weights[f"{name}.weight"]


def largest_sum(costs):
    total = Counter()
    for name, cost in costs:
        total[name] += cost
    return total.most_common(1)[0][0]


@wrong("a layer with many weights may give few numbers")
def most_parameters():
    return lambda traced: max(parts(traced), key=lambda part: part[2].numel())[0]


@wrong("a layer with a large output may take few multiplications")
def largest_output():
    return lambda traced: max(parts(traced), key=lambda part: math.prod(part[1]))[0]


@wrong("`groups`: a filter then sees a part of the channels")
def groups_forgotten():
    def costliest(traced):
        costs, channels = {}, 1
        for name, sizes, weight in parts(traced):
            costs[name] = math.prod(sizes) * channels * math.prod(weight.shape[2:])
            channels = sizes[1]
        return max(costs, key=costs.get)

    return costliest


@wrong("is not the name of a convolution")
def the_whole_scope():
    def costliest(traced):
        costs = {
            node.scopeName(): math.prod(node.output().type().sizes()) for node in ir.find(traced, "aten::_convolution")
        }
        return max(costs, key=costs.get)

    return costliest


@wrong("is not the name of a convolution")
def with_its_cost():
    return lambda traced: max((math.prod(s) * w[0].numel(), name) for name, s, w in parts(traced))


@wrong("'NoneType' object has no attribute", status="your code raised")
def not_inlined():
    def costliest(traced):
        return traced.graph.findNode("aten::_convolution").scopeName()

    return costliest


@wrong("Your function returns nothing")
def only_printed():
    return lambda traced: print(max(parts(traced), key=lambda part: math.prod(part[1]))[0])


@right
def pixels_times_weights():
    """All weights of the layer for each place of the output and each image."""

    def costliest(traced):
        def cost(part):
            _, (batch, _, *places), weight = part
            return batch * math.prod(places) * weight.numel()

        return largest_sum((part[0], cost(part)) for part in parts(traced))

    return costliest


@right
def by_the_names_of_the_weights():
    """Finds the layer by the way its weight is read, not by the scope."""

    def costliest(traced):
        weights = dict(traced.named_parameters())
        graph = traced.inlined_graph
        costs = []
        for node in graph.findAllNodes("aten::_convolution"):
            path, value = [], list(node.inputs())[1]
            while value.node().kind() == "prim::GetAttr":
                path.insert(0, value.node().s("name"))
                value = next(value.node().inputs())
            cost = math.prod(node.output().type().sizes()) * weights[".".join(path)][0].numel()
            costs.append((".".join(path[:-1]), cost))
        return largest_sum(costs)

    return costliest


@right
def by_submodules():
    def costliest(traced):
        costs = []
        for name, sizes, _ in parts(traced):
            costs.append((name, math.prod(sizes) * traced.get_submodule(name).weight[0].numel()))
        return largest_sum(costs)

    return costliest


@wrong("a layer that is called again computes again")
def each_layer_once():
    def costliest(traced):
        return max(parts(traced), key=lambda part: math.prod(part[1]) * part[2][0].numel())[0]

    return costliest


@wrong("with a stride the output is smaller than the input")
def places_of_the_input():
    def costliest(traced):
        costs = []
        for node, (name, _, weight) in zip(ir.find(traced, "aten::_convolution"), parts(traced), strict=True):
            size = next(node.inputs()).type().sizes() or node.output().type().sizes()
            costs.append((name, size[0] * math.prod(size[2:]) * weight.numel()))
        return largest_sum(costs)

    return costliest


@wrong("is not the name of a convolution")
def linear_layers_too():
    def costliest(traced):
        costs = [(name, math.prod(sizes) * weight[0].numel()) for name, sizes, weight in parts(traced)]
        weights = dict(traced.named_parameters())
        for node in ir.find(traced, "aten::linear"):
            name = node.scopeName().rpartition("__module.")[2]
            costs.append((name, weights[f"{name}.weight"].numel()))
        return largest_sum(costs)

    return costliest


@wrong("index 1 is out of bounds", status="your code raised")
def the_second_filter():
    def costliest(traced):
        return largest_sum((name, math.prod(sizes) * weight[1].numel()) for name, sizes, weight in parts(traced))

    return costliest
