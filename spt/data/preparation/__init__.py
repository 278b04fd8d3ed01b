"""What happens to a recorded speckle before the network, and to an object before it is compared with the image."""

from spt.data.preparation.amplitude import Amplitude
from spt.data.preparation.autocorrelation import Autocorrelation
from spt.data.preparation.base import Preparation
from spt.data.preparation.correction import Correction
from spt.data.preparation.geometry import Geometry
from spt.data.preparation.spectra import Spectra
from spt.data.preparation.target import TargetPreparation

__all__ = ["Amplitude", "Autocorrelation", "Correction", "Geometry", "Preparation", "Spectra", "TargetPreparation"]
