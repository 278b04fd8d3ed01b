"""Training pairs from a twin: fitted once, the same for a number, mixed with measured pairs, refused where wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from recorded_noise import RecordedNoise

import spt.data.twin.fitting as fitting
from spt.data.datamodule import SpeckleDataModule
from spt.data.objects import SparseObjects
from spt.data.preparation import Amplitude, Spectra
from spt.data.twin import Jitter, TwinTraining
from spt.data.twin.jitter import affine, new_diffuser
from spt.errors import InvalidValue, MissingFile
from spt.optics.twin import Stage

STAGES = (Stage(1e-5, 0.03, 4, windows=False), Stage(1e-6, 0.01, 3, diffusers=True))


PAIRS = {"train": 12, "val_seen": 4, "test_unseen": 4}


@pytest.fixture(autouse=True)
def short_fit(monkeypatch):
    monkeypatch.setattr(fitting, "STAGES", STAGES)


def module(folder, source=None, workers=0, seed=0, preparation=None, **settings):
    twin = TwinTraining(SparseObjects(), **{"pairs": 10, "a_diffuser": 4, **settings})
    data = SpeckleDataModule(source or RecordedNoise(PAIRS), preparation or Spectra(), 4, workers, seed, twin=twin)
    data.cache_folder = folder
    data.setup()
    return data


def test_a_number_decides_the_pair_whatever_the_batch(tmp_path):
    pairs = module(tmp_path).simulated
    together, alone = pairs.__getitems__([3, 7, 13]), pairs.__getitems__([13])
    assert together["speckle"].shape == (3, 10, 32, 32)
    assert together["target"].shape == (3, 1, 16, 16)
    torch.testing.assert_close(together["speckle"][2], alone["speckle"][0])
    again = pairs.__getitems__([3])
    assert torch.equal(again["target"][0], together["target"][0])


def test_the_noise_of_another_epoch_is_another_and_the_object_the_same(tmp_path):
    pairs = module(tmp_path).simulated
    first, second = pairs.__getitems__([3]), pairs.__getitems__([3 + len(pairs)])
    assert torch.equal(first["target"], second["target"])
    assert (first["speckle"] - second["speckle"]).abs().max() > 0.1
    assert first["index"].tolist() == second["index"].tolist() == [3]


def test_loaders_train_on_simulated_and_validate_on_measured_pairs(tmp_path):
    data = module(tmp_path)
    batches = list(data.train_dataloader())
    assert len(batches) == 2
    assert all(batch["diffuser"].tolist() == [-1] * 4 for batch in batches)
    (seen,) = data.val_dataloader()
    (batch,) = list(seen)
    expected = data.preparation(data.splits["val_seen"].speckle[:][:, None])
    torch.testing.assert_close(batch["speckle"], expected, atol=1e-5, rtol=1e-5)


def test_workers_change_nothing(tmp_path):
    one, two = module(tmp_path), module(tmp_path, workers=2)
    for a, b in zip(one.train_dataloader(), two.train_dataloader(), strict=True):
        torch.testing.assert_close(a["speckle"], b["speckle"])


def test_a_share_of_measured_pairs(tmp_path):
    data = module(tmp_path, measured=0.5, pairs=40)
    drawn = data.simulated.__getitems__(list(range(40)))
    measured = drawn["diffuser"] > 0
    assert 10 <= int(measured.sum()) <= 30
    known = data.inputs["train"].speckle[:].unflatten(1, (10, -1))
    nearest = torch.cdist(drawn["speckle"][measured].flatten(1), known.flatten(1)).amin(1)
    assert nearest.max() < 1e-3


def test_the_fit_is_done_once_for_the_same_pairs(tmp_path, monkeypatch):
    first = module(tmp_path)
    monkeypatch.setattr("spt.data.twin.training.fit_to_pairs", lambda *given: pytest.fail("fitted again"))
    again = module(tmp_path, seed=0)
    assert torch.equal(first.simulated.simulated.spectra, again.simulated.simulated.spectra)


def test_other_training_pairs_have_a_twin_of_their_own(tmp_path):
    module(tmp_path)
    module(tmp_path, RecordedNoise({**PAIRS, "train": 14}))
    assert len(list(tmp_path.glob("twin-*.h5"))) == 2


def test_the_same_frames_of_other_diffusers_have_a_twin_of_their_own(tmp_path, monkeypatch):
    module(tmp_path)
    load = RecordedNoise.load

    def renamed(self):
        return {name: replace(pairs, diffuser=torch.ones_like(pairs.diffuser)) for name, pairs in load(self).items()}

    monkeypatch.setattr(RecordedNoise, "load", renamed)
    module(tmp_path)
    assert len(list(tmp_path.glob("twin-*.h5"))) == 2


def test_frames_of_the_unseen_diffuser_change_nothing(tmp_path):
    """Garbage behind it: the same statistics, the same twin, the same training pairs."""
    one, other = module(tmp_path / "a"), module(tmp_path / "b", RecordedNoise(PAIRS, unseen=1000.0))
    for name, value in one.preparation.state_dict().items():
        assert torch.equal(value, other.preparation.state_dict()[name]), name
    assert torch.equal(one.simulated.simulated.spectra, other.simulated.simulated.spectra)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(p.name for p in (tmp_path / "b").iterdir())


def test_another_seed_is_another_simulation(tmp_path):
    one, other = module(tmp_path), module(tmp_path, seed=1)
    assert not torch.equal(one.simulated.simulated.objects, other.simulated.simulated.objects)


def test_without_jitter_objects_and_diffusers_are_as_they_are():
    still = Jitter(*[0.0] * 12)
    assert torch.equal(affine(still, np.random.default_rng(0), 28), torch.eye(2, 3))
    diffuser = new_diffuser(still, np.random.default_rng(0), 9)
    assert diffuser.weights.abs().max() == 0
    assert diffuser.scale.abs().max() < 0.02


def test_affine_changes_lie_inside_their_ranges():
    jitter = replace(Jitter(), changed=1.0, shear=0.0, stretch=0.0)
    angles, moves = [], []
    for k in range(300):
        matrix = affine(jitter, np.random.default_rng(k), 28)
        angles.append(torch.rad2deg(torch.atan2(matrix[1, 0], matrix[1, 1])).item())
        moves.append(matrix[:, 2].abs().max().item() * 14)
        rotation = matrix[:, :2] @ matrix[:, :2].T
        torch.testing.assert_close(rotation, torch.eye(2), atol=1e-5, rtol=0)
    assert 11 < max(angles) <= 12.01
    assert -12.01 <= min(angles) < -11
    assert 0.9 < max(moves) <= 1.0001


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pairs": 0}, "data.twin.pairs must be at least 1"),
        ({"a_diffuser": 0}, "data.twin.a_diffuser must be at least 1"),
        ({"measured": 1.0}, r"data.twin.measured must lie in \[0, 1\)"),
    ],
)
def test_bad_settings(settings, said):
    with pytest.raises(InvalidValue, match=said):
        TwinTraining(SparseObjects(), **settings)


def test_bad_jitter():
    with pytest.raises(InvalidValue, match=r"jitter.scale must be 0 or more, got -0.1"):
        Jitter(scale=-0.1)
    with pytest.raises(InvalidValue, match=r"jitter.changed must be at most 1"):
        Jitter(changed=1.5)


def test_what_a_twin_cannot_predict_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InvalidValue, match=r"data.preparation is Amplitude. Choose"):
        module(tmp_path, preparation=Amplitude())
    with pytest.raises(InvalidValue, match=r"Set data.preparation.blocks=16"):
        module(tmp_path, preparation=Spectra(9, blocks=None))
    with pytest.raises(InvalidValue, match=r"Leave out data.online and data.augmentation"):
        SpeckleDataModule(RecordedNoise(PAIRS), Spectra(), online=True, twin=TwinTraining(SparseObjects()))


def test_a_twin_of_another_set_is_refused(tmp_path):
    module(tmp_path)
    (file,) = tmp_path.glob("twin-*.h5")
    with pytest.raises(InvalidValue, match="was fitted to other spectra or objects"):
        module(tmp_path, preparation=Spectra(reach=0.3), file=str(file))
    with pytest.raises(MissingFile, match="Fit a twin first"):
        module(tmp_path, file=str(tmp_path / "none.h5"))


def test_a_twin_that_saw_the_unseen_diffuser_is_refused(tmp_path, monkeypatch):
    module(tmp_path)
    (file,) = tmp_path.glob("twin-*.h5")
    load = RecordedNoise.load

    def renamed(self):
        splits = load(self)
        return splits | {"train": replace(splits["train"], diffuser=torch.full((12,), 7))}

    monkeypatch.setattr(RecordedNoise, "load", renamed)
    with pytest.raises(InvalidValue, match=r"was fitted to frames of diffuser 1, 2, which does not train here"):
        module(tmp_path, file=str(file))


def test_a_twin_of_some_of_the_training_diffusers_is_used(tmp_path, monkeypatch):
    one = module(tmp_path)
    (file,) = tmp_path.glob("twin-*.h5")
    again = module(tmp_path, file=str(file))
    assert torch.equal(one.simulated.simulated.spectra, again.simulated.simulated.spectra)


def test_objects_are_kept_as_they_were_drawn(tmp_path):
    simulated = module(tmp_path).simulated.simulated
    expected = SparseObjects().draw("train", range(10), 16, 0)
    assert np.array_equal(simulated.drawn.numpy(), expected)
    changed = (simulated.drawn != simulated.objects).flatten(1).any(1)
    assert 0 < int(changed.sum()) < 10
