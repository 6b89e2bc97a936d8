"""Mask what differs between two good runs of a notebook: the rules of ``tests/sanitize.cfg``.

nbval reads pairs of lines from that file, ``regex: …`` and then ``replace: …``, applies them in file order with
`re.sub` and silently passes over everything else. This module reads the same file, and says so when a pair is broken.

The file has two sections. The rules of ``[stored]`` also rewrite the outputs that are committed (machine paths and
addresses help no reader); the rules of ``[compared]`` only apply while a fresh output is compared with a stored one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_BASE64 = re.compile(r"(?<=;base64,)[A-Za-z0-9+/]+=*")


@dataclass(frozen=True)
class Rule:
    """One pair of the file: ``pattern`` is replaced by ``replacement`` (`re.sub` syntax)."""

    pattern: re.Pattern[str]
    replacement: str
    stored: bool
    """Whether the rule also rewrites committed outputs (section ``[stored]``)."""
    line: int
    """Line number of ``regex:`` in the file, from 1."""


@lru_cache(maxsize=8)
def read_rules(cfg_path: Path) -> tuple[Rule, ...]:
    """Return the rules of a sanitize file in the order in which they apply.

    Raises:
        OSError: the file cannot be read.
        ValueError: a ``regex:`` has no ``replace:`` on the next line or the other way round, a replacement is empty
            (editors strip the space that nbval needs, and the pair is then lost), a regex stands twice (nbval keeps
            one), a regex doesn't compile, or a rule stands outside the two sections.
    """
    rules: list[Rule] = []
    section = ""
    waiting: tuple[int, str] | None = None
    for number, line in enumerate(cfg_path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{cfg_path.name}, line {number}"
        if waiting is not None:
            at, regex = waiting
            waiting = None
            if not line.startswith("replace: ") or not line[len("replace: ") :].strip():
                raise ValueError(f"{where}: a 'replace: ' line with some text must follow the 'regex: ' line above it")
            if any(rule.pattern.pattern == regex for rule in rules):
                raise ValueError(f"{where}: this regex stands in the file already; nbval keeps only one of the two")
            try:
                pattern = re.compile(regex)
            except re.error as error:
                raise ValueError(f"{where}: the regex above doesn't compile ({error}); correct it") from error
            rules.append(Rule(pattern, line[len("replace: ") :], section == "[stored]", at))
        elif line.strip() in {"[stored]", "[compared]"}:
            section = line.strip()
        elif line.startswith("regex: "):
            if not section:
                raise ValueError(f"{where}: put the rule under [stored] or [compared]")
            waiting = (number, line[len("regex: ") :])
        elif line.startswith(("regex", "replace")):
            raise ValueError(f"{where}: write 'regex: …' and on the next line 'replace: …', each with one space")
    if waiting is not None:
        raise ValueError(f"{cfg_path.name}, line {waiting[0]}: a 'replace: ' line must follow")
    return tuple(rules)


def sanitize_text(text: str, cfg_path: Path | str, *, stored_only: bool = False) -> str:
    """Return ``text`` after every rule of the file; with ``stored_only``, after those of section ``[stored]``.

    Applying it twice gives what applying it once gives. The base64 of an image is not searched: it has no words, and a
    search for a path in 100 kB of it takes seconds.
    """
    images: list[str] = []

    def put_aside(image: re.Match[str]) -> str:
        images.append(image[0])
        return f"IMAGE{len(images) - 1}"

    text = _BASE64.sub(put_aside, text)
    for rule in read_rules(Path(cfg_path)):
        if rule.stored or not stored_only:
            text = rule.pattern.sub(rule.replacement, text)
    return re.sub(r"(?<=;base64,)IMAGE(\d+)", lambda name: images[int(name[1])], text)
