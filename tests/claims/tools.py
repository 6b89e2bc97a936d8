"""What the docstrings of the tools promise: parity, divergence, recommend, bisection, timing."""

import copy
import dataclasses
import math
import random

import torch
from torch import Tensor, nn

from course_utils.core.errors import one_line
from course_utils.tools.advice import recommend
from course_utils.tools.bisection import bisect_difference, bisect_script
from course_utils.tools.divergence import Search, find_divergence
from course_utils.tools.parity import Case, batch_sizes, check_parity, ulp_distance
from course_utils.tools.speed import compare_speed, median_interval, warmup_curve
from tests.claims import claim

CHECK, COMPARE, REPORT = (f"course_utils/tools/parity/{name}.py" for name in ("check", "compare", "report"))
DIVERGENCE, RECOMMEND = "course_utils/tools/divergence/search.py", "course_utils/tools/advice/choose.py"
BISECTION, SPEED = "course_utils/tools/bisection/difference.py", "course_utils/tools/speed"
X = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.25, -0.5]])


def raises(error, function, *args, **options) -> str:
    try:
        function(*args, **options)
    except error as caught:
        return str(caught)
    raise AssertionError(f"no {error.__name__}")


def twice(x):
    return x * 2


def gate(x):
    return x * 2 if bool(x.sum() > 0) else x * 3


# --- parity ----------------------------------------------------------------------------------------------------------


@claim(CHECK, "A list is thus always several cases: an argument that is a list goes into a tuple, `([a, b],)`.")
def a_list_is_several_cases():
    assert check_parity(twice, twice, [X, X + 1]).cases == 2
    assert check_parity(lambda xs: xs[0] + xs[1], lambda xs: xs[1] + xs[0], ([X, X],)).cases == 1
    assert check_parity(twice, twice, [(X,), Case((X,)), X]).cases == 3
    assert "Wrap a single argument" in raises(TypeError, check_parity, twice, twice, [[X]])


@claim(CHECK, "with the same strides, requires_grad and shared memory")
def copies_keep_strides_grad_and_sharing():
    seen = []

    def look(x, y):
        seen.append((x.stride(), x.requires_grad, x.data_ptr() == y.data_ptr()))
        return x * 1

    inputs = X.mT.detach().requires_grad_()
    check_parity(look, look, (inputs, inputs), calls=1)
    check_parity(look, look, (X, X.clone()), calls=1)
    assert set(seen[:2]) == {(inputs.stride(), True, True)}
    assert set(seen[2:]) == {(X.stride(), False, False)}
    # Results of autograd, which deepcopy refuses, and strides of 0.
    assert check_parity(twice, twice, inputs * 1).ok and check_parity(twice, twice, torch.ones(1).expand(4)).ok


@claim(CHECK, "the global random states (torch, `random`, numpy)")
def random_states_are_put_back():
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    check_parity(lambda x: x + torch.rand(2, 3), lambda x: x * random.random(), X)
    check_parity(lambda x: raises(ValueError, random.seed, 1), twice, X)
    check_parity(lambda x: torch.manual_seed(3), lambda x: random.seed(2), X)
    assert torch.equal(torch_state, torch.get_rng_state()) and python_state == random.getstate()


@claim(CHECK, "Integers, bools and strings are exact.")
def what_is_no_float_is_exact():
    for one, other in ((2**53, 2**53 + 1), (True, False), ("a", "b")):
        assert not check_parity(lambda x, v=one: v, lambda x, v=other: v, X, rtol=1.0, atol=9.0).ok
    ints = torch.tensor([2**60])
    assert not check_parity(lambda x: x, lambda x: x + 1, ints, rtol=1.0, atol=9.0).ok
    assert check_parity(lambda x: x, lambda x: x + 1, ints.double(), rtol=1.0, atol=9.0).ok


@claim(CHECK, "Lost field names are a finding.")
def field_names_are_kept():
    named, plain = lambda x: x.max(0), lambda x: tuple(x.max(0))
    assert not check_parity(named, plain, X).ok
    assert not check_parity(named, lambda x: list(x.max(0)), X).ok
    assert check_parity(named, plain, X, structure="values").ok
    assert check_parity(plain, named, X).ok  # the other way round nothing is lost


