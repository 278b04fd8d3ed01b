"""What several of these tests share."""

import pytest
import torch

from spt.complexity.footprint import TrainingMemory
from spt.complexity.networks import Cost, measure
from spt.complexity.profile import profile
from spt.models import DeepSpeckle, SpTUNet


@pytest.fixture(scope="session")
def costs() -> list[Cost]:
    """Two networks at a size that the notes print; the second without its memory in training, which takes long."""
    deep, speckle = DeepSpeckle(), torch.zeros(2, 1, 256, 256)
    counted = Cost("deep_speckle", deep, 256, torch.float32, profile(deep, speckle), TrainingMemory(0, 0, 0, 0))
    return [measure("spt_unet", SpTUNet(), 256, 2), counted]
