"""Call the candidates: warm-up, then rounds in which they take turns."""

from __future__ import annotations

import contextlib
import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.utils import benchmark

from course_utils.core.errors import one_line
from course_utils.core.status_line import Show, status_line
from course_utils.core.values import leaves
from course_utils.tools.parity.compare import Rules, compare
from course_utils.tools.speed.report import SpeedReport
from course_utils.tools.speed.statistics import CONFIDENCE, MARGIN, WINDOW, median_interval, settled, summarise

FEWEST_ROUNDS = 5  # below five, the interval says next to nothing


def compare_speed(
    candidates: Mapping[str, Callable[..., Any]],
    *args: Any,
    rounds: int = 15,
    min_round_time: float = 0.02,
    threads: int = 1,
    warmup_limit: int = 60,
    seconds: float = 8.0,
    confidence: float = CONFIDENCE,
    margin: float = MARGIN,
    progress: bool | Show | None = None,
    clock: Callable[[], float] = benchmark.timer,
) -> SpeedReport:
    """Time ``candidate(*args)`` for each candidate, in turns; the first entry is the baseline.

    1. Warm-up: each candidate is called until its times settle (`settled`), ``warmup_limit`` calls at
       most.
    2. Rounds: in each of the ``rounds`` every candidate takes one turn, in an order shuffled with a fixed
       seed. A turn is one ``Timer.timeit(number)``: ``number`` calls, enough to last ``min_round_time``
       seconds, after the few untimed calls that ``timeit`` makes itself (two, or a hundredth of ``number``).
    3. The times of each round are compared with the baseline's, given ``confidence`` and ``margin``: see
       `summarise`.

    ``threads`` is the number of intra-op threads (``torch.set_num_threads``) while calls are made; the
    caller's number comes back afterwards. The grad mode is the caller's: wrap the call in
    ``torch.no_grad()`` or ``torch.inference_mode()`` to time inference; the report names it.

    ``seconds`` is for all of it. To stay inside, warm-up is cut short and rounds are left out, but each candidate gets
    at least ``2 * WINDOW`` warm-up calls and ``FEWEST_ROUNDS`` rounds, so candidates whose one call takes seconds go
    past it.

    Every call gets the same ``args``: a candidate that changes its input in place, or that works less on an
    input it has seen, times something else than you think. The first is a finding of the report, where the
    warm-up left other contents; the second is for the caller to know.

    ``progress``: a callable that is given one line at a time; True or False; by default a line appears after
    two seconds of work on a terminal and in a notebook, and never where the environment variable
    ``COURSE_QUIET`` is set. ``clock`` returns seconds (the default waits for an accelerator, if any).

    Raises ValueError for no candidates, unusable numbers, and for a candidate that raises.
    """
    if not candidates:
        raise ValueError("There is nothing to time: pass {'eager': model, 'scripted': scripted}.")
    for name, candidate in candidates.items():
        if not callable(candidate):
            kind = type(candidate).__name__
            raise ValueError(f"Candidate {name!r} is a {kind}: pass something that can be called.")
    if rounds < FEWEST_ROUNDS:
        raise ValueError(f"rounds={rounds} shows nothing: ask for at least {FEWEST_ROUNDS}.")
    if threads < 1 or warmup_limit < 1 or not min_round_time > 0 or not seconds > 0 or not margin >= 0:
        raise ValueError(
            "threads and warmup_limit are at least 1, min_round_time and seconds are above 0, margin is a fraction, at "
            "least 0: fix the one that is not, or leave it out."
        )

    started = clock()
    warmups: dict[str, list[float]] = {}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    numbers: dict[str, int] = {}
    turn_cost: dict[str, float] = {}
    # A third of the time goes to the warm-up, in equal parts: the rounds are the measurement.
    for_each = seconds / 3 / len(candidates)

    before, changed = _contents(args), []
    with status_line(progress) as show:
        for name, candidate in candidates.items():
            show(f"warming up {name}")
            with _naming(name), benchmark.set_torch_threads(threads):
                warmups[name] = _warm_up(candidate, args, warmup_limit, for_each, clock)
            now = _contents(args)
            if not _alike(before, now):
                changed.append(name)
                before = now
            per_call = max(statistics.median(warmups[name][-WINDOW:]), 1e-9)
            numbers[name] = max(1, math.ceil(min_round_time / per_call))
            turn_cost[name] = per_call * (numbers[name] + max(numbers[name] // 100, 2))

        timers = {
            name: benchmark.Timer(
                "candidate(*args)",
                globals={"candidate": candidate, "args": args},
                timer=clock,
                num_threads=threads,
            )
            for name, candidate in candidates.items()
        }
        shuffler, order = random.Random(0), list(candidates)
        for done in range(rounds):
            spent = clock() - started
            if done >= FEWEST_ROUNDS and spent + sum(turn_cost.values()) > seconds:
                break
            show(f"round {done + 1} of {rounds}")
            shuffler.shuffle(order)
            for name in order:
                with _naming(name):
                    samples[name].append(timers[name].timeit(numbers[name]).median)

    rows = tuple(
        replace(
            row,
            calls_per_round=numbers[row.name],
            warmup_calls=len(warmups[row.name]),
            warmed_up=settled(warmups[row.name]),
            first_call_s=warmups[row.name][0],
        )
        for row in summarise(samples, confidence, margin)
    )
    measured = len(rows[0].times)
    return SpeedReport(
        rows=rows,
        rounds=measured,
        rounds_asked=rounds,
        threads=threads,
        grad_mode=_grad_mode(),
        coverage=median_interval(rows[0].times, confidence)[2],
        margin=margin,
        changed=tuple(changed),
    )


def _contents(args: tuple[Any, ...]) -> list[Any]:
    """The contents of the arguments, to see later whether a call has changed them."""
    plain = (bool, int, float, str, type(None))
    with torch.no_grad():
        return [
            leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf
            for leaf in leaves(args)
            if isinstance(leaf, (torch.Tensor, *plain))
        ]


def _alike(before: list[Any], now: list[Any]) -> bool:
    return len(before) == len(now) and compare(before, now, Rules(0.0, 0.0)).equal


def _warm_up(
    candidate: Callable[..., Any],
    args: tuple[Any, ...],
    limit: int,
    seconds: float,
    clock: Callable[[], float],
) -> list[float]:
    """Call until settled, ``limit`` calls or ``seconds`` are reached; return the time of each call."""
    times: list[float] = []
    started = clock()
    while len(times) < limit and not settled(times):
        if len(times) >= 2 * WINDOW and clock() - started > seconds:
            break
        times.extend(warmup_curve(candidate, *args, calls=1, clock=clock))
    return times


def warmup_curve(
    fn: Callable[..., Any], *args: Any, calls: int = 10, clock: Callable[[], float] = benchmark.timer
) -> tuple[float, ...]:
    """Return the seconds of the first, second, … call of ``fn(*args)``, each timed alone.

    Threads and grad mode are the caller's. An executor belongs to the compiled code, not to the variable: a
    function that was called before, or a second instance of a scripted module, starts warm.

    Raises ValueError for ``calls`` below 1, and what ``fn`` raises.
    """
    if calls < 1:
        raise ValueError(f"calls={calls}: ask for at least one call.")
    times = []
    for _ in range(calls):
        start = clock()
        fn(*args)
        times.append(clock() - start)
    return tuple(times)


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn what a candidate raises into a ValueError that names the candidate."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"Candidate {name!r} raised while it was timed. {one_line(error).rstrip('.')}. "
            "Call it once by itself with the same arguments and fix it, or leave it out."
        ) from error


def _grad_mode() -> str:
    if torch.is_inference_mode_enabled():
        return "inference mode"
    return "grad mode on" if torch.is_grad_enabled() else "grad mode off"
