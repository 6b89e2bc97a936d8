"""The tools on models of five libraries: ``make models``, in an environment of its own (``.venv/models``).

Each model of `model_cases` is traced, and then check_parity, find_divergence, recommend, bisect_script and migrate run
on it, in a process of their own with a time limit. What they say is compared with a test that knows nothing of them:
model and conversion on fresh inputs, by ``torch.testing.assert_close``. No tool may raise, and none may contradict it.
The table is stored in ``tests/real_models.md``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.classroom.backends import side_environment
from course_utils.core.limits import run_command

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = ROOT / "requirements-models.lock"
STORED = ROOT / "tests" / "real_models.md"
LOGS = ROOT / "build" / "models"
LIBRARIES = ("timm", "transformers", "torchaudio", "kornia", "monai")
TOOLS = ("check_parity", "find_divergence", "recommend", "bisect_script", "migrate")
COLUMNS = ("model", "trace on fresh inputs", *TOOLS, "contradictions", "seconds")
SECONDS = 300  # for one model
MARK = "@@ "
RAISES, STOPPED = "RAISES", "stopped"
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


class ModelsError(RuntimeError):
    """The environment is not there. The text says what to do."""


@dataclass
class Row:
    """What became of one model. own: of how many fresh inputs the trace is right; said: what each tool said, in a few
    words; against: where a tool and the test of its own disagree."""

    name: str
    own: str = ""
    said: dict[str, str] = field(default_factory=dict)
    against: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Did every tool answer, and none contradict the evidence?"""
        answers = [self.said.get(tool, "") for tool in TOOLS]
        failed = any(not x or x.startswith((RAISES, STOPPED)) for x in (self.own, *answers))
        return not failed and not self.against

    def cells(self) -> list[str]:
        answers = [self.said.get(tool, "") or "not run" for tool in TOOLS]
        return [self.name, self.own or "not run", *answers, "; ".join(self.against) or "none", f"{self.seconds:.0f}"]

    def __str__(self) -> str:
        return "| " + " | ".join(" ".join(x.split()).replace("|", "/") for x in self.cells()) + " |"


# --- from outside: the environment, a process for each model, the table ----------------------------------------------


def home() -> Path:
    """Where the environment is, or would be."""
    return side_environment.place("models")


def interpreter() -> Path:
    """The environment's Python; where it is missing or older than its lock, it is made first."""
    python = side_environment.interpreter(home())
    used = home() / LOCK.name
    if python is None or not used.exists() or used.read_bytes() != LOCK.read_bytes():
        if not side_environment.make(home(), LOCK):
            raise ModelsError("the installer stopped; its own words are above.")
        used.write_bytes(LOCK.read_bytes())
        python = side_environment.python_of(home())
    return python


def run(name: str, python: Path, *, seconds: float = SECONDS) -> Row:
    """Let a process of its own try the tools on one model. What it said before it ended, or was ended, is kept."""
    row, began = Row(name), time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / (re.sub(r"\W+", "-", name) + ".log")
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

    def heard(line: str) -> None:
        if line.startswith(MARK):
            read(row, json.loads(line.removeprefix(MARK)))

    command = [str(python), "-m", __name__, name]
    ended = run_command(command, seconds=seconds, on_line=heard, environment={**offline, "PYTHONPATH": paths})
    log.write_text(ended.err, encoding="utf-8")
    row.seconds = time.monotonic() - began
    if ended.code:
        end = f"{STOPPED} after {seconds:.0f} s" if ended.late else f"{STOPPED}: exit code {ended.code}"
        if not row.own:
            row.own = end
        else:
            row.said.setdefault(next((tool for tool in TOOLS if tool not in row.said), TOOLS[-1]), end)
    return row


def read(row: Row, said: Mapping[str, Any]) -> None:
    """Enter what the process tells: the outcome of one tool, or of the test of its own."""
    if said["tool"] == "own":
        row.own = said["text"]
    else:
        row.said[said["tool"]] = said["text"]
    row.against += said["against"]


