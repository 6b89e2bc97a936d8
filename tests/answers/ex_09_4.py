"""Answers to 09.4: a reply to every request, with a sentence where there is no result."""

from pathlib import Path

import torch

from tests.answers import right, wrong


def load(path):
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {Path(path).name}")
    box = torch.jit.load(path)
    if not hasattr(box, "args"):
        raise ValueError("the archive holds no args")
    return box


@wrong("it raised  torch.jit.Error")
def runtime_errors_only():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except (RuntimeError, ValueError, OSError) as error:
            lines = str(error).strip().splitlines()
            return {"ok": False, "error": lines[-1 if "interpreter" in str(error) else 0]}

    return reply


@wrong("your error is more than one line")
def the_whole_text():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            return {"ok": False, "error": str(error)}

    return reply


@wrong("For images of three dimensions your error does not say what went wrong")
def the_first_line():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            return {"ok": False, "error": str(error).splitlines()[0]}

    return reply


@wrong("For a file that was cut off your error does not say what went wrong")
def the_last_line():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            return {"ok": False, "error": "" + str(error).strip().splitlines()[-1][-40:]}

    return reply


@wrong("wrong under 'shape'")
def a_size_as_it_is():
    def reply(module, path):
        try:
            return {"ok": True, "shape": module(*load(path).args).shape}
        except Exception as error:
            return {"ok": False, "error": str(error).strip().splitlines()[-1]}

    return reply


@wrong("a server would have stopped")
def only_the_model_in_try():
    def reply(module, path):
        box = torch.jit.load(path)
        try:
            return {"ok": True, "shape": list(module(*box.args).shape)}
        except Exception as error:
            return {"ok": False, "error": str(error).strip().splitlines()[-1]}

    return reply


@right
def with_the_type_in_front():
    def reply(module, path):
        try:
            return {"ok": True, "shape": [int(n) for n in module(*load(path).args).size()]}
        except Exception as error:
            lines = [x for x in str(error).splitlines() if x.strip()] or [""]
            cause = lines[-1] if "Traceback of TorchScript" in str(error) else lines[0]
            return {"ok": False, "error": f"{type(error).__name__}: {cause}"}

    return reply


@wrong("one line, with the whole text of the error in it")
def all_lines_joined():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            return {"ok": False, "error": " ".join(str(error).split())}

    return reply


@wrong("one line, with the whole text of the error in it")
def the_repr():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            return {"ok": False, "error": repr(error)}

    return reply


@wrong("your error is more than one line")
def with_a_line_break_at_the_end():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            return {"ok": False, "error": "\n" + str(error).strip().splitlines()[-1]}

    return reply


@wrong("a server would have stopped")
def no_assert_expected():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            if "AssertionError" in str(error):
                raise
            lines = [x for x in str(error).splitlines() if x.strip()]
            return {"ok": False, "error": lines[-1 if "interpreter" in str(error) else 0]}

    return reply


@wrong("For an archive with an operator that is not known here your error")
def the_last_line_of_every_text():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            return {"ok": False, "error": f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"}

    return reply


@wrong("Your function raised for a model whose error has no text")
def every_error_has_a_line():
    def reply(module, path):
        try:
            return {"ok": True, "shape": list(module(*load(path).args).shape)}
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            return {"ok": False, "error": lines[-1 if "interpreter" in str(error) else 0]}

    return reply


@right
def the_text_behind_the_last_traceback():
    def reply(module, path):
        try:
            return {"ok": True, "shape": [*module(*load(path).args).shape]}
        except (torch.jit.Error, RuntimeError, OSError, ValueError, TypeError) as error:
            before, _, after = str(error).strip().rpartition("<--- HERE")
            of_the_model = [x for x in after.splitlines() if x.strip()] if "interpreter" in before else []
            lines = of_the_model[-1:] or before.splitlines() or after.splitlines()
            return {"ok": False, "error": lines[0].strip()}
        except ArithmeticError as error:
            return {"ok": False, "error": repr(error)}

    return reply
