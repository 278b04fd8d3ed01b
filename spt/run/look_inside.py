"""The verb look inside: what a trained network does with one frame, as pictures and numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spt.data.files import FileSettings, open_frames, split_key
from spt.data.pairs import Pairs, images
from spt.data.readers import evenly
from spt.errors import InvalidValue, MissingFile
from spt.evaluation.inside import figure
from spt.evaluation.inside.attention import Recorded, attention_maps
from spt.evaluation.inside.features import feature_maps
from spt.evaluation.inside.gradients import receptive_field, saliency, side
from spt.evaluation.speckle.figure import save
from spt.files import atomic, check_writable
from spt.run.building import build
from spt.run.bundled import refuse_bundled
from spt.run.continuing import anchored
from spt.run.event_file import write_event_file
from spt.run.trained import Trained, open_trained

OWN = ".look_inside"
"""How the event file for TensorBoard ends, so that an earlier one is replaced and no other."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        run: run folder of the trained network.
        image: a file of frames, ``file:key``, or ``split:number`` of the run's own data.
        frame: which frame of the file.
        pixel: y and x of the image's pixel to explain [px]; None for the brightest one.
        frames: so many frames, evenly spread over the file or the split, give the effective receptive field.
        out: folder of the pictures; None for ``inside`` in the run folder.
        device: where the network works.
        files: how files are read, where they alone do not say.
    Raises:
        InvalidValue: if a name is missing or a number is out of range.
    """

    run: str | None
    image: str | None
    frame: int
    pixel: Any
    frames: int
    out: str | None
    device: str
    files: FileSettings

    def __post_init__(self) -> None:
        for name in ("run", "image"):
            if not getattr(self, name):
                raise InvalidValue(
                    f"{name}= is missing: python scripts/look_inside.py run=<folder> image=<file or split:number>."
                )
        if self.frame < 0 or self.frames < 1:
            raise InvalidValue(f"frame must be 0 or more and frames 1 or more, got {self.frame} and {self.frames}.")
        if self.pixel is not None and not _two_whole_numbers(self.pixel):
            raise InvalidValue(f"pixel must be [y,x], two whole numbers, got {self.pixel}.")


@dataclass(frozen=True)
class Frames:
    """The frame that is explained, others of its kind, and the object where it is known."""

    name: str
    frame: Tensor
    others: Tensor
    truth: Tensor | None


@dataclass(frozen=True)
class Found:
    """What was written, and the numbers to print."""

    out: Path
    pixel: tuple[int, int]
    side: float
    input_size: tuple[int, int]
    attention: Recorded


def look_inside(request: Request) -> Found:
    """Explain one pixel of one frame's image; pictures and numbers of an earlier look are replaced.

    Raises:
        UserError: if there is no such run, frame or pixel. Nothing is written then.
    """
    net = open_trained(Path(str(request.run)), request.device)
    if not request.out:
        refuse_bundled(net.folder.path)
    check_writable(Path(request.out).expanduser() if request.out else net.folder.path / "inside")
    chosen = _frames(net, request)
    image = torch.as_tensor(net.reconstruct(chosen.frame))
    pixel = _pixel(image, request.pixel)
    ready = _prepared(net, chosen.frame[None])
    gradient = saliency(net.model, net.head, ready, pixel, net.object_size)[0].sum(0).cpu()
    centre = (net.object_size[0] // 2, net.object_size[1] // 2)
    field = receptive_field(net.model, net.head, _prepared(net, chosen.others), centre, net.object_size).cpu()
    attention = attention_maps(net.model, ready)
    seen = figure.Seen(ready[0, 0].cpu(), image, chosen.truth, pixel, gradient, field, attention.maps)
    out = Path(request.out).expanduser() if request.out else net.folder.path / "inside"
    title = f"{type(net.model).__name__}, {chosen.name}"
    _numbers(seen, out / "look_inside.npz")
    drawn = {
        "look_inside": save(figure.overview(seen, title), out / "look_inside.png"),
        "feature_maps": save(figure.stages(feature_maps(net.model, ready)), out / "feature_maps.png"),
    }
    write_event_file(out, OWN, {f"inside/{name}": path for name, path in drawn.items()}, {"inside/shown": title})
    return Found(out, pixel, side(field), (field.shape[0], field.shape[1]), attention)


def _prepared(net: Trained, frames: Tensor) -> Tensor:
    weight = next(net.model.parameters())
    return net.preparation(frames[:, None]).to(weight.device, weight.dtype)


def _frames(net: Trained, request: Request) -> Frames:
    """The frame that ``image`` names.

    Raises:
        UserError: if there is no such file, split or number, or the frames do not fit the network.
    """
    text = str(request.image)
    path, key = split_key(text)
    if not path.is_file() and (named := re.fullmatch(r"(\w+):(\d+)", text)):
        return _of_split(net, named[1], int(named[2]), request.frames)
    if not path.is_file():
        raise MissingFile(f"image={text}: no such file, and no split:number such as val_seen:0.")
    stack = open_frames(path, key, request.files)
    if request.frame >= len(stack):
        raise InvalidValue(f"frame={request.frame}: {path} holds {len(stack)} frames. Count from 0.")
    others = stack[evenly(len(stack), request.frames)]
    net.reconstruct(others)  # refuses another size and values that no camera records
    return Frames(f"{path.name}, frame {request.frame}", stack[request.frame], others, None)


def _of_split(net: Trained, name: str, number: int, frames: int) -> Frames:
    data = build(anchored(net.config, net.folder).data)
    data.prepare_data()
    data.setup()
    if name not in data.splits:
        raise InvalidValue(f"image={name}:{number}: the run's data have no split {name}, but {', '.join(data.splits)}.")
    pairs: Pairs = data.splits[name]
    if number >= len(pairs):
        raise InvalidValue(f"image={name}:{number}: the split has {len(pairs)} frames. Count from 0.")
    others = pairs.speckle[evenly(len(pairs), frames)]
    return Frames(f"{name}:{number}", pairs.speckle[number], others, images(pairs.target[[number]])[0, 0])


def _two_whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and [type(number) for number in value] == [int, int]


def _pixel(image: Tensor, wanted: Sequence[int] | None) -> tuple[int, int]:
    height, width = image.shape
    if wanted is None:
        row, column = divmod(int(image.argmax()), width)
        return row, column
    if not (0 <= wanted[0] < height and 0 <= wanted[1] < width):
        raise InvalidValue(f"pixel={list(wanted)} lies outside the image of {height}x{width} px. Count from 0.")
    return wanted[0], wanted[1]


def _numbers(seen: figure.Seen, path: Path) -> None:
    """Write what is drawn as arrays; attention under the names of the layers."""
    arrays = {"input": seen.speckle, "image": seen.image, "saliency": seen.saliency, "receptive_field": seen.field}
    arrays |= {f"attention {layer.layer}": layer.read_by(seen.place)[0].cpu() for layer in seen.attention}
    with atomic(path) as part, part.open("wb") as file:
        np.savez(file, **{name: value.numpy() for name, value in arrays.items()})  # type: ignore[arg-type]
