from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from recordings import folder, image, write_pairs

from spt.data.recorded.folder import FolderPairs
from spt.data.recorded.manifest import read_manifest, write_manifest
from spt.data.recorded.splits import Split
from spt.data.recorded.table import Table
from spt.data.recorded.unpaired import Unpaired
from spt.errors import InvalidValue, MissingFile


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_pairs(tmp_path, "s/{}.png", "t/{}.png", range(4))
    return tmp_path


def manifest(root: Path, text: str, encoding: str = "utf-8") -> Path:
    path = root / "pairs.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_what_is_written_is_read(tmp_path: Path):
    for d in (1, 2):
        write_pairs(tmp_path, f"g{d}/train/{{}}.png", "label/train/{}.png", range(3), 100 * d)
        write_pairs(tmp_path, f"g{d}/val/{{}}.png", "label/val/{}.png", range(2), 100 * d)
    table = folder(tmp_path, speckle="{diffuser}/{split}/{number}.png").table
    table = Table([replace(row, distance=0.02, label="a, b") for row in table.rows])
    write_manifest(tmp_path / "out" / "pairs.csv", table)
    again = FolderPairs(None, manifest=str(tmp_path / "out" / "pairs.csv")).table
    assert again.rows == table.rows
    write_manifest(tmp_path / "pairs.csv", table)
    assert "\ng1/train/0.png,label/train/0.png,,,g1,0.02," in (tmp_path / "pairs.csv").read_text().replace("\r", "")


def test_frames_of_stacks(tmp_path: Path):
    tifffile.imwrite(tmp_path / "s.tif", np.stack([image(k) for k in range(3)]), photometric="minisblack")
    np.savez(tmp_path / "t.npz", a=np.stack([image(k) for k in range(12)]), b=np.zeros(3))
    path = manifest(tmp_path, "speckle,target,speckle_frame,target_frame\ns.tif,t.npz:a,2,0\ns.tif,t.npz:a,0,7\n")
    source = FolderPairs(None, manifest=str(path))
    assert [(row.speckle.row, row.target.row) for row in source.table.rows] == [(2, 0), (0, 7)]
    assert np.array_equal(source.targets[0][source.targets[1][1]], image(7))
    write_manifest(tmp_path / "again.csv", source.table)
    assert FolderPairs(None, manifest=str(tmp_path / "again.csv")).table.rows == source.table.rows


@pytest.mark.parametrize(
    "text",
    [
        "speckle,target,diffuser,distance\ns/0.png,t/0.png,d2,0.06\ns/1.png,t/1.png,d10,0.06\n",
        "\ufeffSpeckle;Target;Diffuser;Distance\r\ns/0.png;t/0.png;d2;0,06\r\ns/1.png;t/1.png;d10;0,06\r\n;;;\r\n\r\n",
        'sep=;\r\n"speckle";"target";"diffuser";"distance";\r\n"s/0.png";"t/0.png";"d2";"0,06";\r\n'
        '"s/1.png";"t/1.png";"d10";"0,06";\r\n',
        "target\tspeckle\tdistance\tdiffuser\t#note\nt/0.png\ts/0.png\t6e-2\td2\tblurred\nt/1.png\ts/1.png\t.06\td10\n",
    ],
)
def test_what_spreadsheets_write(root: Path, text: str):
    table = FolderPairs(None, manifest=str(manifest(root, text))).table
    assert [(row.speckle.path, row.target.path) for row in table.rows] == [
        (root / f"s/{k}.png", root / f"t/{k}.png") for k in (0, 1)
    ]
    assert [(row.diffuser, row.diffuser_name) for row in table.rows] == [(2, "d2"), (10, "d10")]
    assert [row.distance for row in table.rows] == [0.06, 0.06]


def test_objects_classes_and_splits(root: Path):
    splits = ["train", "train", "val", "val"]
    lines = [f"s/{k}.png,t/{k}.png,{k // 2 + 5},c{k % 2},{split}\n" for k, split in enumerate(splits)]
    text = "speckle,target,object,class,split\n" + "".join(lines)
    source = FolderPairs(None, manifest=str(manifest(root, text)), split=Split())
    assert [(row.object, row.label) for row in source.table.rows] == [(5, "c0"), (5, "c1"), (6, "c0"), (6, "c1")]
    assert source.splits == ["train", "train", "val_seen", "val_seen"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty. Its first line names the columns"),
        ("speckle,target\n", "lists no pairs below its header"),
        ("speckle,object\na,b\n", "has no column 'target', only speckle, object"),
        ("speckle,target,diffusor\na,b,c\n", "unknown column 'diffusor'"),
        ("speckle,target,target\na,b,c\n", "has the column 'target' twice"),
        ("speckle,target\ns/0.png,t/0.png\ns/1.png,\n", "line 3: the column 'target' is empty"),
        ("speckle,target\ns/0.png,t/0.png\n,t/1.png\n", "line 3: the column 'speckle' is empty"),
        ("speckle,target,class\ns/0.png,t/0.png,\n,,a\n", "line 3: 'speckle' and 'target' are empty"),
        ("speckle,target,distance\ns/0.png,t/0.png,far\n", "line 2: distance must be a number, got 'far'"),
        ("speckle,target,speckle_frame\ns/0.png,t/0.png,1.5\n", "line 2: speckle_frame must be a whole number from 0"),
        ("speckle,target,speckle_frame\ns/0.png,t/0.png,nan\n", "line 2: speckle_frame must be a number, got 'nan'"),
        ("speckle,target,distance\ns/0.png,t/0.png,inf\n", "line 2: distance must be a number, got 'inf'"),
        ("speckle,target\ns/0.png,t/0.png,x\n", "line 2: 3 values, but the header names 2 columns"),
    ],
)
def test_errors_name_the_line(root: Path, text: str, message: str):
    with pytest.raises(InvalidValue, match=r"pairs\.csv") as caught:
        read_manifest(manifest(root, text))
    assert message in str(caught.value)


def test_files_that_are_left_out_need_not_be_there(root: Path):
    (root / "bad.txt").write_text("s/9.png\ns/1.png\n")
    text = "speckle,target\ns/9.png,t/0.png\ns/0.png,t/0.png\ns/1.png,\n"
    source = FolderPairs(None, manifest=str(manifest(root, text)), skip="bad.txt")
    assert [row.speckle.path for row in source.table.rows] == [root / "s/0.png"]


def test_missing_files(root: Path):
    lines = "s/9.png,t/0.png\ns/1.png,t/1.png\ns/9.png,t/8.png\n"
    message = r"pairs\.csv, line 2: .*s/9\.png is not there\. 1 other file cannot be paired either\."
    with pytest.raises(Unpaired, match=message) as caught:
        read_manifest(manifest(root, "speckle,target\n" + lines))
    assert [(fault.side, fault.image.path) for fault in caught.value.faults] == [
        ("speckle", root / "s/9.png"),
        ("target", root / "t/8.png"),
    ]
    assert [pair.speckle.path for pair in caught.value.pairs] == [root / "s/1.png"]
    with pytest.raises(MissingFile, match=r"none\.csv is not there\. Check data\.source\.manifest"):
        read_manifest(root / "none.csv")
    with pytest.raises(InvalidValue, match=r"pairs\.csv is not UTF-8 text"):
        read_manifest(manifest(root, "speckle,target\nsä/9.png,t/0.png\n", "cp1252"))
