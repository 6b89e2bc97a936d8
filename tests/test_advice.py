"""`recommend` reaches each advice by several models, proves it, and never raises for a failure of the model."""

# No `from __future__ import annotations`: the models here are scripted.

import copy
import dataclasses
from collections import OrderedDict

import pytest
import torch
from torch import nn

from course_utils.tools import ir
from course_utils.tools.advice import Recommendation, recommend
from course_utils.tools.parity import Case, check_parity

X = torch.tensor([[0.5, -1.0, 2.0, 1.5], [1.0, 0.25, -0.5, 3.0], [0.0, 1.0, 1.0, 0.5]])


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5)).eval()


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x)


class Inherited(Base):
    """Does not compile, traces well."""

    def forward(self, x):
        return super().forward(x) * 2


class Doubled(Base):
    """Does not compile either, and traces well."""

    def forward(self, *xs):
        return self.linear(xs[0])


class Halving(nn.Module):
    """Compiles, its trace is wrong and warns."""

    def forward(self, x):
        while bool(x.abs().max() > 1):
            x = x / 2
        return x


class Rows(nn.Module):
    """Compiles, its trace is wrong without a warning."""

    def forward(self, x):
        total = x[0]
        for i in range(1, x.shape[0]):
            total = 0.5 * total + x[i]
        return total


class Rare(nn.Module):
    """A branch that no input made from the example reaches: the warning is all there is."""

    def forward(self, x):
        return x * 0 if bool((x == 12.5).any()) else x


class Pair(nn.Module):
    """The compiled model returns more than eager does."""

    def forward(self, x):
        y = x * 2 if bool(x.sum() > 0) else x * 3
        if torch.jit.is_scripting():
            return (x.sum(), y)
        return y


