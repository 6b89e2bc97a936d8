"""Answers to 05.2: a summary of an archive that is not loaded."""

import math
import zipfile

import torch

from course_utils.tools import archive
from tests.answers import right, wrong


def told(path, *, methods=None, values=None, runs=None):
    report = archive.inspect(path)
    stored = {x.storage: math.prod(x.shape) for x in (*report.tensors, *report.constants)}
    own = sorted(x.name for x in report.methods if x.owner == report.root)
    return {
        "methods": own if methods is None else methods(report),
        "values": sum(stored.values()) if values is None else values(report),
        "runs": bool(report.runs_on_load) if runs is None else runs(report),
    }


@wrong("Your function loads the file")
def loads_it():
    def summary(path):
        model = torch.jit.load(path)
        values = sum(x.numel() for x in model.state_dict().values())
        return {"methods": sorted(model._c._method_names()), "values": values, "runs": False}

    return summary


@wrong("Your function loads the file")
def loads_it_to_meta():
    def summary(path):
        torch.jit.load(path, map_location="meta")
        return told(path)

    return summary


@wrong('"values" is not right for a model with a tied layer')
def counts_a_tied_layer_twice():
    return lambda path: told(
        path,
        values=lambda r: sum(math.prod(x.shape) for x in (*r.tensors, *r.constants) if r.root.count("Writer") == 0),
    )


@wrong('"values" is not right for a frozen classifier')
def forgets_constants():
    return lambda path: told(path, values=lambda r: sum(math.prod(x.shape) for x in r.tensors))


@wrong('"methods" is not right for a small classifier')
def methods_of_all_classes():
    return lambda path: told(path, methods=lambda r: sorted(x.name for x in r.methods))


@wrong('"runs" is not right for a model that writes a file')
def effects_on_call_only():
    return lambda path: told(path, runs=lambda r: any(x.when == "when called" for x in r.runs))


@wrong("not the dict with the three names")
def the_report_itself():
    return archive.inspect


@right
def from_the_report():
    return told


@right
def runs_by_the_name_of_the_method():
    return lambda path: told(path, runs=lambda r: any(x.name == "__setstate__" for x in r.methods))


@right
def values_by_shape_and_storage():
    def count(report):
        stored = {}
        for x in (*report.tensors, *report.constants):
            stored[x.storage] = torch.Size(x.shape).numel()
        return sum(stored.values())

    return lambda path: told(path, values=count)


@wrong('"values" is not right for a model that writes a file when called')
def values_by_the_bytes_of_the_zip():
    def summary(path):
        with zipfile.ZipFile(path) as file:
            sizes = [x.file_size for x in file.infolist() if x.filename.split("/")[1] in ("data", "constants")]
        return told(path, values=lambda r: sum(sizes) // 4)

    return summary


@wrong('"methods" is not right for a model whose inner layer restores itself')
def set_of_the_names_of_all():
    return lambda path: told(path, methods=lambda r: sorted({x.name for x in r.methods}))


@wrong('"runs" is not right for a model that writes a file when called')
def whatever_reaches_outside():
    return lambda path: told(path, runs=lambda r: bool(r.runs))


@wrong('"runs" is not right for a model whose inner layer restores itself')
def the_outermost_class_only():
    return lambda path: told(
        path, runs=lambda r: any(x.name == "__setstate__" and x.owner == r.root for x in r.methods)
    )


@wrong('"runs" is not right for a model that writes a file when called')
def save_in_any_source():
    return lambda path: told(path, runs=lambda r: any("save" in x.source for x in r.methods))
