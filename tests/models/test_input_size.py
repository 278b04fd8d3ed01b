import pytest
import torch

from spt.errors import UserError
from spt.models.input_size import check_size


@pytest.mark.parametrize(
    ("h", "w", "divisor", "near"),
    [
        (60, 60, 16, "48x48 and 64x64"),
        (64, 60, 16, "64x48 and 64x64"),
        (33, 64, 16, "32x64 and 48x64"),
        (4, 64, 16, "16x64 and 16x64"),
        (17, 31, 8, "16x24 and 24x32"),
        (255, 257, 2, "254x256 and 256x258"),
        (0, 64, 16, "16x64 and 16x64"),
        (32, 0, 16, "32x16 and 32x16"),
        (0, 0, 8, "8x8 and 8x8"),
    ],
)
def test_a_refused_size_names_the_network_the_divisor_and_the_nearest_sizes(h, w, divisor, near):
    with pytest.raises(UserError, match="Nearest sizes") as caught:
        check_size(torch.empty(1, 1, h, w), divisor, "Net")
    assert str(caught.value) == (
        f"Net: height and width must be multiples of {divisor}, got {h}x{w}. Nearest sizes that work: {near}."
    )


@pytest.mark.parametrize(("h", "w", "divisor"), [(16, 16, 16), (32, 48, 16), (200, 8, 8), (1, 7, 1)])
def test_multiples_pass(h, w, divisor):
    check_size(torch.empty(2, 3, h, w), divisor, "Net")
