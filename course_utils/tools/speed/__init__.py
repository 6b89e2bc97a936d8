"""Compare the speed of models: warm-up, interleaved rounds, medians, spread, ratio.

The stopwatch is ``torch.utils.benchmark.Timer``. ``Timer.blocked_autorange`` times one candidate after another, after a
warm-up of a few calls, and ``Compare`` prints the medians in a table: a machine that grows busy in between, or a
profiling executor that has not settled, looks like a difference between models, and nothing says whether a difference
is more than noise. pyperf times code in fresh worker processes, where a model that is already loaded cannot go.
What this package adds is the design of the comparison:

* every candidate is called until its times settle, because TorchScript's profiling executor makes the first two calls
  slow, and ``torch.compile`` the first one very slow;
* the candidates take turns, in a shuffled order, so that a machine that grows busy slows all of them;
* candidates are compared within a round, and the verdict is "no difference shown" as long as the spread of those ratios
  covers 1, or the difference is as small as that between two copies of one model.

Equal speed is not shown by "no difference shown", and a wrong answer may well be fast: run ``check_parity`` first.

`measure.py` makes the calls, `statistics.py` turns times into verdicts, `report.py` and `figures.py` show them.
"""

import logging

# Importing torch's benchmark tools warns on stderr where a CUDA toolkit but no GPU is found; a reader who times on the
# CPU has no use for that line, and a notebook would store it.
_log = logging.getLogger("torch.utils.cpp_extension")
_level = _log.level
_log.setLevel(logging.ERROR)
from torch.utils import benchmark as _benchmark  # noqa: E402, F401

_log.setLevel(_level)

from course_utils.tools.speed.figures import warmup_caption, warmup_figure  # noqa: E402
from course_utils.tools.speed.measure import compare_speed, warmup_curve  # noqa: E402
from course_utils.tools.speed.report import SpeedReport  # noqa: E402
from course_utils.tools.speed.statistics import (  # noqa: E402
    MARGIN,
    SpeedRow,
    median_interval,
    settled,
    summarise,
)

__all__ = [
    "MARGIN",
    "SpeedReport",
    "SpeedRow",
    "compare_speed",
    "median_interval",
    "settled",
    "summarise",
    "warmup_caption",
    "warmup_curve",
    "warmup_figure",
]
