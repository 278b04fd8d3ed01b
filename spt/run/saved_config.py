"""The configuration that a run wrote, as it was written."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from spt.errors import InvalidValue

EVERY_RUN = ("head._target_", "model._target_", "data.source._target_", "data.preparation._target_", "trainer")
"""What the configuration of every run says. ``trainer`` comes last: a file that was cut does not have it."""


def read_saved(path: Path, needed: Sequence[str] = EVERY_RUN) -> DictConfig:
    """Read the configuration of a run; nothing in it is resolved.

    Args:
        path: the file.
        needed: dotted names that it must say.
    Raises:
        InvalidValue: if the file is damaged or a part of it is missing.
    """
    try:
        config = OmegaConf.load(path)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, OSError) as error:
        raise InvalidValue(f"{path} is damaged ({type(error).__name__}). Restore the file.") from error
    parts = [name for name in needed if OmegaConf.select(config, name, throw_on_resolution_failure=False) is None]
    if not isinstance(config, DictConfig) or parts:
        raise InvalidValue(f"{path} is damaged: it does not say {parts[0] if parts else 'anything'}. Restore the file.")
    return config
