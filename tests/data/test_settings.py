from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from spt.data.objects import SparseObjects
from spt.data.settings import describe, first_difference, flatten
from spt.optics import Camera


@dataclass
class Nested:
    camera: Camera
    sizes: tuple[int, ...]
    matrix: torch.Tensor
    path: Path


def nested(**changed):
    settings = {"camera": Camera(bits=12), "sizes": (1, 2), "matrix": torch.eye(2), "path": Path("a")}
    return describe(Nested(**{**settings, **changed}))


def test_plain_values_by_class_and_field():
    assert describe(Camera(bits=12)) == {
        "class": "Camera",
        **{field: getattr(Camera(bits=12), field) for field in Camera.__dataclass_fields__},
    }
    assert nested()["sizes"] == [1, 2]
    assert nested()["path"] == "a"


def test_objects_describe_themselves():
    assert describe(SparseObjects()) == {"class": "SparseObjects", **SparseObjects().describe()}


def test_arrays_by_their_content():
    assert nested() == nested(matrix=torch.eye(2))
    assert nested()["matrix"].startswith("float32[2, 2] sha256 ")
    assert nested() != nested(matrix=torch.eye(2) * 2)
    assert describe(np.zeros(2)) != describe(np.zeros(2, np.float32))


def test_dotted_names():
    assert dict(flatten({"a": {"b": 1, "c": [2]}, "d": None})) == {"a.b": 1, "a.c": [2], "d": None}


def test_the_first_difference_is_named():
    assert first_difference(nested(), nested()) is None
    assert first_difference(nested(), nested(camera=Camera(bits=10))) == "camera.bits is 12 here and 10 there"
    assert first_difference({"a": 1}, {"a": 1, "b": 2}) == "b is None here and 2 there"


def test_what_cannot_be_described():
    with pytest.raises(TypeError, match="settings hold a Generator"):
        describe({"a": torch.Generator()})
