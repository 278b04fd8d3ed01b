"""The Lightning data module: a source, a preparation, and loaders whose order depends on (seed, epoch) alone."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from spt.data.online import NumberedOverEpochs, OnlinePairs, check_online, whole
from spt.data.pairs import Pairs, PairsDataset, Sample, collate
from spt.data.preparation import Preparation
from spt.data.simulated import SimulatedSpeckles


class Source(Protocol):
    """Whatever yields the pairs of every split."""

    @property
    def size(self) -> int:
        """Side of speckles and objects [px]."""

    def prepare(self) -> None:
        """Do once what is slow: simulate, download, check."""

    def load(self) -> dict[str, Pairs]:
        """Return split name to pairs; ``train`` is one of them."""


class SpeckleDataModule(LightningDataModule):
    """Loaders over the splits of a source.

    Args:
        source: where the pairs come from.
        preparation: what happens to a speckle before the network.
        batch_size: pairs of a batch.
        workers: loader processes; 0 loads in the training process, best for data in memory.
        seed: seeds the order of the training pairs together with the epoch, so that a continued run repeats it.
        online: simulate every training pair anew in every epoch; on the GPU, and then in the training process, when it
            trains there. Validation pairs stay what they are.
    Raises:
        ValueError: if ``batch_size`` or ``workers`` is out of range, or ``source`` cannot simulate online.
    """

    def __init__(
        self,
        source: Source,
        preparation: Preparation,
        batch_size: int = 16,
        workers: int = 0,
        seed: int = 0,
        online: bool = False,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"data.batch_size must be at least 1, got {batch_size}.")
        if workers < 0:
            raise ValueError(f"data.workers must be 0 or more, got {workers}.")
        if online:
            check_online(source)
        self.source, self.preparation, self.online = source, preparation, online
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.splits: dict[str, Pairs] = {}

    def prepare_data(self) -> None:
        """Let the source do its slow work, once a machine."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Load the splits."""
        if not self.splits:
            self.splits = self.source.load()

    @property
    def validation_splits(self) -> list[str]:
        """Splits that are watched during training: all but ``train`` and the ``test_`` splits."""
        return [name for name in self.splits if name != "train" and not name.startswith("test_")]

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled batches; an incomplete last batch is dropped unless it is the only one."""
        loader = self._simulating_loader() if self.online else self._loader("train", shuffle=True)
        assert isinstance(loader.sampler, DistributedSampler)
        if self.trainer is not None:
            loader.sampler.set_epoch(self.trainer.current_epoch)
        return loader

    def val_dataloader(self) -> list[DataLoader[Sample]]:
        """One loader a validation split, in the order of ``validation_splits``."""
        return [self._loader(name) for name in self.validation_splits]

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Sample]:
        dataset = PairsDataset(self.splits[split], self.preparation)
        sampler: DistributedSampler[Sample] = DistributedSampler(dataset, *self._ranks, shuffle=shuffle, seed=self.seed)
        return self._batches(dataset, sampler, collate, self.workers, shuffle, self._device.type == "cuda")

    def _simulating_loader(self) -> DataLoader[Sample]:
        assert isinstance(self.source, SimulatedSpeckles)
        on_gpu = self._device.type == "cuda" and self.source.device != "cpu"
        device = self._device if on_gpu else torch.device("cpu")
        dataset = OnlinePairs(self.source, self.splits["train"], self.preparation, device)
        sampler = NumberedOverEpochs(dataset, *self._ranks, seed=self.seed)
        pinned = self._device.type == "cuda" and not on_gpu
        return self._batches(dataset, sampler, whole, 0 if on_gpu else self.workers, True, pinned)

    def _batches(
        self,
        dataset: Dataset[Sample],
        sampler: DistributedSampler[Any],
        collate_fn: Callable[[list[Any]], Any],
        workers: int,
        train: bool,
        pinned: bool,
    ) -> DataLoader[Sample]:
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=collate_fn,
            drop_last=train and len(sampler) >= self.batch_size,
            pin_memory=pinned,
            persistent_workers=workers > 0,
        )

    @property
    def _ranks(self) -> tuple[int, int]:
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    @property
    def _device(self) -> torch.device:
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
