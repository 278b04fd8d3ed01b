"""Every layout in which laboratories hold their pairs, imitated and read exactly: as it is, or with one setting."""

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from recordings import SIDE, belongs_together, folder, image, images, matlab73, names, write, write_pairs

from spt.data.files import FileSettings
from spt.data.recorded.arrays import ArrayPairs, PairArrays
from spt.data.recorded.splits import Split
from spt.errors import InvalidValue


def arrays(root: Path, speckle, target, **settings) -> ArrayPairs:
    return ArrayPairs(str(root), speckle, target, **settings)


# Folders --------------------------------------------------------------------------------------------------------------


def test_a_folder_a_diffuser_and_labels_elsewhere(tmp_path: Path):
    """zcshinee/Scattering: 220grit{1..4}/{train,val}/<k>.tif, labels of equal names; one label for all diffusers."""
    parts = (("val", (1, 2)), ("train", (3, 10, 4)))
    for split, numbers in parts:
        for k in numbers:
            write(tmp_path / "label" / split / f"{k}.tif", image(1000 + k))
            for d in (1, 2, 3):
                write(tmp_path / "raw data" / f"220grit{d}" / split / f"{k}.tif", image(100 * d + k))
                (tmp_path / "raw data" / f"220grit{d}" / split / ".DS_Store").write_bytes(b"x")
                (tmp_path / "raw data" / f"220grit{d}" / split / f"._{k}.tif").write_bytes(b"x")
    source = folder(tmp_path, split=Split(unseen_diffusers=[3]))
    order = (3, 4, 10, 1, 2)  # train before val by name, 4 before 10
    belongs_together(source, [100 * d + k for d in (1, 2, 3) for k in order], [1000 + k for k in order] * 3)
    assert source.table.diffusers == {1: "220grit1", 2: "220grit2", 3: "220grit3"}
    assert source.splits == (["train"] * 3 + ["val_seen"] * 2) * 2 + [None] * 3 + ["test_unseen"] * 2
    assert [row.object for row in source.table.rows] == list(order) * 3


def test_one_array_an_image_and_smaller_objects(tmp_path: Path):
    """LintaoPeng/ultra-wide-field: speckle/<k>.mat of MATLAB v5 with one variable, GT/<k>.png."""
    (tmp_path / "speckle").mkdir()
    for k in (2, 10):
        scipy.io.savemat(tmp_path / "speckle" / f"{k}.mat", {"data": 358 + image(k).astype(float) / 20})
        write(tmp_path / "GT" / f"{k}.png", image(1000 + k, 4))
    source = folder(tmp_path)
    assert names(source.table, tmp_path) == [("speckle/2.mat", "GT/2.png"), ("speckle/10.mat", "GT/10.png")]
    assert (source.frame_size, source.object_size) == ((SIDE, SIDE), (4, 4))
    assert torch.allclose(source.speckles[0][1], torch.from_numpy(358 + image(10) / 20).float())


def test_colour_arrays_of_any_aspect(tmp_path: Path):
    """Waller-Lab/LenslessLearning: {diffuser,lensed}/im<k>.npy float32 (h, w, 3)."""
    rng = np.random.default_rng(0)
    scenes = rng.random((3, 6, 10, 3), dtype=np.float32)
    for k in range(3):
        write(tmp_path / "diffuser" / f"im{k}.npy", scenes[k] / 2)
        write(tmp_path / "lensed" / f"im{k}.npy", scenes[k])
    green = FileSettings(axes="hwc", colour="green")
    source = folder(tmp_path, files=green, target_files=green)
    assert len(source.table) == 3
    assert torch.equal(source.speckles[0][:], torch.from_numpy(scenes[..., 1] / 2))
    assert torch.equal(source.targets[0][:], torch.from_numpy(scenes[..., 1]))


