"""Objects and diffusers that moved, and light that turned: the network's score beside the speckle's correlation."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spt.data.simulated import Light, SimulatedSpeckles
from spt.errors import InvalidValue
from spt.evaluation.protocols.plan import Plan, Point, Subject
from spt.evaluation.protocols.simulated_pairs import both_kinds, moved_right, named, simulated_source
from spt.optics import IncoherentSetup, Medium, ThickDiffuser
from spt.optics.forward import DiffuserSetup
from spt.optics.memory_effect import face_tilt_law, half_shift, shift_law
from spt.optics.motion import moved
from spt.optics.setup import phase_factor

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Shifts of the diffuser, as shares of the one that halves the correlation."""

OBJECTS, DIFFUSERS = 4, 16
"""What the correlation of the speckle is measured with: so many diffusers for each of so many objects."""

CORRELATION, THEORY = "speckle correlation", "theory"

Ends = tuple[float, float]


def memory_effect(subject: Subject) -> list[Plan]:
    """Curves over the shift of the object, the shift of the diffuser and the tilt of the light.

    Raises:
        InvalidValue: if the data are recorded, or their optics have no memory effect.
    """
    source = simulated_source(subject, "memory_effect", "the place of object and diffuser")
    if subject.values is not None:
        raise InvalidValue("protocol=memory_effect has three axes and takes no values=.")
    if isinstance(source.setup, IncoherentSetup):
        note = "Shifted diffusers and tilted light are left out: these optics take the memory effect as infinite."
        return [replace(_object_shift(subject, source, Speckle(source), 1), notes=[note])]
    if not isinstance(source.setup, DiffuserSetup):
        raise InvalidValue(
            f"protocol=memory_effect: {type(source.setup).__name__} has no diffuser that could be moved. Choose a set "
            "with a diffuser, for example data=weak_scatter or data=thick."
        )
    setup, speckle = source.setup, Speckle(source)
    plans = [_object_shift(subject, source, speckle, setup.pitch), _diffuser_shift(subject, source, speckle, setup)]
    near, far = setup.camera_range
    if near == far:
        return [*plans, _tilt(subject, source, speckle, setup)]
    note = "Tilted light is left out: every diffuser has its own camera distance."
    return [*plans[:-1], replace(plans[-1], notes=[*plans[-1].notes, note])]


