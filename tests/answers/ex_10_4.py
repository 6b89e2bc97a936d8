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


@wrong("the reason is another")
def the_whole_text():
    def ask(model, x):
        try:
            return "value", model(x)
        except torch.jit.Error as error:
            return "refused", str(error)
        except RuntimeError as error:
            return "failed", str(error)

    return ask


@wrong("the reason is another")
def with_builtins():
    def ask(model, x):
        try:
            return "value", model(x)
        except torch.jit.Error as error:
            return "refused", str(error).strip().splitlines()[-1]
        except RuntimeError as error:
            return "failed", reason(error)

    return ask


@wrong("An interrupt is taken for an answer")
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


@right
def by_not_being_a_runtime_error():
    def ask(model, x):
        try:
            return "value", model(x)
        except Exception as error:
            return "failed" if isinstance(error, RuntimeError) else "refused", reason(error)

    return ask
