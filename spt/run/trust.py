"""Which classes a configuration from a run folder may build: a configuration is code."""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from spt.errors import InvalidValue
from spt.run.building import targets

CONFIGS = Path(__file__).parents[2] / "configs"

EARLIER = {"lightning.pytorch.callbacks.RichProgressBar", "timm.optim.Muon"}
"""Classes that configs/ named in earlier versions, whose runs can still be opened and continued."""


@cache
def own_targets() -> frozenset[str]:
    """Every ``_target_`` that a file of `configs/` names, or named in an earlier version."""
    texts = [path.read_text(encoding="utf-8") for path in CONFIGS.rglob("*.yaml")]
    return frozenset(name for text in texts for name in re.findall(r"_target_: *([\w.]+)", text)) | EARLIER


def trusted(config: DictConfig) -> DictConfig:
    """Return the configuration with every interpolation resolved, once each class in it was found on the list.

    The list is what `configs/` itself names. The environment variable SPT_TRUST adds to it: full names or whole
    packages, separated by commas.

    Raises:
        InvalidValue: naming the first class that is not on the list.
    """
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    added = [name.strip() for name in os.environ.get("SPT_TRUST", "").split(",") if name.strip()]
    for target in targets(resolved):
        if target in own_targets() or any(target == name or target.startswith(f"{name}.") for name in added):
            continue
        raise InvalidValue(
            f"this run's configuration builds {target}, which configs/ does not name. A configuration is code: if you "
            f"know that this one is harmless, set the environment variable SPT_TRUST={target}."
        )
    return OmegaConf.create(resolved)
