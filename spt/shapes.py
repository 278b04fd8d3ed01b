"""The one check that losses and metrics share: two images are never broadcast against each other."""

from torch import Tensor


def same_shape(image: Tensor, target: Tensor, name: str) -> None:
    """Refuse an image and a target of different shapes: broadcasting would be silently wrong.

    Args:
        image: logits or prediction.
        target: what it is compared with.
        name: what ``image`` is called in the message.
    Raises:
        ValueError: if the shapes differ.
    """
    if image.shape != target.shape:
        remedy = " Add the channel axis: target[:, None]." if image.ndim == target.ndim + 1 else ""
        raise ValueError(f"{name} and target differ in shape: {tuple(image.shape)} and {tuple(target.shape)}.{remedy}")
