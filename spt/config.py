"""The typed root of the configuration, and the only place that instantiates it."""

import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from spt.evaluation.run_folder import RunFolder
from spt.files import atomic

TRUSTED = ("spt", "torch", "lightning")


@dataclass
class Monitor:
    """The value that chooses the best epoch; never one of an unseen split."""

    name: str = "val_seen/pcc"
    mode: str = "max"


@dataclass
class TrainConfig:
    """What `configs/train.yaml` may hold; scalars are typed, so that ``seed=abc`` fails before any data is read."""

    seed: int = 0
    run: str | None = None
    deterministic: bool = False
    channels_last: bool = True
    compile: bool = False
    activation_checkpointing: bool = False
    weights: str | None = None
    output_prior: int | float | str | None = None
    monitor: Monitor = field(default_factory=Monitor)
    head: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    scheduler: dict[str, Any] = MISSING
    trainer: dict[str, Any] = MISSING
    callbacks: dict[str, Any] = MISSING
    logger: dict[str, Any] = MISSING


@dataclass
class ExportConfig:
    """What `configs/export.yaml` may hold."""

    run: str | None = None
    format: str = "onnx"
    size: Any = None
    out: str | None = None


@dataclass
class ComplexityConfig:
    """What `configs/complexity.yaml` may hold."""

    models: Any = "all"
    model: Any = None
    head: dict[str, Any] = MISSING
    size: Any = 256
    batch: int = 2
    survey: bool = False
    layers: bool = False
    depth: int = 2
    scaling: bool = False
    timing: bool = False
    compiled: bool = True
    threads: Any = None
    max_batch: int = 16
    repeats: int = 15
    device: str = "cpu"
    layer_types: Any = None
    out: str = "outputs/complexity"


@dataclass
class InspectSpeckleConfig:
    """What `configs/inspect_speckle.yaml` may hold."""

    seed: int = 0
    split: str = "train"
    limit: int = 128
    frames: str | None = None
    pitch: float | None = None
    out: str = MISSING
    limits: dict[str, Any] = MISSING
    data: dict[str, Any] = MISSING
    against: dict[str, Any] | None = None


@dataclass
class SimulateConfig:
    """What `configs/simulate.yaml` may hold."""

    out: str | None = None
    seed: int = 0
    data: dict[str, Any] = MISSING


ConfigStore.instance().store(name="train_schema", node=TrainConfig)
ConfigStore.instance().store(name="complexity_schema", node=ComplexityConfig)
ConfigStore.instance().store(name="export_schema", node=ExportConfig)
ConfigStore.instance().store(name="inspect_speckle_schema", node=InspectSpeckleConfig)
ConfigStore.instance().store(name="simulate_schema", node=SimulateConfig)


def _data_folder(name: str) -> str | None:
    root = os.environ.get("SPT_DATA")
    return str(Path(root) / name) if root else None


def _precision(accelerator: str) -> str:
    """bf16 where the hardware computes it: any CUDA GPU that does, and CPUs with AVX512-BF16 or AMX."""
    import torch

    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    capable = torch.cpu.get_capabilities()
    return "bf16-mixed" if capable.get("avx512_bf16") or capable.get("amx_bf16") else "32-true"


OmegaConf.register_new_resolver("spt.data", _data_folder, replace=True)
OmegaConf.register_new_resolver("spt.cache", lambda: os.environ.get("SPT_CACHE") or "~/.cache/spt", replace=True)
OmegaConf.register_new_resolver("spt.precision", _precision, replace=True)
OmegaConf.register_new_resolver("spt.either", lambda first, second: first or second, replace=True)
OmegaConf.register_new_resolver("spt.if", lambda test, yes, no: yes if test else no, replace=True)
OmegaConf.register_new_resolver("spt.short", lambda text: text.replace("/", "-")[:200], replace=True)


def build(node: DictConfig, **parts: Any) -> Any:
    """Instantiate a node of the configuration with parts that are built already.

    Raises:
        hydra.errors.InstantiationException: if a constructor refuses its arguments; the cause is chained.
    """
    from hydra.utils import instantiate

    return instantiate(node, _convert_="all", **parts)


