"""Simulated speckles: objects behind drawn media, cached on disk."""

import hashlib
import json
import logging
import time
from collections.abc import Sequence
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
from spt.data.media_files import MeasuredFibre, MeasuredPsf
from spt.data.objects import SPLITS, ObjectSource
from spt.data.objects.cache import CachedObjects
from spt.data.pairs import Pairs
from spt.data.settings import describe
from spt.optics import Camera, Medium, ModeMatrixSetup, Setup, select
from spt.optics.resampling import area_resampled

log = logging.getLogger(__name__)

RECIPE = 2
"""Raise this when the same settings give other pixels: old cache files are then left aside."""

MEDIA, NOISE = 5, 6
"""Streams of random draws beside those of the splits, which are numbered 1 to 4."""

WAIT = 2.0
"""Seconds between two looks at a set that another process writes."""

PIECE = 2**22
"""Elements of the media that are propagated at once: more would fill the memory, and be no faster."""


@dataclass(frozen=True)
class SimulatedSpeckles:
    """Objects behind scattering media, in up to four splits.

    ``train`` and ``val_seen`` share diffusers and object classes, never objects; ``val_class`` shows classes that were
    never trained, where the objects have such; ``val_unseen`` shows new objects through new diffusers.

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
        cache: folder of the cached sets and objects.
        device: where it is simulated; ``auto`` is the GPU when there is one. The same settings give the same bits on
            one type of device.
    Raises:
        ValueError: if a count is below 1, the device is unknown or missing, the camera's pixels undersample the
            speckle, or fresh diffusers are asked of a setup that has but a few.
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
        for name in ("train", "validation", "train_diffusers", "unseen_diffusers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"data.source.{name} must be at least 1, got {value}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"data.source.device must be 'auto', 'cpu' or 'cuda', got {self.device!r}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("data.source.device=cuda, but there is no GPU. Use data.source.device=auto.")
        self.setup.validate(self.camera.footprint)
        if self.train_diffusers is None and _measured(self.setup):
            raise ValueError(
                "measured media are few: fresh draws for every pair would train on those of val_unseen. Set "
                "data.source.train_diffusers to a number, and data.online=false."
            )

    @property
    def size(self) -> int:
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
        while not self.path.exists():
            try:
                write_set(self.path, self)
            except BlockingIOError:
                log.info("Another process simulates this set; waiting for it.")
                time.sleep(WAIT)

    def load(self) -> dict[str, Pairs]:
        """The splits, simulated first where that is needed."""
        self.prepare()
        return read_set(self.path)

    def settings(self) -> dict[str, Any]:
        """Everything that decides the pixels, as JSON types."""
        names = [field.name for field in fields(self) if field.name != "cache"]
        settings = {name: describe(getattr(self, name)) for name in names}
        return settings | {"device": self._device.type, "recipe": RECIPE}

    @property
    def counts(self) -> dict[str, int]:
        """Pairs of each split; without held-out classes there is no ``val_class``.

        Raises:
            ValueError: if there are fewer objects than pairs of a validation split.
        """
        counts = {split: self.train if split == "train" else self.validation for split in SPLITS}
        for split in SPLITS:
            there = self.objects.count(split)
            if split == "val_class" and there == 0:
                del counts[split]
            elif split != "train" and there is not None and there < self.validation:
                raise ValueError(
                    f"data.source.validation = {self.validation}, but there are only {there} objects for {split}. "
                    "Lower it, or choose data.source.objects.validation_share and held_out otherwise."
                )
        return counts

    def columns(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and type of what is stored of each pair, by name."""
        image = (self.size, self.size)
        columns: dict[str, tuple[tuple[int, ...], Any]] = {
            "speckle": (image, np.uint8 if self.camera.bits <= 8 else np.uint16),
            "target": (image, np.uint8),
            "diffuser": ((), np.int64),
            "object": ((), np.int64),
            **{name: ((), self._one[name].numpy().dtype) for name in self._parameters},
        }
        return {name: (shape, np.dtype(kind)) for name, (shape, kind) in columns.items()}

    def noise(self, split: str) -> torch.Generator:
        """The generator of a split's camera noise, where diffusers are not fresh: chunks draw from it in turn."""
        return self._generator(self._device, SPLITS[split])

    def simulate(self, split: str, start: int, stop: int, noise: torch.Generator) -> dict[str, np.ndarray]:
        """Pairs ``start`` to ``stop - 1`` of a split, as :meth:`columns` says.

        Args:
            split: which.
            start: first pair.
            stop: behind the last pair.
            noise: from :meth:`noise`, after all earlier chunks.
        """
        numbers = range(start, stop)
        objects = self.draw_objects(split, start, stop)
        if self.train_diffusers is None:
            pairs = self.fresh(split, numbers, objects, self._device)
        else:
            diffuser = torch.tensor(self._diffusers(split, numbers))
            light = self._light(objects, self._media, diffuser)
            pairs = {"speckle": self.camera.expose(light, noise), "diffuser": diffuser}
            pairs |= {name: self._media[name][diffuser.to(self._device)] for name in self._parameters}
        arrays = {name: values.cpu().numpy() for name, values in pairs.items()}
        arrays["target"] = self._on_camera(objects).numpy()
        return arrays | {"object": np.array(self.objects.identify(split, numbers, self.seed))}

    def draw_objects(self, split: str, start: int, stop: int) -> UInt8[Tensor, "n h w"]:
        """Objects ``start`` to ``stop - 1`` of a split, as the optics see them; from the cache where they are there."""
        return torch.from_numpy(
            CachedObjects(self.objects, self.setup.window, self.seed, self.cache).load(split, start, stop)
        )

    def fresh(
        self, split: str, numbers: Sequence[int], objects: UInt8[Tensor, "n h w"], device: torch.device
    ) -> dict[str, Tensor]:
        """Expose objects, each behind a diffuser of its own.

        Every pair is drawn from (seed, split, number) alone, so that it does not matter which others are exposed with
        it. Numbers of ``train`` may exceed the training pairs: epoch times pairs plus the pair's own.

        Returns:
            ``speckle`` (n, h, w), ``diffuser`` (n,) and drawn parameters (n,) on ``device``.
        """
        diffusers, pieces = self._diffusers(split, numbers), []
        for at in range(0, len(numbers), self._piece):
            part = slice(at, at + self._piece)
            media = [self.setup.draw(1, self._generator(device, MEDIA, d)) for d in diffusers[part]]
            medium = {name: torch.cat([drawn[name] for drawn in media]) for name in media[0]}
            light = self._light(objects[part], medium, torch.arange(len(media)))
            streams = [self._generator(device, NOISE, SPLITS[split], number) for number in numbers[part]]
            frames = [self.camera.expose(one, stream) for one, stream in zip(light, streams, strict=True)]
            pieces.append({"speckle": torch.stack(frames)} | {name: medium[name] for name in self._parameters})
        exposed = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}
        return exposed | {"diffuser": torch.tensor(diffusers)}

    def _diffusers(self, split: str, numbers: Sequence[int]) -> list[int]:
        """Numbers of the pairs' diffusers; where they are fresh, those of ``val_unseen`` come first."""
        unseen = split == "val_unseen"
        if self.train_diffusers is not None:
            first, among = (self.train_diffusers, self.unseen_diffusers) if unseen else (0, self.train_diffusers)
            return [first + number % among for number in numbers]
        if split == "train":
            return [self.unseen_diffusers + number for number in numbers]
        return [n % self.unseen_diffusers if unseen else self.unseen_diffusers + n % self.train for n in numbers]

    def _light(self, objects: UInt8[Tensor, "n h w"], media: Medium, index: Tensor) -> Float[Tensor, "n h w"]:
        device = next(iter(media.values())).device
        images, index = objects.to(device).float() / 255, index.to(device)
        parts = [slice(at, at + self._piece) for at in range(0, len(index), self._piece)]
        return torch.cat([self.setup.intensity(images[part], select(media, index[part])) for part in parts])

    def _on_camera(self, objects: UInt8[Tensor, "n h w"]) -> UInt8[Tensor, "n p q"]:
        if self.camera.footprint == 1:
            return objects
        return area_resampled(objects.double(), self.camera.footprint, self.size, self.size).round().byte()

    @cached_property
    def _media(self) -> Medium:
        return self.setup.draw((self.train_diffusers or 0) + self.unseen_diffusers, self._generator(self._device, 0))

    @cached_property
    def _one(self) -> Medium:
        return self.setup.draw(1, torch.Generator())

    @cached_property
    def _parameters(self) -> list[str]:
        """Numbers that the media were drawn with, one a medium, such as the distance."""
        return sorted(name for name, values in self._one.items() if values.ndim == 1)

    @cached_property
    def _piece(self) -> int:
        return max(1, PIECE // sum(values.numel() for values in self._one.values()))

    @property
    def _device(self) -> torch.device:
        gpu = self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())
        return torch.device("cuda" if gpu else "cpu")

    def _generator(self, device: torch.device, *stream: int) -> torch.Generator:
        state = np.random.SeedSequence([self.seed, *stream]).generate_state(1, np.uint64)[0]
        return torch.Generator(device).manual_seed(int(state >> np.uint64(1)))


def _measured(setup: Setup) -> bool:
    """Whether the media are a few that were measured, not drawn from a law."""
    return isinstance(setup, MeasuredFibre | ModeMatrixSetup) or isinstance(getattr(setup, "psf", None), MeasuredPsf)
