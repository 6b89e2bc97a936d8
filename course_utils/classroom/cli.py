"""The command of the TorchScript course.

For learners: doctor, lab, status, hint, reset and update. For your own model files: inspect and migrate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import sys
import sysconfig
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from course_utils.classroom import calls, learner_files, manifest, progress

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
console = Console()
FIRST_PORT = 8888
Json = Annotated[bool, typer.Option("--json", help="print one JSON object instead of text")]


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
    """Check this environment.

    Each line of the report is ok, a warning or a problem, with what to do about it. Exit status: 1 if there is a
    problem, else 0.
    """
    from course_utils.classroom import doctor as examination

    raise typer.Exit(examination.main(as_json=True) if as_json else examination.main())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="port to serve on (default: the first free port from 8888)")] = None,
) -> None:
    """Open JupyterLab on lesson 00.

    Other options, such as --no-browser, are passed to JupyterLab.
    """
    course = manifest.load()
    if port is not None and not _is_free(port):
        _stop(f"port {port} is in use. Stop the program that uses it, or choose another: course lab --port {port + 1}")
    _trust(course)
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port or FIRST_PORT}",
        f"--ServerApp.port_retries={0 if port else 50}",
        f"--ServerApp.root_dir={course.root}",
        f"--LabApp.default_url=/lab/tree/notebooks/{course.lessons[0].file_name}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *_find_course_in_terminals(),
        f"--LabApp.extra_labextensions_path={Path(__file__).with_name('labextensions')}",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *context.args,
    ]
    try:
        from jupyterlab.labapp import LabApp
    except ModuleNotFoundError as error:
        _stop(f"{error.name} is not installed. Install the course with make lab")
    os.chdir(course.root)
    try:
        LabApp.launch_instance(argv=arguments)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _find_course_in_terminals() -> list[str]:
    """Make `course` and `python` mean this environment in JupyterLab's kernels (!course) and terminals.

    Without a terminal of its own, JupyterLab would start login shells, which on many systems set PATH from scratch.
    """
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    if os.name == "nt":
        return []  # PowerShell keeps the PATH it is given
    shell = os.environ.get("SHELL") or shutil.which("sh") or "/bin/sh"
    return [f"--ServerApp.terminado_settings={ {'shell_command': [shell]} }"]


@app.command()
def status(
    lesson: Annotated[str | None, typer.Argument(help="show each exercise of this lesson, such as 03")] = None,
    as_json: Json = False,
) -> None:
    """Show how many exercises of each lesson you have passed."""
    try:
        overview = calls.status(lesson)
    except ValueError as error:
        _stop(str(error))
    if not as_json:
        typer.echo(repr(overview))
        return
    course, done = manifest.load(), progress.load()
    shown = calls.lesson_named(course, lesson).exercises if lesson else course.exercises()
    records = [{"id": x.id, "title": x.title, **dataclasses.asdict(done.of(x.id))} for x in shown]
    _print_json({"exercises": records, "passed": sum(x["status"] == "passed" for x in records)}, done.notice)


@app.command()
def hint(
    exercise: Annotated[str, typer.Argument(help="an exercise, such as 01.2")],
    level: Annotated[int | None, typer.Argument(help="1 is the least specific (default: the next hint)")] = None,
) -> None:
    """Show a hint for an exercise."""
    from course_utils.classroom import exercises

    try:
        text = repr(exercises.hint(exercise, level))
    except ValueError as error:
        _stop(str(error))
    typer.echo(re.sub(r'hint\("([^"]+)", (\d+)\)', r"course hint \1 \2", text))


@app.command()
def reset(lesson: Annotated[str, typer.Argument(help="a lesson, such as 01 or 01_tracing")]) -> None:
    """Reset a lesson's exercise notebook.

    Your version is kept in exercises/kept/.
    """
    try:
        typer.echo(calls.reset(lesson).done)
    except (ValueError, learner_files.LearnerFilesError) as error:
        _stop(str(error))


@app.command()
def inspect(
    file: Annotated[str, typer.Argument(help="a model file, such as model.pt")],
    code: Annotated[str | None, typer.Option(help="print the code of this method, such as forward")] = None,
    as_json: Json = False,
    everything: Annotated[bool, typer.Option("--all", help="do not shorten long lists")] = False,
) -> None:
    """Look inside a model file without loading it.

    None of its code is run. Exit status: 0 if there are no findings; 1 for a warning (damage is one) or for code that
    runs as soon as the file is loaded; 2 if the file or the arguments cannot be used.
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
    """Update the course and keep your answers.

    Gets the newest version with git. A copy of each notebook that you changed goes to kept/ in its folder.
    """

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
    model: Annotated[str, typer.Argument(help="a TorchScript file that you trust: migrating it runs its code")],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            help="one argument of forward; repeat the option for each argument, in order: 1x3x64x64:float32, "
            '"2x5:int64<100", int=3, float=0.5, bool=true, str=sum, none',
        ),
    ],
    into: Annotated[str | None, typer.Option(help="output directory; existing files are not overwritten")] = None,
    routes: Annotated[str, typer.Option(help="any of convert, onnx, aoti, separated by commas")] = "convert,onnx",
    seconds: Annotated[float, typer.Option(help="time limit for each route")] = 180.0,
    run_anyway: Annotated[
        bool, typer.Option("--run-anyway", "--yes", help="run the file without asking, even if inspect warns about it")
    ] = False,
    as_json: Json = False,
) -> None:
    """Migrate a TorchScript file and verify each result.

    Exit status: 0 if the result of at least one route matches on every input tried, 1 if none does, 2 if the file or
    the arguments cannot be used.
    """
    try:
        findings = _findings(model)
        from course_utils.tools import migration  # imports torch, which takes seconds

        example = tuple(migration.read_input(text) for text in inputs)
        if findings and not run_anyway:
            for line in findings:
                typer.echo(f"  {line}", err=True)
            if not _is_asked(f"{Path(model).name} may do harm: see the lines above. Run it anyway?"):
                _stop(
                    f"{Path(model).name} was not run: see the lines above and course inspect. "
                    "If you trust its author, repeat with --run-anyway."
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
    only: Annotated[list[str] | None, typer.Option(help="convert only this model; repeat the option for more")] = None,
    output: Annotated[
        Path | None, typer.Option(help="the table to write (default: docs/zoo.json of the course)")
    ] = None,
    memory: Annotated[float | None, typer.Option(help="GiB per model (default: half of the free memory)")] = None,
    again: Annotated[bool, typer.Option("--again", help="recompute existing rows")] = False,
) -> None:
    """Convert and check the torchvision classifiers.

    For instructors and maintainers: takes about 30 minutes and resumes where it stopped. Exit status: 0 if every row
    was made, 1 if one failed, 2 if the arguments cannot be used.
    """
    import psutil

    from course_utils.classroom.backends import zoo as table

    path = output or manifest.load().root / "docs" / "zoo.json"
    memory = memory or psutil.virtual_memory().available / 2**31
    try:
        known = table.names()
        if unknown := [name for name in only or () if name not in known]:
            _stop(f"there is no model {unknown[0]!r}; use a name from torchvision.models.list_models()")
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
        _stop("interrupted; every finished row is in the table, and the same command resumes from there")
    raise typer.Exit(1 if failed else 0)


def main() -> None:
    """Entry point: an error of the manifest is a sentence, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a Windows code page may lack ✓
    try:
        app()
    except manifest.ManifestError as error:
        _stop_plain(str(error))


def _trust(course: manifest.Course) -> None:
    """Sign the course's own notebooks: JupyterLab takes part of the HTML out of stored outputs it does not trust."""
    import nbformat
    from nbformat.sign import NotebookNotary

    notary = NotebookNotary()
    with contextlib.closing(notary.store):
        for path in [course.notebook(x) for x in course.lessons] + [course.solution(x) for x in course.lessons]:
            # A missing or damaged file, or no place to note it: the lessons can be read all the same.
            with contextlib.suppress(Exception):
                notary.sign(nbformat.read(path, as_version=4))


def _findings(model: str) -> list[str]:
    """What is to be known of an archive before it runs. ``ArchiveError`` for what is not a file to look at."""
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
