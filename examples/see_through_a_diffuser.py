"""Letters behind diffusers that no training saw: ``python examples/see_through_a_diffuser.py``. Nothing is trained.

Rows of ``seen.png``: speckles, what the network makes of them, the letters.
"""

import numpy as np
import torch
from hydra.utils import instantiate
from PIL import Image

import spt
from spt.data.objects import SparseObjects
from spt.metrics import pcc

net = spt.load("weak_scatter")  # comes with spt
setup, camera = (instantiate(net.config.data.source[name]) for name in ("setup", "camera"))

letters = torch.from_numpy(SparseObjects().draw("val_class", range(8), 64, seed=2026)).float() / 255
rng = np.random.default_rng(2026)
frames = camera.expose(setup.intensity(letters, setup.draw(8, rng)), rng)  # a new diffuser for every letter
images = net(frames)
score = pcc(images[:, None], letters[:, None]).mean()
print(f"PCC of letters that no training showed, behind diffusers that no training saw: {score:.3f}")

rows = [frames.float() / frames.max(), images, letters]
sheet = torch.cat([torch.cat(list(row), 1) for row in rows])
Image.fromarray((sheet * 255).byte().numpy()).resize((1024, 384), Image.Resampling.NEAREST).save("seen.png")
