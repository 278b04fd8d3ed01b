"""Physical augmentation: what another exposure of the same scene would change of a training pair."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from spt.data.pairs import Pairs, Sample, images, prepared
from spt.data.preparation import Preparation
from spt.data.preparation.geometry import Size
from spt.data.preparation.target import FLIPS
from spt.data.streams import stream
from spt.errors import InvalidValue

Flips = Literal["horizontal", "vertical", "both"]


class PhysicalAugmentation:
    """Change training pairs as another exposure would: each in another way in every epoch, frames before preparation.

    In this order: exposures of the same scene are averaged; speckle and object are flipped and shifted together; the
    light becomes brighter or dimmer; photon noise and read noise are added to the noise that is there already.

    Flips and shifts move the diffuser too. Behind a fixed diffuser the moved frame is none that it could give. So
    both are refused unless every training pair has a diffuser of its own: then a moved diffuser is as likely as any
    other. The optics must be symmetric as well, which nothing can check here: illumination and camera are centred.

    Args:
        jitter: the frame is multiplied by a number from 1 - jitter to 1 + jitter. A scale of each frame on its own
            (``standardize``, ``maximum``) takes it away again, but not from the noise, which is stronger in dim frames.
        photoelectrons: mean signal of a pixel in electrons, for the photon noise of one more exposure; None adds none.
        read_noise: standard deviation in electrons; it needs ``photoelectrons``.
        shift: largest joint shift along y and x, in pixels of the coarser of both images. The frame is mirrored at its
            edges, the object's edge is repeated.
        flip: ``horizontal``, ``vertical`` or ``both``: every second pair is flipped along each; None for none.
        average: so many training frames of the same object and diffuser are averaged, with equal values of everything
            else that is known of them, or as many as there are.
    Raises:
        InvalidValue: if a value is out of range.
    """

    def __init__(
        self,
        jitter: float = 0.0,
        photoelectrons: float | None = None,
        read_noise: float = 0.0,
        shift: int = 0,
        flip: Flips | None = None,
        average: int = 1,
    ) -> None:
        name = "data.augmentation"
        rules = {
            "jitter": (0 <= jitter < 1, "a share from 0 to below 1", jitter),
            "photoelectrons": (photoelectrons is None or 0 < photoelectrons < 1e9, "above 0 or null", photoelectrons),
            "read_noise": (0 <= read_noise < 1e9, "0 or more electrons", read_noise),
            "shift": (shift >= 0, "0 or more pixels", shift),
            "flip": (flip is None or flip in FLIPS, f"one of {', '.join(FLIPS)} or null", flip),
            "average": (average >= 1, "1 or more frames", average),
        }
        for setting, (fine, rule, value) in rules.items():
            if not fine:
                raise InvalidValue(f"{name}.{setting} must be {rule}, got {value!r}.")
        if read_noise and photoelectrons is None:
            raise InvalidValue(
                f"{name}.read_noise={read_noise:g} electrons needs {name}.photoelectrons, which says how many grey "
                "levels an electron is."
            )
        self.jitter, self.photoelectrons, self.read_noise = jitter, photoelectrons, read_noise
        self.shift, self.flip, self.average = shift, flip, average

    def check(self, train: Pairs, object_size: Size) -> None:
        """Refuse what is wrong for these training pairs.

        Args:
            train: the training pairs.
            object_size: height and width of the prepared objects [px].
        Raises:
            InvalidValue: if pairs that share a diffuser would be moved, the two sizes do not allow a joint shift, or
                there are no frames to average.
        """
        moved = [f"{name}={value}" for name, value in (("shift", self.shift), ("flip", self.flip)) if value]
        diffusers = len(train.diffuser.unique())
        if moved and diffusers < len(train):
            raise InvalidValue(
                f"data.augmentation.{moved[0]} moves the speckle with the object, and {len(train)} training pairs "
                f"share {diffusers} diffuser(s): behind a fixed diffuser a moved object gives another speckle. Leave "
                "it out. It is right where every pair has a diffuser of its own."
            )
        if self.shift:
            frame = (train.speckle.shape[1], train.speckle.shape[2])
            largest = min(min(frame), min(object_size)) // 4
            if self.shift > largest:
                raise InvalidValue(
                    f"data.augmentation.shift={self.shift} px is more than a quarter of the image. Use at most "
                    f"{largest}."
                )
            _steps(frame, object_size)
        if self.average > 1 and int(same_scene(train).unique(return_counts=True)[1].max()) < 2:
            raise InvalidValue(
                f"data.augmentation.average={self.average} needs several training frames of the same object and "
                "diffuser, and no two of these pairs show the same. Set it to 1."
            )

    def move(
        self, draws: np.random.Generator, speckle: Float[Tensor, "h w"], target: Float[Tensor, "p q"]
    ) -> tuple[Float[Tensor, "h w"], Float[Tensor, "p q"]]:
        """Flip and shift both images of a pair together."""
        axes = [axis for axis in FLIPS[self.flip] if draws.random() < 0.5] if self.flip else []
        speckle, target = speckle.flip(axes), target.flip(axes)
        if not self.shift:
            return speckle, target
        of_speckle, of_target = _steps((speckle.shape[0], speckle.shape[1]), (target.shape[0], target.shape[1]))
        by = draws.integers(-self.shift, self.shift + 1, 2)
        return shifted(speckle, by * of_speckle, "reflect"), shifted(target, by * of_target, "replicate")

    def expose(self, draws: np.random.Generator, speckle: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
        """Brighten or dim a frame, and expose it once more."""
        mean = float(speckle.mean(dtype=torch.float64))
        light = speckle * draws.uniform(1 - self.jitter, 1 + self.jitter) if self.jitter else speckle
        if self.photoelectrons is None or mean <= 0:
            return light
        electron = mean / self.photoelectrons  # grey levels
        # Levels below 0, as a subtracted background leaves them, hold no photons.
        counted = draws.poisson((light.double() / electron).clamp(min=0).numpy())
        noisy = counted + self.read_noise * draws.standard_normal(counted.shape)
        return torch.from_numpy(noisy * electron).float().clamp(min=0)


class AugmentedPairs(Dataset[Sample]):
    """Prepared batches of training pairs, augmented before their preparation.

    Pairs are numbered over the epochs, ``epoch * pairs + pair``. A number and the seed alone decide what is drawn:
    order, batch size, worker processes and an interruption change nothing.

    Args:
        pairs: the training pairs, with prepared objects.
        preparation: what happens to a speckle before the network.
        augmentation: what is changed; it was checked for these pairs.
        seed: of the run.
    """

    def __init__(self, pairs: Pairs, preparation: Preparation, augmentation: PhysicalAugmentation, seed: int) -> None:
        self.pairs, self.preparation, self.augmentation, self.seed = pairs, preparation, augmentation, seed
        self.scenes = _Scenes(pairs) if augmentation.average > 1 else None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitems__(self, numbers: list[int]) -> Sample:
        """The pairs of ``numbers``; the loader asks for whole batches."""
        index = torch.tensor(numbers) % len(self.pairs)
        targets = images(self.pairs.target[index])[:, 0]
        both = [
            self._augmented(number, row, target)
            for number, row, target in zip(numbers, index.tolist(), targets, strict=True)
        ]
        speckle, target = (torch.stack(parts) for parts in zip(*both, strict=True))
        return prepared(self.preparation, speckle, target[:, None], index, self.pairs.diffuser[index], self.pairs.where)

    def _augmented(self, number: int, row: int, target: Float[Tensor, "p q"]) -> tuple[Tensor, Tensor]:
        draws, rows = stream(self.seed, "augmentation", number), [row]
        if self.scenes is not None:
            rows = self.scenes.draw(draws, row, self.augmentation.average)
        frames = self.pairs.speckle[torch.tensor(rows)].float()
        speckle, target = self.augmentation.move(draws, frames.mean(0) if len(rows) > 1 else frames[0], target)
        return self.augmentation.expose(draws, speckle), target


class _Scenes:
    """Which training frames show the same object through the same diffuser."""

    def __init__(self, pairs: Pairs) -> None:
        self.scene = same_scene(pairs)
        self.rows = self.scene.argsort(stable=True)
        self.first = self.scene.bincount().cumsum(0).roll(1)
        self.first[0] = 0

    def draw(self, draws: np.random.Generator, row: int, count: int) -> list[int]:
        """The frame itself and others of its scene."""
        scene = int(self.scene[row])
        start = int(self.first[scene])
        end = int(self.first[scene + 1]) if scene + 1 < len(self.first) else len(self.rows)
        others = [other for other in self.rows[start:end].tolist() if other != row]
        return [row, *draws.permutation(np.array(others, int))[: count - 1].tolist()]


def same_scene(pairs: Pairs) -> Int[Tensor, " n"]:
    """A number for each pair, equal where object, diffuser and everything else that is known of them are equal."""
    scene = torch.zeros(len(pairs), dtype=torch.int64)
    for values in (pairs.diffuser, pairs.object, *pairs.parameters.values()):
        kind = values.unique(return_inverse=True)[1]
        scene = torch.stack([scene, kind]).unique(dim=1, return_inverse=True)[1]
    return scene


def shifted(image: Float[Tensor, "h w"], by: Sequence[int] | np.ndarray, edge: str) -> Float[Tensor, "h w"]:
    """Shift an image down and to the right [px].

    Args:
        image: what is shifted.
        by: along y and x; negative values shift up and to the left.
        edge: what comes in at the edges: ``reflect`` or ``replicate``.
    """
    (dy, dx), (height, width) = (int(step) for step in by), image.shape
    wide = F.pad(image[None, None], (abs(dx), abs(dx), abs(dy), abs(dy)), mode=edge)[0, 0]
    return wide[abs(dy) - dy : abs(dy) - dy + height, abs(dx) - dx : abs(dx) - dx + width]


def _steps(frame: Size, target: Size) -> tuple[int, int]:
    """Pixels of frame and object that are one pixel of the coarser one; both show the same field of view."""
    for fine, coarse, turned in ((frame, target, False), (target, frame, True)):
        step, rest = divmod(fine[0], coarse[0])
        if step and not rest and (coarse[0] * step, coarse[1] * step) == fine:
            return (1, step) if turned else (step, 1)
    raise InvalidValue(
        f"data.augmentation.shift needs speckle and object of sizes that are whole multiples of each other, got "
        f"{frame[0]}x{frame[1]} and {target[0]}x{target[1]} px. Set data.preparation.target.size, or leave the shift "
        "out."
    )
