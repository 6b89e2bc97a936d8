"""Answers to 11.1: an export with a free batch that proves itself."""

import warnings
from functools import cache

import onnxruntime
import torch

from course_utils import check_parity
from course_utils.tools.onnx_model import OnnxModel
from tests.answers import right, wrong


def largest(model, path, example, sizes=(1, 3, 8)):
    file, found = OnnxModel(path), 0.0
    with torch.no_grad():
        for size in sizes:
            x = torch.rand(size, *example.shape[1:])
            found = max(found, (file(x) - model(x)).abs().max().item())
    return found


@cache
def exporter_loaded():
    """Load what the first export of a process loads: here, so that each answer's own process has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(torch.nn.Linear(1, 1).eval(), (torch.rand(2, 1),), verbose=False)
        torch.cond(torch.tensor(True), lambda x: x + 1, lambda x: x - 1, (torch.ones(1),))


def written(model, example, path, **options):
    torch.onnx.export(model, (example,), path, verbose=False, **options)


@wrong("The file takes batches of 2 and no others")
def nothing_is_free():
    exporter_loaded()

    def export_any_batch(model, example, path):
        written(model, example, path)
        return largest(model, path, example, sizes=(2,))

    return export_any_batch


@wrong("The file differs from the model for a batch of 1")
def probabilities_in_place_of_scores():
    exporter_loaded()

    def export_any_batch(model, example, path):
        written(torch.nn.Sequential(model, torch.nn.Softmax(1)), example, path, dynamic_shapes=({0: "batch"},))
        return largest(model, path, example)

    return export_any_batch


@wrong("your number does not show by how much")
def compared_with_itself():
    exporter_loaded()

    def export_any_batch(model, example, path):
        written(model, example, path, dynamic_shapes=({0: "batch"},))
        x = torch.rand(3, *example.shape[1:])
        return (model(x) - model(x)).abs().max().item()

    return export_any_batch


@wrong("writes no file")
def kept_in_memory():
    exporter_loaded()

    def export_any_batch(model, example, path):
        torch.onnx.export(model, (example,), dynamic_shapes=({0: "batch"},), verbose=False)
        return 0.0

    return export_any_batch


@wrong("does not return a float")
def a_tensor_is_no_float():
    exporter_loaded()

    def export_any_batch(model, example, path):
        written(model, example, path, dynamic_shapes=({0: "batch"},))
        return torch.tensor(largest(model, path, example))

    return export_any_batch


@wrong("TorchExportError", status="your code raised")
def another_name_of_the_argument():
    exporter_loaded()

    def export_any_batch(model, example, path):
        written(model, example, path, dynamic_shapes={"images": {0: "batch"}})
        return largest(model, path, example)

    return export_any_batch


@right
def by_dim_and_program():
    exporter_loaded()

    def export_any_batch(model, example, path):
        batch = torch.export.Dim("batch")
        program = torch.export.export(model, (example,), dynamic_shapes=({0: batch},))
        torch.onnx.export(program, (), path, verbose=False)
        session = onnxruntime.InferenceSession(path)
        worst = []
        for n in (1, 3, 8):
            x = torch.randn(n, *example.shape[1:])
            found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
            worst.append(float(abs(found - model(x).detach().numpy()).max()))
        return max(worst)

    return export_any_batch


@right
def compared_by_check_parity_first():
    exporter_loaded()

    def export_any_batch(model, example, path):
        free = [torch.export.Dim.DYNAMIC] + [None] * (example.dim() - 1)
        written(model, example, path, dynamic_shapes=(free,), input_names=["x"])
        assert check_parity(model, OnnxModel(path), torch.rand(4, *example.shape[1:])) is not None
        return largest(model, path, example)

    return export_any_batch


def judged_by(number):
    """An answer that writes the right file and returns `number(file, model, example)`."""
    exporter_loaded()

    def export_any_batch(model, example, path):
        written(model, example, path, dynamic_shapes=({0: "batch"},))
        with torch.no_grad():
            return number(OnnxModel(path), model, example)

    return export_any_batch


def gaps(file, model, example, sizes=(1, 3, 8)):
    inputs = [torch.rand(n, *example.shape[1:]) for n in sizes]
    return [file(x) - model(x) for x in inputs]


@wrong("your number does not show by how much")
def the_example_only():
    return judged_by(lambda *given: gaps(*given, sizes=(2,))[0].abs().max().item())


@wrong("your number does not show by how much")
def the_mean():
    return judged_by(lambda *given: max(gap.abs().mean().item() for gap in gaps(*given)))


@wrong("your number does not show by how much")
def no_absolute_value():
    return judged_by(lambda *given: max(gap.max().item() for gap in gaps(*given)))


@wrong("your number does not show by how much")
def the_last_batch():
    return judged_by(lambda *given: gaps(*given)[-1].abs().max().item())


@wrong("your number does not show by how much")
def the_smallest_batch():
    return judged_by(lambda *given: min(gap.abs().max().item() for gap in gaps(*given)))


@wrong("your number does not show by how much")
def rounded():
    return judged_by(lambda *given: round(max(gap.abs().max().item() for gap in gaps(*given)), 1))


@wrong("onnxruntime does not run the file at `path` with 1 row.")
def the_program_in_place_of_the_file():
    exporter_loaded()

    def export_any_batch(model, example, path):
        written(model, example, path, dynamic_shapes=({0: "batch"},))
        batch = torch.export.Dim("batch")
        program = torch.export.export(model, (example,), dynamic_shapes=({0: batch},)).module()
        with torch.no_grad():
            return max(gap.abs().max().item() for gap in gaps(program, model, example))

    return export_any_batch


@wrong("onnxruntime does not run the file at `path` with 8 rows.")
def another_size():
    return judged_by(lambda *given: max(gap.abs().max().item() for gap in gaps(*given, sizes=(1, 3, 9))))


@wrong("but your function returns a number")
def an_error_is_no_difference():
    def number(file, model, example):
        largest = 0.0
        for size in (1, 3, 8):
            try:
                largest = max(largest, gaps(file, model, example, sizes=(size,))[0].abs().max().item())
            except ValueError:
                continue
        return largest

    return judged_by(number)


@right
def by_the_old_route():
    def export_any_batch(model, example, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model, (example,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "batch"}}
            )
        return largest(model, path, example)

    return export_any_batch
