"""Answers to 08.1: a parity check of one's own."""

import copy

import torch

from tests.answers import right, wrong


def make(
    *, modes=(False, True), copies=True, seeds=(0, 1), equal_nan=True, dtype=True, inputs_too=True, buffers=True,
    tolerance=1e-5, first=None, own_input=True, copy_first=True,
):  # fmt: skip
    """The answer with one of its parts switched off."""

    def close(a, b):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance / 10, equal_nan=equal_nan, check_dtype=dtype)

    def calls(side, other, x):
        for seed in seeds:
            b = x.clone()
            a = b if not own_input else x.clone() if copy_first else x
            if seed is not None:
                torch.manual_seed(seed)
            expected = side(a)
            if seed is not None:
                torch.manual_seed(seed)
            close(other(b), expected)
            if inputs_too:
                close(b, a)

    def equal(model, converted, inputs):
        flags = model.training, converted.training
        try:
            for mode in modes:
                for x in inputs[:first]:
                    left, right_ = model, converted
                    if copies:
                        left, right_ = copy.deepcopy(model), copy.deepcopy(converted)
                    left.train(mode), right_.train(mode)
                    calls(left, right_, x)
                    ours, theirs = dict(left.named_buffers()), dict(right_.named_buffers())
                    for name in ours.keys() & theirs.keys() if buffers else ():
                        close(theirs[name], ours[name])
        except Exception:
            return False
        finally:
            if not copies:
                model.train(flags[0]), converted.train(flags[1])
        return True

    return equal


@wrong("Not seen: the second input takes another branch")
def first_input_only():
    return make(first=1)


@wrong("Not seen: the result has a dimension more")
def allclose_broadcasts():
    def equal(model, converted, inputs):
        return all(torch.allclose(model(x), converted(x)) for x in inputs)

    return equal


@wrong("Not seen: the result is float64")
def dtypes_let_pass():
    return make(dtype=False)


@wrong("Not seen: dropout does nothing in train mode")
def eval_mode_only():
    return make(modes=(False,))


@wrong("Not seen: the input is changed in place")
def inputs_forgotten():
    return make(inputs_too=False)


@wrong("Not seen: a buffer is left with a different value")
def buffers_forgotten():
    return make(buffers=False)


@wrong("Not seen: the second call returns a different result")
def one_call():
    return make(seeds=(0,))


@wrong("these two agree, and your function says that they differ (a sum in another order)")
def to_the_last_bit():
    return make(tolerance=0.0)


@wrong("NaN and inf on both sides")
def nan_is_not_nan():
    return make(equal_nan=False)


@wrong("dropout, which is random in train mode")
def not_seeded():
    return make(seeds=(None, None))


@wrong("changes the modules that it compares")
def works_on_the_originals():
    return make(copies=False)


@wrong("Not seen: the input is changed in place")
def one_input_for_both():
    return make(own_input=False)


@wrong("Your function returns nothing")
def asserts_only():
    def equal(model, converted, inputs):
        for x in inputs:
            torch.testing.assert_close(converted(x), model(x))

    def wrapped(model, converted, inputs):
        try:
            equal(model, converted, inputs)
        except AssertionError:
            return None

    return wrapped


@right
def switches_all_on():
    return make()


@right
def by_the_report_of_the_course():
    from course_utils import check_parity

    def equal(model, converted, inputs):
        return check_parity(model, converted, inputs, modes=("eval", "train"), calls=2).ok

    return equal


@right
def by_state_dicts_put_back():
    """No copies: the buffers are saved, and written back before each side and at the end."""

    def equal(model, converted, inputs):
        saved = [{n: b.clone() for n, b in side.named_buffers()} for side in (model, converted)]
        plain = [{k: v for k, v in vars(side).items() if isinstance(v, int)} for side in (model, converted)]
        flags = [[m.training for m in side.modules()] for side in (model, converted)]
        twin = copy.deepcopy(converted)

        def restore():
            for side, buffers, values, modes in zip((model, converted), saved, plain, flags, strict=True):
                for name, buffer in side.named_buffers():
                    buffer.copy_(buffers[name])
                for name, value in values.items():
                    setattr(side, name, value)
                for module, mode in zip(side.modules(), modes, strict=True):
                    module.training = mode

        def run(side, mode, x):
            side.train(mode)
            told = []
            for seed in (3, 4):
                torch.manual_seed(seed)
                given = x.clone()
                told += [side(given), given]
            return told, {n: b.clone() for n, b in side.named_buffers()}

        try:
            for mode in (True, False):
                for x in inputs:
                    a, left = run(model, mode, x)
                    restore()
                    b, right_ = run(copy.deepcopy(twin), mode, x)
                    restore()
                    torch.testing.assert_close(b, a, equal_nan=True)
                    names = left.keys() & right_.keys()
                    torch.testing.assert_close({n: right_[n] for n in names}, {n: left[n] for n in names})
        except Exception:
            return False
        finally:
            restore()
        return True

    return equal


@wrong("Not seen: the trace keeps dropout in eval mode")
def train_mode_only():
    return make(modes=(True,))


@wrong("Not seen: the result is off by one per cent")
def ten_per_cent():
    return make(tolerance=0.1)


@wrong("Your function changes the inputs that it was given")
def the_first_side_writes_into_the_caller_s_input():
    return make(copy_first=False)
