"""spt: train and judge networks that see through scattering media."""

from importlib.metadata import version

from spt import config

__version__ = version("spt")
__all__ = ["__version__", "config"]
