"""How fast speckles are simulated on the CPU: the forward model against torchoptics, a plain loop, a training step.

python scripts/benchmarks/optics.py --sizes 64 128 --repeats 3
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from machine import built, each, hardware, parser, show
from networks import training_step
from rounds import in_turn, spread
from torch import Tensor, nn

from spt.optics import Camera, Medium, ThinDiffuserSetup, select, transfer_function

Irradiance = Callable[[Float[Tensor, "b n n"], Medium], Float[Tensor, "b n n"]]
"""Objects and media to what falls on the camera."""

SAME_GRID, PADDED = "torchoptics, same grid", "torchoptics, its own padding"
OTHERS = (SAME_GRID, "the same in float32", PADDED, "plain loop")
PIXELS = 2**17
"""Pixels of a timed batch of objects: 32 at 64 px."""

LARGEST_PADDED = 128
"""Greatest window [px] at which torchoptics is timed with its own padding, to five times the side of the grid."""


def main() -> None:
    """Measure every size with one thread and with all, each in a process of its own."""
    asked = parser(__doc__, sizes=[64, 128, 256, 512], repeats=7).parse_args()
    settings = [{"threads": threads, "repeats": asked.repeats} for threads in sorted({1, os.cpu_count() or 1})]
    cases = [{"size": size, **setting} for size in asked.sizes for setting in settings]
    show(simulation_table(each(_simulation, cases)))
    note = f"{hardware()}, default set's optics, medians (least..greatest) of {asked.repeats} rounds."
    show(share_table(each(_share, settings)), note)


def _simulation(case: dict[str, Any]) -> dict[str, Any]:
    source = built(part="data.source")
    return measure_simulation(source.setup, source.camera, **case)


def _share(case: dict[str, Any]) -> dict[str, Any]:
    source = built(part="data.source")
    return measure_share(source.setup, source.camera, built("model=spt_unet", part="model"), batch=16, **case)


@dataclass(frozen=True)
class Frames:
    """A batch of frames, from fresh screens to grey levels, by any way of propagating."""

    setup: ThinDiffuserSetup
    camera: Camera
    objects: Float[Tensor, "b n n"]
    rng: np.random.Generator

    def simulate(self, irradiance: Irradiance) -> Tensor:
        """Draw a medium for every object, propagate, expose."""
        medium = self.setup.draw(len(self.objects), self.rng)
        return self.camera.expose(irradiance(self.objects, medium), self.rng)


def frames(setup: ThinDiffuserSetup, camera: Camera, window: int, batch: int) -> Frames:
    """Random objects for a setup of another ``window`` [px] and twice that grid."""
    rng = np.random.default_rng(0)
    # The other programs do not stop the object's steep light.
    sized = replace(setup, window=window, grid=2 * window, object_bandwidth=1.0)
    return Frames(sized, camera, torch.from_numpy(rng.random((batch, window, window), np.float32)), rng)


def measure_simulation(
    setup: ThinDiffuserSetup, camera: Camera, size: int, threads: int, repeats: int = 7
) -> dict[str, Any]:
    """Time the forward model at one size and the other ways, in turn.

    A frame is a fresh screen, the light's way through free space, and the camera. The light alone is what torchoptics
    and the loop do otherwise; screens and camera are ours for all.

    Returns:
        ``size``, ``threads``, ``batch``, and ``seconds``: name to the times of a sample, round by round.
    """
    torch.set_num_threads(threads)
    batch = frames(setup, camera, size, max(1, PIXELS // size**2))
    ways: dict[str, Irradiance] = {"spt": batch.setup.intensity} | other_ways(batch.setup)
    if size > LARGEST_PADDED:
        del ways[PADDED]
    medium = batch.setup.draw(len(batch.objects), batch.rng)
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


def other_ways(setup: ThinDiffuserSetup) -> dict[str, Irradiance]:
    """Return torchoptics in three settings and the plain loop, in the order of :data:`OTHERS`."""
    ways = [
        _torchoptics(setup, torch.float64, 0),
        _torchoptics(setup, torch.float32, 0),
        _torchoptics(setup, torch.float64, None),
        _loop(setup),
    ]
    return dict(zip(OTHERS, ways, strict=True))


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


def _loop(setup: ThinDiffuserSetup) -> Irradiance:
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
    columns = [f"frame, {SAME_GRID}", *OTHERS]
    yield ["px (grid twice that)", "threads", "batch", "frames/s", *(f"{name}: times longer" for name in columns)]
    for row in rows:
        seconds = row["seconds"]
        ours = [seconds["frame, spt"], *[seconds["spt"]] * len(OTHERS)]
        yield [
            str(row["size"]),
            str(row["threads"]),
            str(row["batch"]),
            spread([1 / t for t in seconds["frame, spt"]], 0),
            *(_longer(seconds.get(name), own) for name, own in zip(columns, ours, strict=True)),
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
            spread([1e3 * t for t in simulation], 1),
            spread([1e3 * t for t in step], 0),
            spread(shares, 1) + " %",
        ]


def _longer(theirs: list[float] | None, ours: list[float]) -> str:
    if theirs is None:
        return "not measured"
    return spread([a / b for a, b in zip(theirs, ours, strict=True)], 1)


if __name__ == "__main__":
    main()