class Around(nn.Module):
    """Compiles when its parts do."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        for part in self.parts:
            x = part(x)
        return x


class Loose(nn.Module):
    """Does not compile by itself, whatever its parts do."""

    def __init__(self, part):
        super().__init__()
        self.head = part

    def forward(self, *xs):
        return self.head(xs[0]) + 1


class Listed(nn.Module):
    def forward(self, x):
        return torch.tensor(sorted(x.flatten().tolist(), key=abs))


class Caught(nn.Module):
    """Tracing this one would end the process."""

    def forward(self, x):
        try:
            return x.view(3, 4) * 2
        except RuntimeError:
            return x


class Raises(nn.Module):
    def forward(self, x):
        raise KeyError("no such key")


class Hidden(nn.Module):
    """Eager takes one kind of input only, and nothing converts."""

    def forward(self, x):
        return sorted([x.sum().item(), 1.0], key=abs)


def gate(x):
    return x * 2 if bool(x.sum() > 0) else x * 3


def scaled(x):
    return x / x.shape[0]


ADVICE = {
    "net": (net, "trace"),
    "a function": (lambda: scaled, "trace"),
    "inherited": (Inherited, "trace"),
    "star arguments": (Doubled, "trace"),
    "gate": (lambda: gate, "script"),
    "halving": (Halving, "script"),
    "rows": (Rows, "script"),
    "rare": (Rare, "script"),
    "pair": (Pair, "script"),
    "inherited and halving": (lambda: Around(Inherited(), Halving()), "mix"),
    "two that do not compile": (lambda: Around(Inherited(), Halving(), Doubled()), "mix"),
    "loose around halving": (lambda: Loose(Halving()), "mix"),
    "loose around rows": (lambda: Loose(Rows()), "mix"),
    "listed": (Listed, "rewrite"),
    "caught": (Caught, "rewrite"),
    "raises": (Raises, "rewrite"),
    "hidden": (Hidden, "rewrite"),
    "loose around listed": (lambda: Loose(Listed()), "rewrite"),
}


@pytest.fixture(scope="module")
def found() -> dict[str, Recommendation]:
    return {name: recommend(make(), X) for name, (make, _) in ADVICE.items()}


@pytest.mark.parametrize("name", ADVICE)
def test_the_advice(found: dict[str, Recommendation], name: str) -> None:
    assert found[name].advice == ADVICE[name][1], f"\n{found[name]}"


@pytest.mark.parametrize("name", [name for name, (_, advice) in ADVICE.items() if advice != "rewrite"])
def test_the_conversion_equals_eager_on_inputs_it_has_not_seen(found: dict[str, Recommendation], name: str) -> None:
    assert isinstance(found[name].converted, (torch.jit.ScriptModule, torch.jit.ScriptFunction))
    unseen = [X.repeat(3, 1) * 4 - 1, -X[:2] * 7]
    with torch.no_grad():
        report = check_parity(ADVICE[name][0](), found[name], unseen)
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("name", [name for name, (_, advice) in ADVICE.items() if advice == "rewrite"])
def test_a_rewrite_has_no_conversion_and_gives_a_reason(found: dict[str, Recommendation], name: str) -> None:
    assert found[name].converted is None
    assert found[name].evidence
    with pytest.raises(ValueError, match=r"read \.evidence"):
        found[name](X)


@pytest.mark.parametrize("advice", ["trace", "script", "mix", "rewrite"])
def test_each_advice_is_reached_by_three_models(advice: str) -> None:
    assert sum(wanted == advice for _, wanted in ADVICE.values()) >= 3


class TestTheEvidence:
    def test_names_the_line_that_decided(self, found: dict[str, Recommendation]) -> None:
        (warned,) = [e for e in found["halving"].evidence if e.outcome == "warned"]
        assert "`while bool(x.abs().max() > 1):`" in warned.text

    def test_shows_both_sides_of_a_wrong_trace(self, found: dict[str, Recommendation]) -> None:
        (trace,) = [e for e in found["gate"].evidence if e.step == "trace" and e.outcome == "differs"]
        assert "reference" in trace.text and "candidate" in trace.text

    def test_a_silent_loop_is_found_by_another_size(self, found: dict[str, Recommendation]) -> None:
        (trace,) = [e for e in found["rows"].evidence if e.step == "trace"]
        assert trace.outcome == "differs" and "size" in trace.text
        assert not any(e.outcome == "warned" for e in found["rows"].evidence)

    def test_a_trace_that_warned_is_not_advised(self, found: dict[str, Recommendation]) -> None:
        assert [e.outcome for e in found["rare"].evidence if e.step == "trace"] == ["matches", "warned"]
        assert "but warned" in found["rare"].why

    def test_says_what_the_compiler_said_and_where(self, found: dict[str, Recommendation]) -> None:
        (script,) = [e for e in found["inherited"].evidence if e.step == "script"]
        assert "no attribute or method 'forward'" in script.text
        assert "super().forward(x) * 2" in script.text

    def test_the_second_failure_of_a_class_is_told_as_the_first(self) -> None:
        first, second = recommend(Inherited(), X), recommend(Inherited(), X)
        assert first.text() == second.text()

    def test_names_the_smallest_part_that_does_not_compile(self, found: dict[str, Recommendation]) -> None:
        mixed = found["inherited and halving"]
        assert mixed.parts == {"": "script", "parts.0": "trace"}
        assert any(e.step == "smallest part that does not compile" and "`parts.0`" in e.text for e in mixed.evidence)

    def test_several_parts_are_exchanged(self, found: dict[str, Recommendation]) -> None:
        assert found["two that do not compile"].parts == {"": "script", "parts.0": "trace", "parts.2": "trace"}

    @pytest.mark.parametrize("name", ["loose around halving", "loose around rows"])
    def test_a_scripted_part_keeps_its_control_flow_in_the_trace(self, found, name: str) -> None:
        assert found[name].parts == {"": "trace", "head": "script"}
        assert ir.has_control_flow(found[name].converted)

    def test_the_member_of_a_tuple_is_found(self, found: dict[str, Recommendation]) -> None:
        assert found["pair"].member == 1
        assert torch.equal(found["pair"](X), gate(X))

    def test_what_would_end_the_process_is_not_traced(self, found: dict[str, Recommendation]) -> None:
        (trace,) = [e for e in found["caught"].evidence if e.step == "trace"]
        assert trace.outcome == "not tried" and "can end the process" in trace.text

    def test_a_model_that_fails_in_eager_says_so(self, found: dict[str, Recommendation]) -> None:
        assert "eager itself fails" in found["raises"].why
        assert "KeyError: 'no such key'" in found["raises"].evidence[0].text

    def test_an_output_without_values_proves_nothing(self) -> None:
        def none_kept(x):
            return x[x > 1e9]

        assert recommend(none_kept, X).advice == "rewrite"
        assert "proven" in recommend(none_kept, X).why

    def test_train_mode_is_noted(self) -> None:
        assert any(e.step == "mode" for e in recommend(net().train(), X).evidence)
        assert not any(e.step == "mode" for e in recommend(net(), X).evidence)


class TestTheInputs:
    def test_others_are_tried(self) -> None:
        assert recommend(Rare().eval(), X).evidence[0].outcome == "matches"
        told = recommend(Rare().eval(), X, others=[torch.tensor([12.5])])
        assert told.evidence[0].outcome == "differs"
        assert "other 1" in told.inputs

    def test_one_other_needs_no_list(self) -> None:
        assert "other 1" in recommend(Rare(), X, others=torch.tensor([12.5])).inputs
        assert "other 2" not in recommend(nn.Bilinear(4, 4, 1), (X, X), others=(X[:2], X[:2])).inputs

    def test_of_a_list_the_first_is_the_example(self) -> None:
        assert recommend(scaled, [X, Case((X[:2],), name="two"), X[:1]]).inputs[:3] == ("the example", "two", "other 1")

    def test_what_eager_refuses_is_left_out(self) -> None:
        assert not any("dimension 1" in name for name in recommend(Base(), X).inputs)

    def test_integers_are_not_negated_or_scaled(self) -> None:
        found = recommend(nn.Embedding(5, 3), torch.tensor([[0, 4], [1, 2]]))
        assert found.advice == "trace"
        assert "negated" in found.inputs  # unchanged, and accepted

    def test_lists_and_keywords(self) -> None:
        class Sum(nn.Module):
            def forward(self, xs: list[torch.Tensor], scale: float = 2.0):
                return (xs[0] + xs[1]) * scale

        assert recommend(Sum(), ([X, X],)).advice == "trace"
        assert recommend(scaled, Case(kwargs={"x": X})).advice == "trace"

    @pytest.mark.parametrize("bad", [3.0, [3.0], None])
    def test_what_is_no_input_is_refused(self, bad: object) -> None:
        with pytest.raises(TypeError, match="a Tensor, a tuple of arguments, or Case"):
            recommend(scaled, bad)


class TestWhatIsLeftAlone:
    def test_the_model_and_the_random_state(self) -> None:
        model = Around(Inherited(), Halving(), nn.BatchNorm1d(4)).train()
        before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
        assert recommend(model, X).advice == "mix"
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert torch.equal(state, torch.get_rng_state())
        assert type(model.parts[0]) is Inherited and model.training

    def test_the_example(self) -> None:
        x = X.clone()
        recommend(lambda x: x.mul_(2), x)
        assert torch.equal(x, X)

    def test_the_conversion_has_its_own_weights(self) -> None:
        model = net()
        found = recommend(model, X)
        with torch.no_grad():
            model[0].weight.zero_()
        assert not torch.equal(found.converted.state_dict()["0.weight"], model[0].weight)


class TestTheReport:
    def test_text_begins_with_the_advice_and_is_narrow(self, found: dict[str, Recommendation]) -> None:
        for name, (_, advice) in ADVICE.items():
            text = str(found[name])
            assert text.startswith(f"{advice}: ")
            assert max(map(len, text.splitlines())) <= 110
            assert text.splitlines()[-1].strip()

    def test_html_says_the_same_and_is_escaped(self, found: dict[str, Recommendation]) -> None:
        page = found["gate"]._repr_html_()
        assert "script: the trace differs from eager" in page
        assert "if bool(x.sum() &gt; 0)" in page
        assert "<script" not in page and " id=" not in page

    def test_no_address_or_path_in_it(self, found: dict[str, Recommendation]) -> None:
        for one in found.values():
            assert "0x" not in str(one)
            assert "site-packages" not in str(one) and __file__ not in str(one)


# --- a trace with a reservation --------------------------------------------------------------------------------------


class Checked(nn.Module):
    """Warns, never decides otherwise on an input that it takes, and does not compile."""

    def forward(self, x, **kw):
        if x.shape[-1] != 4:
            raise ValueError("four, please")
        return x * 2


class WarnsTwice(Checked):
    def forward(self, x, *rest):
        if bool(x.abs().max() > 1e30):
            raise ValueError("too large")
        return super().forward(x) + (0 if bool(x.isnan().any()) else 1)


class ModelOutput(OrderedDict):
    """As in libraries of transformers: a dict whose members are attributes, too."""

    def __getattr__(self, name):
        return self[name]


@dataclasses.dataclass
class Output:
    hidden: torch.Tensor
    pooled: torch.Tensor | None = None
    states: tuple = ()
    name: str = "encoder"


class Encoder(nn.Module):
    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.kind = nn.Embedding(9, 4), kind

    def forward(self, ids, mask=None, **kwargs):
        if ids.dim() != 2:
            raise ValueError("ids are [batch, length]")
        x = self.table(ids)
        x = x if mask is None else x * mask[..., None]
        if self.kind is dict:
            return {"hidden": x, "pooled": x.mean(1)}
        if self.kind is ModelOutput:
            return ModelOutput(hidden=x, pooled=x.mean(1))
        return Output(x, x.mean(1), (x, x * 2))


IDS, MASK = torch.tensor([[1, 4, 8, 2], [3, 3, 0, 5]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


class TestATraceWithAReservation:
    @pytest.mark.parametrize(("model", "lines"), [(Checked(), 1), (WarnsTwice(), 3)])
    def test_it_is_no_rewrite_and_the_lines_are_named(self, model, lines) -> None:
        advice = recommend(model, X)
        assert advice.advice == "trace" and "warned" in advice.why, str(advice)
        assert torch.equal(advice(X), model(X))
        places = [e.text for e in advice.evidence if e.step == "decided while tracing"]
        assert len(places) == lines and all("test_advice.py, line" in p for p in places), str(advice)

    def test_a_trace_that_raises_at_another_size_only_is_named_with_it(self) -> None:
        """An image filter: the number of channels goes into the trace."""

        class Filter(nn.Module):
            def forward(self, x: torch.Tensor, **kwargs: object) -> torch.Tensor:  # the compiler refuses **kwargs
                return torch.nn.functional.conv2d(x, torch.ones(int(x.shape[1]), 1, 2, 2), groups=int(x.shape[1]))

        class Scale(nn.Module):
            def forward(self, x: torch.Tensor, **kwargs: object) -> torch.Tensor:
                return x * int(x.shape[1])

        image = torch.rand(2, 3, 6, 6)
        found = recommend(Filter(), image)
        assert found.advice == "trace" and "raises at size 5 in dimension 1, which eager accepts" in found.why
        assert torch.equal(found(image * 2), Filter()(image * 2))
        assert recommend(Filter(), image, [torch.rand(2, 5, 6, 6)]).advice == "rewrite"  # an input that was asked for
        assert recommend(Scale(), image).advice == "rewrite"  # another value, and no error

    def test_where_an_input_differs_it_is_a_rewrite(self) -> None:
        class Decides(nn.Module):
            def forward(self, x, **kw):
                return x * 2 if bool(x.sum() > 0) else x * 3

        assert recommend(Decides(), X).advice == "rewrite"


class TestModelsThatReturnRecords:
    @pytest.mark.parametrize("kind", [dict, ModelOutput, Output])
    @pytest.mark.parametrize("inputs", [(IDS,), (IDS, MASK), Case((IDS,), {"mask": MASK}), Case((), {"ids": IDS})])
    def test_they_get_a_conversion(self, kind, inputs) -> None:
        model = Encoder(kind).eval()
        advice = recommend(model, inputs)
        assert advice.advice == "trace", str(advice)
        case = inputs if isinstance(inputs, Case) else Case(inputs)
        eager = model(*case.args, **case.kwargs)
        given = advice(*case.args, **case.kwargs)
        wanted = vars(eager) if isinstance(eager, Output) else eager
        assert torch.equal(given["hidden"], wanted["hidden"]) and torch.equal(given["pooled"], wanted["pooled"])
        if kind is Output:
            assert "eager returns Output, the trace its tensors as a dict" in " ".join(str(advice).split())
            assert torch.equal(given["states.1"], eager.states[1])


class TestAnotherRank:
    class ByRank(nn.Module):
        def forward(self, x):
            return x.mean(1) if x.dim() == 2 else x.mean(0)

    class ByRankOnly(nn.Module):
        def forward(self, *xs):
            return xs[0].mean(1) if xs[0].dim() == 2 else xs[0].mean(0)

    def test_the_compiled_model_is_advised(self) -> None:
        advice = recommend(self.ByRank(), X)
        assert advice.advice == "script" and "at the rank of the example only" in advice.why, str(advice)
        assert "one dimension less" in advice.inputs

    def test_where_nothing_compiles_the_trace_is_with_its_reservation(self) -> None:
        advice = recommend(self.ByRankOnly(), X)
        assert advice.advice == "trace" and "at the rank of the example" in advice.why, str(advice)
        assert any(e.step == "trace, another rank" and e.outcome == "differs" for e in advice.evidence)

    def test_a_rank_that_eager_refuses_is_not_tried(self) -> None:
        assert not any("one dimension" in name for name in recommend(nn.Conv1d(3, 2, 1), X[None, :, :]).inputs[:1])
        assert not any("rank" in e.step for e in recommend(Checked(), X).evidence)


def test_the_reason_does_not_contradict_the_evidence() -> None:
    class Warns(nn.Module):
        def forward(self, x):
            return x * 2 if bool(x.isnan().sum() < 1) else x * 3

    advice = recommend(Around(Inherited(), Warns()), X)
    assert advice.advice == "mix", str(advice)
    held = any(e.step == "trace" and e.outcome == "matches" for e in advice.evidence)
    assert held and "neither" not in advice.why, str(advice)
