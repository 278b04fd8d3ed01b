"""What has to be said about the notes' printed figures: readings, misprints, and an error of a profiler."""

READING = (
    'The notes print "FLOPs" under "batch 2", and elsewhere that FLOPs are 2 MACs. Read as MACs of one image, '
    "convolutions only (a counter of modules sees no attention products), SpT UNet agrees within 0.01 %; as operations "
    "of one image, or MACs of both, a network would have half of these MACs, as operations of both images a quarter. "
    "The notes do not decide it."
)
TIME = 'Printed as "batch/ms", read as ms per batch of 2; hardware not named: the ratio compares machines too.'

RECONSTRUCTED = "Calibrated reconstruction: the layer list is not published."
STYLE = "SA-CNN-style, calibrated: the layer list is not available."

REMARKS: dict[tuple[str, int | None, str], str] = {
    ("deep_speckle", None, "parameters"): "Exact.",
    ("deep_speckle", 256, "flops"): (
        "0.0577e9 is an error: TensorFlow's profiler skips every convolution where the batch size is unknown and is "
        "left with the arithmetic of initialisers and regularisers (57,707,561). Not imitated."
    ),
    ("sa_cnn", None, "parameters"): STYLE,
    ("sa_cnn_single", None, "parameters"): STYLE,
    ("spt_unet", None, "parameters"): RECONSTRUCTED,
    ("spt_unet_b", None, "parameters"): RECONSTRUCTED,
    ("spt_unet", 224, "flops"): "24.2856 is probably a misprint of 24.2854: 484,005 a pixel, as at 200 and 256.",
    ("spt_unet_b", 224, "flops"): "16.2256 is probably a misprint of 16.2556: 323,972 a pixel, as at 256.",
    ("spt_unet_b", 200, "flops"): "8.2659 fits nothing: 323,972 a pixel, as at 256, would be 12.9589.",
    ("spt_unet", 256, "throughput"): "62.5 contradicts its own time: 2 images in 31.3427 ms are 63.8.",
}
"""(network, size or None for all, quantity) -> remark."""


def remark(network: str, px: int, quantity: str) -> str:
    """Return what there is to say about one printed figure; "" for nothing."""
    return REMARKS.get((network, px, quantity)) or REMARKS.get((network, None, quantity), "")
