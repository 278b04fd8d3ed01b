"""A forward model of a measured set-up that is fitted to its speckles: the twin."""

from spt.optics.twin.file import FittedTwin, open_twin, save_twin
from spt.optics.twin.fit import STAGES, Diffusers, Measured, Stage, fit_twin, predicted
from spt.optics.twin.grid import SpectrumGrid
from spt.optics.twin.model import Diffuser, Twin
from spt.optics.twin.noise import TwinNoise, noise_statistics
from spt.optics.twin.refine import Refinement

__all__ = [
    "STAGES",
    "Diffuser",
    "Diffusers",
    "FittedTwin",
    "Measured",
    "Refinement",
    "SpectrumGrid",
    "Stage",
    "Twin",
    "TwinNoise",
    "fit_twin",
    "noise_statistics",
    "open_twin",
    "predicted",
    "save_twin",
]
