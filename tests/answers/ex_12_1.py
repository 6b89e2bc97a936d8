"""Answers to 12.1: a program for every number of images."""

import torch
from torch.export import Dim, export

from tests.answers import right, wrong


@wrong("a fixed first size of 1")
def nothing_declared():
    return lambda model, example: export(model, (example,))


@wrong("what you declare as free and the example contradict each other")
def declared_with_one_image():
    return lambda model, example: export(model, (example,), dynamic_shapes=({0: Dim("batch")},))


@wrong("is not correct for a batch of 2")
def auto_with_one_image():
    return lambda model, example: export(model, (example,), dynamic_shapes=({0: Dim.AUTO},))


@wrong("a fixed first size of 40")
def a_batch_of_forty():
    return lambda model, example: export(model, (example.repeat(40, 1, 1, 1),))


@wrong("is not correct for a batch of 40")
def too_small_a_bound():
    def small(model, example):
        return export(model, (torch.cat([example] * 2),), dynamic_shapes=({0: Dim("batch", max=32)},))

    return small


@wrong("does not return an ExportedProgram")
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


@wrong("what you declare as free and the example contradict each other")
def dynamic_with_one_image():
    return lambda model, example: export(model, (example,), dynamic_shapes=({0: Dim.DYNAMIC},))


@wrong("is not correct for a batch of 65")
def at_most_64():
    return lambda model, example: export(model, (example.repeat(2, 1, 1, 1),), dynamic_shapes=({0: Dim("n", max=64)},))


@wrong("The program takes at most 1000 images")
def at_most_a_thousand():
    def bounded(model, example):
        return export(model, (example.repeat(2, 1, 1, 1),), dynamic_shapes=({0: Dim("n", max=1000)},))

    return bounded


@wrong("is not correct for a batch of 2")
def the_model_in_place_of_its_module():
    def dressed(model, example):
        program = export(model, (example,))
        program.module = lambda *_, **__: model
        return program

    return dressed
