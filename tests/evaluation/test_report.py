import json

import pytest
import torch

from spt.data.pairs import Pairs
from spt.evaluation.score_table import MAIN, cell, print_table, score, score_baselines, write_markdown, write_metrics
from spt.metrics import METRICS

METHODS = ["raw speckle", "best blur", "mean image", "nearest neighbour", "linear ridge"]
SPLITS = ["val_seen", "val_class", "val_unseen"]


def scores(mean, n=8):
    return {
        "pcc": {"mean": mean, "sem": 0.0125, "n": n},
        "ssim": {"mean": mean / 2, "sem": 0.0, "n": n},
        "ji": {"mean": -0.25, "sem": 0.1, "n": n},
        "psnr": {"mean": 20 + mean, "sem": 1.5, "n": n},
    }


def test_a_perfect_prediction():
    target = torch.rand(3, 1, 16, 16)
    values = score(target, target)
    assert {name: value["mean"] for name, value in values.items()} == pytest.approx(
        {"pcc": 1, "ssim": 1, "ji": 1, "psnr": 100, "dice": 1, "mse": 0, "mae": 0}
        | {"accuracy": 1, "precision": 1, "recall": 1},
        abs=1e-6,
    )
    assert all(value["sem"] == pytest.approx(0, abs=1e-6) and value["n"] == 3 for value in values.values())


def test_mean_and_standard_error_over_images():
    # Errors of 0.1 and 0.01 everywhere: 20 and 40 dB; mean 30, standard error (40 - 20) / sqrt(2) / sqrt(2) = 10.
    target = torch.rand(2, 1, 16, 16) * 0.8
    pred = target + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    values = score(pred, target)
    assert values["psnr"] == pytest.approx({"mean": 30, "sem": 10, "n": 2}, abs=1e-3)
    assert values["pcc"] == pytest.approx({"mean": 1, "sem": 0, "n": 2}, abs=1e-6)


def test_a_single_image_has_no_error():
    target = torch.rand(1, 1, 16, 16)
    assert score(1 - target, target)["pcc"] == pytest.approx({"mean": -1, "sem": 0, "n": 1}, abs=1e-6)


def test_baselines_are_scored_on_the_same_images():
    pairs = Pairs(
        "val", torch.rand(4, 16, 16), torch.randint(0, 2, (4, 16, 16), dtype=torch.uint8) * 255, torch.ones(4)
    )
    values = score_baselines({"truth": lambda p: p.images(), "negative": lambda p: 1 - p.images()}, pairs)
    assert list(values) == ["truth", "negative"]
    assert [values[name]["pcc"]["mean"] for name in values] == pytest.approx([1, -1])
    assert [values[name]["ji"]["mean"] for name in values] == pytest.approx([1, 0])
    assert values["truth"]["ssim"]["n"] == 4


def test_metrics_survive_the_file(tmp_path):
    path = tmp_path / "metrics.json"
    metrics = {"val_seen": {"network": scores(0.1 + 0.2), "note": "± é"}, "epochs": 3}
    write_metrics(path, metrics)
    assert json.loads(path.read_text()) == metrics
    write_metrics(path, {"epochs": 4})
    assert json.loads(path.read_text()) == {"epochs": 4}
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_metrics_that_are_no_json_leave_the_old_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics(path, {"epochs": 3})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_metrics(path, {"pcc": torch.tensor(0.5)})
    assert json.loads(path.read_text()) == {"epochs": 3}


