"""Answers to 02.5 Leave the debugging method out."""

import torch
from torch import Tensor, nn

from tests.answers import right, wrong


class Base(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    @torch.jit.export
    def features(self, images):
        return self.net.features(images).flatten(1)


def show(scores):
    for row in scores.softmax(1).tolist():
        print(" ".join(f"{p:.2f}" for p in row))


@wrong("It does not compile")
def nothing_marked():
    class Answer(Base):
        def explain(self, scores):
            for row in scores.softmax(1).tolist():
                print(" ".join(f"{p:.2f}" for p in row))

        def forward(self, images):
            scores = self.net(images)
            self.explain(scores)
            return scores.argmax(1)

    return Answer


@wrong("It cannot be saved")
def ignored():
    class Answer(Base):
        @torch.jit.ignore
        def explain(self, scores: Tensor) -> None:
            show(scores)

        def forward(self, images):
            scores = self.net(images)
            self.explain(scores)
            return scores.argmax(1)

    return Answer


@wrong("It compiles, and the call fails")
def unused_and_called():
    class Answer(Base):
        @torch.jit.unused
        def explain(self, scores: Tensor) -> None:
            show(scores)

        def forward(self, images):
            scores = self.net(images)
            self.explain(scores)
            return scores.argmax(1)

    return Answer


@wrong("In Python it does not print")
def call_taken_out():
    class Answer(Base):
        def explain(self, scores):
            show(scores)

        def forward(self, images):
            return self.net(images).argmax(1)

    return Answer


@wrong("no method `features`")
def features_not_exported():
    class Answer(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def features(self, images):
            return self.net.features(images).flatten(1)

        @torch.jit.unused
        def explain(self, scores: Tensor) -> None:
            show(scores)

        def forward(self, images):
            scores = self.net(images)
            if not torch.jit.is_scripting():
                self.explain(scores)
            return scores.argmax(1)

    return Answer


@wrong("It does not compile")
def guarded_in_place():
    class Answer(Base):
        def forward(self, images):
            scores = self.net(images)
            if not torch.jit.is_scripting():
                for row in scores.softmax(1).tolist():
                    print(" ".join(f"{p:.2f}" for p in row))
            return scores.argmax(1)

    return Answer


@wrong("Scripted, it still prints")
def prints_by_torch():
    class Answer(Base):
        @torch.jit.unused
        def explain(self, scores: Tensor) -> None:
            show(scores)

        def forward(self, images):
            scores = self.net(images)
            if torch.jit.is_scripting():
                print(scores)
            else:
                self.explain(scores)
            return scores.argmax(1)

    return Answer


@right
def plain_method_behind_the_guard():
    class Answer(Base):
        def explain(self, scores):
            show(scores)

        def forward(self, images):
            scores = self.net(images)
            if not torch.jit.is_scripting():
                self.explain(scores)
            return scores.argmax(1)

    return Answer


@right
def ignored_behind_the_guard():
    class Answer(Base):
        @torch.jit.ignore
        def explain(self, scores: Tensor) -> None:
            show(scores)

        def forward(self, images):
            scores = self.net(images)
            if torch.jit.is_scripting():
                return scores.argmax(1)
            self.explain(scores)
            return scores.argmax(1)

    return Answer


@wrong("the second, 3 images")
def prints_once():
    class Answer(Base):
        def __init__(self, net):
            super().__init__(net)
            self.told = False

        def forward(self, images):
            scores = self.net(images)
            if not torch.jit.is_scripting() and not self.told:
                self.told = True
                show(scores)
            return scores.argmax(1)

    return Answer


@wrong("In Python `features` prints")
def features_prints():
    class Answer(Base):
        @torch.jit.export
        def features(self, images):
            if not torch.jit.is_scripting():
                show(self.net(images))
            return self.net.features(images).flatten(1)

        def forward(self, images):
            scores = self.net(images)
            if not torch.jit.is_scripting():
                show(scores)
            return scores.argmax(1)

    return Answer


@wrong("70 images")
def prints_large_batches():
    class Answer(Base):
        def forward(self, images):
            scores = self.net(images)
            if not torch.jit.is_scripting():
                show(scores)
            elif scores.size(0) > 64:
                print("a large batch")
            return scores.argmax(1)

    return Answer


@wrong("`features` of the saved model gives another shape")
def features_not_flat():
    class Answer(Base):
        @torch.jit.export
        def features(self, images):
            return self.net.features(images)

        def forward(self, images):
            scores = self.net(images)
            if not torch.jit.is_scripting():
                show(scores)
            return scores.argmax(1)

    return Answer
