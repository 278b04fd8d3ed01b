"""Train with a loss of one's own: ``python examples/own_loss.py outputs/mine [overrides as of train.py]``.

To load the run later, say that you trust this file: ``SPT_TRUST=own_loss``.
"""

import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

import spt
from spt.run.folder import RunFolder
from spt.run.train import train


class EdgeLoss(nn.Module):
    """Cross-entropy, and the difference of the edges of image and object."""

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits and target of one shape (b, 1, h, w) to one number."""
        image = logits.sigmoid()
        edges = sum(l1_loss(image.diff(dim=axis), target.diff(dim=axis)) for axis in (-1, -2))
        return binary_cross_entropy_with_logits(logits, target) + self.weight * edges


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with initialize_config_dir(str(Path(spt.__file__).parents[1] / "configs"), version_base="1.3"):
        config = compose("train", ["experiment=quick", *sys.argv[2:]])
    config.loss = {"_target_": "own_loss.EdgeLoss", "weight": 0.5}
    folder = RunFolder(Path(sys.argv[1]))
    folder.config.parent.mkdir(parents=True)
    OmegaConf.save(config, folder.config)
    print(f"PCC of new objects: {train(config, folder):.3f}")
