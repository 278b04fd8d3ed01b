"""Losses: (logits, target) to a scalar. Configs reach them by name."""

from spt.losses.compound import CompoundLoss
from spt.losses.correlation import NPCCLoss, negative_pearson
from spt.losses.cross_entropy import (
    BCELoss,
    CELoss,
    WeightedBCELoss,
    binary_cross_entropy,
    cross_entropy,
    weighted_binary_cross_entropy,
)
from spt.losses.distance import L1Loss, MSELoss, mean_absolute_error, mean_squared_error
from spt.losses.focal import FocalLoss, focal
from spt.losses.image_loss import ImageLoss
from spt.losses.overlap import DiceLoss, IoULoss, soft_dice, soft_iou
from spt.losses.similarity import SSIMLoss, structural_dissimilarity

__all__ = [
    "BCELoss",
    "CELoss",
    "CompoundLoss",
    "DiceLoss",
    "FocalLoss",
    "ImageLoss",
    "IoULoss",
    "L1Loss",
    "MSELoss",
    "NPCCLoss",
    "SSIMLoss",
    "WeightedBCELoss",
    "binary_cross_entropy",
    "cross_entropy",
    "focal",
    "mean_absolute_error",
    "mean_squared_error",
    "negative_pearson",
    "soft_dice",
    "soft_iou",
    "structural_dissimilarity",
    "weighted_binary_cross_entropy",
]
