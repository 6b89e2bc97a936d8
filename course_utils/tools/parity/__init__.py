"""Does the converted model still do what the original did? Many inputs, one readable report.

    report = check_parity(model, scripted, [x, torch.randn(1, 3)], modes=("eval",))
    print(report)

`compare` holds the rules for one pair of outputs, `state` keeps the two sides apart, `call` makes one call of one side,
`run` makes them all and collects `findings`, and `check` is what a caller uses.
"""

from course_utils.core.cases import Case, batch_sizes
from course_utils.tools.parity.check import ParityError, assert_parity, check_parity
from course_utils.tools.parity.compare import Stats, ulp_distance
from course_utils.tools.parity.findings import Finding, Where
from course_utils.tools.parity.report import ParityReport

__all__ = [
    "Case",
    "Finding",
    "ParityError",
    "ParityReport",
    "Stats",
    "Where",
    "assert_parity",
    "batch_sizes",
    "check_parity",
    "ulp_distance",
]
