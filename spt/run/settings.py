"""What every root of `configs/` may hold, by type; the values stand in the yaml files alone."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from spt.errors import InvalidValue


@dataclass
class Monitor:
    """The value that chooses the best epoch; never one of an unseen split."""

    name: str = MISSING


@dataclass
class TrainConfig:
    """What `configs/train.yaml` may hold. Scalars are typed, so that ``seed=abc`` fails before any data are read."""

    seed: int = MISSING
    run: str | None = MISSING
    deterministic: bool = MISSING
    channels_last: bool = MISSING
    compile: bool = MISSING
    activation_checkpointing: bool = MISSING
    weights: str | None = MISSING
    leaks: str = MISSING
    baseline_pairs: int = MISSING
    cache: str = MISSING
    output_prior: int | float | str | None = MISSING
    monitor: Monitor = MISSING
    head: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    scheduler: dict[str, Any] = MISSING
    trainer: dict[str, Any] = MISSING
    callbacks: dict[str, Any] | None = None  # none where the group is left out
    logger: dict[str, Any] | None = None


@dataclass
class ExportConfig:
    """What `configs/export.yaml` may hold."""

    run: str | None = MISSING
    format: str = MISSING
    size: Any = MISSING
    out: str | None = MISSING


@dataclass
class ComplexityConfig:
    """What `configs/complexity.yaml` may hold."""

    models: Any = MISSING
    model: Any = None  # none unless one is chosen
    head: dict[str, Any] = MISSING
    size: Any = MISSING
    batch: int = MISSING
    survey: bool = MISSING
    layers: bool = MISSING
    depth: int = MISSING
    scaling: bool = MISSING
    timing: bool = MISSING
    compiled: bool = MISSING
    threads: Any = MISSING
    max_batch: int = MISSING
    repeats: int = MISSING
    device: str = MISSING
    layer_types: Any = MISSING
    out: str = MISSING


@dataclass
class PredictConfig:
    """What `configs/predict.yaml` may hold."""

    run: str | None = MISSING
    input: str | None = MISSING
    out: str | None = MISSING
    format: str = MISSING
    average: int = MISSING
    batch_size: int = MISSING
    device: str = MISSING
    tile: str = MISSING
    refine: bool = MISSING
    orientations: int = MISSING
    colour: Any = MISSING
    axes: str | None = MISSING


@dataclass
class EvaluateConfig:
    """What `configs/evaluate.yaml` may hold."""

    run: str | None = MISSING
    protocol: str = MISSING
    images: int = MISSING
    values: Any = MISSING
    baseline_pairs: int = MISSING
    phase_retrieval: bool = MISSING
    refine: bool = MISSING
    orientations: int = MISSING
    out: str | None = MISSING
    device: str = MISSING
    seed: int = MISSING
    data: dict[str, Any] | None = None  # none unless another set is chosen


@dataclass
class EvaluateTwinConfig:
    """What `configs/evaluate_twin.yaml` may hold."""

    run: str | None = MISSING
    objects: dict[str, Any] = MISSING
    binary: list[str] = MISSING
    images: int = MISSING
    baseline_pairs: int = MISSING
    out: str | None = MISSING
    device: str = MISSING


@dataclass
class LookInsideConfig:
    """What `configs/look_inside.yaml` may hold."""

    run: str | None = MISSING
    image: str | None = MISSING
    frame: int = MISSING
    pixel: Any = MISSING
    frames: int = MISSING
    out: str | None = MISSING
    device: str = MISSING
    colour: Any = MISSING
    axes: str | None = MISSING


@dataclass
class ReadObjectsConfig:
    """What `configs/read_objects.yaml` may hold."""

    run: str | None = MISSING
    objects: dict[str, Any] = MISSING
    images: int = MISSING
    refine: bool = MISSING
    out: str | None = MISSING
    device: str = MISSING
    seed: int = MISSING


@dataclass
class InspectSpeckleConfig:
    """What `configs/inspect_speckle.yaml` may hold."""

    seed: int = MISSING
    split: str = MISSING
    limit: int = MISSING
    frames: str | None = MISSING
    files: dict[str, Any] = MISSING
    pitch: float | None = MISSING
    out: str = MISSING
    limits: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    against: dict[str, Any] | None = None  # none unless a set is chosen


@dataclass
class CheckDataConfig:
    """What `configs/check_data.yaml` may hold."""

    seed: int = MISSING
    frames: str | None = MISSING
    files: dict[str, Any] = MISSING
    manifest: str | None = MISSING
    out: str | None = MISSING
    preview: str | None = MISSING
    saturated: float = MISSING
    data: dict[str, Any] = MISSING


@dataclass
class FitTwinConfig:
    """What `configs/fit_twin.yaml` may hold."""

    seed: int = MISSING
    cache: str = MISSING
    out: str | None = MISSING
    data: dict[str, Any] = MISSING


@dataclass
class SweepConfig:
    """What `configs/sweep.yaml` may hold."""

    sweep: dict[str, Any] | None = None  # none unless one is chosen
    folder: str | None = MISSING
    trials: int = MISSING
    overrides: list[str] = MISSING
    seed: int = MISSING
    pruner: dict[str, Any] | None = MISSING


@dataclass
class SimulateConfig:
    """What `configs/simulate.yaml` may hold."""

    out: str | None = MISSING
    seed: int = MISSING
    data: dict[str, Any] = MISSING


for name, schema in {
    "train_schema": TrainConfig,
    "check_data_schema": CheckDataConfig,
    "complexity_schema": ComplexityConfig,
    "evaluate_schema": EvaluateConfig,
    "evaluate_twin_schema": EvaluateTwinConfig,
    "export_schema": ExportConfig,
    "fit_twin_schema": FitTwinConfig,
    "inspect_speckle_schema": InspectSpeckleConfig,
    "look_inside_schema": LookInsideConfig,
    "predict_schema": PredictConfig,
    "read_objects_schema": ReadObjectsConfig,
    "simulate_schema": SimulateConfig,
    "sweep_schema": SweepConfig,
}.items():
    ConfigStore.instance().store(name=name, node=schema)


def _data_folder(name: str) -> str | None:
    root = os.environ.get("SPT_DATA")
    return str(Path(root) / name) if root else None


def _precision(accelerator: str) -> str:
    """bf16 where the hardware computes it, fp16 on older GPUs with tensor cores (from 7.0 on)."""
    import torch

    from spt.precision import has_bfloat16

    device = torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")
    if has_bfloat16(device):
        return "bf16-mixed"
    return "16-mixed" if device.type == "cuda" and torch.cuda.get_device_capability() >= (7, 0) else "32-true"


def _job(now: str, environment: Mapping[str, str] | None = None) -> str:
    """The time, or the job's name where a launcher starts several processes: they need one folder.

    Raises:
        InvalidValue: if the processes of torchrun have no common name.
    """
    environment = os.environ if environment is None else environment
    if int(environment.get("SLURM_NTASKS", "1")) > 1:
        return f"slurm-{environment['SLURM_JOB_ID']}-{environment.get('SLURM_STEP_ID', '0')}"
    if int(environment.get("WORLD_SIZE", "1")) > 1 and "TORCHELASTIC_RUN_ID" in environment:
        name = environment["TORCHELASTIC_RUN_ID"]
        if name == "none":
            raise InvalidValue(
                "torchrun starts several processes, and each would choose a folder of its own. Name one for all: "
                "torchrun --rdzv-id=<name> …, or hydra.run.dir=<folder>."
            )
        return f"torchrun-{name}"
    return now


def _short(text: str) -> str:
    """A name that a file system takes: no slash, at most 200 bytes."""
    return text.replace("/", "-").encode()[:200].decode(errors="ignore")


OmegaConf.register_new_resolver("spt.data", _data_folder, replace=True)
OmegaConf.register_new_resolver("spt.cache", lambda: os.environ.get("SPT_CACHE") or "~/.cache/spt", replace=True)
OmegaConf.register_new_resolver("spt.precision", _precision, replace=True)
OmegaConf.register_new_resolver("spt.job", _job, replace=True)
OmegaConf.register_new_resolver("spt.if", lambda test, yes, no: yes if test else no, replace=True)
OmegaConf.register_new_resolver("spt.short", _short, replace=True)
OmegaConf.register_new_resolver("spt.spectra", lambda windows, blocks: windows**2 + (blocks is not None), replace=True)
