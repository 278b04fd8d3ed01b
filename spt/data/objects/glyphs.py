"""Glyphs of the bundled font."""

import math
import string
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GLYPHS = string.digits + string.ascii_letters


@lru_cache(maxsize=256)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError(
            "Pillow was built without FreeType: glyph objects need it. Install a binary wheel of Pillow."
        )
    return font


def draw_glyph(character: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one character with random size, rotation, shear and position.

    Args:
        character: what to draw.
        size: side of the image [px].
        rng: source of the random numbers.
    Returns:
        (size, size) uint8 array of 0 and 255.
    Source: the font bundled with Pillow (Aileron Regular). Differs: nothing.
    """
    image = Image.new("L", (size, size))
    font = _font(round(size * rng.uniform(0.55, 0.85)))
    # Centre the ink, not the line of text: descenders would otherwise leave the image.
    left, top, right, bottom = font.getbbox(character, anchor="mm")
    anchor = (size - left - right) / 2, (size - top - bottom) / 2
    stroke = round(size / 64 * rng.uniform(0, 1.5))
    ImageDraw.Draw(image).text(anchor, character, font=font, fill=255, anchor="mm", stroke_width=stroke)
    angle, shear = math.radians(rng.uniform(-20, 20)), rng.uniform(-0.2, 0.2)
    shift = rng.uniform(-0.1, 0.1, 2) * size
    cos, sin = math.cos(angle), math.sin(angle)
    a, b, d, e = cos + shear * sin, shear * cos - sin, sin, cos
    centre = (size - 1) / 2
    x0, y0 = centre + shift[0], centre + shift[1]
    matrix = (a, b, centre - a * x0 - b * y0, d, e, centre - d * x0 - e * y0)
    image = image.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return binary(image)


def binary(image: Image.Image) -> np.ndarray:
    """Threshold at half: (size, size) uint8 of 0 and 255."""
    return np.where(np.asarray(image) > 127, np.uint8(255), np.uint8(0))
