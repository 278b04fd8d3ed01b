"""Sparse objects: glyphs and strokes, white on black."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL

from spt.data.objects.glyphs import GLYPHS, draw_glyph
from spt.data.objects.source import DrawnObjects
from spt.data.objects.strokes import draw_strokes
from spt.errors import InvalidValue


def draw_object(size: int, glyphs: str, glyph_share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a glyph with probability ``glyph_share``, else strokes: (size, size) uint8 of 0 and 255."""
    if rng.random() < glyph_share:
        return draw_glyph(glyphs[rng.integers(len(glyphs))], size, rng)
    return draw_strokes(size, rng)


@dataclass(frozen=True)
class SparseObjects(DrawnObjects):
    """Glyphs and strokes; ``val_class`` shows glyphs that no other split shows.

    Args:
        held_out: characters kept for ``val_class``.
        glyph_share: share of glyphs; the others are strokes.
    Raises:
        InvalidValue: if a setting is out of range.
    """

    held_out: str = "47AaGgKkRr"
    glyph_share: float = 0.5

    def __post_init__(self) -> None:
        if set(self.held_out) - set(GLYPHS) or not self.held_out or set(GLYPHS) == set(self.held_out):
            raise InvalidValue(
                f"data.source.objects.held_out = {self.held_out!r} must name some, not all, of {GLYPHS}."
            )
        if not 0 < self.glyph_share <= 1:
            raise InvalidValue(f"data.source.objects.glyph_share must lie in (0, 1], got {self.glyph_share}.")

    def describe(self) -> dict[str, Any]:
        """Settings, and the version of Pillow: it brings the font."""
        return {"held_out": self.held_out, "glyph_share": self.glyph_share, "pillow": PIL.__version__}

    def draw_one(self, split: str, size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw one object from its own generator."""
        if split == "val_class":
            return draw_object(size, self.held_out, 1.0, rng)
        return draw_object(size, "".join(c for c in GLYPHS if c not in self.held_out), self.glyph_share, rng)
