"""Every torchvision classification model, converted and compared: the table behind ``course zoo``.

    row = examine("resnet18")               # one model, here and now
    for row in fill(path, names()): ...     # all of them, each in a process of its own, one line a model in `path`
    load(path)                              # the table, as text or HTML

Each model is built untrained with seeded weights, statistics as a trained model has them, and no weight that is all
zero. It is traced, scripted, frozen and optimised, and each conversion is compared with eager twice on each input.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import math
import os
import platform
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom import models
from course_utils.core.errors import CourseError, one_line
from course_utils.core.limits import LimitError, MemoryLimit, run_in_new_python
from course_utils.core.report import Report, html_block, html_headline, html_table, plural, text_table
from course_utils.tools.parity import check_parity

SIZES = (64, 96, 224)  # pixels; the first that the eager model takes is used
OTHER = 32  # pixels more, for the other size
RTOL = 1e-5  # of the greatest output: some eighty times the rounding step of float32
COPIES = 5  # how often the weights lie in memory at once: eager, compiled, frozen, optimised, and room to work
STEPS = {
    "trace": "trace",
    "trace_other": "trace, other size",
    "script": "script",
    "script_other": "script, other size",
    "freeze": "freeze",
    "optimise": "optimise",
    "optimise_224": "optimise, 224 px",
}
VERDICTS = {
    "equal": "bitwise identical",
    "close": f"within {RTOL:g} of the greatest output",
    "differs": "differs",
    "raises": "raises",
    "rejected": "eager rejects this input too",
}
_MARKS = {"equal": "=", "close": "≈", "differs": "DIFFERS", "raises": "RAISES", "rejected": "eager rejects", "": ""}
# One column of the narrow table for each: the example's size first.
_COLUMNS = {
    "trace": ("trace", "trace_other"),
    "script": ("script", "script_other"),
    "freeze": ("freeze",),
    "optimise": ("optimise", "optimise_224"),
}
_ROW = "zoo-row: "


class ZooError(CourseError):
    """The table cannot be read or the model is unknown; the text says what to do."""


@dataclass(frozen=True)
class Step:
    """How one conversion fared.

    verdict: one of `VERDICTS`. drift: the greatest difference, as a fraction of the greatest output. detail: what was
    raised, or what else there is to know.
    """

    verdict: str
    drift: float = 0.0
    detail: str = ""

    @property
    def text(self) -> str:
        drift = f" {self.drift:.0e}" if self.verdict in ("close", "differs") and self.drift else ""
        return _MARKS[self.verdict] + drift


@dataclass(frozen=True)
class Row:
    """One model. millions: of parameters. size: of the example, in pixels. steps: by the names of `STEPS`.

    warned: number of TracerWarnings. failed: why the model has no steps, or no more of them; empty where all went well.
    seconds: for the whole row, on the machine that made it.
    """

    model: str
    millions: float = 0.0
    size: int = 0
    steps: dict[str, Step] = field(default_factory=dict)
    warned: int = 0
    failed: str = ""
    seconds: float = 0.0

    @property
    def details(self) -> str:
        """What the marks leave out."""
        same: dict[str, list[str]] = {}
        for step, result in self.steps.items():
            if result.detail:
                same.setdefault(result.detail, []).append(STEPS[step])
        parts = [text if len(steps) > 2 else f"{' and '.join(steps)}: {text}" for text, steps in same.items()]
        parts += [plural(self.warned, "TracerWarning")] if self.warned else []
        return "; ".join([*parts, self.failed] if self.failed else parts)


@dataclass(frozen=True)
class Zoo(Report):
    """The table: rows in the order of `names`, and the versions and the date of its making."""

    rows: tuple[Row, ...] = ()
    made: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def count(self, step: str) -> dict[str, int]:
        """How many models have each verdict at this step."""
        found = Counter(row.steps[step].verdict for row in self.rows if step in row.steps)
        return {verdict: found[verdict] for verdict in VERDICTS if found[verdict]}

    def having(self, step: str, verdict: str) -> list[str]:
        """The models with this verdict at this step."""
        return [row.model for row in self.rows if step in row.steps and row.steps[step].verdict == verdict]

    @property
    def origin(self) -> str:
        """When and with what the table was made."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return " ".join(filter(None, [plural(len(self.rows), "model"), self.made and f"on {self.made}", versions]))

    @property
    def headline(self) -> str:
        return self.origin

    @property
    def findings(self) -> tuple[Row, ...]:
        """The models that have no steps, or no more of them."""
        return tuple(row for row in self.rows if row.failed)

    def summary(self) -> str:
        """A line a step: how many models have which verdict."""
        lines = [self.origin]
        for step, title in STEPS.items():
            counts = self.count(step)
            if counts:
                lines.append(f"{title:<19}" + ", ".join(f"{n} {VERDICTS[v]}" for v, n in counts.items()))
        return "\n".join([*lines, *(f"{row.model}: {row.failed}" for row in self.findings)])

    def text(self) -> str:
        """The whole table as plain text."""
        heads = ["model", "million", "px", *STEPS.values(), "remarks"]
        rows = [
            (
                row.model,
                f"{row.millions:.1f}",
                row.size or "",
                *(row.steps[k].text if k in row.steps else "" for k in STEPS),
                row.details,
            )
            for row in self.rows
        ]
        return f"{self.origin}\n{text_table(heads, rows)}"

    def _repr_html_(self) -> str:
        key = (
            f"= {VERDICTS['equal']} · ≈ {VERDICTS['close']}, with the difference as a fraction of it; "
            "traced and scripted models are run at two sizes"
        )
        return html_block(html_headline(self.headline, below=key), *self.html_parts())

    def html_parts(self) -> list[str]:
        rows = [
            (
                f"{row.model}\n{row.millions:.1f} million, {row.size or '–'} px",
                *(_cell({k: row.steps[k] for k in keys if k in row.steps}) for keys in _COLUMNS.values()),
                row.details,
            )
            for row in self.rows
        ]
        return [html_table(("model, weights, size", *_COLUMNS, "remarks"), rows, row_heads=True)]


