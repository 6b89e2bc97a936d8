"""Trace, script, mix or rewrite: try them all on one model, compare with eager, and say what was found.

    advice = recommend(model, example)
    print(advice)                       # the advice, and the evidence line by line
    advice.converted                    # the conversion that matched eager on every input tried

Nothing is decided from names. The model is traced, compiled, and both are run against eager on inputs that were
varied from the example. Where neither matches, the model is taken apart: a submodule that does not compile is
traced, a submodule whose trace is wrong is compiled, and the whole is tried again.

Near relatives, and what they leave to you: `torch.jit.trace(check_trace=True)` repeats the trace and compares it on
inputs that you give; `torch.jit.script` says whether it compiles, and not whether the result is the same.
`torch.export.export` names what it cannot capture, and produces no TorchScript.

`inputs` varies the example, `attempt` converts and compares one module, `mix` exchanges submodules, `choose` puts
them in order, `records` traces a model that returns an object, `report` prints.
"""

from course_utils.tools.advice.choose import recommend
from course_utils.tools.advice.report import Advice, Evidence, Recommendation

__all__ = ["Advice", "Evidence", "Recommendation", "recommend"]
