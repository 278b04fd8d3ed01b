"""The ready configurations for published sets, each on a small imitation of its layout, one on the data themselves."""

from pathlib import Path

import numpy as np
import pytest
from conftest import composed
from recordings import image, images, matlab73, write

from spt.data.datamodule import SpeckleDataModule
from spt.errors import MissingFile
from spt.run.building import build


def data(*overrides: str) -> SpeckleDataModule:
    module = build(composed(*overrides).data)
    module.prepare_data()
    module.setup()
    return module


def counts(module: SpeckleDataModule) -> dict[str, int]:
    return {name: len(pairs) for name, pairs in module.splits.items()}


def test_deep_speckle(tmp_path: Path):
    for name, first, count in (("train", 0, 12), ("vali", 20, 3)):
        write(tmp_path / f"x_{name}.npy", images(range(first, first + count), 16)[..., None] / 255)
        write(tmp_path / f"y_{name}.npy", images(range(1000 + first, 1000 + first + count), 16)[..., None] // 255)
    module = data("data=deep_speckle", f"data.source.root={tmp_path}")
    assert counts(module) == {"train": 12, "val_seen": 3}
    assert np.array_equal(module.splits["val_seen"].target[1], image(1021, 16) // 255 * 255)
    ranges = ("data.source.speckle.val=null", "data.source.target.val=null", "data.source.split.validation=10-11")
    assert counts(data("data=deep_speckle", f"data.source.root={tmp_path}", *ranges)) == {"train": 10, "val_seen": 2}


def test_fibre_mat(tmp_path: Path):
    stacks = {
        f"{side}{name}": images(range(first + offset, first + offset + count), 16).transpose(1, 2, 0)[:, :, None] * 1.0
        for name, first, count in (("Train", 0, 12), ("Valid", 20, 3), ("Test", 30, 4))
        for side, offset in (("X", 0), ("Y", 1000))
    }
    matlab73(tmp_path / "DATA_MMF_16.mat", **stacks)
    module = data("data=fibre_mat", f"data.source.root={tmp_path}")
    assert counts(module) == {"train": 12, "val_seen": 3, "test_seen": 4}
    assert np.array_equal(module.splits["test_seen"].speckle[2], image(32, 16))
    assert np.allclose(module.splits["test_seen"].target[2], image(1032, 16) / 255)


@pytest.mark.parametrize("suffix", ["tif", "jp2"])
def test_scattering_220grit(tmp_path: Path, suffix: str):
    for d in (1, 2, 3, 4):
        for split, numbers in (("val", (1, 2)), ("train", (3, 4, 10))):
            for k in numbers:
                write(tmp_path / "raw" / f"220grit{d}" / split / f"{k}.{suffix}", image(100 * d + k, 32))
                (tmp_path / "raw" / f"220grit{d}" / ".DS_Store").write_bytes(b"x")
    np.savez(tmp_path / "labels.npz", object28=np.stack([image(1000 + k, 16) for k in range(12)]))
    module = data(
        "data=scattering_220grit",
        f"data.source.root={tmp_path / 'raw'}",
        f"data.source.target='{tmp_path}/labels.npz:object28[number-1]'",
    )
    assert counts(module) == {"train": 9, "val_seen": 6, "test_unseen": 2}
    assert module.splits["test_unseen"].object.tolist() == [0, 1]
    assert module.splits["test_unseen"].diffuser.tolist() == [3, 3]
    assert (module.input_size, module.object_size) == ((16, 16), (256, 256))
    with pytest.raises(MissingFile, match=r"data\.source\.root is missing"):
        data("data=scattering_220grit", "data.source.root=null")


def test_scattering_220grit_as_it_was_measured(real_data: Path):
    module = data("data=scattering_220grit", "data.cache=none")
    assert counts(module) == {"train": 640, "val_seen": 100, "test_unseen": 50}
    assert (module.source.frame_size, module.input_size, module.object_size) == ((512, 512), (256, 256), (256, 256))
    # The same frames, binned and without loss, as they are in the other set: frame 7 of diffuser 3 shows object 6.
    test = module.splits["test_unseen"]
    assert (int(test.object[6]), int(test.diffuser[6])) == (6, 3)
    with np.load(real_data / "real_220grit" / "speckle_bin2_256_diffuser3.npz") as archive:
        binned = archive["speckle"][6].astype(float)
    ours = test.speckle[6].double().unflatten(0, (256, 2)).unflatten(2, (256, 2)).mean((1, 3)).numpy()
    assert np.corrcoef(ours.ravel(), binned.ravel())[0, 1] > 0.99
