"""Wave optics in pure torch: no files, no configuration, every random draw from a generator that is passed in."""

from spt.optics.camera import Camera
from spt.optics.forward import ThinDiffuserSetup
from spt.optics.media import ThinDiffuser
from spt.optics.propagation import propagate, transfer_function

__all__ = ["Camera", "ThinDiffuser", "ThinDiffuserSetup", "propagate", "transfer_function"]
