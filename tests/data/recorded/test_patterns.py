from pathlib import Path

import pytest

from spt.data.recorded.patterns import Pattern, expression
from spt.errors import InvalidValue


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{diffuser}/train/{number}.tif", "220grit1/train/12.tif", {"diffuser": "220grit1", "number": "12"}),
        ("{diffuser}/train/{number}.tif", "220grit1/val/12.tif", None),
        ("*/{name}_{frame}.png", "a/x_y_3.png", {"name": "x_y", "frame": "3"}),
        ("**/{number}.png", "3.png", {"number": "3"}),
        ("**/{number}.png", "a/b/3.png", {"number": "3"}),
        ("{distance}mm/?.png", "20.5mm/a.png", {"distance": "20.5"}),
        ("{class}/{number}.png", "cats/1.png", {"class_": "cats", "number": "1"}),
        ("a.(b)+{number}.png", "a.(b)+1.png", {"number": "1"}),
        ("a.b", "axb", None),
    ],
)
def test_a_pattern_reads_fields_out_of_a_path(pattern: str, path: str, fields: dict[str, str] | None):
    found = expression(pattern).fullmatch(path)
    assert (found and found.groupdict()) == fields


@pytest.mark.parametrize(("unit", "metres"), [("mm", 0.02), ("cm", 0.2), ("m", 20), ("", 20), ("um", 2e-5)])
def test_a_distance_has_the_unit_behind_it(unit: str, metres: float):
    pattern = Pattern(f"{{distance}}{unit}/{{number}}.png", "data.source.speckle")
    candidate = pattern.candidate(Path("p"), f"20{unit}/3.png", expression(pattern.split(Path("/lab"))[1]), "speckle")
    assert candidate is not None
    assert candidate.distance == pytest.approx(metres)
    assert candidate.stem == "3"


def test_the_folder_before_the_first_open_part_is_searched():
    assert Pattern("a/b/{number}.png", "s").split(Path("/lab")) == (Path("/lab/a/b"), "{number}.png")
    assert Pattern("/x/*/{number}.png", "s").split(Path("/lab")) == (Path("/x"), "*/{number}.png")
    assert Pattern("a/x.mat:key", "s").split(Path("/lab")) == (Path("/lab/a"), "x.mat")


@pytest.mark.parametrize(("text", "shift"), [("y.npz:o[number-1]", -1), ("y.npz:o[number]", 0), ("y.npz:o", None)])
def test_the_place_in_one_file(text: str, shift: int | None):
    pattern = Pattern(text, "data.source.target")
    assert pattern.shift == shift
    assert pattern.file == (Path("y.npz"), "o")


def test_wrong_fields_are_refused():
    with pytest.raises(InvalidValue, match=r"source\.speckle=\{grit\}/1\.png: unknown field \{grit\}.*\{number\}"):
        Pattern("{grit}/1.png", "data.source.speckle")
    with pytest.raises(InvalidValue, match="a field may stand there once"):
        Pattern("{number}/{number}.png", "data.source.speckle")
