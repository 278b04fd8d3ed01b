"""Rivals see the same light; times are taken in turn; tables show ratios of the same round."""

import time

import pytest
import torch
from torch import nn

from spt.complexity.simulation_timing import (
    PADDED,
    RIVALS,
    _rivals,
    frames,
    in_turn,
    measure_share,
    measure_simulation,
    share_table,
    simulation_table,
)
from spt.optics import Camera, ThinDiffuser, ThinDiffuserSetup

SETUP = ThinDiffuserSetup(32, 64, 4e-6, 532e-9, 0.2e-3, 0.3e-3, ThinDiffuser(2.0, 23e-6))


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_rival_sees_the_same_light():
    """torchoptics in float32 is only good to 1e-3; with padding what leaves the grid does not come back."""
    batch = frames(SETUP, Camera(), 32, 3)
    medium = batch.setup.draw(3, batch.generator)
    ours = batch.setup.intensity(batch.objects, medium)
    bounds = dict(zip(RIVALS, (1e-5, 1e-3, 0.05, 1e-5), strict=True))
    for name, way in _rivals(batch.setup).items():
        difference = ((way(batch.objects, medium) - ours).norm() / ours.norm()).item()
        assert difference < bounds[name], name


def test_frames_are_exposed_and_each_has_its_own_screen():
    batch = frames(SETUP, Camera(), 48, 2)
    assert batch.setup.grid == 96
    grey = batch.simulate(batch.setup.intensity)
    assert grey.shape == (2, 48, 48)
    assert grey.max() <= 255
    assert torch.equal(grey, grey.round())
    assert torch.corrcoef(grey.flatten(1))[0, 1] < 0.5


def test_calls_take_turns_and_warm_up_is_not_counted():
    order = []
    seconds = in_turn({"a": lambda: order.append("a"), "b": lambda: (order.append("b"), time.sleep(0.01))}, 3, 1)
    assert order == ["a", "b"] * 4
    assert len(seconds["a"]) == len(seconds["b"]) == 3
    assert min(seconds["b"]) >= 0.01 > max(seconds["a"])


def test_ratios_are_of_the_same_round():
    seconds = {"frame, spt": [0.01, 0.02], "frame, torchoptics, same grid": [0.05, 0.12], "spt": [0.01, 0.02]}
    seconds |= {"torchoptics, same grid": [0.03, 0.1], "naive loop": [0.02, 0.04], "the same in float32": [0.02, 0.04]}
    _, row = simulation_table([{"size": 256, "threads": 1, "batch": 2, "seconds": seconds}])
    assert row == [
        *("256", "1", "2", "75 (50..100)", "5.5 (5.0..6.0)", "4.0 (3.0..5.0)", "2.0 (2.0..2.0)"),
        *("not measured", "2.0 (2.0..2.0)"),
    ]


def test_share_is_of_simulation_and_step_together():
    seconds = {"simulation": [0.01, 0.02], "training step": [0.09, 0.18]}
    _, row = share_table([{"size": 64, "threads": 2, "batch": 16, "seconds": seconds}])
    assert row == ["64", "2", "16", "15.0 (10.0..20.0)", "135 (90..180)", "10.0 (10.0..10.0) %"]


def test_measured_rows_make_tables():
    row = measure_simulation(SETUP, Camera(), 32, threads=1, repeats=1)
    assert row["batch"] == 128
    assert set(row["seconds"]) == {"frame, spt", "frame, torchoptics, same grid", "spt", *RIVALS}
    assert row["seconds"][PADDED][0] > row["seconds"]["spt"][0]
    header, cells = simulation_table([row])
    assert len(header) == len(cells) == 9
    share = measure_share(SETUP, Camera(), nn.Conv2d(1, 1, 3, padding=1), batch=2, threads=1, repeats=2)
    assert [len(times) for times in share["seconds"].values()] == [2, 2]
