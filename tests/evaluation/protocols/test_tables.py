"""Scores and tables of a plan, with a network whose images are its frames."""

import csv
import json

import pytest
import torch
from torch import nn

from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.evaluation.baseline_scores import score_baselines
from spt.evaluation.baselines import BASELINES
from spt.evaluation.network_scores import score_network
from spt.evaluation.phase_retrieval import NAME
from spt.evaluation.predict import Predictor
from spt.evaluation.protocols.figure import curve
from spt.evaluation.protocols.plan import Plan, Point
from spt.evaluation.protocols.scored import Scoring, score_plan
from spt.evaluation.protocols.tables import as_json, as_markdown, sentences, show, write_csv
from spt.heads import BinaryHead

PREPARATION = Amplitude("none", scale="none")
PREDICTOR = Predictor(nn.Identity(), BinaryHead(), PREPARATION, 4)


def pairs(name, noise, n=6):
    generator = torch.Generator().manual_seed(len(name))
    target = torch.rand(n, 12, 12, generator=generator)
    speckle = 255 * (target + noise * torch.rand(n, 12, 12, generator=generator))
    return Pairs(name, speckle, target, torch.arange(n) % 3)


TRAIN = pairs("train", 0.1, 12)


def made(values, references=False):
    points = [
        Point(
            f"{value:g} mm",
            {"seen": pairs(f"{value} seen", value), "unseen": pairs(f"{value} unseen", 2 * value)},
            value,
            {"speckle correlation": (1 / (1 + value), 0.01), "theory": (0.5, 0.0)} if references else {},
        )
        for value in values
    ]
    return Plan("distance", "camera distance", points, "camera distance [mm]", (1.0, 1.0), ["A note."])


def scored(plan, train=TRAIN, **settings):
    return score_plan(plan, Scoring(PREDICTOR, "Net", train, 100, **settings))


@pytest.fixture(scope="module")
def result():
    return scored(made([0.5, 1.0, 2.0]))


def test_every_point_is_scored_like_a_split(result):
    point = result.plan.points[1]
    alone = score_network(PREDICTOR, point.pairs["unseen"], "Net", 15).scores
    assert result.scores(1, "unseen", "Net") == alone
    simple = score_baselines(TRAIN, {"x": point.pairs["seen"]}, PREPARATION, 100)["x"]
    assert {name: result.scores(1, "seen", name) for name in BASELINES} == simple
    assert result.methods == ["Net", *BASELINES]
    assert result.faults == []


def test_the_sentences_name_the_ends_of_the_curve(result):
    seen, unseen = sentences(result)
    means = [result.scores(k, "seen", "Net")["pcc"]["mean"] for k in range(3)]
    assert seen.startswith(
        f"Through trained diffusers: PCC {min(means):.3f} (2 mm) to {max(means):.3f} (0.5 mm); clearly above"
    )
    assert unseen.endswith("of 3 points.")


@pytest.mark.parametrize("references", [False, True])
def test_the_terminal_has_a_table_for_each_kind_of_diffuser(capsys, monkeypatch, references):
    monkeypatch.delenv("COLUMNS", raising=False)
    show(scored(made([0.5, 1.0], references)))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert out.splitlines()[0].startswith("Through trained diffusers: PCC")
    assert "PCC, camera distance, trained diffusers" in out
    assert "PCC, camera distance, unseen diffusers" in out
    assert out.count("1 mm (trained)") == 2
    assert ("speckle correlation" in out) == ("best baseline  " in out) == references
    assert ("linear ridge" in out.replace("best baseline", "")) or references


def test_seven_methods_fit_too(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    with_retrieval = scored(made([1.0]), phase_retrieval=True)
    assert with_retrieval.methods[-1] == NAME
    assert with_retrieval.seconds.keys() == {"Net", NAME}
    show(with_retrieval)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert "phase" in out
    assert "nearest" not in out


def test_markdown_csv_and_json_hold_the_same_numbers(result, tmp_path):
    text = as_markdown([result], "Made here.")
    write_csv(tmp_path / "d.csv", result)
    rows = list(csv.DictReader((tmp_path / "d.csv").open()))
    content = json.loads(json.dumps(as_json(result)))
    score = result.scores(2, "unseen", "linear ridge")["ssim"]
    (row,) = [
        row
        for row in rows
        if (row["value"], row["diffusers"], row["method"], row["metric"]) == ("2.0", "unseen", "linear ridge", "ssim")
    ]
    assert (float(row["mean"]), float(row["sem"]), int(row["n"])) == (score["mean"], score["sem"], 6)
    assert content["points"][2]["baselines"]["unseen"]["linear ridge"]["ssim"] == score
    assert "| SSIM, unseen diffusers: camera distance [mm] | images | Net |" in text
    assert f"{score['mean']:.3f} ± {score['sem']:.3f} |" in text
    assert "A note." in text
    assert text.rstrip().endswith("Made here.")


def test_without_training_pairs_there_are_no_baselines(capsys):
    alone = scored(made([1.0, 2.0]), train=None)
    assert alone.methods == ["Net"]
    assert "baseline" not in sentences(alone)[0]
    show(alone)
    assert "ridge" not in capsys.readouterr().out


def test_the_curve_has_a_panel_for_each_kind_and_the_training_marked():
    figure = curve(scored(made([0.5, 1.0, 20.0], references=True)))
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["trained diffusers", "unseen diffusers"]
    assert panels[0].get_xscale() == "log"
    labels = panels[1].get_legend_handles_labels()[1]
    assert set(labels) == {"training", "Net", *BASELINES, "speckle correlation", "theory"}


def test_points_of_one_split_each_are_a_column_each(capsys):
    points = [Point(name, {"seen": pairs(name, 0.3)}) for name in ("test_seen", "val_class")]
    show(scored(Plan("splits", "every split", points)))
    out = capsys.readouterr().out
    assert out.startswith("Through trained diffusers (test_seen): PCC")
    assert "SSIM" in out
