"""The ledger of claims: sentences of the course, each with code that tries to break it.

    from tests.claims import claim

    @claim("notebooks/01_tracing.ipynb#recap", "a loop over `split` is unrolled without a warning")
    def loops_over_pieces():
        for loop in (split, unbind, chunk):     # three variants that could break the sentence
            assert ...

The place is a path in the repository, with ``#`` and the cell's id for a notebook. The quotation is part of the
sentence, word for word: when the sentence changes, its claim fails until somebody has tried to break the new one. The
function tries at least three variants and asserts what each of them shows. ``was`` holds an earlier wording that such
an attempt proved false: the verdict of that line is "corrected", of every other line "stands".
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Try = Callable[[], None]
_MODULE = re.compile(r"lesson_\d\d|tools|readme")
_MARK = "_claim_marks"
_GLOSSARY_LINK = re.compile(r"\[([^\[\]]+)\]\(\S*#glossary\)")


@dataclass(frozen=True)
class Claim:
    """One sentence, where it is read, the code that tries to break it, and what an earlier wording got wrong."""

    place: str
    quotation: str
    attempt: Try
    was: str

    @property
    def verdict(self) -> str:
        return "corrected" if self.was else "stands"

    def __str__(self) -> str:
        return f"{self.attempt.__module__.rsplit('.', 1)[-1]}-{self.attempt.__name__}"


def claim(place: str, quotation: str, *, was: str = "") -> Callable[[Try], Try]:
    """Mark a function that tries to break the sentence ``quotation`` at ``place``. May be given several times.

    was: the earlier wording, in short, where trying showed that it was false. ``ValueError`` for an empty quotation.
    """
    if len(plain(quotation)) < 12:
        raise ValueError(f"the quotation {quotation!r} is too short to be found again; quote more of the sentence")

    def mark(attempt: Try) -> Try:
        marks = getattr(attempt, _MARK, [])
        setattr(attempt, _MARK, [(place, quotation, was), *marks])
        return attempt

    return mark


def load(folder: Path | None = None, package: str = __name__) -> list[Claim]:
    """All claims of a package's modules, in the order of the files; ``ValueError`` for a module that has none."""
    found: list[Claim] = []
    for path in sorted((folder or Path(__file__).parent).glob("*.py")):
        if path.name == "__init__.py":
            continue
        if not _MODULE.fullmatch(path.stem):
            raise ValueError(f"{path.name}: claims are in lesson_NN.py, tools.py or readme.py; rename it")
        module = importlib.import_module(f"{package}.{path.stem}")
        attempts = [
            attempt
            for _, attempt in inspect.getmembers(module, inspect.isfunction)
            if hasattr(attempt, _MARK) and attempt.__module__ == module.__name__
        ]
        if not attempts:
            raise ValueError(f"{path.name}: no function in it is marked; write @claim above each")
        attempts.sort(key=lambda attempt: inspect.getsourcelines(attempt)[1])
        found += [
            Claim(place, said, attempt, was) for attempt in attempts for place, said, was in getattr(attempt, _MARK)
        ]
    return found


def plain(text: str) -> str:
    """The text as it is read: a line break is a blank, and a term that is linked to the glossary is the term."""
    return " ".join(_GLOSSARY_LINK.sub(r"\1", text).split())
