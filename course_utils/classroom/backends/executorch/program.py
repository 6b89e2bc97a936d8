"""The part that needs ExecuTorch. It runs in ExecuTorch's own environment: ``python program.py model.pt2 batches.pt``.

``model.pt2`` is an exported program, ``batches.pt`` a list of input tensors. Beside them it writes ``model.pte`` and
``answers.pt`` (a dict: the fields of ``Run`` in ``__init__.py``). One line a stage goes to the standard output.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def lower(exported: Any, path: Path) -> Any:
    """Write an exported program as a .pte file, with what XNNPACK can do handed over to it."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)
    return lowered


def execute(path: Path, batches: list[Any]) -> list[Any]:
    """Load a .pte file into the runtime and call it with each batch."""
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(path).load_method("forward")
    return [method.execute([batch])[0].clone() for batch in batches]


def room(path: Path) -> int:
    """The largest batch that the memory of a .pte file is planned for."""
    from executorch.runtime import Runtime

    return int(Runtime.get().load_program(path).load_method("forward").metadata.input_tensor_meta(0).sizes()[0])


def raises(path: Path, batch: Any) -> bool:
    """Whether the runtime raises for this batch."""
    try:
        execute(path, [batch])
    except RuntimeError:
        return True
    return False


def operators(lowered: Any) -> tuple[int, list[str]]:
    """The number of pieces handed to XNNPACK, and the names of the operators left to the portable kernels."""
    calls = [node.target for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    names = [str(call) if "." in str(call) else call.__name__ for call in calls]  # a Python function has no dotted name
    handed = sum("executorch_call_delegate" in name for name in names)
    return handed, sorted(name for name in names if "delegate" not in name and "getitem" not in name)


def main(folder: Path) -> None:
    print("loading ExecuTorch", flush=True)
    import executorch.exir  # noqa: F401  loads the operators that torch.load may need
    import torch

    print("lowering the exported program for XNNPACK", flush=True)
    lowered = lower(torch.export.load(folder / "model.pt2"), folder / "model.pte")
    print("running the .pte file", flush=True)
    delegated, left = operators(lowered)
    batches = torch.load(folder / "batches.pt", weights_only=True)
    largest = room(folder / "model.pte")
    answers = {
        "outputs": execute(folder / "model.pte", batches),
        "room": largest,
        "raises_more": raises(folder / "model.pte", batches[0][:1].repeat(largest + 1, *[1] * (batches[0].dim() - 1))),
        "delegated": delegated,
        "left": left,
        "kilobytes": round((folder / "model.pte").stat().st_size / 1000),
        "versions": {"executorch": metadata.version("executorch"), "torch": torch.__version__.partition("+")[0]},
    }
    torch.save(answers, folder / "answers.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
