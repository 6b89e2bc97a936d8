"""Look inside a model file without loading it and without running any of it.

``torch.utils.model_dump`` makes an HTML page of a TorchScript archive, and ``torch.utils.show_pickle`` prints a pickle;
fickling and picklescan look for dangerous pickles. ``model_dump`` trusts the file: it does not notice a flipped bit in
the weights, raises KeyError for a file of ``torch.save``, and unpacks a zip bomb to its end. A scanner of pickles does
not read TorchScript's code, and that is what runs on load. `inspect` compares every checksum, works within limits
whatever the file says, names what the code reaches beyond tensors, and says what reads a file of another kind.

* `inspect`: a path, bytes or an open file → `ArchiveReport`
* `ArchiveError`: there is nothing to report on; the message says what the file is and what to do

`inspection.py` finds out which kind of file it is; `container.py` reads the zip, `pickles.py` a pickle as a
description, `tensors.py` what is in such a description, `source.py` the code as text; `torchscript.py` puts an
archive's report together, and `report.py` shows it. Only the standard library is used: torch is not imported.
"""

from course_utils.tools.archive.errors import ArchiveError
from course_utils.tools.archive.inspection import inspect
from course_utils.tools.archive.report import ArchiveReport, Attribute, Sizes, TensorInfo
from course_utils.tools.archive.source import Effect, Method

__all__ = ["ArchiveError", "ArchiveReport", "Attribute", "Effect", "Method", "Sizes", "TensorInfo", "inspect"]
