from pathlib import Path

import pytest

from spt.data.recorded.numbering import FilePair, numbered, numbers
from spt.data.recorded.table import Image
from spt.errors import InvalidValue


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["220grit1", "220grit2", "220grit10"], [1, 2, 10]),
        (["D10", "D12"], [10, 12]),
        (["110grit", "220grit"], [110, 220]),
        (["220grit3"], [3]),
        (["0.5ml", "1.5ml"], [1, 2]),
        (["a1b2", "a2b3"], [1, 2]),
        (["", "glass"], [1, 2]),
        ([""], [1]),
        (["1", "01"], [1, 2]),
    ],
)
def test_a_diffuser_has_the_one_number_that_tells_the_names_apart(names: list[str], found: list[int]):
    assert numbers(names) == dict(zip(names, found, strict=True))


def pair(target: str, **known) -> FilePair:
    return FilePair(Image(Path("s.png")), Image(Path(target)), **known)


def single(speckle: Image, target: Image) -> tuple[int, int]:
    return 1, 1


@pytest.mark.parametrize(
    ("targets", "objects"),
    [
        (["lb_7.png", "lb_3.png", "lb_7.png"], [7, 3, 7]),
        (["a/1.png", "b/1.png"], [0, 1]),  # two objects would share a number
        (["cat.png", "dog.png", "cat.png"], [0, 1, 0]),
    ],
)
def test_the_number_of_an_object(targets: list[str], objects: list[int]):
    table = numbered([pair(target) for target in targets], single)
    assert [row.object for row in table.rows] == objects


def test_a_manifests_objects_decide():
    table = numbered([pair("1.png", object="8"), pair("2.png", object="8"), pair("3.png", object="o5")], single)
    assert [row.object for row in table.rows] == [8, 8, 5]


def test_stacks_are_taken_apart():
    stack = FilePair(Image(Path("s.tif")), Image(Path("t.npy"), "k"), "d2", split="val")
    rows = numbered([stack], lambda s, t: (3, 3)).rows
    assert [(row.speckle.row, row.target.row, row.object) for row in rows] == [(0, 0, 0), (1, 1, 1), (2, 2, 2)]
    shared = numbered([stack], lambda s, t: (3, 1)).rows
    assert [(row.speckle.row, row.target.row, row.diffuser) for row in shared] == [
        (0, None, 2),
        (1, None, 2),
        (2, None, 2),
    ]
    assert len({row.object for row in shared}) == 1
    with pytest.raises(InvalidValue, match=r"s\.tif holds 3 speckles, and t\.npy:k holds 2 targets"):
        numbered([stack], lambda s, t: (3, 2))
