import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchmetrics.functional.classification import multiclass_accuracy

from spt.metrics import top_k_accuracy


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 7, 5, 9, generator=generator)
    return logits, torch.randint(0, 7, (3, 5, 9), generator=generator)


def test_by_hand():
    # Levels in order of likelihood: 2, 0, 1 at every pixel; true levels 2, 0, 1, 1.
    logits = torch.tensor([0.5, -1.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    level = torch.tensor([[[2, 0], [1, 1]]])
    assert [top_k_accuracy(logits, level, k).item() for k in (1, 2, 3)] == [0.25, 0.5, 1.0]


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_equals_torchmetrics_image_by_image(batch, k):
    logits, level = batch
    expected = [
        multiclass_accuracy(x[None].softmax(1), i[None], 7, top_k=k, average="micro")
        for x, i in zip(logits, level, strict=True)
    ]
    torch.testing.assert_close(top_k_accuracy(logits, level, k).float(), torch.stack(expected))


def test_the_most_likely_level_is_the_argmax_even_where_logits_are_equal(batch):
    logits, level = batch
    rounded = logits.round()  # full of ties
    expected = (rounded.argmax(1) == level).flatten(1).double().mean(1)
    assert torch.equal(top_k_accuracy(rounded, level, 1), expected)
    # A network that says the same of every level names the first k.
    assert top_k_accuracy(torch.zeros(1, 4, 2, 2), torch.tensor([[[0, 1], [2, 3]]]), 2).item() == 0.5


def test_an_image_with_one_nan_logit_has_no_accuracy_and_the_others_have(batch):
    logits, level = batch[0].clone(), batch[1]
    logits[1, 3, 2, 2] = float("nan")
    for k in (1, 6):
        values, expected = top_k_accuracy(logits, level, k), top_k_accuracy(batch[0], level, k)
        assert values[1].isnan()
        assert torch.equal(values[::2], expected[::2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_ranked_as_it_is(batch, dtype):
    logits, level = batch[0].to(dtype), batch[1]
    assert torch.equal(top_k_accuracy(logits, level, 2), top_k_accuracy(logits.float(), level, 2))


@pytest.mark.usefixtures("own_checks")
def test_shapes_and_k_are_checked(batch):
    logits, level = batch
    with pytest.raises(ValueError, match=r"need levels \(3, 5, 9\), got \(3, 1, 5, 9\).*target\[:, 0\]"):
        top_k_accuracy(logits, level[:, None], 1)
    for k in (0, 8):
        with pytest.raises(ValueError, match=f"between 1 and the 7 levels of the logits, got {k}"):
            top_k_accuracy(logits, level, k)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.numel = max(self.numel, out.numel())
        return out


def test_256_levels_are_ranked_without_a_copy_of_the_logits():
    logits, level = torch.zeros(2, 256, 16, 16), torch.zeros(2, 16, 16, dtype=torch.long)
    with Largest() as seen:
        top_k_accuracy(logits, level, 5)
    assert seen.numel == level.numel()
