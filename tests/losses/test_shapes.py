import math

import pytest
import torch

from spt.losses.shapes import in_float32, probabilities, same_shape


def test_same_shape_passes_and_names_both_shapes_where_they_differ():
    same_shape(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 4\) and \(2, 4, 4\)\. Add the channel axis: target\[:, None\]"):
        same_shape(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 4\) and \(2, 1, 4, 1\)\.$"):
        same_shape(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 1))


def test_half_precision_is_promoted_and_double_kept():
    dtypes = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    promoted = in_float32(*(torch.ones(2, dtype=dtype) for dtype in dtypes))
    assert [t.dtype for t in promoted] == [torch.float32, torch.float32, torch.float32, torch.float64]


def test_one_channel_is_a_sigmoid_and_more_are_a_softmax():
    logits = torch.tensor([math.log(3), 0.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(probabilities(logits[:, :1]).flatten(), torch.tensor([0.75]))
    torch.testing.assert_close(probabilities(logits).flatten(), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(probabilities(logits + 7).flatten(), torch.tensor([0.75, 0.25]))
