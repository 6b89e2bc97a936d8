"""Answers to 12.1: a program for every number of images."""

import torch
from torch.export import Dim, export

from tests.answers import right, wrong


@wrong("a fixed first size of 1")
def nothing_declared():
    return lambda model, example: export(model, (example,))


@wrong("Constraints violated", status="your code raised")
def declared_with_one_image():
    return lambda model, example: export(model, (example,), dynamic_shapes=({0: Dim("batch")},))


@wrong("does not hold for a batch of 2")
def auto_with_one_image():
    return lambda model, example: export(model, (example,), dynamic_shapes=({0: Dim.AUTO},))


@wrong("a fixed first size of 40")
def a_batch_of_forty():
    return lambda model, example: export(model, (example.repeat(40, 1, 1, 1),))


@wrong("the bounds that you declared")
def too_small_a_bound():
    def small(model, example):
        return export(model, (torch.cat([example] * 2),), dynamic_shapes=({0: Dim("batch", max=32)},))

    return small


@wrong("is no ExportedProgram")
def the_module_of_it():
    def module(model, example):
        return export(model, (torch.cat([example] * 2),), dynamic_shapes=({0: Dim.AUTO},)).module()

    return module


@right
def auto_with_two():
    return lambda model, example: export(model, (example.expand(2, -1, -1, -1),), dynamic_shapes=({0: Dim.AUTO},))


@right
def dynamic_by_name():
    def by_name(model, example):
        return export(model, (torch.rand(5, 1, 8, 8),), dynamic_shapes={"images": {0: Dim.DYNAMIC}}, strict=True)

    return by_name
