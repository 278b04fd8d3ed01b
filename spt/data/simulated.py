"""Simulated speckles of procedural objects, cached on disk."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from rich.progress import Progress

from spt.data.objects import GLYPHS, draw_object
from spt.data.pairs import Pairs
from spt.data.readers import read_arrays
from spt.files import atomic
from spt.optics import Camera, Setup, select

RECIPE = 2
"""Raise this when the same settings give other pixels: old cache files are then left aside."""

CHUNK = 64


@dataclass(frozen=True)
class SimulatedSpeckles:
    """Binary objects (glyphs and strokes) behind thin diffusers, in four splits.

    ``train`` and ``val_seen`` share diffusers and glyph classes, never objects; ``val_class`` shows glyph classes
    that were never trained; ``val_unseen`` shows new objects through new diffusers.

    Args:
        setup: the optics; ``setup.window`` is the image size.
        camera: the camera.
        train: pairs to train on.
        validation: pairs of each validation split.
        train_diffusers: diffusers of the training set, used in turn.
        unseen_diffusers: diffusers of ``val_unseen``, used in turn.
        held_out_glyphs: characters kept for ``val_class``.
        glyph_share: share of glyphs; the others are strokes.
    """

    setup: Setup
    camera: Camera
    train: int = 6000
    validation: int = 256
    train_diffusers: int = 1
    unseen_diffusers: int = 8
    held_out_glyphs: str = "47AaGgKkRr"
    glyph_share: float = 0.5
    seed: int = 0
    cache: str = "~/.cache/spt"

    def __post_init__(self) -> None:
        for name in ("train", "validation", "train_diffusers", "unseen_diffusers"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.source.{name} must be at least 1, got {getattr(self, name)}.")
        unknown = set(self.held_out_glyphs) - set(GLYPHS)
        if unknown or not self.held_out_glyphs or set(GLYPHS) == set(self.held_out_glyphs):
            raise ValueError(
                f"data.source.held_out_glyphs = {self.held_out_glyphs!r} must name some, not all, of {GLYPHS}."
            )
        if not 0 < self.glyph_share <= 1:
            raise ValueError(f"data.source.glyph_share must lie in (0, 1], got {self.glyph_share}.")

    @property
    def size(self) -> int:
        """Side of speckles and objects [px]."""
        return self.setup.window

    @property
    def path(self) -> Path:
        """The cache file: its name holds a hash of everything that decides the pixels."""
        text = json.dumps(self._settings(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return Path(self.cache).expanduser() / f"simulated-{digest}.npz"

    def prepare(self) -> None:
        """Simulate and write the cache file unless it is there."""
        if not self.path.exists():
            # Opened before the simulation: a folder that cannot be written is found at once.
            with atomic(self.path) as part, part.open("wb") as file:
                arrays = self._simulate() | {"settings": np.array(json.dumps(self._settings()))}
                np.savez(file, **arrays)  # type: ignore[arg-type]

    def load(self) -> dict[str, Pairs]:
        """The four splits, simulated first where that is needed."""
        self.prepare()
        names = ("train", "val_seen", "val_class", "val_unseen")
        fields = ("speckle", "target", "diffuser")
        arrays = read_arrays(self.path, [f"{name}_{field}" for name in names for field in fields])
        return {name: Pairs(name, *(torch.from_numpy(arrays[f"{name}_{f}"]) for f in fields)) for name in names}

    def _settings(self) -> dict[str, Any]:
        settings = asdict(self) | {"recipe": RECIPE, "pillow": PIL.__version__}
        del settings["cache"]
        return settings

    def _simulate(self) -> dict[str, np.ndarray]:
        seen = "".join(c for c in GLYPHS if c not in self.held_out_glyphs)
        medium = self.setup.draw(self.train_diffusers + self.unseen_diffusers, self._generator(0))
        known, new = np.arange(self.train_diffusers), self.train_diffusers + np.arange(self.unseen_diffusers)
        plan = {
            "train": (1, self.train, seen, self.glyph_share, known),
            "val_seen": (2, self.validation, seen, self.glyph_share, known),
            "val_class": (3, self.validation, self.held_out_glyphs, 1.0, known),
            "val_unseen": (4, self.validation, seen, self.glyph_share, new),
        }
        arrays: dict[str, np.ndarray] = {}
        with Progress() as progress:
            for name, (stream, count, glyphs, share, diffusers) in plan.items():
                task = progress.add_task(f"Simulating {name}", total=count)
                diffuser = diffusers[np.arange(count) % len(diffusers)]
                target = np.empty((count, self.size, self.size), np.uint8)
                speckle = np.empty((count, self.size, self.size), np.uint8 if self.camera.bits <= 8 else np.uint16)
                noise = self._generator(stream)
                for at in range(0, count, CHUNK):
                    part = slice(at, min(at + CHUNK, count))
                    for i in range(part.start, part.stop):
                        target[i] = draw_object(self.size, glyphs, share, np.random.default_rng([self.seed, stream, i]))
                    objects = torch.from_numpy(target[part]).float() / 255
                    intensity = self.setup.intensity(objects, select(medium, torch.from_numpy(diffuser[part])))
                    speckle[part] = self.camera.expose(intensity, noise).numpy()
                    progress.advance(task, part.stop - part.start)
                arrays |= {f"{name}_speckle": speckle, f"{name}_target": target, f"{name}_diffuser": diffuser}
        return arrays

    def _generator(self, stream: int) -> torch.Generator:
        state = np.random.SeedSequence([self.seed, stream]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state >> np.uint64(1)))
