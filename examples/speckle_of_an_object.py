"""The speckle of one object behind ground glass, as pictures: ``python examples/speckle_of_an_object.py``."""

import numpy as np
import torch
from PIL import Image

from spt.optics import Camera, ThinDiffuser, ThinDiffuserSetup
from spt.optics.statistics import contrast

diffuser = ThinDiffuser(sigma_phi=2.92, correlation_length=33.1e-6)  # rad, m
setup = ThinDiffuserSetup(
    window=64, grid=128, pitch=4e-6, wavelength=532e-9, object_distance=1e-3, camera_distance=3.3e-3, diffuser=diffuser
)  # optics that the grid cannot sample are refused here

ring = torch.zeros(1, 64, 64)
ring[:, 16:48, 16:48] = 1
ring[:, 24:40, 24:40] = 0

rng = np.random.default_rng(0)
light = setup.intensity(ring, setup.draw(1, rng))
frame = Camera(photoelectrons=200.0, bits=8).expose(light, rng)
print(f"contrast {contrast(light[0]):.2f}, brightest pixel {int(frame.max())} of 255")

Image.fromarray((ring[0] * 255).byte().numpy()).save("object.png")
Image.fromarray(frame[0].byte().numpy()).save("speckle.png")
