"""The rules of the course: each takes a course and returns the sentences that say what breaks it.

A sentence names the file and the cell, and ends with what to do. An empty list means that the rule is kept. Nothing is
run and nothing is fetched here; `RULES` lists every rule, and the tests plant a defect for each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from course_utils.authoring.rules import files, links, machine, prose
from course_utils.classroom.manifest import Course, Exercise

Rule = Callable[[Course], list[str]]
RULES: tuple[Rule, ...] = (
    files.files_agree,
    files.derived_files_agree,
    files.notebooks_are_canonical,
    files.exercises_are_complete,
    files.nothing_is_left_to_write,
    files.uncompared_cells_are_listed,
    files.readme_is_true,
    links.links_lead_somewhere,
    links.named_commands_exist,
    machine.nothing_names_a_machine,
    prose.cells_fit_a_screen,
    prose.prose_is_calm,
    prose.minutes_follow_from_length,
    prose.lessons_have_their_sections,
    prose.figures_have_captions,
    prose.outputs_are_expected,
)
_OF_THE_WHOLE_COURSE = (files.files_agree, files.derived_files_agree)


def problems_of(course: Course, exercise: Exercise) -> list[str]:
    """What breaks a rule in the files of one exercise: those of its lesson, its check and its wrong answers."""
    lesson = course.lesson(exercise.lesson_id)
    part = replace(course, lessons=(lesson,))
    module, answers = f"checks/lesson_{lesson.id}.py", f"ex_{exercise.id.replace('.', '_')}.py"
    mine = (lesson.file_name, module, answers, exercise.id, "README.md: differs")
    found = [problem for rule in RULES for problem in rule(course if rule in _OF_THE_WHOLE_COURSE else part)]
    return [problem for problem in found if any(name in problem for name in mine)]
