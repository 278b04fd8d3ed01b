from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import spt.metrics as metrics
from spt.heads import GreyLevelsHead
from spt.precision import at_least_float32, in_float64


def test_half_precision_is_promoted_and_double_kept():
    dtypes = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    promoted = [at_least_float32(torch.ones(2, dtype=dtype)).dtype for dtype in dtypes]
    assert promoted == [torch.float32, torch.float32, torch.float32, torch.float64]


@pytest.mark.usefixtures("own_checks")
def test_float64_of_a_device_without_it_is_on_the_cpu():
    image = torch.rand(2)
    on_mps = SimpleNamespace(device=torch.device("mps"), cpu=lambda: image)  # has no double()
    assert torch.equal(in_float64(on_mps), image.double())
    assert in_float64(image).dtype == torch.float64


class NoFloat64(TorchDispatchMode):
    """Refuses float64 on the meta device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            assert not (isinstance(x, Tensor) and x.is_meta and x.dtype == torch.float64), func.name()
        return out


def test_no_metric_asks_a_device_for_float64(monkeypatch: pytest.MonkeyPatch):
    """The meta device plays Apple's MPS: float64 exists on the CPU alone, and the two cannot be mixed."""

    def moved(x: Tensor) -> Tensor:
        return torch.full(x.shape, 0.5, dtype=torch.float64)

    for module in ("image", "overlap", "calibration", "levels", "per_image_metrics"):
        monkeypatch.setattr(f"spt.metrics.{module}.in_float64", moved)
    images = torch.empty(2, 1, 16, 16, device="meta")
    head, logits = GreyLevelsHead(7), torch.empty(2, 7, 16, 16, device="meta")
    with NoFloat64():
        values = metrics.per_image(images, images)
        assert {value.device.type for value in values.values()} == {"cpu"}
        assert metrics.reliability(images, images).device.type == "cpu"
        own = head.logit_metrics(logits, head.encode(images))
        assert {value.device.type for value in own.values()} == {"cpu"}
