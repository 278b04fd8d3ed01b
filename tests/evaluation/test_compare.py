import json
from pathlib import Path

import pytest

from spt.errors import InvalidValue, MissingFile
from spt.evaluation.compare import comparison, find_runs


def scores(pcc: float) -> dict:
    return {"pcc": {"mean": pcc, "sem": 0.01, "n": 4}, "ssim": {"mean": pcc / 2, "sem": 0.01, "n": 4}}


def run(pcc: float, unseen: float, ridge: float = 0.9) -> dict:
    return {
        "val_seen": scores(pcc),
        "val_unseen": scores(unseen),
        "baselines": {split: {"linear ridge": scores(ridge)} for split in ("val_seen", "val_unseen")},
        "run": {"parameters": 1234567, "seconds": 61.4},
    }


def written(folder: Path, metrics: dict, model: str = "", loss: str = "") -> Path:
    folder.mkdir(parents=True)
    if model:
        metrics["run"]["chosen"] = f"{model}, {loss}"
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_one_row_a_run_then_one_a_baseline():
    table = list(comparison({"a": run(0.5, 0.1), "b": run(0.6, 0.2)}, ["pcc"]))
    assert table == [
        ["method", "parameters", "s", "PCC val_seen", "PCC val_unseen"],
        ["a", "1,234,567", "61", "0.500 ± 0.010", "0.100 ± 0.010"],
        ["b", "1,234,567", "61", "0.600 ± 0.010", "0.200 ± 0.010"],
        ["linear ridge", "", "", "0.900 ± 0.010", "0.900 ± 0.010"],
    ]


def test_runs_scored_on_other_images_are_refused():
    with pytest.raises(
        InvalidValue, match="b and a were not scored on the same images: their baselines differ on val_seen"
    ):
        list(comparison({"a": run(0.5, 0.1), "b": run(0.5, 0.1, ridge=0.8)}))


def test_a_metric_that_only_some_have_leaves_the_other_cells_empty():
    """Baselines have no calibration, and runs of earlier versions have fewer metrics."""
    new, old = run(0.5, 0.1), run(0.6, 0.2)
    for split in ("val_seen", "val_unseen"):
        new[split]["ece"] = {"mean": 0.03, "sem": 0.001, "n": 4}
        new["baselines"][split]["linear ridge"]["mae"] = {"mean": 0.2, "sem": 0.01, "n": 4}
    for runs in ({"new": new, "old": old}, {"old": old, "new": new}):
        table = {row[0]: row[3:] for row in comparison(runs, ["ece"])}
        assert table["new"] == ["0.030 ± 0.001"] * 2
        assert table["old"] == table["linear ridge"] == ["", ""]


@pytest.mark.parametrize(("change", "same"), [(1e-9, True), (1e-4, False)])
def test_the_same_images_scored_on_another_machine_are_the_same(change: float, same: bool):
    runs = {"a": run(0.5, 0.1), "b": run(0.6, 0.2, ridge=0.9 + change)}
    if same:
        assert len(list(comparison(runs, ["pcc"]))) == 4
    else:
        with pytest.raises(InvalidValue, match="not scored on the same images"):
            list(comparison(runs, ["pcc"]))


def test_runs_of_other_splits_are_refused():
    other = run(0.5, 0.1)
    other["baselines"]["val_class"] = other["baselines"]["val_seen"]
    for runs in ({"a": other, "b": run(0.5, 0.1)}, {"a": run(0.5, 0.1), "b": other}):
        with pytest.raises(InvalidValue, match=r"b has the splits .*, but a has"):
            list(comparison(runs, ["pcc"]))


def test_a_baseline_that_one_run_lacks_is_still_shown():
    other = run(0.5, 0.1)
    for split in ("val_seen", "val_unseen"):
        other["baselines"][split]["best blur"] = scores(0.2)
    for runs in ({"a": other, "b": run(0.5, 0.1)}, {"a": run(0.5, 0.1), "b": other}):
        assert {row[0] for row in comparison(runs, ["pcc"])} == {"method", "a", "b", "linear ridge", "best blur"}


def test_without_a_common_baseline_nothing_shows_that_the_images_agree():
    without = run(0.5, 0.1) | {"baselines": {"val_seen": {}, "val_unseen": {}}}
    with pytest.raises(InvalidValue, match="no baseline in common on val_seen"):
        list(comparison({"a": run(0.5, 0.1), "b": without}, ["pcc"]))
    assert len(list(comparison({"b": without}, ["pcc"]))) == 2


def test_runs_with_and_without_the_number_of_diffusers_are_compared():
    """Earlier versions wrote no diffusers, and the standard error over images."""
    old, new = run(0.5, 0.1), run(0.6, 0.2)
    for score in new["baselines"]["val_unseen"]["linear ridge"].values():
        score |= {"sem": 0.07, "diffusers": 2}
    assert len(list(comparison({"old": old, "new": new}, ["pcc"]))) == 4


def test_a_score_that_is_null_is_shown_as_null():
    broken = run(0.5, 0.1)
    broken["val_seen"]["pcc"] |= {"mean": None, "sem": None}
    assert list(comparison({"a": broken}, ["pcc"]))[1][3:] == ["null", "0.100 ± 0.010"]


def test_an_unknown_metric_is_named():
    with pytest.raises(InvalidValue, match=r"unknown metric mape. These runs have pcc, ssim"):
        list(comparison({"a": run(0.5, 0.1)}, ["pcc", "mape"]))


def test_runs_are_found_in_the_order_of_a_sweep_and_named_by_the_choices(tmp_path: Path):
    for k in (10, 9, 0):
        written(tmp_path / f"{k}_job", run(k / 10, 0), f"net{k}", "dice")
    assert list(find_runs([tmp_path])) == ["net0, dice", "net9, dice", "net10, dice"]
    assert find_runs([tmp_path / "9_job"])["net9, dice"]["val_seen"]["pcc"]["mean"] == 0.9


def test_runs_of_one_name_keep_their_folders_apart(tmp_path: Path):
    first, second = (written(tmp_path / name, run(0.1, 0.1), "net", "dice") for name in ("a", "b"))
    assert list(find_runs([first, second])) == ["net, dice", f"net, dice ({second})"]


def test_a_run_without_hydras_record_is_named_by_its_folder(tmp_path: Path):
    assert list(find_runs([written(tmp_path / "mine", run(0.1, 0.1))])) == ["mine"]


def test_a_folder_without_runs(tmp_path: Path):
    with pytest.raises(MissingFile, match=r"holds no finished run: there is no metrics\.json"):
        find_runs([tmp_path])