def _cell(steps: dict[str, Step]) -> str:
    """What a column says of one model: once where both sizes end alike, else a line for each."""
    if len({step.verdict for step in steps.values()}) == 1:
        return max((step.text for step in steps.values()), key=len)
    return "\n".join(": ".join([*STEPS[k].split(", ")[1:], step.text]) for k, step in steps.items())


# --- one model -------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """Every classification model of the installed torchvision."""
    import torchvision

    return sorted(torchvision.models.list_models(module=torchvision.models))


def build(name: str) -> nn.Module:
    """The untrained model in eval mode, made fit to be compared by `make_telling`. Raises `ZooError`: unknown name."""
    import torchvision

    if name not in names():
        raise ZooError(f"there is no model {name!r}; the names are those of torchvision.models.list_models()")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # googlenet and inception announce another initialisation
        torch.manual_seed(0)
        return make_telling(torchvision.models.get_model(name, weights=None).eval())


def make_telling(model: nn.Module) -> nn.Module:
    """Give batch normalisation running statistics, and every matrix that is all zero some values, in place.

    A last layer that starts as zeros answers zeros to everything, and a check of zeros says nothing.
    """
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1 and not weight.any():
                weight.normal_(0.0, weight.shape[-1] ** -0.5, generator=generator)
    return models.randomise_statistics(model)


