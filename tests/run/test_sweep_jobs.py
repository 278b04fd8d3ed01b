"""Jobs of a sweep: trained, left alone, continued or refused by what their folder holds."""

import json
from pathlib import Path

import pytest
from conftest import PLAIN, TINY, composed
from omegaconf import DictConfig, OmegaConf

from spt.errors import InvalidValue
from spt.run import train as verb
from spt.run.folder import RunFolder
from spt.run.sweep_jobs import best_value, summary, train_job

BARE = [*TINY, *PLAIN, "trainer.max_epochs=2"]


def job(path: Path, *overrides: str) -> tuple[DictConfig, RunFolder]:
    """A job whose configuration Hydra has just written."""
    config, folder = composed(*BARE, *overrides), RunFolder(path)
    folder.config.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder.config)
    return config, folder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, float]:
    """A job that was trained."""
    config, folder = job(tmp_path_factory.mktemp("sweep") / "0_a")
    return folder, train_job(config, folder)


def test_a_finished_job_is_left_alone_and_gives_the_same_value(done: tuple[RunFolder, float], monkeypatch):
    folder, value = done
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if path.is_file()}
    monkeypatch.setattr(verb, "fit_and_evaluate", lambda *given, **named: pytest.fail("trained again"))
    assert train_job(composed(*BARE), folder) == pytest.approx(value, abs=1e-5)
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if path.is_file()} == before


def test_a_stopped_job_goes_on(tmp_path: Path, done: tuple[RunFolder, float], monkeypatch):
    config, folder = job(tmp_path / "0_a")

    def unplugged(*given: object, **named: object) -> float:
        raise OSError("no power")

    with monkeypatch.context() as before_the_scores:
        before_the_scores.setattr(verb, "evaluate_best", unplugged)
        with pytest.raises(OSError, match="no power"):
            train_job(config, folder)
    monkeypatch.setattr(verb, "train", lambda *given: pytest.fail("began again"))
    assert train_job(config, folder) == pytest.approx(done[1], abs=1e-5)
    assert json.loads(folder.metrics.read_text())["run"]["epochs"] == 2


def test_a_folder_with_a_run_of_other_settings_is_refused_and_keeps_its_configuration(done: tuple[RunFolder, float]):
    folder, _ = done
    before = folder.config.read_text()
    config, _ = job(folder.path, "model.width=8")
    with pytest.raises(InvalidValue, match=r"holds a run of other settings.* Choose another hydra.sweep.dir"):
        train_job(config, folder)
    assert OmegaConf.load(folder.config) == OmegaConf.create(before)


def test_an_earlier_error_is_forgotten_when_the_job_runs_again(tmp_path: Path, monkeypatch):
    config, folder = job(tmp_path)
    folder.error.write_text("no memory")
    monkeypatch.setattr(verb, "train", lambda config, folder, callbacks: 0.5)
    assert train_job(config, folder) == 0.5
    assert not folder.error.exists()


@pytest.mark.parametrize(("monitor", "best"), [("val_seen/pcc", 0.8), ("val_seen/loss", 0.1)])
def test_the_best_value_is_the_greatest_or_the_least(tmp_path: Path, monitor: str, best: float):
    folder = RunFolder(tmp_path)
    folder.history.write_text("epoch,val_seen/pcc,val_seen/loss\n0,0.5,0.3\n1,0.8,0.1\n2,,\n3,0.7,0.2\n")
    assert best_value(folder, monitor) == best


def test_the_end_of_a_sweep(done: tuple[RunFolder, float], capsys: pytest.CaptureFixture[str]):
    sweep = done[0].path.parent
    failed, stopped = (job(sweep / name)[1] for name in ("1_b", "2_c"))
    failed.error.write_text("the GPU's memory is full.\n")
    summary(sweep)
    said = capsys.readouterr()
    assert "PCC val_seen" in said.out
    assert f"Failed jobs:\n  {failed.path}: the GPU's memory is full.\n  {stopped.path}: was stopped.\n" in said.err
    assert f"hydra.sweep.dir='{sweep}' runs these again and leaves finished jobs alone" in said.err


def test_a_sweep_without_a_finished_job_has_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    summary(tmp_path)
    assert capsys.readouterr() == ("", "")
