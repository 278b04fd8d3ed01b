"""Training pairs that are simulated when they are asked for: no diffuser and no noise is seen twice."""

import copy

import torch
from torch.utils.data import Dataset

from spt.data.pairs import Pairs, Sample, images, prepared
from spt.data.preparation import Preparation
from spt.data.source import Simulation


class OnlinePairs(Dataset[Sample]):
    """Prepared batches of training objects, each behind a fresh diffuser.

    Pairs are numbered over the epochs, ``epoch * pairs + pair``, and a number alone decides diffuser and noise: batch
    size, order, worker processes and an interruption change nothing. Epoch 0 is what the source's ``load`` gives.

    Args:
        simulation: its diffusers must not be fixed.
        train: the training pairs of the set, of which the objects are shown.
        preparation: what happens to a speckle before the network.
        device: where it is simulated; batches stay there.
    """

    def __init__(self, simulation: Simulation, train: Pairs, preparation: Preparation, device: torch.device) -> None:
        self.simulation, self.pairs, self.device = simulation, len(train), device
        self.preparation = copy.deepcopy(preparation).to(device)
        self.objects = simulation.shown(train)

    def __len__(self) -> int:
        return self.pairs

    def __getitems__(self, numbers: list[int]) -> Sample:
        """Simulate a batch; the loader asks for whole batches, so that they are propagated together."""
        objects = self.objects[[number % self.pairs for number in numbers]]
        drawn = self.simulation.simulate("train", numbers, objects, self.device)
        return prepared(
            self.preparation,
            drawn["speckle"],
            self.preparation.target(images(drawn["target"]).to(self.device)),
            torch.tensor(numbers),
            drawn["diffuser"],
            "pair {}".format,
        )
