"""fit_twin: four files, or one clear error and none."""

import json

import pytest
import torch
from PIL import Image
from recorded_noise import RecordedNoise

import spt.data.twin.fitting as fitting
from spt.data.datamodule import SpeckleDataModule
from spt.data.preparation import Amplitude, Spectra
from spt.errors import InvalidValue
from spt.evaluation.twin_page import held_out
from spt.optics.twin import Stage, open_twin, predicted
from spt.run.fit_twin import fit_twin_to

PAIRS = {"train": 12, "val_seen": 6}


@pytest.fixture(autouse=True)
def short_fit(monkeypatch):
    stages = (Stage(1e-5, 0.03, 4, windows=False), Stage(1e-6, 0.2, 6, diffusers=True))
    monkeypatch.setattr(fitting, "STAGES", stages)


def test_a_twin_and_its_page(tmp_path):
    data = SpeckleDataModule(RecordedNoise(PAIRS), Spectra(), 4)
    files = fit_twin_to(data, tmp_path / "new" / "twin.h5")
    assert [file.name for file in files] == ["twin.h5", "twin.png", "twin.md", "twin.json"]
    fitted = open_twin(files[0])
    assert fitted.facts["pairs"] == 12
    assert Image.open(files[1]).size[0] > 500
    text = files[2].read_text()
    assert "Fitted to 12 pairs behind 2 diffusers." in text
    assert "![light, residuals, spectra](twin.png)" in text
    numbers = json.loads(files[3].read_text())
    known = held_out(fitted, data.splits["val_seen"], data.preparation)
    assert numbers["held_out_residual"] == pytest.approx(known.residual)
    train = fitting.measure(data.splits["train"], data.preparation)
    with torch.no_grad():
        model, _ = predicted(fitted.twin, train.objects, fitted.diffusers(train.diffuser))
    assert numbers["residual"] == pytest.approx((train.spectra - model).square().mean().item(), rel=1e-4)
    pairs = [(known.measured[k], known.measured[k + 3]) for k in range(3)]
    noise = torch.stack([(a - b).square().mean() / 2 for a, b in pairs]).mean()
    assert numbers["noise"] == pytest.approx(noise.item(), rel=1e-4)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "twin.md").write_text("mine")
    with pytest.raises(InvalidValue, match=r"twin.md exists already"):
        fit_twin_to(SpeckleDataModule(RecordedNoise(PAIRS), Spectra(), 4), tmp_path / "twin.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["twin.md"]


def test_amplitudes_and_other_endings_are_refused(tmp_path):
    with pytest.raises(InvalidValue, match="Amplitude"):
        fit_twin_to(SpeckleDataModule(RecordedNoise(PAIRS), Amplitude(), 4), tmp_path / "twin.h5")
    with pytest.raises(InvalidValue, match=r"must end in .h5"):
        fit_twin_to(SpeckleDataModule(RecordedNoise(PAIRS), Spectra(), 4), tmp_path / "twin")
    assert not list(tmp_path.iterdir())
