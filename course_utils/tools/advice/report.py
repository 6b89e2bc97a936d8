"""What `recommend` found, as data, as text and as HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from course_utils.core.report import Report, html_paragraph, html_table, wrapped

Advice = Literal["trace", "script", "mix", "rewrite"]
Outcome = Literal["matches", "differs", "raises", "not tried", "warned", "note"]


@dataclass(frozen=True)
class Evidence:
    """One thing that was tried, what came of it, and what was seen."""

    step: str
    outcome: Outcome
    text: str


@dataclass(frozen=True)
class Recommendation(Report):
    """What `recommend` found.

    advice: "trace", "script", "mix" or "rewrite". why: one sentence. evidence: what was tried, in order.
    converted: the conversion that matched eager, made from a copy of the model; None for "rewrite". parts: for "mix",
    the submodules that were exchanged and how ("trace" or "script"); "" is the model itself. member: where the
    conversion returns a tuple that contains eager's result, its place in it. inputs: the names of the inputs tried.
    """

    advice: Advice
    why: str
    evidence: tuple[Evidence, ...]
    converted: Callable[..., Any] | None = None
    parts: dict[str, str] = field(default_factory=dict)
    member: int | None = None
    inputs: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """There is a conversion."""
        return self.converted is not None

    @property
    def headline(self) -> str:
        return f"{self.advice}: {self.why}"

    @property
    def findings(self) -> tuple[Evidence, ...]:
        """The evidence against a conversion."""
        return tuple(e for e in self.evidence if e.outcome in ("differs", "raises", "warned"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the conversion and return what eager returns. ``ValueError`` where there is none."""
        if self.converted is None:
            raise ValueError("nothing was converted; read .evidence and rewrite the part that it names")
        out = self.converted(*args, **kwargs)
        return out if self.member is None else out[self.member]

    def text(self) -> str:
        """The advice and the evidence as plain text."""
        seen = [f"  {e.step}: {e.outcome} - {e.text}" for e in self.evidence]
        return wrapped([self.headline, *seen, f"  inputs tried - {', '.join(self.inputs) or 'none'}"])

    def html_parts(self) -> list[str]:
        rows = [(e.step, e.outcome, e.text) for e in self.evidence]
        tried = html_paragraph(f"inputs tried: {', '.join(self.inputs) or 'none'}")
        return [html_table(("tried", "outcome", "seen"), rows), tried]
