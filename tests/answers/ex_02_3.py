"""Answers to 02.3 Leave early, and remember it."""

# Learners write both old and new types, and the compiler does not take all that ruff proposes.
# ruff: noqa: UP006, UP035, B007, B905

from typing import List

import torch
from torch import nn

from tests.answers import right, wrong


class Base(nn.Module):
    def __init__(self, stages, heads, least):
        super().__init__()
        self.stages, self.heads = nn.ModuleList(stages), nn.ModuleList(heads)
        self.least = least
        self.exits = [0 for _ in heads]


@wrong("Expected integer literal for index")
def index_kept():
    class Answer(Base):
        def forward(self, x):
            for n in range(len(self.stages)):
                x = self.stages[n](x)
            return x

    return Answer


@wrong("we do not support break or continue")
def break_kept():
    class Answer(Base):
        def forward(self, x):
            scores = x
            for stage, head in zip(self.stages, self.heads):
                x = stage(x)
                scores = head(x)
                if bool(scores.softmax(1).amax(1).min() > self.least):
                    break
            return scores

    return Answer


@wrong("It answers with the scores of another head")
def sure_of_one_row():
    class Answer(Base):
        def forward(self, x):
            scores = x
            for n, (stage, head) in enumerate(zip(self.stages, self.heads)):
                x = stage(x)
                scores = head(x)
                if bool(scores.softmax(1).max() > self.least) or n == 3:
                    self.exits[n] += 1
                    return scores
            return scores

    return Answer


@wrong("stages ran that were not needed")
def all_stages_then_choose():
    class Answer(Base):
        def forward(self, x):
            found: List[torch.Tensor] = []
            for stage, head in zip(self.stages, self.heads):
                x = stage(x)
                found.append(head(x))
            for n, scores in enumerate(found):
                if bool(scores.softmax(1).amax(1).min() > self.least):
                    self.exits[n] += 1
                    return scores
            self.exits[-1] += 1
            return found[-1]

    return Answer


@wrong("The scores are right, `exits` is not")
def last_head_not_counted():
    class Answer(Base):
        def forward(self, x):
            scores = x
            for n, (stage, head) in enumerate(zip(self.stages, self.heads)):
                x = stage(x)
                scores = head(x)
                if bool(scores.softmax(1).amax(1).min() > self.least):
                    self.exits[n] += 1
                    return scores
            return scores

    return Answer


@wrong("Its objects do not compile")
def empty_list_of_exits():
    class Answer(Base):
        def __init__(self, stages, heads, least):
            super().__init__(stages, heads, least)
            self.exits = []

        def forward(self, x):
            for stage, head in zip(self.stages, self.heads):
                x = stage(x)
                self.exits.append(1)
            return x

    return Answer


@right
def flag_instead_of_return():
    class Answer(Base):
        def forward(self, x):
            scores, done, at = x, False, 0
            for n, (stage, head) in enumerate(zip(self.stages, self.heads)):
                if not done:
                    x = stage(x)
                    scores = head(x)
                    at = n
                    done = bool((scores.softmax(1).amax(1) > self.least).all())
            self.exits[at] += 1
            return scores

    return Answer


@right
def counts_in_a_buffer():
    class Answer(nn.Module):
        def __init__(self, stages, heads, least: float):
            super().__init__()
            self.pairs = nn.ModuleList(nn.ModuleList(pair) for pair in zip(stages, heads, strict=True))
            self.least = least
            self.register_buffer("exits", torch.zeros(len(heads), dtype=torch.int64))

        def forward(self, x):
            scores = x
            for n, pair in enumerate(self.pairs):
                x = pair[0](x)
                scores = pair[1](x)
                if bool(scores.softmax(1).amax(1).min() > self.least) or n + 1 == len(self.pairs):
                    self.exits[n] += 1
                    return scores
            return scores

    return Answer


@right
def typed_in_the_class_body():
    class Answer(nn.Module):
        exits: List[int]

        def __init__(self, stages, heads, least):
            super().__init__()
            self.stages, self.heads = nn.ModuleList(stages), nn.ModuleList(heads)
            self.least = least
            self.exits = []

        def forward(self, x):
            if len(self.exits) == 0:
                self.exits = [0] * len(self.heads)
            scores, at = x, 0
            for n, (stage, head) in enumerate(zip(self.stages, self.heads)):
                x = stage(x)
                scores, at = head(x), n
                if bool(scores.softmax(1).amax(1).min() > self.least):
                    self.exits[at] += 1
                    return scores
            self.exits[at] += 1
            return scores

    return Answer


@wrong("It stops at a head that is not sure enough")
def as_sure_as_least():
    class Answer(Base):
        def forward(self, x):
            scores = x
            for n, (stage, head) in enumerate(zip(self.stages, self.heads)):
                x = stage(x)
                scores = head(x)
                if bool(scores.softmax(1).amax(1).min() >= self.least) or n == 3:
                    self.exits[n] += 1
                    return scores
            return scores

    return Answer


@wrong("The answer is not a class of modules")
def an_object():
    return flag_instead_of_return()([], [], 0.5)


@wrong("the scores of no head")
def gives_probabilities():
    class Answer(Base):
        def forward(self, x):
            scores = x
            for n, (stage, head) in enumerate(zip(self.stages, self.heads)):
                x = stage(x)
                scores = head(x).softmax(1)
                if bool(scores.amax(1).min() > self.least) or n == 3:
                    self.exits[n] += 1
                    return scores
            return scores

    return Answer
