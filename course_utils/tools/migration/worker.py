"""The child: one step of a migration, where a crash or an endless conversion does no harm."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from course_utils.core import limits
from course_utils.core.cases import Case
from course_utils.core.errors import one_line
from course_utils.core.report import cut

MEMORY_GIB = 16.0


@dataclass
class Job:
    """What a child works on. route: "look", or the route that converts with ``example`` and compares on every case.

    stage: the folder for what is made. single: whether the original returns one tensor and no tuple.
    """

    route: str
    source: str | nn.Module
    cases: list[Case]
    example: Case | None = None
    stage: str = ""
    single: bool = True


@dataclass
class Found:
    """What a child saw, as plain values. results: case, outcome and what was seen; exact: all of them bitwise."""

    error: str = ""
    ended: str = ""  # "crashed" or "timed out"
    facts: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    rejected: dict[str, str] = field(default_factory=dict)
    single: bool = True
    results: tuple[tuple[str, str, str], ...] = ()
    exact: bool = False


def in_child(task: Callable[[Job], Found], job: Job, seconds: float) -> Found:
    """Run a task, a function of a module, in a child. Never raises for what the task does."""
    try:
        if sys.platform != "linux" and isinstance(job.source, str):  # there is no fork
            result = limits.run_in_new_python(work, task, job, seconds=seconds, memory_gib=MEMORY_GIB)
        else:
            # A fork is a copy of this process: what is imported here takes a second, and not again in each of them.
            import torch._export.converter  # noqa: F401

            result = limits.run_limited(lambda: work(task, job), seconds=seconds, memory_gib=MEMORY_GIB)
        found: Found = result.value
        return found
    except limits.TimeLimit:
        return Found(ended="timed out")
    except limits.Crash:
        return Found(ended="crashed")
    except Exception as error:
        return Found(error=reason(error))


def reason(error: BaseException) -> str:
    """The error in one line; of TS2EPConverter, which raises one of its own, the cause."""
    for _ in range(6 if "TS2EPConverter failed" in str(error) else 0):
        error = error.__cause__ or error.__context__ or error
    own_check = r"(?<=: )(\S.*?) ?INTERNAL ASSERT FAILED at .*?please report a bug to PyTorch\."
    return cut(re.sub(own_check, r"torch's own check \1 failed.", one_line(error)), 190)


def work(task: Callable[[Job], Found], job: Job) -> Found:
    """Run the task quietly; what it raises is its error."""
    logging.disable(logging.CRITICAL)
    quiet = io.StringIO()
    with (
        warnings.catch_warnings(),
        torch.no_grad(),
        contextlib.redirect_stderr(quiet),
        contextlib.redirect_stdout(quiet),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            return task(job)
        except Exception as error:
            return Found(error=reason(error))
        finally:
            logging.disable(logging.NOTSET)
