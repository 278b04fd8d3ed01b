"""The notes' figures of the field's networks, as printed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One row of the notes, section 散射成像领域的模型对比, "batch 2"; hardware not named.

    Args:
        parameters: as printed.
        flops: as printed; the convention is not stated.
        images_per_second: throughput.
        ms_per_batch: inference time of a batch of 2 [ms].
    """

    parameters: float
    flops: float
    images_per_second: float
    ms_per_batch: float


PUBLISHED: dict[tuple[str, int], Published] = {
    ("deep_speckle", 256): Published(21.8505e6, 0.0577e9, 8.9, 223.2022),
    ("sa_cnn", 256): Published(13.9231e6, 17.4204e9, 40.8, 49.0446),
    ("sa_cnn_single", 256): Published(13.5972e6, 8.9002e9, 44.4, 45.0413),
    ("spt_unet", 200): Published(6.6184e6, 19.3602e9, 86.9, 23.0214),
    ("spt_unet", 224): Published(6.6184e6, 24.2856e9, 83.3, 24.0215),
    ("spt_unet", 256): Published(6.6184e6, 31.7197e9, 62.5, 31.3427),
    ("spt_unet_b", 200): Published(2.4179e6, 8.2659e9, 105.2, 19.0217),
    ("spt_unet_b", 224): Published(2.4179e6, 16.2256e9, 95.2, 21.0189),
    ("spt_unet_b", 256): Published(2.4179e6, 21.2318e9, 72.9, 27.4584),
}
"""(config name, image side) to the printed figures."""
