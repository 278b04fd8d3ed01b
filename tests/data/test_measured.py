from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import composed

from spt.data.measured import MeasuredDiffusers, targets
from spt.data.preparation import Amplitude
from spt.errors import InvalidValue
from spt.evaluation.linear_ridge import LinearRidge
from spt.metrics import pcc
from spt.run.building import build

FILES = {1: "d1.npz", 2: "d2.npz", 3: "d3.npz"}


@pytest.fixture
def frames():
    """Five frames of 12 px through each of three diffusers, all pixels random."""
    rng = np.random.default_rng(0)
    return {d: rng.integers(0, 256, (5, 12, 12), dtype=np.uint8) for d in FILES}


@pytest.fixture
def objects():
    return np.random.default_rng(1).integers(0, 2, (5, 28, 28), dtype=np.uint8) * 255


@pytest.fixture
def source(tmp_path, frames, objects):
    for d, name in FILES.items():
        np.savez(tmp_path / name, speckle=frames[d])
    np.savez(tmp_path / "objects.npz", object28=objects)
    return MeasuredDiffusers(
        root=str(tmp_path),
        speckle_files=FILES,
        object_file="objects.npz",
        size=12,
        validation=2,
        unseen_diffusers=[2],
        object_scale=1.0,
        threshold=0.6,
    )


def test_frames_land_in_their_split_and_nowhere_else(source, frames, objects):
    splits = source.load()
    target = targets(torch.from_numpy(objects), 12, 1.0, 0.6)
    plan = {  # (diffuser, frame) in order
        "train": [(d, k) for d in (1, 3) for k in (2, 3, 4)],
        "val_seen": [(d, k) for d in (1, 3) for k in (0, 1)],
        "test_unseen": [(2, 0), (2, 1)],
    }
    assert list(splits) == list(plan)
    for name, pairs in splits.items():
        assert pairs.name == name
        assert pairs.diffuser.tolist() == [d for d, _ in plan[name]]
        assert pairs.speckle.dtype == torch.uint8
        assert np.array_equal(pairs.speckle, np.stack([frames[d][k] for d, k in plan[name]]))
        assert torch.equal(pairs.target, torch.stack([target[k] for _, k in plan[name]]))


def test_nothing_of_an_unseen_diffuser_and_no_validation_object_is_trained(source, frames):
    """Later objects through the unseen diffuser are in no split at all."""
    splits = source.load()
    shown = {name: {frame.numpy().tobytes() for frame in pairs.speckle} for name, pairs in splits.items()}
    hidden = {frame.tobytes() for frame in frames[2]}
    assert not hidden & (shown["train"] | shown["val_seen"])
    assert shown["test_unseen"] == {frame.tobytes() for frame in frames[2][:2]}
    first = {frames[d][k].tobytes() for d in FILES for k in (0, 1)}
    assert not first & shown["train"]


def test_pairs_know_their_frame(source):
    splits = source.load()
    assert splits["train"].object.tolist() == [2, 3, 4] * 2
    assert splits["val_seen"].object.tolist() == [0, 1] * 2
    assert splits["test_unseen"].object.tolist() == [0, 1]


def test_a_diffuser_that_is_added_on_the_command_line(source, tmp_path, frames):
    """Its number arrives as text."""
    np.savez(tmp_path / "d4.npz", speckle=frames[1])
    four = replace(source, speckle_files={**FILES, "4": "d4.npz"})
    assert four.load()["train"].diffuser.unique().tolist() == [1, 3, 4]
    with pytest.raises(InvalidValue, match="speckle_files: 'four' is no number of a diffuser"):
        replace(source, speckle_files={**FILES, "four": "d4.npz"})


def test_frames_that_are_not_square(source, tmp_path):
    np.savez(tmp_path / "d2.npz", speckle=np.zeros((5, 60, 80), np.uint8))
    with pytest.raises(InvalidValue, match=r"d2.npz: frames of 60x80 px are not square.* Cut the frames to squares"):
        source.load()


def test_without_unseen_diffusers_there_is_no_test_split(source):
    splits = replace(source, unseen_diffusers=[]).load()
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 9, "val_seen": 6}
    assert splits["train"].diffuser.tolist() == [1] * 3 + [2] * 3 + [3] * 3


