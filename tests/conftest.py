"""Before any test: no network, and a progress file that isn't the learner's."""

from pathlib import Path

from course_utils.authoring.isolation import isolate

isolate(Path(__file__).resolve().parent.parent)
