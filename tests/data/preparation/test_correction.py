import pytest
import torch

from spt.data.preparation import Amplitude, Correction, Geometry
from spt.data.preparation.correction import mean_frame, without_hot_pixels


def test_a_level_is_subtracted_and_nothing_is_negative():
    assert Correction(background=3)(torch.tensor([[1.0, 3.0, 8.0]])).tolist() == [[0, 0, 5]]


def test_the_mean_training_frame_is_subtracted():
    frames = torch.rand(6, 4, 5)
    correction = Correction(background="mean")
    correction.fit(mean_frame(frames), read=lambda name: None)
    assert torch.allclose(correction(frames), (frames - frames.mean(0)).clamp(min=0), atol=1e-6)


def test_a_dark_frame_and_a_flat_field_of_files():
    """(frame - dark) / ((flat - dark) / its mean)."""
    files = {"dark.npy": torch.full((2, 2, 2), 1.0), "flat.npy": torch.tensor([[[3.0, 5.0], [5.0, 3.0]]])}
    correction = Correction(background="dark.npy", flat="flat.npy")
    correction.fit(torch.zeros(2, 2), read=files.__getitem__)
    assert torch.allclose(correction(torch.tensor([[5.0, 9.0], [1.0, 3.0]])), torch.tensor([[6.0, 6.0], [0.0, 3.0]]))


def test_a_smooth_illumination_is_divided_out():
    """Constant frames under a Gaussian beam are nearly constant afterwards: the ripple falls to a fifth."""
    across = torch.exp(-torch.linspace(-1, 1, 64).square())
    frames = 100 * (across[:, None] * across)[None].expand(4, -1, -1)
    correction = Correction(flat="envelope")
    correction.fit(mean_frame(frames), read=lambda name: None)
    flat = correction(frames)
    assert (flat.std() / flat.mean()) < 0.2 * frames.std() / frames.mean()


def test_a_hot_pixel_becomes_the_median_around_it():
    frames = torch.arange(25, dtype=torch.float32).view(1, 5, 5) + 1
    hot = frames.clone()
    hot[0, 2, 2] = 500
    mended = without_hot_pixels(hot, factor=2)
    around = torch.cat([hot[0, 1:4, 1:4].flatten()]).median()
    assert mended[0, 2, 2] == around
    mended[0, 2, 2] = hot[0, 2, 2]
    assert torch.equal(mended[0, 1:, 1:], hot[0, 1:, 1:])


def test_a_bright_grain_of_two_pixels_is_kept():
    frames = torch.ones(1, 6, 6)
    frames[0, 2, 2:4] = 50
    assert torch.equal(without_hot_pixels(frames, 2), frames)


def test_a_file_of_another_size():
    with pytest.raises(ValueError, match=r"dark.npy: frames of 3x4 px, but the speckles have 4x4 px"):
        Correction(background="dark.npy").fit(torch.zeros(4, 4), read=lambda name: torch.zeros(1, 3, 4))


def test_a_flat_field_that_is_dark_somewhere():
    field = torch.ones(1, 4, 4)
    field[0, 0, 0] = 0
    with pytest.raises(ValueError, match=r"flat=flat.npy: the field is below 2% of its mean somewhere"):
        Correction(flat="flat.npy").fit(torch.zeros(4, 4), read=lambda name: field)


@pytest.mark.parametrize(
    ("settings", "message"), [({"background": -1}, "background must be 0"), ({"hot_pixels": 0.5}, "hot_pixels must be")]
)
def test_values_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Correction(**settings)


def test_the_scale_of_the_set_keeps_bright_and_dim_apart():
    frames = torch.stack([torch.rand(8, 8), 10 * torch.rand(8, 8)])
    preparation = Amplitude("none", "set")
    preparation.fit(frames, (8, 8))
    prepared = preparation(frames)
    assert prepared.mean().abs() < 1e-5
    assert abs(prepared.std(correction=0) - 1) < 1e-4
    assert prepared[1].std() > 5 * prepared[0].std()


def test_what_was_fitted_travels_without_the_frames():
    frames = 50 * torch.rand(8, 16, 16)
    fitted = Amplitude("log", "set", [-1.0, 2.0], Correction("mean", None, "envelope"), Geometry(crop=[8, 8]))
    fitted.fit(frames, (16, 16))
    other = Amplitude("log", "set", [-1.0, 2.0], Correction("mean", None, "envelope"), Geometry(crop=[8, 8]))
    other.load_fitted(fitted.state_dict())
    assert torch.equal(fitted(frames), other(frames))
    assert other(frames).min() >= -1
    assert other(frames).max() <= 2


def test_a_set_scale_that_was_not_fitted_is_a_fault_of_the_code():
    with pytest.raises(RuntimeError, match="fit"):
        Amplitude(scale="set")(torch.rand(1, 4, 4))


def test_the_chain_in_words():
    preparation = Amplitude(correction=Correction(background=3), geometry=Geometry(crop=[480, 480], binning=2))
    assert preparation.describe((512, 640), (64, 80)) == (
        "frame 512x640 -> background -> crop 480x480 -> binning 2 240x240 -> sqrt -> standardize"
    )


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("setting", ["background", "flat"])
def test_a_file_with_values_that_no_camera_records(setting, value):
    with pytest.raises(ValueError, match=r"f.npy holds NaN, infinity or negative intensities"):
        Correction(**{setting: "f.npy"}).fit(torch.ones(4, 4), read=lambda name: torch.full((1, 4, 4), value))
