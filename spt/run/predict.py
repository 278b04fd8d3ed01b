"""The verb predict: from files of new speckles to files of images, with a trained network."""

import glob
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from rich import get_console
from rich.progress import Progress
from torch import Tensor

from spt.data.appearance import Ranges, appearance, outside, sentence
from spt.data.files import FileSettings, Frames, files_of, open_frames, split_key
from spt.errors import InvalidValue, MissingFile, UserError
from spt.evaluation.tiles import find_tiling, tiled
from spt.run.command import Interrupted
from spt.run.image_files import FORMATS, Images, named, remove_leftovers
from spt.run.trained import Trained, open_trained

TILES = ("none", "auto", "anyway")
""":attr:`Request.tile`."""


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
        tile: ``auto`` reconstructs frames larger than those of the training in tiles that overlap, where network and
            data are the same everywhere; ``anyway`` also where the data do not say so.
        refine: whether the images are refined through the twin that made the training pairs. The frames of a file are
            taken to be behind one diffuser.
        orientations: the image is the mean over 1, 4 or 8 flipped and turned copies of the frame.
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
    tile: str = "none"
    refine: bool = False
    orientations: int = 1
    files: FileSettings = field(default_factory=FileSettings)

    def __post_init__(self) -> None:
        for name in ("run", "input", "out"):
            if not getattr(self, name):
                raise InvalidValue(
                    f"{name}= is missing: python scripts/predict.py run=<folder> input=<frames> out=<folder>."
                )
        if self.format not in FORMATS:
            raise InvalidValue(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}.")
        if self.tile not in TILES:
            raise InvalidValue(f"tile must be one of {', '.join(TILES)}, got {self.tile!r}.")
        if self.refine and self.tile != "none":
            raise InvalidValue("refine=true takes whole frames. Set tile=none.")
        if self.refine and self.orientations != 1:
            raise InvalidValue("refine=true takes frames as they are. Set orientations=1.")
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
        strange: name of a number that is far outside the range of the training frames to what was found.
    """

    images: int = 0
    files: int = 0
    bad: list[str] = field(default_factory=list)
    strange: dict[str, "Strange"] = field(default_factory=dict)

    def measure(self, path: Path, found: Ranges, known: Ranges) -> None:
        """Take note of frames that do not look like those of the training."""
        for name in outside(found, known):
            one = self.strange.setdefault(name, Strange(path, {name: found[name]}, known))
            one.files += 1
            both = one.found[name], found[name]
            one.found[name] = [min(low for low, _ in both), max(high for _, high in both)]

    @property
    def unusual(self) -> list[str]:
        """A sentence for each number that is far outside, with the files it is of."""
        return [
            f"{one.first}{f' and {one.files - 1} more files' if one.files > 1 else ''}: "
            f"{sentence(name, one.found, one.known)}"
            for name, one in self.strange.items()
        ]


@dataclass
class Strange:
    """Files in which a number is far outside the range of the training frames.

    Args:
        first: of them.
        found: range of the number over all of them.
        known: ranges of the training frames.
        files: how many there are.
    """

    first: Path
    found: Ranges
    known: Ranges
    files: int = 0


def predict_files(request: Request) -> Done:
    """Predict every file of the input; a bad one is left out and listed.

    Raises:
        UserError: if there is no such run, device or input, or the output folder is not empty. Nothing is written then.
    """
    net = open_trained(Path(str(request.run)), request.device)
    net.oriented(net.predictor(), request.orientations)
    if request.refine:
        net.refined(net.predictor(request.batch_size))
    inputs, out, done = find_inputs(str(request.input), request.files), Path(str(request.out)).expanduser(), Done()
    if out.is_dir():
        remove_leftovers(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidValue(f"out={out} exists and is not empty. Choose another folder.")
    written = set[str]()
    shown = Progress(disable=not get_console().is_terminal)
    try:
        with shown as progress, FORMATS[request.format](out) as write:
            for path, key in progress.track(inputs, description="Predicting"):
                try:
                    frames = open_frames(path, key, request.files)
                    images = reconstruct(net, frames, request)
                    stem = path.stem if key is None else f"{path.stem}_{key.strip('/').replace('/', '_')}"
                    _refuse_repeated(written, stem, images, path)
                    done.measure(path, appearance(frames), net.appearance)
                except UserError as error:
                    done.bad.append(str(error))
                    continue
                write(stem, images)
                done.files, done.images = done.files + 1, done.images + len(images)
    except KeyboardInterrupt as stop:
        count = 0 if request.format == "h5" else done.images
        raise Interrupted(f"Interrupted; {count} images are in {out}.") from stop
    return done


def _refuse_repeated(written: set[str], stem: str, images: Images, path: Path) -> None:
    """Refuse images whose names were given to those of another file."""
    names = {name for name, _ in named(stem, images)}
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
            f"{frames.name(0)}: average={request.average} counts frames of one file, and this one has {len(frames)}. "
            "Put the exposures of an object into one file, or set average to a divisor."
        )
    step = len(frames) if request.refine else request.batch_size
    try:
        image = _image_of(net, frames, request)
        parts = [image(frames[start : start + step]) for start in range(0, len(frames), step)]
    except UserError as error:
        raise type(error)(f"{frames.name(0)}: {error}") from error
    return torch.cat(parts).unflatten(0, (-1, request.average)).mean(1).numpy()


def _image_of(net: Trained, frames: Frames, request: Request) -> Callable[[Tensor], Tensor]:
    """What reconstructs the frames of one file: the network, or the network tile by tile.

    Raises:
        InvalidValue: if tiles are asked for and network or data are not the same everywhere in the frame.
    """
    network = partial(net.reconstruct, batch_size=request.batch_size, orientations=request.orientations)
    if request.refine:
        network = partial(net.refine, batch_size=request.batch_size)
    if request.tile == "none" or frames.shape[1:] == net.frame_size:
        return network
    if not net.frame_size == net.object_size == net.preparation.input_size(net.frame_size, net.object_size):
        raise InvalidValue("tiles need images with the size of the frames, and this run cuts or scales one of them.")
    if request.tile == "auto" and not net.new_diffusers:
        raise InvalidValue(
            "the run's data do not say that every pair had a diffuser of its own (train_diffusers=null). Behind the "
            "diffusers of the training, a network has learned what each place of the frame shows, and a larger frame "
            "has other places. If your medium acts alike everywhere, set tile=anyway."
        )
    tiling = find_tiling(network, frames[0], net.frame_size)
    return partial(tiled, network, tiling=tiling, batch_size=request.batch_size)