def test_diffusers_are_in_order_of_their_numbers(source):
    swapped = replace(source, speckle_files=dict(reversed(FILES.items())), unseen_diffusers=[])
    assert swapped.load()["val_seen"].diffuser.tolist() == [1, 1, 2, 2, 3, 3]


def test_smaller_frames_are_block_means(source, frames):
    pairs = replace(source, size=4).load()["test_unseen"]
    expected = frames[2][:2].reshape(2, 4, 3, 4, 3).mean((2, 4))
    np.testing.assert_allclose(pairs.speckle, expected, rtol=1e-6)
    assert pairs.target.shape == (2, 4, 4)


def test_files_of_different_size_are_reduced_alike(source, tmp_path):
    np.savez(tmp_path / "d1.npz", speckle=np.kron(np.arange(5)[:, None, None] * np.ones((1, 4, 4)), np.ones((1, 6, 6))))
    pairs = replace(source, size=4).load()["val_seen"]
    assert pairs.speckle[:2].unique().tolist() == [0, 1]
    assert pairs.diffuser.tolist() == [1, 1, 3, 3]


def test_a_target_of_the_objects_size_is_the_object(objects):
    binary = torch.from_numpy(objects)
    assert torch.equal(targets(binary, 28, 1.0, 0.6), binary.float() / 255)
    assert torch.equal(targets(binary, 28, 1.0, None), binary.float() / 255)


def test_grey_targets_keep_their_levels():
    grey = torch.arange(4, dtype=torch.uint8).view(1, 2, 2) * 85
    torch.testing.assert_close(targets(grey, 2, 1.0, None), torch.tensor([[[0, 1 / 3], [2 / 3, 1]]]))


def test_upsampling_literal():
    # Two columns 0 and 1 on four: bilinear 0, 1/4, 3/4, 1; at scale 2 the middle two are kept.
    step = torch.tensor([[[0, 255], [0, 255]]], dtype=torch.uint8)
    torch.testing.assert_close(targets(step, 4, 1.0, None), torch.tensor([[[0, 0.25, 0.75, 1]] * 4]).reshape(1, 4, 4))
    torch.testing.assert_close(targets(step, 2, 2.0, None), torch.tensor([[[0.25, 0.75], [0.25, 0.75]]]))


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.2, [0, 1, 1, 1]), (0.6, [0, 0, 1, 1]), (0.75, [0, 0, 0, 1]), (0.9, [0, 0, 0, 1])]
)
def test_only_what_is_above_the_threshold_is_1(threshold, expected):
    step = torch.tensor([[[0, 255], [0, 255]]], dtype=torch.uint8)
    assert targets(step, 4, 1.0, threshold)[0, 0].tolist() == expected


def test_the_middle_is_kept():
    """At the measured geometry, 1.04 x 256 px, mirrored objects give mirrored targets: nothing is shifted."""
    generator = torch.Generator().manual_seed(0)
    grey = torch.randint(0, 256, (2, 28, 28), dtype=torch.uint8, generator=generator)
    for axis in (1, 2):
        torch.testing.assert_close(
            targets(grey.flip(axis), 256, 1.04, None), targets(grey, 256, 1.04, None).flip(axis), rtol=0, atol=1e-5
        )
    point = torch.zeros(1, 28, 28, dtype=torch.uint8)
    point[0, 3, 20] = 255
    y, x = divmod(int(targets(point, 256, 1.04, None).argmax()), 256)
    # Centre of cell k on 266 px: (k + 1/2) 266 / 28 - 1/2, less the edge of 5 px; y is the first axis.
    assert (y, x) == (pytest.approx(3.5 * 9.5 - 5.5, abs=1), pytest.approx(20.5 * 9.5 - 5.5, abs=1))


@pytest.mark.parametrize("unseen", [[1, 2, 3], [4], [1, 4]])
def test_unseen_diffusers_that_leave_none_or_are_unknown(source, unseen):
    with pytest.raises(ValueError, match=r"unseen_diffusers = .* must leave at least one of \[1, 2, 3\]"):
        replace(source, unseen_diffusers=unseen)


def test_object_scale_below_1(source):
    with pytest.raises(ValueError, match=r"data.source.object_scale must be at least 1, got 0.9"):
        replace(source, object_scale=0.9)


