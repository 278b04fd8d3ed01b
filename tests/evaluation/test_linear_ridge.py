import numpy as np
import pytest
import torch

from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.evaluation import linear_ridge, prepared_rows
from spt.evaluation.linear_ridge import STRENGTHS, LinearRidge
from spt.metrics import pcc

PLAIN = Amplitude("none", scale="none")


def split(speckle, target):
    return Pairs("train", speckle, target, torch.zeros(len(speckle), dtype=torch.long))


def linear(m, h=3, w=5, noise=0.0):
    """Frames and targets in [0, 1] that are a linear map of them plus noise; always the same map."""
    speckle = torch.randn(m, h, w)
    weights = 0.02 * torch.randn(h * w, h * w, generator=torch.Generator().manual_seed(1))
    return split(speckle, 0.5 + ((speckle.flatten(1) @ weights) + noise * torch.randn(m, h * w)).view(m, h, w))


def predicted(ridge, pairs):
    return torch.cat(list(ridge(pairs)))


def primal(train, new, strength, preparation=PLAIN):
    """(X^T X + penalty) W = X^T Y of the centred data, by numpy in float64; penalty = strength * mean diagonal."""
    x, y, z = (
        a.flatten(1).double().numpy() for a in (preparation(train.speckle), train.images(), preparation(new.speckle))
    )
    x0, y0 = x - x.mean(0), y - y.mean(0)
    penalty = strength * np.square(x0).sum() / min(x0.shape)
    weights = np.linalg.solve(x0.T @ x0 + penalty * np.eye(x0.shape[1]), x0.T @ y0)
    images = np.clip((z - x.mean(0)) @ weights + y.mean(0), 0, 1)
    return torch.from_numpy(images).view(len(z), 1, *new.speckle.shape[1:])


def test_ridge_recovers_a_linear_map():
    train, new = linear(200), linear(100)
    ridge = LinearRidge(train, PLAIN)
    assert ridge.strength == STRENGTHS[0]
    torch.testing.assert_close(predicted(ridge, new), new.images(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("m", [60, 16, 15, 9], ids=["primal", "almost square", "square", "dual"])
def test_ridge_solves_the_normal_equations(m):
    train, new = linear(m, noise=0.05), linear(7)
    ridge = LinearRidge(train, PLAIN)
    assert ridge.dual == (m < 15)
    np.testing.assert_allclose(predicted(ridge, new), primal(train, new, ridge.strength), atol=1e-6)


@pytest.mark.parametrize("m", [60, 9], ids=["primal", "dual"])
def test_ridge_chooses_the_strength_with_the_least_error_on_every_tenth_pair(m):
    train = linear(m, noise=0.3)
    tried = torch.arange(m) % 10 == 0
    x, y = train.speckle.flatten(1).double(), train.images().flatten(1).double()
    x, y = x - x.mean(0), y - y.mean(0)

    def error(strength):
        a, b = x[~tried], y[~tried]
        penalty = strength * a.square().sum() / min(a.shape)
        weights = torch.linalg.solve(a.T @ a + penalty * torch.eye(15, dtype=torch.float64), a.T @ b)
        return (x[tried] @ weights - y[tried]).square().mean().item()

    assert LinearRidge(train, PLAIN).strength == min(STRENGTHS, key=error)


def test_ridge_on_stored_bytes_and_in_small_blocks_equals_the_closed_form(monkeypatch):
    """What a data set holds: bytes, prepared as for the network; and blocks of a few frames."""
    for name in ("LARGE", "SMALL", "PIECE"):
        monkeypatch.setattr(prepared_rows, name, 3 * 144)
    monkeypatch.setattr(linear_ridge, "PIXELS", 4 * 144)
    speckle = torch.randint(0, 256, (80, 12, 12), dtype=torch.uint8)
    target = (torch.nn.functional.avg_pool2d(speckle.float(), 3, 1, 1)).round().byte()
    train, new = split(speckle[:70], target[:70]), split(speckle[70:], target[70:])
    ridge = LinearRidge(train, Amplitude())
    blocks = list(ridge(new))
    assert [len(block) for block in blocks] == [4, 4, 2]
    expected = primal(train, new, ridge.strength, Amplitude())
    difference = pcc(torch.cat(blocks).double(), new.images().double()) - pcc(expected, new.images().double())
    assert difference.abs().max() < 1e-6


def test_ridge_regularises_more_where_there_is_nothing_to_learn():
    train = split(torch.randn(100, 8, 10), torch.rand(100, 8, 10))
    ridge = LinearRidge(train, PLAIN)
    assert ridge.strength == STRENGTHS[-1]
    flat = split(torch.zeros(1, 8, 10), torch.zeros(1, 8, 10))
    torch.testing.assert_close(predicted(ridge, flat), train.images().mean(0, keepdim=True), rtol=0, atol=0.05)


def test_ridge_is_clipped_to_0_and_1():
    line = torch.linspace(-1, 1, 40).view(40, 1, 1)
    ridge = LinearRidge(split(line, 0.5 + 0.5 * line), PLAIN)
    new = torch.tensor([-9.0, 0.0, 9.0]).view(3, 1, 1)
    assert predicted(ridge, split(new, new)).flatten().tolist() == pytest.approx([0, 0.5, 1], abs=1e-6)


@pytest.mark.parametrize("m", [1, 2])
def test_ridge_on_hardly_any_pairs_is_finite(m):
    train, new = split(torch.randn(m, 3, 4), torch.rand(m, 3, 4)), split(torch.randn(5, 3, 4), torch.rand(5, 3, 4))
    pred = predicted(LinearRidge(train, PLAIN), new)
    assert pred.shape == (5, 1, 3, 4)
    assert pred.isfinite().all()
    if m == 1:
        torch.testing.assert_close(pred, train.images().expand(5, -1, -1, -1))
