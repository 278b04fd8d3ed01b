import torch
import torch.nn.functional as F

from spt.complexity.full_attention import softmax_attention, with_full_attention
from spt.models import SpTUNet


def test_the_plain_formula_is_torchs():
    q, k, v = torch.randn(2, 4, 7, 5), torch.randn(2, 4, 9, 5), torch.randn(2, 4, 9, 3)
    torch.testing.assert_close(softmax_attention(q, k, v), F.scaled_dot_product_attention(q, k, v))


def test_full_attention_equals_the_pooled_one_where_the_grid_holds_every_token():
    # At 16 px the largest attended map, H/2, is 8x8: pooling onto 8x8 is the identity.
    model = SpTUNet(width=8).eval()
    full, x = with_full_attention(model), torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(full(x), model(x))


def test_full_attention_differs_where_the_grid_averages_and_leaves_the_model_alone():
    model = SpTUNet(width=8).eval().double()
    x = torch.randn(1, 1, 64, 64).double()
    with torch.no_grad():
        before = model(x)
        full = with_full_attention(model)
        assert (full(x) - before).abs().max() > 1e-9
        assert torch.equal(model(x), before)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), full.parameters(), strict=True))
