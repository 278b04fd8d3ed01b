"""Train in Python: ``python examples/train_in_python.py outputs/mine [overrides as of train.py]``."""

import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import spt
from spt.run.folder import RunFolder
from spt.run.train import train

if len(sys.argv) < 2:
    sys.exit(__doc__)
folder, overrides = RunFolder(Path(sys.argv[1])), sys.argv[2:]
with initialize_config_dir(str(Path(spt.__file__).parents[1] / "configs"), version_base="1.3"):
    config = compose("train", ["experiment=quick", *overrides])

folder.config.parent.mkdir(parents=True)  # a folder that holds a run already is refused here
OmegaConf.save(config, folder.config)
pcc = train(config, folder)

print(f"PCC of new objects behind the trained diffuser: {pcc:.3f}")
print(spt.load(folder.path))
