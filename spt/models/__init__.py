"""Networks: speckle in, logits out. Configs reach them by name."""

from spt.models.spt_unet import SpTUNet

__all__ = ["SpTUNet"]
