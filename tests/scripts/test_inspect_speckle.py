"""The command: a table, a figure and words for frames and a data set, the real sets; or one line of error."""

from runpy import run_path

import numpy as np
import pytest
import scipy.io
from conftest import ROOT, TINY
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict
from PIL import Image

from spt.errors import InvalidValue
from spt.evaluation.speckle.checks import Limits
from spt.evaluation.speckle.frame_statistics import by_diffuser, measure, one_split
from spt.run.building import build

SMALL = [override for override in TINY if override.startswith("data.source")]


def inspect(*arguments: str) -> None:
    """What the command does, in this process."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("inspect_speckle", list(arguments), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    run_path(str(ROOT / "scripts" / "inspect_speckle.py"))["inspect_speckle"](cfg)


def composed(*overrides: str):
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return compose("inspect_speckle", list(overrides))


def test_limits_of_the_configuration_are_the_codes():
    assert build(composed().limits) == Limits()


def test_the_set_to_compare_with_is_another_choice_of_data():
    cfg = composed("data=one_diffuser", "data@against=like_220grit")
    assert cfg.against.source.setup.window == 512
    assert cfg.data.source.setup.window == 64


def test_frames_without_objects_beside_a_simulated_set(tmp_path, capsys):
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).exponential(size=(10, 32, 32)))
    against = ["data@against=one_diffuser", *(override.replace("data.", "against.") for override in SMALL)]
    inspect(
        f"frames={tmp_path / 'mine.npy'}", *against, "split=all", "limit=8", "pitch=4e-6", f"out={tmp_path / 'out'}"
    )
    table = (tmp_path / "out" / "speckle_statistics.md").read_text()
    assert table.startswith("|  | mine.npy | one_diffuser, 9 diffusers |")
    assert "| frames | 8 of 32x32 px | 8 of 32x32 px |" in table
    assert "| grain FWHM y, x in µm |" in table
    assert "mine.npy: grain 0.6 px is below 1 px: the speckle is not resolved. Magnify." in capsys.readouterr().out
    assert (tmp_path / "out" / "speckle_statistics.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mat:speckle", []),
        ("a.npy", ["files.axes=hwn"]),
        ("a.raw", ["files.dtype='<u2'", "files.shape=[32,32]"]),
        ("folder", ["files.colour=green"]),
    ],
)
def test_frames_of_other_formats(tmp_path, name, settings):
    frames = np.random.default_rng(0).integers(0, 4096, (10, 32, 32)).astype(np.uint16)
    scipy.io.savemat(tmp_path / "a.mat", {"speckle": frames.transpose(1, 2, 0), "label": frames.transpose(1, 2, 0)})
    np.save(tmp_path / "a.npy", frames.transpose(1, 2, 0))
    frames.tofile(tmp_path / "a.raw")
    (tmp_path / "folder").mkdir()
    for k, frame in enumerate(frames):
        Image.fromarray((frame >> 4).astype(np.uint8)).convert("RGB").save(tmp_path / "folder" / f"{k}.png")
    inspect(f"frames={tmp_path}/{name}", *settings, f"out={tmp_path / 'out'}")
    table = (tmp_path / "out" / "speckle_statistics.md").read_text()
    assert f"|  | {name} |" in table
    assert "| frames | 10 of 32x32 px |" in table


def test_frames_whose_axes_leave_a_doubt(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((32, 32, 10)))
    with pytest.raises(InvalidValue, match=r"a.npy has shape \(32, 32, 10\).*\(set files.axes=hwn\)"):
        inspect(f"frames={tmp_path}/a.npy", f"out={tmp_path / 'out'}")


@pytest.mark.parametrize("setting", ["limit=0", "pitch=0"])
def test_what_is_out_of_range(tmp_path, setting):
    with pytest.raises(InvalidValue, match="limit must be at least 1 and pitch positive"):
        inspect(setting, f"out={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_real_and_tuned_sets_agree(real_data, cache):
    """What docs/optics.md prints: contrast and grain of the three real diffusers, and of the set tuned to them."""
    small = ["data@against=like_220grit", "against.source.train=6", "against.source.validation=1"]
    cfg = composed("data=real_220grit", *small)
    sets = []
    for node in (cfg.data, cfg.against):
        splits = build(node).source.load()
        sets.append([measure(frames) for frames in by_diffuser(one_split(splits, "all"), 48)])
    real, tuned = sets
    assert len(real) == len(tuned) == 3
    for s in real:
        assert s.flat_contrast.mean().item() == pytest.approx(0.74, abs=0.03)
        assert s.grain == pytest.approx((1.74, 2.1), abs=0.25)
        assert s.uniformity == pytest.approx(0.10, abs=0.03)
        assert abs(s.leak.excess) < 0.05
    tuned = tuned[0]
    assert tuned.flat_contrast.mean().item() == pytest.approx(0.67, abs=0.03)
    assert tuned.grain == pytest.approx((2.17, 2.17), abs=0.15)
    assert tuned.uniformity == pytest.approx(0.11, abs=0.03)
