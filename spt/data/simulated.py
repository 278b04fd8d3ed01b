"""Simulated speckles: objects behind drawn media, cached on disk."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spt.data.hdf5 import read_set
from spt.data.hdf5_writer import write_set
from spt.data.objects import ObjectSource
from spt.data.pairs import Pairs
from spt.data.settings import describe
from spt.data.source import Simulation, Source
from spt.data.streams import SPLITS, stream
from spt.errors import InvalidValue
from spt.optics import Camera, Medium, Setup, select
from spt.optics.resampling import area_resampled

log = logging.getLogger(__name__)

RECIPE = 4
"""Raise this when the same settings give other pixels: old cache files are then left aside."""

NEW = 2**40
"""Number of the first diffuser that no split of any set shows."""

Light = Callable[[Float[Tensor, "b n n"], Medium], Float[Tensor, "b n n"]]
"""From objects in [0, 1] and their media to the irradiance on the camera, as :meth:`Setup.intensity`."""

SAMPLES_AT_ONCE = {"cpu": 2**17, "cuda": 2**22}
"""Samples of the media that are simulated together: what stays in a CPU's cache, and what a GPU works on at once."""


@dataclass(frozen=True)
class SimulatedSpeckles(Source, Simulation):
    """Objects behind scattering media, in up to five splits.

    ``train`` and ``val_seen`` share diffusers and object classes, never objects; ``val_class`` shows classes that were
    never trained, where the objects have such; ``val_unseen`` shows new objects through new diffusers. ``test_seen`` is
    another ``val_seen``, which does not choose the epoch; stored objects may be too few for it.

    Args:
        setup: the optics; objects have ``setup.window`` px.
        camera: the camera; where it records fewer or more pixels than that, targets are averaged to its grid.
        objects: what stands behind the medium.
        train: pairs to train on.
        validation: pairs of each validation split.
        train_diffusers: diffusers of the training set, used in turn; None draws a fresh one for every pair, and
            ``val_seen`` shows new objects through the diffusers of the first training pairs.
        unseen_diffusers: diffusers of ``val_unseen``, used in turn.
        seed: of the whole set.
        cache: folder of the cached sets.
        device: where it is simulated; ``auto`` is the GPU when there is one. Every device gets the same random
            numbers; the light agrees to rounding.
    Raises:
        InvalidValue: if a count is below 1, the seed is negative, the device is unknown or missing, the camera's
            pixels undersample the speckle, or fresh diffusers are asked of a setup whose media were measured.
    """

    setup: Setup
    camera: Camera
    objects: ObjectSource
    train: int = 6000
    validation: int = 256
    train_diffusers: int | None = 1
    unseen_diffusers: int = 8
    seed: int = 0
    cache: str = "~/.cache/spt"
    device: Literal["auto", "cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        for name in ("train", "validation", "train_diffusers", "unseen_diffusers", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if value is not None and value < least:
                raise InvalidValue(f"data.source.{name} must be at least {least}, got {value}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise InvalidValue(f"data.source.device must be 'auto', 'cpu' or 'cuda', got {self.device!r}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InvalidValue("data.source.device=cuda, but there is no GPU. Use data.source.device=auto.")
        self.setup.validate(self.camera.footprint)
        if self.train_diffusers is None and self.setup.measured:
            raise InvalidValue(
                "there is only a limited number of measured media, so that a fresh one for every pair would train on "
                "those of val_unseen. Set data.source.train_diffusers to a number, and data.online=false."
            )

    @property
    def size(self) -> int:  # type: ignore[override]  # follows from other settings
        """Side of speckles and targets [px]."""
        return self.camera.frame(self.setup.window)

    @property
    def path(self) -> Path:
        """The cache file: its name holds a hash of everything that decides the pixels."""
        text = json.dumps(self.settings(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return Path(self.cache).expanduser() / f"simulated-{digest}.h5"

    def prepare(self) -> None:
        """Simulate and write the cache file unless it is there; go on where an interrupted simulation stopped."""
        if self.path.exists():
            return
        try:
            write_set(self.path, self)
        except (BlockingIOError, FileExistsError):
            log.info("Another process simulates this set; waiting for it.")
            write_set(self.path, self, wait=True)

    def load(self) -> dict[str, Pairs]:
        """The splits, simulated first where that is needed."""
        self.prepare()
        return read_set(self.path)

    def simulation(self, fresh: bool = False) -> Simulation:
        """The source itself.

        Raises:
            InvalidValue: if fresh diffusers are needed, but those of the set are fixed.
        """
        if fresh and self.train_diffusers is not None:
            raise InvalidValue(
                f"data.online=true draws a fresh diffuser for every pair, but data.source.train_diffusers = "
                f"{self.train_diffusers} fixes them. Set data.source.train_diffusers=null."
            )
        return self

    def settings(self) -> dict[str, Any]:
        """Everything that decides the pixels, as JSON types."""
        names = [field.name for field in fields(self) if field.name != "cache"]
        settings = {name: describe(getattr(self, name)) for name in names}
        return settings | {"device": self.processor.type, "recipe": RECIPE}

    @property
    def recorded(self) -> bool:
        """The splits are drawn apart."""
        return False

    @property
    def processor(self) -> torch.device:
        """Where it is simulated."""
        gpu = self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())
        return torch.device("cuda" if gpu else "cpu")

    @property
    def counts(self) -> dict[str, int]:
        """Pairs of each split; ``val_class`` needs classes that do not train, ``test_seen`` objects of its own.

        Raises:
            InvalidValue: if there are fewer objects than pairs of a validation split.
        """
        counts = {split: self.train if split == "train" else self.validation for split in SPLITS}
        for split in SPLITS:
            there = self.objects.count(split)
            if there is None or split == "train":
                continue
            if there < {"val_class": 1, "test_seen": self.validation}.get(split, 0):
                del counts[split]
            elif there < self.validation:
                raise InvalidValue(
                    f"data.source.validation = {self.validation}, but there are only {there} objects for {split}. "
                    "Lower it, or choose data.source.objects.validation_share and held_out otherwise."
                )
        return counts

    def columns(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and type of what is stored of each pair, by name."""
        image = (self.size, self.size)
        return {
            "speckle": (image, np.dtype(np.uint8 if self.camera.bits <= 8 else np.uint16)),
            "target": (image, np.dtype(np.uint8)),
            "diffuser": ((), np.dtype(np.int64)),
            "object": ((), np.dtype(np.int64)),
            **{name: ((), self._one[name].numpy().dtype) for name in self._numbers},
        }

    def draw_objects(self, split: str, numbers: Sequence[int]) -> UInt8[Tensor, "n h w"]:
        """The objects of pairs, as the optics see them."""
        return torch.from_numpy(self.objects.draw(split, numbers, self.setup.window, self.seed))

    def shown(self, train: Pairs) -> UInt8[Tensor, "n h w"]:
        """The objects of the training pairs: their targets, where the camera has the pixels of the grid."""
        return train.target[:] if self.camera.footprint == 1 else self.draw_objects("train", range(len(train)))

    def simulate(
        self,
        split: str,
        numbers: Sequence[int],
        objects: UInt8[Tensor, "n h w"],
        device: torch.device,
        diffusers: Sequence[int] | None = None,
        light: Light | None = None,
    ) -> dict[str, Tensor]:
        """Simulate pairs, some at a time; see :class:`spt.data.source.Simulation`.

        Args:
            split: of the pairs; it decides their noise.
            numbers: of the pairs.
            objects: of the pairs.
            device: where it is simulated.
            diffusers: number of the diffuser of each pair; None for those of the split.
            light: makes the light instead of the setup, for example behind a diffuser that was moved.
        """
        step = max(1, SAMPLES_AT_ONCE[device.type] // sum(values.numel() for values in self._one.values()))
        diffusers = self.diffusers(split, numbers) if diffusers is None else diffusers
        parts = [
            self._simulate(split, numbers[rows], objects[rows], device, diffusers[rows], light or self.setup.intensity)
            for rows in (slice(start, start + step) for start in range(0, len(numbers), step))
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _simulate(
        self,
        split: str,
        numbers: Sequence[int],
        objects: UInt8[Tensor, "n h w"],
        device: torch.device,
        diffusers: Sequence[int],
        light: Light,
    ) -> dict[str, Tensor]:
        media = self.media(diffusers, device)
        irradiance = light(objects.to(device).float() / 255, media)
        noise = [stream(self.seed, "noise", number, split) for number in numbers]
        shown = [number % self.train if split == "train" else number for number in numbers]
        return {
            "speckle": self.camera.expose(irradiance, noise),
            "target": self._on_camera(objects),
            "diffuser": torch.tensor(diffusers),
            "object": torch.tensor(self.objects.identify(split, shown, self.seed)),
            **{name: media[name] for name in self._numbers},
        }

    def diffusers(self, split: str, numbers: Sequence[int]) -> list[int]:
        """Numbers of the pairs' diffusers; where they are fresh, those of ``val_unseen`` come first."""
        unseen = split == "val_unseen"
        if self.train_diffusers is not None:
            first, among = (self.train_diffusers, self.unseen_diffusers) if unseen else (0, self.train_diffusers)
            return [first + number % among for number in numbers]
        if split == "train":
            return [self.unseen_diffusers + number for number in numbers]
        return [n % self.unseen_diffusers if unseen else self.unseen_diffusers + n % self.train for n in numbers]

    def new_diffusers(self, numbers: Sequence[int]) -> list[int]:
        """Numbers of diffusers that no split shows; of measured media those of ``val_unseen``: there are no more."""
        return self.diffusers("val_unseen", numbers) if self.setup.measured else [NEW + number for number in numbers]

    def media(self, diffusers: Sequence[int], device: torch.device) -> Medium:
        """The media of some numbers."""
        if self.train_diffusers is None or min(diffusers) >= NEW:
            return self._draw(diffusers, device)
        return select(self._fixed, torch.tensor(diffusers, device=device))

    def _draw(self, diffusers: Sequence[int], device: torch.device) -> Medium:
        return self.setup.draw(len(diffusers), [stream(self.seed, "medium", d) for d in diffusers], device)

    @cached_property
    def _fixed(self) -> Medium:
        """All media of a set whose diffusers are fixed; measured ones must be drawn together to differ."""
        return self._draw(range((self.train_diffusers or 0) + self.unseen_diffusers), self.processor)

    def _on_camera(self, objects: UInt8[Tensor, "n h w"]) -> UInt8[Tensor, "n p q"]:
        if self.camera.footprint == 1:
            return objects
        return area_resampled(objects.double(), self.camera.footprint, self.size, self.size).round().byte()

    @cached_property
    def _one(self) -> Medium:
        return self._draw(range(1), torch.device("cpu"))

    @cached_property
    def _numbers(self) -> list[str]:
        """Names of what is one number a medium, such as the distance."""
        return sorted(name for name, values in self._one.items() if values.ndim == 1)
