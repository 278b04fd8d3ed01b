"""Metrics that say how good a reconstruction is, defined per image and then averaged."""

from spt.metrics.image import METRICS, ji, pcc, per_image, psnr, ssim, summary
from spt.metrics.per_image_metrics import PerImageMetrics

__all__ = ["METRICS", "PerImageMetrics", "ji", "pcc", "per_image", "psnr", "ssim", "summary"]
