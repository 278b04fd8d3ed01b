"""How fast speckles are simulated: the forward model beside torchoptics, a naive loop, and a training step."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.benchmark import timer

from spt.complexity.tables import training_step
from spt.optics import Camera, Medium, ThinDiffuserSetup, select, transfer_function

Irradiance = Callable[[Float[Tensor, "b n n"], Medium], Float[Tensor, "b n n"]]
"""Objects and media to what falls on the camera."""

SAME_GRID, PADDED = "torchoptics, same grid", "torchoptics, its own padding"
RIVALS = (SAME_GRID, "the same in float32", PADDED, "naive loop")
PIXELS = 2**17
"""Pixels of a timed batch of objects: 32 at 64 px."""

LARGEST_PADDED = 128
"""Greatest window [px] at which torchoptics is timed with its own padding, to five times the side of the grid."""


@dataclass(frozen=True)
class Frames:
    """A batch of frames, from fresh screens to grey levels, by any way of propagating."""

    setup: ThinDiffuserSetup
    camera: Camera
    objects: Float[Tensor, "b n n"]
    generator: np.random.Generator

    def simulate(self, irradiance: Irradiance) -> Tensor:
        """Draw a medium for every object, propagate, expose."""
        medium = self.setup.draw(len(self.objects), self.generator)
        return self.camera.expose(irradiance(self.objects, medium), self.generator)


def frames(setup: ThinDiffuserSetup, camera: Camera, window: int, batch: int) -> Frames:
    """Random objects for a setup of another ``window`` [px] and twice that grid."""
    # The stop for steep light from the object is left out: the other programs have none.
    sized = replace(setup, window=window, grid=2 * window, object_bandwidth=1.0)
    generator = np.random.default_rng(0)
    return Frames(sized, camera, torch.from_numpy(generator.random((batch, window, window), np.float32)), generator)


def measure_simulation(
    setup: ThinDiffuserSetup, camera: Camera, size: int, threads: int, repeats: int = 7
) -> dict[str, Any]:
    """Time the forward model at one size beside its rivals, in turn, so that all see the same machine.

    A frame is a fresh screen, the light's way through free space, and the camera. The light alone is what torchoptics
    and the loop do otherwise; screens and camera are ours for all.

    Returns:
        ``size``, ``threads``, ``batch``, and ``seconds``: name to the times of a sample, round by round.
    """
    torch.set_num_threads(threads)
    batch = frames(setup, camera, size, max(1, PIXELS // size**2))
    ways: dict[str, Irradiance] = {"spt": batch.setup.intensity} | _rivals(batch.setup)
    if size > LARGEST_PADDED:
        del ways[PADDED]
    medium = batch.setup.draw(len(batch.objects), batch.generator)
    one = batch.objects[:1], select(medium, slice(1))
    calls = {f"frame, {name}": partial(batch.simulate, ways[name]) for name in ("spt", SAME_GRID)}
    for name, way in ways.items():
        calls[name] = partial(way, *(one if name == PADDED else (batch.objects, medium)))
    with torch.inference_mode():
        seconds = in_turn(calls, repeats)
    a_sample = {name: [t / (1 if name == PADDED else len(batch.objects)) for t in seconds[name]] for name in seconds}
    return {"size": size, "threads": threads, "batch": len(batch.objects), "seconds": a_sample}


def measure_share(
    setup: ThinDiffuserSetup, camera: Camera, model: nn.Module, batch: int, threads: int, repeats: int = 7
) -> dict[str, Any]:
    """Time the simulation of a batch and a training step on it, in turn; objects are taken as drawn already.

    Returns:
        ``size``, ``threads``, ``batch``, and ``seconds`` of ``simulation`` and ``training step``.
    """
    torch.set_num_threads(threads)
    simulated = frames(setup, camera, setup.window, batch)
    speckle = torch.randn(batch, 1, setup.window, setup.window)

    def simulate() -> None:
        with torch.inference_mode():
            simulated.simulate(simulated.setup.intensity)

    step = training_step(model.to(memory_format=torch.channels_last), speckle, torch.float32)
    seconds = in_turn({"simulation": simulate, "training step": step}, repeats)
    return {"size": setup.window, "threads": threads, "batch": batch, "seconds": seconds}


def in_turn(calls: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Time every call once a round [s], so that a busy moment of the machine does not fall on one of them alone."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(warm_up + repeats):
        for name, call in calls.items():
            began = timer()
            call()
            if round_ >= warm_up:
                seconds[name].append(timer() - began)
    return seconds


def _rivals(setup: ThinDiffuserSetup) -> dict[str, Irradiance]:
    ways = [
        _torchoptics(setup, torch.float64, 0),
        _torchoptics(setup, torch.float32, 0),
        _torchoptics(setup, torch.float64, None),
        _naive(setup),
    ]
    return dict(zip(RIVALS, ways, strict=True))


def _torchoptics(setup: ThinDiffuserSetup, dtype: torch.dtype, padding: int | None) -> Irradiance:
    """The same setup in torchoptics, a whole batch at once; its default precision is float64."""
    import torchoptics

    def irradiance(objects: Tensor, medium: Medium) -> Tensor:
        torchoptics.set_default_dtype(dtype)
        at = setup.object_distance, setup.object_distance + setup.camera_range[0]
        through = partial(torchoptics.Field.propagate_to_z, propagation_method="ASM", asm_pad=padding)
        field = torchoptics.Field(setup.object_field(objects), setup.wavelength, spacing=setup.pitch)
        field = through(field, at[0])
        field = field.copy(data=field.data * _phase_factor(medium["screens"][:, 0]))
        return _window(setup, through(field, at[1]).intensity()).float()

    return irradiance


def _naive(setup: ThinDiffuserSetup) -> Irradiance:
    """One sample at a time, the transfer functions built anew for each."""
    build = transfer_function.__wrapped__

    def through(field: Tensor, distance: float) -> Tensor:
        transfer = build(*field.shape[-2:], distance, setup.pitch, setup.wavelength)
        return torch.fft.ifft2(torch.fft.fft2(field) * transfer)

    def one(image: Tensor, screen: Tensor) -> Tensor:
        field = through(setup.object_field(image), setup.object_distance) * _phase_factor(screen)
        return _window(setup, through(field, setup.camera_range[0]).abs().square())

    def irradiance(objects: Tensor, medium: Medium) -> Tensor:
        return torch.cat([one(o, s) for o, s in zip(objects.split(1), medium["screens"][:, 0].split(1), strict=True)])

    return irradiance


def _phase_factor(screens: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(screens), screens)


def _window(setup: ThinDiffuserSetup, intensity: Tensor) -> Tensor:
    inside = slice(setup.guard, setup.guard + setup.window)
    return intensity[..., inside, inside]


def simulation_table(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows: frames a second, and how many times longer a frame or the light alone takes, round by round.

    Args:
        rows: of :func:`measure_simulation`.
    """
    columns = [f"frame, {SAME_GRID}", *RIVALS]
    yield ["px (grid twice that)", "threads", "batch", "frames/s", *(f"{name}: times longer" for name in columns)]
    for row in rows:
        seconds = row["seconds"]
        ours = [seconds["frame, spt"], *[seconds["spt"]] * len(RIVALS)]
        yield [
            str(row["size"]),
            str(row["threads"]),
            str(row["batch"]),
            _spread([1 / t for t in seconds["frame, spt"]], 0),
            *(_spread(_ratios(seconds.get(name, []), own), 1) for name, own in zip(columns, ours, strict=True)),
        ]


def share_table(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows: what part of simulating and training together is spent in simulation.

    Args:
        rows: of :func:`measure_share`.
    """
    yield ["px", "threads", "batch", "simulation, ms", "training step, ms", "share of simulation"]
    for row in rows:
        simulation, step = row["seconds"]["simulation"], row["seconds"]["training step"]
        shares = [100 * a / (a + b) for a, b in zip(simulation, step, strict=True)]
        yield [
            str(row["size"]),
            str(row["threads"]),
            str(row["batch"]),
            _spread([1e3 * t for t in simulation], 1),
            _spread([1e3 * t for t in step], 0),
            _spread(shares, 1) + " %",
        ]


def _ratios(first: list[float], second: list[float]) -> list[float]:
    return [a / b for a, b in zip(first, second, strict=bool(first))]


def _spread(values: list[float], digits: int) -> str:
    if not values:
        return "not measured"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"
