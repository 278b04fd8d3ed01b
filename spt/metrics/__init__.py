"""Metrics that say how good a reconstruction is, defined per image and then averaged."""

from spt.metrics.image import METRICS, filter_gaussian, ji, pcc, per_image, psnr, ssim, summary
from spt.metrics.per_image_metrics import PerImageMetrics

__all__ = ["METRICS", "PerImageMetrics", "filter_gaussian", "ji", "pcc", "per_image", "psnr", "ssim", "summary"]
