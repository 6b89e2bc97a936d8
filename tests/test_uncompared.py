"""The course's own ledger of cells that are not compared: complete, and no longer than it must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils.authoring.ledger import LEDGER, ledger_problems, read_ledger, stable_cells

ROOT = Path(__file__).resolve().parent.parent


def test_the_ledger_and_the_notebooks_agree() -> None:
    assert ledger_problems(ROOT) == []


@pytest.mark.parametrize("notebook", sorted({line.notebook for line in read_ledger(ROOT / LEDGER)}))
def test_every_listed_cell_still_varies(notebook: str) -> None:
    assert stable_cells(ROOT, notebook, ROOT / "tests" / "sanitize.cfg") == []
