"""The array annotations of spt are enforced while the tests run: planted faults, so that this cannot end unnoticed."""

import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from spt.data.pairs import Pairs, PairsDataset
from spt.metrics import ji
from spt.models import attention


def test_every_module_of_the_package_is_checked():
    loaders = {name: type(module.__loader__).__name__ for name, module in sys.modules.items() if name.startswith("spt")}
    assert "spt.metrics.overlap" in loaders
    assert set(loaders.values()) == {"_JaxtypingLoader"}


@pytest.mark.parametrize("shapes", [[(4, 4), (4, 4)], [(2, 1, 4, 4), (2, 1, 4, 5)]])
def test_a_wrong_shape_that_is_passed_is_caught(shapes):
    with pytest.raises(TypeCheckError, match=r"checking the parameters of spt\.metrics\.overlap\.ji"):
        ji(*map(torch.zeros, shapes))


def test_a_wrong_type_that_is_passed_is_caught():
    with pytest.raises(TypeCheckError, match=r"checking the parameters of spt\.metrics\.overlap\.ji"):
        ji(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.int64))


def test_a_wrong_shape_inside_the_package_is_caught(monkeypatch):
    monkeypatch.setattr(attention.F, "avg_pool2d", lambda x, _: x[0])
    with pytest.raises(TypeCheckError, match=r"checking the return value of spt\.models\.attention\.pool_to_grid"):
        attention.pool_to_grid(torch.zeros(1, 2, 8, 8), 4)


def test_a_wrong_shape_in_a_batch_is_caught():
    pairs = Pairs("train", torch.rand(3, 4, 4), torch.rand(3, 4, 4), torch.arange(3))
    without_channel = PairsDataset(pairs, lambda speckle: speckle[:, 0])
    with pytest.raises(TypeCheckError, match=r"checking the parameters of spt\.data\.pairs\._refuse_poison"):
        without_channel.__getitems__([0, 2])
