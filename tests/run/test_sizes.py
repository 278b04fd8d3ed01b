"""Sizes that do not go together end in one message, with settings that mend all of it."""

import copy
import re
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from spt.data.datamodule import SpeckleDataModule
from spt.data.preparation import Amplitude, Geometry, TargetPreparation
from spt.data.source import Source
from spt.errors import InvalidValue, WrongSize
from spt.models.input_size import check_size
from spt.run.sizes import check_sizes


class Recorded(Source):
    def __init__(self, frame: tuple[int, int], objects: tuple[int, int]) -> None:
        self.sizes = frame, objects

    frame_size = property(lambda self: self.sizes[0])
    object_size = property(lambda self: self.sizes[1])

    def load(self):
        raise AssertionError("sizes are checked before anything is read")


class Simulated(Recorded):
    recorded = False


class Network(nn.Module):
    def forward(self, speckle: torch.Tensor) -> torch.Tensor:
        check_size(speckle, 8, "Network")
        return speckle


def data(frame, objects, geometry=None, target=None, source=Recorded) -> SpeckleDataModule:
    preparation = Amplitude(geometry=Geometry(**geometry or {}), target=TargetPreparation(**target or {}))
    return SpeckleDataModule(source(frame, objects), preparation)


SQUARE, WIDE = (28, 28), (80, 100)
RESIZE, MIDDLE, BOTH = "(resizes the frames)", "(keeps the middle of the frames)", "(keeps the middle of both)"


@pytest.mark.parametrize(
    ("frame", "objects", "geometry", "target", "settings"),
    [
        (WIDE, WIDE, {}, {}, [f"G.size=[64,80] {RESIZE}", f"G.crop=[80,96] T.crop=[80,96] {BOTH}"]),
        (WIDE, SQUARE, {}, {}, [f"G.crop=[80,80] {MIDDLE}"]),
        (WIDE, (80, 101), {}, {}, [f"G.crop=[80,96] T.crop=[80,96] {BOTH}"]),
        ((100, 100), SQUARE, {}, {}, [f"G.size=[96,96] {RESIZE}", f"G.crop=[96,96] {MIDDLE}"]),
        ((100, 100), SQUARE, {"binning": 3}, {}, [f"G.crop=[96,96] {MIDDLE}"]),
        (WIDE, WIDE, {"size": 64}, {}, [f"G.size=[64,80] {RESIZE}"]),
        (WIDE, SQUARE, {"size": 64}, {}, [f"G.crop=[80,80] {MIDDLE}"]),
        ((64, 64), (64, 80), {}, {}, [f"G.crop=[64,64] T.crop=[64,64] {BOTH}"]),
        ((97, 101), (97, 101), {}, {}, [f"G.crop=[96,96] T.crop=[96,96] {BOTH}"]),
        (WIDE, (100, 80), {}, {"rotate": 90}, [f"G.size=[64,80] {RESIZE}", f"G.crop=[80,96] T.crop=[80,96] {BOTH}"]),
        (WIDE, WIDE, {"crop": [90, 90]}, {}, [f"G.crop=[80,88] T.crop=[80,88] {BOTH}"]),
        ((480, 640), (56, 28), {}, {"size": 28, "crop": [28, 28]}, [f"G.crop=[480,480] {MIDDLE}"]),
    ],
)
def test_the_settings_that_are_named_work(frame, objects, geometry, target, settings):
    with pytest.raises(InvalidValue) as refused:
        check_sizes(Network(), data(frame, objects, geometry, target))
    named = str(refused.value).partition(" Settings that work: ")[2]
    short = named.replace("data.preparation.geometry", "G").replace("data.preparation.target", "T").removesuffix(".")
    assert short.split("; or ") == settings
    for setting in settings:
        changed: dict[str, dict[str, Any]] = {"G": copy.copy(geometry), "T": copy.copy(target)}
        for part, name, value in re.findall(r"(\S)\.(\S+)=(\S+)", setting):
            changed[part][name] = OmegaConf.to_container(OmegaConf.create(value))
        check_sizes(Network(), data(frame, objects, changed["G"], changed["T"]))


def test_everything_that_is_wrong_is_named():
    with pytest.raises(InvalidValue, match=r"multiples of 8, got 80x100\. The network's .* 28x28 px: another ratio"):
        check_sizes(Network(), data(WIDE, SQUARE))


def test_sizes_that_fit_pass():
    check_sizes(Network(), data((80, 96), (160, 192)))


def test_without_settings_that_work_the_message_says_what_is_needed():
    with pytest.raises(InvalidValue, match=r"multiples of 8, got 7x3\. Nearest sizes that work: 8x8"):
        check_sizes(Network(), data((7, 3), (70, 30)))


def test_simulated_frames_have_another_setting_for_their_size():
    with pytest.raises(WrongSize, match=r"^Network: .* got 36x36\. Nearest sizes that work: 32x32 and 40x40\.$"):
        check_sizes(Network(), data((36, 36), (36, 36), source=Simulated))


def test_a_network_that_names_no_sizes_takes_all():
    with pytest.raises(InvalidValue, match=r"crop=\[81,81\] \(keeps the middle of the frames\)"):
        check_sizes(nn.Conv2d(1, 1, 5), data((90, 81), SQUARE))
