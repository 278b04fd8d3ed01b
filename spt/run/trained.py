"""A trained network from its run folder: speckles in, images out."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from spt.data.appearance import Ranges, appearance, outside, sentence
from spt.data.preparation import Amplitude, Preparation
from spt.errors import InvalidType, InvalidValue, MissingFile
from spt.evaluation.predict import Predictor
from spt.heads import Head
from spt.run.building import build
from spt.run.bundled import bundled_names, run_path
from spt.run.folder import RunFolder
from spt.run.saved_config import read_saved
from spt.run.trust import trusted
from spt.training.initial import load_weights

if TYPE_CHECKING:
    from spt.evaluation.refined import RefinedPredictor
    from spt.optics.twin import FittedTwin

Array = TypeVar("Array", np.ndarray, Tensor)


@dataclass(frozen=True)
class Trained:
    """What a run folder holds, in evaluation mode; the data that it was trained on are not needed.

    Args:
        config: of the run.
        folder: of the run.
        model: the network with the weights of its best epoch.
        head: what its channels mean.
        preparation: what happens to a frame first, with what it found in the training frames.
        frame_size: height and width of the frames [px].
        object_size: height and width of the images [px].
        appearance: range of mean, brightest pixel, contrast and grain size of the training frames; empty where an
            older run did not record it.
        warned: names of the numbers of which a warning was given already.
    """

    config: DictConfig
    folder: RunFolder
    model: nn.Module
    head: Head
    preparation: Preparation
    frame_size: tuple[int, int]
    object_size: tuple[int, int]
    appearance: Ranges
    warned: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        height, width = self.frame_size
        chain = self.preparation.describe(self.frame_size, self.object_size)
        return f"{type(self.model).__name__} of {self.folder.path}, frames of {height}x{width} px ({chain})"

    def __call__(self, frames: Array, batch_size: int = 16, orientations: int = 1) -> Array:
        """Reconstruct the objects behind recorded speckles.

        Frames that do not look like those of the training get a Python warning, once for each reason.

        Args:
            frames: (h, w), (n, h, w) or (n, 1, h, w), as the camera gives them, of any real type.
            batch_size: frames that pass the network together.
            orientations: the image is the mean over 1, 4 or 8 flipped and turned copies of the frame.
        Returns:
            Images in [0, 1], float32, with the axes of ``frames``, as an array of the same library.
        Raises:
            InvalidType: if the frames are no real numbers.
            InvalidValue: if they have another size than the training frames, or hold values that no camera records.
        """
        images = self.reconstruct(frames, batch_size, orientations)
        self._warn(_tensor(frames).reshape(-1, *self.frame_size))
        return images

    def reconstruct(self, frames: Array, batch_size: int = 16, orientations: int = 1) -> Array:
        """As a call, without a warning: for commands that look at the frames of all files themselves."""
        if batch_size < 1:
            raise InvalidValue(f"batch_size must be at least 1, got {batch_size}.")
        speckle = self._checked(_tensor(frames))
        predict = self.oriented(self.predictor(batch_size), orientations)
        images = torch.cat([predict(part)[1] for part in speckle.split(batch_size)])
        if not images.isfinite().all():
            bad = (~images.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
            raise InvalidValue(f"the images of frames {bad[:5]} hold NaN or infinity. Mend or leave out these frames.")
        shaped = images.reshape(*frames.shape[:-2], *self.object_size)
        return shaped.numpy() if isinstance(frames, np.ndarray) else shaped

    def predictor(self, batch_size: int = 16) -> Predictor:
        """From stored frames to images, in the precision of the weights."""
        return Predictor(self.model, self.head, self.preparation, batch_size, object_size=self.object_size)

    def oriented(self, predictor: Predictor, orientations: int) -> Predictor:
        """The same network, whose image is the mean over flipped and turned copies of the frame.

        Raises:
            InvalidValue: if a copy is no frame that the training could have had.
        """
        if orientations not in (1, 4, 8):
            raise InvalidValue(f"orientations must be 1, 4 or 8, got {orientations}.")
        if orientations == 1:
            return predictor
        if not isinstance(self.preparation, Amplitude) or not self.new_diffusers:
            raise InvalidValue(
                f"orientations={orientations} needs a network that sees the frames themselves, and a run whose data "
                "say that every pair had a diffuser of its own (train_diffusers=null): only then a flipped frame is as "
                "likely as any other. Set orientations=1."
            )
        if orientations == 8 and len({*self.frame_size}) + len({*self.object_size}) > 2:
            raise InvalidValue("orientations=8 transposes the frames, which are not square here. Set orientations=4.")
        return replace(predictor, orientations=orientations)

    @property
    def new_diffusers(self) -> bool:
        """Whether the data of the run say that every training pair had a diffuser of its own."""
        source = self.config.data.source
        return "train_diffusers" in source and source.train_diffusers is None

    def refine(self, frames: Array, batch_size: int = 16) -> Array:
        """As :meth:`reconstruct`, then gradient steps through the twin of the set-up, some 0.3 s an image.

        Args:
            frames: all of them behind one diffuser, which nobody needs to know.
            batch_size: frames that pass the network together.
        Raises:
            InvalidValue: if the network was trained without a twin, or frames are bad.
        """
        speckle = self._checked(_tensor(frames))
        images = self.refined(self.predictor(batch_size)).refine(speckle)
        shaped = images.reshape(*frames.shape[:-2], *self.object_size)
        return shaped.numpy() if isinstance(frames, np.ndarray) else shaped

    def refined(self, predictor: Predictor) -> "RefinedPredictor":
        """The same network, whose images are refined.

        Raises:
            InvalidValue: if it was trained without a twin, or the file of the twin is damaged.
        """
        from spt.evaluation.refined import RefinedPredictor

        fitted = self.twin
        spread = build(self.config.data.twin.jitter).spread()
        return RefinedPredictor(**vars(predictor), fitted=fitted, spread=spread)

    @cached_property
    def twin(self) -> "FittedTwin":
        """The twin that made the training pairs, opened once.

        Raises:
            InvalidValue: if it is not there, or the file is damaged.
        """
        from spt.optics.twin import open_twin

        if not self.folder.twin.is_file():
            raise InvalidValue(
                f"this needs the twin that made the training pairs, and {self.folder.twin} is not there. Train with "
                "twin@data.twin=fitted; in evaluate.py, predict.py and read_objects.py, refine=false works without one."
            )
        fitted = open_twin(self.folder.twin)
        fitted.twin.grey = bool(OmegaConf.select(self.config, "data.twin.grey"))
        return fitted

    def _warn(self, speckle: Tensor) -> None:
        if not self.appearance.keys() - self.warned:
            return
        found = appearance(speckle.detach().cpu())
        for name in outside(found, self.appearance):
            if name not in self.warned:
                self.warned.add(name)
                warnings.warn(f"{sentence(name, found, self.appearance)} The images may be wrong.", stacklevel=3)

    def _checked(self, frames: Tensor) -> Tensor:
        if not isinstance(frames, Tensor) or frames.dtype.is_complex:
            kind = frames.dtype if isinstance(frames, Tensor) else type(frames).__name__
            raise InvalidType(f"frames must be real numbers in a numpy array or a tensor, got {kind}.")
        shape = tuple(frames.shape)
        if frames.ndim not in (2, 3, 4) or (frames.ndim == 4 and shape[1] != 1) or 0 in shape:
            raise InvalidValue(f"frames must have the shape (h, w), (n, h, w) or (n, 1, h, w), got {shape}.")
        if shape[-2:] != self.frame_size:
            raise InvalidValue(
                f"frames of {shape[-2]}x{shape[-1]} px, but the network was trained on frames of "
                f"{self.frame_size[0]}x{self.frame_size[1]} px. Record or crop them as those of the training."
            )
        frames = frames.to(torch.uint8) if frames.dtype == torch.bool else frames
        speckle = frames.detach().reshape(-1, *shape[-2:]).cpu()
        if speckle.dtype.is_floating_point:
            bad = ~(speckle.isfinite() & ((speckle >= 0) | self.preparation.negative)).flatten(1).all(1)
            if bad.any():
                raise InvalidValue(
                    f"frames {bad.nonzero().flatten().tolist()[:5]} hold NaN, infinity or negative intensities. Mend "
                    "or leave out these frames."
                )
        return speckle


def open_trained(path: Path, device: str = "cpu") -> Trained:
    """Rebuild the network of a run and load its best epoch.

    Args:
        path: the run folder, or the name of a network that comes with spt.
        device: where the network works; the run may have been trained on another one.
    Raises:
        MissingFile: if the folder is no run with a best epoch.
        InvalidValue: if its configuration is not trusted, its weights do not fit, or there is no such device.
    """
    folder = RunFolder(run_path(path))
    for needed in (folder.config, folder.best):
        if not needed.is_file():
            raise MissingFile(
                f"run={path} is not a run with a trained network: {needed} is not there. Networks that come with spt: "
                f"{', '.join(bundled_names())}."
            )
    config = trusted(read_saved(folder.config))
    model: nn.Module = build(config.model)
    saved = load_weights(model, folder.best)
    if "frame_size" not in saved and "size" not in saved:
        raise InvalidValue(f"{folder.best} holds weights alone, and no sizes. Restore the checkpoint of the training.")
    preparation = build(config.data.preparation)
    preparation.load_fitted(saved.get("fitted", {}))
    frame, objects = (_size(saved, name) for name in ("frame_size", "object_size"))
    try:
        model = model.eval().to(device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidValue(f"device={device}: {str(error).splitlines()[0]} Choose cpu, cuda or mps.") from error
    head: Head = build(config.head)
    return Trained(config, folder, model, head, preparation, frame, objects, saved.get("appearance", {}))


def _size(saved: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Height and width; before version 0.3 a checkpoint held the side of squares."""
    height, width = saved[name] if name in saved else [saved["size"]] * 2
    return int(height), int(width)


def _tensor(frames: Any) -> Any:
    """A numpy array in the byte order of this machine, as a tensor; anything else as it is."""
    if not isinstance(frames, np.ndarray) or frames.dtype.kind not in "buifc":
        return frames
    return torch.from_numpy(np.ascontiguousarray(frames.astype(frames.dtype.newbyteorder("="), copy=False)))
