import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import belongs_together, folder, image, names, write, write_pairs

from spt.data.recorded.discovery import find_pairs
from spt.data.recorded.folder import FolderPairs
from spt.data.recorded.splits import Split
from spt.data.recorded.unpaired import Unpaired
from spt.errors import InvalidValue, MissingFile


def found(root: Path, **patterns: str) -> list[tuple[str, str]]:
    return [
        (pair.speckle.path.relative_to(root).as_posix(), pair.target.path.relative_to(root).as_posix())
        for pair in find_pairs(root, **patterns)[0]
    ]


def test_two_comes_before_ten(tmp_path: Path):
    write_pairs(tmp_path, "speckle/{}.png", "label/{}.png", (1, 2, 10, 9))
    assert found(tmp_path) == [(f"speckle/{k}.png", f"label/{k}.png") for k in (1, 2, 9, 10)]


def test_splits_below_the_sides_with_other_words_on_each_side(tmp_path: Path):
    write_pairs(tmp_path, "x/train/{}.png", "y/training/{}.png", (1, 2))
    write_pairs(tmp_path, "x/val/{}.png", "y/valid/{}.png", (1, 2), 100)
    source = folder(tmp_path)
    assert names(source.table, tmp_path)[0] == ("x/train/1.png", "y/training/1.png")
    assert names(source.table, tmp_path)[2] == ("x/val/1.png", "y/valid/1.png")
    belongs_together(source, [1, 2, 101, 102], [1001, 1002, 1101, 1102])
    assert len({row.object for row in source.table.rows}) == 4


def test_both_sides_in_one_folder_by_their_prefix(tmp_path: Path):
    write_pairs(tmp_path, "sp_{}.png", "lb_{:03d}.png", (2, 10))
    assert found(tmp_path) == [("sp_2.png", "lb_002.png"), ("sp_10.png", "lb_010.png")]


def test_a_diffuser_above_both_sides(tmp_path: Path):
    for d in (2, 7):
        write_pairs(tmp_path, f"D{d}/speckle/{{}}.png", f"D{d}/target/{{}}.png", (1, 2), 100 * d)
    source = folder(tmp_path)
    belongs_together(source, [201, 202, 701, 702], [1201, 1202, 1701, 1702])
    assert [row.diffuser for row in source.table.rows] == [2, 2, 7, 7]


def test_plain_globs(tmp_path: Path):
    write_pairs(tmp_path, "cam/{}.png", "dmd/{}.bmp", (1, 2, 10))
    assert found(tmp_path, speckle="cam/*.png", target="dmd/*.bmp") == [
        (f"cam/{k}.png", f"dmd/{k}.bmp") for k in (1, 2, 10)
    ]
    with pytest.raises(InvalidValue, match=r"no folder and no file is named as speckle or target; there are cam/1"):
        found(tmp_path)


def test_a_pattern_with_an_absolute_path_and_a_distance(tmp_path: Path):
    for z in (20, 35):
        write_pairs(tmp_path, f"set/{z}mm/{{}}.png", "elsewhere/{}.png", (1, 2))
    source = folder(tmp_path / "set", speckle="{distance}mm/{number}.png", target=f"{tmp_path}/elsewhere/*.png")
    assert [row.distance for row in source.table.rows] == [0.02, 0.02, 0.035, 0.035]
    assert [row.object for row in source.table.rows] == [1, 2, 1, 2]


def test_one_file_of_all_targets(tmp_path: Path):
    for k in (1, 2, 3):
        write(tmp_path / "d1" / f"{k}.png", image(k))
    np.savez(tmp_path / "labels.npz", objects=np.stack([image(1000 + k) for k in range(4)]))
    belongs_together(folder(tmp_path, target="labels.npz:objects[number-1]"), [1, 2, 3], [1000, 1001, 1002])
    source = folder(tmp_path, target="labels.npz:objects[number]")
    belongs_together(source, [1, 2, 3], [1001, 1002, 1003])
    assert [row.object for row in source.table.rows] == [1, 2, 3]
    with pytest.raises(InvalidValue, match=re.escape("data.source.target='labels.npz[number-1]'")):
        _ = folder(tmp_path, target="labels.npz:objects").table
    with pytest.raises(InvalidValue, match=r"labels\.npz:objects has no image 4: it holds 4"):
        folder(tmp_path, target="labels.npz:objects[number+2]").prepare()


def test_a_stack_of_other_length_is_refused(tmp_path: Path):
    write(tmp_path / "speckle.npy", np.stack([image(k) for k in range(20)]))
    write(tmp_path / "target.npy", np.stack([image(k) for k in range(19)]))
    with pytest.raises(InvalidValue, match=r"speckle\.npy holds 20 speckles, and .*target\.npy holds 19 targets"):
        _ = folder(tmp_path).table


def test_what_has_no_partner_is_listed(tmp_path: Path):
    write_pairs(tmp_path, "speckle/{}.png", "label/{}.png", range(3))
    for k in range(10, 17):
        write(tmp_path / "speckle" / f"{k}.png", image(k))
    with pytest.raises(InvalidValue, match=r"^7 speckles without a target: .*/10\.png, .*/14\.png and 2 more\. Add"):
        found(tmp_path)
    for k in range(10, 17):
        (tmp_path / "speckle" / f"{k}.png").rename(tmp_path / "label" / f"{k}.png")
    with pytest.raises(InvalidValue, match=r"^7 targets without a speckle: .*label/10\.png"):
        found(tmp_path)