def test_twelve_bits_in_files_of_sixteen(tmp_path: Path):
    """LenslessPiCam DigiCam: the full scale is that of the camera."""
    for k in range(3):
        write(tmp_path / "input" / f"{k}.png", image(k, white=4095))
        write(tmp_path / "target" / f"{k}.png", image(1000 + k, white=4095))
    source = folder(tmp_path)
    assert source.speckles[0].dtype == torch.uint16
    assert source.targets[0][1].max() == 1
    assert "full scale 4095" in source.targets[2]


def test_unequal_names_with_equal_numbers(tmp_path: Path):
    """dszvdf/ST-Unet: data/speckle/<k>.bmp, data/label/TestImage_<k>.bmp of another size."""
    for k in (1, 2, 10):
        write(tmp_path / "data" / "speckle" / f"{k}.bmp", image(k, 24))
        write(tmp_path / "data" / "label" / f"TestImage_{k}.bmp", image(1000 + k, 4))
    source = folder(tmp_path)
    assert names(source.table, tmp_path / "data") == [
        (f"speckle/{k}.bmp", f"label/TestImage_{k}.bmp") for k in (1, 2, 10)
    ]
    assert (source.frame_size, source.object_size) == ((24, 24), (4, 4))


def test_input_and_output(tmp_path: Path):
    """XuyuZhang98: dataset/{input,output}/<k>.bmp."""
    write_pairs(tmp_path, "dataset/input/{}.bmp", "dataset/output/{}.bmp", range(1, 12))
    belongs_together(folder(tmp_path), range(1, 12), range(1001, 1012))


def test_splits_above_and_prefixes_before_the_number(tmp_path: Path):
    """Garankeil/FJNNet: data/{train,eval}/speckle/sp_<k>.png, label/lb_<k>.png."""
    write_pairs(tmp_path, "data/train/speckle/sp_{}.png", "data/train/label/lb_{}.png", range(1, 12), 100)
    write_pairs(tmp_path, "data/eval/speckle/sp_{}.png", "data/eval/label/lb_{}.png", range(1, 4), 200)
    source = folder(tmp_path)
    speckles = [*range(201, 204), *range(101, 112)]
    belongs_together(source, speckles, [1000 + k for k in speckles])
    assert source.splits == ["val_seen"] * 3 + ["train"] * 11


def test_a_folder_a_concentration(tmp_path: Path):
    """LittleMount/DescatterNet: 20221102/<concentration>ml/<k>.png: one setting says what the folders are."""
    for k in (1, 2, 3):
        write(tmp_path / "label" / f"{k}.png", image(1000 + k))
        for d, name in enumerate(("0.5ml", "1ml", "10ml"), start=1):
            write(tmp_path / "20221102" / name / f"{k}.png", image(100 * d + k))
    source = folder(tmp_path, speckle="20221102/{diffuser}/{number}.png")
    belongs_together(source, [100 * d + k for d in (1, 2, 3) for k in (1, 2, 3)], [1001, 1002, 1003] * 3)
    assert source.table.diffusers == {1: "0.5ml", 2: "1ml", 3: "10ml"}
    assert folder(tmp_path).table.rows == source.table.rows  # found without it too


def test_several_frames_share_one_target(tmp_path: Path):
    """SpeckleCn2Profiler: one HDF5 file a frame, <name>-<number>.h5; one pattern says what the number is."""
    (tmp_path / "speckle").mkdir()
    for name, first in (("a", 0), ("b", 10)):
        write(tmp_path / "label" / f"{name}.png", image(1000 + first))
        for k in (1, 2):
            with h5py.File(tmp_path / "speckle" / f"{name}-{k}.h5", "w") as file:
                file["frame"] = image(first + k)
    with pytest.raises(InvalidValue, match=r"4 speckles without a target: .*a-1\.h5"):
        _ = folder(tmp_path).table
    source = folder(tmp_path, speckle="speckle/{name}-{frame}.h5")
    belongs_together(source, [1, 2, 11, 12], [1000, 1000, 1010, 1010])
    assert [row.object for row in source.table.rows] == [0, 0, 1, 1]


