from pathlib import Path

import pytest
from finished_runs import metrics, written_run
from PIL import Image

from spt.errors import InvalidValue
from spt.run.compare import compare_runs


def test_tables_of_all_formats_and_a_figure(tmp_path: Path):
    for k, (model, loss) in enumerate(
        [("spt_unet", "dice"), ("spt_unet", "bce"), ("sa_cnn", "dice"), ("sa_cnn", "bce")]
    ):
        written_run(tmp_path / "sweep" / str(k), metrics(0.5 + k / 10), model, loss)
    done = compare_runs([tmp_path / "sweep"], ["pcc"], tmp_path / "out")
    assert [file.name for file in done.files] == ["compare.md", "compare.csv", "compare.tex", "compare.png"]
    assert "| sa_cnn | bce | 1,234,567 | 61 | **0.800 ± 0.010** |" in done.files[0].read_text()
    assert len(done.files[1].read_text().splitlines()) == 1 + 4 + 2
    assert r"\toprule" in done.files[2].read_text()
    with Image.open(done.files[3]) as picture:
        assert picture.width > 800
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(file.name for file in done.files)


def test_each_data_set_has_a_figure(tmp_path: Path):
    other = metrics()
    other["run"]["data"]["splits"]["val_seen"]["hash"] = "0the"
    for name, content in (("a", metrics()), ("b", other)):
        written_run(tmp_path / name, content)
    done = compare_runs([tmp_path / "a", tmp_path / "b"], out=tmp_path / "out", metrics=["pcc"])
    assert [file.name for file in done.files][3:] == ["compare_1.png", "compare_2.png"]


def test_a_run_that_does_not_know_its_images_is_listed(tmp_path: Path):
    old = metrics()
    del old["run"]["data"]
    for name, content in (("new", metrics()), ("old", old)):
        written_run(tmp_path / name, content)
    done = compare_runs([tmp_path], ["pcc"])
    assert [row.labels for table in done.tables for row in table.rows] == [("spt_unet, dice",)]
    assert len(done.problems) == 1
    assert f"{tmp_path / 'old'}: its metrics.json does not say on which images it was scored" in done.problems[0]


def test_nothing_to_compare_writes_nothing(tmp_path: Path):
    old = metrics()
    del old["run"]["data"]
    written_run(tmp_path / "old", old)
    with pytest.raises(InvalidValue, match="nothing can be compared"):
        compare_runs([tmp_path], ["pcc"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
