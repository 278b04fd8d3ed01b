"""Scattering media, a family a file."""

from spt.optics.media.thick import ThickDiffuser
from spt.optics.media.thin import ThinDiffuser, effective_grit

__all__ = ["ThickDiffuser", "ThinDiffuser", "effective_grit"]
