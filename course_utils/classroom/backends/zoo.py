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
import html
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.classroom import models
from course_utils.tools.parity import check_parity
from course_utils.tools.parity.check import error_text

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
    "equal": "equal to the last bit",
    "close": f"within {RTOL:g} of the greatest output",
    "differs": "differs",
    "raises": "raises",
    "refused": "eager refuses this input too",
}
_MARKS = {"equal": "=", "close": "≈", "differs": "DIFFERS", "raises": "RAISES", "refused": "eager refuses", "": ""}
_ROW = "zoo-row: "


class ZooError(Exception):
    """The table cannot be read or the model is unknown; the text says what to do."""


@dataclass(frozen=True)
class Step:
    """How one conversion fared.

    verdict: one of `VERDICTS`. drift: the greatest difference, as a share of the greatest output. detail: what was
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
        told = [text if len(steps) > 2 else f"{' and '.join(steps)}: {text}" for text, steps in same.items()]
        told += [f"{self.warned} TracerWarnings"] if self.warned else []
        return "; ".join([*told, self.failed] if self.failed else told)


@dataclass(frozen=True)
class Zoo:
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
        return " ".join(
            filter(
                None,
                [f"{len(self.rows)} model{'s' * (len(self.rows) != 1)}", self.made and f"on {self.made}", versions],
            )
        )

    def summary(self) -> str:
        """A line a step: how many models have which verdict."""
        lines = [self.origin]
        for step, title in STEPS.items():
            counts = self.count(step)
            if counts:
                lines.append(f"{title:<19}" + ", ".join(f"{n} {VERDICTS[v]}" for v, n in counts.items()))
        failed = [f"{row.model}: {row.failed}" for row in self.rows if row.failed]
        return "\n".join([*lines, *failed])

    def text(self) -> str:
        """The whole table as plain text."""
        heads = ["model", "million", "px", *STEPS.values(), "remarks"]
        lines = [heads, *(self._cells(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(heads) - 1)]
        shown = [" ".join([*(c.ljust(w) for c, w in zip(x, widths, strict=False)), x[-1]]).rstrip() for x in lines]
        return "\n".join([self.origin, *shown])

    __str__ = __repr__ = text

    @staticmethod
    def _cells(row: Row) -> list[str]:
        steps = [row.steps[k].text if k in row.steps else "" for k in STEPS]
        return [row.model, f"{row.millions:.1f}", str(row.size or ""), *steps, row.details]

    def _repr_html_(self) -> str:
        cell = "border:1px solid currentColor;padding:0.15em 0.4em;text-align:left;overflow-wrap:anywhere"
        heads = ["model", "million weights", "pixels", *STEPS.values(), "remarks"]
        head = "".join(f'<th scope="col" style="{cell}">{html.escape(x)}</th>' for x in heads)
        body = ""
        for row in self.rows:
            cells = self._cells(row)
            first = f'<th scope="row" style="{cell}"><code>{html.escape(cells[0])}</code></th>'
            short = "".join(f'<td style="{cell};white-space:nowrap">{html.escape(x)}</td>' for x in cells[1:-1])
            body += f'<tr>{first}{short}<td style="{cell}">{html.escape(cells[-1])}</td></tr>'
        key = f"= {VERDICTS['equal']} · ≈ {VERDICTS['close']}, with the difference as a share of it"
        return (
            f'<div style="max-width:100%;overflow-x:auto"><p>{html.escape(self.origin)}<br>{key}</p>'
            f'<table style="border-collapse:collapse;font-size:80%"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


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
        return Step("raises", detail=f"conversion: {error_text(converted)}")
    if not all(_accepts(model, x) for x in inputs):
        return Step("refused")
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
    command = [sys.executable, "-m", "course_utils.classroom.backends.zoo", name, str(memory_gib)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path[1:]])}
    began = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    ) as child:
        late = False
        try:
            told, complaint = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            told, complaint = child.communicate()
            late = True
        except BaseException:  # Ctrl-C reaches the child too, but not on every system
            child.kill()
            raise
    lines = [line.removeprefix(_ROW) for line in told.splitlines() if line.startswith(_ROW)]
    row = _row(json.loads(lines[-1])) if lines else Row(name)
    if child.returncode == 0 and not late and lines:
        return row
    last = next(iter(row.steps and [f"after {STEPS[list(row.steps)[-1]]}"]), "before the first step")
    why = f"took more than {seconds:g} s" if late else _end(child.returncode, complaint)
    return Row(
        row.model, row.millions, row.size, row.steps, row.warned, f"{last}: {why}", round(time.monotonic() - began)
    )


def _end(code: int, complaint: str) -> str:
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    lines = complaint.strip().splitlines()
    text = error_text(Exception(lines[-1])).removeprefix("Exception: ") if lines else f"exit status {code}"
    return "not enough memory" if "allocate memory" in text or "MemoryError" in text or "bad_alloc" in text else text


def _limit_memory(gib: float) -> None:
    """Let an allocation beyond the limit raise here, before the system picks a process to end."""
    if sys.platform != "linux" or not math.isfinite(gib):
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + int(gib * 2**30)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def _child(name: str, memory_gib: float) -> None:
    _limit_memory(memory_gib)
    tell = lambda row: print(_ROW + json.dumps(asdict(row)), flush=True)  # noqa: E731
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

    A run that was interrupted goes on where it ended. A table that was made with other versions is begun anew, and
    again=True makes the wanted rows anew. Raises `ZooError` where ``path`` holds something else.
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
    """Read the table. Raises `ZooError` for a file that is not there or is no table."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Zoo(tuple(_row(entry) for entry in data["rows"]), data["made"], data["versions"])
    except OSError:
        raise ZooError(f"there is no table {path.name}; make it by: course zoo --output {path.name}") from None
    except (ValueError, KeyError, TypeError):
        raise ZooError(f"{path.name} is no table of the zoo; delete it, or choose another --output") from None


def _row(entry: dict[str, Any]) -> Row:
    return Row(**entry | {"steps": {name: Step(**step) for name, step in entry["steps"].items()}})


if __name__ == "__main__":
    _child(sys.argv[1], float(sys.argv[2]))
