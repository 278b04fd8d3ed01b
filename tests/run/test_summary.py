"""What the loggers show of a finished training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import composed
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.backend_context import _sort_and_reduce_to_hparams_limit
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from spt.run.folder import RunFolder
from spt.run.summary import final_scores, hyperparameters, log_final

GIVEN = [
    "model=sa_cnn",
    "model.width=8",
    "objects@data.source.objects=sparse",
    "trainer=cpu",
    "logger=[tensorboard,csv]",
    "callbacks.contact_sheets.images=4",
    "cache=/somewhere",
    "weights=/a/best.ckpt",
    "optimizer.lr=0.001",
    "seed=3",
    "+trainer.accumulate_grad_batches=4",
]
FIRST = {
    "model": "sa_cnn",
    "loss": "npcc",
    "data": "weak_scatter",
    "optimizer.lr": 0.001,
    "data.batch_size": 16,
    "seed": 3,
}
"""What stands first, with the values of :data:`GIVEN`."""
SCORES: Any = {
    "val_seen": {"mae": {"mean": 0.1}, "pcc": {"mean": 0.5}, "ssim": {"mean": None}},
    "test_seen": {"mae": {"mean": 0.2}, "pcc": {"mean": 0.6}, "ssim": {"mean": 0.4}},
}


@pytest.fixture
def run(tmp_path: Path) -> tuple[Any, RunFolder]:
    folder = RunFolder(tmp_path)
    folder.choices.parent.mkdir()
    choices = {
        "model": "sa_cnn",
        "loss": "npcc",
        "data": "weak_scatter",
        "trainer": "cpu",
        "objects@data.source.objects": "sparse",
        "logger": ["tensorboard", "csv"],
    }
    OmegaConf.save(OmegaConf.create({"hydra": {"runtime": {"choices": choices}}}), folder.choices)
    OmegaConf.save(OmegaConf.create(GIVEN), folder.overrides)
    return composed("loss=npcc", *(given for given in GIVEN if not given.startswith(("model.", "logger")))), folder


def test_what_runs_are_compared_by_stands_first_and_constants_are_left_out(run: tuple[Any, RunFolder]):
    config, folder = run
    config.model.width = 8
    found = hyperparameters(config, folder)
    assert list(found.items())[:6] == list(FIRST.items())
    assert dict(list(found.items())[6:]) == {
        "model.width": 8,
        "objects@data.source.objects": "sparse",
        "trainer.accumulate_grad_batches": 4,
    }


def test_a_run_that_was_started_in_python_names_its_classes(tmp_path: Path):
    found = hyperparameters(composed("loss=npcc"), RunFolder(tmp_path))
    assert list(found) == list(FIRST)
    assert (found["model"], found["loss"]) == ("SpTUNet", "NPCCLoss")


def test_the_splits_that_chose_nothing_stand_first():
    assert list(final_scores(SCORES).items()) == [
        ("final/test_seen/pcc", 0.6),
        ("final/val_seen/pcc", 0.5),
        ("final/test_seen/ssim", 0.4),
        ("final/test_seen/mae", 0.2),
        ("final/val_seen/mae", 0.1),
    ]


def test_tensorboard_holds_the_table_in_this_order_and_everything_at_the_last_step(
    run: tuple[Any, RunFolder], tmp_path: Path
):
    config, folder = run
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    logger = TensorBoardLogger(tmp_path, name="tensorboard", version="", default_hp_metric=False)
    log_final([logger], config, folder, SCORES, {"val_seen": tmp_path / "a.png"}, 7)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    held = HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/experiment").plugin_data.content)
    _sort_and_reduce_to_hparams_limit(held.experiment)  # as TensorBoard does before it shows them
    assert [info.name for info in held.experiment.hparam_infos][:6] == sorted(FIRST)
    assert len(held.experiment.hparam_infos) == 9
    shown = [metric.name.tag for metric in held.experiment.metric_infos]
    assert shown == ["final/test_seen/pcc", "final/val_seen/pcc", "final/test_seen/ssim"]
    assert {scalar.step for name in final_scores(SCORES) for scalar in events.Scalars(name)} == {7}
    assert [image.step for image in events.Images("final/val_seen")] == [7]
    assert [text.step for text in events.Tensors("config/text_summary")] == [7]
