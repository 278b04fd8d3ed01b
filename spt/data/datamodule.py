"""The Lightning data module: a source, a preparation, and loaders whose order depends on (seed, epoch) alone."""

from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from spt.data.appearance import appearance
from spt.data.augmentation import AugmentedPairs, PhysicalAugmentation
from spt.data.cache.cached import check_cache, kept
from spt.data.held import HeldPairs, can_be_held
from spt.data.inputs import Unstacked, kept_inputs
from spt.data.online import OnlinePairs
from spt.data.order import EpochOrder, LateLoader
from spt.data.pairs import Pairs, PairsDataset, Sample, with_targets
from spt.data.preparation import Preparation, Spectra
from spt.data.source import Simulation, Source
from spt.data.twin import TwinPairs, TwinTraining, check_twin
from spt.errors import InvalidValue
from spt.files import cache_folder


class SpeckleDataModule(LightningDataModule):
    """Loaders over the splits of a source.

    Args:
        source: where the pairs come from.
        preparation: what happens to a speckle before the network.
        batch_size: pairs of a batch.
        workers: loader processes; 0 loads in the training process, best for data in memory: they are prepared once and
            held on the device that trains, where that takes up to a quarter of its free memory.
        seed: seeds the order of the training pairs together with the epoch, so that a continued run repeats it.
        online: simulate every training pair anew in every epoch; on the GPU, and then in the training process, when it
            trains there. Validation pairs stay what they are.
        cache: where images of files are kept: ``memory``; ``disk``, one mapped file in the cache folder; ``none``, so
            that they are read in every epoch; ``auto``, memory where they take up to a quarter of what is free.
        augmentation: what is changed of the training pairs in every epoch; None for nothing.
        twin: simulates the training pairs with a twin of the set-up; None trains on those of the source.
    Raises:
        InvalidValue: if ``batch_size``, ``workers``, ``seed`` or ``cache`` is out of range, ``source`` cannot simulate
            online, or ``augmentation`` is used with ``online``.
    """

    def __init__(
        self,
        source: Source,
        preparation: Preparation,
        batch_size: int = 16,
        workers: int = 0,
        seed: int = 0,
        online: bool = False,
        cache: str = "auto",
        augmentation: PhysicalAugmentation | None = None,
        twin: TwinTraining | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InvalidValue(f"data.batch_size must be at least 1, got {batch_size}.")
        if workers < 0:
            raise InvalidValue(f"data.workers must be 0 or more, got {workers}.")
        if seed < 0:
            raise InvalidValue(f"seed must be 0 or more, got {seed}.")
        check_cache(cache)
        if online and augmentation is not None:
            raise InvalidValue(
                "data.online=true simulates every pair anew, with its own noise, so that data.augmentation has nothing "
                "to add. Leave it out, or set data.online=false; data.source.camera sets the noise."
            )
        if twin is not None:
            if online or augmentation is not None:
                raise InvalidValue(
                    "data.twin simulates the training pairs. Leave out data.online and data.augmentation."
                )
            check_twin(preparation)
        self.simulation: Simulation | None = source.simulation(fresh=True) if online else None
        self.source, self.preparation = source, preparation
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.cache, self.augmentation, self.twin = cache, augmentation, twin
        self.cache_folder = cache_folder()
        """Where ``cache=disk`` writes; a run sets it to its own ``cache``."""
        self.splits: dict[str, Pairs] = {}
        self.inputs: dict[str, Pairs] = {}
        self.simulated: TwinPairs | None = None
        self.shown: Pairs | None = None

    def prepare_data(self) -> None:
        """Let the source do its slow work, once a machine."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Load the splits.

        Raises:
            InvalidValue: if ``train`` or ``val_seen`` is missing, or the augmentation is wrong for the training pairs.
        """
        if self.splits:
            return
        splits = self.source.load()
        for name, purpose in (("train", "is what a network learns from"), ("val_seen", "chooses the epoch")):
            if name not in splits:
                raise InvalidValue(
                    f"the data have no split {name!r}, which {purpose}; they have {', '.join(splits)}. Add it to the "
                    "file or folder that data.source names."
                )
        if self.augmentation is not None:
            self.augmentation.check(splits["train"], self.object_size)
        self.shown = splits["train"] if self.simulation is not None else None
        prepared = {name: with_targets(pairs, self.preparation.target) for name, pairs in splits.items()}
        self.splits = kept(prepared, self.cache, self.cache_folder)
        self.preparation.fit(self.splits["train"].speckle, self.object_size)
        if self.preparation.costly:
            loaded = {name: self.splits[name] for name in self.validation_splits}
            if self.augmentation is None and self.simulation is None:
                loaded["train"] = self.splits["train"]
            self.inputs = kept_inputs(loaded, self.preparation, self.cache, self.cache_folder)
        if self.twin is not None:
            assert isinstance(self.preparation, Spectra)
            known = self.splits["train"], self.inputs["train"]
            self.simulated = self.twin.dataset(*known, self.preparation, self.seed, self.cache_folder)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input [px]."""
        return self.preparation.input_size(self.source.frame_size, self.object_size)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's input."""
        return (self.preparation.channels, *self.input_size)

    @property
    def object_size(self) -> tuple[int, int]:
        """Height and width of the objects, which the network's image is brought to [px]."""
        return self.preparation.target.result(self.source.object_size)

    def facts(self) -> dict[str, Any]:
        """What a trained network needs beside its weights to see frames of this kind: plain values and tensors."""
        return {
            "preparation": self.preparation.settings(),
            "fitted": self.preparation.state_dict(),
            "frame_size": list(self.source.frame_size),
            "object_size": list(self.object_size),
            "pairs": {name: pairs.identity for name, pairs in self.splits.items()},
            "appearance": appearance(self.splits["train"].speckle),
        }

    @property
    def validation_splits(self) -> list[str]:
        """Splits that are watched during training: all but ``train`` and the ``test_`` splits."""
        return [name for name in self.splits if name != "train" and not name.startswith("test_")]

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled batches; an incomplete last batch is dropped unless it is the only one."""
        dataset, on_gpu = self._dataset("train")
        if self.simulated is not None:
            dataset, on_gpu = self.simulated, False
        if self.augmentation is not None:
            train = self.splits["train"]
            dataset, on_gpu = AugmentedPairs(train, self.preparation, self.augmentation, self.seed), False
        if self.simulation is not None and self.shown is not None:
            on_gpu = self._device.type == "cuda" and self.simulation.processor.type == "cuda"
            device = self._device if on_gpu else torch.device("cpu")
            dataset = OnlinePairs(self.simulation, self.shown, self.preparation, device)
        order = EpochOrder(dataset, *self._ranks, seed=self.seed)
        settings = self._settings(in_process=on_gpu)
        return LateLoader(dataset, sampler=order, drop_last=len(order) >= self.batch_size, **settings)

    def val_dataloader(self) -> list[DataLoader[Sample]]:
        """One loader a validation split, in the order of ``validation_splits``."""
        loaders: list[DataLoader[Sample]] = []
        for dataset, on_gpu in map(self._dataset, self.validation_splits):
            order: DistributedSampler[int] = DistributedSampler(dataset, *self._ranks, shuffle=False)
            loaders.append(LateLoader(dataset, sampler=order, **self._settings(on_gpu)))
        return loaders

    def _dataset(self, name: str) -> tuple[Dataset[Sample], bool]:
        """Pairs of a split, prepared once where they can be held, else when they are asked for; whether on a GPU."""
        kept = name in self.inputs
        preparation = Unstacked(self.preparation.channels) if kept else self.preparation
        dataset = PairsDataset(self.inputs[name] if kept else self.splits[name], preparation)
        device = self._device if self._device.type == "cuda" else torch.device("cpu")
        loaded = [self.splits[split] for split in ("train", *self.validation_splits)]
        if self.workers or not can_be_held(loaded, self.input_shape, device, self._ranks[0]):
            return dataset, False
        return HeldPairs(dataset, device), device.type == "cuda"

    def _settings(self, in_process: bool = False) -> dict[str, Any]:
        workers = 0 if in_process else self.workers
        return {
            "batch_size": self.batch_size,
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "pin_memory": self._device.type == "cuda" and not in_process,
        }

    @property
    def _ranks(self) -> tuple[int, int]:
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    @property
    def _device(self) -> torch.device:
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
