"""The few models and the one data set that several lessons share. Nothing here is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("digit_net.pt")


class DigitNet(nn.Module):
    """A small image classifier: two convolutions with batch normalisation, dropout, one linear layer.

    Takes (batch, 1, 8, 8) float images and gives (batch, 10) scores, one for each digit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(0.25)
        self.scores = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images)
        return self.scores(self.dropout(maps.flatten(1)))


def digit_images() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The 1,797 handwritten digits that ship with scikit-learn, as (train x, train y, test x, test y).

    Images are float32 in 0 to 1 with shape (n, 1, 8, 8), labels are int64. The last 360 images are for testing.
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images).float().div(16).unsqueeze(1)
    labels = torch.from_numpy(data.target).long()
    return images[:-360], labels[:-360], images[-360:], labels[-360:]


def train_digit_net(epochs: int = 6, seed: int = 0) -> DigitNet:
    """A :class:`DigitNet` trained on the digits, in eval mode. Takes about two seconds.

    The same seed gives the same weights on the same machine. Runs on one thread, since the work is too small to share;
    the number of threads and the global random state are left as they were.
    """
    images, labels, _, _ = digit_images()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            model = DigitNet()
            optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
            for _ in range(epochs):
                for batch in torch.randperm(len(images)).split(64):
                    loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
    finally:
        torch.set_num_threads(threads)
    return model.eval()


def trained_digit_net() -> DigitNet:
    """A :class:`DigitNet` with the weights in ``digit_net.pt`` beside this file, in eval mode. No training, no data.

    The weights are the same bits on every machine, so what was computed from them elsewhere can be compared with what
    is computed here: the digits are the same, the scores within rounding. Training gives other weights on other CPUs.
    Made once by ``torch.save(train_digit_net().state_dict(), WEIGHTS)``; right for 95 of 100 test images.
    """
    with torch.random.fork_rng(devices=[]):
        model = DigitNet()
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return model.eval()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images, 0 to 1, whose highest score is at their label."""
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def randomise_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch normalisation of an untrained model running statistics as a trained one has them, in place.

    An untrained layer holds mean 0 and variance 1, which would hide errors of folding and of train and eval mode.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is not None:
            layer.running_mean.normal_(0.0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
    return model


def third_party_archive() -> Path | None:
    """A TorchScript archive that others made and ship: the voice detector of silero-vad. None where it is missing.

    The package is found and not imported. MIT licence; ``pip install silero-vad`` brings it.
    """
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "data" / "silero_vad.jit"
    return path if path.is_file() else None
