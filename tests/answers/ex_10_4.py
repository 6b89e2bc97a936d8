"""Answers to 10.4: a value, a refusal of the model, or a failure of an operator."""

import torch

from tests.answers import right, wrong


def reason(error):
    return str(error).strip().splitlines()[-1].removeprefix("builtins.")


@wrong("lets an error through: the model itself raised")
def runtime_errors_only():
    def ask(model, x):
        try:
            return "value", model(x)
        except RuntimeError as error:
            return "failed", reason(error)

    return ask


@wrong("lets an error through: the model itself raised")
def as_in_eager():
    def ask(model, x):
        try:
            return "value", model(x)
        except (ValueError, AssertionError, IndexError) as error:
            return "refused", reason(error)
        except RuntimeError as error:
            return "failed", reason(error)

    return ask


@wrong("lets an error through: an operator failed")
def refusals_only():
    def ask(model, x):
        try:
            return "value", model(x)
        except torch.jit.Error as error:
            return "refused", reason(error)

    return ask


@wrong("you say 'failed'")
def one_for_all():
    def ask(model, x):
        try:
            return "value", model(x)
        except Exception as error:
            return "failed", reason(error)

    return ask


@wrong("you say 'failed'")
def by_the_text():
    def ask(model, x):
        try:
            return "value", model(x)
        except Exception as error:
            return "failed" if "RuntimeError" in str(error) else "refused", reason(error)

    return ask


@wrong("the reason is wrong")
def the_whole_text():
    def ask(model, x):
        try:
            return "value", model(x)
        except torch.jit.Error as error:
            return "refused", str(error)
        except RuntimeError as error:
            return "failed", str(error)

    return ask


@wrong("the reason is wrong")
def with_builtins():
    def ask(model, x):
        try:
            return "value", model(x)
        except torch.jit.Error as error:
            return "refused", str(error).strip().splitlines()[-1]
        except RuntimeError as error:
            return "failed", reason(error)

    return ask


@wrong("An interrupt is treated as an answer")
def catches_everything():
    def ask(model, x):
        try:
            return "value", model(x)
        except BaseException as error:
            return "refused" if isinstance(error, torch.jit.Error) else "failed", reason(str(error) or "?")

    return ask


@right
def by_the_class():
    def ask(model, x):
        try:
            return ("value", model(x))
        except (torch.jit.Error, RuntimeError) as error:
            return ["refused" if isinstance(error, torch.jit.Error) else "failed", reason(error)]

    return ask


@right
def other_order_of_the_classes():
    def ask(model, x):
        try:
            value = model(x)
        except RuntimeError as error:
            return "failed", reason(error)
        except torch.jit.Error as error:
            return "refused", reason(error)
        return "value", value

    return ask


@wrong("A TypeError is treated as an answer of the model")
def by_not_being_a_runtime_error():
    def ask(model, x):
        try:
            return "value", model(x)
        except Exception as error:
            return "failed" if isinstance(error, RuntimeError) else "refused", reason(error)

    return ask


@wrong("A TypeError is treated as an answer of the model")
def all_the_rest_has_failed():
    def ask(model, x):
        try:
            return "value", model(x)
        except torch.jit.Error as error:
            return "refused", reason(error)
        except Exception as error:
            return "failed", reason(error)

    return ask


@wrong("The model is called 2 times for an input that it refuses")
def asked_again():
    def ask(model, x):
        try:
            return "value", model(x)
        except torch.jit.Error:
            pass
        except RuntimeError as error:
            return "failed", reason(error)
        try:
            return "value", model(x)
        except torch.jit.Error as error:
            return "refused", reason(error)

    return ask


@wrong("the reason is wrong")
def cut_at_the_last_dot():
    def ask(model, x):
        try:
            return "value", model(x)
        except (torch.jit.Error, RuntimeError) as error:
            head, colon, rest = str(error).strip().splitlines()[-1].partition(": ")
            word = "refused" if isinstance(error, torch.jit.Error) else "failed"
            return word, head.rsplit(".", 1)[-1] + colon + rest

    return ask


@wrong("The word for four dimensions is 'refused'")
def an_assert_has_failed():
    def ask(model, x):
        try:
            return "value", model(x)
        except (torch.jit.Error, RuntimeError) as error:
            text = reason(error)
            own = isinstance(error, torch.jit.Error) and "AssertionError" not in text
            return "refused" if own else "failed", text

    return ask


@wrong("The word for ten numbers, for which a fork raises, is 'failed'")
def by_the_name_in_the_text():
    def ask(model, x):
        try:
            return "value", model(x)
        except torch.jit.Error as error:
            return "refused", reason(error)
        except RuntimeError as error:
            return "failed" if reason(error).startswith("RuntimeError") else "refused", reason(error)

    return ask


@right
def by_the_exact_type():
    def ask(model, x):
        words = {torch.jit.Error: "refused", RuntimeError: "failed"}
        try:
            value = model(x)
        except tuple(words) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            return words[type(error)], lines[-1].strip().removeprefix("builtins.")
        else:
            return "value", value

    return ask
