"""The page on a model's way: verdicts read from every report, order, files that are not replaced, and plain HTML."""

import datetime
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from course_utils.classroom.backends.cpp import Completed
from course_utils.tools import archive
from course_utils.tools.advice import recommend
from course_utils.tools.migration import Attempt, MigrationReport
from course_utils.tools.model_report import MARKER, STAGES, ModelReport, ModelReportError
from course_utils.tools.parity import check_parity
from course_utils.tools.speed import SpeedReport, summarise

X = torch.ones(2, 3)


class Shift(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def full() -> ModelReport:
    page = ModelReport("A model")
    for stage in STAGES:
        page.add(stage, f"{stage} <done> & dusted", outcome="ok")
    return page


def speed(*factors: float) -> SpeedReport:
    rounds = {f"form {n}": [factor * (1 + k / 1000) for k in range(7)] for n, factor in enumerate(factors)}
    return SpeedReport(
        rows=summarise(rounds), rounds=7, rounds_asked=7, threads=1, grad_mode="inference mode", coverage=0.98
    )


def migration(*outcomes: str) -> MigrationReport:
    attempts = tuple(Attempt("convert", outcome, "seen") for outcome in outcomes)
    return MigrationReport("m.pt", "the archive", (), ("the example",), attempts, ("look at it",))


def test_a_new_model_report_says_what_is_missing() -> None:
    page = ModelReport("reader")
    assert page.missing == tuple(STAGES)
    assert not page.ok
    assert page.headline == "reader: 8 without an entry"
    assert "gate: no entry" in page.text()


def test_stages_stand_in_their_order_whatever_was_added_first() -> None:
    page = ModelReport("reader")
    for stage in reversed(STAGES):
        page.add(stage, "seen", outcome="ok")
    assert list(page.outcomes) == list(STAGES)
    assert page.ok
    assert page.headline == "reader: 8 ok"
    places = [page.text().index(f"{stage}:") for stage in STAGES]
    assert places == sorted(places)


def test_the_worst_entry_decides_a_stage() -> None:
    page = ModelReport("reader")
    for outcome in ("fail", "ok", "warn"):
        page.add("gate", f"seen {outcome}", outcome=outcome)
    page.add("save", "seen", outcome="ok")
    page.not_run("save", "there is no disk")
    assert page.outcomes == {"gate": "fail", "save": "not run"}


def test_the_same_entry_twice_is_there_once() -> None:
    page = ModelReport("reader")
    page.add("gate", "seen", outcome="fail")
    page.add("gate", "seen", outcome="ok")
    assert [entry.outcome for entry in page.entries] == ["ok"]


@pytest.mark.parametrize(
    ("evidence", "outcome", "says"),
    [
        (Shift().eval(), "ok", "Shift, eager, 0 parameters, no weights, eval mode"),
        (nn.Linear(2, 1).train(), "warn", "Linear, eager, 3 parameters, float32, training mode"),
        (check_parity(Shift(), Shift(), X), "ok", "equal; 1 case"),
        (check_parity(Shift(), nn.Identity(), X), "fail", "differs: value; 1 case"),
        (check_parity(nn.Identity(), nn.Identity(), torch.ones(0, 3)), "warn", "no value was compared"),
        (speed(1.0, 0.5), "ok", "form 0, form 1, measured in turns"),
        (speed(1.0, 2.0), "warn", "form 0, form 1, measured in turns"),
        (Completed("run_model a b", 0, "fine", ""), "ok", "run_model a b: exit code 0"),
        (Completed("run_model a b", 1, "", "differs"), "fail", "run_model a b: exit code 1"),
        (Completed("run_model a b", 0, "fine", "", stored=True), "warn", "a stored result of another machine"),
        (migration("raises", "matches"), "ok", "m.pt: "),
        (migration("raises", "partly"), "warn", "m.pt: migrated in part"),
        (migration("raises"), "fail", "m.pt: no route migrates it mechanically"),
        (recommend(Shift().eval(), X), "ok", "trace: "),
    ],
)
def test_the_verdict_is_read_from_the_evidence(evidence: object, outcome: str, says: str) -> None:
    entry = ModelReport("reader").add("gate", evidence)
    assert entry.outcome == outcome
    assert says in entry.says
    assert repr(entry) == f"gate: {outcome} - {entry.says}"


def test_a_scripted_module_is_named_by_its_class() -> None:
    entry = ModelReport("reader").add("inspect", torch.jit.script(Shift().eval()))
    assert entry.says.startswith("Shift, TorchScript, ")


def test_an_archive_is_judged_by_what_stands_in_it(tmp_path: Path) -> None:
    good, damaged, weights = tmp_path / "good.pt", tmp_path / "damaged.pt", tmp_path / "weights.pt"
    scripted = torch.jit.script(nn.Linear(40, 30).eval())
    scripted.save(good)
    data = bytearray(good.read_bytes())
    data[data.index(scripted.weight.detach().numpy().tobytes()) + 9] ^= 1
    damaged.write_bytes(data)
    torch.save(scripted.state_dict(), weights)
    outcomes = {
        path.stem: ModelReport("x").add("save", archive.inspect(path)).outcome for path in (good, damaged, weights)
    }
    assert outcomes == {"good": "ok", "damaged": "fail", "weights": "fail"}


def test_a_verdict_is_changed_only_with_a_reason() -> None:
    page = ModelReport("reader")
    with pytest.raises(ModelReportError, match="note="):
        page.add("migrate", migration("raises"), outcome="warn")
    entry = page.add("migrate", migration("raises"), outcome="warn", note="rewritten by hand")
    assert entry.outcome == "warn"
    assert entry.says.endswith("mechanically; rewritten by hand")
    assert any("raises" in line for line in entry.details)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda d: d.add("finish", "x", outcome="ok"), "the stages are inspect, convert"),
        (lambda d: d.add("gate", "x"), "a sentence alone has no verdict"),
        (lambda d: d.add("gate", "x", outcome="good"), "give ok, warn or fail"),
        (lambda d: d.add("gate", 3.0), "type float cannot be read"),
        (lambda d: d.not_run("gate", " "), "say why"),
        (lambda d: d.not_run("finish", "x"), "the stages are inspect, convert"),
        (lambda d: ModelReport("!?"), "give the model a name"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(act: object, message: str) -> None:
    with pytest.raises(ModelReportError, match=message):
        act(ModelReport("reader"))  # type: ignore[operator]


def test_a_class_of_the_learner_that_is_named_like_a_report_is_a_module() -> None:
    class Completed(nn.Module):
        pass

    assert ModelReport("x").add("inspect", Completed().eval()).says.startswith("Completed, eager")


class _Tags(HTMLParser):
    """Checks that every tag is closed, and notes what would be fetched."""

    EMPTY = frozenset({"br", "meta", "!doctype"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_needs_nothing_else_and_depends_on_the_day_alone() -> None:
    day = datetime.date(2026, 1, 2)
    page = full().page(day)
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.fetched == []
    assert "2026-01-02" in page
    assert "&lt;done&gt; &amp; dusted" in page
    assert "color-scheme:light dark" in page
    assert "@media print" in page
    assert page == full().page(day)
    assert re.findall(r'<th scope="row"[^>]*>(\w+)', page) == list(STAGES)


def test_long_evidence_is_cut_so_that_the_page_stays_one() -> None:
    run = Completed("run_model a b", 0, "\n".join("word " * 100 for _ in range(40)), "")
    entry = ModelReport("x").add("serve", run)
    assert len(entry.details) == 5
    assert max(map(len, entry.details)) <= 150


def test_a_page_is_written_and_no_other_file_is_touched(tmp_path: Path) -> None:
    page = full()
    path = tmp_path / "new" / "page.html"
    assert page.write(path) == path
    assert path.read_text(encoding="utf-8") == page.page()
    with pytest.raises(ModelReportError, match="replace=True"):
        page.write(path)
    page.add("gate", "another line", outcome="fail")
    page.write(path, replace=True)
    path.write_text(path.read_text(encoding="utf-8").replace("model report of", "dossier of"), encoding="utf-8")
    page.write(path, replace=True)  # as an earlier version wrote it
    assert "another line" in path.read_text(encoding="utf-8")
    other = tmp_path / "notes.html"
    other.write_text("my own", encoding="utf-8")
    with pytest.raises(ModelReportError, match="is not a model report"):
        page.write(other, replace=True)
    assert other.read_text(encoding="utf-8") == "my own"
    with pytest.raises(ModelReportError, match="is a folder"):
        page.write(tmp_path, replace=True)
    with pytest.raises(ModelReportError, match="cannot be written"):
        page.write(other / "page.html")
    assert sorted(x.name for x in tmp_path.rglob("*")) == ["new", "notes.html", "page.html"]


def test_the_default_place_is_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = full().write()
    assert path == Path("build") / "reports" / "a-model.html"
    assert MARKER in path.read_text(encoding="utf-8")