def _object_shift(subject: Subject, source: SimulatedSpeckles, speckle: "Speckle", pitch: float) -> Plan:
    """Objects moved by whole pixels, and their images with them."""
    setup, points, notes = source.setup, [], []
    alone = isinstance(setup, IncoherentSetup) or (isinstance(setup, DiffuserSetup) and setup.modulation == "amplitude")
    if not alone:
        notes.append(
            "No theory is drawn: of a phase object the light around it stays where it is. The correlation is that of "
            "the two frames as they are."
        )
    for right in _whole(setup.window // 8):
        pairs = both_kinds(subject, source, right=right)
        references = {CORRELATION: speckle.correlation(right=right, back=right if alone else 0)}
        if alone:
            law = shift_law(setup.diffuser, right * pitch) if isinstance(setup, DiffuserSetup) else 1.0
            references[THEORY] = (law, 0.0)
        label = f"{right} px"
        points.append(Point(label, named(pairs, f"object moved by {label}"), right, references))
    return Plan("object_shift", "shift of the object", points, "shift of the object [px]", (0, 0), notes)


def _diffuser_shift(subject: Subject, source: SimulatedSpeckles, speckle: "Speckle", setup: DiffuserSetup) -> Plan:
    """Diffusers moved sideways, objects and camera at rest."""
    points, half = [], half_shift(setup.diffuser)
    for shift in (float(f"{share * half:.4g}") for share in SHARES):
        light = partial(_behind_moved, setup, shift)
        references = {CORRELATION: speckle.correlation(light), THEORY: (shift_law(setup.diffuser, shift), 0.0)}
        label = f"{shift * 1e6:.3g} µm"
        pairs = both_kinds(subject, source, light=light)
        points.append(Point(label, named(pairs, f"diffuser moved by {label}"), shift * 1e6, references))
    return Plan("diffuser_shift", "shift of the diffuser", points, "shift of the diffuser [µm]", (0, 0))


def _tilt(subject: Subject, source: SimulatedSpeckles, speckle: "Speckle", setup: DiffuserSetup) -> Plan:
    """Light that turned about the first face of the diffuser, so that the speckle moves by whole pixels."""
    thickness = setup.diffuser.thickness if isinstance(setup.diffuser, ThickDiffuser) else 0.0
    pixel = setup.pitch / (thickness + setup.camera_range[0])
    steepest = setup.wavelength / (8 * setup.pitch)  # a quarter of the grid's highest frequency
    points = []
    for back in _whole(max(1, min(setup.window // 8, int(steepest / pixel)))):
        angle = back * pixel
        light = partial(_tilted, setup, angle)
        law = face_tilt_law(setup.diffuser, angle)
        references = {CORRELATION: speckle.correlation(light, back=back), THEORY: (law, 0.0)}
        label = f"{math.degrees(angle):.3g}°"
        pairs = both_kinds(subject, source, light=light)
        points.append(Point(label, named(pairs, f"light turned by {label}"), math.degrees(angle), references))
    return Plan("tilt", "tilt of the light", points, "tilt of the light [degree]", (0, 0))


def _behind_moved(
    setup: DiffuserSetup, shift: float, objects: Float[Tensor, "b n n"], medium: Medium
) -> Float[Tensor, "b n n"]:
    return setup.intensity(objects, {**medium, "screens": moved(medium["screens"], (0, shift / setup.pitch))})


def _tilted(
    setup: DiffuserSetup, angle: float, objects: Float[Tensor, "b n n"], medium: Medium
) -> Float[Tensor, "b n n"]:
    return setup.behind(setup.at_medium(objects) * ramp(setup, angle, objects), medium)


def ramp(setup: DiffuserSetup, angle: float, like: Tensor) -> Complex[Tensor, " g"]:
    """The phase of light that turned by ``angle`` [rad] towards larger x, on the setup's grid."""
    x = (torch.arange(setup.grid, dtype=like.dtype, device=like.device) - setup.grid / 2) * setup.pitch
    return phase_factor(2 * math.pi * math.sin(angle) / setup.wavelength * x)


class Speckle:
    """The speckle of some objects behind some new diffusers, to compare with what it is once something moved."""

    def __init__(self, source: SimulatedSpeckles) -> None:
        device, self.setup = source.processor, source.setup
        self.media = source.media(source.new_diffusers(range(DIFFUSERS)), device)
        objects = source.draw_objects("val_seen", range(OBJECTS)).to(device)
        self.objects = objects[:, None].expand(-1, DIFFUSERS, -1, -1).float() / 255
        self.still = [self.setup.intensity(one, self.media) for one in self.objects]

    def correlation(self, light: Light | None = None, right: int = 0, back: int = 0) -> Ends:
        """Correlation with that of nothing moved: mean and standard error over objects.

        The mean over diffusers is subtracted first: an object that shows through is no correlation of the speckle.

        Args:
            light: with what was changed; None for the setup's own.
            right: the objects are moved by so many pixels.
            back: the second speckle is moved back by so many pixels.
        """
        light, found = light or self.setup.intensity, []
        for one, first in zip(self.objects, self.still, strict=True):
            second = light(moved_right(one, right), self.media)
            found.append(ensemble_correlation(first[..., : first.shape[-1] - back], second[..., back:]))
        values = torch.stack(found).double()
        return values.mean().item(), values.std().item() / len(values) ** 0.5


def ensemble_correlation(first: Float[Tensor, "m h w"], second: Float[Tensor, "m h w"]) -> Float[Tensor, ""]:
    """Correlation of two speckles over media and pixels, each without its mean over the media."""
    first, second = (light - light.mean(0) for light in (first, second))
    return (first * second).sum() / (first.square().sum() * second.square().sum()).sqrt()


def _whole(most: int) -> Sequence[int]:
    """At most nine whole numbers from 0 to ``most``, evenly spread."""
    return torch.linspace(0, most, min(most, 8) + 1).round().int().tolist()
