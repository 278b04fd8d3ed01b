"""Small simulated sets that several tests share; nothing is simulated before it is asked for."""

from dataclasses import replace

from spt.data.objects import SparseObjects
from spt.data.simulated import SimulatedSpeckles
from spt.optics import Camera, DiffuserPsf, GritSetup, IncoherentSetup, Setup, ThinDiffuser, ThinDiffuserSetup

THIN = ThinDiffuserSetup(
    window=32,
    grid=72,
    pitch=4e-6,
    wavelength=532e-9,
    object_distance=1e-3,
    camera_distance=2e-3,
    diffuser=ThinDiffuser(2.92, 33.1e-6),
)
RANGE = replace(THIN, window=16, grid=56, object_distance=0.5e-3, camera_distance=(1e-3, 1.5e-3))
GRIT = GritSetup(
    window=32,
    grid=128,
    pitch=8e-6,
    wavelength=532e-9,
    object_distance=5e-3,
    camera_distance=[6e-3, 12e-3],
    grit=120,
)
INCOHERENT = IncoherentSetup(32, DiffuserPsf(63, 256, 4e-6, 532e-9, 6.8e-3, 0.34e-3, ThinDiffuser(3.0, 34e-6)))


def simulated(setup: Setup) -> SimulatedSpeckles:
    """A set of 24 training pairs behind 2 diffusers, and 8 pairs a split."""
    return SimulatedSpeckles(
        setup,
        Camera(),
        SparseObjects(),
        train=24,
        validation=8,
        train_diffusers=2,
        unseen_diffusers=3,
        cache="nowhere",
    )


SOURCE = simulated(THIN)