def examine(name: str, *, memory_gib: float = math.inf, tell: Callable[[Row], None] | None = None) -> Row:
    """Convert one model in every way and compare; a model that needs more than ``memory_gib`` is not built.

    tell: called with the row as far as it goes, after each step. Raises `ZooError` for an unknown name.
    """
    began = time.monotonic()
    millions = _parameters(name) / 1e6
    row = functools.partial(Row, name, round(millions, 1))
    needed = COPIES * millions * 4e6 / 2**30 + 1
    if needed > memory_gib:
        return row(failed=f"skipped: needs about {needed:.0f} GiB of memory, the limit is {memory_gib:.0f}")
    model = build(name)
    size = next((s for s in SIZES if _accepts(model, _image(s))), 0)
    if not size:
        return row(failed="skipped: eager takes none of the sizes " + ", ".join(map(str, SIZES)))
    steps: dict[str, Step] = {}
    warned = 0

    def done(step: str, result: Step) -> None:
        steps[step] = result
        if tell:
            tell(row(size, dict(steps), warned, seconds=round(time.monotonic() - began, 1)))

    same, other = [_image(size), _image(size, batch=3)], [_image(size + OTHER)]
    with _quiet() as seen, torch.no_grad():
        traced = _attempt(lambda: torch.jit.trace(model, same[0], check_trace=False))
        warned = sum(issubclass(w.category, torch.jit.TracerWarning) for w in seen)
        done("trace", judge(model, traced, same))
        done("trace_other", judge(model, traced, other))
        del traced
        scripted = _attempt(lambda: torch.jit.script(model))
        done("script", judge(model, scripted, same))
        done("script_other", judge(model, scripted, other))
        if not isinstance(scripted, Exception):
            done("freeze", judge(model, _attempt(lambda: torch.jit.freeze(scripted)), same))
            optimised = _attempt(lambda: torch.jit.optimize_for_inference(scripted))
            done("optimise", judge(model, optimised, same))
            if steps["optimise"].verdict == "raises" and size != 224:
                done("optimise_224", judge(model, optimised, [_image(224)]))
    return row(size, steps, warned, seconds=round(time.monotonic() - began, 1))


def judge(model: nn.Module, converted: Any, inputs: list[Tensor]) -> Step:
    """Compare a conversion with the eager model on these inputs, twice on each.

    converted: the conversion, or the exception that it ended in.
    """
    if isinstance(converted, Exception):
        return Step("raises", detail=f"conversion: {one_line(converted)}")
    if not all(_accepts(model, x) for x in inputs):
        return Step("rejected")
    greatest, returns = 0.0, ""

    def reference(x: Tensor) -> Tensor:
        nonlocal greatest
        out = model(x)
        greatest = max(greatest, out.abs().max().item())
        return out

    def candidate(x: Tensor) -> Tensor:
        nonlocal returns
        out = converted(x)
        if isinstance(out, Tensor):
            return out
        returns = f"returns a {type(out).__name__}, its first member is compared"
        return out[0]

    report = check_parity(
        reference, candidate, inputs, modes=("no_grad",), calls=2, rtol=RTOL, atol=0.0, relative_to="max"
    )
    drift = report.worst.max_abs / greatest if greatest else 0.0
    drift = float(f"{drift:.1e}") if math.isfinite(drift) else 0.0
    if not greatest:
        return Step("differs", detail="the outputs are all zero, so nothing was compared")
    for finding in report.findings:
        if finding.kind == "raises":
            kind, _, text = finding.candidate.partition(": ")
            return Step("raises", detail=finding.candidate if not text.startswith(kind) else text)
    if report.findings:
        kinds = {f.kind for f in report.findings} - {"value"}
        return Step("differs", drift, "; ".join([*sorted(kinds), returns] if returns else sorted(kinds)))
    return Step("equal" if report.worst.bit_equal else "close", drift, returns)


def _image(size: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(size + batch))


def _accepts(model: nn.Module, image: Tensor) -> bool:
    try:
        with torch.no_grad():
            model(image)
    except Exception:
        return False
    return True


def _attempt(convert: Callable[[], Any]) -> Any:
    try:
        return convert()
    except Exception as error:
        return error


def _parameters(name: str) -> int:
    """The number of parameters that torchvision states for its trained weights; nothing is built or fetched for it."""
    import torchvision

    if name not in names():
        raise ZooError(f"there is no model {name!r}; the names are those of torchvision.models.list_models()")
    return torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"]


