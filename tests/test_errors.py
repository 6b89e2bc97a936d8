"""One sentence from an exception of torch: the real ones, raised here."""
# No `from __future__ import annotations` here: this file holds code that is scripted.

import importlib
import pkgutil
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from course_utils.core.errors import CourseError, compiled_line, one_line


def refuses(x: Tensor) -> Tensor:
    if bool(x.sum() > 0):
        raise ValueError("the first line\nsecond: the other half")
    return x


def asserts(x: Tensor) -> Tensor:
    assert bool(x.sum() > 10), "too small"
    return x


def reshapes(x: Tensor) -> Tensor:
    return x.reshape(7)


def forks(x: Tensor) -> Tensor:
    return torch.jit.wait(torch.jit.fork(asserts, x))


def asks_for_nothing(x: Tensor) -> Tensor:
    return x.no_such_attribute


def calls_it(x: Tensor) -> Tensor:
    return asks_for_nothing(x)


def gives_text(x: Tensor) -> Tensor:
    return torch.relu("x")


class Logs(nn.Module):
    @torch.jit.ignore
    def log(self, x: Tensor) -> None:
        raise KeyError("no such log")

    def forward(self, x: Tensor) -> Tensor:
        self.log(x)
        return x


def raised(action: Callable[[], object]) -> BaseException:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BaseException) as caught:
            action()
    return caught.value


def run(function: Callable) -> BaseException:
    return raised(lambda: torch.jit.script(function)(torch.ones(2)))


@pytest.mark.parametrize(
    "function, sentence, line",
    [
        (refuses, "torch.jit.Error: builtins.ValueError: the first line", 'raise ValueError("the first line\\nsecond'),
        (asserts, "torch.jit.Error: RuntimeError: AssertionError: too small", 'assert bool(x.sum() > 10), "too small"'),
        (reshapes, "RuntimeError: shape '[7]' is invalid for input of size 2", "return x.reshape(7)"),
        (forks, "RuntimeError: AssertionError: too small", 'assert bool(x.sum() > 10), "too small"'),
        (Logs(), "RuntimeError: KeyError: 'no such log'", "self.log(x)"),
        (
            calls_it,
            "RuntimeError: 'Tensor' object has no attribute or method 'no_such_attribute'.",
            "return x.no_such_attribute",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_cause_and_the_line(function: Callable, sentence: str, line: str) -> None:
    error = run(function)
    assert one_line(error) == sentence
    assert compiled_line(error).startswith(line)


def test_arguments_that_do_not_fit_say_which() -> None:
    error = run(gives_text)
    assert one_line(error).startswith("RuntimeError: ") and "Expected a value of type 'Tensor'" in one_line(error)


def test_an_error_of_python_points_at_no_compiled_line() -> None:
    assert compiled_line(raised(lambda: 1 // 0)) == ""
    assert one_line(raised(lambda: 1 // 0)) == "ZeroDivisionError: integer division or modulo by zero"


def test_an_explanation_is_added() -> None:
    error = RuntimeError("cond doesn't work.\n  Explanation: the predicate has one dimension\n  Hint: none")
    assert one_line(error) == "RuntimeError: cond doesn't work. the predicate has one dimension"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("in /some/deep/place/model.py line 3", "in model.py line 3"),
        ("in C:\\Users\\x y\\model.py", "in model.py"),
        (
            "C:/Users/Jane Doe/a.py, or see https://pytorch.org/docs/stable/x.html",
            "a.py, or see https://pytorch.org/docs/stable/x.html",
        ),
        ("/tmp/a.py or /tmp/b.py and/or c", "a.py or b.py and/or c"),
        ("'D:\\one\\two.pt': not found", "'two.pt': not found"),
        ("ratio 3/4 of x/y", "ratio 3/4 of x/y"),
    ],
)
def test_folders_are_left_out(message: str, shown: str) -> None:
    assert one_line(ValueError(message)) == f"ValueError: {shown}"


def test_a_long_message_is_cut() -> None:
    line = one_line(ValueError("x" * 999))
    assert line.endswith("x…") and len(line) == len("ValueError: ") + 400


def test_a_traceback_that_marks_no_line_ends_in_the_cause() -> None:
    error = RuntimeError(
        "The following operation failed in the TorchScript interpreter.\n"
        "Traceback of TorchScript (most recent call last):\n  in forward\nRuntimeError: sizes do not match\n"
    )
    assert one_line(error) == "RuntimeError: sizes do not match"


def test_a_type_is_said_once() -> None:
    assert one_line(RuntimeError("RuntimeError: RuntimeError: it failed")) == "RuntimeError: it failed"
    assert one_line(ValueError("RuntimeError: it failed")) == "ValueError: RuntimeError: it failed"


def test_the_numbers_of_values_are_left_out() -> None:
    error = ValueError("no such export  [Caused by the value '110 defined in (%110 : Long()\n = onnx::Constant())' …]")
    assert one_line(error) == "ValueError: no such export"


def test_every_exception_of_core_and_tools_is_one_of_the_course() -> None:
    import course_utils.core
    import course_utils.tools

    found = []
    for room in (course_utils.core, course_utils.tools):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            for kind in vars(importlib.import_module(module.name)).values():
                if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == module.name:
                    found.append(kind)
    assert len(found) > 5 and [kind.__name__ for kind in found if not issubclass(kind, CourseError)] == []
