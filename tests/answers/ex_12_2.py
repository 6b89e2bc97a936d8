"""Answers to 12.2: a branch that torch.export keeps."""

import torch

from tests.answers import right, wrong


@wrong("Python still decides about a value")
def left_as_it_was():
    return lambda image: image * 0.5 if image.mean() > 0.5 else image


@wrong("returns its operand itself")
def the_operand_itself():
    def alias(image):
        return torch.cond(image.mean() > 0.5, lambda x: x * 0.5, lambda x: x, (image,))

    return alias


@wrong("differs for a bright image")
def sides_exchanged():
    def exchanged(image):
        return torch.cond(image.mean() > 0.5, lambda x: x.clone(), lambda x: x * 0.5, (image,))

    return exchanged


@wrong("differs for a mean of exactly 0.5")
def the_border_too():
    return lambda image: torch.where(image.mean() >= 0.5, image * 0.5, image)


@wrong("differs for a dark image")
def always():
    return lambda image: image * 0.5


@wrong("differs for a bright image")
def pixel_by_pixel():
    return lambda image: torch.where(image > 0.5, image * 0.5, image)


@right
def by_where():
    return lambda image: torch.where(image.mean() > 0.5, image * 0.5, image)


@right
def by_a_factor():
    return lambda image: image * (1.0 - 0.5 * (image.mean() > 0.5))


@right
def the_factor_from_cond():
    def factor(image):
        half = torch.cond(image.mean() > 0.5, lambda: torch.full((), 0.5), lambda: torch.ones(()), ())
        return image * half

    return factor


@wrong("differs for a bright image with a dark row")
def row_by_row():
    return lambda image: torch.where(image.mean(-1, keepdim=True) > 0.5, image * 0.5, image)


@wrong("differs for a bright image whose pixels are mostly dark")
def by_the_median():
    return lambda image: torch.where(image.median() > 0.5, image * 0.5, image)


@wrong("differs for an image with negative pixels")
def by_the_mean_of_the_sizes():
    return lambda image: torch.where(image.abs().mean() > 0.5, image * 0.5, image)


@right
def by_the_sum():
    return lambda image: torch.where(image.sum() > 0.5 * image.numel(), image * 0.5, image)
