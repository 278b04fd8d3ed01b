"""The classifier that reads reconstructions."""

import torch

from spt.evaluation.classifier import train_classifier


def bars(count: int, side: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bars that stand (0) or lie (1), at random places, with noise."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.2 * torch.rand(count, side, side, generator=generator)
    labels = torch.randint(2, (count,), generator=generator)
    places = torch.randint(4, side - 4, (count,), generator=generator)
    for image, label, place in zip(images, labels, places, strict=True):
        line = image if label else image.T
        line[place] = 1
    return images, labels


def test_it_reads_what_it_did_not_learn_from_also_in_another_size():
    network = train_classifier(*bars(400, 28, 0), seed=0)
    for side in (28, 40):
        images, labels = bars(100, side, 1)
        assert (network.read(images) == labels).float().mean() > 0.95


def test_a_seed_gives_the_same_classifier_and_leaves_torch_alone():
    known = bars(100, 28, 0)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two = train_classifier(*known, seed=3), train_classifier(*known, seed=3)
    assert torch.rand(1) == expected
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
