"""Two tools that name the submodule to look at: one that does not compile, one that computes something else.

    bisect_script(model)                                # which submodules does torch.jit.script reject, at which lines?
    bisect_difference(model, converted, inputs)         # which submodule is the first to differ from eager?

Near relatives, and what they leave to you: `torch.jit.script` stops at the first error and names a line, not a
submodule. The minifiers of torch.compile (`TORCHDYNAMO_REPRO_AFTER`, `functorch.compile.minifier`) and
`torch.fx.passes.net_min_base` reduce an FX graph to the nodes that fail or differ; TorchScript has no FX graph, and a
model that does not compile has no graph at all. `torch.jit.trace` compares its graphs for the example alone.

`compiling` compiles one module and reads the error, `script` and `difference` hold one tool each.
"""

from course_utils.tools.bisection.compiling import Place, compile_error, fresh_types
from course_utils.tools.bisection.difference import DifferenceReport, bisect_difference
from course_utils.tools.bisection.script import Failure, ScriptReport, bisect_script

__all__ = [
    "DifferenceReport",
    "Failure",
    "Place",
    "ScriptReport",
    "bisect_difference",
    "bisect_script",
    "compile_error",
    "fresh_types",
]
