"""Answers to 10.1: the names of the smallest submodules that do not compile."""

import torch

from course_utils.tools.bisection import compile_error
from tests.answers import right, wrong


def fails(part):
    try:
        torch.jit.script(part)
    except Exception:
        return True
    return False


@wrong("which fails because a submodule of it does")
def all_that_fail():
    return lambda model: [name for name, part in model.named_modules() if fails(part)]


@wrong("Another one of them is found")
def the_first_only():
    def culprits(model):
        for name, part in reversed(list(model.named_modules())):
            if fails(part):
                return [name]
        return []

    return culprits


@wrong("a smallest part need not be a leaf")
def leaves_only():
    return lambda model: [n for n, part in model.named_modules() if fails(part) and not list(part.children())]


@wrong("is the start of another name")
def names_without_the_dot():
    def culprits(model):
        bad = [name for name, part in model.named_modules() if fails(part)]
        return [name for name in bad if not any(other != name and other.startswith(name) for other in bad)]

    return culprits


@wrong("which fails because a submodule of it does")
def children_of_the_model_only():
    return lambda model: [name for name, part in model.named_children() if fails(part)]


@wrong("A model that fails itself")
def without_the_model_itself():
    def culprits(model):
        bad = [name for name, part in model.named_modules() if name and fails(part)]
        return [name for name in bad if not any(other.startswith(name + ".") for other in bad)]

    return culprits


@wrong("not the name of a submodule")
def the_classes():
    return lambda model: [type(p).__name__ for _, p in model.named_modules() if fails(p) and not list(p.children())]


@wrong("does not return a list of names")
def nothing_returned():
    return lambda model: print([name for name, part in model.named_modules() if fails(part)])


@right
def by_recursion():
    def culprits(model, name=""):
        found = []
        for child, part in model.named_children():
            found += culprits(part, f"{name}.{child}".lstrip("."))
        return found if found or not fails(model) else [name]

    return culprits


@right
def downwards_as_a_set():
    def culprits(model):
        found, left = set(), [("", model)]
        while left:
            name, part = left.pop()
            if compile_error(part) is None:
                continue
            below = [(f"{name}.{child}" if name else child, sub) for child, sub in part.named_children()]
            bad = [(child, sub) for child, sub in below if compile_error(sub) is not None]
            left += bad
            if not bad:
                found.add(name)
        return found

    return culprits


@right
def by_identity():
    def culprits(model):
        bad = {id(part) for part in model.modules() if fails(part)}
        return [
            name
            for name, part in model.named_modules()
            if id(part) in bad and not any(id(sub) in bad for sub in part.modules() if sub is not part)
        ]

    return culprits
