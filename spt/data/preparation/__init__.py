"""What happens to a recorded speckle before the network, and to an object before it is compared with the image."""

from spt.data.preparation.amplitude import Preparation
from spt.data.preparation.correction import Correction
from spt.data.preparation.geometry import Geometry
from spt.data.preparation.target import TargetPreparation

__all__ = ["Correction", "Geometry", "Preparation", "TargetPreparation"]
