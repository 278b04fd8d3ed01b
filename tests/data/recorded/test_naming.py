from pathlib import Path, PurePosixPath

import pytest

from spt.data.recorded.naming import by_numbers, by_words, described


@pytest.mark.parametrize(
    ("inside", "side", "split", "others"),
    [
        ("speckle/1.png", "speckle", None, ()),
        ("GT/1.png", "target", None, ()),
        ("Ground_Truth/1.png", None, None, ("Ground_Truth",)),
        ("data/valid/Labels/lb_3.png", "target", "valid", ("data",)),
        ("Speckle_images_train/3.png", "speckle", "train", ()),
        ("diffuser/7/target/3.png", "target", None, ("7",)),
        ("diffuser7/speckle/3.png", "speckle", None, ("diffuser7",)),
        ("220grit1/train/3.tif", None, "train", ("220grit1",)),
        ("x_train.npy", "speckle", "train", ()),
        ("sp_12.png", "speckle", None, ()),
        ("label/TestImage_3.bmp", "target", None, ()),
        ("label/test_3.bmp", "target", None, ()),
        ("input_of_target.png", None, None, ()),
    ],
)
def test_words_of_folders_and_files(inside: str, side: str | None, split: str | None, others: tuple[str, ...]):
    candidate, rest = described(Path("/lab") / inside, PurePosixPath(inside))
    assert (candidate.side, candidate.split, rest) == (side, split, others)


def test_ways_to_compare_names():
    assert by_words("sp_007") == by_words("lb_7") == ("7",)
    assert by_words("sp_a7") != by_words("lb_b7")
    assert by_numbers("TestImage_03") == by_numbers("3") == (3,)
    assert by_numbers("2_10") != by_numbers("210")
