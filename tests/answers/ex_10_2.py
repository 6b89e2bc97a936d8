"""Answers to 10.2: a module that logs in eager and compiles."""

import torch
from torch import nn

from tests.answers import right, wrong


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.log = []


class NoLog(Base):
    def forward(self, x):
        return x / x.abs().max()


class GuardedText(Base):
    def forward(self, x):
        if not torch.jit.is_scripting():
            self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")
        return x / x.abs().max()


class Unguarded(Base):
    @torch.jit.unused
    def note(self, x):
        self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")

    def forward(self, x):
        self.note(x)
        return x / x.abs().max()


LOG: list[str] = []


class Ignored(nn.Module):
    """Python is called from the compiled code."""

    def __init__(self):
        super().__init__()
        LOG.clear()
        self.log = LOG

    @torch.jit.ignore
    def note(self, x: torch.Tensor) -> None:
        LOG.append(f"{x.min().item():.1f} to {x.max().item():.1f}")

    def forward(self, x):
        self.note(x)
        return x / x.abs().max()


class GuardedTracing(Base):
    @torch.jit.unused
    def note(self, x):
        self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")

    def forward(self, x):
        if not torch.jit.is_tracing():
            self.note(x)
        return x / x.abs().max()


class ReturnsEarly(Base):
    @torch.jit.unused
    def note(self, x):
        self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")

    def forward(self, x):
        if torch.jit.is_scripting():
            return x
        self.note(x)
        return x / x.abs().max()


class RawNumbers(Base):
    def forward(self, x):
        if not torch.jit.is_scripting():
            self.log.append((x.min().item(), x.max().item()))
        return x / x.abs().max()


class Rounded(Base):
    """No format that the reader of the source does not know."""

    def forward(self, x):
        if not torch.jit.is_scripting():
            self.log.append(str(round(x.min().item(), 1)) + " to " + str(round(x.max().item(), 1)))
        return x / x.abs().max()


class IgnoredBehindGuard(Base):
    @torch.jit.ignore
    def note(self, x):
        self.log.append(" to ".join(format(float(value), ".1f") for value in (x.min(), x.max())))

    def forward(self, x):
        out = x / x.abs().max()
        if torch.jit.is_scripting():
            return out
        else:
            self.note(x)
        return out


class InCall(Base):
    """Only `forward` is compiled."""

    def __call__(self, x):
        self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")
        return super().__call__(x)

    def forward(self, x):
        return x / x.abs().max()


class InPlace(Base):
    @torch.jit.unused
    def note(self, x):
        self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")

    def forward(self, x):
        if not torch.jit.is_scripting():
            self.note(x)
        return x.div_(x.abs().max())


class OneLogForAll(nn.Module):
    log: list[str] = []  # noqa: RUF012

    @torch.jit.unused
    def note(self, x):
        self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")

    def forward(self, x):
        if not torch.jit.is_scripting():
            self.note(x)
        return x / x.abs().max()


class Prints(Base):
    @torch.jit.unused
    def note(self, x):
        self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")

    def forward(self, x):
        if torch.jit.is_scripting():
            print(x.min(), x.max())
        else:
            self.note(x)
        return x / x.abs().max()


class IgnoredOwnLog(Base):
    """The compiled module is the `self` of an ignored method, and has no list of texts without a type."""

    @torch.jit.ignore
    def note(self, x: torch.Tensor) -> None:
        self.log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")

    def forward(self, x):
        self.note(x)
        return x / x.abs().max()


def write_down(log, x):
    log.append(f"{x.min().item():.1f} to {x.max().item():.1f}")


class ByFunction(Base):
    """A function that is called behind the guard is not read."""

    def forward(self, x):
        if not torch.jit.is_scripting():
            write_down(self.log, x)
        return x / x.abs().max()


@wrong("Your module changes the tensor that it is called with")
def divides_in_place():
    return InPlace


@wrong("A second instance starts with the log of the first")
def the_log_on_the_class():
    # a class of its own for each time that this answer is checked
    return type("Fresh", (OneLogForAll,), {"log": []})


@wrong("The compiled module prints")
def prints_when_compiled():
    return Prints


@wrong("object has no attribute 'log'")
def ignored_with_its_own_log():
    return IgnoredOwnLog


@right
def a_function_behind_the_guard():
    return ByFunction


@wrong("In eager mode nothing is logged")
def the_log_taken_out():
    return NoLog


@wrong("It does not compile")
def guarded_and_not_moved():
    return GuardedText


@wrong("raises when it is called")
def moved_and_not_guarded():
    return Unguarded


@wrong("cannot be saved")
def python_called_from_inside():
    return Ignored


@wrong("raises when it is called")
def guarded_by_the_other_question():
    return GuardedTracing


@wrong("returns a different result from `Level`")
def left_before_the_calculation():
    return ReturnsEarly


@wrong("The log differs")
def numbers_in_the_log():
    return RawNumbers


@wrong("Your answer is not a module class")
def an_instance():
    return NoLog()


@right
def without_a_format():
    return Rounded


@right
def ignored_behind_a_guard():
    return IgnoredBehindGuard


@right
def outside_of_forward():
    return InCall
