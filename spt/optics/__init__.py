"""Wave optics in pure torch: no files, no configuration, every random draw from a generator that is passed in."""

from spt.optics.camera import Camera
from spt.optics.forward import GritSetup, ThickDiffuserSetup, ThinDiffuserSetup
from spt.optics.illumination import GaussianBeam
from spt.optics.incoherent import DiffuserPsf, IncoherentSetup, PointSpread
from spt.optics.media import ThickDiffuser, ThinDiffuser, effective_grit
from spt.optics.motion import IndependentPatterns, MovingDiffuser
from spt.optics.propagation import propagate, transfer_function
from spt.optics.sampling_rules import Finding
from spt.optics.setup import Medium, Setup, select
from spt.optics.transmission import ModeMatrixSetup, RandomMatrixSetup

__all__ = [
    "Camera",
    "DiffuserPsf",
    "Finding",
    "GaussianBeam",
    "GritSetup",
    "IncoherentSetup",
    "IndependentPatterns",
    "Medium",
    "ModeMatrixSetup",
    "MovingDiffuser",
    "PointSpread",
    "RandomMatrixSetup",
    "Setup",
    "ThickDiffuser",
    "ThickDiffuserSetup",
    "ThinDiffuser",
    "ThinDiffuserSetup",
    "effective_grit",
    "propagate",
    "select",
    "transfer_function",
]
