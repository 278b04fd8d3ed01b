import pytest

from spt.evaluation.score_table import CAPTION, MAIN, WIDTH, cell, print_table, write_markdown
from spt.metrics import METRICS

METHODS = ["raw speckle", "best blur", "mean image", "nearest neighbour", "linear ridge"]
SPLITS = ["val_seen", "val_class", "val_unseen", "test_unseen"]
RUN = {
    "network": "SPT-UNet",
    "parameters": 1234567,
    "epochs": 3,
    "seconds": 61.4,
    "device": "CPU, 2 threads",
    "precision": "bf16-mixed",
}


def scores(mean, n=8):
    counts = {"n": n, "diffusers": n // 4}
    return {
        "pcc": {"mean": mean, "sem": 0.0125, **counts},
        "ssim": {"mean": mean / 2, "sem": 0.0, **counts},
        "ji": {"mean": -0.25, "sem": 0.1, **counts},
        "psnr": {"mean": 20 + mean, "sem": 1.5, **counts},
    }


@pytest.fixture
def final():
    """Scores of the network and the baselines: every metric, and a calibration that baselines do not have."""
    network = {split: scores(0.9 - k / 10, n=256 + k) for k, split in enumerate(SPLITS)}
    baselines = {split: {m: scores(j / 10 + k / 5) for j, m in enumerate(METHODS)} for k, split in enumerate(SPLITS)}
    for split in SPLITS:
        network[split]["ece"] = {"mean": 0.05, "sem": 0.01, "n": 8}
        for values in (network[split], *baselines[split].values()):
            values["mae"] = {"mean": 0.0123, "sem": 0.00031, "n": 8}
    return network, baselines


@pytest.fixture
def printed(final, capsys, monkeypatch):
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    print_table("SPT-UNet", *final)
    return capsys.readouterr().out.splitlines()


def cells(line):
    """Columns are two blanks apart, and the first may be empty."""
    return [cell.strip() for cell in line.rstrip().replace("  ", "|").split("|") if cell.strip()]


def test_four_splits_fit_in_100_columns(printed, final, capsys):
    assert WIDTH == 100
    assert max(map(len, printed)) <= 100
    network, baselines = final
    for methods in baselines.values():
        for values in methods.values():
            values["pcc"] = {"mean": -0.02912345, "sem": 0.000321, "n": 256, "diffusers": 8}
    print_table("DeepSpeckle", network, baselines)
    wide = capsys.readouterr().out.splitlines()
    assert max(map(len, wide)) <= 100
    assert sum("-0.0291 ± 0.0003" in line for line in wide) == 5, "no cell is broken into two lines"


def test_the_header_shows_images_and_diffusers(printed):
    text = "\n".join(printed[:5])
    assert [text.index(split) for split in SPLITS] == sorted(text.index(split) for split in SPLITS)
    for k in range(4):
        assert f"{256 + k} images" in text
    assert text.count("64 diffusers") == 4
    assert " ".join(CAPTION.split()) in " ".join(" ".join(printed).split())


def test_the_table_shows_the_main_metrics_of_every_method(printed):
    rows = [cells(line) for line in printed if "±" in line and "Mean" not in line]
    assert MAIN == ("pcc", "ssim", "ji", "psnr")
    assert set(MAIN) <= set(METRICS)
    assert len(rows) == 4 * (1 + len(METHODS))
    assert rows[0] == ["PCC", "SPT-UNet", "0.900 ± 0.013", "0.800 ± 0.013", "0.700 ± 0.013", "0.600 ± 0.013"]
    assert rows[4] == ["nearest neighbour", "0.300 ± 0.013", "0.500 ± 0.013", "0.700 ± 0.013", "0.900 ± 0.013"]
    assert rows[6] == ["SSIM", "SPT-UNet", "0.450 ± 0.000", "0.400 ± 0.000", "0.350 ± 0.000", "0.300 ± 0.000"]
    assert rows[12][2:] == ["-0.250 ± 0.100"] * 4
    assert rows[18] == ["PSNR", "SPT-UNet", "20.90 ± 1.50", "20.80 ± 1.50", "20.70 ± 1.50", "20.60 ± 1.50"]


def test_markdown_holds_every_metric_and_no_row_where_a_method_has_none(final, tmp_path):
    write_markdown(tmp_path / "report.md", RUN, *final)
    *table, blank, note = (tmp_path / "report.md").read_text().splitlines()
    assert blank == ""
    assert note.startswith(CAPTION)
    assert note.endswith(
        "ECE: pooled over all pixels of a split. 1,234,567 parameters, 3 epochs, 61 s on CPU, 2 threads, bf16-mixed."
    )
    assert table[0].startswith(
        "| metric | method | val_seen (256 images, 64 diffusers) | val_class (257 images, 64 diff"
    )
    assert table[1] == "| --- | --- | --- | --- | --- | --- |"
    assert table[2].startswith("| PCC | SPT-UNet | 0.900 ± 0.013 | 0.800 ± 0.013 |")
    assert len(table) == 2 + 5 * (1 + len(METHODS)) + 1
    assert [line.split(" | ")[1] for line in table if line.startswith("| ECE")] == ["SPT-UNet"]


def test_a_table_without_baselines_or_diffusers(tmp_path):
    """What is written where the baselines are switched off, and what earlier versions wrote."""
    write_markdown(tmp_path / "report.md", RUN, {"val": {"pcc": {"mean": 0.5, "sem": 0.1, "n": 1}}}, {"val": {}})
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[:3] == [
        "| metric | method | val (1 image) |",
        "| --- | --- | --- |",
        "| PCC | SPT-UNet | 0.500 ± 0.100 |",
    ]


def test_objects_are_counted_where_they_are_known(tmp_path):
    score = {"pcc": {"mean": 0.5, "sem": 0.1, "n": 100, "diffusers": 2, "objects": 50}}
    write_markdown(tmp_path / "report.md", RUN, {"val": score}, {"val": {}})
    assert "val (100 images, 2 diffusers, 50 objects)" in (tmp_path / "report.md").read_text()


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
        (None, None, "null"),
    ],
)
def test_a_small_error_is_not_shown_as_none(mean, sem, shown):
    assert cell({"mean": mean, "sem": sem}) == shown