def test_two_stacks_in_a_folder(tmp_path: Path):
    """LittleMount/DescatterNet: mat_data/input_retinex.mat and label_retinex.mat, each of one array (n, h, w)."""
    scipy.io.savemat(tmp_path / "input_retinex.mat", {"input": images(range(20))})
    scipy.io.savemat(tmp_path / "label_retinex.mat", {"label": images(range(1000, 1020))})
    nhw = FileSettings(axes="nhw")
    source = folder(tmp_path, files=nhw, target_files=nhw)
    belongs_together(source, range(20), range(1000, 1020))
    assert [row.object for row in source.table.rows] == list(range(20))


# Arrays ---------------------------------------------------------------------------------------------------------------


def test_channel_last_and_ranges(tmp_path: Path):
    """bu-cisl/Deep-Speckle-Correlation: x_train.npy, y_train.npy (n, h, w, 1), divided by their maximum; ranges."""
    write(tmp_path / "x_train.npy", images(range(20))[..., None] / 255)
    write(tmp_path / "y_train.npy", images(range(1000, 1020))[..., None])
    source = arrays(tmp_path, "x_train.npy", "y_train.npy", split=Split(validation="10-12,18-19"))
    assert [k for k, split in enumerate(source.splits) if split == "val_seen"] == [10, 11, 12, 18, 19]
    assert torch.allclose(source.load()["val_seen"].speckle[3], torch.from_numpy(image(18) / 255).float())
    # The same folder as it lies there, with the validation arrays that the training code reads.
    write(tmp_path / "x_vali.npy", images(range(20, 25))[..., None] / 255)
    write(tmp_path / "y_vali.npy", images(range(1020, 1025))[..., None])
    assert folder(tmp_path).splits == ["train"] * 20 + ["val_seen"] * 5


def test_named_splits_of_matlab(tmp_path: Path):
    """duha887b/NN_Bildrekonstruktion: DATA_MMF_16.mat, 16 x 16 x 1 x n, XTrain, XValid, XTest and YTrain, …"""
    parts = {"Train": range(9), "Valid": range(20, 23), "Test": range(30, 34)}
    stacks = {f"X{name}": images(numbers) for name, numbers in parts.items()}
    stacks |= {f"Y{name}": images([1000 + k for k in numbers]) for name, numbers in parts.items()}
    matlab73(
        tmp_path / "DATA.mat", **{name: s.transpose(1, 2, 0)[:, :, None].astype(float) for name, s in stacks.items()}
    )
    keys = {"train": "Train", "val": "Valid", "test": "Test"}
    source = arrays(
        tmp_path,
        {split: f"DATA.mat:X{key}" for split, key in keys.items()},
        {split: f"DATA.mat:Y{key}" for split, key in keys.items()},
    )
    splits = source.load()
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 9, "val_seen": 3, "test_seen": 4}
    assert np.array_equal(splits["test_seen"].speckle[1], image(31))
    assert np.allclose(splits["test_seen"].target[1], image(1031) / 255)


def test_groups_and_flat_rows(tmp_path: Path):
    """rodms/opticalfibreml: one HDF5 file, Training/Original_images/ImageNet and flat, larger speckles."""
    with h5py.File(tmp_path / "Data_1m.h5", "w") as file:
        for part, first in (("Training", 0), ("Testing", 50)):
            file[f"{part}/Speckle_images/ImageNet"] = images(range(first, first + 10), 12).reshape(10, -1)
            file[f"{part}/Original_images/ImageNet"] = images(range(first, first + 10), 5)
    names = {"train": "Training", "test": "Testing"}
    source = arrays(
        tmp_path,
        {split: f"Data_1m.h5:{name}/Speckle_images/ImageNet" for split, name in names.items()},
        {split: f"Data_1m.h5:{name}/Original_images/ImageNet" for split, name in names.items()},
        files=FileSettings(shape=[12, 12]),
    )
    splits = source.load()
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 9, "val_seen": 1, "test_seen": 10}
    assert np.array_equal(splits["test_seen"].speckle[0], image(50, 12))
    assert (source.frame_size, source.object_size) == ((12, 12), (5, 5))


