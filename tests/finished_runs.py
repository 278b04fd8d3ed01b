"""Run folders written by hand: what a training leaves, without one."""

import json
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

SPLITS = ("val_seen", "val_unseen")
HASHES = {"val_seen": "5ee4", "val_unseen": "04ee"}


def scores(pcc: float | None, sem: float | None = 0.01) -> dict[str, Any]:
    """Scores of one split; a null PCC has a null error."""
    return {
        "pcc": {"mean": pcc, "sem": None if pcc is None else sem, "n": 4, "diffusers": 1},
        "mse": {"mean": 0.25 if pcc is None else 1 - pcc, "sem": 0.002, "n": 4, "diffusers": 1},
    }


def metrics(pcc: float | None = 0.5, unseen: float | None = 0.1, ridge: float = 0.3, **run: Any) -> dict[str, Any]:
    """What ``metrics.json`` holds: two splits, one simple method beside the raw speckle."""
    data = {
        "source": "SimulatedSpeckles",
        "preparation": "32x32, sqrt, standardize",
        "frame_size": [32, 32],
        "input_size": [32, 32],
        "object_size": [32, 32],
        "splits": {
            "train": {"n": 24, "diffusers": 1, "hash": None},
            **{split: {"n": 4, "diffusers": 1, "hash": HASHES[split]} for split in SPLITS},
        },
    }
    facts = {"network": "SpTUNet", "parameters": 1234567, "epochs": 2, "device": "CPU, 1 threads", "seconds": 61.4}
    facts |= {"precision": "32-true", "samples_per_second": 20.5, "data": data}
    return {
        "val_seen": scores(pcc),
        "val_unseen": scores(unseen),
        "baselines": {split: {"raw speckle": scores(0.01), "linear ridge": scores(ridge)} for split in SPLITS},
        "run": facts | run,
    }


def written_run(
    folder: Path,
    content: dict[str, Any] | None = None,
    model: str = "spt_unet",
    loss: str = "dice",
    data: str = "simulated",
    **settings: Any,
) -> Path:
    """Write the folder of a finished run; ``settings`` are dotted names with ``__`` for the dot."""
    config: dict[str, Any] = {
        "seed": 0,
        "model": {"_target_": f"spt.models.{model}", "width": 16},
        "loss": {"_target_": f"spt.losses.{loss}"},
        "data": {"batch_size": 8, "seed": "${seed}", "source": {"train": 24, "cache": "/somewhere"}},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    }
    for name, value in settings.items():
        *parents, leaf = name.split("__")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    choices = {"model": model, "loss": loss, "data": data, "head": "binary", "hydra/output": "default"}
    content = metrics() if content is None else content
    content["run"].setdefault("chosen", f"{model}, {loss}")
    (folder / ".hydra").mkdir(parents=True)
    for name, node in {
        "config": config,
        "hydra": {"hydra": {"runtime": {"choices": choices}}},
        "overrides": [f"model={model}", f"loss={loss}", f"hydra.run.dir={folder}"],
    }.items():
        (folder / ".hydra" / f"{name}.yaml").write_text(yaml.safe_dump(node, sort_keys=False))
    (folder / "metrics.json").write_text(json.dumps(content))
    (folder / "metrics.csv").write_text(
        "epoch,step,train/loss,val_seen/loss,val_seen/pcc,val_unseen/pcc\n0,3,0.9,0.8,0.3,0.05\n1,6,0.7,0.6,0.5,0.1\n"
    )
    (folder / "figures").mkdir()
    for name in ("val_seen", "val_unseen", "val_seen_reliability", "val_seen_last_epoch"):
        Image.new("RGB", (64, 32), "grey").save(folder / "figures" / f"{name}.png")
    return folder
