"""A clean set says nothing; every planted defect gives exactly its own words."""

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from spt.evaluation.speckle.checks import Limits, suspicions
from spt.evaluation.speckle.frame_statistics import Frames, measure

COUNT, SIDE = 32, 96
STEP = 8.0 / 255


def speckle(count: int = COUNT, diameter: float = 27, static: float = 0.0) -> Tensor:
    """Far field of a round pupil, mean 1, grain 3.6 px; a share ``static`` of the power is the same in all frames."""
    generator = torch.Generator().manual_seed(0)
    at = torch.arange(SIDE) - SIDE // 2
    pupil = (torch.hypot(at[:, None].float(), at.float()) <= diameter / 2).float()
    noise = torch.randn(count + 1, SIDE, SIDE, dtype=torch.complex64, generator=generator)
    field = math.sqrt(static) * noise[:1] + math.sqrt(1 - static) * noise[1:]
    return torch.fft.fft2(pupil * field).abs().square() / pupil.sum()


def objects() -> Tensor:
    """A bright rectangle, each at its own place."""
    image = torch.zeros(COUNT, SIDE, SIDE)
    for k in range(COUNT):
        y, x = 10 + 40 * (k % 2), 5 + 2 * k
        image[k, y : y + 30, x : x + 20] = 1
    return image


def camera(intensity: Tensor) -> Tensor:
    """8 bit, full scale at 8 times the mean of 1."""
    return (intensity / STEP).round().clamp(0, 255).to(torch.uint8)


def words(frames: Tensor, target: Tensor | None = None, limits: Limits | None = None) -> list[str]:
    return list(suspicions(measure(Frames("planted", frames, target)), limits or Limits()))


def test_a_clean_set_says_nothing():
    assert words(camera(speckle()), objects()) == []


def constant(x: Tensor) -> Tensor:
    x[4:6] = 1.0
    return x


def repeated(x: Tensor) -> Tensor:
    x[[7, 20, 21]] = x[3].clone()
    return x


def hot(x: Tensor) -> Tensor:
    x[:, [5, 40], [9, 80]] = 7.5
    return x


def vignette(x: Tensor) -> Tensor:
    y = torch.linspace(-1, 1, SIDE)
    profile = torch.exp(-(y[:, None] ** 2) - y**2)
    return x * profile / profile.mean()


PLANTED: dict[str, tuple[Callable[[], Tensor], str]] = {
    "constant": (lambda: camera(constant(speckle())), "2 of 32 frames are constant (contrast below 1e-6)"),
    "repeated": (lambda: camera(repeated(speckle())), "3 of 32 frames repeat an earlier one (PCC > 0.999)"),
    "hot": (lambda: camera(hot(speckle())), "2 hot pixel(s)"),
    "saturated": (lambda: camera(2 * speckle()), "saturated: 1.9"),
    "dark": (lambda: camera((speckle() - 0.08).clamp(min=0)), "too dark: 9."),
    "coarse": (lambda: (speckle() / 0.3).floor().add(1).to(torch.uint8), "coarse: a frame uses 2"),
    "vignette": (lambda: camera(vignette(speckle())), "vignette: the darkest part of the envelope has 0.1"),
    "low contrast": (
        lambda: camera(speckle(2 * COUNT).unflatten(0, (COUNT, 2)).mean(1)),
        "as of 2.0 patterns added up",
    ),
    "high contrast": (lambda: speckle() ** 1.3, "contrast 1.3"),
    "under-sampled": (lambda: camera(speckle(diameter=65)), "is below 2 px: under-sampled (Nyquist)"),
    "not resolved": (lambda: camera(speckle(diameter=200)), "is below 1 px: the speckle is not resolved"),
    "static": (lambda: camera(speckle(static=0.8)), "frames of different objects correlate: mean PCC 0.6"),
    "ballistic": (lambda: camera(0.8 * speckle() + 0.4 * objects()), "the object shows through: PCC 0."),
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_gives_exactly_its_words(defect):
    plant, expected = PLANTED[defect]
    said = words(plant(), objects())
    assert len(said) == 1, said
    assert expected in said[0]


def test_an_object_seen_dark_shows_through_as_well():
    (said,) = words(camera(speckle() * (1 - 0.3 * objects())), objects())
    assert "the object shows through: PCC -0." in said


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
def test_every_limit_decides_and_is_said(field):
    """Moved beyond what a clean set has, it speaks and names the number."""
    strict = {"saturated": 0.0, "dark": 1e-6, "lowest_contrast": 1.0625, "highest_contrast": 0.5, "grain": 4.5}
    strict |= {"correlation": -0.5, "uniformity": 0.999, "levels": 300, "leak": 0.01}
    target = objects()
    frames = camera(speckle() * (1 - 0.3 * target)) if field == "leak" else camera(speckle())
    (said,) = words(frames, target, dataclasses.replace(Limits(), **{field: strict[field]}))
    number = f"{100 * strict[field]:.2f}%" if field == "saturated" else f"{strict[field]}"
    assert (f"{100 * strict[field]:.1f}%" if field == "dark" else number) in said
