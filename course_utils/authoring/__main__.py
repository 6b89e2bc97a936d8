"""Commands for contributors; `make help` lists most of them under a name of their own."""

from __future__ import annotations

import datetime
import os
import tempfile
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from course_utils.authoring import notebooks, uncompared
from course_utils.classroom import generate, manifest, notebook_files

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.command()
def refresh() -> None:
    """Make exercises/, the header and footer of every notebook, and the README table."""
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
def new(
    exercise_id: Annotated[str, typer.Argument(metavar="ID", help="such as 01.6: the next one of its lesson")],
    title: Annotated[str, typer.Argument(help="such as 'A trace for every size'")],
) -> None:
    """Write every piece of a new exercise: its entry in course.toml, its cells, its check, wrong and right answers."""
    from course_utils.authoring import new_exercise

    course = manifest.load()
    try:
        written = new_exercise.write(course, exercise_id, title)
    except new_exercise.NewExerciseError as error:
        _stop(f"{error}. Nothing was written.")
    for path in written:
        typer.echo(f"wrote {path.relative_to(course.root).as_posix()}")
    manifest._load.cache_clear()
    refresh()
    lesson = exercise_id.partition(".")[0]
    typer.echo(
        f"\n{exercise_id} works already, around a function that returns its input. Next:\n"
        "  1. Replace the text, the answer and the explanation in solutions/, and minutes and hints in course.toml.\n"
        "  2. Write the check, then the wrong and right answers that try it.\n"
        f"  3. make check ID={exercise_id} says in seconds what is left to do; run it often.\n"
        f"  4. make run LESSON={lesson} stores the outputs and makes exercises/.\n"
        f"  5. make mutants ARGS={exercise_id}, then make test."
    )


@app.command()
def check(
    exercise_id: Annotated[str, typer.Argument(metavar="[ID]", help="such as 01.6; without it, the rules of all")] = "",
) -> None:
    """Check one exercise in seconds, or the rules of the whole course.

    For an exercise: the rules in its files, the untouched exercise, the worked answer, wrong and right answers.
    """
    from course_utils.authoring import check_exercise, rules

    course = manifest.load()
    if not exercise_id:
        broken = [problem for rule in rules.RULES for problem in rule(course)]
        typer.echo("\n".join(broken) or f"The {len(rules.RULES)} rules of the course are kept.")
        raise typer.Exit(1 if broken else 0)
    try:
        exercise = course.exercise(exercise_id)
    except KeyError as error:
        _stop(str(error.args[0]))
    typer.echo(f"{exercise.id} {exercise.title}")
    problems = 0
    for line in check_exercise.examine(course, exercise):
        problems += not line.ok
        typer.echo(str(line))
    if problems:
        typer.echo(f"{problems} problem{'s' * (problems > 1)}; correct them and run this again.")
        raise typer.Exit(1)
    typer.echo(f"Nothing to correct. Next: make mutants ARGS={exercise.id}, then make test.")


@app.command()
def store() -> None:
    """Run lesson 09 and its solutions with programs built here, and store what they print in cpp/stored.json."""
    from course_utils.classroom.backends import cpp

    if cpp.compiler() is None:
        raise typer.BadParameter(f"there is no C++ compiler here. {cpp.how_to_install()}")
    course = manifest.load()
    lesson = course.lesson("09")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[cpp.RECORD_VARIABLE] = folder
        try:
            for path in (course.notebook(lesson), course.solution(lesson)):
                notebooks.run(path)
        finally:
            del os.environ[cpp.RECORD_VARIABLE]
        path = cpp.write_stored(Path(folder), datetime.date.today().isoformat())
    typer.echo(f"wrote {path.relative_to(course.root)}")


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
            for line in uncompared.read_allowlist(course.root / uncompared.ALLOWLIST)
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


def _stop(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
