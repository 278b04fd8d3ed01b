from pathlib import Path

from conftest import command
from finished_runs import metrics, written_run


def test_a_sweep_folder_and_single_runs(tmp_path: Path):
    for k, loss in enumerate(("dice", "bce")):
        written_run(tmp_path / f"{k}_job", metrics(0.5 + k / 10), loss=loss)
    whole = command("scripts/compare.py", str(tmp_path), "--metrics", "pcc", "mse")
    assert (whole.code, whole.err) == (0, "")
    assert "| loss | parameters | s | PCC val_seen | PCC val_unseen | MSE val_seen | MSE val_unseen |" in whole.out
    single = command("scripts/compare.py", *(str(tmp_path / f"{k}_job") for k in range(2)), "--metrics", "pcc", "mse")
    assert single.out == whole.out


def test_other_formats_and_files(tmp_path: Path):
    written_run(tmp_path / "run")
    done = command(
        "scripts/compare.py",
        str(tmp_path / "run"),
        "--metrics",
        "pcc",
        "--format",
        "csv",
        "--out",
        str(tmp_path / "out"),
    )
    assert done.code == 0
    assert done.out.startswith("data set,method,configuration,runs,parameters,seconds,val_seen pcc mean")
    assert done.err.splitlines()[-1] == f"Written: {tmp_path / 'out' / 'compare.png'}"


def test_runs_that_are_left_out_are_listed_with_exit_code_1(tmp_path: Path):
    written_run(tmp_path / "good")
    (written_run(tmp_path / "stopped") / "metrics.json").unlink()
    (written_run(tmp_path / "broken") / "metrics.json").write_text("{")
    done = command("scripts/compare.py", str(tmp_path), "--metrics", "pcc")
    assert done.code == 1
    assert "| spt_unet, dice |" in done.out
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["Left out"] * 2


def test_no_run_at_all_is_one_line_and_exit_code_2(tmp_path: Path):
    done = command("scripts/compare.py", str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert done.err == f"Error: no finished run was found. {tmp_path}: holds no run.\n"
