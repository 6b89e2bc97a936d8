"""The course's own list of cells that are not compared: complete, and with a reason for each.

That each listed cell still varies is found by the run of its notebook (authoring/pytest_notebooks.py), and by
`make portable` where only another machine shows it.
"""

from __future__ import annotations

from pathlib import Path

from course_utils.authoring.uncompared import ledger_problems

ROOT = Path(__file__).resolve().parent.parent


def test_the_ledger_and_the_notebooks_agree() -> None:
    assert ledger_problems(ROOT) == []
