"""spt: train and evaluate networks that see through scattering media."""

from importlib.metadata import version

from spt.run import settings as settings  # registers the typed roots and resolvers, so that Hydra can compose

__version__ = version("spt")
__all__ = ["__version__"]
