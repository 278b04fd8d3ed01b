"""Matrix products of the optics keep full float32 precision, whatever the training has set."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute matrix products in full float32 precision inside the block.

    A training allows TF32 or bfloat16 products (``torch.set_float32_matmul_precision``), which are good to 1e-3 or
    1e-2. This setting is global, so it is put back behind the block.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
