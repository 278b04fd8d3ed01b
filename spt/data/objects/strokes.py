"""Strokes without gaps."""

import math

import numpy as np
from PIL import Image, ImageDraw

from spt.data.objects.glyphs import binary


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
    return binary(image)


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
