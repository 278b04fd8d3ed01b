"""What a user may ask for; each answer itself is tested with the file that gives it."""

import pytest
from omegaconf import OmegaConf

from spt.complexity.answers import check
from spt.errors import InvalidValue

DEFAULTS = {"size": [64, 128], "batch": 2, "depth": 2, "threads": None, "max_batch": 16, "repeats": 15}
DEFAULTS |= {"device": "cpu", "layer_types": None}


@pytest.mark.parametrize("change", [{}, {"size": 64}, {"threads": [1, 2]}, {"layer_types": [4, 1, 2, 1]}])
def test_what_may_be_asked(change):
    check(OmegaConf.create(DEFAULTS | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, "batch must be positive whole numbers, got 0"),
        ({"size": [64, 0]}, r"size must be positive whole numbers, got \[64, 0\]"),
        ({"size": []}, "size must be positive whole numbers"),
        ({"size": None}, "size must be positive whole numbers"),
        ({"size": 64.5}, "size must be positive whole numbers"),
        ({"threads": [0]}, "threads must be positive whole numbers"),
        ({"repeats": -1}, "repeats must be positive whole numbers"),
        ({"max_batch": "many"}, "max_batch must be positive whole numbers, got many"),
        ({"device": "tpu"}, "device must be cpu, or cuda"),
        ({"layer_types": [1, 2, 3]}, r"layer_types must be \[n, d, k, r\]"),
    ],
)
def test_what_may_not(change, message):
    with pytest.raises(InvalidValue, match=message):
        check(OmegaConf.create(DEFAULTS | change))