@claim(CHECK, "check_memory=True makes a finding of what is a note otherwise")
@claim(CHECK, "signed_zero=True does so for 0.0 against -0.0")
def memory_and_zeros_are_options():
    view, copied = lambda x: x.view(-1), lambda x: x.reshape(-1).clone()
    across, along = lambda x: (x * 2).mT, lambda x: (x * 2).mT.contiguous()
    for left, right in ((view, copied), (across, along)):
        off = check_parity(left, right, X)
        assert off.ok and any("check_memory=True" in note for note in off.notes)
        assert {f.kind for f in check_parity(left, right, X, check_memory=True).findings} == {"memory"}
    zeros = (lambda x: x * -0.0, lambda x: (x * 0.0).abs())
    assert check_parity(*zeros, X).ok and not check_parity(*zeros, X, signed_zero=True).ok
    assert check_parity(twice, lambda x: x + x, X, check_memory=True, signed_zero=True).ok


class Plain:
    def __init__(self, value) -> None:
        self.value, self.me = value, self


@dataclasses.dataclass(eq=False)
class Record:
    value: Tensor


@claim(CHECK, "of one class are compared field by field, nested tensors part by part")
@claim(REPORT, "ok: nothing serious was found.")
def objects_are_compared_by_fields():
    for build in (Plain, Record, lambda x: [Plain({"a": Record(x)})], lambda x: torch.nested.nested_tensor([x, x])):
        assert check_parity(build, lambda x, b=build: b(x * 1), X).ok
        report = check_parity(build, lambda x, b=build: b(x * 2), X)
        assert {f.kind for f in report.findings} == {"value"} and not report.ok
    assert {f.kind for f in check_parity(Plain, Record, X).findings} == {"structure"}


@claim(CHECK, "a report that compared nothing is not ok")
def nothing_compared_is_not_ok():
    for build in (lambda x: object(), lambda x: x.to("meta"), lambda x: iter([x]), lambda x: torch.Generator()):
        report = check_parity(build, lambda x, b=build: b(x), X)
        assert not report.ok and report.headline == "NOT OK: nothing was compared"


@claim(CHECK, "Where both sides raise they agree, with a note, whatever the types")
def both_raise():
    def value(x):
        raise ValueError("no")

    def key(x):
        raise KeyError("no")

    report = check_parity(value, key, X)
    assert report.ok and any("both raise" in n for n in report.notes)
    assert check_parity(value, torch.jit.script(torch.nn.functional.relu), X).findings[0].kind == "raises"
    assert check_parity(twice, key, X).findings[0].kind == "raises"


@claim(
    "course_utils/core/errors.py",
    "An error of compiled code ends with it, after a traceback of its own; an error of the compiler begins with it",
    was="the type was said twice",
)
def an_error_in_one_line():
    assert one_line(ValueError("boom\nsecond")) == "ValueError: boom"
    assert one_line(ValueError("")) == "ValueError (without a message)"
    assert one_line(RuntimeError("RuntimeError: RuntimeError: shape")) == "RuntimeError: shape"

    def reshaped(x: Tensor) -> Tensor:
        return x.reshape(7)

    try:
        torch.jit.script(reshaped)(X)
    except RuntimeError as error:
        assert "shape" in one_line(error) and one_line(error).count("RuntimeError") == 1


@claim(COMPARE, "adjacent floats are 1 apart, -0.0 and 0.0 are 0 apart")
@claim(COMPARE, "Two NaN are 0 apart; a NaN is as far from a number as int64 can say")
def ulps():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        one, zero = torch.ones((), dtype=dtype), torch.zeros((), dtype=dtype)
        nan, inf = torch.full((), math.nan, dtype=dtype), torch.full((), math.inf, dtype=dtype)
        assert int(ulp_distance(zero, -zero)) == 0 and int(ulp_distance(nan, -nan)) == 0
        assert int(ulp_distance(one, torch.nextafter(one, inf))) == 1 if dtype.itemsize > 2 else True
        assert int(ulp_distance(torch.tensor(torch.finfo(dtype).max, dtype=dtype), inf)) == 1
        assert int(ulp_distance(nan, one)) == torch.iinfo(torch.int64).max


@claim("course_utils/core/cases.py", "Size 0 gives an empty batch.")
def batches():
    sizes = [c.args[0].shape[0] for c in batch_sizes(X, (0, 1, 5))]
    assert sizes == [0, 1, 5]
    assert [c.args[0][0].shape[0] for c in batch_sizes(([X],), (3,))] == [3]
    assert "has a dimension" in raises(ValueError, batch_sizes, torch.tensor(1.0))
    assert "cannot be repeated" in raises(ValueError, batch_sizes, torch.zeros(0, 3))


