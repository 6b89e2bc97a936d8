"""Which cell answers which exercise: the one that ends in ``check("01.6", answer)``, whatever its id is."""

from __future__ import annotations

import re

_CHECK = re.compile(r"""^check\(\s*["'](\d\d\.\d+)["']""", re.MULTILINE)


def exercise_of(source: str) -> str | None:
    """The exercise that a code cell answers, such as ``"01.6"``: the last one that it checks, or None."""
    checked = _CHECK.findall(source)
    return checked[-1] if checked else None


def id_for(exercise_id: str) -> str:
    """The id that ``make run`` gives the answer cell of an exercise when the cell has none."""
    return "answer-" + exercise_id.replace(".", "-")
