"""``python -m course_utils.authoring VERB``: the maintainer's verbs, each also a line of the Makefile."""

from __future__ import annotations

import datetime
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from course_utils.authoring import notebooks, uncompared
from course_utils.classroom import generate, manifest, notebook_files

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.command()
def refresh() -> None:
    """Make exercises/, the header and footer of every notebook, and the README table anew."""
    for path, text in generate.derived_files(manifest.load()):
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            typer.echo(f"wrote {path.relative_to(manifest.course_root())}")


@app.command()
def run(lesson: Annotated[str, typer.Argument(help="such as 03, or all")] = "all") -> None:
    """Run a lesson's notebook and its solutions in a fresh kernel and write them back in canonical form."""
    course = manifest.load()
    if lesson not in ("all", *(x.id for x in course.lessons)):
        known = ", ".join(x.id for x in course.lessons)
        raise typer.BadParameter(f"there is no lesson {lesson}; the lessons are {known}")
    rules = course.root / "tests" / "sanitize.cfg"
    for chosen in course.lessons:
        if lesson not in ("all", chosen.id):
            continue
        paths = [course.notebook(chosen)] + ([course.solution(chosen)] if chosen.exercises else [])
        for path in paths:
            typer.echo(f"running {path.relative_to(course.root)}")
            notebook_files.write(notebooks.canonical(notebooks.run(path), rules), path)
    refresh()


@app.command()
def store() -> None:
    """Record what C++ programs, AOTInductor packages and ExecuTorch give here, for machines that lack them.

    Runs lesson 09, its solutions and lesson 12 with programs built here, and ExecuTorch where it is installed.
    """
    from course_utils.classroom import models
    from course_utils.classroom.backends import cpp, cpp_build, executorch, recorded

    if cpp.compiler() is None:
        raise typer.BadParameter(f"there is no C++ compiler here. {cpp.how_to_install()}")
    course = manifest.load()
    outside, leaving = course.lesson("09"), course.lesson("12")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[recorded.RECORD_VARIABLE] = folder
        try:
            for path in (course.notebook(outside), course.solution(outside), course.notebook(leaving)):
                typer.echo(f"running {path.relative_to(course.root)}")
                notebooks.run(path)
            if executorch.interpreter():
                executorch.digits(models.train_digit_net(), models.digit_images()[2])
        finally:
            del os.environ[recorded.RECORD_VARIABLE]
        facts: dict[str, dict[str, object]] = {
            "cpp": {"compiler": cpp.compiler(), "sources": cpp_build.sources_digest()},
            "aoti": {"compiler": cpp.compiler()},
        }
        done = recorded.write(Path(folder), datetime.date.today().isoformat(), facts)
    typer.echo(f"wrote {', '.join(done)} to {recorded.FILE.relative_to(course.root)}")


@app.command()
def portable(
    only: Annotated[list[str] | None, typer.Option(help="a surrounding by name; may be given again")] = None,
    tests: Annotated[list[str] | None, typer.Argument(help="what to run in place of all that is compared")] = None,
) -> None:
    """Run what is compared and judged as other machines would: other kernels, threads, no compiler, cold, busy."""
    from course_utils.authoring import portable as surroundings

    course = manifest.load()
    known = {x.name: x for x in surroundings.SURROUNDINGS}
    if unknown := set(only or ()) - set(known):
        raise typer.BadParameter(f"there is no surrounding {min(unknown)}; the surroundings are {', '.join(known)}")
    chosen = [known[name] for name in only or known]
    rows = []
    for number, surrounding in enumerate(chosen, start=1):
        typer.echo(f"{number} of {len(chosen)}: {surrounding.what} …")
        rows.append(surroundings.run(course.root, surrounding, tuple(tests or ())))
        for name in rows[-1].failed:
            typer.echo(f"    {name}")
    typer.echo("\n" + "\n".join(map(str, rows)))
    stable = []
    if not only and not tests:
        listed = {
            line.notebook
            for line in uncompared.read_ledger(course.root / uncompared.LEDGER)
            if line.varies == "machine"
        }
        rules = course.root / "tests" / "sanitize.cfg"
        stable = [x for name in sorted(listed) for x in uncompared.stable_cells(course.root, name, rules)]
        typer.echo("\n".join(stable) or "Each cell that is listed as different on another machine is.")
    if stable or not all(row.ok for row in rows):
        raise typer.Exit(1)


@app.command()
def mutants(
    which: Annotated[str, typer.Argument(help="an exercise such as 03.2, a lesson such as 03, or all")] = "all",
) -> None:
    """Plant faults in the worked answers, and name those that a check lets pass without a reason."""
    from course_utils.authoring import mutation

    course = manifest.load()
    lesson_id, _, number = which.partition(".")
    if which != "all" and lesson_id not in (x.id for x in course.lessons):
        raise typer.BadParameter(f"there is no lesson {lesson_id}; give one such as 03, 03.2 or all")
    explained = mutation.read_explained(course.root / mutation.EXPLAINED)
    unexplained = 0
    for lesson in course.lessons:
        if not lesson.exercises or (which != "all" and lesson.id != lesson_id):
            continue
        verdicts = list(mutation.run_lesson(course, lesson, which if number else ""))
        for exercise in lesson.exercises:
            mine = [x for x in verdicts if x.mutant.exercise_id == exercise.id]
            alive = [x for x in mine if x.survived]
            open_ones = [x for x in alive if not any(line.covers(x.mutant) for line in explained)]
            unexplained += len(open_ones)
            if mine:
                counts = f"{len(mine) - len(alive)} of {len(mine)} found, {len(alive) - len(open_ones)} explained"
                typer.echo(f"{exercise.id}  {counts}")
            for survivor in open_ones:
                typer.echo(f"    {survivor.mutant}")
    raise typer.Exit(1 if unexplained else 0)


@app.command()
def models(
    only: Annotated[list[str] | None, typer.Option(help="a part of a name, such as kornia; may be given again")] = None,
    seconds: Annotated[float, typer.Option(help="the limit for one model")] = 300,
) -> None:
    """Try the tools on models of five libraries with random weights, and store the table in tests/real_models.md."""
    from importlib.metadata import version

    from course_utils.authoring import model_cases, real_models

    chosen = [name for name in model_cases.CASES if not only or any(part in name for part in only)]
    if not chosen:
        raise typer.BadParameter(f"no model has that in its name; there are {', '.join(model_cases.CASES)}")
    try:
        python = real_models.interpreter()
    except real_models.ModelsError as error:
        typer.echo(f"models: {error}", err=True)
        raise typer.Exit(1) from None
    used = real_models.versions(real_models.LOCK.read_text(encoding="utf-8"))
    rows = real_models.stored_rows(real_models.STORED, used)
    typer.echo("| " + " | ".join(real_models.COLUMNS) + " |")
    failed = 0
    for number, name in enumerate(chosen, start=1):
        typer.echo(f"{number} of {len(chosen)}: {name} …", err=True)
        row = real_models.run(name, python, seconds=seconds)
        failed += not row.ok
        rows[name] = str(row)
        typer.echo(str(row))
        lines = [rows[known] for known in model_cases.CASES if known in rows]
        text = real_models.table(lines, used, version("torch"))
        real_models.STORED.write_text(text, encoding="utf-8", newline="\n")
    typer.echo(real_models.totals(lines))
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
