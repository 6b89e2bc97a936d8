"""Answers to 04.1: a function whose loop stays alive in a trace."""

import warnings

import torch

from tests.answers import right, wrong


def plain(images):
    while bool(images.mean() > 0.25):
        images = images * 0.5
    return images


@torch.jit.script
def halve_times(images, rounds: int):
    for _ in range(rounds):
        images = images * 0.5
    return images


@torch.jit.script
def always_once(images):
    images = images * 0.5
    while bool(images.mean() > 0.25):
        images = images * 0.5
    return images


@torch.jit.script_if_tracing
def lazily(images):
    while bool(images.mean() > 0.25):
        images = images * 0.5
    return images


@wrong("is not correct for one that needs four rounds")
def left_as_it_was():
    return plain


@wrong("is not correct for one that needs four rounds")
def counted_in_python():
    def dim_alive(images):
        rounds, mean = 0, float(images.mean())
        while mean > 0.25:
            rounds, mean = rounds + 1, mean / 2
        return halve_times(images, rounds)

    return dim_alive


@wrong("The function itself, not yet traced")
def traced_instead_of_scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        return torch.jit.trace(plain, torch.full((2,), 0.4))


@wrong("The function itself, not yet traced")
def halved_once_too_often():
    return always_once


@wrong("The function itself, not yet traced")
def one_round_by_where():
    return lambda images: torch.where(images.mean() > 0.25, images * 0.5, images)


@right
def compiled_when_traced():
    return lazily


@right
def without_a_loop():
    def dim_alive(images):
        rounds = torch.ceil(torch.log2(images.mean() / 0.25)).clamp(min=0)
        return images * torch.exp2(-rounds)

    return dim_alive


@right
def called_from_python():
    scripted = torch.jit.script(plain)

    def dim_alive(images):
        return scripted(images)

    return dim_alive


@torch.jit.script
def halves_at_the_limit(images):
    while bool(images.mean() >= 0.25):
        images = images * 0.5
    return images


@torch.jit.script
def by_the_first_image(images):
    while bool(images[0].mean() > 0.25):
        images = images * 0.5
    return images


class Dim(torch.nn.Module):
    def forward(self, images):
        while bool(images.mean() > 0.25):
            images = images * 0.5
        return images


@wrong("whose mean is 0.25 to the digit")
def greater_or_equal():
    return halves_at_the_limit


@wrong("is not correct for one that needs seventeen")
def four_rounds_by_where():
    def dim_alive(images):
        for _ in range(4):
            images = torch.where(images.mean() > 0.25, images * 0.5, images)
        return images

    return dim_alive


@wrong("not equally bright")
def each_image_by_its_own_mean():
    def dim_alive(images):
        mean = images.flatten(1).mean(1).reshape(-1, *[1] * (images.dim() - 1))
        return images * torch.exp2(-torch.ceil(torch.log2(mean / 0.25)).clamp(min=0))

    return dim_alive


@wrong("not equally bright")
def the_first_image_decides():
    return by_the_first_image


@right
def a_scripted_module():
    return torch.jit.script(Dim())