@contextlib.contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield seen


# --- one process a model ---------------------------------------------------------------------------------------------


def examine_apart(name: str, *, memory_gib: float, seconds: float = 900.0) -> Row:
    """`examine` in a process of its own: a crash, too much memory and an endless step become a row's ``failed``."""
    began = time.monotonic()
    rows = [Row(name)]

    def keep(line: str) -> None:
        if line.startswith(_ROW):
            rows.append(_row(json.loads(line.removeprefix(_ROW))))

    try:
        run_in_new_python(_examine_aloud, name, memory_gib, seconds=seconds, memory_gib=memory_gib, on_line=keep)
        return rows[-1]
    except MemoryLimit:
        why = "not enough memory"
    except LimitError as error:
        why = str(error)
    except Exception as error:
        why = one_line(error)
    row = rows[-1]
    last = f"after {STEPS[list(row.steps)[-1]]}" if row.steps else "before the first step"
    return replace(row, failed=f"{last}: {why}", seconds=round(time.monotonic() - began))


def _examine_aloud(name: str, memory_gib: float) -> None:
    """Print the row as far as it goes, after each step."""

    def tell(row: Row) -> None:
        print(_ROW + json.dumps(asdict(row)), flush=True)

    tell(examine(name, memory_gib=memory_gib, tell=tell))


# --- the table on disk -----------------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """The versions that the verdicts depend on."""
    import torchvision

    return {
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
        "python": platform.python_version(),
    }


def fill(
    path: Path,
    wanted: Iterable[str],
    *,
    memory_gib: float,
    again: bool = False,
    row_of: Callable[..., Row] = examine_apart,
) -> Iterator[Row]:
    """Examine the wanted models that ``path`` has no row of yet, write each row as soon as it is there, and yield it.

    A run that was interrupted goes on where it ended. A table that was made with other versions is begun
    again, and again=True makes the wanted rows again. Raises `ZooError` where ``path`` holds something else.
    """
    zoo = load(path) if path.exists() else Zoo()
    rows = {row.model: row for row in zoo.rows} if zoo.versions == versions() else {}
    for name in wanted:
        if name in rows and not again:
            continue
        rows[name] = row_of(name, memory_gib=memory_gib)
        save(path, Zoo(tuple(rows[n] for n in sorted(rows)), datetime.date.today().isoformat(), versions()))
        yield rows[name]


def missing(path: Path, wanted: Iterable[str], *, again: bool = False) -> list[str]:
    """The wanted models that `fill` would examine."""
    zoo = load(path) if path.exists() else Zoo()
    there = {row.model for row in zoo.rows} if zoo.versions == versions() and not again else set()
    return [name for name in wanted if name not in there]


def save(path: Path, zoo: Zoo) -> None:
    """Write the table, a line a model; a reader finds the old file or the new one, never half of it."""
    rows = ",\n".join("  " + json.dumps(asdict(row), ensure_ascii=False) for row in zoo.rows)
    head = f'"made": {json.dumps(zoo.made)},\n "versions": {json.dumps(zoo.versions)}'
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(f'{{{head},\n "rows": [\n{rows}\n]}}\n', encoding="utf-8")
    os.replace(part, path)


def load(path: Path) -> Zoo:
    """Read the table. Raises `ZooError` for a file that is not there or is not a table."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Zoo(tuple(_row(entry) for entry in data["rows"]), data["made"], data["versions"])
    except OSError:
        raise ZooError(f"there is no table {path.name}; make it by: course zoo --output {path.name}") from None
    except (ValueError, KeyError, TypeError):
        raise ZooError(f"{path.name} is not a table of the zoo; delete it, or choose another --output") from None


def _row(entry: dict[str, Any]) -> Row:
    return Row(**entry | {"steps": {name: Step(**step) for name, step in entry["steps"].items()}})