def versions(lock: str) -> dict[str, str]:
    """The libraries and their versions, from the text of the lock."""
    found = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.M))
    return {name: found[name] for name in LIBRARIES}


def table(rows: Sequence[Row | str], used: Mapping[str, str], torch_version: str) -> str:
    """The file: what it is, the versions, and a line for each model. A row may be a line that was stored before."""
    named = ", ".join(f"{name} {version}" for name, version in used.items())
    head = "| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS)
    return "\n".join(
        [
            "# The tools on models of five libraries",
            "",
            f"Written by `make models`: torch {torch_version}; {named}. Random weights, CPU, one thread.",
            "",
            "*trace on fresh inputs* is a test that uses no tool: on how many inputs, of several sizes, the trace",
            "and the model agree by `torch.testing.assert_close`. *contradictions* are answers of a tool that this",
            "test, or a run of the input that the tool names, does not bear out.",
            "",
            head,
            *map(str, rows),
            "",
        ]
    )


def stored_rows(path: Path, used: Mapping[str, str]) -> dict[str, str]:
    """The lines of a stored table by the model's name; none where it was made with other versions."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = [line for line in text.splitlines() if re.match(r"\| \w+/", line)]
    if not all(f"{name} {version}" in text for name, version in used.items()):
        return {}
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def totals(lines: Sequence[str]) -> str:
    """One sentence on a whole table."""
    cells = [line.strip("| ").split(" | ") for line in lines]
    raised = sum(any(x.startswith((RAISES, STOPPED, "not run")) for x in row[1:-1]) for row in cells)
    against = sum(row[-2] != "none" for row in cells)
    return f"{len(cells)} models: a tool raised or was stopped on {raised}, contradicted the evidence on {against}."


# --- inside the environment: one model -------------------------------------------------------------------------------


def examine(case: Any) -> Iterator[dict[str, Any]]:
    """Try the tools on one `ModelCase`; one item for the test of its own, and one for each tool, as they end."""
    import torch

    torch.manual_seed(0)
    model = case.build().eval()
    example, *others = made_inputs(case, seed=1)
    fresh = [args for seed in (2, 3) for args in made_inputs(case, seed)]
    with torch.no_grad():
        traced = torch.jit.trace(model, example, check_trace=False, strict=False)
        wrong = [args for args in fresh if differs(model, traced, args)]
        right = len(fresh) - len(wrong)
        yield said("own", f"agrees on {right} of {len(fresh)}")
        tools: dict[str, Callable[[], tuple[str, list[str]]]] = {
            "check_parity": lambda: parity(model, traced, [example, *others], bool(wrong)),
            "find_divergence": lambda: divergence(model, traced, example),
            "recommend": lambda: advice(model, example, others, fresh, bool(wrong)),
            "bisect_script": lambda: bisected(model, example),
            "migrate": lambda: migrated(traced, example),
        }
        for name, tool in tools.items():
            try:
                text, against = tool()
            except Exception as error:
                text, against = f"{RAISES} {type(error).__name__}: {str(error).strip()[:120]}", []
            yield said(name, text, against)


def said(tool: str, text: str, against: Sequence[str] = ()) -> dict[str, Any]:
    return {"tool": tool, "text": text, "against": [f"{tool}: {x}" for x in against]}


def made_inputs(case: Any, seed: int) -> list[tuple[Any, ...]]:
    import torch

    torch.manual_seed(seed)
    return [case.inputs(*size) for size in case.sizes]


def differs(model: Any, converted: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> bool:
    """Model and conversion on one input, by torch's own comparison and nothing of ours. What eager refuses is left."""
    import copy

    import torch

    def plain(out: Any) -> Any:
        if isinstance(out, dict):
            return [plain(x) for x in out.values() if x is not None]
        return [plain(x) for x in out] if isinstance(out, (tuple, list)) else out

    torch.manual_seed(0)
    try:
        expected = plain(model(*copy.deepcopy(args), **copy.deepcopy(dict(kwargs or {}))))
    except Exception:
        return False
    torch.manual_seed(0)
    try:
        for _ in range(2):  # TorchScript profiles the first call and optimises the next
            given = plain(converted(*copy.deepcopy(args), **copy.deepcopy(dict(kwargs or {}))))
            torch.testing.assert_close(given, expected, equal_nan=True, **TOLERANCE)
    except Exception:
        return True
    return False


