"""The verb predict: from files of new speckles to files of images, with a trained network."""

import glob
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import tifffile
import torch
from jaxtyping import Float
from PIL import Image
from rich.progress import Progress

from spt.data.appearance import unusual
from spt.data.files import FileSettings, Frames, files_of, open_frames, split_key
from spt.errors import InvalidValue, MissingFile, UserError
from spt.files import atomic
from spt.run.trained import Trained, open_trained

Images = Float[np.ndarray, "n h w"]


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        run: run folder of the trained network.
        input: a file, ``file:key``, a folder, or a pattern with ``*``.
        out: folder to write into; must not exist, or be empty.
        format: one of :data:`FORMATS`.
        average: so many frames in a row show one object; their images are averaged.
        batch_size: frames that pass the network together.
        device: where the network works.
        files: how files are read, where they alone do not say.
    Raises:
        InvalidValue: if a name is missing or a number is out of range.
    """

    run: str | None
    input: str | None
    out: str | None
    format: str = "png"
    average: int = 1
    batch_size: int = 16
    device: str = "cpu"
    files: FileSettings = field(default_factory=FileSettings)

    def __post_init__(self) -> None:
        for name in ("run", "input", "out"):
            if not getattr(self, name):
                raise InvalidValue(
                    f"{name}= is missing: python scripts/predict.py run=<folder> input=<frames> out=<folder>."
                )
        if self.format not in FORMATS:
            raise InvalidValue(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}.")
        for name in ("average", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} must be at least 1, got {getattr(self, name)}.")


@dataclass
class Done:
    """What was written, and what was not.

    Args:
        images: number of images written.
        files: number of files that they are of.
        bad: one line a file that could not be predicted.
        unusual: sentences on frames that do not look like those of the training.
    """

    images: int = 0
    files: int = 0
    bad: list[str] = field(default_factory=list)
    unusual: list[str] = field(default_factory=list)


def predict_files(request: Request) -> Done:
    """Predict every file of the input; a bad one is left out and listed.

    Raises:
        UserError: if there is no such run, device or input, or the output folder is not empty. Nothing is written then.
    """
    net = open_trained(Path(str(request.run)), request.device)
    inputs, out, done = find_inputs(str(request.input), request.files), Path(str(request.out)).expanduser(), Done()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidValue(f"out={out} exists and is not empty. Choose another folder.")
    write, written = FORMATS[request.format], set[str]()
    with Progress() as progress:
        for path, key in progress.track(inputs, description="Predicting"):
            try:
                frames = open_frames(path, key, request.files)
                images = reconstruct(net, frames, request)
                stem = path.stem if key is None else f"{path.stem}_{key.strip('/').replace('/', '_')}"
                _refuse_repeated(written, stem, images, path)
                done.unusual += [f"{path}: {said}" for said in unusual(frames, net.appearance)]
            except UserError as error:
                done.bad.append(str(error))
                continue
            out.mkdir(parents=True, exist_ok=True)
            write(out, stem, images)
            done.files, done.images = done.files + 1, done.images + len(images)
    return done


def _refuse_repeated(written: set[str], stem: str, images: Images, path: Path) -> None:
    """Refuse images whose names were given to those of another file."""
    names = {name for name, _ in _named(stem, images)}
    if names & written:
        raise InvalidValue(
            f"{path}: its image {sorted(names & written)[0]} would replace that of another file. Predict it into "
            "another folder."
        )
    written |= names


def find_inputs(text: str, settings: FileSettings) -> list[tuple[Path, str | None]]:
    """Files that a name, a folder or a pattern stands for, each with the key of its array.

    Raises:
        MissingFile: if there is none.
        InvalidValue: if two files differ in their suffix alone: their images would have one name.
    """
    path, key = split_key(text)
    if path.is_dir():
        files = files_of(path, settings)
    elif path.is_file():
        return [(path, key)]
    else:
        there = next(parent for parent in path.expanduser().parents if parent.exists())  # its brackets are no pattern
        pattern = path.expanduser().relative_to(there).as_posix()
        files = sorted(Path(found) for found in glob.glob(f"{glob.escape(str(there))}/{pattern}", recursive=True))
    if not files:
        raise MissingFile(f"input={text}: no such file or folder, and no file fits it as a pattern.")
    stems = [file.stem for file in files]
    twice = [file for file in files if stems.count(file.stem) > 1]
    if twice:
        raise InvalidValue(
            f"input={text}: {twice[0]} and {twice[1]} would give images of one name. Predict them into two folders."
        )
    return [(file, None) for file in files]


def reconstruct(net: Trained, frames: Frames, request: Request) -> Images:
    """Images of the frames of one file, batch by batch.

    Raises:
        InvalidValue: if the number of frames is no multiple of ``average``, or a frame cannot be reconstructed.
    """
    if len(frames) % request.average:
        raise InvalidValue(
            f"{frames.name(0)}: {len(frames)} frames cannot be averaged by {request.average}. Set average to a divisor."
        )
    step = request.batch_size
    try:
        parts = [net(frames[start : start + step], step) for start in range(0, len(frames), step)]
    except UserError as error:
        raise type(error)(f"{frames.name(0)}: {error}") from error
    return torch.cat(parts).unflatten(0, (-1, request.average)).mean(1).numpy()


# Formats --------------------------------------------------------------------------------------------------------------


def _named(stem: str, images: Images) -> Iterator[tuple[str, Float[np.ndarray, "h w"]]]:
    """A name for each image: that of its file, and its number where this holds several."""
    digits = len(str(len(images) - 1))
    for number, image in enumerate(images):
        yield stem if len(images) == 1 else f"{stem}_{number:0{digits}d}", image


def _png(out: Path, stem: str, images: Images, levels: int = 255, kind: type = np.uint8) -> None:
    for name, image in _named(stem, images):
        with atomic(out / f"{name}.png") as part:
            Image.fromarray((image * levels).round().astype(kind)).save(part, format="png")


def _png16(out: Path, stem: str, images: Images) -> None:
    _png(out, stem, images, 65535, np.uint16)


def _tiff(out: Path, stem: str, images: Images) -> None:
    for name, image in _named(stem, images):
        with atomic(out / f"{name}.tif") as part:
            tifffile.imwrite(part, image.astype(np.float32))


def _npy(out: Path, stem: str, images: Images) -> None:
    with atomic(out / f"{stem}.npy") as part, part.open("wb") as file:
        np.save(file, images)


def _h5(out: Path, stem: str, images: Images) -> None:
    with h5py.File(out / "images.h5", "a") as file:
        file[stem] = images


FORMATS: dict[str, Callable[[Path, str, Images], None]] = {
    "png": _png,
    "png16": _png16,
    "tiff": _tiff,
    "npy": _npy,
    "h5": _h5,
}
"""Name to what writes the images of one file."""
