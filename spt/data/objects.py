"""Procedural binary objects: glyphs of the bundled font and strokes without gaps."""

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
    return _binary(image)


def draw_strokes(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one to three curves (Bezier, ellipse or polygon) as unbroken lines.

    Discs are stamped at most half a pixel apart along the curve: line segments would leave gaps at the joints.

    Args:
        size: side of the image [px].
        rng: source of the random numbers.
    Returns:
        (size, size) uint8 array of 0 and 255.
    """
    image = Image.new("L", (size, size))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 4)):
        curve = (_bezier, _ellipse, _polygon)[rng.integers(3)]
        radius = size * rng.uniform(0.02, 0.04)
        for x, y in _evenly_spaced(curve(rng) * size, 0.5):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return _binary(image)


def _bezier(rng: np.random.Generator) -> np.ndarray:
    p = rng.uniform(0.1, 0.9, (4, 2))
    t = np.linspace(0, 1, 200)[:, None]
    return (1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3]


def _ellipse(rng: np.random.Generator) -> np.ndarray:
    centre, radii, turn = rng.uniform(0.35, 0.65, 2), rng.uniform(0.08, 0.28, 2), rng.uniform(0, math.pi)
    t = np.linspace(0, 2 * math.pi, 200)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    return centre + np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1)


def _polygon(rng: np.random.Generator) -> np.ndarray:
    corners = rng.uniform(0.15, 0.85, (rng.integers(3, 5), 2))
    return np.concatenate([corners, corners[:1]])


def _evenly_spaced(points: np.ndarray, spacing: float) -> np.ndarray:
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, length[-1], max(2, math.ceil(length[-1] / spacing) + 1))
    return np.stack([np.interp(at, length, points[:, k]) for k in (0, 1)], axis=1)


def _binary(image: Image.Image) -> np.ndarray:
    return np.where(np.asarray(image) > 127, np.uint8(255), np.uint8(0))


def draw_object(size: int, glyphs: str, glyph_share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a glyph with probability ``glyph_share``, else strokes: (size, size) uint8 of 0 and 255."""
    if rng.random() < glyph_share:
        return draw_glyph(glyphs[rng.integers(len(glyphs))], size, rng)
    return draw_strokes(size, rng)
