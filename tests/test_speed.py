"""course_utils.tools.speed: its statistics on given numbers, its protocol on a clock that the test turns."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils import benchmark

from course_utils.tools import speed
from course_utils.tools.speed import (
    SpeedReport,
    compare_speed,
    median_interval,
    settled,
    summarise,
    warmup_caption,
    warmup_curve,
    warmup_figure,
)
from course_utils.tools.speed.figures import number_text

TIMES = st.floats(min_value=1e-7, max_value=10.0)


class Clock:
    """A clock that moves only when a candidate works, and notes who did."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def worker(self, name: str, seconds: float, *first: float, noise: float = 0.0):
        """A candidate: its first calls take ``first``, all later ones ``seconds``, give or take ``noise``."""
        costs, chance = iter(first), random.Random(name)

        def work(*args: object) -> None:
            self.calls.append(name)
            self.now += next(costs, seconds) * (1 + noise * (chance.random() - 0.5))

        return work


# -- median_interval ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "confidence", "low", "high", "coverage"),
    # 1-based ranks and coverages of the binomial formula, worked out by hand from Pascal's triangle:
    # n = 6: 1 - 2/64; n = 9, ranks 2 and 8: 1 - 2·(1+9)/512; n = 15, ranks 3, 13: 1 - 2·(1+15+105)/32768.
    [
        (1, 0.95, 1, 1, 0.0),
        (5, 0.95, 1, 5, 1 - 2 / 32),
        (6, 0.95, 1, 6, 1 - 2 / 64),
        (9, 0.95, 2, 8, 1 - 2 * 10 / 512),
        (15, 0.99, 3, 13, 1 - 2 * 121 / 32768),
        (15, 0.95, 4, 12, 1 - 2 * 576 / 32768),
    ],
)
def test_median_interval_takes_the_ranks_of_the_binomial_formula(n, confidence, low, high, coverage):
    values = list(range(1, n + 1))
    random.Random(1).shuffle(values)
    assert median_interval(values, confidence) == (low, high, pytest.approx(coverage, abs=1e-12))


def test_median_interval_contains_the_true_median_as_often_as_it_says():
    chance, hits, trials = random.Random(7), 0, 4000
    for _ in range(trials):
        # Skewed, as run times are; the true median of this distribution is exp(0) = 1.
        low, high, coverage = median_interval([chance.lognormvariate(0, 1) for _ in range(15)], 0.95)
        hits += low <= 1 <= high
    assert hits / trials == pytest.approx(coverage, abs=0.015)
    assert coverage >= 0.95


@given(st.lists(TIMES, min_size=1, max_size=30), st.floats(0.5, 0.999), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_median_interval_contains_the_sample_median_and_ignores_order_and_scale(values, confidence, chance):
    low, high, coverage = median_interval(values, confidence)
    middle = sorted(values)[(len(values) - 1) // 2], sorted(values)[len(values) // 2]
    assert low <= middle[0] <= middle[1] <= high
    shuffled = chance.sample(values, len(values))
    assert median_interval(shuffled, confidence) == (low, high, coverage)
    assert median_interval([4 * v for v in values], confidence) == (4 * low, 4 * high, coverage)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_median_interval_rejects_what_has_no_median(values):
    with pytest.raises(ValueError, match="finite"):
        median_interval(values)


@pytest.mark.parametrize("confidence", [0, 1, 99])
def test_median_interval_rejects_a_confidence_in_percent(confidence):
    with pytest.raises(ValueError, match=r"between 0 and 1"):
        median_interval([1.0], confidence)


# -- summarise ----------------------------------------------------------------------------------------------


def test_summarise_on_numbers_worked_out_by_hand():
    slow, fast = [10.0, 12.0, 20.0, 11.0, 10.0], [5.0, 6.0, 10.0, 5.0, 4.0]
    rows = summarise({"eager": slow, "scripted": fast})
    assert [row.name for row in rows] == ["eager", "scripted"]
    assert rows[0].verdict == "baseline"
    assert (rows[0].ratio, rows[0].ratio_low, rows[0].ratio_high) == (1, 1, 1)
    assert rows[1].median_s == 5.0
    assert rows[1].iqr_s == 1.0  # quartiles 5 and 6
    assert rows[1].ratio == 2.0  # ratios 2, 2, 2, 2.2, 2.5
    assert (rows[1].ratio_low, rows[1].ratio_high) == (2.0, 2.5)
    assert rows[1].verdict == "faster"
    assert rows[1].times == tuple(fast)


def test_the_ratio_pairs_the_rounds_so_a_slow_round_cancels():
    # In half of the rounds the machine is ten times slower. The medians alone would mix the two.
    rows = summarise({"a": [1.0, 10.0, 1.0, 10.0, 1.0, 10.0], "b": [2.0, 20.0, 2.0, 20.0, 2.0, 20.0]})
    assert (rows[1].ratio, rows[1].ratio_low, rows[1].ratio_high) == (0.5, 0.5, 0.5)
    assert rows[1].verdict == "slower"


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.2] * 15, "faster"),
        ([0.8] * 15, "slower"),
        ([1.0] * 15, "no difference shown"),
        ([1.2] * 12 + [0.9] * 3, "no difference shown"),  # the third smallest of 15 lies below 1
        ([1.2] * 13 + [0.9] * 2, "faster"),  # … and here above it
        ([1.02] * 15, "no difference shown"),  # steady, but under the margin
        ([1 / 1.02] * 15, "no difference shown"),
        ([1.04] * 15, "faster"),
        ([1 / 1.04] * 15, "slower"),
        ([1.0] * 3 + [1.2] * 12, "no difference shown"),  # an interval that touches 1 covers it
    ],
)
def test_verdict(ratios, verdict):
    rows = summarise({"base": ratios, "candidate": [1.0] * len(ratios)})
    assert rows[1].verdict == verdict