def network_builders(config: DictConfig) -> dict[str, Callable[[], Any]]:
    """Networks by their config names: the chosen ``model=``, else those that ``models=`` lists, or all.

    Each is composed as training composes it, with the head that it brings.

    Raises:
        ValueError: if a name is no file of `configs/model`.
    """
    from hydra import compose
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    if config.model is not None:
        return {str(HydraConfig.get().runtime.choices["model"]): partial(build, config.model)}
    known = GlobalHydra.instance().config_loader().get_group_options("model")
    names = known if config.models == "all" else [config.models] if isinstance(config.models, str) else config.models
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"models: no configs/model/{unknown[0]}.yaml. There are {', '.join(known)}, or all.")
    return {name: partial(build, compose("train", [f"model={name}"])["model"]) for name in names}


@dataclass(frozen=True)
class Run:
    """A configuration and the folder it works in."""

    config: DictConfig
    folder: RunFolder
    resume: bool


def open_run(config: DictConfig, output_dir: str, overrides: list[str]) -> Run:
    """A new run in Hydra's output folder, or the one that ``run=<folder>`` names.

    A continued run keeps its own configuration; overrides of single values on the command line change it.

    Raises:
        FileNotFoundError: if ``run`` names no run folder.
        ValueError: if an override asks for another configuration file or an unknown value, or a ``_target_`` is not
            trusted.
    """
    if config.run is None:
        return Run(config, RunFolder(Path(output_dir)), resume=False)
    folder = RunFolder(Path(config.run))
    for needed in (folder.config, folder.last):
        if not needed.is_file():
            raise FileNotFoundError(f"run={config.run} is not a run that can be continued: {needed} is not there.")
    saved = OmegaConf.load(folder.config)
    assert isinstance(saved, DictConfig)
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if key == "run":
            continue
        known = OmegaConf.select(saved, key, default=None, throw_on_missing=False)
        if override[0] in "+~" or isinstance(known, DictConfig) or (known is None and not _has(saved, key)):
            raise ValueError(
                f"{override}: a continued run keeps its configuration files; only single values that it has can be "
                "changed, for example trainer.max_epochs=20."
            )
        OmegaConf.update(saved, key, OmegaConf.create(f"value: {value}").value)
    check_targets(saved)
    if len(overrides) > 1:
        with atomic(folder.config) as part:
            OmegaConf.save(saved, part)
    return Run(saved, folder, resume=True)


def _has(config: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and leaf in node


def check_targets(config: DictConfig) -> None:
    """Refuse a configuration from a folder whose ``_target_`` leaves the trusted packages.

    A target must be a class of spt, torch or lightning, judged by where it is defined, not by the path that leads
    to it. The environment variable SPT_TRUST adds packages, separated by commas.

    Raises:
        ValueError: naming the target.
    """
    trusted = TRUSTED + tuple(name for name in os.environ.get("SPT_TRUST", "").split(",") if name)
    for target in _targets(config):
        if not (target.split(".")[0] in trusted and _is_class_of(target, trusted)):
            raise ValueError(
                f"_target_: {target} is no class of {', '.join(trusted)}, and a configuration is code. "
                "If you wrote this run yourself, set SPT_TRUST to the package's name."
            )


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, DictConfig):
        for key in node:
            if key == "_target_":
                yield str(node[key])
            elif not OmegaConf.is_interpolation(node, str(key)):
                yield from _targets(node._get_node(key))
    elif isinstance(node, ListConfig):
        for k in range(len(node)):
            yield from _targets(node._get_node(k))


def _is_class_of(target: str, packages: tuple[str, ...]) -> bool:
    module, _, name = target.rpartition(".")
    while module:
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, rest = module.rpartition(".")
            name = f"{rest}.{name}"
            continue
        for part in name.split("."):
            found = getattr(found, part, None)
        return inspect.isclass(found) and found.__module__.split(".")[0] in packages
    return False
