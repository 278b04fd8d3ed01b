"""What a head reads from the logits themselves, where the image does not hold it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.heads import Head


def gives_probabilities(head: Head) -> bool:
    """Whether the image is the probability that a pixel is lit; a head says no by ``gives_probabilities = False``."""
    return getattr(head, "gives_probabilities", True)


def logit_metrics(head: Head, logits: Float[Tensor, "b c h w"], encoded: Tensor) -> dict[str, Float[Tensor, " b"]]:
    """Return the head's own metrics of every image; none where it has no method ``logit_metrics``."""
    offered = getattr(head, "logit_metrics", None)
    return {} if offered is None else offered(logits, encoded)


@torch.no_grad()
def score_logits(
    model: nn.Module,
    head: Head,
    pairs: Pairs,
    preparation: Preparation,
    batch_size: int,
    device: torch.device | str,
) -> dict[str, Float[Tensor, " n"]]:
    """The head's own metrics of every pair of a split, on the CPU; the network runs only if there are any."""
    if not hasattr(head, "logit_metrics"):
        return {}
    batches = []
    for at in range(0, len(pairs), batch_size):
        logits = model(preparation(pairs.speckle[at : at + batch_size, None]).to(device))
        batches.append(logit_metrics(head, logits, head.encode(pairs.images(at, at + batch_size).to(device))))
    return {name: torch.cat([values[name].cpu() for values in batches]) for name in batches[0]}
