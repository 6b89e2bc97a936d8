"""One look for every report: words, tables, and a base class that no caller can mistake for a truth value."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import course_utils.tools
from course_utils.core.report import (
    Html,
    Report,
    cut,
    html_block,
    html_code,
    html_headline,
    html_list,
    html_table,
    plural,
    size_text,
    text_table,
    wrapped,
)


@dataclass(frozen=True)
class Sample(Report):
    findings: tuple[str, ...] = ()
    subject: str = "<model>"

    @property
    def headline(self) -> str:
        return f"{self.subject}: {plural(len(self.findings), 'finding')}"

    def text(self) -> str:
        return "\n".join([self.headline, *(f"  {x}" for x in self.findings)])


class Words(HTMLParser):
    """The text between the tags, and whether each tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def words_of(page: str) -> str:
    read = Words(page)
    assert not read.open
    return " ".join(read.words)


def test_a_report_has_no_truth_value() -> None:
    for report in (Sample(), Sample(("a",))):
        with pytest.raises(TypeError, match=r"a Sample is neither true nor false; ask its \.ok"):
            bool(report)
        with pytest.raises(TypeError):
            assert report
    assert Sample().ok and not Sample(("a",)).ok


def test_a_report_prints_as_its_text_though_it_is_a_dataclass() -> None:
    report = Sample(("one", "two"))
    assert repr(report) == str(report) == report.text() == "<model>: 2 findings\n  one\n  two"


def test_a_report_shows_its_headline_with_a_mark_and_the_rest_escaped() -> None:
    assert words_of(Sample()._repr_html_()).strip() == "✓ <model>: 0 findings"
    page = Sample(("a < b",))._repr_html_()
    assert "✗ <model>: 1 finding" in words_of(page) and "a < b" in words_of(page) and "<model>" not in page


def test_cut_gives_one_line_that_says_that_it_was_cut() -> None:
    assert cut(" a\n  b ") == "a b" and cut("abcdef", 6) == "abcdef" and cut("abcdef", 5) == "abcd…"


@given(text=st.text(), width=st.integers(1, 40))
def test_cut_never_gives_more_than_was_asked_for(text: str, width: int) -> None:
    line = cut(text, width)
    assert len(line) <= width and "\n" not in line and cut(line, width) == line.strip()


def test_plural() -> None:
    assert [plural(n, "case") for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert plural(2, "branch", "branches") == "2 branches" and plural(1, "branch", "branches") == "1 branch"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (5_324, "5.32 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (46_800_000, "46.8 MB"),
        (2_000_000_000, "2 GB"),
        (3_210_000_000_000, "3,210 GB"),
    ],
)
def test_sizes_are_in_powers_of_1000(size: int, text: str) -> None:
    assert size_text(size) == text


def test_a_text_table_lines_up_and_leaves_no_blanks_at_the_end() -> None:
    assert text_table(("a", "long head", "z"), [("aaa", 1, ""), ("b", 22, "end")]) == (
        "a    long head  z\naaa  1\nb    22         end"
    )
    assert text_table((), [("x", "y")]) == "x  y" and text_table((), []) == ""


def test_long_lines_are_folded_and_indented() -> None:
    folded = wrapped(["word " * 40, "short"]).splitlines()
    assert max(map(len, folded)) <= 110 and folded[1].startswith("      word") and folded[-1] == "short"


def test_a_table_escapes_what_it_is_given_and_keeps_its_own_html() -> None:
    page = html_table(("what", "<seen>"), [("<b>", Html("<b>kept</b>")), ("two\nlines", "")], code=(0,))
    assert "<code>&lt;b&gt;</code>" in page and "<b>kept</b>" in page and "&lt;seen&gt;" in page
    assert words_of(page).split()[:2] == ["what", "<seen>"]
    assert html_table(("a",), []) == ""


def test_the_first_cell_can_be_a_head_and_rows_can_be_shaded() -> None:
    page = html_table((), [("a", "ok: 1"), ("b", "problem: 2")], row_heads=True, states=("ok", "problem"))
    assert page.count('<th scope="row"') == 2 == page.count("</th>") and "<thead>" not in page
    assert page.count("background:rgba") == 2 and words_of(page)


def test_a_table_takes_its_colours_from_the_theme_and_fits_a_narrow_window() -> None:
    page = html_table(("route", "what was seen"), [("export", "x" * 300)])
    assert "currentColor" in page and "overflow-wrap:anywhere" in page and "table-layout:auto" in page
    assert "min-width:7ch" in page and "min-width:10ch" in page  # a short word whole, a long one broken
    assert "#" not in page.replace("&#", "")  # no fixed colour


def test_lists_and_headlines() -> None:
    assert words_of(html_list(["a", "<b>"], ordered=True, title="next")) == "next a <b>"
    assert html_list([]) == "" and html_code("") == ""
    assert words_of(html_headline("done", True, "3 cases")) == "✓ done 3 cases"
    assert "✓" not in html_headline("done") and html_block("", "<p>x</p>").count("\n") == 0


def kinds_of_report(base: type[Report] = Report) -> list[type[Report]]:
    return [kind for child in base.__subclasses__() for kind in (child, *kinds_of_report(child))]


def test_every_report_of_a_tool_has_what_callers_ask_for() -> None:
    for module in pkgutil.walk_packages(course_utils.tools.__path__, "course_utils.tools."):
        importlib.import_module(module.name)
    kinds = [kind for kind in kinds_of_report() if kind.__module__.startswith("course_utils.")]
    assert len(kinds) >= 2
    for kind in kinds:
        own = {name for base in kind.__mro__ for name in vars(base)} | set(getattr(kind, "__dataclass_fields__", {}))
        assert {"headline", "findings", "ok"} <= own, kind
        assert kind.text is not Report.text and kind.__bool__ is Report.__bool__, kind
        assert kind.__str__ is Report.__str__ and kind.__repr__ is Report.__repr__, kind
        # A property of the base would silently become the default of a field with its name.
        fields = getattr(kind, "__dataclass_fields__", {}).values()
        assert not [field.name for field in fields if isinstance(field.default, property)], kind
