"""Networks: speckle in, logits out. Configs reach them by name."""

from spt.models.deep_speckle import DeepSpeckle
from spt.models.sa_cnn import SACNN
from spt.models.spt_unet import SpTUNet
from spt.models.timm_unet import TimmUNet

__all__ = ["SACNN", "DeepSpeckle", "SpTUNet", "TimmUNet"]
