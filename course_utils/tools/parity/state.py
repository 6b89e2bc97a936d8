"""Keep two sides apart: private copies of inputs, state that is put back after every call, random streams.

A scripted or traced module shares its parameters and buffers with the eager module that it came from. A fair
check therefore notes the state before the first call, gives each side its own line of states, and puts
everything back.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import random
import sys
import types
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.core.values import leaves

_MISSING = object()
_MODULE_FIELDS = frozenset(vars(nn.Module())) - {"training"}
_SCALARS = (bool, int, float, complex, str, bytes, type(None))


# --- inputs ---------------------------------------------------------------------------------------


def private_copy(value: Any) -> Any:
    """A deep copy that keeps strides, requires_grad, and which tensors share memory with which."""
    memo: dict[int, Any] = {}
    for leaf in leaves(value):
        if isinstance(leaf, Tensor) and not leaf.is_leaf and id(leaf) not in memo:
            # deepcopy rejects results of autograd; their values are what a model sees.
            memo[id(leaf)] = copy.deepcopy(leaf.detach(), memo).requires_grad_(leaf.requires_grad)
    return copy.deepcopy(value, memo)


# --- random streams -------------------------------------------------------------------------------


def seed_everything(seed: int) -> None:
    """Seed torch, `random`, and numpy's global generator where numpy is loaded."""
    # torch.manual_seed would do, but while CUDA sleeps it queues one more seeding for each call.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)


def streams() -> dict[str, Any]:
    """The states of the global generators, comparable with `moved`."""
    state = {"torch": torch.get_rng_state(), "random": random.getstate()}
    if "numpy" in sys.modules:
        name, keys, *rest = sys.modules["numpy"].random.get_state()
        state["numpy"] = (name, keys.tobytes(), *rest)
    return state


