"""Compare two outputs, leaf by leaf: structure, shape, dtype, device, values.

Nothing here runs a model. `compare(reference, candidate, rules)` walks two nested results side by side and
returns the differences as plain records; `measure` does the arithmetic for one pair of tensors.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from course_utils.core.values import brief, by_identity, elements, fields_of, number, plain

# {dtype: (rtol, atol)}: the documented table of torch.testing.assert_close. Every other dtype is exact.
TOLERANCES: dict[torch.dtype, tuple[float, float]] = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex32: (1e-3, 1e-5),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_FAR = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Rules:
    """What counts as equal. See `check_parity` for the meaning of each field."""

    rtol: float | None = None
    atol: float | None = None
    equal_nan: bool = True
    relative_to: str = "element"
    structure: str = "interface"
    requires_grad: bool = False
    memory: bool = False
    signed_zero: bool = False

    def tolerance(self, *dtypes: torch.dtype) -> tuple[float, float]:
        """The (rtol, atol) for these dtypes: the loosest of the table, as in `assert_close`, unless given."""
        if not all(d.is_floating_point or d.is_complex for d in dtypes):
            return 0.0, 0.0
        table = [TOLERANCES.get(d, (0.0, 0.0)) for d in dtypes]
        rtol = max(r for r, _ in table) if self.rtol is None else self.rtol
        atol = max(a for _, a in table) if self.atol is None else self.atol
        return rtol, atol


@dataclass(frozen=True)
class Stats:
    """Distances over one or more compared leaves.

    max_abs, max_rel: the greatest |candidate - reference| and the greatest |candidate - reference| /
    |reference|; NaN on one side only counts as `inf`. max_ulp: the greatest `ulp_distance`, None where no two
    floats of one dtype were compared. bit_equal: every bit agrees, the sign of zero included. differing:
    elements that are not equal. elements: all compared elements. rtol, atol: the tolerance at the greatest
    difference.
    """

    max_abs: float = 0.0
    max_rel: float = 0.0
    max_ulp: int | None = None
    bit_equal: bool = True
    differing: int = 0
    elements: int = 0
    rtol: float = 0.0
    atol: float = 0.0

    def __or__(self, other: Stats) -> Stats:
        far = self if (self.max_abs, self.rtol) >= (other.max_abs, other.rtol) else other
        ulps = [u for u in (self.max_ulp, other.max_ulp) if u is not None]
        return Stats(
            max(self.max_abs, other.max_abs),
            max(self.max_rel, other.max_rel),
            max(ulps, default=None),
            self.bit_equal and other.bit_equal,
            self.differing + other.differing,
            self.elements + other.elements,
            far.rtol,
            far.atol,
        )


@dataclass(frozen=True)
class Difference:
    """One difference between two outputs. `serious` is False where it deserves a note, not a failure."""

    kind: str
    path: str
    reference: str
    candidate: str
    detail: str = ""
    serious: bool = True


@dataclass
class Comparison:
    """What `compare` found: differences, the statistics, and what the leaves were."""

    differences: list[Difference] = field(default_factory=list)
    stats: Stats = Stats()
    tensors: int = 0
    floats: int = 0

    @property
    def equal(self) -> bool:
        return not any(d.serious for d in self.differences)


T = TypeVar("T")
R = TypeVar("R")


def both(fn: Callable[[T], R], left: T, right: T) -> tuple[R, R]:
    """The same of both sides."""
    return fn(left), fn(right)


def ulp_distance(a: Tensor, b: Tensor) -> Tensor:
    """How many floating-point numbers lie between `a` and `b`, element by element, as int64.

    The bit patterns of IEEE 754 floats, read as sign-magnitude integers, are ordered as the numbers are, so
    that the distance is a difference of integers: adjacent floats are 1 apart, -0.0 and 0.0 are 0 apart,
    infinity is 1 beyond the greatest finite number. (Bruce Dawson, "Comparing Floating Point Numbers, 2012
    Edition"; the total order is that of IEEE 754-2019, 5.10.) Two NaN are 0 apart; a NaN is as far from a
    number as int64 can say. A distance that does not fit is cut to the same greatest value. Complex numbers:
    the greater of the two parts' distances.

    Raises TypeError for dtypes that are not floating point or complex, or that differ, ValueError for shapes
    that differ: convert or broadcast first.
    """
    if a.dtype != b.dtype or not (a.dtype.is_floating_point or a.dtype.is_complex):
        raise TypeError(
            f"ulp_distance needs two float tensors of one dtype, got {a.dtype} and {b.dtype}; convert first."
        )
    if a.shape != b.shape:
        raise ValueError(f"ulp_distance needs one shape, got {list(a.shape)} and {list(b.shape)}; broadcast first.")
    if a.dtype.is_complex:
        parts = ulp_distance(torch.view_as_real(a.resolve_conj()), torch.view_as_real(b.resolve_conj()))
        return parts.amax(-1)

    def ordered(t: Tensor) -> Tensor:
        bits = _bits(t).to(torch.int64)
        low = torch.iinfo(_BITS[t.element_size()]).min
        return torch.where(bits < 0, low - bits, bits)

    first, second = ordered(a), ordered(b)
    distance = (first - second).abs()
    distance = torch.where(distance < 0, _FAR, distance)
    # Numbers of opposite sign: the sum of the two distances to zero, which may leave int64.
    across = first.abs() + second.abs()
    opposite = (first < 0) != (second < 0)
    distance = torch.where(opposite, torch.where(across < 0, _FAR, across), distance)
    a_nan, b_nan = _isnan(a), _isnan(b)
    distance = torch.where(a_nan != b_nan, _FAR, distance)
    return torch.where(a_nan & b_nan, 0, distance)


def _isnan(t: Tensor) -> Tensor:
    return torch.isnan(t if t.element_size() > 1 else t.float())


def _bits(t: Tensor) -> Tensor:
    t = t.detach().resolve_conj().resolve_neg()
    if t.dtype.is_complex:
        t = torch.view_as_real(t)
    return t.contiguous().view(_BITS[t.element_size()])


def _wide(t: Tensor) -> Tensor:
    """A dtype in which differences neither wrap around nor round more than needed."""
    if t.dtype.is_complex:
        return t.to(torch.complex128)
    if t.dtype.is_floating_point:
        return t.to(torch.float64)
    if t.dtype == torch.uint64:  # keeps the order, and all 64 bits
        return t.view(torch.int64) ^ torch.iinfo(torch.int64).min
    return t.to(torch.int64)


@dataclass(frozen=True)
class Gap:
    """The outcome of `measure`: statistics, how many elements are beyond the tolerance, the worst one."""

    stats: Stats
    beyond: int = 0
    index: tuple[int, ...] = ()


def measure(reference: Tensor, candidate: Tensor, rules: Rules) -> Gap:
    """Compare the values of two tensors of one shape.

    Closeness is that of `torch.testing.assert_close`: |candidate - reference| <= atol + rtol * |reference|,
    integers and bools exact. Differences are taken in float64, complex128 or int64, so that uint8 cannot wrap
    around.
    """
    same_dtype = reference.dtype == candidate.dtype
    rtol, atol = rules.tolerance(reference.dtype, candidate.dtype)
    expected, actual = plain(reference), plain(candidate)
    count = expected.numel()
    inexact = expected.dtype.is_floating_point or expected.dtype.is_complex
    has_ulp = same_dtype and inexact
    bit_equal = same_dtype and torch.equal(_bits(expected), _bits(actual))
    if bit_equal or not count:
        nan_is_fine = rules.equal_nan or not inexact or not bool(_isnan(expected).any())
        if nan_is_fine:
            ulp = 0 if has_ulp and count else None
            return Gap(Stats(0.0, 0.0, ulp, bit_equal or not count, 0, count, rtol, atol))
    ulp = int(ulp_distance(expected, actual).max()) if has_ulp else None

    if expected.dtype.is_complex or actual.dtype.is_complex:
        expected, actual = expected.to(torch.complex128), actual.to(torch.complex128)
    elif expected.dtype.is_floating_point or actual.dtype.is_floating_point:
        expected, actual = expected.to(torch.float64), actual.to(torch.float64)
    else:
        expected, actual = _wide(expected), _wide(actual)
    if expected.dtype == torch.int64:
        close = expected == actual
        gap = torch.maximum(expected, actual) - torch.minimum(expected, actual)
        gap = torch.where(gap < 0, gap.double() + 2.0**64, gap.double())  # the difference may need 64 bits
        size = expected.double().abs()
    else:
        size = expected.abs()
        if rules.relative_to == "max":
            finite = size[torch.isfinite(size)]
            allowed = atol + rtol * (float(finite.max()) if finite.numel() else 0.0)
            close = torch.isclose(actual, expected, rtol=0.0, atol=allowed, equal_nan=rules.equal_nan)
        else:
            close = torch.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=rules.equal_nan)
        same = (actual == expected) | (torch.isnan(actual) & torch.isnan(expected) & rules.equal_nan)
        gap = torch.nan_to_num((actual - expected).abs(), nan=math.inf, posinf=math.inf)
        gap = torch.where(same, 0.0, gap)
    ratio = torch.nan_to_num(gap / size, nan=math.inf, posinf=math.inf)
    ratio = torch.where(gap == 0, 0.0, ratio)
    beyond = int((~close).sum())
    # The worst element is one that fails, where any does: a large but tolerated difference is not the news.
    ranked = torch.where(close, -1.0, gap) if beyond else gap
    flat = int(ranked.argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), expected.shape)) if expected.dim() else ()
    differing = int((gap > 0).sum())
    stats = Stats(float(gap.max()), float(ratio.max()), ulp, bit_equal, differing, count, rtol, atol)
    return Gap(stats, beyond, index)


# --- the walk -------------------------------------------------------------------------------------


def located(value: Any, path: str, above: tuple[int, ...] = ()) -> Iterator[tuple[str, int, int]]:
    """The path of each strided tensor in a result, and the addresses between which its elements lie."""
    if isinstance(value, Tensor):
        if value.layout == torch.strided and value.numel() and not (value.is_meta or value.is_nested):
            steps = sum((size - 1) * step for size, step in zip(value.shape, value.stride(), strict=True))
            with contextlib.suppress(RuntimeError):  # a tensor without storage of its own
                yield path, value.data_ptr(), value.data_ptr() + (steps + 1) * value.element_size()
        return
    if isinstance(value, Mapping):
        items = [(f'["{key}"]', item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(f"[{i}]", item) for i, item in enumerate(value)]
    else:
        items = (
            [(f".{name}", item) for name, item in (fields_of(value) or {}).items()] if id(value) not in above else []
        )
    for name, item in items:
        yield from located(item, path + name, (*above, id(value)))


def compare(reference: Any, candidate: Any, rules: Rules, path: str = "out") -> Comparison:
    """Walk two results side by side. Lists, tuples, dicts, dataclasses and plain objects may nest."""
    result = Comparison()
    _walk(reference, candidate, path, rules, result)
    return result


def _names(value: Any) -> tuple[str, ...]:
    # Named tuples have _fields; torch.return_types (of x.max(0), say) carry the names as __match_args__.
    kind = type(value)
    if not isinstance(value, tuple) or kind is tuple:
        return ()
    return tuple(getattr(kind, "_fields", ()) or getattr(kind, "__match_args__", ()))


def _class(value: Any) -> str:
    if isinstance(value, Tensor):
        return "Tensor"
    names = _names(value)
    if names:
        return f"named tuple ({', '.join(names)})"
    size = f" of {len(value)}" if isinstance(value, (list, tuple, Mapping)) else ""
    return f"{type(value).__name__}{size}"


def _walk(ref: Any, cand: Any, path: str, rules: Rules, out: Comparison, above: tuple[int, ...] = ()) -> None:
    ref, cand = _from_numpy(ref), _from_numpy(cand)
    if isinstance(ref, Tensor) and isinstance(cand, Tensor):
        _tensors(ref, cand, path, rules, out)
    elif isinstance(ref, Mapping) and isinstance(cand, Mapping):
        _dicts(ref, cand, path, rules, out, above)
    elif isinstance(ref, (list, tuple)) and isinstance(cand, (list, tuple)):
        _sequences(ref, cand, path, rules, out, above)
    elif isinstance(ref, (int, float, complex)) and isinstance(cand, (int, float, complex)):
        _numbers(ref, cand, path, rules, out)
    elif type(ref) is not type(cand):
        out.differences.append(Difference("structure", path, _class(ref), _class(cand)))
    elif (fields := fields_of(ref)) is not None:
        if id(ref) not in above:  # an object may refer to itself
            _records(fields, fields_of(cand) or {}, path, rules, out, (*above, id(ref)))
    elif ref is cand:
        pass
    elif by_identity(ref):
        detail = "no rule says when two such objects are equal"
        out.differences.append(Difference("not compared", path, _class(ref), _class(cand), detail))
    elif (same := _same(ref, cand)) is None:
        detail = "its == returns neither True nor False"
        out.differences.append(Difference("not compared", path, _class(ref), _class(cand), detail))
    elif not same:
        out.differences.append(Difference("value", path, brief(ref), brief(cand)))


def _same(ref: Any, cand: Any) -> bool | None:
    try:
        answer = ref == cand
    except Exception:
        return None
    return answer if isinstance(answer, bool) else False if answer is NotImplemented else None


def _records(
    ref: Mapping[Any, Any], cand: Mapping[Any, Any], path: str, rules: Rules, out: Comparison, above: tuple[int, ...]
) -> None:
    """The fields of two objects of one class."""
    if ref.keys() != cand.keys():
        out.differences.append(Difference("structure", path, brief(list(ref)), brief(list(cand)), "different fields"))
    for name in ref:
        if name in cand:
            _walk(ref[name], cand[name], f"{path}.{name}", rules, out, above)


def _from_numpy(value: Any) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "dtype") and hasattr(value, "tolist"):
        try:
            return torch.as_tensor(value).clone() if getattr(value, "shape", ()) else value.item()
        except (TypeError, ValueError):
            return value
    return value


def _dicts(
    ref: Mapping[Any, Any], cand: Mapping[Any, Any], path: str, rules: Rules, out: Comparison, above: tuple[int, ...]
) -> None:
    if set(ref) != set(cand):
        gone, new = [k for k in ref if k not in cand], [k for k in cand if k not in ref]
        detail = "; ".join(
            f"{what}: {', '.join(map(repr, keys))}" for what, keys in (("missing", gone), ("new", new)) if keys
        )
        out.differences.append(Difference("structure", path, brief(list(ref)), brief(list(cand)), detail))
    elif list(ref) != list(cand):
        serious = rules.structure == "strict"
        out.differences.append(
            Difference(
                "structure",
                path,
                brief(list(ref)),
                brief(list(cand)),
                "the keys are in a different order",
                serious,
            )
        )
    if type(ref) is not type(cand):
        serious = rules.structure == "strict"
        out.differences.append(
            Difference("structure", path, type(ref).__name__, type(cand).__name__, "a different class of dict", serious)
        )
    for key in ref:
        if key in cand:
            _walk(ref[key], cand[key], f"{path}[{key!r}]".replace("'", '"'), rules, out, above)


def _sequences(ref: Any, cand: Any, path: str, rules: Rules, out: Comparison, above: tuple[int, ...]) -> None:
    names = _names(ref)
    if len(ref) != len(cand):
        out.differences.append(Difference("structure", path, _class(ref), _class(cand), "different lengths"))
        return
    if type(ref) is not type(cand):
        lost = bool(names) and _names(cand) != names
        serious = rules.structure == "strict" or (lost and rules.structure == "interface")
        detail = "the field names are lost" if lost else "same members, different class"
        out.differences.append(Difference("structure", path, _class(ref), _class(cand), detail, serious))
    for i, (left, right) in enumerate(zip(ref, cand, strict=True)):
        _walk(left, right, f"{path}.{names[i]}" if names else f"{path}[{i}]", rules, out, above)


def _numbers(ref: Any, cand: Any, path: str, rules: Rules, out: Comparison) -> None:
    if type(ref) is not type(cand):
        out.differences.append(
            Difference("dtype", path, f"{type(ref).__name__} {ref}", f"{type(cand).__name__} {cand}")
        )
    if isinstance(ref, (bool, int)) and isinstance(cand, (bool, int)):
        out.stats |= Stats(elements=1, bit_equal=ref == cand, differing=int(ref != cand))
        if ref != cand:
            out.differences.append(Difference("value", path, number(ref), number(cand)))
        return
    dtype = torch.complex128 if isinstance(ref, complex) or isinstance(cand, complex) else torch.float64
    left, right = torch.tensor(ref, dtype=dtype), torch.tensor(cand, dtype=dtype)
    gap = measure(left, right, rules)
    out.stats |= gap.stats
    out.floats += 1
    if gap.beyond:
        detail = f"differ by {number(gap.stats.max_abs)}"
        out.differences.append(Difference("value", path, number(ref), number(cand), detail))


def _tensors(ref: Tensor, cand: Tensor, path: str, rules: Rules, out: Comparison) -> None:
    def differ(kind: str, left: Any, right: Any, detail: str = "", serious: bool = True) -> None:
        texts = both(lambda v: str(v).removeprefix("torch."), left, right)
        out.differences.append(Difference(kind, path, *texts, detail, serious))

    if ref.is_meta or cand.is_meta:
        if ref.device != cand.device:
            differ("device", ref.device, cand.device)
            return
        differ("not compared", brief(ref), brief(cand), "meta tensors have no values")
        return
    if ref.is_nested or cand.is_nested:
        if ref.is_nested != cand.is_nested or ref.layout != cand.layout:
            differ("layout", _layout(ref), _layout(cand))
        elif ref.size(0) != cand.size(0):
            differ("shape", f"{ref.size(0)} parts", f"{cand.size(0)} parts", "nested tensors")
        else:
            for i, (left, right) in enumerate(zip(_parts(ref), _parts(cand), strict=True)):
                _tensors(left, right, f"{path}[{i}]", rules, out)
        return
    if ref.shape != cand.shape:
        differ("shape", list(ref.shape), list(cand.shape))
    if ref.dtype != cand.dtype:
        differ("dtype", ref.dtype, cand.dtype)
    if ref.device != cand.device:
        differ("device", ref.device, cand.device)
    if ref.layout != cand.layout:
        differ("layout", ref.layout, cand.layout)
    if ref.requires_grad != cand.requires_grad:
        words = both(lambda t: f"requires_grad={t.requires_grad}", ref, cand)
        differ("grad", *words, "only one of the two is differentiable", rules.requires_grad)
    if ref.is_inference() != cand.is_inference():
        words = both(lambda t: "an inference tensor" if t.is_inference() else "a normal tensor", ref, cand)
        differ("memory", *words, "autograd does not accept inference tensors", rules.memory)
    if ref.is_quantized and cand.is_quantized:
        words = both(_quantisation, ref, cand)
        if words[0] != words[1]:
            differ("quantisation", *words, "the integers stand for different numbers")
    out.tensors += 1
    if ref.shape != cand.shape:
        return
    if _order(ref) != _order(cand):
        words = both(lambda t: f"strides {list(t.stride())}", ref, cand)
        differ("memory", *words, "the elements are in a different order in memory", rules.memory)
    gap = measure(ref, cand, rules)
    out.stats |= gap.stats
    out.floats += ref.dtype.is_floating_point or ref.dtype.is_complex
    if not gap.stats.bit_equal and (zeros := _other_zeros(ref, cand)):
        which = f"{zeros} of {ref.numel()} zeros have" if ref.numel() > 1 else "the zero has"
        differ("value", "-0.0 and 0.0", "0.0 and -0.0", f"{which} the opposite sign", rules.signed_zero)
    if gap.beyond:
        left, right = plain(ref), plain(cand)
        if ref.numel() <= 8:
            texts = both(elements, left, right)
        else:
            texts = both(lambda t: f"{number(t[gap.index].item())} at {list(gap.index)}", left, right)
        at = f"at {list(gap.index)} " if ref.dim() else ""
        count = f"{gap.beyond} of {ref.numel()} elements" if ref.numel() > 1 else "the value"
        detail = f"{count} beyond rtol {gap.stats.rtol:.2g}, atol {gap.stats.atol:.2g}; "
        worst = abs(_wide(right)[gap.index].item() - _wide(left)[gap.index].item())
        detail += f"{at}they differ by {number(float(worst))}"
        differ("value", *texts, detail)


def _parts(t: Tensor) -> tuple[Tensor, ...]:
    return tuple(part.requires_grad_(t.requires_grad) for part in t.detach().unbind())


def _layout(t: Tensor) -> str:
    return f"nested, {str(t.layout).removeprefix('torch.')}" if t.is_nested else str(t.layout).removeprefix("torch.")


def _quantisation(t: Tensor) -> str:
    if t.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return f"scale {t.q_scale():.9g}, zero point {t.q_zero_point()}"
    scales, zeros = t.q_per_channel_scales().tolist(), t.q_per_channel_zero_points().tolist()
    return f"axis {t.q_per_channel_axis()}, scales {[float(f'{v:.9g}') for v in scales]}, zero points {zeros}"


def _order(t: Tensor) -> tuple[int, ...] | None:
    """The strides that count: those of the dimensions longer than 1. None where memory has no such order."""
    if t.layout != torch.strided or not t.numel():
        return None
    return tuple(step for step, size in zip(t.stride(), t.shape, strict=True) if size > 1)


def _other_zeros(ref: Tensor, cand: Tensor) -> int:
    """How many elements are 0.0 on one side and -0.0 on the other."""
    if ref.dtype != cand.dtype or not ref.dtype.is_floating_point or ref.element_size() < 2:
        return 0
    left, right = plain(ref), plain(cand)
    return int(((left == 0) & (right == 0) & (left.signbit() != right.signbit())).sum())
