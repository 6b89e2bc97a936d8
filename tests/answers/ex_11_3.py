"""Answers to 11.3: the route that gives a faithful file."""

import torch

from course_utils import check_parity
from course_utils.tools.onnx_model import OnnxModel
from tests.answers import right, wrong
from tests.answers.ex_11_1 import exporter_loaded


def equal(model, path, inputs):
    file = OnnxModel(path)
    return all(torch.allclose(file(x), model(x), atol=1e-5) for x in inputs)


def written(model, example, path, dynamo):
    torch.onnx.export(model, (example,), path, dynamo=dynamo, verbose=False)


@wrong("you say that neither does")
def the_new_route_only():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        try:
            written(model, example, path, True)
        except Exception:
            return False
        return True

    return export_faithfully


@wrong("you say that the file matches, but it does not")
def a_file_is_believed():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        try:
            written(model, example, path, False)
        except Exception:
            written(model, example, path, True)
        return True

    return export_faithfully


@wrong("you say that the file matches, but it does not")
def compared_on_the_example():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        written(model, example, path, False)
        return equal(model, path, [example])

    return export_faithfully


@wrong("For a model that the old route gets wrong, one of the two routes works")
def the_old_route_only():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        try:
            written(model, example, path, False)
        except Exception:
            return False
        return equal(model, path, [example, *others])

    return export_faithfully


@wrong("returns neither True nor False")
def the_end_is_missing():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        written(model, example, path, False)
        if equal(model, path, [example, *others]):
            return True

    return export_faithfully


@wrong("there is no file at `path`")
def written_elsewhere():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        elsewhere = path.with_suffix(".part.onnx")
        written(model, example, elsewhere, False)
        return equal(model, elsewhere, [example, *others])

    return export_faithfully


@wrong("the new route gets wrong at the example, one of the two routes works")
def the_kind_decides_first():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        dynamo = not isinstance(model, torch.jit.ScriptModule)
        try:
            written(model, example, path, dynamo)
        except Exception:
            return False
        return check_parity(model, OnnxModel(path), [example, *others], check_state=False).ok

    return export_faithfully


@right
def the_old_route_first():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        for dynamo in (False, True):
            try:
                written(model, example, path, dynamo)
                if equal(model, path, [example, *others]):
                    return True
            except Exception:
                continue
        return False

    return export_faithfully


def tried(routes, inputs):
    """An answer that tries the routes in turn and compares on `inputs(example, others)`."""
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        for dynamo in routes:
            try:
                written(model, example, path, dynamo)
                if equal(model, path, inputs(example, others)):
                    return True
            except Exception:
                continue
        return False

    return export_faithfully


@wrong("the new route gets wrong at the example, the file differs")
def the_example_is_not_compared():
    return tried((True, False), lambda example, others: others)


@wrong("For a branch of a subclass, not scripted, you say that the file matches, but it does not")
def the_first_of_the_others():
    return tried((True, False), lambda example, others: [example, others[0]])


@wrong("within a tolerance that works near zero, too")
def a_relative_tolerance_only():
    exporter_loaded()

    def export_faithfully(model, example, others, path):
        for dynamo in (True, False):
            try:
                written(model, example, path, dynamo)
                file = OnnxModel(path)
                if all(torch.allclose(file(x), model(x)) for x in (example, *others)):
                    return True
            except Exception:
                continue
        return False

    return export_faithfully


@right
def every_input_by_either_route():
    return tried((True, False), lambda example, others: [example, *others])
