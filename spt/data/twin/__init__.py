"""Training pairs that a twin of the set-up simulates: new objects behind new diffusers, as inputs of the network."""

from spt.data.twin.fitting import check_twin, fit_to_pairs, in_sentences
from spt.data.twin.jitter import Jitter
from spt.data.twin.pairs import TwinPairs
from spt.data.twin.simulation import Simulation
from spt.data.twin.training import TwinTraining

__all__ = ["Jitter", "Simulation", "TwinPairs", "TwinTraining", "check_twin", "fit_to_pairs", "in_sentences"]
