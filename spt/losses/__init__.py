"""Losses: (logits, target) to a scalar. Configs reach them by name."""

from spt.losses.compound import CompoundLoss
from spt.losses.correlation import NPCCLoss, negative_pearson
from spt.losses.cross_entropy import BCELoss, CELoss, binary_cross_entropy, cross_entropy
from spt.losses.overlap import DiceLoss, soft_dice

__all__ = [
    "BCELoss",
    "CELoss",
    "CompoundLoss",
    "DiceLoss",
    "NPCCLoss",
    "binary_cross_entropy",
    "cross_entropy",
    "negative_pearson",
    "soft_dice",
]
