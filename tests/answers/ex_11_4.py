"""Answers to 11.4: the first input on which a file is wrong."""

import onnxruntime
import torch

from course_utils import check_parity
from course_utils.tools.onnx_model import OnnxModel, op_counts
from tests.answers import right, wrong


@wrong("For a file without an `If` that is right all the same")
def operators_as_proof():
    return lambda model, path, inputs: None if "If" in op_counts(path) else 2


@wrong("For a file that differs by a rounding")
def to_the_last_bit():
    def first_wrong(model, path, inputs):
        file = OnnxModel(path)
        return next((n for n, x in enumerate(inputs) if not torch.equal(file(x), model(x))), None)

    return first_wrong


@wrong("rejects this input", status="your code raised")
def a_refusal_is_not_caught():
    def first_wrong(model, path, inputs):
        file = OnnxModel(path)
        return next((n for n, x in enumerate(inputs) if not torch.allclose(file(x), model(x))), None)

    return first_wrong


@wrong("For a file that gives a column in place of a row")
def shapes_broadcast():
    def first_wrong(model, path, inputs):
        file = OnnxModel(path)
        for n, x in enumerate(inputs):
            try:
                if (file(x) - model(x)).abs().max() > 1e-4:
                    return n
            except ValueError:
                return n
        return None

    return first_wrong


@wrong("a number, counted from 0, or None")
def true_or_false():
    def first_wrong(model, path, inputs):
        return not check_parity(model, OnnxModel(path), inputs).ok

    return first_wrong


@wrong("For a file with an `If` that has lost another one")
def the_last_one():
    def first_wrong(model, path, inputs):
        file, found = OnnxModel(path), None
        for n, x in enumerate(inputs):
            if not torch.allclose(file(x), model(x), atol=1e-4):
                found = n + 1
        return found

    return first_wrong


@right
def by_check_parity():
    def first_wrong(model, path, inputs):
        file = OnnxModel(path)
        return next((n for n, x in enumerate(inputs) if not check_parity(model, file, [x], calls=1).ok), None)

    return first_wrong


@right
def by_a_session():
    def first_wrong(model, path, inputs):
        session = onnxruntime.InferenceSession(path)
        for n, x in enumerate(inputs):
            try:
                found = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])
                torch.testing.assert_close(found, model(x), rtol=1e-3, atol=1e-4)
            except Exception:
                return n
        return None

    return first_wrong


def by(differs):
    def first_wrong(model, path, inputs):
        file = OnnxModel(path)
        for n, x in enumerate(inputs):
            try:
                actual, expected = file(x), model(x)
            except ValueError:
                return n
            if actual.shape != expected.shape or differs(actual, expected):
                return n
        return None

    return first_wrong


@wrong("a rounding of large numbers")
def an_absolute_tolerance_only():
    return by(lambda actual, expected: (actual - expected).abs().max() > 1e-4)


@wrong("a rounding near zero")
def a_relative_tolerance_only():
    return by(lambda actual, expected: not torch.allclose(actual, expected))


@wrong("wrong twice, at first by less")
def a_tolerance_that_is_too_wide():
    return by(lambda actual, expected: not torch.allclose(actual, expected, rtol=0.3, atol=1e-5))
