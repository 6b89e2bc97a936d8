"""The ``course`` command: check the environment, open JupyterLab, see progress, get a hint, start again, update; look
inside a model file, try the classifiers of torchvision, take a model out of TorchScript."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from course_utils.classroom import manifest, progress

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
console = Console()
FIRST_PORT = 8888
Json = Annotated[bool, typer.Option("--json", help="print one JSON object in place of text")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"course {metadata.version('torchscript-course')}")
        raise typer.Exit


@app.callback(help=__doc__)
def before_each_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """An update that was killed is completed or undone before anything else happens."""
    from course_utils.classroom import learner_files

    try:
        lines = learner_files.settle(manifest.load())
    except manifest.ManifestError:
        return  # said by the commands that need the course; inspect and migrate do not
    except learner_files.LearnerFilesError as error:
        _stop(str(error))
    for line in lines:
        typer.echo(f"course: {line}", err=True)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this environment; every line is ok, a warning or a problem, with what to do. Ends with 1 for a problem."""
    from course_utils.classroom import doctor as examination

    raise typer.Exit(examination.main(as_json=True) if as_json else examination.main())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="serve on this port (default: the first free one from 8888)")] = None,
) -> None:
    """Open JupyterLab on lesson 00. Further options go to JupyterLab, such as --no-browser."""
    course = manifest.load()
    if port is not None and not _is_free(port):
        _stop(f"port {port} is taken. Stop the program that uses it, or choose another: course lab --port {port + 1}")
    _trust(course)
    arguments = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port or FIRST_PORT}",
        f"--ServerApp.port_retries={0 if port else 50}",
        f"--ServerApp.root_dir={course.root}",
        f"--LabApp.default_url=/lab/tree/notebooks/{course.lessons[0].file_name}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *context.args,
    ]
    try:
        raise typer.Exit(subprocess.run(arguments, cwd=course.root).returncode)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@app.command()
def status(
    lesson: Annotated[str | None, typer.Argument(help="this lesson only, such as 03")] = None, as_json: Json = False
) -> None:
    """Show which exercises are passed, tried or open."""
    course, done = manifest.load(), progress.load()
    shown = _lesson(course, lesson).exercises if lesson else tuple(course.exercises())
    if as_json:
        records = [{"id": x.id, "title": x.title, **dataclasses.asdict(done.of(x.id))} for x in shown]
        _print_json({"exercises": records, "passed": sum(x["status"] == "passed" for x in records)}, done.notice)
        return
    table = Table("exercise", "title", box=box.SIMPLE)
    for column in ("status", "attempts", "hints", "passed"):
        table.add_column(column, no_wrap=True)
    for exercise in shown:
        record = done.of(exercise.id)
        mark = "✓ " if record.status == "passed" else ""
        table.add_row(
            exercise.id, exercise.title, mark + record.status, str(record.attempts), str(record.hints), record.passed
        )
    console.print(table)
    passed = sum(done.of(x.id).status == "passed" for x in shown)
    following = next((x for x in shown if done.of(x.id).status != "passed"), None)
    console.print(f"{passed} of {len(shown)} passed.", end=" ")
    if following:
        console.print(
            f"Next: {following.id} {following.title}, in exercises/{course.lesson(following.lesson_id).file_name}"
        )
    else:
        console.print("The lesson is complete." if lesson else "The course is complete.")
    if done.notice:
        console.print(f"Note: {done.notice}")


@app.command()
def hint(
    exercise: Annotated[str, typer.Argument(help="such as 01.2")],
    level: Annotated[int | None, typer.Argument(help="1 is the vaguest; default: the next one")] = None,
) -> None:
    """Show a hint for an exercise."""
    from course_utils.classroom import exercises

    try:
        text = repr(exercises.hint(exercise, level))
    except ValueError as error:
        _stop(str(error))
    typer.echo(re.sub(r'hint\("([^"]+)", (\d+)\)', r"course hint \1 \2", text))


