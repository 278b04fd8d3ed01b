import pytest
import torch

from spt.data.preparation import Amplitude
from spt.evaluation import prepared_rows
from spt.evaluation.prepared_rows import PreparedRows, mean_of, parts, products


def rows(n, h=6, w=7):
    frames = torch.randint(0, 256, (n, h, w), dtype=torch.uint8)
    return PreparedRows(frames, lambda x: Amplitude()(x).flatten(1)), Amplitude()(frames).flatten(1)


@pytest.mark.parametrize("blocks", [(2**27, 2**24, 2**21, 8192), (5 * 42, 3 * 42, 2 * 42, 10)], ids=["one", "many"])
def test_products_do_not_depend_on_the_blocks(monkeypatch, blocks):
    for name, value in zip(("LARGE", "SMALL", "PIECE", "COLUMNS"), blocks, strict=True):
        monkeypatch.setattr(prepared_rows, name, value)
    (first, a), (second, b) = rows(13), rows(4)
    a, b = a.double(), b.double()
    torch.testing.assert_close(products(first, second), a @ b.T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(products(first, first), a @ a.T, rtol=1e-12, atol=1e-12)


def test_rows_of_themselves_are_multiplied_once(monkeypatch):
    calls = []
    product = prepared_rows._product
    monkeypatch.setattr(prepared_rows, "_product", lambda a, b: calls.append(len(a) * len(b)) or product(a, b))
    for name in ("LARGE", "SMALL"):
        monkeypatch.setattr(prepared_rows, name, 42)
    first, _ = rows(10)
    products(first, first)
    assert sum(calls) == 55, "10 * 11 / 2 pairs of frames"


def test_a_block_holds_no_more_than_it_should():
    images = torch.zeros(10, 4, 4)
    assert list(parts(images, 50)) == [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)]
    assert list(parts(images[:2], 1)) == [slice(0, 1), slice(1, 2)]


def test_the_mean_of_blocks_is_that_of_all_rows():
    values = torch.rand(7, 3)
    torch.testing.assert_close(mean_of(iter(values.split(3))), values.double().mean(0))
