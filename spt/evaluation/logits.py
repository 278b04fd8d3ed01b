"""What a head offers to the evaluation. The only place that still takes heads without these two members."""

from jaxtyping import Float
from torch import Tensor

from spt.heads import Head


def gives_probabilities(head: Head) -> bool:
    """Whether the image is the probability that a pixel is lit."""
    return getattr(head, "gives_probabilities", True)


def logit_metrics(head: Head, logits: Float[Tensor, "b c h w"], encoded: Tensor) -> dict[str, Float[Tensor, " b"]]:
    """The head's own metrics of every image; most heads have none."""
    offered = getattr(head, "logit_metrics", None)
    return {} if offered is None else offered(logits, encoded)