def moved(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """The names of the generators whose states differ."""
    same = {
        k: torch.equal(v, after[k]) if isinstance(v, Tensor) else v == after[k] for k, v in before.items() if k in after
    }
    return tuple(k for k, equal in same.items() if not equal)


@contextlib.contextmanager
def preserved_streams() -> Iterator[None]:
    """Put every global random state back on leaving."""
    cpu, python = torch.get_rng_state(), random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    numpy = sys.modules["numpy"].random.get_state() if "numpy" in sys.modules else None
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        random.setstate(python)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if numpy is not None:
            sys.modules["numpy"].random.set_state(numpy)


# --- state ----------------------------------------------------------------------------------------


def owned(fn: Callable[..., Any]) -> list[tuple[str, nn.Module | Tensor]]:
    """The modules and tensors that calling `fn` can change, with a name each.

    A module is its own; a bound method has its object's; a plain function has those in its closure, its
    defaults and the globals that it names.
    """
    if isinstance(fn, nn.Module):
        return [("", fn)]
    if isinstance(fn, functools.partial):
        found = owned(fn.func)
        values = [*fn.args, *fn.keywords.values()]
        return found + [("", v) for v in values if isinstance(v, (nn.Module, Tensor))]
    holder = getattr(fn, "__self__", None)
    if isinstance(holder, nn.Module):
        return [("", holder)]
    if isinstance(fn, torch._C.ScriptMethod):
        return [("", torch.jit._recursive.wrap_cpp_module(fn.owner))]
    if isinstance(fn, types.MethodType):
        fn = fn.__func__
    if not isinstance(fn, types.FunctionType):
        pairs = list(getattr(fn, "__dict__", {}).items())
    else:
        pairs = [(name, fn.__globals__[name]) for name in fn.__code__.co_names if name in fn.__globals__]
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # an empty cell
                pairs.append((name, cell.cell_contents))
        pairs += [("", value) for value in fn.__defaults__ or ()]
    if holder is not None:
        pairs += list(getattr(holder, "__dict__", {}).items())
    found = []
    for name, value in pairs:
        if isinstance(value, (nn.Module, Tensor)):
            found.append((name, value))
        elif isinstance(value, types.MethodType) and isinstance(value.__self__, nn.Module):
            found.append((name, value.__self__))
    return found


@dataclass(frozen=True, eq=False)
class _Slot:
    """One named place that holds state: an attribute, buffer or parameter of a module, or a bare tensor."""

    side: str
    path: str
    name: str
    module: nn.Module | None = None
    table: dict[str, Any] | None = None  # where an eager module keeps the value

    def get(self) -> Any:
        if self.table is not None:
            return self.table.get(self.name, _MISSING)
        compiled: Any = self.module._c if self.module is not None else None
        return compiled.getattr(self.name) if compiled.hasattr(self.name) else _MISSING

    def put(self, value: Any) -> None:
        if self.get() is value:
            return
        if self.module is None and self.table is not None:
            self.table[self.name] = value
        elif value is _MISSING:
            delattr(self.module, self.name)
        else:
            setattr(self.module, self.name, value)


@dataclass
class _Saved:
    """A value and its content. Tensors: a copy, or (too large) a version number and a sample."""

    value: Any
    content: Any = None
    version: int | None = None
    sample: Tensor | None = None


@dataclass
class _Owner:
    """A module whose state is kept; `count` tells cheaply whether it has got a new attribute."""

    side: str
    path: str
    module: nn.Module
    known: set[str]
    count: int


class Snapshot:
    """The state of both sides before the first call, and a way back to it.

    limit: bytes of tensors that are copied, small ones and buffers first. Tensors beyond it are watched: a
    change is seen by the version counter or in a sample of the elements, but cannot be undone; their paths
    are in `spoilt`.
    """

    def __init__(self, sides: dict[str, list[tuple[str, nn.Module | Tensor]]], limit: int) -> None:
        self.spoilt: set[str] = set()
        self._owners: list[_Owner] = []
        self._fixed: dict[_Slot, _Saved] = {}  # cannot change but by assignment: most of a model
        self._base: dict[_Slot, _Saved] = {}
        self._dirty: set[_Slot] = set()
        slots = [
            slot for side, roots in sides.items() for name, root in roots for slot in self._slots(side, name, root)
        ]
        values = {slot: slot.get() for slot in slots}
        copies: dict[int, _Saved] = {}

        def order(slot: _Slot) -> tuple[bool, int]:
            value = values[slot]
            return (isinstance(value, nn.Parameter), value.nbytes if isinstance(value, Tensor) else 0)

        for slot in sorted(slots, key=order):
            value = values[slot]
            if isinstance(value, Tensor) and _is_plain(value):
                if id(value) not in copies:
                    limit -= value.nbytes
                    copies[id(value)] = _save_tensor(value, copied=limit >= 0)
                self._base[slot] = copies[id(value)]
            elif slot.table is not None and _is_immutable(value):
                self._fixed[slot] = _Saved(value, value)
            elif _is_plain(value):
                self._base[slot] = _Saved(value, copy.deepcopy(value))
        self._joined = list(_join(list(copies.values())))

    def _slots(self, side: str, prefix: str, root: nn.Module | Tensor) -> Iterator[_Slot]:
        if isinstance(root, Tensor):
            yield _Slot(side, prefix, prefix, table={prefix: root})
            return
        if isinstance(root, torch.jit.ScriptModule) and not _assigns(root):
            # Its slots keep their tensors for good, so the contents of what can change in place are all there is to
            # watch.
            for path, tensor in (*root.named_buffers(prefix), *root.named_parameters(prefix)):
                yield _Slot(side, path, path, table={path: tensor})
            yield from self._changing_in_place(side, prefix, root)
            return
        for inner, module in _modules(root):
            # torch.compile wraps a module in another one and calls the inner one _orig_mod.
            path = ".".join(p for p in (prefix, *inner.split(".")) if p and p != "_orig_mod")
            owner = _Owner(side, path, module, set(), _count(module))
            self._owners.append(owner)
            yield from self._new_slots(owner)

    def _changing_in_place(self, side: str, prefix: str, root: torch.jit.ScriptModule) -> Iterator[_Slot]:
        """Tensors that are no buffers, lists and dictionaries: what a call can change without assigning to it."""
        for inner, module in _modules(root):
            seen = dict((*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)))
            for name in _attribute_names(module):
                compiled: Any = module._c
                value = compiled.getattr(name)
                path = ".".join(p for p in (prefix, inner, name) if p)
                if isinstance(value, Tensor) and name not in seen:
                    yield _Slot(side, path, path, table={path: value})
                elif not isinstance(value, Tensor) and not _is_immutable(value):
                    yield _Slot(side, path, name, module)

    def _new_slots(self, owner: _Owner) -> Iterator[_Slot]:
        module = owner.module
        for name in _attribute_names(module, owner.known):
            owner.known.add(name)
            path = f"{owner.path}.{name}" if owner.path else name
            table = None
            if not isinstance(module, torch.jit.ScriptModule):
                own = vars(module)
                table = next((own[t] for t in ("_buffers", "_parameters") if name in own[t]), own)
            yield _Slot(owner.side, path, name, module, table)

    def changes(self) -> dict[_Slot, _Saved]:
        """Every slot that differs from the beginning, with its present value and content."""
        found = {
            slot: _present(slot.get())
            for slot, base in self._fixed.items()
            if slot.get() is not base.value and not _same(slot.get(), base.value)
        }
        seen: dict[int, bool] = {}
        for saved, contents in self._joined:
            if torch.equal(torch.cat([_flat(s.value) for s in saved]), contents):
                seen.update((id(s), False) for s in saved)
        for slot, base in self._base.items():
            now = slot.get()
            if now is base.value:
                if id(base) not in seen:
                    seen[id(base)] = _changed(base)
                if not seen[id(base)]:
                    continue
                if isinstance(now, Tensor) and base.content is None:
                    self.spoilt.add(slot.path)
            elif not isinstance(now, Tensor) and _same(now, base.content):
                continue
            found[slot] = _present(now)
        for owner in self._owners:
            if _count(owner.module) != owner.count:
                for slot in self._new_slots(owner):
                    value = slot.get()
                    if _is_plain(value):
                        self._base[slot] = _Saved(_MISSING, _MISSING)
                        found[slot] = _present(value)
        self._dirty |= found.keys()
        return found

    def install(self, changes: dict[_Slot, _Saved]) -> None:
        """Make a side's own state current."""
        for slot, saved in changes.items():
            self._write(slot, saved)
        self._dirty |= changes.keys()

    def restore(self) -> None:
        """Put back what was there in the beginning."""
        for slot in self._dirty:
            self._write(slot, self._base[slot] if slot in self._base else self._fixed[slot])
        self._dirty = set()

    def _write(self, slot: _Slot, saved: _Saved) -> None:
        slot.put(saved.value)
        value, content = saved.value, saved.content
        if isinstance(value, Tensor):
            if content is None:
                # Too large to have been copied: what it holds now is the new beginning.
                saved.version, saved.sample = _version(value), _sample(value)
            elif not _same(value, content):
                _overwrite(value, content)
        elif isinstance(value, list):
            if not _same(value, content):
                value[:] = copy.deepcopy(content)
        elif isinstance(value, (dict, set)) and not _same(value, content):
            value.clear()
            value.update(copy.deepcopy(content))

    def delta(self, side: str, changes: dict[_Slot, _Saved]) -> dict[str, Any]:
        """The changes of content as {path: content}, this side's names before the other's."""
        ranked = sorted(changes.items(), key=lambda item: item[0].side == side)
        before = {slot: (self._base.get(slot) or self._fixed[slot]).content for slot in changes}
        return {
            slot.path: s.content for slot, s in ranked if before[slot] is None or not _same(s.content, before[slot])
        }