def test_margin_zero_leaves_the_verdict_to_the_interval():
    assert summarise({"a": [1.02] * 9, "b": [1.0] * 9}, margin=0)[1].verdict == "faster"


@st.composite
def two_candidates(draw):
    n = draw(st.integers(1, 20))
    return draw(st.lists(TIMES, min_size=n, max_size=n)), draw(st.lists(TIMES, min_size=n, max_size=n))


@given(two_candidates(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=80)
def test_summarise_properties(pair, chance):
    base, other = pair
    row = summarise({"base": base, "other": other})[1]
    assert row.ratio_low <= row.ratio <= row.ratio_high
    assert min(other) <= row.median_s <= max(other)
    assert 0 <= row.iqr_s <= max(other) - min(other)
    if row.ratio_low <= 1 <= row.ratio_high:
        assert row.verdict == "no difference shown"

    # The order of the rounds says nothing: the pairs do.
    order = chance.sample(range(len(base)), len(base))
    moved = summarise({"base": [base[i] for i in order], "other": [other[i] for i in order]})[1]
    assert (moved.ratio, moved.ratio_low, moved.ratio_high) == (row.ratio, row.ratio_low, row.ratio_high)

    # A machine that is 1024 times slower (a power of two is exact) gives the same ratios.
    scaled = summarise({"base": [1024 * t for t in base], "other": [1024 * t for t in other]})[1]
    assert (scaled.ratio, scaled.verdict) == (row.ratio, row.verdict)
    assert scaled.median_s == 1024 * row.median_s


@given(two_candidates())
@settings(deadline=None, max_examples=80)
def test_swapping_baseline_and_candidate_mirrors_the_verdict(pair):
    base, other = pair
    if len(base) % 2 == 0:  # the middle of two ratios is not the inverse of the middle of two inverses
        base, other = base[1:] or base * 3, other[1:] or other * 3
    there = summarise({"a": base, "b": other})[1]
    back = summarise({"b": other, "a": base})[1]
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert (back.ratio_low, back.ratio_high) == pytest.approx((1 / there.ratio_high, 1 / there.ratio_low))
    # Ratios within rounding of 1, or of the margin, may fall on either side.
    edges = [1, 1 + speed.MARGIN, 1 / (1 + speed.MARGIN)]
    if all(abs(x / e - 1) > 1e-9 for x in (there.ratio, there.ratio_low, there.ratio_high) for e in edges):
        mirror = {"faster": "slower", "slower": "faster", "no difference shown": "no difference shown"}
        assert back.verdict == mirror[there.verdict]


@given(st.lists(TIMES, min_size=1, max_size=20))
@settings(deadline=None, max_examples=40)
def test_median_and_iqr_are_those_of_torchs_measurement(times):
    row = summarise({"only": times})[0]
    torchs = benchmark.Measurement(1, times, benchmark.TaskSpec("pass", "pass"))
    assert row.median_s == pytest.approx(torchs.median, rel=1e-12)
    assert row.iqr_s == pytest.approx(torchs.iqr, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ({}, "nothing to summarise"),
        ({"a": []}, "one time per round"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "one time per round"),
        ({"a": [1.0], "b": [0.0]}, "'b' has a time that is not a positive number"),
        ({"a": [1.0], "b": [math.nan]}, "'b' has"),
    ],
)
def test_summarise_rejects_unusable_samples(samples, said):
    with pytest.raises(ValueError, match=said):
        summarise(samples)