@app.command()
def reset(lesson: Annotated[str, typer.Argument(help="such as 01, or 01_tracing")]) -> None:
    """Bring a lesson's exercise notebook back to its first state. Your version is kept in exercises/kept/."""
    from course_utils.classroom import learner_files

    course = manifest.load()
    found = _lesson(course, lesson)
    try:
        kept = learner_files.reset(course, found.id)
    except learner_files.LearnerFilesError as error:
        _stop(str(error))
    typer.echo(
        f"exercises for lesson {found.id} are as new; "
        + (f"your version: {kept}" if kept else "nothing was changed in them")
    )


@app.command()
def inspect(
    file: Annotated[str, typer.Argument(help="a model file, such as model.pt")],
    code: Annotated[str | None, typer.Option(help="print the code of this method, such as forward")] = None,
    as_json: Json = False,
    everything: Annotated[bool, typer.Option("--all", help="print long lists whole")] = False,
) -> None:
    """Look inside a model file without loading it and without running any of it.

    Ends with 0 where nothing was found against it; with 1 for a finding: a warning (damage is one), or code that acts
    as soon as the file is loaded; with 2 where the file or the arguments cannot be used.
    """
    from course_utils.tools import archive

    try:
        report = archive.inspect(file)
        if as_json:
            _print_json(report.as_dict())
        else:
            typer.echo(report.method(code).source if code else report.text(everything))
    except KeyError as error:
        _stop(str(error.args[0]))
    except archive.ArchiveError as error:
        _stop(str(error))
    raise typer.Exit(0 if report.ok and not report.runs_on_load else 1)


@app.command()
def update() -> None:
    """Get the newest version of the course by git and carry your answers over."""
    from course_utils.classroom import learner_files

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)  # goes through update, which puts everything back

    for name in ("SIGTERM", "SIGHUP"):
        with contextlib.suppress(AttributeError, ValueError):  # Windows has no SIGHUP; a thread may set none
            signal.signal(getattr(signal, name), end)
    try:
        for line in learner_files.update(manifest.load()):
            typer.echo(line)
    except learner_files.LearnerFilesError as error:
        _stop(str(error))


