"""``check`` and ``hint``: what a learner sees for each outcome, and what is recorded."""
# No `from __future__ import annotations` here: this file holds code that is scripted.

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.classroom import checks, exercises, progress
from course_utils.classroom.checks import NotYet
from course_utils.classroom.exercises import Hint, Outcome, Status, check, evaluate, hint
from tests import tiny_course

forks = pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs the answer in a forked copy")
INVITATION = 'Write your answer in the cell, then run it. A first hint: hint("90.1")'


@pytest.fixture(autouse=True)
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny course is the course, and the learner has no progress yet."""
    monkeypatch.setenv("COURSE_ROOT", str(tiny_course.copy_to(tmp_path / "course").root))
    monkeypatch.setenv("COURSE_PROGRESS_FILE", str(tmp_path / "progress.json"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path / "course"


@pytest.fixture
def judged_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[checks.Check], None]:
    """Replace the check of 90.1."""
    return lambda run: monkeypatch.setitem(checks._REGISTERED, "90.1", run)


def vowels(word: str) -> int:
    return sum(letter in "aeiou" for letter in word)


def stub(word: str) -> int:
    # YOUR CODE HERE
    raise NotImplementedError


def scripted_stub(x: torch.Tensor) -> torch.Tensor:
    # YOUR CODE HERE
    raise NotImplementedError


class ScriptedStub(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > 0):
            raise NotImplementedError
        return x


def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


class NoForward(torch.nn.Module):
    pass


def fails_in_script(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(7)


# --- the four outcomes


def test_passed() -> None:
    outcome = check("90.1", vowels)
    assert outcome == Outcome("90.1", "Count the vowels", Status.PASSED, next_step="90.2 Name a word")
    assert repr(outcome) == "✓ 90.1 Count the vowels: passed\n  Next: 90.2 Name a word"


def test_the_last_exercise_of_a_lesson_says_so() -> None:
    assert check("90.2", "trace").next_step.startswith("That was the last exercise of this lesson.")


def test_not_yet() -> None:
    outcome = check("90.1", len)
    assert outcome.status == "not yet"
    assert repr(outcome) == (
        "△ 90.1 Count the vowels: not yet\n"
        "  `'trace'` is counted wrong.\n"
        "    input        'trace'\n"
        "    your answer  5\n"
        "    right        2\n"
        "  Next: Which letters are vowels?"
    )


def test_not_yet_without_a_place_to_look_points_at_the_input(judged_by: Callable) -> None:
    def wrong(answer: object) -> None:
        raise NotYet("It is wrong.", seen={"input": torch.ones(2), "nothing": "", "lines": "a\nb"})

    judged_by(wrong)
    outcome = check("90.1", 1)
    assert outcome.next_step == 'Try your answer on the input above, in a cell of its own. A hint: hint("90.1")'
    assert outcome.seen == (("input", "tensor([1., 1.])"), ("lines", "a\nb"))
    assert "    lines  b" not in repr(outcome) and "\n           b\n" in repr(outcome)


def test_raised_shows_the_learners_own_line() -> None:
    def answer(word: str) -> int:
        return len(word) // len("")

    outcome = check("90.1", answer)
    line = answer.__code__.co_firstlineno + 1
    assert outcome.status == "your code raised"
    assert repr(outcome) == (
        "✗ 90.1 Count the vowels: your code raised\n"
        "  ZeroDivisionError: integer division or modulo by zero\n"
        f"    in    answer, line {line}\n"
        '    code  return len(word) // len("")\n'
        '  Next: Start at the line above. A hint: hint("90.1")'
    )


@pytest.mark.parametrize("answer", [..., None, stub], ids=["dots", "None", "stub"])
def test_not_attempted(answer: object) -> None:
    outcome = check("90.1", answer)
    assert repr(outcome) == f"○ 90.1 Count the vowels: not attempted\n  Next: {INVITATION}"


def test_no_answer_is_not_attempted() -> None:
    assert check("90.1").status == "not attempted"


@pytest.mark.parametrize("make", [lambda: scripted_stub, ScriptedStub], ids=["function", "module"])
def test_a_scripted_stub_is_not_attempted(make: Callable, judged_by: Callable) -> None:
    judged_by(lambda answer: answer(torch.ones(2)))
    assert check("90.1", torch.jit.script(make())).status == "not attempted"


def test_torchs_own_not_implemented_error_is_an_error(judged_by: Callable) -> None:
    judged_by(lambda answer: answer(torch.ones(2)))
    outcome = check("90.1", NoForward())
    assert outcome.status == "your code raised"
    assert outcome.what == 'NotImplementedError: Module [NoForward] is missing the required "forward" function'


def test_an_error_that_mentions_the_stub_is_an_error() -> None:
    def answer(word: str) -> int:
        raise ValueError("do not raise NotImplementedError")

    assert check("90.1", answer).status == "your code raised"


def test_a_torchscript_error_says_its_cause(judged_by: Callable) -> None:
    judged_by(lambda answer: answer(torch.ones(2)))
    outcome = check("90.1", torch.jit.script(fails_in_script))
    assert outcome.what == "RuntimeError: shape '[7]' is invalid for input of size 2"
    assert outcome.seen == (("at", "return x.reshape(7)"),)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("no file /home/ada/course/model.pt here", "OSError: no file model.pt here"),
        ("'C:\\Users\\ada\\model.pt' is gone", "OSError: 'model.pt' is gone"),
        ("layout N/C/H/W, 1.5/2/3", "OSError: layout N/C/H/W, 1.5/2/3"),
        ("", "OSError (without a message)"),
        ("first\nsecond", "OSError: first"),
        ("x" * 500, "OSError: " + "x" * 399 + "…"),
    ],
)
def test_messages_carry_no_path(text: str, shown: str) -> None:
    def answer(word: str) -> int:
        raise OSError(text)

    assert check("90.1", answer).what == shown


def test_an_error_without_a_readable_text_is_told() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    def answer(word: str) -> int:
        raise Mute

    outcome = check("90.1", answer)
    assert (outcome.status, outcome.what) == ("your code raised", "ValueError: no words")


# --- an answer and a torch that can be believed


def test_a_replaced_function_of_torch_is_found(judged_by: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    judged_by(lambda answer: torch.jit.trace(answer, (torch.ones(1),)))
    monkeypatch.setattr(torch.jit, "trace", lambda function, *rest, **named: function)
    outcome = check("90.1", vowels)
    assert outcome.status == "not yet" and "`torch.jit.trace` is not the function it was" in outcome.what
    assert "restart the kernel" in outcome.next_step


def test_one_replaced_while_it_is_judged_is_found(judged_by: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "allclose", torch.allclose)  # puts it back where the answer runs in a thread
    judged_by(lambda answer: answer())

    def answer() -> None:
        torch.allclose = lambda *anything, **named: True

    assert "`torch.allclose`" in check("90.1", answer).what


def reads_its_caller() -> int:
    return len(sys._getframe(1).f_locals)


def asks_the_checks() -> object:
    from course_utils.classroom.checks import find

    return find("90.1")


class Asks:
    def __call__(self) -> object:
        return checks.find("90.1")


@pytest.mark.parametrize("answer", [reads_its_caller, asks_the_checks, Asks(), Asks, lambda: reads_its_caller()])
def test_an_answer_that_reads_its_check_is_found(answer: object) -> None:
    outcome = check("90.1", answer)
    if getattr(answer, "__name__", "") == "<lambda>":  # a helper that is called by its global name is not followed
        assert outcome.status == "your code raised"
    else:
        assert outcome.status == "not yet" and outcome.what == "Your answer looks at the check in place of the task."


class Doubler:
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    def method(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


@pytest.mark.parametrize(
    "answer",
    [partial(torch.mul, torch.tensor(2)), Doubler(), Doubler().method, lambda x: x * 2, torch.jit.script(twice)],
    ids=["partial", "object", "bound method", "lambda", "scripted"],
)
def test_a_callable_of_any_kind_is_traced(answer: Callable, judged_by: Callable) -> None:
    def traces(given: Callable) -> None:
        assert torch.jit.trace(given, (torch.ones(2),))(torch.ones(3)).tolist() == [2, 2, 2]

    judged_by(traces)
    assert check("90.1", answer).status == "passed"


def test_a_long_print_is_cut() -> None:
    def answer(word: str) -> int:
        print("\n".join(f"line {number}" for number in range(30)))
        return 0

    assert check("90.1", answer).printed.splitlines()[-2:] == ["line 7", "… and 22 more lines"]


def test_a_first_use_is_not_the_answers_time(judged_by: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def costly() -> None:
        until = time.process_time() + 0.8
        while time.process_time() < until:
            pass

    judged_by(lambda answer: None)
    monkeypatch.setitem(checks._FIRST_USES, "90.1", costly)
    assert check("90.1", vowels, seconds=0.4).status == "passed"


# --- what brings a process down


@forks
def test_an_endless_loop_is_told() -> None:
    def answer(word: str) -> int:
        while True:
            pass

    start = time.monotonic()
    outcome = check("90.1", answer, seconds=0.3)
    assert time.monotonic() - start < 5
    assert outcome.status == "your code raised" and outcome.what.startswith("It was not done after 0.3 s")


@forks
def test_a_crash_is_told() -> None:
    outcome = check("90.1", lambda word: os._exit(1))
    assert outcome.status == "your code raised" and outcome.what.startswith("It ended its Python process.")


@forks
def test_memory_is_told() -> None:
    outcome = check("90.1", lambda word: torch.ones(2**40))
    assert outcome.status == "your code raised" and outcome.what.startswith("It asked for more than 4 GiB")


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_an_exit_is_an_error_of_the_answer(error: BaseException) -> None:
    def answer(word: str) -> int:
        raise error

    assert check("90.1", answer).what.startswith(type(error).__name__)


@forks
def test_the_answer_is_not_changed_by_its_check(judged_by: Callable) -> None:
    judged_by(lambda answer: answer.append(1))
    answer: list[int] = []
    assert check("90.1", answer).status == "passed" and answer == []


def test_what_the_answer_prints_is_shown() -> None:
    def answer(word: str) -> int:
        print("looking at <", word)
        return 2 if word == "trace" else 0

    outcome = check("90.1", answer)
    assert "  Your answer printed:\n    looking at < trace\n    looking at < script\n" in repr(outcome)
    assert "<pre>looking at &lt; trace\nlooking at &lt; script</pre>" in outcome._repr_html_()


# --- HTML


def test_html_says_what_the_text_says() -> None:
    html = check("90.1", len)._repr_html_()
    for text in (
        "△ 90.1 Count the vowels: not yet",
        "<code>&#x27;trace&#x27;</code> is counted",
        "your answer",
        "Which",
    ):
        assert text in html
    assert "<script" not in html and "http" not in html


TEXT = st.text(max_size=20) | st.sampled_from(["<b>", "a & b", "`<i>`", '"quoted"', "<script>alert(1)</script>", "``"])


@settings(deadline=None, max_examples=80)
@given(what=TEXT, label=TEXT, value=TEXT, next_step=TEXT, printed=TEXT, notice=TEXT)
def test_html_lets_no_tag_through(what, label, value, next_step, printed, notice) -> None:
    seen = ((label, value),)
    outcome = Outcome("90.1", "A <title>", Status.NOT_YET, what, seen, next_step, printed, notice)
    html = outcome._repr_html_()
    for tag in ("div", "b", "i", "table", "tr", "td", "pre", "code", "br"):
        html = html.replace(f"</{tag}>", "").replace(f"<{tag}>", "")
    for tag in ("<div style=", "<table style=", "<td style=", "<pre style="):
        html = html.replace(tag, "")
    assert "<" not in html
    assert repr(outcome).startswith("△ 90.1 A <title>: not yet")


def test_only_a_pass_is_drawn_strong() -> None:
    widths = [Outcome("90.1", "T", status)._repr_html_().split("px")[0][-1] for status in Status]
    assert widths == ["2", "2", "2", "4"]


# --- what cannot be checked


@pytest.mark.parametrize("exercise_id", ["99.9", "90", None, 90.1])
def test_an_unknown_exercise_is_told(exercise_id: object) -> None:
    outcome = check(exercise_id, vowels)  # type: ignore[arg-type]
    assert repr(outcome) == (
        f"✗ {exercise_id}: your code raised\n"
        f"  there is no exercise {exercise_id!r}; the exercises are 90.1, 90.2\n"
        "  Next: Correct the exercise number in the cell."
    )
    assert not progress.default_path().exists()


def test_a_missing_manifest_is_told(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_ROOT", str(course / "exercises"))
    assert "course.toml is not in" in repr(check("90.1", vowels))


def test_a_missing_check_is_the_courses_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(checks._REGISTERED, "90.1")
    outcome = check("90.1", vowels)
    assert "exercise '90.1' has no check; write one in checks/lesson_90.py" in outcome.what
    assert outcome.next_step.startswith("Your answer was not looked at.")
    assert not progress.default_path().exists()


@pytest.mark.parametrize("code, says", [("def (", "SyntaxError"), ("import no_such_module", "ModuleNotFoundError")])
def test_a_check_module_with_a_bug_is_the_courses_fault(
    code: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lesson_90.py").write_text(code, encoding="utf-8")
    monkeypatch.delitem(checks._REGISTERED, "90.1")
    monkeypatch.setattr(checks, "__path__", [*checks.__path__, str(tmp_path)])
    outcome = check("90.1", vowels)
    assert says in outcome.what and str(tmp_path) not in repr(outcome)
    assert outcome.next_step.startswith("Your answer was not looked at.")
    assert not progress.default_path().exists()


# --- progress


def test_check_records_and_evaluate_does_not() -> None:
    evaluate("90.1", vowels)
    assert not progress.default_path().exists()
    for answer in (..., len, vowels, len):
        check("90.1", answer)
    record = progress.load().of("90.1")
    assert (record.status, record.attempts, bool(record.passed)) == ("passed", 4, True)


def test_a_problem_with_progress_is_a_note() -> None:
    progress.default_path().write_text("{", encoding="utf-8")
    outcome = check("90.1", vowels)
    assert outcome.status == "passed"
    assert "\n  Note: progress.json was not used: it is not valid JSON." in repr(outcome)
    assert "<i>Note:</i> progress.json was not used" in outcome._repr_html_()


@pytest.mark.parametrize(
    "session, records",
    [
        ("/home/ada/course/solutions/90_counting.ipynb", False),
        ("notebooks/90_counting.ipynb", False),
        ("exercises/90_counting.ipynb", True),
        ("/home/ada/notebooks/solutions/course/exercises/90_counting.ipynb", True),
        ("", True),
    ],
)
def test_lessons_and_solutions_record_nothing(session: str, records: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    assert check("90.1", vowels).status == "passed"
    hint("90.1")
    assert progress.default_path().exists() is records


# --- hints


def test_hints_become_plainer() -> None:
    first, second, again = hint("90.1"), hint("90.1"), hint("90.1")
    assert first == Hint("90.1", 1, 2, "A text can be looped over.")
    assert first.offer == 'More help: hint("90.1", 2)'
    assert repr(first) == f"Hint 1 of 2 for 90.1: A text can be looped over.\n  {first.offer}"
    assert second == again and second.level == 2 and second.offer.startswith("That was the last hint.")
    assert progress.load().of("90.1").hints == 2


def test_a_level_can_be_asked_for() -> None:
    assert hint("90.1", 2).level == 2
    assert hint("90.1", 1).level == 1
    assert progress.load().of("90.1").hints == 2
    assert hint("90.2").level == 1


def test_hints_in_html() -> None:
    html = hint("90.1", 2)._repr_html_()
    assert "<b>Hint 2 of 2 for 90.1</b>" in html and "it is <code>in</code> a text" in html


@pytest.mark.parametrize("level", [0, 3, -1])
def test_a_level_that_is_not_there_is_told(level: int) -> None:
    with pytest.raises(ValueError, match=r"exercise 90\.1 has hints 1 to 2; ask for one of these"):
        hint("90.1", level)


def test_a_hint_for_nothing_is_told() -> None:
    with pytest.raises(ValueError, match=r"there is no exercise '99\.9'; the exercises are 90\.1, 90\.2"):
        hint("99.9")


def test_every_status_has_its_mark() -> None:
    marks = [repr(Outcome("90.1", "T", status))[0] for status in Status]
    assert len(set(marks)) == len(exercises._MARK) == 4


def test_a_check_forgets_builtins_of_torch_that_are_gone() -> None:
    """Else a tuple of a model that got the address of one is taken for it, and a right answer does not compile."""
    import torch.ao.quantization.fx._decomposed
    from torch.jit import _builtins

    from course_utils.classroom.checks import trust

    table = _builtins._get_builtin_table()
    gone = (1, 1, 1, 1)
    table[id(gone)] = "quantized_decomposed::dequantize_per_tensor"
    kept = {id(torch.ops.quantized_decomposed.dequantize_per_tensor._op), id(torch.add)}
    before = len(table)
    trust.forget_dead_builtins()
    assert id(gone) not in table and kept <= set(table)
    assert before - len(table) < 20
    assert _builtins._find_builtin(torch.relu) == "aten::relu"