def test_pickles_are_refused(tmp_path: Path):
    """zhuchangyan/Multimode-fiber: Python pickles named .dat."""
    (tmp_path / "speckle.dat").write_bytes(pickle.dumps({"x": [1, 2, 3]}))
    write(tmp_path / "target.npy", images(range(3)))
    with pytest.raises(InvalidValue, match=r"speckle\.dat"):
        arrays(tmp_path, "speckle.dat", "target.npy").prepare()


def test_an_array_holds_the_order(tmp_path: Path):
    """Zye3/Speckle-Image-Reconstruction: speckle.npy, original.npy, index.npy; cut in sequence."""
    write(tmp_path / "speckle.npy", images(range(10)).astype(np.uint16) * 257)
    write(tmp_path / "original.npy", images(range(1000, 1010)) / 255)
    write(tmp_path / "index.npy", np.array([7, 3, 9, 0, 5, 1, 2, 8]))
    source = arrays(
        tmp_path,
        "speckle.npy",
        "original.npy",
        numbers=PairArrays(order="index.npy"),
        split=Split(validation=0.25, test=0.25),
    )
    splits = source.load()
    assert {name: pairs.object.tolist() for name, pairs in splits.items()} == {
        "train": [7, 3, 9, 0],
        "val_seen": [5, 1],
        "test_seen": [2, 8],
    }
    assert np.array_equal(splits["train"].speckle[1].numpy(), image(3).astype(np.uint16) * 257)


def test_rows_in_the_order_of_columns(tmp_path: Path):
    """Rice TransmissionMatrices: v7.3, rows (n, h*w) whose pixels run down the columns."""
    flat = images(range(5)).transpose(0, 2, 1).reshape(5, -1)
    matlab73(tmp_path / "YH_squared_train.mat", YH_squared_train=flat.astype(float))
    matlab73(tmp_path / "XH_train.mat", XH_train=images(range(1000, 1005)).transpose(0, 2, 1).reshape(5, -1) * 1.0)
    rows = FileSettings(shape=[SIDE, SIDE], order="F")
    source = arrays(tmp_path, "YH_squared_train.mat", "XH_train.mat", files=rows, target_files=rows)
    assert np.array_equal(source.speckles[0][3], image(3))
    assert np.allclose(source.targets[0][3], image(1003) / 255)


def test_raw_records_need_a_description(tmp_path: Path):
    """Babak70/information_retrieval: .bin without a header: refused, unless type and shape are stated."""
    (tmp_path / "speckle.bin").write_bytes(b"head" + images(range(6)).tobytes())
    write(tmp_path / "target.npy", images(range(1000, 1006)))
    with pytest.raises(InvalidValue, match=r"speckle\.bin.*dtype"):
        arrays(tmp_path, "speckle.bin", "target.npy").prepare()
    raw = FileSettings(dtype="u1", shape=[SIDE, SIDE], offset=4)
    source = arrays(tmp_path, "speckle.bin", "target.npy", files=raw)
    assert np.array_equal(source.speckles[0][5], image(5))


def test_flat_objects_and_shares_in_sequence(tmp_path: Path):
    """Stanwade/MMF: pattern.npy (n, h*w), a stack of speckles; 70, 15 and 15 % in sequence."""
    write(tmp_path / "SI_200.npy", images(range(20), 12))
    write(tmp_path / "pattern.npy", images(range(1000, 1020)).reshape(20, -1))
    source = arrays(
        tmp_path,
        "SI_200.npy",
        "pattern.npy",
        target_files=FileSettings(shape=[SIDE, SIDE]),
        split=Split(validation=0.15, test=0.15),
    )
    assert source.splits == ["train"] * 14 + ["val_seen"] * 3 + ["test_seen"] * 3
    assert np.array_equal(source.targets[0][7], image(1007))
