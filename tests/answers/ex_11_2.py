"""Answers to 11.2: how far an archive and an ONNX file are from eager, at worst."""

import onnxruntime
import torch

from course_utils.tools.onnx_model import OnnxModel
from tests.answers import right, wrong

INF = float("inf")


def runtimes(archive, onnx_file):
    return {"torchscript": torch.jit.load(archive), "onnxruntime": OnnxModel(onnx_file)}


@wrong("Where the archive has lost the branch for large sums")
def the_first_input_only():
    def largest_differences(model, archive, onnx_file, inputs):
        x = inputs[0]
        return {k: (r(x) - model(x)).abs().max().item() for k, r in runtimes(archive, onnx_file).items()}

    return largest_differences


@wrong("a candidate may lie above eager or below it")
def signed():
    def largest_differences(model, archive, onnx_file, inputs):
        return {
            key: max((model(x) - run(x)).max().item() for x in inputs[2:3])
            for key, run in runtimes(archive, onnx_file).items()
        }

    return largest_differences


@wrong("Where the file takes three values and gets four", status="not yet")
def a_refusal_is_skipped():
    def largest_differences(model, archive, onnx_file, inputs):
        found = dict.fromkeys(("torchscript", "onnxruntime"), 0.0)
        for key, run in runtimes(archive, onnx_file).items():
            for x in inputs:
                try:
                    found[key] = max(found[key], (run(x) - model(x)).abs().max().item())
                except Exception:
                    continue
        return found

    return largest_differences


@wrong("the archive gives a column in place of a row")
def broadcast():
    def largest_differences(model, archive, onnx_file, inputs):
        found = dict.fromkeys(("torchscript", "onnxruntime"), 0.0)
        for key, run in runtimes(archive, onnx_file).items():
            for x in inputs:
                try:
                    found[key] = max(found[key], (run(x) - model(x)).abs().max().item())
                except Exception:
                    found[key] = INF
        return found

    return largest_differences


@wrong("rejects this input", status="your code raised")
def nothing_is_caught():
    def largest_differences(model, archive, onnx_file, inputs):
        return {
            key: max((run(x) - model(x)).abs().max().item() for x in inputs)
            for key, run in runtimes(archive, onnx_file).items()
        }

    return largest_differences


@wrong("Where the archive has lost the branch for large sums")
def the_mean():
    def largest_differences(model, archive, onnx_file, inputs):
        return {
            key: torch.stack([(run(x) - model(x)).abs() for x in inputs]).mean().item()
            for key, run in runtimes(archive, onnx_file).items()
        }

    return largest_differences


@wrong("does not return a dict with the two keys")
def eager_as_well():
    def largest_differences(model, archive, onnx_file, inputs):
        return {"eager": 0.0, "torchscript": 0.0, "onnxruntime": 0.0}

    return largest_differences


@right
def in_numpy():
    def largest_differences(model, archive, onnx_file, inputs):
        session = onnxruntime.InferenceSession(onnx_file)
        script = torch.jit.load(archive)
        name = session.get_inputs()[0].name

        def distance(run, x):
            try:
                actual = run(x)
            except Exception:
                return INF
            expected = model(x).detach().numpy()
            gap = float(abs(actual - expected).max()) if actual.shape == expected.shape else INF
            return gap if gap == gap else INF

        return {
            "onnxruntime": max(distance(lambda x: session.run(None, {name: x.numpy()})[0], x) for x in inputs),
            "torchscript": max(distance(lambda x: script(x).detach().numpy(), x) for x in inputs),
        }

    return largest_differences


@right
def by_assert_close():
    def largest_differences(model, archive, onnx_file, inputs):
        def all_differences(run):
            for x in inputs:
                try:
                    actual, expected = run(x), model(x)
                    torch.testing.assert_close(actual, expected, rtol=INF, atol=INF)
                except Exception:
                    yield INF
                else:
                    yield torch.dist(actual, expected, p=INF).item()

        return {key: max(all_differences(run)) for key, run in runtimes(archive, onnx_file).items()}

    return largest_differences


def combined(of_input, of_all):
    """An answer that takes `of_input` of each difference, and `of_all` of what it took."""

    def largest_differences(model, archive, onnx_file, inputs):
        found = {}
        for name, runtime in (("torchscript", torch.jit.load(archive)), ("onnxruntime", OnnxModel(onnx_file))):
            numbers = []
            for x in inputs:
                try:
                    expected, actual = model(x), runtime(x)
                    same = expected.shape == actual.shape
                    numbers.append(of_input(actual - expected) if same else float("inf"))
                except Exception:
                    numbers.append(float("inf"))
            found[name] = float(of_all(numbers))
        return found

    return largest_differences


LOW = "too low, and most in one value of one input"


@wrong(LOW)
def the_mean_of_each_input():
    return combined(lambda gap: gap.abs().mean().item(), max)


@wrong(LOW)
def without_the_absolute_value():
    return combined(lambda gap: gap.max().item(), max)


@wrong(LOW)
def the_sum_over_the_inputs():
    return combined(lambda gap: gap.abs().max().item(), sum)


@wrong(LOW)
def two_decimals():
    return combined(lambda gap: round(gap.abs().max().item(), 2), max)


@wrong("Where the archive gives a NaN, once")
def a_nan_is_lost():
    return combined(lambda gap: gap.abs().max().item(), lambda numbers: max([0.0, *numbers]))


@wrong("what a NaN of this runtime counts as")
def a_nan_is_told_as_nan():
    return combined(lambda gap: gap.abs().max().item(), lambda numbers: torch.tensor(numbers).max())


@wrong("'inf', a str")
def infinity_as_a_text():
    def largest_differences(model, archive, onnx_file, inputs):
        found = combined(lambda gap: gap.abs().max().item(), max)(model, archive, onnx_file, inputs)
        return {key: "inf" if value == INF else value for key, value in found.items()}

    return largest_differences


@wrong("gets four values and then three")
def a_refusal_that_is_forgotten():
    return combined(lambda gap: gap.abs().max().item(), lambda n: n[-1] if len(n) == 2 else max(n))
