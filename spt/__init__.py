"""spt: train and evaluate networks that see through scattering media."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from spt.run import settings as settings  # registers the typed roots and resolvers, so that Hydra can compose

if TYPE_CHECKING:
    from spt.run.trained import Trained

__version__ = version("spt")
__all__ = ["__version__", "load"]


def load(run: str | Path, device: str = "cpu") -> Trained:
    """Load a trained network: ``images = spt.load("outputs/…")(frames)``.

    Neither the data set nor Lightning is needed.

    Args:
        run: the run folder, or the name of a network that comes with spt: ``weak_scatter``, ``weak_scatter_faces``.
        device: where the network works: ``cpu``, ``cuda``, ``mps``.
    Raises:
        UserError: if the folder holds no trained network that can be trusted; the message says why.
    """
    from spt.run.trained import open_trained

    return open_trained(Path(run), device)
