from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import in_memory
from simulated_sources import SOURCE, THIN

from spt.data.objects import GLYPHS, FaceObjects, SparseObjects, StoredObjects, draw_glyph, draw_object
from spt.data.pairs import PairsDataset
from spt.data.preparation import Amplitude
from spt.data.simulated import SimulatedSpeckles
from spt.data.streams import stream
from spt.metrics import pcc
from spt.optics import Camera, ThinDiffuser, select

CPU = torch.device("cpu")
HELD_OUT = "47AaGgKkRr"
SMALL = replace(SOURCE, objects=SparseObjects(HELD_OUT))


def small(folder, **changed):
    return replace(SMALL, cache=str(folder), **changed)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return small(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def splits(source):
    return in_memory(source.load())


@pytest.fixture
def no_simulation(monkeypatch):
    monkeypatch.setattr(SimulatedSpeckles, "simulate", lambda self, *pairs: pytest.fail("simulated again"))


def files(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def same(first, second):
    return all(
        torch.equal(getattr(first[name], field), getattr(second[name], field))
        for name in first
        for field in ("speckle", "target", "diffuser")
    )


def test_sizes_and_types(source, splits):
    assert source.size == 32
    assert {name: len(pairs) for name, pairs in splits.items()} == {
        "train": 24,
        "val_seen": 8,
        "val_class": 8,
        "val_unseen": 8,
        "test_seen": 8,
    }
    for name, pairs in splits.items():
        assert pairs.name == name
        assert pairs.speckle.shape == pairs.target.shape == (len(pairs), 32, 32)
        assert pairs.speckle.dtype == pairs.target.dtype == torch.uint8
        assert set(pairs.target.unique().tolist()) == {0, 255}


def test_one_file_appears_and_is_read_again(source, splits, no_simulation):
    assert files(source.cache) == [source.path.name]
    assert same(in_memory(source.load()), splits)


def test_the_cache_folder_is_made_and_is_not_part_of_the_name(source, tmp_path):
    elsewhere = small(tmp_path / "a" / "b")
    elsewhere.prepare()
    assert elsewhere.path == tmp_path / "a" / "b" / source.path.name
    assert elsewhere.path.exists()


def test_two_caches_are_equal_to_the_bit_whatever_torch_was_seeded_with(splits, tmp_path):
    torch.manual_seed(123)
    np.random.seed(123)
    before = torch.get_rng_state()
    assert same(in_memory(small(tmp_path).load()), splits)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert small("~/cache").path.parent == tmp_path / "cache"


@pytest.mark.parametrize(
    "changed",
    [
        {"train": 25},
        {"validation": 9},
        {"train_diffusers": 3},
        {"unseen_diffusers": 4},
        {"objects": SparseObjects("47AaGgKkR")},
        {"objects": SparseObjects(glyph_share=0.25)},
        {"objects": FaceObjects()},
        {"train_diffusers": None},
        {"seed": 1},
        {"camera": Camera(photoelectrons=201.0)},
        {"setup": replace(THIN, camera_distance=2.1e-3)},
        {"setup": replace(THIN, modulation="amplitude")},
        {"setup": replace(THIN, diffuser=ThinDiffuser(2.91, 33.1e-6))},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_setting_that_decides_the_pixels_names_another_file(source, changed):
    assert replace(source, **changed).path != source.path


def test_a_new_recipe_or_pillow_leaves_old_files_aside(source, monkeypatch):
    old = source.path
    monkeypatch.setattr("spt.data.simulated.RECIPE", 10**6)
    assert source.path != old
    monkeypatch.undo()
    monkeypatch.setattr("spt.data.objects.sparse.PIL.__version__", "0.0")
    assert source.path != old


def test_another_seed_gives_other_objects_screens_and_file(source, splits, tmp_path):
    other = small(tmp_path, seed=1)
    pairs = in_memory(other.load())
    assert other.path.name != source.path.name
    assert not (pairs["train"].target == splits["train"].target).flatten(1).all(1).any()
    objects = splits["train"].images()[:4, 0]
    first = torch.zeros(4, dtype=torch.long)
    same_object = torch.stack([THIN.intensity(objects, select(m, first)) for m in media(source, other)])
    assert pcc(same_object[0][:, None], same_object[1][:, None]).mean().abs() < 0.3


def media(*sources):
    return [source.setup.draw(5, [stream(source.seed, "medium", k) for k in range(5)]) for source in sources]


def test_no_object_is_in_two_splits_or_twice_in_one(splits):
    images = [image.numpy().tobytes() for pairs in splits.values() for image in pairs.target]
    assert len(images) == len(set(images)) == 56


def test_val_class_shows_held_out_glyphs_alone(splits):
    for i, image in enumerate(splits["val_class"].target):
        rng = stream(0, "object", i, "val_class")
        rng.random()  # glyph or strokes
        assert np.array_equal(image, draw_glyph(HELD_OUT[rng.integers(len(HELD_OUT))], 32, rng))


@pytest.mark.parametrize("name", ["train", "val_seen", "val_unseen"])
def test_the_other_splits_never_show_them(splits, name):
    seen = "".join(c for c in GLYPHS if c not in HELD_OUT)
    for i, image in enumerate(splits[name].target):
        assert np.array_equal(image, draw_object(32, seen, 0.5, stream(0, "object", i, name)))


def test_diffusers_take_turns_and_unseen_ones_are_new(splits):
    assert splits["train"].diffuser.tolist() == [0, 1] * 12
    assert splits["val_seen"].diffuser.tolist() == [0, 1] * 4
    assert splits["val_class"].diffuser.tolist() == [0, 1] * 4
    assert splits["val_unseen"].diffuser.tolist() == [2, 3, 4, 2, 3, 4, 2, 3]


def test_each_speckle_is_its_object_behind_its_diffuser_and_no_other(source, splits):
    """The forward model of the stored object through the numbered screen is the stored frame up to noise (r > .99);
    through any other screen, trained or unseen, it is not (single frames of some 100 grains: |r| < .35)."""
    (drawn,) = media(source)
    for pairs in splits.values():
        objects, recorded = pairs.images()[:, 0], pairs.speckle[:, None].float()
        for d in range(5):
            light = THIN.intensity(objects, select(drawn, torch.full((len(pairs),), d)))
            full_well = source.camera.saturation * light.mean((1, 2), keepdim=True)
            similar = pcc(light.minimum(full_well)[:, None], recorded)
            own = pairs.diffuser == d
            assert (similar[own] > 0.99).all()
            assert similar[~own].abs().max() < 0.35
            assert similar[~own].mean().abs() < 0.2


def test_a_fine_camera_keeps_its_levels(splits, tmp_path):
    pairs = in_memory(small(tmp_path, camera=Camera(bits=12)).load())["train"]
    assert pairs.speckle.dtype == torch.uint16
    assert 255 < pairs.speckle.int().max() <= 4095
    coarse = splits["train"].speckle.float() / 255
    torch.testing.assert_close(pairs.speckle.float() / 4095, coarse, rtol=0, atol=0.51 / 255 + 0.51 / 4095)
    dataset = PairsDataset(pairs, Amplitude())
    assert dataset.__getitems__([0, 1, 2])["speckle"].shape == (3, 1, 32, 32)


def test_a_frame_is_drawn_from_streams_that_nothing_else_has(splits):
    """Medium and noise by their numbers alone: what another program needs to repeat a set."""
    medium = THIN.draw(5, [stream(0, "medium", d) for d in range(5)])
    for name, pairs in splits.items():
        light = THIN.intensity(pairs.images()[:, 0], select(medium, pairs.diffuser))
        frames = [Camera().expose(one, stream(0, "noise", k, name)) for k, one in enumerate(light)]
        torch.testing.assert_close(torch.stack(frames), pairs.speckle.float(), rtol=0, atol=1)
        assert (torch.stack(frames) == pairs.speckle).float().mean() > 0.999


# A fresh diffuser for every pair -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh_source(tmp_path_factory):
    return small(tmp_path_factory.mktemp("fresh"), train_diffusers=None, train=70)


@pytest.fixture(scope="module")
def fresh_splits(fresh_source):
    return in_memory(fresh_source.load())


def test_fresh_diffusers_are_numbered_and_new(fresh_splits):
    """Unseen diffusers 0 to 2, then one a training pair; val_seen looks through those of the first training pairs."""
    assert fresh_splits["train"].diffuser.tolist() == list(range(3, 73))
    assert fresh_splits["val_seen"].diffuser.tolist() == list(range(3, 11))
    assert fresh_splits["val_unseen"].diffuser.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_fresh_pair_is_its_object_behind_the_diffuser_of_its_number(fresh_source, fresh_splits):
    for name, pairs in fresh_splits.items():
        medium = THIN.draw(len(pairs), [stream(0, "medium", d) for d in pairs.diffuser.tolist()])
        light = THIN.intensity(pairs.images()[:, 0], medium)
        full_well = Camera().saturation * light.mean((1, 2), keepdim=True)
        assert (pcc(light.minimum(full_well)[:, None], pairs.speckle[:, None].float()) > 0.99).all(), name


def test_fresh_diffusers_and_noise_are_independent(fresh_source):
    """One object: speckles of different diffusers do not correlate (|mean PCC| < .02 over 64 pairs) once the mean
    frame, darker at its edges, is divided out; the same object behind the same diffuser has other noise."""
    objects = torch.zeros(193, 32, 32, dtype=torch.uint8)
    frames = fresh_source.simulate("train", range(193), objects, CPU)["speckle"]
    speckle = frames[:65] / frames[65:].mean(0)
    assert pcc(speckle[:-1, None], speckle[1:, None]).mean().abs() < 0.02
    again, speckle = fresh_source.simulate("val_seen", range(2), objects[:2], CPU)["speckle"], frames
    noise = [(frames - frames.mean()).flatten() for frames in (speckle[0] - again[0], speckle[1] - again[1])]
    assert noise[0].std() > 1
    assert torch.corrcoef(torch.stack(noise))[0, 1].abs() < 0.1


def test_the_split_of_a_batch_changes_no_bit(fresh_source, fresh_splits, monkeypatch):
    train = fresh_splits["train"]
    whole = fresh_source.simulate("train", range(70), train.target, CPU)
    assert torch.equal(whole["speckle"].byte(), train.speckle)
    picked = [69, 3, 40, 41, 7]
    part = fresh_source.simulate("train", picked, train.target[picked], CPU)
    assert torch.equal(part["speckle"], whole["speckle"][picked])
    assert torch.equal(part["diffuser"], whole["diffuser"][picked])
    monkeypatch.setattr("spt.data.simulated.SAMPLES_AT_ONCE", {"cpu": 1})
    one_by_one = replace(fresh_source).simulate("train", range(70), train.target, CPU)
    assert torch.equal(one_by_one["speckle"], whole["speckle"])


# What else is drawn, and what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("train_diffusers", [2, None])
def test_the_distance_of_each_pair_is_kept(tmp_path, train_diffusers):
    """Drawn uniformly in the range, one a medium; pairs of one diffuser have its distance."""
    setup = replace(THIN, camera_distance=(1.5e-3, 2e-3))
    splits = in_memory(small(tmp_path, setup=setup, train_diffusers=train_diffusers).load())
    for pairs in splits.values():
        distance = pairs.parameters["distance"]
        assert distance.dtype == torch.float64
        assert ((distance >= 1.5e-3) & (distance <= 2e-3)).all()
        by_diffuser = {d: distance[pairs.diffuser == d].unique() for d in pairs.diffuser.tolist()}
        assert all(len(values) == 1 for values in by_diffuser.values())
        assert len({float(values) for values in by_diffuser.values()}) == len(by_diffuser)


def test_objects_are_named(splits):
    names = torch.cat([pairs.object for pairs in splits.values()])
    assert len(names.unique()) == 56


@pytest.fixture
def pictures(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).integers(0, 256, (40, 9, 9), np.uint8))
    return StoredObjects(str(tmp_path / "a.npz"), "x", validation_share=0.2)


def test_objects_without_classes_give_no_val_class(tmp_path, pictures):
    splits = in_memory(small(tmp_path, objects=pictures).load())
    assert list(splits) == ["train", "val_seen", "val_unseen"]


def test_half_of_the_objects_are_kept_for_the_test(tmp_path, pictures):
    splits = in_memory(small(tmp_path, objects=pictures, validation=4).load())
    assert list(splits) == ["train", "val_seen", "val_unseen", "test_seen"]
    assert not set(splits["test_seen"].object.tolist()) & set(splits["val_seen"].object.tolist())
    assert splits["test_seen"].diffuser.tolist() == splits["val_seen"].diffuser.tolist()


def test_more_validation_pairs_than_objects(tmp_path, pictures):
    with pytest.raises(ValueError, match=r"validation = 9, but there are only 8 objects for val_seen. Lower it"):
        small(tmp_path, objects=pictures, validation=9).load()


@pytest.mark.parametrize("name", ["train", "validation", "train_diffusers", "unseen_diffusers"])
def test_counts_below_1(name):
    with pytest.raises(ValueError, match=f"data.source.{name} must be at least 1, got 0"):
        replace(SMALL, **{name: 0})


def test_an_unknown_device():
    with pytest.raises(ValueError, match=r"data.source.device must be 'auto', 'cpu' or 'cuda', got 'tpu'"):
        replace(SMALL, device="tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu():
    with pytest.raises(ValueError, match=r"there is no GPU. Use data.source.device=auto"):
        replace(SMALL, device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("train_diffusers", [2, None])
def test_a_gpu_gets_the_data_of_a_cpu(tmp_path, train_diffusers):
    """The same objects, diffusers and noise; grey levels differ by the rounding of the light alone."""
    here, there = (
        in_memory(small(tmp_path, train_diffusers=train_diffusers, device=d).load()) for d in ("cpu", "cuda")
    )
    for name, pairs in here.items():
        assert torch.equal(pairs.target, there[name].target)
        assert torch.equal(pairs.diffuser, there[name].diffuser)
        assert (pairs.speckle != there[name].speckle).float().mean() < 0.01
        assert (pairs.speckle.int() - there[name].speckle.int()).abs().max() <= 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_split_of_a_batch_changes_no_bit_on_a_gpu(tmp_path):
    source = small(tmp_path, train_diffusers=None, device="cuda")
    objects = torch.zeros(70, 32, 32, dtype=torch.uint8)
    whole, again = (source.simulate("train", range(70), objects, torch.device("cuda"))["speckle"] for _ in range(2))
    assert torch.equal(whole, again)
    picked = [69, 3, 40, 41, 7]
    assert torch.equal(source.simulate("train", picked, objects[:5], torch.device("cuda"))["speckle"], whole[picked])
