"""The objects behind frames of one's own: ``python examples/own_frames.py outputs/mine frames.npy``."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import spt

if len(sys.argv) != 3:
    sys.exit(__doc__)
run, file = sys.argv[1:]
net = spt.load(run)
print(net)

frames = np.load(file)  # (h, w) or (n, h, w), as the camera gives them
images = net(frames).reshape(-1, *net.object_size)  # from 0 to 1

out = Path(file).with_suffix("")
out.mkdir(exist_ok=True)
for number, image in enumerate(images):
    Image.fromarray((image * 255).round().astype(np.uint8)).save(out / f"{number:03d}.png")
print(f"{len(images)} images are in {out}; mean {images.mean():.3f}")
