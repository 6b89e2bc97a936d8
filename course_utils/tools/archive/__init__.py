"""Look inside a model file without loading it and without running any of it.

* `inspect`: a path, bytes or an open file → :class:`ArchiveReport`
* :class:`ArchiveError`: there is nothing to report on; the message says what the file is and what to do

`look.py` puts the report together from `container.py` (the zip), `pickles.py` (a pickle as a description), `source.py`
(the code as text) and `report.py` (what is shown). Only the standard library is used: torch is not imported.
"""

from course_utils.tools.archive.errors import ArchiveError
from course_utils.tools.archive.inspection import inspect
from course_utils.tools.archive.report import ArchiveReport, Attribute, Sizes, Tensor
from course_utils.tools.archive.source import Effect, Method

__all__ = ["ArchiveError", "ArchiveReport", "Attribute", "Effect", "Method", "Sizes", "Tensor", "inspect"]
