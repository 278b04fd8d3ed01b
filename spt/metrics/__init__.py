"""Metrics that say how good a reconstruction is, defined per image and then averaged."""

from spt.metrics.calibration import Reliability, calibration_error, reliability
from spt.metrics.image import (
    LOWER_IS_BETTER,
    METRICS,
    filter_gaussian,
    mae,
    mse,
    pcc,
    per_image,
    psnr,
    ssim,
    ssim_map,
)
from spt.metrics.levels import top_k_accuracy
from spt.metrics.overlap import accuracy, dice, ji, precision, recall
from spt.metrics.per_image_metrics import PerImageMetrics

__all__ = [
    "LOWER_IS_BETTER",
    "METRICS",
    "PerImageMetrics",
    "Reliability",
    "accuracy",
    "calibration_error",
    "dice",
    "filter_gaussian",
    "ji",
    "mae",
    "mse",
    "pcc",
    "per_image",
    "precision",
    "psnr",
    "recall",
    "reliability",
    "ssim",
    "ssim_map",
    "top_k_accuracy",
]
