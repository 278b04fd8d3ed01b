"""Memory from shapes against sums worked by hand, against real tensors, and against real files."""

import io

import pytest
import torch
from torch import nn

from spt.complexity.footprint import file_bytes, training_memory
from spt.complexity.profile import profile
from spt.models import SpTUNet


def test_inference_keeps_two_maps_at_a_time():
    # 1 -> 4 -> 4 -> 4 channels: at the worst an input and an output of 4 maps; the image itself stays with its caller.
    model = nn.Sequential(*[nn.Conv2d(c, 4, 3, padding=1) for c in (1, 4, 4)])
    assert profile(model, torch.zeros(2, 1, 16, 16)).activation_bytes == 4 * 2 * 256 * (1 + 4 + 4)


def test_a_skip_connection_is_held():
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(3)])

        def forward(self, x):
            y = x * 2
            return y + self.body(y)

    assert profile(Skip(), torch.zeros(1, 1, 16, 16)).activation_bytes == 4 * 256 * 4


def test_training_keeps_what_the_backward_pass_needs():
    # Each convolution keeps its input: the image and two maps of 4 channels.
    model = nn.Sequential(*[nn.Conv2d(c, 4, 3, padding=1, bias=False) for c in (1, 4, 4)])
    memory = training_memory(model, torch.zeros(2, 1, 16, 16))
    assert memory.saved == 4 * 2 * 256 * (1 + 4 + 4)
    weights = 4 * 9 * (4 + 16 + 16)
    assert (memory.weights, memory.optimizer) == (weights, 2 * weights)
    assert memory.total > memory.saved + 4 * weights  # weights, moments, gradients


def test_frozen_weights_have_neither_gradients_nor_moments():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3))
    model[0].requires_grad_(False)
    memory = training_memory(model, torch.zeros(1, 1, 16, 16))
    assert memory.optimizer == 2 * 4 * (8 * 8 * 9 + 8)


def test_training_memory_changes_nothing():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).eval()
    before, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    training_memory(model, torch.zeros(2, 1, 8, 8))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(m.training for m in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_what_is_saved_is_what_a_real_pass_saves():
    model, x = SpTUNet(width=4).train(), torch.rand(2, 1, 32, 32)
    state = {t.untyped_storage().data_ptr() for t in model.state_dict().values()}
    kept: dict[int, torch.Tensor] = {}

    def keep(t: torch.Tensor) -> torch.Tensor:
        kept[t.untyped_storage().data_ptr()] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        out = model(x)
    real = sum(t.untyped_storage().nbytes() for pointer, t in kept.items() if pointer not in state)
    assert training_memory(model, x).saved == pytest.approx(real, rel=0.02)
    assert out.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_file_is_as_large_as_a_real_one(dtype):
    model, buffer = SpTUNet(width=4), io.BytesIO()
    torch.save(model.to(dtype).state_dict(), buffer)
    single = SpTUNet(width=4)
    assert file_bytes(single, dtype) == len(buffer.getvalue())
    assert single.state_dict()["stem.0.weight"].dtype == torch.float32


@pytest.mark.parametrize(("width_of_v", "matrices"), [(8, 0), (16, 2)])
def test_attention_without_a_fused_kernel_holds_its_matrix(width_of_v, matrices):
    class Attention(nn.Module):
        def forward(self, q, k, v):
            return nn.functional.scaled_dot_product_attention(q, k, v)

    q, v = torch.zeros(1, 1, 512, 8), torch.zeros(1, 1, 512, width_of_v)
    counted = profile(Attention(), q, q.clone(), v)
    matrix = 4 * 512**2
    assert matrices * matrix <= counted.activation_bytes < (matrices + 0.5) * matrix
    assert [call.operator for call in counted.calls] == ["scaled_dot_product_attention"]
