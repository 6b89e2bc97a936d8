"""What the rules read of a Markdown text: its headings, links, images and sentences. The parsing is markdown-it's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from course_utils.authoring.books import Cell

_PARSER = MarkdownIt("commonmark").enable("table")
_ADDRESS = re.compile(r"https?://[^\s<>\"'`\\)\]}]+")
_MATH = re.compile(r"\$\$.+?\$\$|(?<![\\$\w])\$(?!\s)[^$\n]+?(?<!\s)\$(?!\w)", re.DOTALL)


@dataclass(frozen=True)
class Heading:
    level: int
    title: str
    line: int
    """The first line below it, from 0."""


@dataclass
class Page:
    """One Markdown text. ``links`` holds targets, ``images`` the targets of images with their alternative texts."""

    headings: list[Heading] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    images: list[tuple[str, str]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    """What a link may name after ``#``: GitHub's form of each heading, Jupyter's form, and the ids of HTML."""
    prose: str = ""
    """What a reader reads as sentences: no code, no formula, no tag, no target of a link."""
    has_table: bool = False


@lru_cache(maxsize=4096)
def parse(markdown: str) -> Page:
    """Read a Markdown text."""
    page, references = Page(), {}
    prose: list[str] = []
    tokens = _PARSER.parse(markdown, references)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "html_block":
            _read_html(page, token.content)
        elif token.type == "table_open":
            page.has_table = True
        elif token.type == "inline":
            prose.append(_read_inline(page, token.children or ()))
            if before is not None and before.type == "heading_open":
                title = "".join(x.content for x in token.children or () if x.type in ("text", "code_inline"))
                page.headings.append(Heading(int(before.tag[1]), title, (before.map or [0, 0])[1]))
                page.anchors |= {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"), title.replace(" ", "-")}
    text = "\n".join(prose)
    page.links += [x["href"] for x in references.get("references", {}).values()]
    page.links = list(dict.fromkeys([*page.links, *addresses(text)]))
    page.prose = _ADDRESS.sub("", _MATH.sub("", text))
    return page


def parse_html(html: str) -> Page:
    """Read HTML, such as the output of a cell."""
    page = Page()
    _read_html(page, html)
    return page


def of(cell: Cell) -> Page:
    """The Markdown of a text cell; an empty page for a code cell."""
    return parse(cell.source if cell.kind == "markdown" else "")


def section(markdown: str, title: str) -> str | None:
    """The text below the heading that holds ``title``, up to the next heading of its level."""
    lines = markdown.splitlines(keepends=True)
    headings = parse(markdown).headings
    for at, heading in enumerate(headings):
        if title in heading.title:
            ends = [x.line - 1 for x in headings[at + 1 :] if x.level <= heading.level]
            return "".join(lines[heading.line : ends[0] if ends else None])
    return None


def addresses(text: str) -> list[str]:
    """The web addresses that stand in a text, such as a code cell's."""
    return [address.rstrip(".,;:") for address in _ADDRESS.findall(text)]


def _read_inline(page: Page, tokens: Iterable[Token]) -> str:
    """Note links and images on the page; returns the text."""
    text = ""
    for token in tokens:
        if token.type == "text":
            text += token.content
        elif token.type in ("softbreak", "hardbreak"):
            text += "\n"
        elif token.type == "link_open":
            page.links.append(str(token.attrs["href"]))
        elif token.type == "image":
            alternative = _read_inline(page, token.children or ())
            page.links.append(str(token.attrs["src"]))
            page.images.append((str(token.attrs["src"]), alternative))
            text += alternative
        elif token.type == "html_inline":
            _read_html(page, token.content)
    return text


def _read_html(page: Page, html: str) -> None:
    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values: dict[str, Any] = {name: value or "" for name, value in attrs}
            page.links.extend(values[x] for x in ("href", "src") if tag in ("a", "img") and x in values)
            page.anchors.update(values[x] for x in ("id", "name") if x in values)
            if tag == "img":
                page.images.append((values.get("src", ""), values.get("alt", "")))

    Reader().feed(html)
