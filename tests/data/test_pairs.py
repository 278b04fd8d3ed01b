import pytest
import torch

from spt.data.pairs import Pairs, PairsDataset
from spt.data.preparation import Amplitude


def pairs(n=4, h=6, w=5, **changed):
    fields = {
        "speckle": torch.rand(n, h, w),
        "target": torch.rand(n, h, w),
        "diffuser": torch.arange(n) + 10,
    }
    return Pairs("val_seen", **fields | changed)


def batch(data, preparation=None):
    dataset = PairsDataset(data, preparation or Amplitude())
    return dataset.__getitems__(list(range(len(dataset))))


def test_a_split_without_pairs():
    with pytest.raises(ValueError, match="split 'val_seen' holds no pairs"):
        pairs(0)


@pytest.mark.parametrize(
    ("speckle", "target"),
    [((4, 6, 5), (3, 6, 5)), ((4, 1, 6, 5), (4, 6, 5)), ((4, 6, 5), (4, 1, 6, 5)), ((4, 6), (4, 6))],
)
def test_shapes_that_differ_are_named(speckle, target):
    with pytest.raises(ValueError, match=r"'val_seen': speckle and target must be \(n, h, w\) and as many") as caught:
        pairs(speckle=torch.rand(speckle), target=torch.rand(target))
    assert f"{speckle} and {target}" in str(caught.value)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_one_diffuser_number_a_pair(count):
    with pytest.raises(ValueError, match="'val_seen': one diffuser number a pair"):
        pairs(diffuser=torch.zeros(count))


def test_one_value_of_a_parameter_a_pair():
    assert pairs(parameters={"distance": torch.zeros(4)}).parameters["distance"].shape == (4,)
    with pytest.raises(ValueError, match="'val_seen': one value of 'distance' a pair"):
        pairs(parameters={"distance": torch.zeros(3)})


def test_every_pair_has_an_object():
    """The source's number, or where it gives none one for each pair."""
    assert pairs(parameters={"object": torch.tensor([7, 7, 8, 8])}).object.tolist() == [7, 7, 8, 8]
    assert pairs().object.tolist() == [0, 1, 2, 3]


def test_numbers_go_on_over_the_epochs():
    dataset = PairsDataset(pairs(3), Amplitude())
    assert dataset.__getitems__([4, 6])["index"].tolist() == [1, 0]


def test_uint8_targets_are_scaled_and_floats_are_not():
    levels = torch.tensor([[[0, 51], [102, 255]]], dtype=torch.uint8)
    expected = torch.tensor([[[[0.0, 0.2], [0.4, 1.0]]]])
    data = Pairs("train", torch.rand(1, 2, 2), levels, torch.tensor([0]))
    torch.testing.assert_close(data.images(), expected)
    torch.testing.assert_close(batch(data)["target"], expected)
    again = Pairs("train", torch.rand(1, 2, 2), expected[0].double(), torch.tensor([0]))
    torch.testing.assert_close(again.images(), expected)


def test_images_of_a_range():
    data = pairs(5)
    assert torch.equal(data.images(1, 3), data.target[1:3, None])
    assert torch.equal(data.images(3), data.target[3:, None])
    assert torch.equal(data.images(0, 99), data.target[:, None])


def test_samples_are_prepared_and_keep_their_number_and_diffuser():
    data = pairs(3)
    together = batch(data)
    assert len(PairsDataset(data, Amplitude())) == len(data) == 3
    torch.testing.assert_close(together["speckle"], Amplitude()(data.speckle[:, None]))
    assert torch.equal(together["target"], data.target[:, None])
    assert together["index"].tolist() == [0, 1, 2]
    assert together["diffuser"].tolist() == [10, 11, 12]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int32, torch.float64])
def test_any_real_type_of_speckle(dtype):
    levels = torch.randint(0, 255, (3, 6, 5))
    together = batch(pairs(3, speckle=levels.to(dtype)), Amplitude("none", scale="none"))
    assert together["speckle"].dtype == torch.float32
    assert torch.equal(together["speckle"], levels[:, None].float())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_poisonous_speckle_is_named_by_its_number(value):
    speckle = torch.rand(4, 6, 5)
    speckle[1, 2, 3] = speckle[3, 0, 0] = value
    dataset = PairsDataset(pairs(speckle=speckle), Amplitude())
    with pytest.raises(ValueError, match=r"speckle of val_seen pair 3, val_seen pair 1 holds NaN.*transform=sqrt"):
        dataset.__getitems__([0, 3, 1, 2])
    dataset.__getitems__([0, 2])


def test_negative_intensities_pass_where_no_root_is_taken():
    batch(pairs(speckle=torch.randn(4, 6, 5)), Amplitude("none"))


@pytest.mark.parametrize("value", [float("nan"), 1.001, -0.001, float("inf")])
def test_a_target_outside_0_to_1_is_named_by_its_number(value):
    target = torch.rand(4, 6, 5)
    target[2, 5, 4] = value
    with pytest.raises(ValueError, match=r"target of val_seen pair 2 holds NaN or values outside \[0, 1\]"):
        batch(pairs(target=target))


def test_targets_of_0_and_1_pass():
    together = batch(pairs(target=torch.stack([torch.zeros(6, 5), torch.ones(6, 5)] * 2)))
    assert together["target"].mean((1, 2, 3)).tolist() == [0, 1, 0, 1]
