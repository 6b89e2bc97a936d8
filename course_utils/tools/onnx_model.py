"""An ONNX file as something to call with tensors, and a count of the operators in it.

    candidate = OnnxModel("model.onnx")
    check_parity(model, candidate, [images[:1], images[:7]])

``torch.onnx.export`` returns an ``ONNXProgram``, which can be called too; a file, of this exporter or another, can't.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from os import PathLike, fspath
from typing import Any


class OnnxModel:
    """A session of onnxruntime on the CPU, called with tensors in the order of the file's inputs.

    Returns one tensor, or a tuple where the file has several outputs. A number in place of a tensor is taken as a
    tensor without dimensions, of the type that the file asks for. Whatever the file rejects (a size, a type, a number
    of inputs) raises ``ValueError`` with onnxruntime's own words. threads: for the operators of one call.
    """

    def __init__(self, path: str | PathLike[str], threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(fspath(path), options, providers=["CPUExecutionProvider"])

    @property
    def inputs(self) -> dict[str, list[int | str | None]]:
        """Name and shape of each input: a number where the size is fixed, a name where it is free."""
        return {value.name: list(value.shape) for value in self.session.get_inputs()}

    @property
    def outputs(self) -> dict[str, list[int | str | None]]:
        """Name and shape of each output."""
        return {value.name: list(value.shape) for value in self.session.get_outputs()}

    def __call__(self, *args: Any) -> Any:
        import numpy
        import torch

        asked = self.session.get_inputs()
        if len(args) != len(asked):
            names = ", ".join(value.name for value in asked) or "none"
            raise ValueError(f"the file has {len(asked)} inputs ({names}), you gave {len(args)}; give one for each")
        feeds = {value.name: as_input(arg, value.type) for value, arg in zip(asked, args, strict=True)}
        try:
            found = [torch.from_numpy(numpy.asarray(x)) for x in self.session.run(None, feeds)]
        except Exception as error:  # the classes of onnxruntime have no common parent of their own
            raise ValueError(f"onnxruntime rejects this input: {error}") from error
        return found[0] if len(found) == 1 else tuple(found)


def as_input(value: Any, kind: str) -> Any:
    """A tensor as it is, a plain number in the type that the file asks for, such as ``tensor(double)``."""
    import numpy
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    return numpy.asarray(value, dtype=_dtype(kind))


def op_counts(path: str | PathLike[str]) -> dict[str, int]:
    """How often each operator occurs in the file, those inside ``If``, ``Loop`` and functions included.

    ``Constant`` nodes are left out. The most frequent come first, equal ones by name.
    """
    import onnx

    model = onnx.load(fspath(path), load_external_data=False)
    counts = Counter(name for graph in (model.graph, *model.functions) for name in _names(graph))
    counts.pop("Constant", None)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _names(graph: Any) -> Iterator[str]:
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _names(inner)


def _dtype(name: str) -> str:
    """numpy's name of an onnxruntime type such as ``tensor(float)``."""
    inner = name.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)