def _present(value: Any) -> _Saved:
    """A value as it is now, with a copy of its content."""
    if isinstance(value, Tensor):
        return _Saved(value, value.detach().clone())
    return _Saved(value, value if value is _MISSING or _is_immutable(value) else private_copy(value))


def _assigns(module: torch.jit.ScriptModule) -> bool:
    """Can a call assign to an attribute? Only prim::SetAttr does; methods not seen count as assigning."""
    try:
        graph: Any = module.inlined_graph
    except Exception:  # no forward method
        return True
    return any(graph.findNode(kind) is not None for kind in ("prim::SetAttr", "prim::CallMethod"))


def _modules(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """A module and all below it, by name. What `torch.jit.freeze` gives does not tell Python of the modules, nor of the
    attributes, that it keeps; a second look at its compiled half finds them."""
    for path, module in root.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and not hasattr(module, "_concrete_type"):
            whole = torch.jit._recursive.wrap_cpp_module(module._c)
            yield from ((".".join(p for p in (path, inner) if p), part) for inner, part in whole.named_modules())
        else:
            yield path, module


def _count(module: nn.Module) -> int:
    if isinstance(module, torch.jit.ScriptModule):  # a compiled class has a fixed set of attributes
        return 0
    own = vars(module)
    return len(own) + len(own["_buffers"]) + len(own["_parameters"])


def _attribute_names(module: nn.Module, known: Set[str] = frozenset()) -> list[str]:
    """The names of state in `module` itself, without those known."""
    if isinstance(module, torch.jit.ScriptModule):
        concrete = getattr(module, "_concrete_type", None)
        names = list(concrete.get_attributes()) if concrete is not None else []
        names += [n for n, _ in module.named_buffers(recurse=False)] + [
            n for n, _ in module.named_parameters(recurse=False)
        ]
        return [n for n in dict.fromkeys(names) if n not in known and n != "_is_full_backward_hook"]
    own = vars(module)
    names = own.keys() | own["_buffers"].keys() | own["_parameters"].keys()
    return sorted(names - known - _MODULE_FIELDS)


def _is_immutable(value: Any) -> bool:
    return isinstance(value, _SCALARS) or (type(value) is tuple and all(map(_is_immutable, value)))


def _is_plain(value: Any) -> bool:
    if isinstance(value, (Tensor, *_SCALARS)):
        return not (isinstance(value, Tensor) and (value.is_nested or nn.parameter.is_lazy(value)))
    if isinstance(value, (list, tuple, set)):
        return all(map(_is_plain, value))
    return isinstance(value, dict) and all(map(_is_plain, value.values()))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device or a.layout != b.layout or a.is_meta:
            return a.is_meta and b.is_meta and a.shape == b.shape
        if a.layout != torch.strided:
            a, b = a.to_dense(), b.to_dense()
        if torch.equal(a, b):
            return True
        if a.shape != b.shape or not a.is_floating_point():
            return False
        return bool((a == b).logical_or_(a.isnan().logical_and_(b.isnan())).all())
    if isinstance(a, (list, tuple)) and type(a) is type(b):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    return type(a) is type(b) and (a is b or bool(a == b))


def _version(t: Tensor) -> int | None:
    return None if t.is_inference() else t._version


def _sample(t: Tensor) -> Tensor | None:
    if t.layout != torch.strided or t.is_meta or t.is_quantized or not t.is_contiguous():
        return None
    flat = t.detach().view(-1)
    return flat[:: max(1, flat.numel() // 256)].clone()


def _save_tensor(t: Tensor, copied: bool) -> _Saved:
    if copied:
        return _Saved(t, t.detach().clone(), _version(t))
    return _Saved(t, None, _version(t), _sample(t))


def _join(saved: list[_Saved]) -> Iterator[tuple[list[_Saved], Tensor]]:
    """Copied tensors of one type with their contents in one piece.

    A model has a hundred small buffers. To compare them one by one costs more than some of its layers.
    """
    groups: dict[tuple[torch.dtype, torch.device], list[_Saved]] = {}
    for one in saved:
        value = one.value
        if one.content is not None and value.layout == torch.strided and not (value.is_meta or value.is_quantized):
            groups.setdefault((value.dtype, value.device), []).append(one)
    for group in groups.values():
        yield group, torch.cat([_flat(one.content) for one in group])


def _flat(t: Tensor) -> Tensor:
    return t.detach().reshape(-1)


def _changed(saved: _Saved) -> bool:
    value = saved.value
    if not isinstance(value, Tensor) or saved.content is not None:
        # The version counter alone would not do: batch norm writes its running statistics past it.
        return value is not _MISSING and not _same(value, saved.content)
    if _version(value) != saved.version:
        return True
    sample = _sample(value)
    return saved.sample is not None and (sample is None or not _same(sample, saved.sample))


def _overwrite(t: Tensor, content: Tensor) -> None:
    mode = torch.inference_mode() if t.is_inference() else torch.no_grad()
    with mode:
        if t.shape == content.shape and t.dtype == content.dtype:
            t.copy_(content)
        else:
            t.data = content.clone()
