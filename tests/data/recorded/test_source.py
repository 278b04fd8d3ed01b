"""What folders and arrays share, and what only one of them does."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import belongs_together, folder, image, write, write_pairs

from spt.data.recorded.arrays import ArrayPairs, PairArrays
from spt.data.recorded.folder import FolderPairs
from spt.data.recorded.splits import Split
from spt.errors import InvalidValue, MissingFile, MissingName


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for d in (1, 2):
        write_pairs(tmp_path, f"speckle/glass{d}/{{}}.png", "label/{}.png", range(10), 100 * d)
    return tmp_path


def test_the_pairs_of_each_split(root: Path):
    splits = folder(root, split=Split(2, unseen_diffusers=[2])).load()
    assert {name: pairs.object.tolist() for name, pairs in splits.items()} == {
        "train": list(range(8)),
        "val_seen": [8, 9],
        "test_unseen": [8, 9],
    }
    assert splits["test_unseen"].diffuser.tolist() == [2, 2]
    assert np.array_equal(splits["test_unseen"].speckle[1], image(209))
    assert np.array_equal(splits["train"].target[torch.tensor([3])][0], image(1203))  # the last that was written


def test_files_are_read_when_they_are_asked_for_and_in_another_process(root: Path):
    pairs = folder(root).load()["train"]
    (root / "speckle" / "glass1" / "0.png").write_bytes(b"")
    again = pickle.loads(pickle.dumps(pairs))
    assert np.array_equal(again.speckle[1], image(101))
    with pytest.raises(InvalidValue, match=r"glass1/0\.png"):
        _ = again.speckle[0]


def test_it_says_what_was_found(root: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    folder(root, split=Split(2, unseen_diffusers=[2])).prepare()
    for text in (
        "Found 20 pairs of 10 objects: speckles of 8x8 px (uint8), objects of 8x8 px.",
        f"First pair: {root}/speckle/glass1/0.png with {root}/label/0.png.",
        "Diffusers: 1 (glass1): 10 pairs; 2 (glass2): 10 pairs, not in training.",
        "Splits: train 8, val_seen 2, test_unseen 2.",
        "Left out: 8 pairs of an unseen diffuser, distance or class, whose objects train.",
        "Speckles and targets belong together by equal names.",
        "label/0.png: values 0..255 in 8 bit",
    ):
        assert text in caplog.text


def test_a_distance_goes_with_the_pairs(tmp_path: Path):
    for z in (20, 30):
        write_pairs(tmp_path, f"{z}mm/{{}}.png", "label/{}.png", range(4))
    source = folder(tmp_path, speckle="{distance}mm/{number}.png", split=Split(1))
    assert source.load()["val_seen"].parameters["distance"].tolist() == pytest.approx([0.02, 0.03])


def test_images_of_another_size_are_refused_by_name(root: Path):
    write(root / "speckle" / "glass2" / "5.png", image(5, 12))
    with pytest.raises(InvalidValue, match=r"glass2/5\.png: images of 12x12 px .* 8x8 px"):
        folder(root).prepare()


def test_files_to_leave_out(root: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    (root / "label" / "4.png").unlink()
    (root / "speckle" / "glass1" / "7.png").write_bytes(b"")
    (root / "bad.txt").write_text(
        "# looked at on Friday\nspeckle/glass1/4.png\nspeckle/glass2/4.png\n\nspeckle/glass1/7.png\n"
    )
    source = folder(root, skip="bad.txt", split=Split(2))
    source.prepare()
    kept = [(row.diffuser, row.object) for row in source.table.rows]
    assert kept == [(d, k) for d in (1, 2) for k in range(10) if k != 4 and (d, k) != (1, 7)]
    assert "Left out as data.source.skip lists them or their partners: 3 speckles." in caplog.text
    with pytest.raises(MissingFile, match=r"data\.source\.skip: .*none\.txt is not there"):
        folder(root, skip="none.txt").prepare()


def test_images_of_arrays_to_leave_out(tmp_path: Path):
    np.savez(tmp_path / "x.npz", s=np.stack([image(k) for k in range(12)]), t=np.stack([image(k) for k in range(12)]))
    (tmp_path / "bad.txt").write_text("x.npz:s[3]\nx.npz:t[5]\nx.npz:u[6]\n")
    source = ArrayPairs(str(tmp_path), "x.npz:s", "x.npz:t", skip="bad.txt")
    assert [row.object for row in source.table.rows] == [0, 1, 2, 4, *range(6, 12)]
    (tmp_path / "bad.txt").write_text("x.npz\n")
    with pytest.raises(InvalidValue, match=r"no pair is left\. data\.source\.skip lists all of them"):
        ArrayPairs(str(tmp_path), "x.npz:s", "x.npz:t", skip="bad.txt").prepare()


def test_a_manifest_and_a_pattern_exclude_each_other():
    with pytest.raises(InvalidValue, match=r"data\.source\.manifest lists the pairs, and data\.source\.speckle"):
        FolderPairs("x", speckle="*.png", manifest="pairs.csv")


def test_a_manifest_below_the_root(root: Path):
    (root / "pairs.csv").write_text("speckle,target\nspeckle/glass1/3.png,label/5.png\n")
    belongs_together(FolderPairs(str(root), manifest="pairs.csv"), [103], [1205])


def test_no_folder():
    with pytest.raises(MissingFile, match=r"data\.source\.root is missing: name the folder that holds your pairs"):
        FolderPairs(None).prepare()
    with pytest.raises(MissingFile, match=r"data\.source\.root: /nowhere is not a folder"):
        FolderPairs("/nowhere").prepare()


# Arrays ---------------------------------------------------------------------------------------------------------------


def stack(path: Path, numbers) -> Path:
    return write(path, np.stack([image(k) for k in numbers]))


def test_several_files_are_joined(tmp_path: Path):
    stack(tmp_path / "a.npy", range(10)), stack(tmp_path / "b.npy", range(10, 14))
    stack(tmp_path / "t.npy", range(1000, 1014))
    source = ArrayPairs(str(tmp_path), ["a.npy", "b.npy"], "t.npy")
    belongs_together(source, range(14), range(1000, 1014))  # type: ignore[arg-type]
    assert {row.diffuser for row in source.table.rows} == {1}
    each = ArrayPairs(str(tmp_path), ["a.npy", "b.npy"], "t.npy", PairArrays(diffuser="file"))
    assert [row.diffuser_name for row in each.table.rows] == ["a"] * 10 + ["b"] * 4


def test_every_file_shows_all_objects(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    stack(tmp_path / "glass1.npy", range(10)), stack(tmp_path / "glass3.npy", range(100, 110))
    stack(tmp_path / "t.npy", range(1000, 1010))
    source = ArrayPairs(str(tmp_path), ["glass1.npy", "glass3.npy"], "t.npy", split=Split(2, unseen="diffuser", fold=1))
    belongs_together(source, [*range(10), *range(100, 110)], [*range(1000, 1010)] * 2)  # type: ignore[arg-type]
    assert source.splits == ["train"] * 8 + ["val_seen"] * 2 + [None] * 8 + ["test_unseen"] * 2
    assert source.table.diffusers == {1: "glass1", 3: "glass3"}
    source.prepare()
    assert "Each of 2 files of speckles shows all 10 objects: it is a diffuser." in caplog.text


def test_values_of_each_pair(tmp_path: Path):
    np.savez(
        tmp_path / "x.npz",
        s=np.stack([image(k) for k in range(12)]),
        t=np.stack([image(k) for k in range(12)]),
        d=np.arange(12)[None] % 2 + 4.0,
        o=np.arange(12) // 2,
        z=np.full((12, 1), 0.06),
        c=np.arange(12) // 6,
    )
    numbers = PairArrays("x.npz:d", "x.npz:o", "x.npz:z", "x.npz:c")
    rows = ArrayPairs(str(tmp_path), "x.npz:s", "x.npz:t", numbers).table.rows
    assert [(row.diffuser, row.object, row.distance, row.label) for row in rows] == [
        (k % 2 + 4, k // 2, 0.06, str(k // 6)) for k in range(12)
    ]


def test_another_number_of_targets_is_refused(tmp_path: Path):
    stack(tmp_path / "s.npy", range(10)), stack(tmp_path / "t.npy", range(9))
    with pytest.raises(InvalidValue, match=r"s\.npy: 10 speckles, but .*t\.npy: 9 targets\. Each speckle needs"):
        ArrayPairs(str(tmp_path), "s.npy", "t.npy").prepare()


def test_an_order_that_counts_from_one(tmp_path: Path):
    stack(tmp_path / "s.npy", range(10)), stack(tmp_path / "t.npy", range(10))
    for order, message in (
        (np.arange(1, 11), r"goes from 1 to 10, but the 10 pairs are numbered from 0 to 9\. MATLAB counts from 1"),
        (np.array([1, 2, 1]), "names a pair twice"),
    ):
        np.save(tmp_path / "order.npy", order)
        with pytest.raises(InvalidValue, match=message):
            ArrayPairs(str(tmp_path), "s.npy", "t.npy", PairArrays(order="order.npy")).prepare()


def test_what_is_missing_is_named(tmp_path: Path):
    stack(tmp_path / "s.npy", range(10)), stack(tmp_path / "t.npy", range(10))
    np.savez(tmp_path / "x.npz", a=np.zeros(10), b=np.zeros(9))
    path = str(tmp_path)
    with pytest.raises(InvalidValue, match=r"data\.source\.target is missing: name a file, .*target=x\.mat:YTrain"):
        ArrayPairs(path, "s.npy", None).prepare()
    with pytest.raises(MissingFile, match=r"data\.source\.speckle: .*none\.npy is not there"):
        ArrayPairs(path, "none.npy", "t.npy").prepare()
    with pytest.raises(
        InvalidValue, match=r"data\.source\.speckle has arrays for train, val, .*target for train\. Name"
    ):
        ArrayPairs(path, {"train": "s.npy", "val": "s.npy"}, {"train": "t.npy"}).prepare()
    with pytest.raises(MissingName, match=r"numbers\.object=x\.npz: name the array after a colon; .*holds a, b"):
        ArrayPairs(path, "s.npy", "t.npy", PairArrays(object="x.npz")).prepare()
    with pytest.raises(InvalidValue, match=r"numbers\.object=x\.npz:b holds 9 values, but there are 10 pairs"):
        ArrayPairs(path, "s.npy", "t.npy", PairArrays(object="x.npz:b")).prepare()
    (tmp_path / "s.txt").write_text("1")
    with pytest.raises(InvalidValue, match=r"numbers\.object=s\.txt: one of \.npy, \.npz"):
        ArrayPairs(path, "s.npy", "t.npy", PairArrays(object="s.txt")).prepare()