# -- warm-up ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "is_settled"),
    [
        ([1.0] * 5, False),  # too few to tell
        ([1.0] * 6, True),
        ([9.0, 9.0, 9.0, 1.0, 1.0, 1.0], False),
        ([5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0], True),  # two slow calls, as in TorchScript
        ([1.0, 1.0, 1.0, 1.0, 9.0, 1.0], True),  # one outlier is not a trend
        ([1.0, 1.0, 1.0, 1.2, 1.2, 1.2], False),
    ],
)
def test_settled(times, is_settled):
    assert settled(times) is is_settled


def test_warmup_curve_times_each_call_alone():
    clock = Clock()
    assert warmup_curve(clock.worker("f", 1.0, 8.0, 4.0), "x", calls=4, clock=clock) == (8.0, 4.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="at least one call"):
        warmup_curve(print, calls=0)


def test_warmup_curve_sees_the_profiling_executor():
    source = "def forward(x):\n    for _ in range(20):\n        x = torch.relu(x * 2.0 + 1.0)\n    return x\n"
    scripted = torch.jit.CompilationUnit(source).forward
    curve = warmup_curve(scripted, torch.ones(2), calls=9)
    assert len(curve) == 9
    assert min(curve[:2]) > min(curve[2:]), "calls 1 and 2 profile and optimise; a later one is faster"


def test_warmup_caption_and_figure():
    curves = {"eager": (2e-6, 1e-6, 1e-6, 1e-6), "scripted": (4e-5, 2e-5, 1e-6, 1e-6, 1e-6)}
    said = warmup_caption(curves)
    assert "eager: the first call takes 2.00 times as long as the last ones (1.00 µs); call 2 is" in said
    assert "scripted: the first call takes 40.0 times as long as the last ones (1.00 µs); call 3 is" in said
    axes = warmup_figure(curves).axes[0]
    assert axes.get_yscale() == "log"
    assert "µs" in axes.get_ylabel()
    assert axes.get_xlabel() == "call"
    assert [list(line.get_ydata()) for line in axes.lines] == [
        pytest.approx([2, 1, 1, 1]),
        pytest.approx([40, 20, 1, 1, 1]),
    ]
    assert len({(line.get_marker(), line.get_linestyle()) for line in axes.lines}) == 2
    for empty in ({}, {"a": ()}):
        with pytest.raises(ValueError, match="no warm-up to show"):
            warmup_caption(empty)


# -- compare_speed, on a clock that the test turns ----------------------------------------------------------


def compare(clock: Clock, candidates, **options) -> SpeedReport:
    return compare_speed(candidates, clock=clock, progress=False, **options)


def test_twice_the_work_is_half_the_speed():
    clock = Clock()
    report = compare(clock, {"one": clock.worker("one", 1e-3), "two": clock.worker("two", 2e-3)})
    assert report.verdict("one") == "baseline"
    assert report.verdict("two") == "slower"
    assert report.ratio("two") == pytest.approx(0.5)
    assert report.row("two").median_s == pytest.approx(2e-3)
    assert report.rounds == 15
    assert [row.calls_per_round for row in report.rows] == [20, 10]  # 20 ms a round


def test_the_same_work_shows_no_difference():
    verdicts = []
    for seed in range(20):
        clock = Clock()
        a, b = (clock.worker(f"{name}{seed}", 1e-3, noise=0.3) for name in "ab")
        verdicts.append(compare(clock, {"a": a, "b": b}, min_round_time=1e-3).verdict("b"))
    assert verdicts == ["no difference shown"] * 20


def test_a_small_steady_difference_is_found_under_noise():
    clock = Clock()
    a, b = clock.worker("a", 1e-3, noise=0.3), clock.worker("b", 0.8e-3, noise=0.3)
    assert compare(clock, {"a": a, "b": b}).verdict("b") == "faster"


