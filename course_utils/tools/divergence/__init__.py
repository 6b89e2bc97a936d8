"""Search for an input on which a converted model differs from the model it came from.

    search = find_divergence(model, traced, torch.rand(4, 3))
    search.found.args       # the minimal failing example
    search.tried            # or: how many inputs of which kind showed no difference

The inputs are made from an example: other values, batches, sizes, ranks, dtypes, strides. A divergence found is proof;
finding none is not.

Near relatives, and what they leave to you: Hypothesis makes inputs and shrinks them, but you write a strategy for each
model, and filter what eager rejects; hypothesis-torch adds strategies for tensors and modules, and compares nothing;
`torch.testing.assert_close` compares one pair of outputs that you already have.

`moves` makes the inputs, `search` runs them, `shrink` looks for the minimal failing example, `report` prints.
"""

from course_utils.tools.divergence.moves import INPUTS, KINDS
from course_utils.tools.divergence.report import Divergence, Search
from course_utils.tools.divergence.search import find_divergence

__all__ = ["INPUTS", "KINDS", "Divergence", "Search", "find_divergence"]