# --- divergence ------------------------------------------------------------------------------------------------------


@claim(DIVERGENCE, "The same seed gives the same search unless the time runs out.")
def the_same_seed():
    texts = {str(find_divergence(gate, twice, X, seed=n, vary=("values",), tries=5)) for n in (3, 3, 3)}
    assert len(texts) == 1


@claim(
    DIVERGENCE,
    "Sizes of two tensors that are equal in every example change together, unless the reference rejects that",
)
def sizes_together():
    def model(ids, mask):
        seen.append((ids.shape == mask.shape, ids.shape))
        return ids * mask

    seen = []
    mask = torch.ones(2, 3, dtype=torch.int64)
    find_divergence(model, lambda i, m: i * m, (X, mask), vary=("batch", "shape"), tries=5)
    assert all(same for same, _ in seen) and len({shape for _, shape in seen}) > 5
    seen = []
    find_divergence(model, lambda i, m: i * m, (X, mask), vary=("apart",), tries=0)
    assert not all(same for same, _ in seen)
    seen = []
    find_divergence(model, lambda i, m: i * m, [(X, mask), (X, torch.ones(2, 1))], vary=("shape",), tries=0)
    assert not all(same for same, _ in seen)


@claim(DIVERGENCE, "one of integers 0 and 1 is taken for a mask and")
def masks_stay():
    for dtype in (torch.int64, torch.int32, torch.uint8):
        seen = set()

        def model(x, mask, seen=seen):
            seen |= set(mask.flatten().tolist())
            return x * mask

        find_divergence(model, lambda x, m: x * m, (X, torch.ones(2, 3, dtype=dtype)), vary=("values",), tries=5)
        assert seen == {0, 1}


@claim(
    DIVERGENCE, 'Only when asked for: "special" (NaN and infinities, in all tensors and in one)', was="in all at once"
)
def special_in_one_tensor():
    pair = (X, X + 1)
    for vary, found in ((("special",), True), (("values",), False)):
        search = find_divergence(torch.maximum, torch.fmax, pair, vary=vary, tries=5)
        assert (search.found is not None) == found
    assert find_divergence(twice, lambda x: (x * 2).nan_to_num(0), X, vary=("special",)).found.kind == "special"


@claim(DIVERGENCE, "sizes up to that limit are tried", was="no size beyond twice the example's was made")
def growth_is_used():
    def model(x):
        seen.append(x.numel())
        return x * 1

    for growth, most in ((2, 64), (10, 64), (50, 300)):
        seen = []
        find_divergence(model, lambda x: x * 1, torch.ones(2, 3), vary=("batch", "shape"), growth=growth, tries=0)
        assert max(seen) <= most and (growth < 50 or max(seen) == most)


@claim(DIVERGENCE, "A divergence at another rank is reported where there is none at the rank of the example.")
def another_rank_last():
    for longest, kind in ((5, "batch"), (10_000, "rank")):

        def wrong(x, longest=longest):
            return x * 3 if x.dim() != 2 or len(x) > longest else x * 2

        assert find_divergence(twice, wrong, X, vary=("rank", "batch"), tries=0).found.kind == kind


@claim(
    DIVERGENCE.replace("search", "report"),
    "Outputs were compared and no divergence was found.",
    was="nothing compared was ok",
)
def a_blind_search_is_not_ok():
    for build in (lambda x: object(), lambda x: x.to("meta"), lambda x: iter([x])):
        search = find_divergence(build, build, X, vary=("batch",), tries=0)
        assert search.found is None and not search.ok and search.headline == "NOT OK: nothing was compared"
    assert ".ok" in raises(TypeError, bool, Search())


@claim(DIVERGENCE, "after the first, only those with another kind or place are reported")
def several_findings():
    search = find_divergence(gate, lambda x: x.sum() if len(x) > 2 else x * 2, X, findings=4)
    told = [(f.kind, f.finding.kind, f.finding.where.path) for f in search.findings]
    assert 2 <= len(told) <= 4 and len(set(told)) == len(told)
    assert len(find_divergence(gate, twice, X).findings) == 1
    assert "at least 1" in raises(ValueError, find_divergence, gate, twice, X, findings=0)


# --- recommend -------------------------------------------------------------------------------------------------------


