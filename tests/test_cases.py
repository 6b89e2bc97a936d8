"""The inputs of every tool: one rule, and further inputs made from an example."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from course_utils.core.cases import (
    Case,
    as_case,
    as_cases,
    batch_sizes,
    leaves,
    map_tensors,
    other_ranks,
    other_sizes,
    other_values,
)

X43 = torch.arange(12.0).reshape(4, 3)


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass(frozen=True)
class Record:
    value: Tensor
    name: str = "n"


class Plain:
    def __init__(self, value: Tensor) -> None:
        self.value = value
        self.again = self


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_tuple_is_one_case_and_a_list_is_several() -> None:
    assert [case.args for case in as_cases(X43)] == [(X43,)]
    assert [case.args for case in as_cases((X43, 3))] == [(X43, 3)]
    named = Case((X43,), {"n": 3}, "mine")
    assert as_cases(named) == [named]
    cases = as_cases([X43, (X43, 3), named, ([X43],)])
    assert [case.name for case in cases] == ["input 1", "input 2", "mine", "input 4"]
    assert as_cases(X43)[0].name == "the input" and cases[3].args == ([X43],)


@pytest.mark.parametrize(
    ("inputs", "kind", "words"),
    [
        ([], ValueError, "at least one case"),
        ((), ValueError, "at least one case"),
        (3, TypeError, "Wrap a single argument"),
        ([X43, {"x": X43}], TypeError, "Case"),
        (None, TypeError, "a case is a Tensor"),
    ],
)
def test_unusable_inputs_say_what_to_do(inputs: Any, kind: type[Exception], words: str) -> None:
    for read in (as_cases, as_case):
        with pytest.raises(kind, match=words):
            read(inputs)


def test_one_case_is_asked_for() -> None:
    assert as_case([X43], "the example").name == "the example" and as_case(X43).name == "the input"
    with pytest.raises(ValueError, match="a list of 2; give one"):
        as_case([X43, X43])
    with pytest.raises(TypeError, match=r"write Case\(\(x,\)\)"):
        Case(X43)  # type: ignore[arg-type]


def test_a_case_knows_its_size_and_says_what_it_holds() -> None:
    case = Case((X43, [1, 2.5]), {"mask": torch.tensor([True])})
    assert case.size == 12 + 2 + 1 and len(case.tensors) == 2 and len(case.leaves) == 4
    assert case.text == "float32[4, 3], [1, 2.5], mask=bool[1] = [True]" and Case().text == "no arguments"


# --- nested values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda x: [x, 1, (x,)],
        lambda x: Pair(x, {"a": [x]}),
        lambda x: OrderedDict(b=x, a=x),
        lambda x: defaultdict(list, b=[x]),
        Record,
        lambda x: torch.return_types.max((x, x)),
    ],
)
def test_tensors_are_exchanged_in_their_order_and_the_rest_stays(make: Callable[[Tensor], Any]) -> None:
    value = make(torch.zeros(2))
    seen: list[Tensor] = []
    made = map_tensors(value, lambda t: seen.append(t) or t + len(seen))
    assert type(made) is type(value) and made is not value
    assert [x.tolist() for x in leaves(made) if isinstance(x, Tensor)] == [[n, n] for n in range(1, len(seen) + 1)]
    assert [x for x in leaves(made) if not isinstance(x, Tensor)] == [
        x for x in leaves(value) if not isinstance(x, Tensor)
    ]
    assert all(not t.any() for t in leaves(value) if isinstance(t, Tensor))


def test_a_default_factory_and_an_object_that_names_itself_survive() -> None:
    assert map_tensors(defaultdict(list, a=X43), torch.neg).default_factory is list
    value = Plain(X43)
    made = map_tensors(value, torch.neg)
    assert made is not value and made.again is made and torch.equal(made.value, -X43) and value.value is X43


def test_what_holds_no_tensor_is_the_object_itself() -> None:
    value = {"a": [1, object()]}
    assert map_tensors(value, torch.neg) is value


# --- variants --------------------------------------------------------------------------------------------------------


def test_batch_sizes_vary_what_shares_the_batch():
    mask, weight = torch.arange(4), torch.ones(3)
    cases = batch_sizes((X43, {"m": mask, "w": weight}, 7), sizes=(1, 2, 5, 0))
    assert [c.name for c in cases] == ["batch 1", "batch 2", "batch 5", "batch 0"]
    for case, size in zip(cases, (1, 2, 5, 0), strict=True):
        x, extra, seven = case.args
        assert x.shape == (size, 3) and extra["m"].shape == (size,) and extra["w"] is weight and seven == 7
    assert torch.equal(cases[2].args[0][4], X43[0])
    assert batch_sizes(X43, (2,), dim=1)[0].args[0].shape == (4, 2)
    for unusable in (torch.tensor(1.0), (3,), torch.ones(0, 3)):
        with pytest.raises(ValueError, match="; give"):
            batch_sizes(unusable)


def test_batch_sizes_reach_into_records() -> None:
    (case,) = batch_sizes((Record(X43), X43), (2,))
    assert case.args[0].value.shape == (2, 3) and case.args[0].name == "n"


def test_other_values_leave_integers_usable_as_an_index() -> None:
    index = torch.tensor([0, 2, 1])
    cases = {case.name: case for case in other_values(Case((X43, index), {"k": 2}))}
    assert list(cases) == ["negated", "all zero", "times ten", "noise"]
    assert torch.equal(cases["negated"].args[0], -X43) and torch.equal(cases["negated"].args[1], index)
    assert torch.equal(cases["times ten"].args[0], X43 * 10) and cases["noise"].args[0].std() > 0.3
    assert cases["noise"].args[1].tolist() == [1, 2, 0] and not cases["all zero"].args[1].any()
    assert all(case.kwargs == {"k": 2} for case in cases.values())
    assert torch.equal(other_values(Case((X43,)))[3].args[0], cases["noise"].args[0])  # the same noise each time
    assert other_values(Case((3,))) == []


def test_other_sizes_vary_one_dimension_at_a_time() -> None:
    made = {case.name: tuple(case.args[0].shape) for case in other_sizes(Case((X43,)))}
    assert made == {
        "size 1 in dimension 0": (1, 3),
        "size 6 in dimension 0": (6, 3),
        "size 5 in dimension 1": (4, 5),
    }
    assert other_sizes(Case((3,))) == [] == other_sizes(Case((torch.tensor(1.0),)))


def test_other_ranks() -> None:
    made = {case.name: tuple(case.args[0].shape) for case in other_ranks(Case((X43,)))}
    assert made == {"an extra dimension": (1, 4, 3), "one dimension less": (3,)}
    assert [case.name for case in other_ranks(Case((torch.tensor(1.0),)))] == ["an extra dimension"]
    assert other_ranks(Case((3,))) == []
