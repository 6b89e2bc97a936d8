"""Take a TorchScript archive or a module to its successors: try the routes, verify each result, say what to do next.

    report = migrate("model.pt", torch.rand(2, 3, 64, 64), into="migrated")
    print(report)                       # what was tried, on which inputs it matches, and what to do next
    report.best                         # the first route that matches on every input, or None

The conversions are torch's own: ``torch._export.converter.TS2EPConverter`` (private, and it may change),
``torch.export.export``, ``torch.onnx.export`` and AOTInductor. None of them says whether the new program returns what
the old one did: ``TS2EPConverter`` silently freezes a counter that ``forward`` increments, and
``torch.onnx.export(verify=True)`` compares on the example input alone, for one call. This package compares the file
that was written, loaded again, with the original: on several inputs, and for three calls in a row, since a model may
keep state.

An archive is inspected before anything loads it. Every step that loads or converts runs in a child process with a time
limit, so that a crash or an endless conversion is a row of the report.

`run.py` goes from the arguments to the report; `worker.py` is the child, in which `routes.py` converts and compares;
`advice.py` says what to do next.
"""

from course_utils.tools.migration.input_spec import read_input
from course_utils.tools.migration.report import Attempt, MigrationError, MigrationReport
from course_utils.tools.migration.routes import CHECKS_VARIABLE, has_compiler
from course_utils.tools.migration.run import migrate

__all__ = ["CHECKS_VARIABLE", "Attempt", "MigrationError", "MigrationReport", "has_compiler", "migrate", "read_input"]