def test_a_machine_that_grows_busy_does_not_decide():
    clock = Clock()

    def growing(name):
        def work():
            clock.now += 1e-3 * (1 + clock.now)  # ten times slower by the end of the run

        return work

    report = compare(clock, {name: growing(name) for name in "ab"}, seconds=1e9, min_round_time=0.1)
    assert report.row("a").times[-1] > 3 * report.row("a").times[0]
    assert report.verdict("b") == "no difference shown"


def test_first_calls_are_kept_out_of_the_rounds():
    clock = Clock()
    scripted = clock.worker("scripted", 1e-3, 0.5, 0.3)
    report = compare(clock, {"scripted": scripted})
    row = report.rows[0]
    assert row.first_call_s == pytest.approx(0.5)
    assert row.warmup_calls == 7  # calls 2, 3, 4 against 5, 6, 7: the second slow call is outvoted
    assert row.warmed_up
    assert row.times == pytest.approx([1e-3] * 15)
    assert "7 calls, first took 500 ×" in str(report)


def test_a_candidate_that_never_settles_is_named():
    clock = Clock()
    growing = clock.worker("growing", 1e-3, *(1e-3 * 1.5**i for i in range(12)))
    report = compare(clock, {"steady": clock.worker("steady", 1e-3), "growing": growing}, warmup_limit=10)
    assert [row.warmed_up for row in report.rows] == [True, False]
    assert report.row("growing").warmup_calls == 10
    assert "Warm-up ended before growing had settled" in str(report)


def test_candidates_take_turns_in_a_shuffled_order_that_is_always_the_same():
    def order():
        clock = Clock()
        compare(clock, {name: clock.worker(name, 1.0) for name in "abc"}, seconds=1e9)
        # One call a second: after 6 warm-up calls each, a turn is Timer's two untimed calls and a timed one.
        turns = clock.calls[3 * 6 :: 3]
        return [tuple(turns[i : i + 3]) for i in range(0, len(turns), 3)]

    rounds = order()
    assert len(rounds) == 15
    assert all(sorted(turn) == ["a", "b", "c"] for turn in rounds), "everyone has one turn in every round"
    assert len(set(rounds)) > 2, "the order changes"
    assert order() == rounds


def test_rounds_are_left_out_to_stay_inside_the_time_limit():
    clock = Clock()
    report = compare(clock, {name: clock.worker(name, 0.1) for name in "ab"}, seconds=6.0)
    assert 5 <= report.rounds < 15
    assert clock.now <= 6.0
    assert report.rounds_asked == 15
    assert f"{report.rounds} interleaved rounds of 15 (time limit reached)" in str(report)
    assert all(len(row.times) == report.rounds for row in report.rows)


def test_never_fewer_than_five_rounds_and_the_interval_says_what_it_covers():
    clock = Clock()
    report = compare(clock, {name: clock.worker(name, 5.0) for name in "ab"}, seconds=1.0)
    assert report.rounds == 5
    assert report.coverage == pytest.approx(0.9375)
    assert "93.8 % interval" in str(report)


def test_warm_up_keeps_to_its_share_of_the_budget():
    clock = Clock()
    unsteady = clock.worker("unsteady", 0.1, *(0.1 * 1.3 ** (i % 7) for i in range(200)))
    compare(clock, {"unsteady": unsteady}, seconds=6.0, warmup_limit=200)
    assert clock.now <= 6.0


def test_arguments_reach_the_candidate():
    seen = set()
    clock = Clock()

    def candidate(*args):
        seen.add(args)
        clock.now += 1e-2

    compare_speed({"c": candidate}, 1, "two", clock=clock)
    assert seen == {(1, "two")}


