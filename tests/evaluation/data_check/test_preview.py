import torch

from spt.evaluation.data_check.preview import side_by_side


def test_channels_lie_row_after_row_and_the_rest_is_empty():
    picture = side_by_side(torch.arange(5.0)[:, None, None].expand(5, 2, 2))[0]
    assert picture.shape == (4, 6)
    assert picture[::2, ::2].nan_to_num(-1).tolist() == [[0, 1, 2], [3, 4, -1]]


def test_one_channel_is_itself():
    image = torch.rand(1, 3, 4)
    assert torch.equal(side_by_side(image), image)
