"""The checks of the tiny course. Its notebooks import this module, which registers them; the real course has none."""

from course_utils.classroom.checks import NotYet, check_for


@check_for("90.1")
def vowels(answer):
    """`answer(word)` is the number of vowels in a word of lower case letters."""
    for word, count in (("trace", 2), ("script", 1), ("", 0)):
        got = answer(word)
        if got != count:
            seen = {"input": repr(word), "your answer": repr(got), "right": repr(count)}
            raise NotYet(f"`{word!r}` is counted wrong.", seen=seen, look_at="Which letters are vowels?")


@check_for("90.2")
def word(answer):
    """A word of five letters."""
    if len(answer) != 5:
        raise NotYet(f"The word has {len(answer)} letters.", look_at="Five letters are asked for.")
