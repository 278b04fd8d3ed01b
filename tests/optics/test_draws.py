"""Random numbers of the optics: their law, their independence, and the same bits on every device."""

import numpy as np
import pytest
import torch
from scipy import stats

from spt.errors import InvalidValue
from spt.optics import Camera, ThinDiffuser
from spt.optics.draws import distinct, normal


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("shape", [(2000, 51), (1, 100_000)])
def test_numbers_are_standard_normal_and_independent(shape):
    numbers = normal(seeded(), shape)
    assert numbers.shape == shape
    assert numbers.dtype == torch.float32
    assert stats.kstest(numbers.flatten().numpy(), "norm").pvalue > 0.01
    half = numbers.flatten().reshape(2, -1)
    assert torch.corrcoef(half)[0, 1].abs() < 0.015
    assert torch.corrcoef(half.square())[0, 1].abs() < 0.015  # the two parts of Box-Muller share a radius


def test_one_generator_for_each_row():
    together = normal([seeded(k) for k in range(3)], (3, 5, 7))
    for k in range(3):
        torch.testing.assert_close(together[k], normal(seeded(k), (1, 5, 7))[0])


@pytest.mark.parametrize("device", ["cpu", "meta", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_the_device_has_no_part_in_what_is_drawn(device):
    """Two draws in a row leave the generator where they leave it on a CPU, whatever device they go to."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    here, there = seeded(), seeded()
    first, second = normal(here, (2, 5)), normal(there, (2, 5), device)
    assert second.device.type == device
    assert here.bit_generator.state == there.bit_generator.state
    if device == "cuda":
        assert torch.equal(first, second.cpu())
        screens = [ThinDiffuser(1.0, 10e-6).draw(2, (8, 8), 4e-6, seeded(), place).cpu() for place in ("cpu", device)]
        torch.testing.assert_close(*screens)


def test_frames_with_generators_of_their_own():
    light = torch.rand(3, 16, 16)
    together = Camera().expose(light, [seeded(k) for k in range(3)])
    for k in range(3):
        assert torch.equal(together[k], Camera().expose(light[k], seeded(k)))


def test_more_distinct_numbers_than_there_are():
    assert sorted(distinct(10, 10, "tiles", [seeded(6), seeded(7)])) == list(range(10))
    with pytest.raises(InvalidValue, match="11 media were asked for, but there are only 10 tiles"):
        distinct(11, 10, "tiles", seeded())
