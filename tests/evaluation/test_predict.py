import pytest
import torch
from torch import nn

from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.evaluation.predict import Predictor, turned, turned_back
from spt.heads import BinaryHead

PLAIN = Amplitude("none", scale="none")


class Scale(nn.Module):
    """Multiplies by a weight; keeps what it was given."""

    def __init__(self, weight=0.3, dtype=torch.float32):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.tensor(weight, dtype=dtype)), []

    def forward(self, speckle):
        self.seen.append(speckle)
        return self.weight * speckle


@pytest.fixture
def pairs():
    return Pairs("val", torch.rand(10, 6, 7), torch.rand(10, 6, 7), torch.zeros(10, dtype=torch.long))


@pytest.mark.parametrize("batch_size", [1, 4, 10, 64])
def test_order_is_kept_and_batches_do_not_show(pairs, batch_size):
    parts, logits, images = zip(*Predictor(Scale(), BinaryHead(), PLAIN, batch_size).batches(pairs), strict=True)
    assert torch.equal(torch.cat(logits), 0.3 * pairs.speckle[:, None])
    assert torch.equal(torch.cat(images), (0.3 * pairs.speckle[:, None]).sigmoid())
    assert [k for part in parts for k in range(10)[part]] == list(range(10))
    assert max(len(part) for part in logits) == min(batch_size, 10)


def test_speckles_are_prepared_as_for_training(pairs):
    network = Scale()
    Predictor(network, BinaryHead(), Amplitude())(pairs.speckle)
    torch.testing.assert_close(network.seen[0], Amplitude()(pairs.speckle[:, None]))


def test_the_context_decides_the_precision(pairs):
    """Under autocast a convolution computes in bfloat16, as the trainer's validation does."""
    network = nn.Conv2d(1, 1, 3, padding=1)
    speckle = pairs.speckle[:, None]

    def autocast():
        return torch.autocast("cpu", torch.bfloat16)

    with torch.no_grad():
        full = network(speckle)
        with autocast():
            mixed = network(speckle)
    assert mixed.dtype == torch.bfloat16
    logits, images = Predictor(network, BinaryHead(), PLAIN, precision=autocast)(pairs.speckle)
    assert torch.equal(logits, mixed.float())
    assert torch.equal(images, mixed.sigmoid().float()) or torch.equal(images, mixed.float().sigmoid())
    assert torch.equal(Predictor(network, BinaryHead(), PLAIN)(pairs.speckle)[0], full)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_network_of_another_type_gets_frames_of_its_type(pairs, dtype):
    """As with trainer.precision=bf16-true and 64-true. Results are float32 without a graph."""
    network = Scale(dtype=dtype)
    logits, images = Predictor(network, BinaryHead(), PLAIN)(pairs.speckle)
    assert network.seen[0].dtype == dtype
    assert logits.dtype == images.dtype == torch.float32
    assert not images.requires_grad


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_of_the_network_is_used_and_the_result_comes_back(pairs):
    network = Scale().cuda()
    logits, images = Predictor(network, BinaryHead(), PLAIN)(pairs.speckle)
    assert network.seen[0].device.type == "cuda"
    assert logits.device.type == images.device.type == "cpu"


def test_eight_orientations_are_different_and_can_be_undone():
    image = torch.arange(12.0).view(1, 3, 4)
    seen = [turned(image, k) for k in range(8)]
    assert len({(tuple(each.shape), tuple(each.flatten().tolist())) for each in seen}) == 8
    assert all(torch.equal(turned_back(each, k), image) for k, each in enumerate(seen))


@pytest.mark.parametrize("orientations", [4, 8])
def test_the_mean_over_orientations_turns_with_the_frame(orientations):
    """Whatever the network does to it; one orientation does not."""
    network, frames = nn.Conv2d(1, 1, 3, padding=1), torch.rand(3, 6, 6)
    one, mean = (Predictor(network, BinaryHead(), PLAIN, orientations=count) for count in (1, orientations))
    for k in range(1, orientations):
        for side in (0, 1):
            torch.testing.assert_close(mean(turned(frames, k))[side], turned(mean(frames)[side], k))
            assert not torch.allclose(one(turned(frames, k))[side], turned(one(frames)[side], k), atol=1e-3)
    expected = torch.stack([turned_back(one(turned(frames, k))[1], k) for k in range(orientations)]).mean(0)
    torch.testing.assert_close(mean(frames)[1], expected)
