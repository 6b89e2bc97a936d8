"""Answers to 01.1: rows of any number of images, minus the mean of each row."""

import torch

from tests.answers import right, wrong


@wrong("is not correct for 2")
def size_as_a_python_int():
    def centred(images):
        rows = images.reshape(int(images.shape[0]), -1)
        return rows - rows.mean(1, keepdim=True)

    return centred


@wrong("is not correct for 2")
def size_from_a_loop():
    def centred(images):
        rows = torch.stack([image.flatten() for image in images])
        return rows - rows.mean(1, keepdim=True)

    return centred


@wrong("is not correct for 2")
def size_written_down_as_seen():
    def centred(images):
        rows = images.reshape(len(images.tolist()), -1)
        return rows - rows.mean(1, keepdim=True)

    return centred


@wrong("The function itself")
def mean_of_all():
    def centred(images):
        return images.flatten(1) - images.mean()

    return centred


@wrong("The function itself")
def everything_in_one_row():
    def centred(images):
        rows = images.flatten()
        return rows - rows.mean()

    return centred


@right
def by_flatten():
    def centred(images):
        rows = images.flatten(1)
        return rows - rows.mean(1, keepdim=True)

    return centred


@right
def by_recorded_size():
    def centred(images):
        rows = images.view(images.shape[0], -1)
        return rows - rows.mean(dim=1).unsqueeze(1)

    return centred


@right
def by_mean_over_the_image():
    def centred(images):
        return (images - images.mean((1, 2, 3), keepdim=True)).reshape(-1, 64)

    return centred


@right
def already_traced():
    return torch.jit.trace(by_flatten(), torch.rand(3, 1, 8, 8))


@wrong("Your function changes its input")
def in_place():
    def centred(images):
        rows = images.flatten(1)
        rows -= rows.mean(1, keepdim=True)
        return rows

    return centred
