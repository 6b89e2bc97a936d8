"""Answers to 07.4: one convolution in place of a convolution and a batch normalisation."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tests.answers import right, wrong


def written(*, eps=True, root=True, shift=True, affine=True, biasless=True, dim=0, copied=True):
    """An answer in which each part of the formula can be wrong alone."""

    def fold(conv, norm):
        folded = copy.deepcopy(conv) if copied else conv
        with torch.no_grad():
            variance = norm.running_var + (norm.eps if eps else 1e-5)
            scale = 1 / (variance.sqrt() if root else variance)
            gamma = torch.ones_like(scale) if norm.weight is None and affine else norm.weight
            beta = torch.zeros_like(scale) if norm.bias is None and affine else norm.bias
            scale = scale * gamma
            shape = [1] * conv.weight.dim()
            shape[dim] = -1
            folded.weight.copy_(conv.weight * scale.reshape(shape))
            if conv.bias is not None or biasless:
                bias = 0 if conv.bias is None else conv.bias
                folded.bias = nn.Parameter((bias - norm.running_mean if shift else bias) * scale + beta)
        return folded

    return fold


@wrong("For a large eps")
def eps_by_heart():
    return written(eps=False)


@wrong("For a 2d convolution with a bias")
def variance_without_root():
    return written(root=False)


@wrong("For a 2d convolution with a bias")
def mean_forgotten():
    return written(shift=False)


@wrong("For a convolution without a bias")
def no_bias_stays_no_bias():
    return written(biasless=False)


@wrong("unsupported operand", status="your code raised")
def affine_taken_for_granted():
    return written(affine=False)


@wrong("changes the layers that it was given")
def in_place():
    return written(copied=False)


@wrong("must match", status="your code raised")
def scale_along_the_input_channels():
    return written(dim=1)


@wrong("does not return one convolution of the same kind")
def both_in_a_row():
    return lambda conv, norm: nn.Sequential(conv, norm)


@wrong("does not return one convolution of the same kind")
def always_two_dimensions():
    def fold(conv, norm):
        folded = nn.Conv2d(
            conv.in_channels, conv.out_channels, conv.kernel_size[:1] * 2, conv.stride[:1] * 2,
            padding=conv.padding[:1] * 2, dilation=conv.dilation[:1] * 2, groups=conv.groups,
            padding_mode=conv.padding_mode, dtype=conv.weight.dtype,
        ).eval()  # fmt: skip
        if conv.weight.dim() == 4:
            folded.load_state_dict(written()(conv, norm).state_dict())
        return folded

    return fold


@wrong("For groups, stride and dilation")
def options_forgotten():
    def fold(conv, norm):
        made = written()(conv, norm)
        made.stride = (1,) * len(made.stride)
        return made

    return fold


@right
def from_torch():
    return fuse_conv_bn_eval


@right
def by_asking_the_layers():
    """No formula: the normalisation of 0 and of 1 tells its scale and its shift."""

    def fold(conv, norm):
        folded = copy.deepcopy(conv)
        ones = [1] * (conv.weight.dim() - 2)
        with torch.no_grad():
            zero = torch.zeros(1, conv.out_channels, *ones, dtype=conv.weight.dtype)
            shift = norm(zero).flatten()
            scale = norm(zero + 1).flatten() - shift
            folded.weight = nn.Parameter(conv.weight * scale.reshape(-1, 1, *ones))
            bias = shift if conv.bias is None else shift + conv.bias * scale
        folded.bias = nn.Parameter(bias)
        return folded

    return fold


@right
def in_double_precision():
    def fold(conv, norm):
        folded = written()(copy.deepcopy(conv).double(), copy.deepcopy(norm).double())
        return folded.to(conv.weight.dtype)

    return fold


@wrong("does more than a convolution")
def a_hook():
    def fold(conv, norm):
        folded = copy.deepcopy(conv)
        after = copy.deepcopy(norm)
        folded.register_forward_hook(lambda module, args, result: after(result))
        return folded

    return fold


@wrong("does more than a convolution")
def a_patched_forward():
    def fold(conv, norm):
        folded = copy.deepcopy(conv)
        both = nn.Sequential(copy.deepcopy(conv), copy.deepcopy(norm))
        folded.forward = both.forward
        return folded

    return fold


@wrong("the dtype of every number on the way")
def float64_through_float32():
    def fold(conv, norm):
        folded = fuse_conv_bn_eval(copy.deepcopy(conv).float(), copy.deepcopy(norm).float())
        return folded.to(conv.weight.dtype)

    return fold


@wrong("For one dimension, the weight of the folded convolution has a different shape")
def a_place_too_many_in_one_dimension():
    def fold(conv, norm):
        folded = fuse_conv_bn_eval(conv, norm)
        if conv.weight.dim() == 3:
            folded.weight = nn.Parameter(folded.weight.unsqueeze(3))
        return folded

    return fold


@wrong("For one dimension, the folded convolution cannot be called")
def stride_of_two_dimensions():
    def fold(conv, norm):
        folded = fuse_conv_bn_eval(conv, norm)
        folded.stride = folded.stride[:1] * 2
        return folded if conv.weight.dim() < 5 else fuse_conv_bn_eval(conv, norm)

    return fold


@wrong("For float64, the folded convolution has a different dtype")
def float32_for_float64():
    def fold(conv, norm):
        return fuse_conv_bn_eval(copy.deepcopy(conv).float(), copy.deepcopy(norm).float())

    return fold


@wrong("For float64, the folded convolution has a different dtype")
def a_bias_of_float32():
    def fold(conv, norm):
        folded = fuse_conv_bn_eval(conv, norm)
        folded.bias = nn.Parameter(folded.bias.float())
        return folded

    return fold