def test_a_full_disk_leaves_the_old_metrics(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_metrics(path, {"epochs": 3})

    def write_half(self, text):
        self.write_bytes(text.encode()[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_text", write_half)
    with pytest.raises(OSError, match=str(path)):
        write_metrics(path, {"epochs": 4})
    assert json.loads(path.read_text()) == {"epochs": 3}


@pytest.fixture
def final():
    network = {split: scores(0.9 - k / 10, n=8 + k) for k, split in enumerate(SPLITS)}
    baselines = {split: {m: scores(j / 10 + k / 5) for j, m in enumerate(METHODS)} for k, split in enumerate(SPLITS)}
    return "SPT-UNet", network, baselines


@pytest.fixture
def printed(final, capsys, monkeypatch):
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    print_table(*final)
    return capsys.readouterr().out


def test_markdown_holds_the_same_table(final, tmp_path):
    write_markdown(tmp_path / "report.md", *final, "made by hand")
    *table, blank, note = (tmp_path / "report.md").read_text().splitlines()
    assert (blank, note) == ("", "made by hand")
    assert table[0] == "| metric | method | val_seen (n = 8) | val_class (n = 9) | val_unseen (n = 10) |"
    assert table[1] == "| --- | --- | --- | --- | --- |"
    assert table[2] == "| PCC | SPT-UNet | 0.900 ± 0.013 | 0.800 ± 0.013 | 0.700 ± 0.013 |"
    assert len(table) == 2 + 4 * (1 + len(METHODS))


def cells(line):
    return [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]


def test_the_table_holds_every_metric_method_and_split(printed):
    rows = [cells(line) for line in printed.splitlines() if "│" in line]
    assert len(rows) == 4 * (1 + len(METHODS))
    assert [row[1] for row in rows] == ["SPT-UNet", *METHODS] * 4
    assert [row[0] for row in rows if row[0]] == ["PCC", "SSIM", "JI", "PSNR"]
    head = [cells(line) for line in printed.splitlines() if "┃" in line]
    titles = [" ".join(column).strip() for column in zip(*head, strict=True)]
    assert titles == ["metric", "method", "val_seen (n = 8)", "val_class (n = 9)", "val_unseen (n = 10)"]


def test_each_number_stands_in_its_row_and_column(printed):
    rows = [cells(line) for line in printed.splitlines() if "│" in line]
    assert rows[0] == ["PCC", "SPT-UNet", "0.900 ± 0.013", "0.800 ± 0.013", "0.700 ± 0.013"]
    assert rows[4] == ["", "nearest neighbour", "0.300 ± 0.013", "0.500 ± 0.013", "0.700 ± 0.013"]
    assert rows[6] == ["SSIM", "SPT-UNet", "0.450 ± 0.000", "0.400 ± 0.000", "0.350 ± 0.000"]
    assert rows[12][2:] == ["-0.250 ± 0.100"] * 3
    assert rows[18] == ["PSNR", "SPT-UNet", "20.90 ± 1.50", "20.80 ± 1.50", "20.70 ± 1.50"]


# More than the main metrics ------------------------------------------------------------------------------------------


@pytest.fixture
def more(final):
    """Everything has a mean absolute error; only the network has logits and with them a calibration."""
    name, network, baselines = final
    for split in SPLITS:
        network[split] |= {"mae": {"mean": 0.0123, "sem": 0.00031, "n": 8}, "ece": {"mean": 0.05, "sem": 0.01, "n": 8}}
        for method in METHODS:
            baselines[split][method] |= {"mae": {"mean": 0.2, "sem": 0.01, "n": 8}}
    return name, network, baselines


def test_the_printed_table_keeps_the_main_metrics(more, printed, capsys):
    print_table(*more)
    assert capsys.readouterr().out == printed
    assert MAIN == ("pcc", "ssim", "ji", "psnr")
    assert set(MAIN) <= set(METRICS)


def test_markdown_holds_every_metric_and_no_row_where_a_method_has_none(more, tmp_path):
    write_markdown(tmp_path / "report.md", *more, "made by hand")
    body = [line.split(" | ") for line in (tmp_path / "report.md").read_text().splitlines()[2:-2]]
    assert [line[1] for line in body if line[0] == "| MAE"] == ["SPT-UNet", *METHODS]
    ece = "0.050 ± 0.010"
    assert [line[1:] for line in body if line[0] == "| ECE"] == [["SPT-UNet", ece, ece, f"{ece} |"]]
    assert len(body) == 5 * (1 + len(METHODS)) + 1


@pytest.mark.parametrize(
    ("mean", "sem", "shown"),
    [
        (0.84824, 0.0042, "0.848 ± 0.004"),
        (21.337, 0.214, "21.34 ± 0.21"),
        (0.0123, 0.00031, "0.0123 ± 0.0003"),
        (0.0123, 0.0005, "0.012 ± 0.001"),
        (0.5, 0.0, "0.500 ± 0.000"),
        (0.5, 3e-9, "0.50000 ± 0.00000"),
        (30.0, 0.004, "30.000 ± 0.004"),
    ],
)
def test_a_small_error_is_not_shown_as_none(mean, sem, shown):
    assert cell({"mean": mean, "sem": sem}) == shown
