"""Losses: (logits, target) to a scalar. Configs reach them by name."""

from spt.losses.compound import CompoundLoss
from spt.losses.functional import (
    binary_cross_entropy,
    cross_entropy,
    focal,
    mean_absolute_error,
    mean_squared_error,
    weighted_binary_cross_entropy,
)
from spt.losses.functional_image import negative_pearson, soft_dice, soft_iou, structural_dissimilarity
from spt.losses.image_loss import ImageLoss, check_head, minimum_size
from spt.losses.overlap import DiceLoss, IoULoss
from spt.losses.pixel import BCELoss, CELoss, FocalLoss, L1Loss, MSELoss, WeightedBCELoss
from spt.losses.similarity import NPCCLoss, SSIMLoss

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
    "check_head",
    "cross_entropy",
    "focal",
    "mean_absolute_error",
    "mean_squared_error",
    "minimum_size",
    "negative_pearson",
    "soft_dice",
    "soft_iou",
    "structural_dissimilarity",
    "weighted_binary_cross_entropy",
]