@pytest.mark.parametrize("validation", [0, 5, -1])
def test_validation_that_leaves_nothing(source, validation):
    with pytest.raises(ValueError, match=f"data.source.validation must leave .*: 1 to 4, got {validation}"):
        replace(source, validation=validation).load()


@pytest.mark.parametrize("root", [None, ""])
def test_no_folder_given(source, root):
    for act in (replace(source, root=root).prepare, replace(source, root=root).load):
        with pytest.raises(FileNotFoundError, match="Set the environment variable SPT_DATA"):
            act()


def test_a_folder_that_is_not_there(source, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path / 'none'} is not a folder"):
        replace(source, root=str(tmp_path / "none")).prepare()
    with pytest.raises(FileNotFoundError, match=r"objects.npz is not a folder"):
        replace(source, root=str(tmp_path / "objects.npz")).prepare()


@pytest.mark.parametrize("name", ["d3.npz", "objects.npz"])
def test_a_missing_file_is_named(source, tmp_path, name):
    source.prepare()
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is not there"):
        source.load()


@pytest.mark.parametrize("shape", [(4, 12, 12), (6, 12, 12), (5, 12), (5, 12, 12, 1)])
def test_speckles_of_another_shape(source, tmp_path, shape):
    np.savez(tmp_path / "d3.npz", speckle=np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=r"d3.npz: expected speckle of shape \(5, h, w\), got \("):
        source.load()


@pytest.mark.parametrize("shape", [(5, 11, 12), (5, 12, 11)])
def test_frames_smaller_than_the_size(source, tmp_path, shape):
    np.savez(tmp_path / "d2.npz", speckle=np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=r"d2.npz: frames of \(1\d, 1\d\) px are smaller than data.source.size = 12"):
        source.load()


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_frames_with_nan_are_numbered(source, tmp_path, frames, value):
    speckle = frames[1].astype(np.float32)
    speckle[1, 3, 3] = speckle[4, :2] = value
    np.savez(tmp_path / "d1.npz", speckle=speckle)
    with pytest.raises(ValueError, match=r"d1.npz: frame\(s\) 1, 4 .* hold NaN, infinity or negative"):
        source.load()


@pytest.mark.parametrize("objects", [np.ones((5, 28, 28)), np.ones((5, 784), np.uint8)], ids=["float", "flat"])
def test_objects_of_another_kind(source, tmp_path, objects):
    """Floats in [0, 1] would be divided by 255 and thresholded to nothing."""
    np.savez(tmp_path / "objects.npz", object28=objects)
    with pytest.raises(ValueError, match=r"objects.npz: expected object28 as uint8 of shape \(frames, h, w\), got"):
        source.load()


def real(root, **changed):
    """The source as configs/data/real_220grit.yaml describes it."""
    return replace(
        build(composed("data=real_220grit", f"data.source.root={root / 'real_220grit'}").data.source), **changed
    )


def score_of_the_mean_image(splits):
    val = splits["val_seen"].images()
    return pcc(splits["train"].images().mean(0).expand_as(val), val).mean().item()


def test_real_frames_and_what_the_mean_image_scores(real_data):
    splits = real(real_data).load()
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 1100, "val_seen": 100, "test_unseen": 50}
    assert all(pairs.speckle.shape[1:] == pairs.target.shape[1:] == (256, 256) for pairs in splits.values())
    assert splits["train"].diffuser.bincount().tolist() == [0, 550, 550]
    assert splits["test_unseen"].diffuser.unique().tolist() == [3]
    assert score_of_the_mean_image(splits) == pytest.approx(0.483, abs=0.002)


def test_real_speckles_are_those_of_their_objects(real_data):
    """A ridge sees through the diffusers it was fitted on and not through another: the labels are aligned."""
    splits = real(real_data, size=64, threshold=None).load()
    ridge = LinearRidge(splits["train"], Amplitude())
    scores = {name: pcc(torch.cat(list(ridge(pairs))), pairs.images()).mean().item() for name, pairs in splits.items()}
    mean = score_of_the_mean_image(splits)
    assert mean == pytest.approx(0.586, abs=0.002)
    assert scores["val_seen"] == pytest.approx(0.965, abs=0.01)
    assert scores["test_unseen"] < mean
