"""Dense grey objects: procedural faces, shaded by a light from anywhere in front."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8

from spt.data.objects.source import DrawnObjects
from spt.errors import InvalidValue

Map = Float[np.ndarray, "h w"]
FEATURES = ("glasses", "beard")


@dataclass(frozen=True)
class FaceObjects(DrawnObjects):
    """Faces of varied build, pose, expression and light; ``val_class`` shows a feature that no other split shows.

    Args:
        held_out: the feature kept for ``val_class``: ``glasses`` or ``beard``. Of the other, a third of all faces.
    Raises:
        InvalidValue: if the feature is unknown.
    """

    held_out: Literal["glasses", "beard"] = "glasses"

    def __post_init__(self) -> None:
        if self.held_out not in FEATURES:
            raise InvalidValue(f"data.source.objects.held_out must be one of {FEATURES}, got {self.held_out!r}.")

    def describe(self) -> dict[str, Any]:
        """The held-out feature."""
        return {"held_out": self.held_out}

    def draw_one(self, split: str, size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "h w"]:
        """Draw one object from its own generator."""
        wears = {name: bool(rng.random() < 1 / 3) for name in FEATURES} | {self.held_out: split == "val_class"}
        return draw_face(size, rng, **wears)


def draw_face(size: int, rng: np.random.Generator, glasses: bool = False, beard: bool = False) -> np.ndarray:
    """Draw one face: an ellipsoid with relief, turned, painted and lit by Lambert's law.

    Args:
        size: side of the image [px].
        rng: source of the random numbers.
        glasses: whether it wears any.
        beard: whether it has one.
    Returns:
        (size, size) uint8 array of grey levels.
    """
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    x, y = np.meshgrid(axis - rng.uniform(-0.08, 0.08), axis - rng.uniform(-0.12, 0.04))
    roll = math.radians(rng.uniform(-15, 15))
    width, height = rng.uniform(0.46, 0.56), rng.uniform(0.64, 0.74)
    x, y = (math.cos(roll) * x + math.sin(roll) * y) / width, (math.cos(roll) * y - math.sin(roll) * x) / height
    # Narrower towards the chin, as a face is.
    x = x * (1 + rng.uniform(0.05, 0.25) * np.clip(y, 0, 1.2) ** 2)
    edge = 2 / (size * width)  # one pixel in these coordinates: the width of every soft edge
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    u, v, facing = _turn(x, y, z, math.radians(rng.uniform(-30, 30)), math.radians(rng.uniform(-12, 12)))
    eyes = rng.uniform(0.34, 0.42), rng.uniform(-0.16, -0.06)
    mouth = rng.uniform(0.44, 0.54), rng.uniform(0.2, 0.34), rng.uniform(-0.6, 0.9)
    skin, hair = rng.uniform(0.45, 0.95), rng.uniform(0.03, 0.4)
    rims = rng.uniform(0.2, 0.26)
    paint = _painted(u, v, edge, eyes, mouth, skin, hair, rng)
    if beard:
        paint = _over(paint, hair, _beard(u, v, mouth))
        paint = _over(paint, 0.6 * skin, _lips(u, v, edge, mouth))
    if glasses:
        paint = _over(paint, 0.04, _frames(u, v, edge, eyes, rims))
    hairline = -rng.uniform(0.45, 0.7) + rng.uniform(-0.2, 0.3) * u + rng.uniform(-0.3, 0.5) * u**2
    paint = _over(paint, hair, np.maximum(_soft(hairline - v, edge), _soft(0.05 - facing, 0.1)))
    relief = _relief(u, v, eyes, mouth, rng.uniform(0.7, 1.3)) * (facing > 0)
    light = _lambert(x, y, z, relief, edge, rng)
    image = _behind(x, y, edge, skin, hair, rng)
    image = _over(image, paint * light, _soft(1 - np.hypot(x, y), edge))
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def _turn(x: Map, y: Map, z: Map, yaw: float, pitch: float) -> tuple[Map, Map, Map]:
    """Coordinates on the face of the visible surface: right, down, outward."""
    u, depth = x * math.cos(yaw) - z * math.sin(yaw), x * math.sin(yaw) + z * math.cos(yaw)
    return u, y * math.cos(pitch) - depth * math.sin(pitch), y * math.sin(pitch) + depth * math.cos(pitch)


def _soft(level: Map, edge: float) -> Map:
    """1 where ``level`` is positive, 0 where it is negative, with an edge of this width."""
    return np.clip(level / edge + 0.5, 0, 1)


def _over(below: Map, above: Map | float, mask: Map) -> Map:
    return below + mask * (above - below)


def _spot(u: Map, v: Map, at: tuple[float, float], width: float, height: float) -> Map:
    return np.exp(-(((u - at[0]) / width) ** 2) - ((v - at[1]) / height) ** 2)


def _disc(u: Map, v: Map, edge: float, at: tuple[float, float], width: float, height: float) -> Map:
    return _soft(1 - np.hypot((u - at[0]) / width, (v - at[1]) / height), edge / min(width, height))


def _relief(u: Map, v: Map, eyes: tuple[float, float], mouth: tuple[float, float, float], strength: float) -> Map:
    apart, level = eyes
    bumps = 0.16 * _spot(u, v, (0, 0.14), 0.11, 0.2) + 0.12 * _spot(u, v, (0, 0.24), 0.15, 0.08)
    bumps = bumps + 0.06 * _spot(u, v, (0, mouth[0]), mouth[1], 0.1) + 0.06 * _spot(u, v, (0, 0.8), 0.2, 0.12)
    for side in (-apart, apart):
        bumps = bumps - 0.09 * _spot(u, v, (side, level), 0.17, 0.12)
        bumps = bumps + 0.05 * _spot(u, v, (side, level - 0.2), 0.22, 0.07)
        bumps = bumps + 0.07 * _spot(u, v, (1.2 * side, level + 0.32), 0.18, 0.18)
    return strength * bumps


def _painted(
    u: Map,
    v: Map,
    edge: float,
    eyes: tuple[float, float],
    mouth: tuple[float, float, float],
    skin: float,
    hair: float,
    rng: np.random.Generator,
) -> Map:
    apart, level = eyes
    look, opening, brow, bow = rng.uniform(-0.04, 0.04), *rng.uniform((0.045, 0.02, 0), (0.085, 0.05, 1.2))
    paint = np.full_like(u, skin)
    paint = _over(paint, 0.65 * skin, _lips(u, v, edge, mouth))
    for side in (-apart, apart):
        white = _disc(u, v, edge, (side, level), 0.13, opening)
        paint = _over(paint, 0.35 * skin, _disc(u, v, edge, (side, level), 0.15, opening + 0.025))
        paint = _over(paint, 0.95, white)
        paint = _over(paint, 0.08, white * _disc(u, v, edge, (side + look, level), 0.065, 0.065))
        arch = v - (level - 0.19) - bow * (u - side) ** 2
        paint = _over(paint, 0.7 * hair, _soft(brow - np.abs(arch), edge) * _soft(0.19 - np.abs(u - side), edge))
        paint = _over(paint, 0.3 * skin, 0.8 * _disc(u, v, edge, (0.16 * side, 0.29), 0.035, 0.022))
    return paint


def _lips(u: Map, v: Map, edge: float, mouth: tuple[float, float, float]) -> Map:
    at, half, smile = mouth
    taper = np.sqrt(np.clip(1 - (u / half) ** 2, 0, None))
    return _soft(0.065 * taper - np.abs(v - at + smile * u**2), edge) * (np.abs(u) < half)


def _beard(u: Map, v: Map, mouth: tuple[float, float, float]) -> Map:
    chin = _soft(v - mouth[0] - 0.2 + 0.75 * np.abs(u) ** 1.5, 0.12)
    moustache = _soft(0.05 - np.abs(v - mouth[0] + 0.09 - 0.5 * u**2), 0.06) * _soft(1.2 * mouth[1] - np.abs(u), 0.08)
    return np.maximum(chin, moustache)


def _frames(u: Map, v: Map, edge: float, eyes: tuple[float, float], radius: float) -> Map:
    apart, level = eyes
    rings = [np.abs(np.hypot(u - side, v - level) - radius) for side in (-apart, apart)]
    bridge = np.where(np.abs(u) < apart - radius, np.abs(v - level), 1)
    temples = np.where(np.abs(u) > apart + radius, np.abs(v - level), 1)
    return _soft(0.028 - np.minimum.reduce([*rings, bridge, temples]), edge)


def _lambert(x: Map, y: Map, z: Map, relief: Map, edge: float, rng: np.random.Generator) -> Map:
    """Brightness under a distant lamp and a little light from everywhere."""
    down, right = np.gradient(relief, edge)
    normal = np.stack([x - right, y - down, z + 0.15])
    lamp = np.array([rng.uniform(-0.9, 0.9), rng.uniform(-0.8, 0.2), 1.0])
    ambient = rng.uniform(0.15, 0.4)
    cosine = np.tensordot(lamp / np.linalg.norm(lamp), normal / np.linalg.norm(normal, axis=0), 1)
    return ambient + (1 - ambient) * np.clip(cosine, 0, None)


def _behind(x: Map, y: Map, edge: float, skin: float, hair: float, rng: np.random.Generator) -> Map:
    """Background, shoulders, neck and the hair around the head."""
    wall, slope = rng.uniform(0.1, 0.6), rng.uniform(-0.1, 0.1, 2)
    image = np.clip(wall + slope[0] * x + slope[1] * y, 0, 1)
    image = _over(image, rng.uniform(0.05, 0.6), _disc(x, y, edge, (0, 2.1), 1.75, 0.95))
    image = _over(image, 0.6 * skin, _soft(0.48 - np.abs(x), edge) * _soft(y - 0.4, edge) * _soft(1.3 - y, edge))
    long = rng.uniform(0.7, 1.5)
    return _over(image, hair, _disc(x, y, edge, (0, long - 1.2), rng.uniform(1.04, 1.16), long))
