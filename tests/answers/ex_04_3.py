"""Answers to 04.3: a decision around a traced backbone."""

import torch
from torch import nn

from tests.answers import right, wrong


class Sparing(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, images):
        if bool(images.max() < 0.1):
            return torch.zeros(images.shape[0], 10)
        return self.backbone(images)


class OfFixedSize(nn.Module):
    def __init__(self, backbone, n: int):
        super().__init__()
        self.backbone, self.n = backbone, n

    def forward(self, images):
        if bool(images.max() < 0.1):
            return torch.zeros(self.n, 10)
        return self.backbone(images)


class ImageByImage(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, images):
        ink = images.amax([1, 2, 3]) >= 0.1
        if bool(ink.any()):
            return self.backbone(images) * ink.unsqueeze(1)
        return torch.zeros(images.shape[0], 10)


class BothWays(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, images):
        return torch.where(images.max() < 0.1, torch.zeros(images.shape[0], 10), self.backbone(images))


class Around(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner(images)


class ByTernary(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, images):
        out = torch.zeros([images.size(0), 10])
        return self.backbone(images) if bool((images >= 0.1).any()) else out


@wrong("there is no branch in its graph")
def traced_from_outside():
    return lambda backbone, example: torch.jit.trace(Sparing(backbone), example)


@wrong("there is no branch in its graph")
def both_ways():
    return lambda backbone, example: torch.jit.script(BothWays(torch.jit.trace(backbone, example)))


@wrong("does not return a compiled module")
def left_eager():
    return lambda backbone, example: Sparing(torch.jit.trace(backbone, example))


@wrong("'Tensor' object has no attribute or method 'forward'", status="your code raised")
def backbone_not_traced():
    return lambda backbone, example: torch.jit.script(Sparing(backbone))


@wrong("It does not give zeros for a blank batch")
def size_of_the_example():
    return lambda backbone, x: torch.jit.script(OfFixedSize(torch.jit.trace(backbone, x), x.shape[0]))


@wrong("some images of a batch are blank")
def each_image_on_its_own():
    return lambda backbone, example: torch.jit.script(ImageByImage(torch.jit.trace(backbone, example)))


@wrong("Your function returns nothing")
def nothing_returned():
    def assemble(backbone, example):
        torch.jit.script(Sparing(torch.jit.trace(backbone, example)))

    return assemble


@right
def a_trace_around_a_script_around_a_trace():
    def assemble(backbone, example):
        inner = torch.jit.script(Sparing(torch.jit.trace(backbone, example)))
        return torch.jit.trace(Around(inner), example)

    return assemble


@right
def frozen():
    def assemble(backbone, example):
        return torch.jit.freeze(torch.jit.script(Sparing(torch.jit.trace(backbone, example)).eval()))

    return assemble


@right
def by_a_ternary():
    return lambda backbone, example: torch.jit.script(ByTernary(torch.jit.trace(backbone, example)))


class RunsFirst(Sparing):
    def forward(self, images):
        out = self.backbone(images)
        if bool(images.max() < 0.1):
            return torch.zeros(images.shape[0], 10)
        return out


@wrong("runs the backbone for a blank batch")
def the_backbone_runs_first():
    return lambda backbone, example: torch.jit.script(RunsFirst(torch.jit.trace(backbone, example)))


class ByMean(Sparing):
    def forward(self, images):
        if bool(images.mean() < 0.1):
            return torch.zeros(images.shape[0], 10)
        return self.backbone(images)


@wrong("where only the")
def the_mean_decides():
    return lambda backbone, example: torch.jit.script(ByMean(torch.jit.trace(backbone, example)))


class UpTo(Sparing):
    def forward(self, images):
        if bool(images.max() <= 0.1):
            return torch.zeros(images.shape[0], 10)
        return self.backbone(images)


@wrong("whose brightest pixel is 0.1")
def a_pixel_that_reaches_it_is_left_out():
    return lambda backbone, example: torch.jit.script(UpTo(torch.jit.trace(backbone, example)))


class BySize(Sparing):
    def forward(self, images):
        if bool(images.abs().max() < 0.1):
            return torch.zeros(images.shape[0], 10)
        return self.backbone(images)


@wrong("a batch of negative pixels")
def without_the_sign():
    return lambda backbone, example: torch.jit.script(BySize(torch.jit.trace(backbone, example)))


class ByFirst(Sparing):
    def forward(self, images):
        if bool(images[0].max() < 0.1):
            return torch.zeros(images.shape[0], 10)
        return self.backbone(images)


@wrong("where only the last image")
def the_first_image_decides():
    return lambda backbone, example: torch.jit.script(ByFirst(torch.jit.trace(backbone, example)))