@app.command()
def migrate(
    model: Annotated[str, typer.Argument(help="a TorchScript archive that you trust: trying it runs code in it")],
    inputs: Annotated[
        list[str],
        typer.Option(
            help="an argument of forward; repeat it for each, in order: 1x3x64x64:float32, "
            '"2x5:int64<100", int=3, float=0.5, bool=true, str=sum, none'
        ),
    ],
    into: Annotated[str | None, typer.Option(help="a folder for what is made; nothing in it is replaced")] = None,
    routes: Annotated[str, typer.Option(help="out of convert, onnx, aoti, joined by commas")] = "convert,onnx",
    seconds: Annotated[float, typer.Option(help="time limit for each route")] = 180.0,
    run_anyway: Annotated[
        bool, typer.Option("--run-anyway", "--yes", help="run an archive that inspect warns of, without asking")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try to take an archive out of TorchScript, and prove what came out.

    Repeat --inputs for each argument. Ends with 0 where a route holds, with 1 where none does, with 2 where the archive
    or the arguments cannot be used.
    """
    try:
        findings = _findings(model)
        from course_utils.tools import migration  # imports torch, which takes seconds

        example = tuple(migration.read_input(text) for text in inputs)
        if findings and not run_anyway:
            for line in findings:
                typer.echo(f"  {line}", err=True)
            if not _is_asked(f"{Path(model).name} is not harmless, as far as its text tells. Run it all the same?"):
                _stop(
                    f"{Path(model).name} was not run: look at the lines above and at course inspect. "
                    "If you trust its maker, repeat with --run-anyway."
                )
        wanted = [route.strip() for route in routes.split(",") if route.strip()]
        report = migration.migrate(model, example, into=into, routes=wanted, seconds=seconds, run_anyway=True)
    except ValueError as error:  # ArchiveError and MigrationError
        _stop(str(error))
    if as_json:
        _print_json({**dataclasses.asdict(report), "headline": report.headline, "ok": report.ok})
    else:
        typer.echo(report.text().replace("(into=…)", "(--into FOLDER)"))
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def zoo(
    only: Annotated[list[str] | None, typer.Option(help="this model only; may be given several times")] = None,
    output: Annotated[Path | None, typer.Option(help="the table (default: docs/zoo.json of the course)")] = None,
    memory: Annotated[float | None, typer.Option(help="GiB for a model (default: half of what is free)")] = None,
    again: Annotated[bool, typer.Option("--again", help="make rows anew that are there already")] = False,
) -> None:
    """Convert every torchvision classifier and compare it with eager: half an hour, and it goes on where it ended.

    Ends with 0 where every row was made, with 1 where one failed, with 2 where the arguments cannot be used.
    """
    import psutil

    from course_utils.classroom.backends import zoo as table

    path = output or manifest.load().root / "docs" / "zoo.json"
    memory = memory or psutil.virtual_memory().available / 2**31
    try:
        known = table.names()
        if unknown := [name for name in only or () if name not in known]:
            _stop(f"there is no model {unknown[0]!r}; the names are those of torchvision.models.list_models()")
        open_rows = table.missing(path, only or known, again=again)
        failed = 0
        with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
            task = bar.add_task("converting", total=len(open_rows))
            for row in table.fill(path, open_rows, memory_gib=memory, again=again):
                steps = ", ".join(f"{name} {step.text}" for name, step in row.steps.items())
                console.print(f"{row.model}: {'; '.join(filter(None, [steps, row.failed]))}", markup=False)
                failed += bool(row.failed)
                bar.advance(task)
        console.print(table.load(path).summary(), markup=False)
    except table.ZooError as error:
        _stop(str(error))
    except KeyboardInterrupt:
        _stop("interrupted; every finished row is in the table, and the same command goes on from there")
    raise typer.Exit(1 if failed else 0)


def main() -> None:
    """Entry point: an error of the manifest is a sentence, not a traceback."""
    try:
        app()
    except manifest.ManifestError as error:
        _stop_plain(str(error))


def _trust(course: manifest.Course) -> None:
    """Sign the course's own notebooks, since JupyterLab shows the stored drawings only of notebooks it trusts."""
    import nbformat
    from nbformat.sign import NotebookNotary

    notary = NotebookNotary()
    with contextlib.closing(notary.store):
        for path in [course.notebook(x) for x in course.lessons] + [course.solution(x) for x in course.lessons]:
            # A missing or damaged file, or no place to note it: the drawings show as text until run.
            with contextlib.suppress(Exception):
                notary.sign(nbformat.read(path, as_version=4))


def _lesson(course: manifest.Course, given: str) -> manifest.Lesson:
    """The lesson meant by 01, 1, 01.2, 01_tracing or its file. Ends the command for anything else."""
    name = Path(given).name
    number = re.match(r"(\d+)(?:[._].*)?$", name)
    meant = number[1].zfill(2) if number else name
    for lesson in course.lessons:
        if lesson.id == meant and (name.partition("_")[1] == "" or name.removesuffix(".ipynb") in lesson.file_name):
            return lesson
    near = [x.id for x in course.lessons if x.id == meant or (len(name) > 2 and name.lower() in x.file_name)]
    known = ", ".join(x.id for x in course.lessons)
    _stop(f"there is no lesson {given!r}; " + (f"did you mean {near[0]}?" if near else f"the lessons are {known}"))
    raise AssertionError


def _findings(model: str) -> list[str]:
    """What is to be known of an archive before it runs. ``ArchiveError`` for what is no file to look at."""
    from course_utils.tools import archive

    return list(archive.inspect(model, check=False).dangers)


def _is_asked(question: str) -> bool:
    """The answer of a person at a terminal; no where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm(question, default=False, err=True)


def _print_json(found: dict[str, Any], notice: str = "") -> None:
    typer.echo(json.dumps(found, indent=1, ensure_ascii=False, default=str))
    if notice:
        typer.echo(f"course: {notice}", err=True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _stop(message: str) -> None:
    typer.echo(f"course: {message}", err=True)
    raise typer.Exit(2)


def _stop_plain(message: str) -> None:
    sys.stderr.write(f"course: {message}\n")
    sys.exit(2)
