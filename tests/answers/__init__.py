"""Wrong and unusual right answers to every exercise: one module an exercise, ``ex_01_2.py`` for exercise 01.2.

    from tests.answers import right, wrong

    @wrong("batch of 3")            # a part of the message that the learner must get
    def baked_reshape():
        return torch.jit.trace(...)

    @right
    def with_flatten():
        return torch.jit.trace(...)

Each decorated function makes one answer, the object that a learner hands to ``check``. TorchScript reads the source of
what it compiles from the file, so answers are real functions and classes here, never text.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Make = Callable[[], Any]
_MODULE = re.compile(r"ex_(\d\d)_(\d+)")
_MARK = "_answer_mark"


@dataclass(frozen=True)
class Answer:
    """One answer and what `check` must say to it: the status, and for a wrong one a part of the message."""

    exercise_id: str
    name: str
    make: Make
    status: str
    part: str

    @property
    def is_right(self) -> bool:
        return self.status == "passed"

    def __str__(self) -> str:
        return f"{self.exercise_id}-{self.name}"


def right(make: Make) -> Make:
    """Mark a function that makes an answer which must pass."""
    setattr(make, _MARK, ("passed", ""))
    return make


def wrong(part: str, *, status: str = "not yet") -> Callable[[Make], Make]:
    """Mark a function that makes an answer which must be rejected.

    part: what the text of the outcome must contain, word for word and not empty, so that an answer rejected for another
    reason is noticed. status: "not yet", or "your code raised" where the answer is meant to raise. ``ValueError`` for
    others.
    """
    if not part.strip():
        raise ValueError("a wrong answer needs a part of its message; write what the learner must read")
    if status not in ("not yet", "your code raised"):
        raise ValueError(f'the status of a wrong answer is "not yet" or "your code raised", not {status!r}')

    def mark(make: Make) -> Make:
        setattr(make, _MARK, (status, part))
        return make

    return mark


def load(folder: Path | None = None, package: str = __name__, only: str = "*") -> list[Answer]:
    """All answers of a package's ``ex_NN_K`` modules, in the order of the files; ``only`` those to one exercise.

    Raises ``ValueError`` for a module with another name and for one in which nothing is marked.
    """
    pattern = "*.py" if only == "*" else f"ex_{only.replace('.', '_')}.py"
    found: list[Answer] = []
    for path in sorted((folder or Path(__file__).parent).glob(pattern)):
        if path.name == "__init__.py":
            continue
        match = _MODULE.fullmatch(path.stem)
        if match is None:
            raise ValueError(f"{path.name}: a module of answers is called ex_NN_K.py; rename it")
        module = importlib.import_module(f"{package}.{path.stem}")
        exercise_id = f"{match[1]}.{int(match[2])}"
        answers = [
            Answer(exercise_id, name, make, *getattr(make, _MARK))
            for name, make in inspect.getmembers(module, inspect.isfunction)
            if hasattr(make, _MARK) and make.__module__ == module.__name__
        ]
        if not answers:
            raise ValueError(f"{path.name}: no function in it is marked; write @right or @wrong above each")
        found += sorted(answers, key=lambda answer: inspect.getsourcelines(answer.make)[1])
    return found
