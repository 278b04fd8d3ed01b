import json
import logging
from dataclasses import replace

import pytest
import torch
from torch import nn

from spt.data.files.frames import Joined, Selected
from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude, Geometry
from spt.errors import InvalidValue
from spt.evaluation import scoring
from spt.evaluation.baselines import BASELINES
from spt.evaluation.predict import Predictor
from spt.evaluation.scoring import ResultFiles, evaluate
from spt.heads import BinaryHead, GreyLevelsHead

RUN = {"network": "Net", "parameters": 7, "epochs": 2, "device": "CPU", "precision": "32-true", "seconds": 1e4}


class Network(nn.Module):
    """The frames as logits; NaN for frames with a bright corner."""

    def forward(self, speckle):
        assert not self.training
        return speckle + torch.where(speckle[:, :, :1, :1] > 250, torch.nan, 0.0)


def pairs(name, n):
    speckle = torch.randint(0, 200, (n, 12, 13), dtype=torch.uint8)
    return Pairs(name, speckle, speckle, torch.arange(n) % 2)


@pytest.fixture
def splits():
    return {"train": pairs("train", 8), "val_seen": pairs("val_seen", 4), "val_unseen": pairs("val_unseen", 5)}


@pytest.fixture
def files(tmp_path):
    return ResultFiles(tmp_path / "metrics.json", tmp_path / "report.md", tmp_path / "figures")


@pytest.fixture
def undrawn(monkeypatch):
    """Without pictures, which take most of the time."""
    monkeypatch.setattr(scoring, "draw", lambda *_: {})


def predictor():
    return Predictor(Network(), BinaryHead(), Amplitude("none", scale="none"), 2)


def test_scores_table_and_pictures_are_written(splits, files, capsys):
    result = evaluate(predictor(), splits, files, RUN)
    written = json.loads(files.metrics.read_text())
    assert list(written) == ["val_seen", "val_unseen", "baselines", "run"]
    assert {name: written[name] for name in result.scores} == result.scores
    assert written["baselines"] == result.baselines
    assert list(written["baselines"]["val_unseen"]) == list(BASELINES)
    assert written["run"].items() >= RUN.items()
    assert files.report.read_text().startswith("| metric | method | val_seen (4 images, 2 diffusers) |")
    assert {p.name for p in files.figures.iterdir()} == {
        f"{split}{end}.png" for split in ("val_seen", "val_unseen") for end in ("", "_reliability")
    }
    assert "linear ridge" in capsys.readouterr().out


def test_a_head_without_probabilities_has_no_reliability_diagram(splits, files):
    class Levels(Network):
        def forward(self, speckle):
            return speckle.expand(-1, 4, -1, -1)

    predictor = Predictor(Levels(), GreyLevelsHead(4), Amplitude(), 2)
    evaluate(predictor, splits, files, RUN, baseline_pairs=0)
    assert {p.name for p in files.figures.iterdir()} == {"val_seen.png", "val_unseen.png"}


def test_the_networks_scores_are_written_before_the_baselines_are_fitted(splits, files, undrawn, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(scoring, "score_baselines", die)
    with pytest.raises(KeyboardInterrupt):
        evaluate(predictor(), splits, files, RUN)
    written = json.loads(files.metrics.read_text())
    assert written["val_unseen"]["pcc"]["mean"] == pytest.approx(
        evaluate(predictor(), splits, files, RUN, baseline_pairs=0).scores["val_unseen"]["pcc"]["mean"]
    )
    assert written["baselines"] == {"val_seen": {}, "val_unseen": {}}


def test_predictions_with_nan_end_in_an_error_after_all_that_is_finite_was_written(splits, files):
    splits["val_seen"].speckle[[1, 3], 0, 0] = 255
    with pytest.raises(InvalidValue, match=r"val_seen: the network's prediction of images 1, 3 holds NaN") as error:
        evaluate(predictor(), splits, files, RUN)
    assert f"null in {files.metrics}" in str(error.value)
    assert "val_unseen" not in str(error.value)

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    written = json.loads(files.metrics.read_text(), parse_constant=refuse)
    assert written["val_seen"]["pcc"] == {"mean": None, "sem": None, "n": 4, "diffusers": 2}
    assert written["val_unseen"]["pcc"]["mean"] is not None
    assert written["baselines"]["val_seen"]["linear ridge"]["pcc"]["mean"] is not None
    assert "| PCC | Net | null |" in files.report.read_text()
    assert (files.figures / "val_seen.png").is_file()


def test_baselines_can_be_switched_off(splits, files, undrawn, monkeypatch):
    monkeypatch.setattr(scoring, "score_baselines", lambda *_: pytest.fail("baselines were fitted"))
    result = evaluate(predictor(), splits, files, RUN, baseline_pairs=0)
    assert result.baselines == json.loads(files.metrics.read_text())["baselines"] == {"val_seen": {}, "val_unseen": {}}
    assert "linear ridge" not in files.report.read_text()


@pytest.mark.parametrize(("seconds", "told"), [(1e4, False), (0.0, True)])
def test_baselines_that_take_more_than_a_tenth_of_the_training_say_why(splits, files, undrawn, caplog, seconds, told):
    with caplog.at_level(logging.INFO):
        evaluate(predictor(), splits, files, RUN | {"seconds": seconds})
    assert ("They read 8 training frames and 9 others of 12x13 px several times, and compare" in caplog.text) == told
    assert ("baseline_pairs=0" in caplog.text) == told
    assert "data.cache" not in caplog.text, "the frames are in memory"


def test_recorded_frames_are_counted_as_they_are_read(splits, files, undrawn, caplog):
    """Every frame is read whole, however small the network's input is."""

    def large(p):
        frames = p.speckle.repeat_interleave(2, 1).repeat_interleave(2, 2)
        return replace(p, speckle=Joined([Selected(frames, range(len(p)))]), target=p.target[:, :, :12])

    lazy = {name: large(p) for name, p in splits.items()}
    preparation = Amplitude("none", scale="none", geometry=Geometry(crop=[24, 24], binning=2))
    with caplog.at_level(logging.INFO):
        evaluate(Predictor(Network(), BinaryHead(), preparation, 2), lazy, files, RUN | {"seconds": 0.0}, 10, 5)
    assert "5 training frames and 9 others of 24x26 px several times, prepare each to 12x12 px" in caplog.text
    assert "data.cache=memory or disk reads every file once" in caplog.text
