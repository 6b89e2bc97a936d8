"""Answers to 05.4: a scripted module whose read survives saving and loading."""

import io

import torch
from torch import nn

from tests.answers import right, wrong


class Base(nn.Module):
    def __init__(self, net, labels):
        super().__init__()
        self.net = net
        self.labels = labels

    def forward(self, images):
        return self.net(images)


class NotExported(Base):
    def read(self, images):
        return [self.labels[int(i)] for i in self.net(images).argmax(1)]


class Exported(Base):
    @torch.jit.export
    def read(self, images):
        return [self.labels[int(i)] for i in self.net(images).argmax(1)]


class FirstOnly(Base):
    @torch.jit.export
    def read(self, images):
        return [self.labels[int(self.net(images[:1]).argmax())]]


class Smallest(Base):
    @torch.jit.export
    def read(self, images):
        return [self.labels[int(i)] for i in self.net(images).argmin(1)]


class Fixed(Base):
    @torch.jit.export
    def read(self, images):
        return [["cat", "dog", "cow"][int(i)] for i in self.net(images).argmax(1)]


class Softened(Exported):
    def forward(self, images):
        return self.net(images).softmax(1)


class WithDict(nn.Module):
    def __init__(self, net, labels):
        super().__init__()
        self.net = net
        self.labels = dict(enumerate(labels))

    def forward(self, images):
        return self.net(images)

    @torch.jit.export
    def read(self, images):
        words: list[str] = []
        best: list[int] = self.forward(images).argmax(1).tolist()
        for i in best:
            words.append(self.labels[i])
        return words


@wrong("After saving and loading there is no `read`")
def without_export():
    return lambda net, labels: torch.jit.script(NotExported(net, labels))


@wrong("After saving and loading there is no `read`")
def attached_afterwards():
    def packed(net, labels):
        module = torch.jit.script(Base(net, labels))
        module.read = lambda images: [labels[int(i)] for i in net(images).argmax(1)]
        return module

    return packed


@wrong("is not compiled")
def not_scripted():
    return lambda net, labels: Exported(net, labels)


@wrong("For 6 images `read`")
def one_word_for_all():
    return lambda net, labels: torch.jit.script(FirstOnly(net, labels))


@wrong("For 6 images `read`")
def the_smallest_score():
    return lambda net, labels: torch.jit.script(Smallest(net, labels))


@wrong("For 6 images `read`")
def labels_of_the_example():
    return lambda net, labels: torch.jit.script(Fixed(net, labels))


@wrong("`forward` differs from the net")
def another_forward():
    return lambda net, labels: torch.jit.script(Softened(net, labels))


@right
def exported():
    return lambda net, labels: torch.jit.script(Exported(net, labels))


@right
def saved_and_loaded_already():
    def packed(net, labels):
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.script(Exported(net, labels)), buffer)
        buffer.seek(0)
        return torch.jit.load(buffer)

    return packed


@right
def with_define():
    def packed(net, labels):
        class Mine(Base):
            pass

        module = torch.jit.script(Mine(net, labels))
        module.define(
            """
            def read(self, images):
                return [self.labels[int(i)] for i in self.net(images).argmax(1)]
            """
        )
        return module

    return packed


class Inverted(Base):
    def __init__(self, net, labels):
        super().__init__(net, labels)
        self.numbers = {label: n for n, label in enumerate(labels)}

    @torch.jit.export
    def read(self, images):
        words: list[str] = []
        best: list[int] = self.net(images).argmax(1).tolist()
        for i in best:
            for word, n in self.numbers.items():
                if n == i:
                    words.append(word)
        return words


class FirstTen(Base):
    @torch.jit.export
    def read(self, images):
        return [self.labels[int(i)] for i in self.net(images)[:, :10].argmax(1)]


@wrong("`read` of the loaded file differs")
def labels_to_numbers():
    return lambda net, labels: torch.jit.script(Inverted(net, labels))


@wrong("' cat', 'cat '")
def labels_stripped():
    return lambda net, labels: torch.jit.script(Exported(net, [label.strip() for label in labels]))


@wrong("'same', 'same', 'other'")
def equal_labels_merged():
    return lambda net, labels: torch.jit.script(Exported(net, [*dict.fromkeys(labels), "?", "?"]))


@wrong("class 11")
def ten_classes():
    return lambda net, labels: torch.jit.script(FirstTen(net, labels))


@wrong("changes the mode of the net")
def switches_the_net():
    return lambda net, labels: torch.jit.script(Exported(net.eval(), labels))


@wrong("changes the list of labels")
def empties_the_list():
    def packed(net, labels):
        mine = list(labels)
        labels.clear()
        return torch.jit.script(Exported(net, mine))

    return packed


@right
def with_a_dict():
    return lambda net, labels: torch.jit.script(WithDict(net, labels))
