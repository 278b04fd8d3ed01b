import pickle

import pytest
from omegaconf import OmegaConf

from spt.data.files import FileSettings
from spt.errors import InvalidValue


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"axes": "nxy"}, "axes must be letters of n, h, w and c.* or rows or columns, got nxy"),
        ({"axes": "nh"}, "axes must be"),
        ({"axes": "hhw"}, "axes must be"),
        ({"axes": 3}, "axes must be"),
        ({"shape": [3]}, r"shape must be \[height,width\] in px, got \[3\]"),
        ({"shape": [3, 0]}, "shape must be"),
        ({"shape": 64}, "shape must be"),
        ({"order": "fortran"}, "order must be C or F, got fortran"),
        ({"colour": "grey"}, "colour must be luminance, red, green, blue, or a number from 0, got grey"),
        ({"colour": -1}, "colour must be"),
        ({"dtype": "12bit"}, "dtype must be a type of numbers, such as <u2, >u2, u1, <f4, got 12bit"),
        ({"dtype": "object"}, "dtype must be"),
        ({"dtype": "c8"}, "dtype must be"),
        ({"offset": -1}, "offset must be 0 or more bytes, got -1"),
        ({"full_scale": 0}, "full_scale must be a number above 0, got 0"),
        ({"full_scale": float("nan")}, "full_scale must be"),
    ],
)
def test_settings_out_of_range(own_checks, setting, message):
    with pytest.raises(InvalidValue, match=f"data.source.{message}"):
        FileSettings(**setting, prefix="data.source.")


def test_lists_of_a_configuration_become_plain():
    settings = FileSettings(shape=OmegaConf.create([3, 4]))
    assert type(settings.shape) is tuple
    assert pickle.loads(pickle.dumps(settings)) == FileSettings(shape=(3, 4))
