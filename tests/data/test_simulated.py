from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spt.data.objects import GLYPHS, draw_glyph, draw_object
from spt.data.pairs import PairsDataset, collate
from spt.data.preparation import Preparation
from spt.data.simulated import SimulatedSpeckles
from spt.metrics import pcc
from spt.optics import Camera, ThinDiffuser, ThinDiffuserSetup, select

HELD_OUT = "47AaGgKkRr"
SETUP = ThinDiffuserSetup(
    window=32,
    grid=72,
    pitch=4e-6,
    wavelength=532e-9,
    object_distance=1e-3,
    camera_distance=2e-3,
    diffuser=ThinDiffuser(sigma_phi=2.92, correlation_length=20e-6),
)
SMALL = SimulatedSpeckles(
    SETUP,
    Camera(),
    train=24,
    validation=8,
    train_diffusers=2,
    unseen_diffusers=3,
    held_out_glyphs=HELD_OUT,
    cache="nowhere",
)


def small(folder, **changed):
    return replace(SMALL, cache=str(folder), **changed)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return small(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def splits(source):
    return source.load()


@pytest.fixture
def no_simulation(monkeypatch):
    monkeypatch.setattr(SimulatedSpeckles, "_simulate", lambda self: pytest.fail("simulated again"))


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
    }
    for name, pairs in splits.items():
        assert pairs.name == name
        assert pairs.speckle.shape == pairs.target.shape == (len(pairs), 32, 32)
        assert pairs.speckle.dtype == pairs.target.dtype == torch.uint8
        assert set(pairs.target.unique().tolist()) == {0, 255}


def test_one_file_appears_and_is_read_again(source, splits, no_simulation):
    assert files(source.cache) == [source.path.name]
    assert same(source.load(), splits)


def test_the_cache_folder_is_made_and_is_not_part_of_the_name(source, tmp_path):
    elsewhere = small(tmp_path / "a" / "b")
    elsewhere.prepare()
    assert elsewhere.path == tmp_path / "a" / "b" / source.path.name
    assert elsewhere.path.exists()


def test_two_caches_are_equal_to_the_bit_whatever_torch_was_seeded_with(splits, tmp_path):
    torch.manual_seed(123)
    np.random.seed(123)
    before = torch.get_rng_state()
    assert same(small(tmp_path).load(), splits)
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
        {"held_out_glyphs": "47AaGgKkR"},
        {"glyph_share": 0.25},
        {"seed": 1},
        {"camera": Camera(photoelectrons=201)},
        {"setup": replace(SETUP, camera_distance=2.1e-3)},
        {"setup": replace(SETUP, modulation="amplitude")},
        {"setup": replace(SETUP, diffuser=ThinDiffuser(2.93, 20e-6))},
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
    monkeypatch.setattr("spt.data.simulated.PIL.__version__", "0.0")
    assert source.path != old


def test_another_seed_gives_other_objects_screens_and_file(source, splits, tmp_path):
    other = small(tmp_path, seed=1)
    pairs = other.load()
    assert other.path.name != source.path.name
    assert not (pairs["train"].target == splits["train"].target).flatten(1).all(1).any()
    objects = splits["train"].images()[:4, 0]
    first = torch.zeros(4, dtype=torch.long)
    same_object = torch.stack([SETUP.intensity(objects, select(m, first)) for m in media(source, other)])
    assert pcc(same_object[0][:, None], same_object[1][:, None]).mean().abs() < 0.3


def media(*sources):
    return [source.setup.draw(5, source._generator(0)) for source in sources]


def test_no_object_is_in_two_splits_or_twice_in_one(splits):
    images = [image.numpy().tobytes() for pairs in splits.values() for image in pairs.target]
    assert len(images) == len(set(images)) == 48


def test_val_class_shows_held_out_glyphs_alone(splits):
    for i, image in enumerate(splits["val_class"].target):
        rng = np.random.default_rng([0, 3, i])
        rng.random()  # glyph or strokes
        assert np.array_equal(image, draw_glyph(HELD_OUT[rng.integers(len(HELD_OUT))], 32, rng))


@pytest.mark.parametrize(("stream", "name"), [(1, "train"), (2, "val_seen"), (4, "val_unseen")])
def test_the_other_splits_never_show_them(splits, stream, name):
    seen = "".join(c for c in GLYPHS if c not in HELD_OUT)
    for i, image in enumerate(splits[name].target):
        assert np.array_equal(image, draw_object(32, seen, 0.5, np.random.default_rng([0, stream, i])))


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
            light = SETUP.intensity(objects, select(drawn, torch.full((len(pairs),), d)))
            full_well = source.camera.saturation * light.mean((1, 2), keepdim=True)
            similar = pcc(light.minimum(full_well)[:, None], recorded)
            own = pairs.diffuser == d
            assert (similar[own] > 0.99).all()
            assert similar[~own].abs().max() < 0.35
            assert similar[~own].mean().abs() < 0.2


def test_a_fine_camera_keeps_its_levels(splits, tmp_path):
    pairs = small(tmp_path, camera=Camera(bits=12)).load()["train"]
    assert pairs.speckle.dtype == torch.uint16
    assert 255 < pairs.speckle.int().max() <= 4095
    coarse = splits["train"].speckle.float() / 255
    torch.testing.assert_close(pairs.speckle.float() / 4095, coarse, rtol=0, atol=0.51 / 255 + 0.51 / 4095)
    dataset = PairsDataset(pairs, Preparation())
    assert collate([dataset[i] for i in range(3)])["speckle"].shape == (3, 1, 32, 32)


def test_chunks_do_not_show(source, splits, tmp_path, monkeypatch):
    """Objects and diffusers are numbered over the whole split: the size of the chunks changes nothing but noise."""
    monkeypatch.setattr("spt.data.simulated.CHUNK", 5)
    pairs = small(tmp_path).load()
    for name, whole in splits.items():
        assert torch.equal(pairs[name].target, whole.target)
        assert (pcc(pairs[name].speckle[:, None].float(), whole.speckle[:, None].float()) > 0.97).all()


def test_an_interrupted_simulation_leaves_no_file(tmp_path, monkeypatch):
    calls = []

    def expose(self, intensity, generator):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return intensity

    monkeypatch.setattr(Camera, "expose", expose)
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path).load()
    assert files(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_no_file(tmp_path, monkeypatch, error):
    def savez(file, **arrays):
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(type(error), match="simulated-" if isinstance(error, OSError) else None):
        small(tmp_path).load()
    assert files(tmp_path) == []


def test_a_truncated_cache_file_is_named(source, splits, tmp_path):
    other = small(tmp_path)
    whole = source.path.read_bytes()
    other.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"{other.path} cannot be read as .npz.*Restore or delete the file"):
        other.load()


@pytest.mark.parametrize("name", ["train", "validation", "train_diffusers", "unseen_diffusers"])
def test_counts_below_1(name):
    with pytest.raises(ValueError, match=f"data.source.{name} must be at least 1, got 0"):
        replace(SMALL, **{name: 0})


@pytest.mark.parametrize("glyphs", ["", "A?", GLYPHS])
def test_held_out_glyphs_that_leave_nothing_or_are_unknown(glyphs):
    with pytest.raises(ValueError, match=r"data.source.held_out_glyphs = .* must name some, not all"):
        replace(SMALL, held_out_glyphs=glyphs)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_glyph_share_out_of_range(share):
    with pytest.raises(ValueError, match=r"data.source.glyph_share must lie in \(0, 1\]"):
        replace(SMALL, glyph_share=share)
