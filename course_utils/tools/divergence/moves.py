"""The changes that make new inputs from an example, within the limits, the most telling first."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.tools.divergence.tensors import (
    Place,
    all_and_each,
    batch_group,
    cast,
    groups,
    integers,
    is_float,
    is_integer,
    lengths_of,
    only_index,
    outlier,
    size_of,
)

INPUTS = ("values", "batch", "shape", "rank", "dtype", "strides")
KINDS = (*INPUTS, "special", "apart", "mode", "grad")
LONG = (129, 1025)  # sizes beyond the tables and limits that are usual in code
ELEMENTS = 2**16  # elements that a tensor may always get, where `growth` is not given
SLICES = 4  # indices along a dimension that are tried alone
LONGER = 64  # times the batch, while integers are tried one by one
RANGE = 100_000  # integers from `low` to `high` that are tried one by one, at most
BEYOND = ("× 1000", "+ 1", "− 1")  # changes that take an index out of its table
BOUNDARIES = ("ties", "consecutive integers", "all −0", "× 100000")

Change = Callable[[Tensor], Tensor]
Make = Callable[[list[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Move:
    """One change: its kind, words for it, and what makes the new tensors. `options` go to `check_parity`.

    places: the dimensions whose size changes. beyond: the integer tensors whose range it may leave. late: tried after
    the random mixtures, and not part of them. other_rank: it leaves the rank of the example.
    """

    kind: str
    words: str
    make: Make
    options: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    beyond: tuple[int, ...] = ()
    late: bool = False
    other_rank: bool = False


class Moves:
    """The changes of one example, and what was learnt from the reference about the inputs that it accepts."""

    def __init__(
        self, vary: tuple[str, ...], low: float | None, high: float | None, growth: float | None, seed: int,
        tied: set[tuple[Place, Place]],
    ) -> None:  # fmt: skip
        self.vary, self.low, self.high, self.growth, self.tied = vary, low, high, growth, tied
        self.random = torch.Generator().manual_seed(seed)
        self.together: set[Place] = set()  # dimensions that the reference lets change with their equals
        self.went = False  # did the reference accept the last change?
        self.narrow: set[int] = set()  # integer tensors that keep to the example's range
        self.ranges: dict[int, tuple[float, float]] = {}
        self.lengths: dict[int, Place] = {}  # tensors of lengths, and the dimension whose size is their limit
        self.scale_lengths = False  # does the reference want lengths to grow with that size?
        self.limit = 0.0

    def all(self, tensors: list[Tensor], model: Any, tries: int) -> Iterator[Move]:
        self.limit = max(64, *(t.numel() * (self.growth or 4) for t in tensors)) if tensors else 0.0
        self.ranges = {
            i: (t.min().item(), t.max().item()) for i, t in enumerate(tensors) if is_integer(t) and t.numel()
        }
        self.lengths = lengths_of(tensors)
        if len(tensors) > 1:
            self.narrow = {i for i, (low, high) in self.ranges.items() if low >= 0 and high <= 1}
        for i, (low, high) in self.ranges.items():
            self.ranges[i] = (min(low, 0), 1 if i in self.narrow else high)
        kinds = [kind for kind in self.vary if kind not in ("mode", "grad", "apart")]
        single: list[Move] = [m for kind in kinds for m in getattr(self, f"_{kind}")(tensors)]
        single, late = [m for m in single if not m.late], [m for m in single if m.late]
        yield from self._ready(single)
        yield from self._grad(tensors) if "grad" in self.vary else ()
        yield from self._mode(model) if "mode" in self.vary else ()
        yield from self._mixtures(single, tries)
        yield from self._ready(late)
        self.limit = self.limit if self.growth else max(self.limit, ELEMENTS)
        yield from self._ready(m for kind in kinds if kind in ("batch", "shape") for m in self._long(kind, tensors))
        if "apart" in self.vary:
            yield from self._ready(self._apart(tensors))
        if "values" in self.vary:
            yield from self._ready(self._each(tensors))

    def _mixtures(self, single: list[Move], tries: int) -> Iterator[Move]:
        for _ in range(tries if single else 0):
            chosen = [single[self._draw(len(single))] for _ in range(1 + self._draw(3))]
            if not any(self.is_split(move.kind, move.places) for move in chosen):
                mixed = {move.kind for move in chosen}
                words = ", ".join(dict.fromkeys(move.words for move in chosen))
                make = self._limited(functools.partial(_one_after_the_other, moves=chosen))
                kind = mixed.pop() if len(mixed) == 1 else "mixed"
                yield Move(kind, words, make, other_rank=any(move.other_rank for move in chosen))

    # --- what the reference accepts ----------------------------------------------------------------------------------

    def _ready(self, moves: Iterable[Move]) -> Iterator[Move]:
        for move in moves:
            if self.is_split(move.kind, move.places):
                continue
            move = replace(move, make=self._limited(move.make))
            self.went = False
            yield move
            if not self.went and not self.scale_lengths and set(move.places) & set(self.lengths.values()):
                self.scale_lengths = True
                yield move
                self.scale_lengths = self.went

    def is_split(self, kind: str, places: Iterable[Place]) -> bool:
        """Would it separate dimensions that the reference lets change together?"""
        return kind != "apart" and any(p in self.together and q not in places for p, q in self.tied if p in places)

    def accepted(self, move: Move) -> None:
        """Learn from what the reference accepts: sizes that changed together need not change apart."""
        self.went = True
        if len(move.places) > 1 and move.kind != "apart":
            self.together |= {p for p, q in self.tied if p in move.places and q in move.places}

    def rejected(self, move: Move) -> None:
        """Learn from what the reference rejects: integers beyond their range were indices."""
        self.narrow |= set(move.beyond)

    def within(self, tensors: list[Tensor]) -> bool:
        """Are all values between `low` and `high`?"""
        low = -float("inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        sizes = [t for t in tensors if t.numel() and not t.is_complex() and not t.isnan().any()]
        return all(bool(t.min() >= low) and bool(t.max() <= high) for t in sizes)

    def _limited(self, make: Make) -> Make:
        def limited(tensors: list[Tensor]) -> list[Tensor]:
            made = make(tensors)
            if any(t.numel() > max(self.limit, old.numel()) for t, old in zip(made, tensors, strict=True)):
                raise RuntimeError("too large")
            made = [self._narrowed(i, t) if i in self.narrow else t for i, t in enumerate(made)]
            made = [t if self.within([t]) else t.clamp(self.low, self.high) for t in made]
            return self.with_lengths(tensors, made)

        return limited

    def with_lengths(self, old: list[Tensor], new: list[Tensor]) -> list[Tensor]:
        """Lengths go with the size that limits them, where it changed: always down, and up if that is wanted."""
        new = list(new)
        for i, (host, dim) in self.lengths.items():
            if new[host].dim() == old[host].dim() and new[i].dim() == 1 and new[i].numel() and is_integer(new[i]):
                before, after = old[host].shape[dim], new[host].shape[dim]
                if after and after != before and (self.scale_lengths or new[i].max() > after):
                    new[i] = (new[i].clamp(max=before) * after // before).clamp(min=1)
        return new

    def _narrowed(self, i: int, t: Tensor) -> Tensor:
        """Integers beyond the example's range come back into it."""
        low, high = self.ranges[i]
        if not t.numel() or (t.min() >= low and t.max() <= high):
            return t
        if is_float(t):  # after a change of dtype
            return t.clamp(low, high)
        return (low + (t.long() - low) % (high - low + 1)).to(t.dtype)

    def _draw(self, n: int) -> int:
        return int(torch.randint(n, (), generator=self.random))

    # --- values ------------------------------------------------------------------------------------------------------

    def _noise(self, t: Tensor) -> Tensor:
        scale: float = 10.0 ** float(torch.empty(()).uniform_(-1, 1, generator=self.random))
        noise = torch.randn(t.shape, generator=self.random, dtype=torch.float64) * scale
        return noise.to(t.dtype) if is_float(t) else noise.round().to(t.dtype)

    def _values(self, tensors: list[Tensor]) -> Iterator[Move]:
        changes: dict[str, Change] = {
            "negated": lambda t: ~t if t.dtype == torch.bool else -t,
            "all 0": torch.zeros_like,
            "all 1": torch.ones_like,
            "× 1000": lambda t: t * 1000,
            "× −1000": lambda t: t * -1000,
            "× 0.01": lambda t: t * 0.01 if is_float(t) else t // 2,
            "order reversed": lambda t: t.flatten().flip(0).reshape(t.shape),
            "+ 1": lambda t: t + 1,
            "− 1": lambda t: t - 1,
            "alternating signs": lambda t: t * (1 - 2 * (torch.arange(t.numel()) % 2)).reshape(t.shape).to(t.dtype),
            "one outlier": outlier,
            "noise": self._noise,
            "other noise": self._noise,
            "ties": lambda t: integers(t) + 0.5 if is_float(t) else integers(t),
            "consecutive integers": integers,
            "all −0": lambda t: -torch.zeros_like(t),
            "× 100000": lambda t: t * 100000 if is_float(t) else t.flatten().roll(1).reshape(t.shape),
        }
        fit = [i for i, t in enumerate(tensors) if not t.is_complex()]
        for words, change in changes.items():
            for chosen in all_and_each(fit):
                where = "" if len(chosen) == len(tensors) else f" in tensor {chosen[0] + 1}"
                beyond = tuple(i for i in chosen if i in self.ranges) if words in BEYOND and len(chosen) == 1 else ()
                yield Move("values", words + where, _only(chosen, change), beyond=beyond, late=words in BOUNDARIES)
        yield from self._slices(tensors, fit)

    def _slices(self, tensors: list[Tensor], fit: list[int]) -> Iterator[Move]:
        """All 0 but one slice: what a large neighbour hides shows alone."""
        for i in fit:
            for dim in range(int(tensors[i].dim() > 1), tensors[i].dim()) if is_float(tensors[i]) else ():
                n = tensors[i].shape[dim]
                indices = sorted({round(k * (n - 1) / (SLICES - 1)) for k in range(SLICES)}) if n > SLICES else range(n)
                for at in indices if n > 1 else ():
                    words = f"0 but at index {at} of dimension {dim}{_in_tensor(i, tensors)}"
                    make = _only([i], functools.partial(only_index, dim=dim, at=at))
                    yield Move("values", words, make, late=True)

    def _each(self, tensors: list[Tensor]) -> Iterator[Move]:
        """Every integer from `low` to `high`: as many at a time as a long batch has room for, or where the reference
        rejects that, the tensor itself."""
        if self.low is None or self.high is None or self.high - self.low > RANGE:
            return
        for i in self.ranges:
            group = batch_group(tensors) if tensors[0].dim() else []
            few = tensors[i].numel()
            many = few * LONGER if (i, 0) in group else few
            for begin in range(math.ceil(self.low), math.floor(self.high) + 1, many):
                self.went = False
                if many > few:
                    yield self._counted(tensors, i, begin, group)
                if not self.went:
                    for start in range(begin, min(begin + many, math.floor(self.high) + 1), few):
                        yield self._counted(tensors, i, start, [])

    def _counted(self, tensors: list[Tensor], i: int, begin: int, group: list[Place]) -> Move:
        """Tensor i counts up from `begin`; in a longer batch where its group is given."""

        def make(ts: list[Tensor]) -> list[Tensor]:
            ts = self._resize(ts, group, LONGER * ts[0].shape[0]) if group else ts
            return _only([i], lambda t: torch.arange(begin, begin + t.numel()).reshape(t.shape).to(t.dtype))(ts)

        return Move("values", f"integers from {begin}{_in_tensor(i, tensors)}", make)

    def _special(self, tensors: list[Tensor]) -> Iterator[Move]:
        fit = [i for i, t in enumerate(tensors) if is_float(t)]
        for words in ("nan", "inf", "-inf"):
            for chosen in all_and_each(fit):
                where = "" if len(chosen) == len(fit) else f" in tensor {chosen[0] + 1}"
                change = functools.partial(outlier, value=float(words))
                yield Move("special", f"one {words}{where}", _only(chosen, change))
        if fit:
            yield Move("special", "all nan", _only(fit, lambda t: torch.full_like(t, math.nan)))

    # --- sizes -------------------------------------------------------------------------------------------------------

    def _batch(self, tensors: list[Tensor]) -> Iterator[Move]:
        if tensors and tensors[0].dim():
            n = tensors[0].shape[0]
            for size in dict.fromkeys((n + 1, 1, 2 * n, n - 1, 2, 0)):
                yield from self._resized("batch", batch_group(tensors), n, size)

    def _shape(self, tensors: list[Tensor]) -> Iterator[Move]:
        for group in groups(tensors):
            n = size_of(tensors, group[0])
            for size in dict.fromkeys((n + 1, n - 1, n * 3 // 2, 2 * n, n // 2, 1)):
                if size > 0:
                    yield from self._resized("shape", group, n, size)

    def _long(self, kind: str, tensors: list[Tensor]) -> Iterator[Move]:
        """Sizes far beyond the example's, and with `growth` the greatest that it allows."""
        found = groups(tensors)
        if kind == "batch":
            found = [batch_group(tensors)] if tensors and tensors[0].dim() else []
        for group in found:
            n = size_of(tensors, group[0])
            rows = max(tensors[i].numel() for i, _ in group) / n if n else 0
            greatest = int(self.limit / rows) if rows else 0
            for size in dict.fromkeys([*LONG] + [greatest] * bool(self.growth)):
                if 2 * n < size <= greatest:
                    yield from self._resized(kind, group, n, size)

    def _apart(self, tensors: list[Tensor]) -> Iterator[Move]:
        """One of several equal sizes alone."""
        for place in dict.fromkeys(p for p, _ in sorted(self.tied)):
            if place[0] < len(tensors) and place[1] < tensors[place[0]].dim():
                n = size_of(tensors, place)
                for size in dict.fromkeys((n + 1, n - 1, 1)):
                    for move in self._resized("apart", [place], n, size) if size > 0 else ():
                        yield replace(move, words=f"{move.words} of tensor {place[0] + 1} alone")

    def _resized(self, kind: str, group: list[Place], n: int, size: int) -> Iterator[Move]:
        if size not in (n, -1) and n:
            words = f"size {size} instead of {n} in dimension {', '.join(map(str, sorted({d for _, d in group})))}"
            yield Move(kind, words, lambda ts: self._resize(ts, group, size), places=tuple(group))

    def _resize(self, tensors: list[Tensor], group: list[Place], size: int) -> list[Tensor]:
        made = list(tensors)
        for i, dim in group:
            old = made[i].shape[dim]
            made[i] = made[i].index_select(dim, torch.arange(size) % old)
            if size > old and is_float(made[i]):  # a mere repetition would hide a mean over too few rows
                fresh = made[i].narrow(dim, old, size - old)
                fresh *= torch.empty(fresh.shape).uniform_(0.5, 1.5, generator=self.random)
        return made

    # --- the form of the tensors, and the surroundings ---------------------------------------------------------------

    def _rank(self, tensors: list[Tensor]) -> Iterator[Move]:
        fit = [i for i, t in enumerate(tensors) if t.dim()]
        changes: dict[str, Change] = {
            "an extra dimension": lambda t: t.unsqueeze(0),
            "one dimension less": lambda t: t.select(0, 0).clone(),
            "flattened": Tensor.flatten,
        }
        for words, change in changes.items():
            yield Move("rank", words, _only(fit, change), other_rank=True)

    def _dtype(self, tensors: list[Tensor]) -> Iterator[Move]:
        floats = [i for i, t in enumerate(tensors) if is_float(t)]
        whole = [i for i, t in enumerate(tensors) if not is_float(t) and t.dtype != torch.bool]
        kinds = [(floats, d) for d in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8)]
        kinds += [(whole, d) for d in (torch.int64, torch.int32, torch.uint8, torch.float32)]
        for chosen, dtype in kinds:
            if any(tensors[i].dtype != dtype for i in chosen):
                make = _only(chosen, functools.partial(cast, dtype=dtype))
                yield Move("dtype", f"dtype {str(dtype).removeprefix('torch.')}", make)

    def _strides(self, tensors: list[Tensor]) -> Iterator[Move]:
        layouts: dict[str, tuple[Callable[[Tensor], bool], Change]] = {
            "transposed strides": (lambda t: t.dim() > 1, lambda t: t.mT.contiguous().mT),
            "a non-contiguous view": (
                lambda t: t.dim() > 0 and t.numel() > 1, lambda t: torch.stack([t, t], -1).select(-1, 0)
            ),
            "channels_last": (lambda t: t.dim() == 4, lambda t: t.contiguous(memory_format=torch.channels_last)),
            "channels_last_3d": (lambda t: t.dim() == 5, lambda t: t.contiguous(memory_format=torch.channels_last_3d)),
        }  # fmt: skip
        for words, (fits, change) in layouts.items():
            if chosen := [i for i, t in enumerate(tensors) if fits(t)]:
                yield Move("strides", words, _only(chosen, change), late=words.startswith("channels"))

    def _grad(self, tensors: list[Tensor]) -> Iterator[Move]:
        fit = [i for i, t in enumerate(tensors) if is_float(t)]
        make = _only(fit, lambda t: t.clone().requires_grad_())
        yield Move("grad", "inputs that require a gradient", make, {"grads": True, "modes": ("grad",)})

    def _mode(self, model: Any) -> Iterator[Move]:
        for mode in (*(("eval", "train") if isinstance(model, nn.Module) else ()), "inference"):
            yield Move("mode", f"{mode} mode", list, {"modes": (mode,)})


def _in_tensor(i: int, tensors: list[Tensor]) -> str:
    return "" if len(tensors) == 1 else f" in tensor {i + 1}"


def _only(chosen: list[int], change: Change) -> Make:
    """Change these tensors and no other."""

    def make(tensors: list[Tensor]) -> list[Tensor]:
        if not chosen:
            raise IndexError("no tensor that this change fits")
        return [change(t) if i in chosen else t for i, t in enumerate(tensors)]

    return make


def _one_after_the_other(tensors: list[Tensor], moves: list[Move]) -> list[Tensor]:
    for move in moves:
        tensors = move.make(tensors)
    return tensors