def test_threads_are_pinned_stated_and_restored():
    before, seen = torch.get_num_threads(), set()
    clock = Clock()

    def candidate():
        seen.add(torch.get_num_threads())
        clock.now += 1e-2

    other = before + 1
    report = compare(clock, {"c": candidate}, threads=other)
    assert seen == {other}
    assert torch.get_num_threads() == before
    assert f"{other} threads" in str(report)

    def failing():
        raise RuntimeError("no")

    with pytest.raises(ValueError):
        compare(clock, {"c": failing}, threads=other)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("context", "said"),
    [
        (torch.enable_grad, "grad mode on"),
        (torch.no_grad, "grad mode off"),
        (torch.inference_mode, "inference mode"),
    ],
)
def test_the_callers_grad_mode_is_used_and_stated(context, said):
    seen = set()
    clock = Clock()

    def candidate():
        seen.add((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
        clock.now += 1e-2

    with context():
        mine = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        report = compare(clock, {"c": candidate})
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == mine
    assert seen == {mine}
    assert said in str(report)


def test_a_candidate_that_raises_is_named_with_its_error():
    clock = Clock()

    def broken():
        raise RuntimeError("Traceback of TorchScript\n    x.y\n    ~~~ <--- HERE\nRuntimeError: expected a Tensor.\n")

    with pytest.raises(ValueError) as caught:
        compare(clock, {"eager": clock.worker("eager", 1e-2), "traced": broken})
    assert str(caught.value) == (
        "Candidate 'traced' raised while it was timed. RuntimeError: expected a Tensor. "
        "Call it once by itself with the same arguments and fix it, or leave it out."
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_candidate_that_raises_late_is_named_too():
    clock, left = Clock(), iter(range(9))

    def tires():
        clock.now += 1.0
        next(left)

    with pytest.raises(ValueError, match=r"'tires' raised while it was timed\. StopIteration"):
        compare(clock, {"tires": tires})


def test_ctrl_c_is_not_swallowed():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(Clock(), {"c": interrupted})


@pytest.mark.parametrize(
    ("candidates", "options", "said"),
    [
        ({}, {}, "nothing to time"),
        ({"model": 3}, {}, "'model' is a int"),
        ({"f": print}, {"rounds": 4}, "rounds=4"),
        ({"f": print}, {"threads": 0}, "threads"),
        ({"f": print}, {"warmup_limit": 0}, "warmup_limit"),
        ({"f": print}, {"min_round_time": 0}, "min_round_time"),
        ({"f": print}, {"seconds": -1}, "seconds"),
        ({"f": print}, {"margin": -0.1}, "margin"),
    ],
)
def test_wrong_use_is_rejected_before_anything_is_timed(candidates, options, said):
    with pytest.raises(ValueError, match=said):
        compare_speed(candidates, **options)


# -- compare_speed, for real --------------------------------------------------------------------------------


def test_real_work_is_measured_with_the_real_clock():
    x = torch.ones(64)

    def once(x):
        return x + 1

    def often(x):
        for _ in range(30):
            x = x + 1
        return x

    report = compare_speed({"once": once, "often": often}, x, rounds=5, min_round_time=0.002)
    # Thirty times the work: even a machine that is busy with other things does not hide that.
    assert report.verdict("often") == "slower"
    assert report.ratio("often") < 0.5
    assert 0 < report.row("once").median_s < 0.01


# -- the report ---------------------------------------------------------------------------------------------


@pytest.fixture
def report() -> SpeedReport:
    clock = Clock()
    return compare(
        clock,
        {
            "eager": clock.worker("eager", 20e-6),
            "scripted": clock.worker("scripted", 10e-6, 800e-6, 600e-6),
            "<same>": clock.worker("same", 20e-6),
            "slow": clock.worker("slow", 60e-6),
        },
    )


def test_text(report):
    assert str(report) == repr(report) == report.text()
    heads, eager, scripted, same, slow, method = str(report).splitlines()
    assert heads.split() == ["median", "IQR", "calls/round", "speed", "interval", "verdict", "warm-up"]
    assert re.split(r"\s{2,}", eager)[:3] == ["eager", "20.0 µs", "0 µs"]
    assert eager.index("• baseline") == scripted.index("▲ faster") == heads.index("verdict")
    assert re.split(r"\s{2,}", scripted)[-4:-1] == ["2.00 ×", "2.00 to 2.00", "▲ faster"]
    assert "7 calls, first took 80.0 ×" in scripted
    assert "1.00 ×" in same and "? no difference shown" in same
    assert "0.333 ×" in slow and "▼ slower" in slow
    assert method.startswith("15 interleaved rounds, 1 thread, grad mode on; speed = eager's time / own time")
    assert "99.3 % interval" in method and "under 3 %" in method
    assert report.ok and report.findings == ()
    with pytest.raises(TypeError, match=r"ask its \.ok"):
        bool(report)
    assert report.headline == ("against eager: scripted ▲ faster, <same> ? no difference shown, slow ▼ slower")
    assert "✓" not in report._repr_html_() and "✗" not in report._repr_html_()


def test_html_says_the_same_is_escaped_and_leaves_the_theme_alone(report):
    page = report._repr_html_()
    for words in ("▲ faster", "▼ slower", "? no difference shown", "• baseline", "&lt;same&gt;", "20.0 µs"):
        assert words in page
    assert "<same>" not in page
    assert "<script" not in page and "http" not in page
    assert not re.search(r"(?<!current)color:\s*(#|black|white)", page)
    assert page == report._repr_html_()


def test_figure_shows_every_round_and_its_caption_says_it(report):
    figure = report.figure()
    axes = figure.axes[0]
    assert [len(line.get_xdata()) for line in axes.lines] == [15] * 4
    assert list(axes.lines[1].get_xdata()) == pytest.approx([10.0] * 15)
    assert axes.get_xlabel() == "time per call (µs)"
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "eager\n• baseline",
        "scripted\n▲ faster",
        "<same>\n? no difference shown",
        "slow\n▼ slower",
    ]
    assert "scripted: faster, 2.00 times as fast as eager (2.00 to 2.00)." in report.caption
    assert "slow: slower, 0.333 times as fast as eager" in report.caption
    assert "15 interleaved rounds, 1 thread, grad mode on" in report.caption

    import matplotlib.pyplot as plt

    assert not plt.fignum_exists(getattr(figure, "number", -1)), "an open figure would be shown twice in a notebook"


def test_figure_has_a_log_axis_only_where_times_are_far_apart():
    clock = Clock()
    report = compare(clock, {"short": clock.worker("short", 1e-4), "long": clock.worker("long", 1e-2)})
    axes = report.figure().axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "time per call (µs), log scale"


def test_times_that_are_far_apart_each_get_their_own_unit():
    clock = Clock()
    report = compare(clock, {"short": clock.worker("short", 2e-6), "long": clock.worker("long", 3e-2)})
    assert "2.00 µs" in str(report) and "30.0 ms" in str(report)


def test_scattered_times_are_pointed_out():
    clock = Clock()
    wild = clock.worker("wild", 1.0, noise=1.9)
    report = compare(clock, {"wild": wild}, seconds=1e9)
    assert "The times of wild scatter by more than a quarter of their median" in str(report)


def test_an_unknown_name_lists_the_names_there_are(report):
    with pytest.raises(KeyError, match="pass one of eager, scripted"):
        report.ratio("traced")


def test_a_report_is_frozen(report):
    with pytest.raises(AttributeError):
        report.rounds = 3


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (1.5, "1.50"),
        (9.999, "10.0"),
        (120.4, "120"),
        (4561.0, "4560"),
        (math.nan, "nan"),
    ],
)
def test_numbers_have_three_significant_digits(x, said):
    assert number_text(x) == said


