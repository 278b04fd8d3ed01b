"""The files of a table, each opened once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from spt.data.files import FileSettings, open_frames
from spt.data.files.frames import Frames, Joined
from spt.data.files.names import PICTURES, TIFF
from spt.data.recorded.table import Image
from spt.errors import InvalidValue


@dataclass(frozen=True)
class Opened:
    """Opens files and remembers what it opened; of a file only the header is read.

    Args:
        speckle: how files of speckles are read.
        target: how files of targets are read.
    """

    speckle: FileSettings
    target: FileSettings
    known: dict[tuple[str, str], Frames] = field(default_factory=dict, repr=False, compare=False)

    def frames(self, side: str, image: Image, partner: int | None = None) -> Frames:
        """All images of a file.

        Args:
            side: ``speckle`` or ``target``.
            image: one of them, or all.
            partner: number of images of the file that belongs to it.
        """
        name = (side, image.file)
        if name not in self.known:
            self.known[name] = open_frames(image.path, image.key, getattr(self, side), partner)
        return self.known[name]

    def count(self, speckle: Image, target: Image) -> tuple[int, int]:
        """Number of images that are meant on both sides. Where one file is not clear, the other one decides."""
        alone = [image.row is not None or _is_single(image) for image in (speckle, target)]
        if all(alone):
            return 1, 1
        if alone[0] or alone[1]:
            side, image = ("target", target) if alone[0] else ("speckle", speckle)
            count = len(self.frames(side, image))
            return (1, count) if alone[0] else (count, 1)
        try:
            targets = len(self.frames("target", target))
        except InvalidValue:
            return (count := len(self.frames("speckle", speckle))), len(self.frames("target", target, count))
        return len(self.frames("speckle", speckle, targets)), targets

    def all_files(self, side: str, images: Sequence[Image]) -> tuple[Frames, list[int]]:
        """Every file of some images, one after the other, and the place of each image in them.

        Raises:
            InvalidValue: if an image is not in its file, or the files differ in size or type.
        """
        first: dict[str, int] = {}
        parts: list[Frames] = []
        places, total = [], 0
        for image in images:
            if image.file not in first:
                parts.append(self.frames(side, replace(image, row=None)))
                first[image.file] = total
                total += len(parts[-1])
            count = len(self.known[side, image.file])
            if not 0 <= (image.row or 0) < count:
                raise InvalidValue(f"{image.file} has no image {image.row}: it holds {count}, counted from 0.")
            places.append(first[image.file] + (image.row or 0))
        return (Joined(parts) if len(parts) > 1 else parts[0]), places


def _is_single(image: Image) -> bool:
    suffix = image.path.suffix.lower()
    return suffix in PICTURES and suffix not in TIFF
