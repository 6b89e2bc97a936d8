"""The base class of the course's own exceptions; and what a person needs from one of torch: its cause, and the line.

TorchScript puts the cause in different places. An error of compiled code ends with it, after a traceback of its own; an
error of the compiler begins with it; an error of Python code that compiled code calls is followed by the frames of
Python ("At:"). Dynamo and torch.export say the reason in a line of its own, "Explanation:".
"""

from __future__ import annotations

import re

from course_utils.core.report import cut

LONGEST = 400
_HERE = "<--- HERE"
_PYTHON_FRAMES = "\n\nAt:\n"
_COMPILED = "Traceback of TorchScript"
# The folders before the name of a file; an address on the web is none. Behind a drive's letter they may have blanks.
_FOLDER = re.compile(
    r"""(?<![\w.])(?<!:/)(?!//)(?:[A-Za-z]:[\\/](?:[^\s:"'\\/](?:[^:"'\\/\n]*[^\s:"'\\/])?[\\/])*|[\\/][^\s:"']*[\\/])"""
    r"""([^\s\\/:"']+)"""
)
_EXPLANATION = re.compile(r"^\s*(?:Explanation|Reason): (.+)$", re.MULTILINE)
# The ONNX exporter's note on the node: numbers of values, which are others in the next run.
_NODE = re.compile(r"\s*\[Caused by the value .*", re.DOTALL)
_MISFIT = re.compile(r"^\s*((?:Expected a|Unknown keyword|Argument \w+ not|Too many|expected at).+)$", re.MULTILINE)


class CourseError(Exception):
    """The base of every exception class of the course. The text is one sentence, then what to do."""


def one_line(error: BaseException) -> str:
    """Type and message of an error, without folders, at most 400 characters of it."""
    name = "torch.jit.Error" if type(error).__module__ == "torch.jit" else type(error).__name__
    said = _cause(str(error))
    if not said:
        return f"{name} (without a message)"
    said = _FOLDER.sub(r"\1", said)
    while said.startswith(f"{name}: "):  # compiled code says the type once more
        said = said[len(name) + 2 :]
    return f"{name}: {cut(said, LONGEST)}"


def compiled_line(error: BaseException) -> str:
    """The line of source that an error of TorchScript points at, or nothing.

    The compiler names the innermost place first; the interpreter, like Python, last.
    """
    lines = str(error).splitlines()
    marked = [number for number, line in enumerate(lines) if line.rstrip().endswith(_HERE)]
    if not marked or marked[0] == 0:
        return ""
    chosen = marked[-1] if _COMPILED in str(error) else marked[0]
    return lines[chosen - 1].strip()


def _cause(text: str) -> str:
    text = _NODE.sub("", text.split(_PYTHON_FRAMES)[0])
    if _COMPILED in text:  # code without debug information is not shown: then nothing is marked
        after = text.rsplit(_HERE if _HERE in text else _COMPILED, 1)[1].splitlines()
        for line in after[1:]:
            if line.strip() and not line[0].isspace():
                return line.strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    first = lines[0]
    more = _MISFIT.search(text) if first.startswith("Arguments for call are not valid") else _EXPLANATION.search(text)
    if more:
        first = f"{first} {more[1].strip()}"
    return first.removesuffix(":") if _HERE in text else first
