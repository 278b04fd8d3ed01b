import pytest
import torch

from spt.data.preparation import Geometry


def numbered(height: int, width: int) -> torch.Tensor:
    return torch.arange(height * width, dtype=torch.float32).view(1, height, width)


def test_without_settings_frames_stay_as_they_are():
    frames = torch.randint(0, 256, (2, 5, 7), dtype=torch.uint8)
    assert Geometry()(frames) is frames


def test_the_middle_is_kept():
    assert torch.equal(Geometry(crop=[2, 4])(numbered(6, 8)), numbered(6, 8)[:, 2:4, 2:6])


def test_any_box_is_kept():
    assert torch.equal(Geometry(crop=[1, 0, 3, 2])(numbered(6, 8)), numbered(6, 8)[:, 1:4, 0:2])


def test_pixels_are_averaged():
    binned = Geometry(binning=2)(torch.tensor([[[1.0, 3.0, 0.0, 0.0], [5.0, 7.0, 0.0, 8.0]]]))
    assert torch.equal(binned, torch.tensor([[[4.0, 2.0]]]))


@pytest.mark.parametrize(("size", "shape"), [(3, (3, 3)), ([3, 3], (3, 3)), (12, (12, 12))])
def test_a_size_is_a_side_or_height_and_width(size, shape):
    assert Geometry(size=size)(torch.full((2, 6, 6), 0.5)).shape[1:] == shape
    assert Geometry(size=size).result((6, 6)) == shape


def test_steps_follow_each_other():
    steps = Geometry(crop=[8, 12], binning=2, size=[2, 3]).steps((10, 14))
    assert steps == [("frame", (10, 14)), ("crop", (8, 12)), ("binning 2", (4, 6)), ("resize", (2, 3))]


def test_frames_of_another_aspect_are_not_squeezed():
    with pytest.raises(ValueError, match=r"geometry.size = \[32, 32\] would squeeze 60x80 px.*crop=\[60,60\]"):
        Geometry(size=32).result((60, 80))
    assert Geometry(size=32, crop=[60, 60]).result((60, 80)) == (32, 32)


def test_a_size_that_keeps_the_aspect_to_half_a_pixel():
    """270x480 px at 144 px of width has 81 rows; 480x270 px scaled to 100 px of height has 56.25 columns."""
    assert Geometry(size=[81, 144]).result((270, 480)) == (81, 144)
    assert Geometry(size=[100, 56]).result((480, 270)) == (100, 56)
    with pytest.raises(ValueError, match="would squeeze"):
        Geometry(size=[100, 57]).result((480, 270))


def test_a_binning_that_leaves_pixels_over():
    with pytest.raises(ValueError, match=r"binning = 4 does not divide 10x12 px.*crop=\[8, 12\]"):
        Geometry(binning=4).result((10, 12))


@pytest.mark.parametrize("crop", [[7, 2], [0, 7, 2, 2], [5, 0, 2, 2]])
def test_a_crop_outside_the_frame(crop):
    with pytest.raises(ValueError, match=r"crop = .* does not lie inside images of 6x8 px"):
        Geometry(crop=crop).result((6, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": [3]}, "crop must be"),
        ({"crop": [0, 0, 0, 3]}, "crop must be"),
        ({"crop": [-1, 0, 2, 3]}, "crop must be"),
        ({"binning": 0}, "binning must be at least 1, got 0"),
        ({"size": [1, 2, 3]}, "size must be a side"),
        ({"size": 0}, "size must be a side"),
        ({"size": 100000}, "up to 16384, got 100000"),
        ({"size": [16.5, 16]}, "whole numbers of pixels"),
        ({"crop": [16.5, 16]}, "whole numbers of pixels"),
    ],
)
def test_values_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Geometry(**settings)


def test_a_binning_larger_than_the_frame_advises_no_crop():
    with pytest.raises(ValueError, match=r"binning = 64 does not divide 32x32 px. Choose a smaller one"):
        Geometry(binning=64).result((32, 32))
