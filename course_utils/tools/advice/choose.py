"""Put the conversions of one model in order, and say which one to take."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from course_utils.core.cases import Case, other_ranks
from course_utils.core.report import plural
from course_utils.tools import ir
from course_utils.tools.advice.attempt import ENDS_THE_PROCESS, NO_VALUE, Attempt, compare, script, trace
from course_utils.tools.advice.inputs import error_of, inputs_of
from course_utils.tools.advice.mix import Mixer, names_of
from course_utils.tools.advice.records import fields_only
from course_utils.tools.advice.report import Advice, Evidence, Outcome, Recommendation
from course_utils.tools.bisection.compiling import copied

MOST_PLACES = 8  # lines that are named one by one


def recommend(model: Callable[..., Any], example_inputs: Any, others: Any = None) -> Recommendation:
    """Find out how to convert a model, by trying.

    model: an eager module or a function, in the mode in which it will run. example_inputs: a Tensor, a tuple of
    positional arguments, a `Case`, or a list of those, of which the first is the example. others: further inputs that
    matter, in the same forms; give one from each side of every branch that you know. Inputs of other sizes and values
    are made from the example; those that eager rejects are left out.

    The order of preference: *trace* when the trace gave no warning and equals eager on all inputs, those of another
    rank included; *script* when the compiled model does; *mix* when exchanging submodules makes one of the two do.
    Where none does, but the trace equals eager on all inputs and has merely warned, differs at another rank only, or
    raises at another size only, the advice is *trace* with that reservation, and the evidence names the lines or the
    size; otherwise *rewrite*.

    A trace returns tensors, tuples, lists and dicts. Where eager returns an object or a dataclass, or a dict that also
    contains something else, the model is traced through a wrapper that returns the tensors as a dict by field, and is
    compared with those; the evidence says so.

    Everything runs without gradients, on one thread, and on copies of the model. A branch that no input reaches and
    no TracerWarning names, such as one on the rank or the dtype, stays unseen: put such inputs into `others`. A model
    that catches an operator's error can end the process while it is traced (lesson 03); one whose source has a `try`
    that the compiler meets is not traced. A failure of the model is evidence and not an exception; ``TypeError`` and
    ``ValueError`` are raised for arguments that are not inputs at all.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return _Run(model, inputs_of(example_inputs, others)).run()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Many short calls on small inputs: threads that wait for each other cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Run:
    """One run of `recommend`."""

    def __init__(self, model: Callable[..., Any], inputs: list[Case]) -> None:
        self.model, self.inputs = model, inputs
        self.evidence: list[Evidence] = []
        self.cases: list[Case] = []

    def run(self) -> Recommendation:
        eager = copied(self.model)
        errors = [error_of(eager, case) for case in self.inputs]
        if errors[0]:
            self.note("eager", errors[0], "raises")
            return self.end("rewrite", "eager itself fails on the example, so there is nothing to compare with.")
        self.cases = [case for case, error in zip(self.inputs, errors, strict=True) if not error]
        if getattr(self.model, "training", False):
            self.note("mode", "the model is in train mode; call .eval() first if it is for inference")

        scripted = script(copied(self.model), self.model, self.cases)
        if "try blocks aren't supported" in scripted.error:
            traced = Attempt(not_tried=ENDS_THE_PROCESS)
        else:
            traced = trace(copied(self.model), self.model, self.cases)
        self.evidence += traced.evidence("trace") + scripted.evidence("script")

        rank = ""  # what differs from eager at another rank
        if traced.clean:
            rank, scripted = self.at_other_ranks(traced, scripted)
        if traced.clean and not rank:
            more = "; the compiled model does, too" if scripted.matches else ""
            why = f"the trace matches eager on every input tried, without a warning{more}."
            return self.end("trace", why, traced)
        if scripted.matches:
            reason = "differs from eager" if not traced.matches else "matches eager on these inputs, but warned"
            reason = "matches eager at the rank of the example only" if rank else reason
            reason = "raises" if traced.error else "was not tried" if traced.not_tried else reason
            why = f"the trace {reason}, and the compiled model matches eager on every input tried."
            return self.end("script", why, scripted)
        if NO_VALUE in (traced.differs, scripted.differs):
            why = "no input gave a value to compare, so nothing is proven; give inputs that do in `others`."
            return self.end("rewrite", why)
        if isinstance(self.model, nn.Module) and not traced.not_tried and not traced.clean:
            mixed = self.mixed(self.model, traced.matches)
            if mixed is not None:
                return mixed
        if traced.matches or traced.raises_at:
            return self.with_reservation(traced, scripted, rank)
        return self.end("rewrite", _reason_to_rewrite(scripted))

    def at_other_ranks(self, traced: Attempt, scripted: Attempt) -> tuple[str, Attempt]:
        """Before the trace is advised: inputs with an extra dimension and one fewer, where eager accepts them."""
        cases = [case for case in other_ranks(self.cases[0]) if not error_of(copied(self.model), case)]
        if not cases:
            return "", scripted
        reference = fields_only(copied(self.model)) if traced.wrapped else self.model
        differs = compare(reference, Attempt(traced.converted), cases).differs
        if differs in ("", NO_VALUE):
            self.cases += cases
            return "", scripted
        self.note("trace, another rank", differs, "differs")
        if scripted.matches:
            there = compare(self.model, Attempt(scripted.converted), cases).differs
            if there:
                self.note("script, another rank", there, "differs")
                scripted = replace(scripted, differs=there)
            else:
                self.cases += cases
        return differs, scripted

    def mixed(self, model: nn.Module, trace_matches: bool) -> Recommendation | None:
        """The first of the two mixes that matches eager."""
        whole = "the whole matches eager neither traced nor compiled"
        if trace_matches:
            whole = "the trace of the whole matches eager but warned, and the compiled whole does not match"
        mixer = Mixer(model, self.cases, self.evidence)
        found = mixer.script_with_traced_parts() or mixer.trace_with_scripted_parts()
        if found is None:
            return None
        attempt, parts = found
        if parts[""] == "script":
            why = f"{whole}; with {names_of(parts)} traced inside, the compiled model does."
        else:
            kept = "keeps its control flow and " if ir.has_control_flow(attempt.converted) else ""
            why = f"{whole}; with {names_of(parts)} scripted inside, the trace {kept}matches eager."
        return self.end("mix", why, attempt, parts)

    def with_reservation(self, traced: Attempt, scripted: Attempt, rank: str) -> Recommendation:
        """The trace equals eager on everything that will be sent, and something is known that it cannot follow."""
        other = f"the model {'does not compile' if scripted.converted is None else 'differs once compiled'}"
        if traced.raises_at:
            sizes = " and ".join(traced.raises_at)
            why = f"""the trace matches eager on every other input tried, and raises at {sizes}, which eager accepts;
                {other}. Use it if that size never changes."""
        elif rank:
            why = f"""the trace matches eager at the rank of the example, not at another one that eager accepts, and
                {other}. Use it if the rank never changes."""
        else:
            for place in traced.places[:MOST_PLACES]:
                self.note("decided while tracing", place)
            if len(traced.places) > MOST_PLACES:
                self.note("decided while tracing", f"and {len(traced.places) - MOST_PLACES} more lines")
            why = f"""the trace matches eager on every input tried, but warned at {plural(len(traced.places), "line")}:
                there a tensor became a Python value, and the trace follows the path of the example. In addition,
                {other}. Look at the lines and give inputs that would decide otherwise in `others`; where none can, use
                the trace."""
        return self.end("trace", " ".join(why.split()), traced)

    def note(self, step: str, text: str, outcome: Outcome = "note") -> None:
        self.evidence.append(Evidence(step, outcome, text))

    def end(
        self, advice: Advice, why: str, attempt: Attempt | None = None, parts: dict[str, str] | None = None
    ) -> Recommendation:
        converted, member = (attempt.converted, attempt.member) if attempt else (None, None)
        names = tuple(case.name for case in self.cases)
        return Recommendation(advice, why, tuple(self.evidence), converted, parts or {}, member, names)


def _reason_to_rewrite(scripted: Attempt) -> str:
    if scripted.converted is not None:
        return "the compiled model differs from eager, and so does the trace; fix what the evidence names."
    return "neither the whole nor a mix of its submodules converts; move what decides into a part that compiles."
