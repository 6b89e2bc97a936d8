"""Answers to 02.4 A cache that may be empty."""

# Learners write both old and new types, and the compiler does not take all that ruff proposes.
# ruff: noqa: UP045, SIM102

from typing import Optional

import torch
from torch import Tensor, nn

from tests.answers import right, wrong


class Typed(nn.Module):
    cache: Optional[Tensor]

    def __init__(self):
        super().__init__()
        self.cache = None


@wrong("Expected NoneType but got Tensor")
def type_not_said():
    class Answer(nn.Module):
        def __init__(self):
            super().__init__()
            self.cache = None

        def forward(self, x):
            table = self.cache
            if table is None:
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
                self.cache = table
            return x + table[: x.size(1)]

    return Answer


@wrong("Unknown type annotation: 'Optional[Tensor]'")
def type_in_quotes():
    class Answer(nn.Module):
        cache: "Optional[Tensor]"

        def __init__(self):
            super().__init__()
            self.cache = None

        def forward(self, x):
            table = self.cache
            if table is None or table.size(0) < x.size(1):
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
                self.cache = table
            return x + table[: x.size(1)]

    return Answer


@wrong("It does not compile while the cache is empty")
def attribute_refined():
    class Answer(Typed):
        def forward(self, x):
            if self.cache is None or self.cache.size(0) < x.size(1):
                self.cache = torch.arange(x.size(1)).unsqueeze(1) * 0.1
            return x + self.cache[: x.size(1)]

    return Answer


@wrong("A sequence of length 7 after one of 4 fails")
def never_longer():
    class Answer(Typed):
        def forward(self, x):
            table = self.cache
            if table is None:
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
                self.cache = table
            return x + table[: x.size(1)]

    return Answer


@wrong("although a longer one is there")
def made_for_each_length():
    class Answer(Typed):
        def forward(self, x):
            table = self.cache
            if table is None or table.size(0) != x.size(1):
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
                self.cache = table
            return x + table

    return Answer


@wrong("the cache stays empty")
def not_stored():
    class Answer(Typed):
        def forward(self, x):
            table = self.cache
            if table is None:
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
            return x + table[: x.size(1)]

    return Answer


@wrong("a tensor of shape (0, 1)")
def empty_tensor_instead():
    class Answer(nn.Module):
        def __init__(self):
            super().__init__()
            self.cache = torch.zeros(0, 1)

        def forward(self, x):
            if self.cache.size(0) < x.size(1):
                self.cache = torch.arange(x.size(1)).unsqueeze(1) * 0.1
            return x + self.cache[: x.size(1)]

    return Answer


@wrong("The result differs from that of the given class")
def last_rows_instead_of_first():
    class Answer(Typed):
        def forward(self, x):
            table = self.cache
            if table is None or table.size(0) < x.size(1):
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
                self.cache = table
            return x + table[-x.size(1) :]

    return Answer


@wrong("has no attribute 'cache'")
def value_in_the_class_only():
    class Answer(nn.Module):
        cache: Optional[Tensor] = None

        def forward(self, x):
            table = self.cache
            if table is None or table.size(0) < x.size(1):
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
                self.cache = table
            return x + table[: x.size(1)]

    return Answer


@right
def with_assert():
    class Answer(nn.Module):
        cache: Tensor | None

        def __init__(self):
            super().__init__()
            self.cache = None

        def _long_enough(self, length: int) -> bool:
            table = self.cache
            return table is not None and table.size(0) >= length

        def forward(self, x):
            if not self._long_enough(x.size(1)):
                self.cache = torch.arange(x.size(1)).unsqueeze(1) * 0.1
            table = self.cache
            assert table is not None
            return x + table[: x.size(1)]

    return Answer


@right
def as_a_buffer():
    class Answer(nn.Module):
        cache: Optional[Tensor]

        def __init__(self):
            super().__init__()
            self.register_buffer("cache", None, persistent=False)

        def forward(self, x):
            table = self.cache
            if table is not None:
                if table.size(0) >= x.size(1):
                    return x + table[: x.size(1)]
            made = torch.arange(x.size(1)).unsqueeze(1) * 0.1
            self.cache = made
            return x + made

    return Answer


@right
def longer_than_needed():
    class Answer(nn.Module):
        cache: Optional[Tensor]

        def __init__(self):
            super().__init__()
            self.cache = None

        def forward(self, x):
            table = self.cache
            if table is None or table.size(0) < x.size(1):
                table = torch.arange(2 * x.size(1))[:, None] * 0.1
                self.cache = table
            return x + table[: x.size(1)]

    return Answer


@wrong("the caller's sequence has changed")
def added_in_place():
    class Answer(Typed):
        def forward(self, x):
            table = self.cache
            if table is None or table.size(0) < x.size(1):
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
                self.cache = table
            return x.add_(table[: x.size(1)])

    return Answer


@wrong("A sequence of length 3 after one of 7 fails")
def table_of_one_width():
    class Answer(Typed):
        def forward(self, x):
            table = self.cache
            if table is None or table.size(0) < x.size(1):
                table = (torch.arange(x.size(1)).unsqueeze(1) * 0.1).expand(-1, x.size(2)).clone()
                self.cache = table
            return x + table[: x.size(1)]

    return Answer


@wrong("The shape of the result differs")
def table_alone():
    class Answer(Typed):
        def forward(self, x):
            table = self.cache
            if table is None or table.size(0) < x.size(1):
                table = torch.arange(x.size(1)).unsqueeze(1) * 0.1
                self.cache = table
            return table[: x.size(1)]

    return Answer


@wrong("The answer is not a class of modules")
def an_object():
    return longer_than_needed()()
