"""Do the spectra of two halves of a frame hold the same object? Far fields of rough screens, whose answer is known."""

import pytest
import torch

from spt.evaluation.speckle.spectra import SpectrumAgreement, spectrum_agreement


def far_fields(count: int, objects: str, side: int = 128, seed: int = 0) -> torch.Tensor:
    """Intensity of the far field behind a rough screen each: its power spectrum is the autocorrelation of the object.

    Objects are ``rods`` of different directions, or one ``spot`` for all.
    """
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side) - side // 2, torch.arange(side) - side // 2, indexing="ij")
    frames = []
    for k in range(count):
        angle = torch.tensor(3.1416 * k / count)
        along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
        light = ((along / 12) ** 2 + (across / 3) ** 2 < 1) if objects == "rods" else (x**2 + y**2 < 64)
        phase = 6.2832 * torch.rand(side, side, generator=generator)
        field = torch.fft.fft2(light * torch.exp(1j * phase))
        frames.append(field.abs().square())
    return torch.stack(frames)


def test_amplitude_objects_in_the_far_field_agree():
    found = spectrum_agreement(far_fields(24, "rods"))
    assert found is not None
    assert found.own - found.null > 0.5
    assert abs(found.null) < 0.1
    assert "can see through diffusers that were never measured" in found.sentences()[0]


def test_frames_whose_spectra_hold_no_object_do_not_agree():
    found = spectrum_agreement(far_fields(24, "spot"))
    assert found is not None
    assert abs(found.own - found.null) < 0.1
    assert "do not agree" in found.sentences()[0]


@pytest.mark.parametrize(
    ("own", "sem", "words"),
    [(0.3, 0.02, "agree a little"), (0.3, 0.1, "do not agree"), (0.05, 0.001, "do not agree"), (0.8, 0.1, "can see")],
)
def test_words(own: float, sem: float, words: str):
    assert words in SpectrumAgreement(own, 0.0, sem, 0.3).sentences()[0]


def test_a_spectrum_that_the_camera_cuts():
    assert len(SpectrumAgreement(0.8, 0.0, 0.1, 0.3).sentences()) == 1
    assert "the camera cuts it" in SpectrumAgreement(0.8, 0.0, 0.1, 0.49).sentences()[1]


def test_nothing_is_said_of_too_few_too_small_or_equal_frames():
    frames = far_fields(8, "rods")
    assert spectrum_agreement(frames[:7]) is None
    assert spectrum_agreement(frames[:, :63]) is None
    assert spectrum_agreement(frames[:1].expand(8, -1, -1)) is None
