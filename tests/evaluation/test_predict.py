import pytest
import torch

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.evaluation.predict import predict_pairs

PLAIN = Preparation("none", scale="none")


@pytest.fixture
def pairs():
    return Pairs("val", torch.rand(10, 6, 7), torch.rand(10, 6, 7), torch.zeros(10))


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 64])
def test_order_is_kept_and_batches_do_not_show(pairs, batch_size):
    pred = predict_pairs(lambda x: 1 - x, pairs, PLAIN, batch_size, "cpu")
    assert torch.equal(pred, 1 - pairs.speckle[:, None])


def test_no_batch_is_larger_than_asked(pairs):
    shapes = []

    def reconstruct(x):
        shapes.append(tuple(x.shape))
        return x

    predict_pairs(reconstruct, pairs, PLAIN, 4, "cpu")
    assert shapes == [(4, 1, 6, 7), (4, 1, 6, 7), (2, 1, 6, 7)]


def test_speckles_are_prepared_as_for_training(pairs):
    pred = predict_pairs(lambda x: x, pairs, Preparation(), 3, torch.device("cpu"))
    torch.testing.assert_close(pred, Preparation()(pairs.speckle[:, None]))


def test_the_result_is_float32_without_a_graph(pairs):
    weight = torch.nn.Parameter(torch.tensor(0.5))
    pred = predict_pairs(lambda x: (weight * x).bfloat16(), pairs, PLAIN, 3, "cpu")
    assert pred.dtype == torch.float32
    assert not pred.requires_grad
    torch.testing.assert_close(pred, pairs.speckle[:, None] / 2, rtol=0.01, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_is_used_and_the_result_comes_back(pairs):
    devices = []

    def reconstruct(x):
        devices.append(x.device.type)
        return x

    pred = predict_pairs(reconstruct, pairs, PLAIN, 8, "cuda")
    assert devices == ["cuda", "cuda"]
    assert torch.equal(pred, pairs.speckle[:, None])
