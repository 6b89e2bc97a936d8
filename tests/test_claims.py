"""The ledger of claims: each sentence is still there, and the code that tries to break it does not."""

from __future__ import annotations

import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from course_utils.classroom import manifest, notebook_files
from course_utils.classroom.checks import trust
from tests import claims
from tests.claims import Claim, plain

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = claims.load()
LEAST_IN_A_LESSON = 8
LEAST_IN_ALL = 200


def named(attempt: claims.Try) -> str:
    return f"{attempt.__module__.rsplit('.', 1)[-1]}-{attempt.__name__}"


@pytest.mark.parametrize("attempt", sorted({x.attempt for x in CLAIMS}, key=named), ids=named)
def test_trying_does_not_break_it(attempt) -> None:
    with warnings.catch_warnings():
        # A conversion warns in red and goes on; an attempt that is about a warning records it itself.
        warnings.simplefilter("ignore")
        trust.forget_dead_builtins()  # what other attempts imported may have left some
        attempt()


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_the_sentence_is_where_the_ledger_says(claim: Claim) -> None:
    assert plain(claim.quotation) in plain(text_at(claim.place)), (
        f"{claim.place} no longer says so; try the new sentence"
    )


@pytest.mark.parametrize("lesson", manifest.load(ROOT).lessons, ids=lambda lesson: lesson.id)
def test_every_lesson_has_its_claims(lesson: manifest.Lesson) -> None:
    mine = [x for x in CLAIMS if x.attempt.__module__.endswith(f"lesson_{lesson.id}")]
    assert len(mine) >= LEAST_IN_A_LESSON


def test_the_ledger_is_long_enough_and_says_nothing_twice() -> None:
    assert len(CLAIMS) >= LEAST_IN_ALL
    assert [x for x, count in Counter((x.place, plain(x.quotation)) for x in CLAIMS).items() if count > 1] == []


@cache
def text_at(place: str) -> str:
    """What a reader reads at ``path`` or ``path#cell``; the second is one cell of a notebook."""
    path, _, cell_id = place.partition("#")
    if not cell_id:
        return (ROOT / path).read_text(encoding="utf-8")
    cells = {cell.id: cell.source for cell in notebook_files.read(ROOT / path).cells}
    assert cell_id in cells, f"{path} has no cell {cell_id}"
    return cells[cell_id]


class TestTheRegistry:
    """`tests.claims.load` on small packages of its own."""

    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        folder = tmp_path / f"claims_{tmp_path.name.replace('-', '_')}"
        folder.mkdir()
        (folder / "__init__.py").write_text("", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        def write(name: str, text: str) -> list[Claim]:
            (folder / name).write_text(f"from tests.claims import claim\n{text}", encoding="utf-8")
            return claims.load(folder, folder.name)

        return write

    def test_one_attempt_may_stand_for_two_sentences(self, package) -> None:
        text = "@claim('a.md', 'the first sentence')\n@claim('b.md', 'the second one', was='x')\ndef attempt(): ...\n"
        first, second = package("lesson_01.py", text)
        assert (first.place, first.quotation, first.verdict) == ("a.md", "the first sentence", "stands")
        assert (second.place, second.verdict, str(second)) == ("b.md", "corrected", "lesson_01-attempt")

    def test_a_module_without_claims_is_refused(self, package) -> None:
        with pytest.raises(ValueError, match=r"lesson_01\.py: no function in it is marked"):
            package("lesson_01.py", "def forgotten(): ...\n")

    def test_a_misnamed_module_is_refused(self, package) -> None:
        with pytest.raises(ValueError, match=r"lessons\.py: claims are in"):
            package("lessons.py", "")

    def test_a_quotation_can_be_found_again(self) -> None:
        with pytest.raises(ValueError, match="too short to be found again"):
            claims.claim("a.md", "never")
