"""Answers to 06.3: the convolution with the most multiplications."""

import math

from course_utils import ir
from tests.answers import right, wrong


def parts(traced):
    """(name, sizes of the output, weight) of each convolution."""
    weights = dict(traced.named_parameters())
    for node in ir.find(traced, "aten::_convolution"):
        name = node.scopeName().rpartition("__module.")[2]
        yield name, node.output().type().sizes(), weights[f"{name}.weight"]


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

        return max(parts(traced), key=cost)[0]

    return costliest


@right
def by_the_names_of_the_weights():
    """Finds the layer by the way its weight is read, not by the scope."""

    def costliest(traced):
        weights = dict(traced.named_parameters())
        graph = traced.inlined_graph
        best, most = "", -1
        for node in graph.findAllNodes("aten::_convolution"):
            path, value = [], list(node.inputs())[1]
            while value.node().kind() == "prim::GetAttr":
                path.insert(0, value.node().s("name"))
                value = next(value.node().inputs())
            cost = math.prod(node.output().type().sizes()) * weights[".".join(path)][0].numel()
            if cost > most:
                best, most = ".".join(path[:-1]), cost
        return best

    return costliest


@right
def by_submodules():
    def costliest(traced):
        costs = []
        for name, sizes, _ in parts(traced):
            costs.append((math.prod(sizes) * traced.get_submodule(name).weight[0].numel(), name))
        return sorted(costs)[-1][1]

    return costliest
