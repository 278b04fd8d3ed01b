"""Curves over one quantity of a simulation: camera distance, roughness of the diffuser, light."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from spt.data.simulated import SimulatedSpeckles
from spt.errors import InvalidValue
from spt.evaluation.protocols.plan import Plan, Point, Subject
from spt.evaluation.protocols.simulated_pairs import both_kinds, named, simulated_source
from spt.evaluation.protocols.splits import by_distance
from spt.optics import GritSetup, IncoherentSetup, Setup
from spt.optics.media.thin import EFFECTIVE_GRITS

DISTANCES = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
"""Camera distances, as shares of the trained one; of a trained range from 0.5 of its beginning to 1.25 of its end."""

ROUGHNESSES = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5)
"""RMS phases, as shares of the trained one."""

LIGHT = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
"""Photoelectrons a pixel, as shares of the trained number."""

Change = Callable[[SimulatedSpeckles, float], SimulatedSpeckles]


def unseen_distance(subject: Subject) -> list[Plan]:
    """The camera nearer and farther; recorded pairs at each of their distances.

    Raises:
        InvalidValue: if the data have no distance.
    """
    if not isinstance(subject.source, SimulatedSpeckles):
        return by_distance(subject)
    setup: Any = subject.source.setup
    optics = setup.psf if isinstance(setup, IncoherentSetup) else setup
    trained = _range(_known(optics, "camera_distance", "unseen_distance", "a camera distance"))
    values = subject.values or _spread(trained, DISTANCES)

    def change(source: SimulatedSpeckles, value: float) -> SimulatedSpeckles:
        return replace(source, setup=_changed(source.setup, camera_distance=value))

    title = "camera distance"
    return [_curve(subject, "unseen_distance", title, "camera distance [mm]", 1e3, trained, values, change)]


def unseen_grit(subject: Subject) -> list[Plan]:
    """Other grits, where the optics have a grit; else a smoother and a rougher diffuser.

    The random numbers of a diffuser stay: "seen" is the diffuser of the training with another roughness.

    Raises:
        InvalidValue: if the data are recorded, or have no diffuser whose roughness can be changed.
    """
    source = simulated_source(subject, "unseen_grit", "the diffuser")
    if isinstance(source.setup, GritSetup):
        trained, values = _range(source.setup.grit), subject.values or sorted(EFFECTIVE_GRITS)

        def change_grit(source: SimulatedSpeckles, value: float) -> SimulatedSpeckles:
            return replace(source, setup=_changed(source.setup, grit=int(value)))

        return [_curve(subject, "unseen_grit", "grit of the diffuser", "grit", 1, trained, values, change_grit)]
    setup: Any = source.setup
    optics = setup.psf if isinstance(setup, IncoherentSetup) else setup
    diffuser = _known(optics, "diffuser", "unseen_grit", "a diffuser with a roughness")
    trained = _range(diffuser.sigma_phi)

    def change_phase(source: SimulatedSpeckles, value: float) -> SimulatedSpeckles:
        return replace(source, setup=_changed(source.setup, diffuser=replace(diffuser, sigma_phi=value)))

    values = subject.values or _spread(trained, ROUGHNESSES)
    axis = "RMS phase of the diffuser [rad]"
    return [_curve(subject, "unseen_grit", "roughness of the diffuser", axis, 1, trained, values, change_phase)]


def noise(subject: Subject) -> list[Plan]:
    """Less and more light, with the camera's noise.

    Raises:
        InvalidValue: if the data are recorded.
    """
    source = simulated_source(subject, "noise", "the number of photoelectrons")
    trained = _range(source.camera.photoelectrons)

    def change(source: SimulatedSpeckles, value: float) -> SimulatedSpeckles:
        return replace(source, camera=replace(source.camera, photoelectrons=value))

    values = subject.values or _spread(trained, LIGHT)
    return [_curve(subject, "noise", "light", "photoelectrons a pixel", 1, trained, values, change)]


def _curve(
    subject: Subject,
    name: str,
    title: str,
    axis: str,
    scale: float,
    trained: tuple[float, float],
    values: Sequence[float],
    change: Change,
) -> Plan:
    """Simulate a point for each value; what cannot be simulated is said and left out.

    Raises:
        InvalidValue: if nothing is left.
    """
    points, notes = [], subject.notes()
    assert isinstance(subject.source, SimulatedSpeckles)
    unit = f" {axis.partition('[')[2].rstrip(']')}" if "[" in axis else ""
    for value in values:
        label = f"{value * scale:.4g}{unit}"
        try:
            pairs = both_kinds(subject, change(subject.source, value))
        except InvalidValue as error:
            notes.append(f"{label} is left out: {error}")
            continue
        points.append(Point(label, named(pairs, f"{title} {label}"), value * scale))
    if not points:
        raise InvalidValue(f"protocol={name}: no value can be simulated. {' '.join(notes)}")
    low, high = trained
    return Plan(name, title, points, axis, (low * scale, high * scale), notes)


def _known(optics: Any, name: str, protocol: str, what: str) -> Any:
    """A setting of the optics.

    Raises:
        InvalidValue: if they have none of this name.
    """
    if hasattr(optics, name):
        return getattr(optics, name)
    raise InvalidValue(
        f"protocol={protocol} changes {what}, and the optics of these data, {type(optics).__name__}, have none."
    )


def _changed(setup: Setup, **values: Any) -> Setup:
    """The same optics with other values; of incoherent optics those of the point-spread function."""
    if isinstance(setup, IncoherentSetup):
        return replace(setup, psf=replace(setup.psf, **values))  # type: ignore[type-var]
    return replace(setup, **values)  # type: ignore[type-var]


def _range(value: float | Sequence[float]) -> tuple[float, float]:
    low, high = value if isinstance(value, Sequence) else (value, value)
    return float(low), float(high)


def _spread(trained: tuple[float, float], shares: Sequence[float]) -> list[float]:
    """Shares of the trained value; for a trained range eight values from below it to above it."""
    low, high = trained
    if low == high:
        return [float(f"{share * low:.6g}") for share in shares]
    first, last = 0.5 * low, 1.25 * high
    return [float(f"{first + k / 7 * (last - first):.6g}") for k in range(8)]