def parity(model: Any, traced: Any, inputs: list[Any], wrong: bool) -> tuple[str, list[str]]:
    from course_utils.tools.parity import check_parity

    report = check_parity(model, traced, inputs)
    kinds = ", ".join(dict.fromkeys(f.kind for f in report.findings))
    if kinds == "not compared":
        return "nothing compared", ["nothing was compared"]
    against = []
    if wrong and report.ok:
        against = ["ok, but the trace is wrong on a fresh input"]
    if not wrong and not report.ok and any(f.kind in ("value", "raises", "shape") for f in report.findings):
        bad = [args for args in inputs if differs(model, traced, args)]
        against = [] if bad else [f"{kinds}, but the trace is right on every input"]
    return "ok" if report.ok else f"differs ({kinds})", against


def divergence(model: Any, traced: Any, example: Any) -> tuple[str, list[str]]:
    from course_utils.tools.divergence import find_divergence

    search = find_divergence(model, traced, example)
    if search.found is None:
        return ("none" if search.ok else "nothing compared"), [] if search.ok else ["nothing was compared"]
    found = search.found
    values = found.finding.kind in ("value", "raises", "shape")
    borne_out = not values or differs(model, traced, found.args, found.kwargs)
    against = [] if borne_out else [f"{found.finding.kind} by {found.kind}, but that input gives no difference"]
    return f"{found.finding.kind} by {found.kind}", against


def advice(model: Any, example: Any, others: list[Any], fresh: list[Any], wrong: bool) -> tuple[str, list[str]]:
    from course_utils.tools.advice import recommend

    found = recommend(model, example, others)
    outcomes = {e.step: e.outcome for e in found.evidence}
    against = []
    if found.converted is not None and any(differs(model, found, args) for args in fresh):
        against = [f"{found.advice}, but what it gives is wrong on a fresh input"]
    if found.converted is None and not wrong and outcomes.get("trace") == "matches":
        against = ["rewrite, but the trace is right on everything tried"]
    reserved = " with a reservation" * any(words in found.why for words in ("warned at", "Use it if"))
    reason = next((f"trace {e.text.partition(':')[0]}" for e in found.evidence if e.step == "trace"), found.why)
    return f"{found.advice}{reserved}" + (f" ({reason[:60]})" if found.advice == "rewrite" else ""), against


def bisected(model: Any, example: Any) -> tuple[str, list[str]]:
    from course_utils.tools.bisection import bisect_script, compile_error

    report = bisect_script(model, example)
    error = compile_error(model)
    if report.ok:
        return "compiles", ["compiles, but torch.jit.script raises"] if error else []
    alone = [name for name in report.names if compile_error(model.get_submodule(name)) is None]
    against = [f"`{name}` compiles alone" for name in alone]
    against += ["names a part, but torch.jit.script compiles the whole"] if error is None else []
    first = report.failures[0]
    count = f"{len(report.names)} part" + "s" * (len(report.names) > 1)
    return f"{count}, first {first.kind} ({str(first.place).partition(':')[0]})", against


def migrated(traced: Any, example: Any) -> tuple[str, list[str]]:
    from course_utils.tools.migration import migrate

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pt")
        traced.save(str(path))
        report = migrate(path, example, routes=("convert",), seconds=100, progress=False)
    return "; ".join(f"{x.route} {x.outcome}" for x in report.attempts), []


def main(arguments: list[str]) -> int:
    """The child's part: one model, a marked line of JSON on stdout for each tool."""
    from course_utils.authoring.model_cases import CASES

    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints goes to the log
    with warnings.catch_warnings(), contextlib.suppress(BrokenPipeError):
        warnings.simplefilter("ignore")
        for item in examine(CASES[arguments[0]]):
            print(MARK + json.dumps(item), file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