class Reserved(nn.Module):
    def forward(self, x, **kwargs):
        if x.shape[-1] != 3:
            raise ValueError("three, please")
        return x * 2


class Decides(nn.Module):
    def forward(self, x, **kwargs):
        return gate(x)


@claim(RECOMMEND, "equals eager on all inputs and has merely warned", was="rewrite")
def a_trace_that_warned():
    advice = recommend(Reserved(), X)
    assert advice.advice == "trace" and torch.equal(advice(X), X * 2) and "warned at 1 line" in advice.why
    assert any("tools.py, line" in e.text for e in advice.evidence)
    assert recommend(Decides(), X).advice == "rewrite"  # it differs
    assert recommend(gate, X).advice == "script"  # it compiles


class ByRank(nn.Module):
    def forward(self, x):
        return x.mean(1) if x.dim() == 2 else x.mean(0)


@claim(RECOMMEND, "equals eager on all inputs, those of another rank included", was="other ranks were not tried")
def another_rank():
    assert recommend(ByRank(), X).advice == "script"
    assert recommend(twice, X).advice == "trace" and "an extra dimension" in recommend(twice, X).inputs
    assert recommend(nn.Bilinear(3, 3, 1), (X, X)).advice == "trace"


@claim(RECOMMEND, "Everything runs without gradients, on one thread, and on copies of the model.")
def the_model_is_left_alone():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train()
    before, threads = copy.deepcopy(model.state_dict()), torch.get_num_threads()
    grads = []
    recommend(lambda x: (grads.append(torch.is_grad_enabled()), x * 2)[1], X)
    recommend(model, X)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items()) and model.training
    assert not any(grads) and torch.get_num_threads() == threads and torch.is_grad_enabled()


# --- bisection and timing --------------------------------------------------------------------------------------------


class Gathers(nn.Module):
    def forward(self, x, e):
        return x[e[0]] + x[e[1]]


class Around(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x, e):
        return self.part(x * 2, e)


@claim(BISECTION, "gives a submodule its tensors in the order in which they are used, and only those")
def a_trace_reorders():
    inputs = (X, torch.tensor([[0, 1], [1, 1]]))
    traced = torch.jit.trace(Around(Gathers()), inputs)
    names = [x.debugName() for x in traced.part.graph.inputs()]
    assert names[1] == "e"  # eager's second argument
    report = bisect_difference(Around(Gathers()), traced, inputs)
    assert report.ok and not report.left_out
    assert bisect_difference(Around(Gathers()), torch.jit.script(Around(Gathers())), inputs).ok


@claim(BISECTION.replace("difference", "script"), "An error of the compiler is never raised.")
def the_compiler_is_never_raised():
    for model in (Reserved(), Around(Reserved()), nn.Sequential(Decides(), nn.Linear(2, 2))):
        assert not bisect_script(model).ok
    assert bisect_script(nn.Linear(2, 2)).ok
    assert "takes a module" in raises(TypeError, bisect_script, gate)


@claim(f"{SPEED}/measure.py", "The first is a finding of the report", was="nothing was said")
def a_changed_input_is_a_finding():
    options = {"rounds": 5, "min_round_time": 1e-4, "seconds": 0.2, "progress": False}
    changed = {}
    for name, fn in (("edits", lambda x: x.add_(1)), ("copies", lambda x: x.clone().add_(1)), ("reads", twice)):
        changed[name] = compare_speed({name: fn}, torch.zeros(3), **options).changed
    assert changed == {"edits": ("edits",), "copies": (), "reads": ()}


@claim(f"{SPEED}/measure.py", "Raises ValueError for ``calls`` below 1, and what ``fn`` raises.")
def a_curve():
    assert len(warmup_curve(twice, X, calls=3)) == 3
    assert "at least one call" in raises(ValueError, warmup_curve, twice, X, calls=0)
    assert raises(ZeroDivisionError, warmup_curve, lambda x: 1 / 0, X)


@claim(
    f"{SPEED}/statistics.py",
    "Raises ValueError for no values, a value that is not finite, or a confidence outside 0 to 1.",
)
def an_interval():
    for values, confidence in (([], 0.9), ([1.0, math.inf], 0.9), ([1.0, math.nan], 0.9), ([1.0, 2.0], 1.5)):
        assert raises(ValueError, median_interval, values, confidence)
    low, high, _ = median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 0.9)
    assert low <= 4.0 <= high
