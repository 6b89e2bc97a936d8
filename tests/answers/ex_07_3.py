"""Answers to 07.3: how many calls a scripted module needs, from what was executed."""

import torch

from course_utils.tools import ir
from tests.answers import right, wrong


def profiled():
    return "prim::profile" in str(torch.jit.last_executed_optimized_graph())


@wrong("more often than is needed")
def always_two():
    def calls_until_optimised(scripted, x):
        with torch.no_grad():
            scripted(x)
            scripted(x)
        return 2

    return calls_until_optimised


@wrong("more often than is needed")
def the_setting_by_heart():
    def calls_until_optimised(scripted, x):
        calls = torch._C._jit_get_num_profiled_runs() + 1
        with torch.no_grad():
            for _ in range(calls):
                scripted(x)
        return calls

    return calls_until_optimised


@wrong("stops while calls are still profiled")
def one_call():
    def calls_until_optimised(scripted, x):
        with torch.no_grad():
            scripted(x)
        return 1

    return calls_until_optimised


@wrong("not the number of calls that you made")
def last_call_not_counted():
    def calls_until_optimised(scripted, x):
        calls = 0
        with torch.no_grad():
            while True:
                scripted(x)
                if not profiled():
                    return calls
                calls += 1

    return calls_until_optimised


@wrong("more often than is needed")
def asks_before_it_calls():
    def calls_until_optimised(scripted, x):
        with torch.no_grad():
            scripted(x)
            calls = 1
            while profiled():
                scripted(x)
                calls += 1
            scripted(x)
        return calls + 1

    return calls_until_optimised


@wrong("does not call the model")
def reads_the_graph_of_the_module():
    def calls_until_optimised(scripted, x):
        return 1 if "prim::profile" not in str(scripted.graph) else 2

    return calls_until_optimised


@wrong("is not a whole number")
def graph_instead_of_a_number():
    def calls_until_optimised(scripted, x):
        with torch.no_grad():
            scripted(x)
        return str(torch.jit.last_executed_optimized_graph())

    return calls_until_optimised


@right
def counts_the_nodes():
    def calls_until_optimised(scripted, x):
        calls = 0
        with torch.inference_mode():
            while True:
                scripted(x)
                calls += 1
                if ir.op_counts(torch.jit.last_executed_optimized_graph()).get("prim::profile", 0) == 0:
                    return calls

    return calls_until_optimised


@right
def walks_through_the_blocks():
    def has_profile(block):
        return any(n.kind() == "prim::profile" or any(map(has_profile, n.blocks())) for n in block.nodes())

    @torch.no_grad()
    def calls_until_optimised(scripted, x, calls=1):
        scripted(x)
        graph = torch.jit.last_executed_optimized_graph()
        return calls_until_optimised(scripted, x, calls + 1) if has_profile(graph) else calls

    return calls_until_optimised


def counting(grad_mode, made):
    def calls_until_optimised(scripted, x):
        with torch.set_grad_enabled(grad_mode):
            for calls in range(1, 100):
                scripted(made(x))
                if not profiled():
                    return calls

    return calls_until_optimised


@wrong("calls the model with gradients on")
def gradients_on():
    return counting(True, lambda x: x)


@wrong("calls the model with a different input")
def ones_of_the_same_shape():
    return counting(False, torch.ones_like)