# -- progress -----------------------------------------------------------------------------------------------


def test_a_progress_function_gets_every_line():
    clock, lines = Clock(), []
    compare_speed({"f": clock.worker("f", 1e-2)}, rounds=5, clock=clock, progress=lines.append)
    assert lines == ["warming up f", *(f"round {i} of 5" for i in range(1, 6))]


# -- the module ---------------------------------------------------------------------------------------------


def test_importing_is_quiet_and_light(tmp_path):
    # CUDA_HOME without a GPU is what makes torch.utils.cpp_extension warn.
    program = (
        "import os, sys; os.environ['CUDA_HOME'] = sys.argv[1]; os.environ['CUDA_VISIBLE_DEVICES'] = ''\n"
        "import course_utils.tools.speed\n"
        "heavy = {'matplotlib', 'IPython', 'torchvision', 'sklearn', 'nbformat'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, "[]", "")


def test_of_a_message_of_several_lines_the_first_is_reported():
    def fails(x):
        raise RuntimeError("boom\nsecond line")

    with pytest.raises(ValueError, match=r"'fails' raised while it was timed\. RuntimeError: boom\. Call it once"):
        compare_speed({"fails": fails}, torch.ones(2))


def test_a_candidate_that_changes_its_input_is_reported():
    options = {"rounds": 5, "min_round_time": 1e-4, "seconds": 0.5, "progress": False}
    report = compare_speed({"kept": lambda x: x * 2, "grows": lambda x: x.mul_(2)}, torch.ones(2), **options)
    assert report.changed == ("grows",)
    assert "grows changed the input in place" in str(report) and "changed the input" in report._repr_html_()
    for same in (lambda x: x.add_(0), lambda x: x.clone().mul_(2), lambda x: x / 0):
        assert not compare_speed({"same": same}, torch.ones(2), **options).changed
