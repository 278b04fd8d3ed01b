"""Every planted fault is found and named once; a clean set passes; the lists that are written can be read."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from recordings import SIDE, folder, image, write, write_pairs

from spt.data.files import FileSettings
from spt.data.preparation import Amplitude
from spt.data.recorded.arrays import ArrayPairs
from spt.errors import InvalidValue, MissingFile
from spt.evaluation.data_check.check import Wanted, check_frames, check_pairs

ALL = Wanted(saturated=0.5)
"""Images of 8 px have few pixels: one at the brightest level is more than 1 % of them."""
SPECKLE = "speckle/3.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "set", "speckle/{}.png", "target/{}.png", range(1, 13))
    return tmp_path / "set"


def check(root: Path, wanted: Wanted = ALL, **settings: object) -> bool:
    return check_pairs(folder(root, **settings), Amplitude(), wanted)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def constant(path: Path) -> None:
    write(path, np.full((SIDE, SIDE), 7, np.uint8))


def small(path: Path) -> None:
    write(path, image(3, SIDE // 2))


def deep(path: Path) -> None:
    write(path, image(3, white=4095))


def repeated(path: Path) -> None:
    shutil.copy(path.with_name("2.png"), path)


def saturated(path: Path) -> None:
    pixels = np.full((SIDE, SIDE), 255, np.uint8)
    pixels[0] = image(3)[0] // 2
    write(path, pixels)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("Not a picture at all, but somebody called it so.")


FAULTS = [
    (truncated, "cannot be read"),
    (empty, "is empty"),
    (text, "cannot be read"),
    (constant, "constant, every pixel is 7"),
    (small, "4x4 px"),
    (deep, "uint16"),
    (repeated, "the same pixels as speckle/2.png"),
    (saturated, "saturated: 8"),
]


def test_a_clean_set_passes(root, capsys):
    assert not check(root)
    out = capsys.readouterr().out
    assert "24 images read." in out
    assert "Bad" not in out
    assert out.endswith("Nothing bad was found.\n")


@pytest.mark.parametrize(("spoil", "said"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_fault_is_named_once_and_can_be_left_out(root, tmp_path, capsys, spoil, said):
    spoil(root / SPECKLE)
    listed = tmp_path / "bad.txt"
    assert check(root, Wanted(0.5, out=str(listed)))
    out = capsys.readouterr().out
    assert "Bad files (1)" in out
    assert said in out
    assert out.count(SPECKLE) == 1
    assert "Nothing bad was found." not in out
    assert [line for line in listed.read_text().splitlines() if not line.startswith("#")] == [str(root / SPECKLE)]
    assert not check(root, skip=str(listed))
    assert "Left out as data.source.skip lists them or their partners: 1 speckle." in capsys.readouterr().out


def test_every_file_without_partner_is_listed_beside_other_faults(root, tmp_path, capsys):
    for k in range(1, 8):
        (root / "target" / f"{k}.png").unlink()
    (root / "speckle" / "8.png").unlink()
    constant(root / "speckle" / "9.png")
    listed = tmp_path / "bad.txt"
    assert check(root, Wanted(0.5, out=str(listed)))
    out = capsys.readouterr().out
    assert "Bad files (9)" in out
    assert all(out.count(f"speckle/{k}.png") == 1 for k in (1, 2, 3, 4, 5, 6, 7, 9))
    assert out.count("target/8.png") == 1
    assert out.count("no target belongs to it") == 7
    assert not check(root, skip=str(listed))


def test_a_folder_where_nothing_belongs_together(root, capsys):
    for file in (root / "target").iterdir():
        file.rename(file.with_stem(f"{int(file.stem) + 50}"))
    assert check(root)
    out = capsys.readouterr().out
    assert "Bad files (24)" in out
    assert "Bad: 12 speckles without a target" in out
    assert "data.source.speckle='speckle/{number}.png'" in out


def test_arrays_of_unequal_length_are_listed_and_their_images_read(tmp_path, capsys):
    for name, count in (("x", 12), ("y", 11), ("xv", 3), ("yv", 4)):
        np.save(tmp_path / f"{name}.npy", np.stack([image(k) for k in range(count)]))
    spoiled = np.load(tmp_path / "x.npy")
    spoiled[4] = 3
    np.save(tmp_path / "x.npy", spoiled)
    arrays = [{"train": f"{name}.npy", "val": f"{name}v.npy"} for name in "xy"]
    assert check_pairs(ArrayPairs(str(tmp_path), *arrays), Amplitude(), ALL)
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "12 speckles, but y.npy: 11 targets" in out
    assert "3 speckles, but yv.npy: 4 targets" in out
    assert "x.npy, image 4 constant, every pixel is 3" in out
    assert "Nothing more could be checked" in out


def test_lines_of_a_manifest_without_their_files_are_listed(root, tmp_path, capsys):
    manifest = root / "pairs.csv"
    lines = [f"speckle/{k}.png,target/{k}.png" for k in range(1, 13)]
    manifest.write_text("\n".join(["speckle,target", *lines, "speckle/none.png,target/1.png", "speckle/5.png,"]))
    (root / "target" / "7.png").unlink()
    listed = tmp_path / "bad.txt"
    assert check(None, Wanted(0.5, out=str(listed)), manifest=str(manifest))
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Bad files (3)" in out
    assert "speckle/none.png is not there; named in pairs.csv, line 14" in out
    assert "target/7.png is not there; named in pairs.csv, line 8" in out
    assert "speckle/5.png has no target in pairs.csv, line 15" in out
    assert not check(None, manifest=str(manifest), skip=str(listed))
    with pytest.raises(MissingFile, match=r"none\.csv"):
        check(None, manifest=str(root / "none.csv"))


def test_several_faults_are_all_found(root, capsys):
    truncated(root / "speckle" / "2.png")
    constant(root / "target" / "5.png")
    repeated_of = root / "speckle" / "9.png"
    shutil.copy(root / "speckle" / "8.png", repeated_of)
    assert check(root)
    out = capsys.readouterr().out
    assert "Bad files (3)" in out
    assert all(out.count(name) == 1 for name in ("speckle/2.png", "target/5.png", "speckle/9.png"))


def test_single_images_of_arrays_are_listed_and_left_out(tmp_path, capsys):
    speckle = np.random.default_rng(0).exponential(size=(12, SIDE, SIDE)).astype(np.float32)
    speckle[3, 0, 0], speckle[5, 0, 0] = np.nan, -1
    np.save(tmp_path / "x.npy", speckle)
    np.save(tmp_path / "y.npy", np.stack([image(k) for k in range(12)]))
    source = ArrayPairs(str(tmp_path), "x.npy", "y.npy")
    listed = tmp_path / "bad.txt"
    assert check_pairs(source, Amplitude(), Wanted(0.5, out=str(listed)))
    out = capsys.readouterr().out
    assert "x.npy, image 3 " in out
    assert "NaN or infinite" in out
    assert "x.npy, image 5 " in out
    assert "negative" in out
    skipping = ArrayPairs(str(tmp_path), "x.npy", "y.npy", skip=str(listed))
    assert [row.speckle.row for row in skipping.table.rows] == [0, 1, 2, 4, 6, 7, 8, 9, 10, 11]
    assert not check_pairs(skipping, Amplitude(), ALL)
    assert "2 pairs" in capsys.readouterr().out


def test_a_leak_between_folders_is_bad(tmp_path, capsys):
    write_pairs(tmp_path, "train/speckle/{}.png", "train/target/{}.png", range(1, 9))
    write_pairs(tmp_path, "val/speckle/{}.png", "val/target/{}.png", range(11, 14))
    shutil.copy(tmp_path / "train" / "target" / "2.png", tmp_path / "val" / "target" / "12.png")
    assert check(tmp_path)
    assert "Bad: Leak: " in capsys.readouterr().out


def test_equal_objects_are_bad(root, capsys):
    for k in range(1, 13):
        write(root / "target" / f"{k}.png", image(0))
    assert check(root)
    assert "Bad: split 'train': all objects are equal" in capsys.readouterr().out


def test_the_manifest_gives_the_same_pairs(root, tmp_path):
    truncated(root / SPECKLE)
    manifest = tmp_path / "pairs.csv"
    assert check(root, Wanted(0.5, manifest=str(manifest)))
    again = folder(None, manifest=str(manifest)).table.rows
    (root / SPECKLE).unlink()
    (root / "target" / "3.png").unlink()
    assert [(r.speckle, r.target, r.object) for r in again] == [
        (r.speckle, r.target, r.object) for r in folder(root).table.rows
    ]


def test_lists_that_are_read_are_not_replaced(root, tmp_path):
    (tmp_path / "bad.txt").write_text(f"{root / SPECKLE}\n")
    with pytest.raises(InvalidValue, match=r"would replace the file of data\.source\.skip"):
        check(root, Wanted(out=str(tmp_path / "bad.txt")), skip=str(tmp_path / "bad.txt"))
    with pytest.raises(InvalidValue, match="saturated must be a share"):
        Wanted(saturated=0)


def test_the_preview_is_a_picture(root, tmp_path):
    assert not check(root, Wanted(0.5, preview=str(tmp_path / "p.png")))
    with Picture.open(tmp_path / "p.png") as picture:
        assert picture.size[1] > picture.size[0]


def test_frames_without_objects(root, capsys):
    assert not check_frames(str(root / "speckle"), FileSettings(), ALL)
    truncated(root / SPECKLE)
    assert check_frames(str(root / "speckle"), FileSettings(), ALL)
    assert "3.png" in capsys.readouterr().out
    with pytest.raises(MissingFile, match="nowhere"):
        check_frames(str(root / "nowhere"), FileSettings(), ALL)
    with pytest.raises(InvalidValue, match="needs pairs"):
        check_frames(str(root / "speckle"), FileSettings(), Wanted(manifest="m.csv"))


def test_exchanged_folders_are_suspicious(tmp_path, capsys):
    for k in range(1, 13):
        write(tmp_path / "speckle" / f"{k}.png", (image(k) > 127).astype(np.uint8) * 255)
        write(tmp_path / "target" / f"{k}.png", image(100 + k))
    check(tmp_path, Wanted(saturated=1.0))
    assert "Suspicious: The speckles of train look like objects" in capsys.readouterr().out
