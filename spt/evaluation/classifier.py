"""A small classifier that reads reconstructed objects, such as digits: a muddled 2 may have a high PCC."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

SIDE, BATCH, EPOCHS = 28, 100, 5


class Classifier(nn.Module):
    """Two convolutions and two linear layers, for images of any size.

    Args:
        classes: their number.
    Source: the network of PyTorch's MNIST example. Differs: images are brought to 28 px.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Flatten(), nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, classes),
        )  # fmt: skip

    def forward(self, images: Float[Tensor, "b h w"]) -> Float[Tensor, "b k"]:
        """Logits of the classes."""
        small = F.interpolate(images[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        return self.layers(small)

    @torch.no_grad()
    def read(self, images: Float[Tensor, "n h w"]) -> Int[Tensor, " n"]:
        """The most likely class of each image."""
        self.eval()
        return torch.cat([self(part).argmax(1) for part in images.split(BATCH)])


def train_classifier(
    images: Float[Tensor, "n h w"],
    labels: Int[Tensor, " n"],
    seed: int,
    track: Callable[[Sequence[Tensor]], Sequence[Tensor]] = list,
) -> Classifier:
    """Train it with Adam, five times through the images, which are moved by up to two pixels.

    Args:
        images: in [0, 1].
        labels: their classes, from 0.
        seed: of the weights, the order and the moves.
        track: is given the batches; may draw a progress bar.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(int(labels.max()) + 1).train()
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        order = torch.cat([torch.randperm(len(images)) for _ in range(EPOCHS)])
        for part in track(order.split(BATCH)):
            moved = torch.roll(images[part], torch.randint(-2, 3, (2,)).tolist(), (1, 2))
            optimizer.zero_grad()
            F.cross_entropy(network(moved), labels[part]).backward()
            optimizer.step()
    return network.eval()