def test_two_candidates_are_refused(tmp_path: Path):
    write_pairs(tmp_path, "speckle/{}.png", "label/a_{}.png", (1, 2))
    write(tmp_path / "label" / "b_1.png", image(5))
    write(tmp_path / "label" / "b_2.png", image(6))
    with pytest.raises(InvalidValue, match=r"speckle/1\.png has 2 possible targets: .*a_1\.png, .*b_1\.png"):
        found(tmp_path)


def test_two_speckles_of_one_name_are_refused(tmp_path: Path):
    write_pairs(tmp_path, "speckle/{}.png", "label/{}.png", (1, 2))
    write(tmp_path / "speckle" / "1.bmp", image(9))
    with pytest.raises(InvalidValue, match=r"1\.png belongs by its name to the same target as .*1\.bmp"):
        found(tmp_path)


def test_the_way_that_leaves_the_fewest_files_over_is_meant(tmp_path: Path):
    """Without numbers in the names every speckle has every target by its numbers; the equal names are what is meant."""
    for name in "abc":
        write(tmp_path / "speckle" / f"{name}.png", image(1))
        write(tmp_path / "label" / f"{name}.png", image(2))
    (tmp_path / "label" / "b.png").unlink()
    with pytest.raises(Unpaired, match=r"^1 speckle without a target: .*speckle/b\.png") as caught:
        found(tmp_path)
    assert [fault.image.path.name for fault in caught.value.faults] == ["b.png"]
    assert [pair.speckle.path.name for pair in caught.value.pairs] == ["a.png", "c.png"]


def test_one_of_two_candidates_can_be_left_out(tmp_path: Path):
    write_pairs(tmp_path, "speckle/{}.png", "label/a_{}.png", (1, 2))
    write(tmp_path / "label" / "b_1.png", image(5))
    write(tmp_path / "speckle" / "1.bmp", image(9))
    out = [tmp_path / "label" / "b_1.png", tmp_path / "speckle" / "1.bmp"]
    pairs, _ = find_pairs(tmp_path, skip=out)
    assert [(p.speckle.path.name, p.target.path.name) for p in pairs] == [("1.png", "a_1.png"), ("2.png", "a_2.png")]


def test_files_of_neither_side_are_refused(tmp_path: Path):
    write_pairs(tmp_path, "speckle/{}.png", "label/{}.png", (1, 2))
    write(tmp_path / "overview.png", image(9))
    with pytest.raises(InvalidValue, match=r"1 file named neither as speckle nor as target: overview\.png"):
        found(tmp_path)


def test_hidden_files_and_a_loop_of_links(tmp_path: Path):
    write_pairs(tmp_path, "speckle/{}.png", "label/{}.png", (1, 2))
    write(tmp_path / "speckle" / "._1.png", image(9))
    write(tmp_path / "__MACOSX" / "speckle" / "3.png", image(9))
    (tmp_path / "speckle" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "speckle" / "Thumbs.db").write_bytes(b"x")
    assert found(tmp_path) == [("speckle/1.png", "label/1.png"), ("speckle/2.png", "label/2.png")]


def test_names_that_shells_dislike(tmp_path: Path):
    root = tmp_path / "实验 一=~x"
    write_pairs(root, "speckle/散斑 {}.png", "label/物体 {}.png", (1, 2))
    assert found(root) == [(f"speckle/散斑 {k}.png", f"label/物体 {k}.png") for k in (1, 2)]


def test_folders_that_are_not_there_or_empty(tmp_path: Path):
    with pytest.raises(MissingFile, match=r"nowhere is not a folder\. Set data\.source\.root"):
        found(tmp_path / "nowhere")
    with pytest.raises(MissingFile, match="holds no pictures and no arrays"):
        found(tmp_path)
    with pytest.raises(MissingFile, match=r"data\.source\.speckle=x/\*\.png: .*x is not a folder"):
        found(tmp_path, speckle="x/*.png")
    (tmp_path / "x").mkdir()
    with pytest.raises(MissingFile, match=r"data\.source\.speckle=x/\*\.png matches no file"):
        found(tmp_path, speckle="x/*.png")


@pytest.mark.parametrize("word", ["20261126090450123456", "²"])
def test_numbers_that_no_tensor_holds_and_signs_that_look_like_numbers(tmp_path, word):
    """Time stamps of twenty digits are names; a superscript two is a letter."""
    for side in ("speckle", "target"):
        (tmp_path / side).mkdir()
        for k in range(3):
            Image.fromarray(np.full((8, 8), 40 * k + 20, np.uint8)).save(tmp_path / side / f"{word}_{k}.png")
    pairs = FolderPairs(str(tmp_path), split=Split(0.2)).load()
    assert len(pairs["train"]) + len(pairs["val_seen"]) == 3


def test_a_place_in_a_file_is_of_targets_alone(tmp_path):
    with pytest.raises(InvalidValue, match=r"only data.source.target may end in \[number\]"):
        find_pairs(tmp_path, "speckle/{number}.png[number]", "target/{number}.png")
