"""Objects from files: split by image, classes held out, the real set's digits left out."""

import numpy as np
import pytest
from PIL import Image

from spt.data.objects import StoredObjects
from spt.data.streams import SPLITS


@pytest.fixture
def digits(tmp_path):
    """50 images of 8x10 px in five classes; images 40 to 49 repeat images 0 to 9."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 8, 10), np.uint8)
    labels = np.arange(40) % 5
    np.savez(tmp_path / "digits.npz", x=np.concatenate([pixels, pixels[:10]]), y=np.concatenate([labels, labels[:10]]))
    return tmp_path / "digits.npz"


def stored(path, **settings):
    return StoredObjects(**{"path": str(path), "images": "x", "labels": "y", **settings})


def everything(objects, size=8):
    return {
        split: [image.tobytes() for image in objects.draw(split, range(objects.count(split)), size, 0)]
        for split in SPLITS
    }


def test_train_and_validation_never_share_an_image(digits):
    objects = stored(digits, held_out=["3"], validation_share=0.25)
    assert [objects.count(split) for split in SPLITS] == [24, 8, 8, 8, 4]  # 40 different images, 8 of class 3
    images = everything(objects)
    assert set(images["val_seen"]) == set(images["val_unseen"])
    sets = [set(images[split]) for split in ("train", "val_seen", "val_class")]
    assert [len(one) for one in sets] == [24, 8, 8]
    assert len(set.union(*sets)) == 40


def test_the_images_of_test_seen_are_none_that_choose_the_epoch(digits):
    objects = stored(digits, held_out=["3"], validation_share=0.25)
    test, chosen = (objects.identify(split, range(4), 0) for split in ("test_seen", "val_seen"))
    assert len({*test, *chosen}) == 8


def test_held_out_classes_are_in_val_class_alone(digits):
    objects = stored(digits, held_out=[3, "1"], validation_share=0.4)
    labels = np.load(digits)["y"]
    for split in SPLITS:
        classes = set(labels[objects.identify(split, range(objects.count(split)), 0)].tolist())
        assert classes == ({1, 3} if split == "val_class" else {0, 2, 4})


def test_the_first_images_are_left_out_and_so_are_their_copies(digits):
    objects = stored(digits, leave_out=12)
    used = [
        k for split in SPLITS for k in objects.identify(split, range(objects.count(split)), 0) if objects.count(split)
    ]
    assert set(used) == set(range(12, 40))


def test_training_goes_round_when_more_is_asked_for(digits):
    objects = stored(digits)
    count = objects.count("train")
    first, again = (objects.draw("train", range(k * count, (k + 1) * count), 8, 0) for k in (0, 1))
    assert np.array_equal(first, again)
    assert len({image.tobytes() for image in first}) == count


def test_the_seed_orders_and_the_split_stays(digits):
    objects = stored(digits)
    first, other = (objects.identify("train", range(36), seed) for seed in (0, 1))
    assert first != other
    assert sorted(first) == sorted(other)


def test_the_middle_square_is_scaled(tmp_path):
    """16x24 px whose middle 16x16 has a white right half: scaled by 1/2, white on the right."""
    image = np.zeros((16, 24), np.uint8)
    image[:, 12:20] = 255
    np.savez(tmp_path / "a.npz", x=np.stack([image, image + 1, image // 2]))
    objects = stored(tmp_path / "a.npz", labels=None, validation_share=0.4)
    scaled = objects._draw_one(0, 8)
    expected = np.zeros((8, 8))
    expected[:, 4:] = 255
    # The filter of the reduction reaches half a pixel over the edge.
    np.testing.assert_allclose(scaled[:, [0, 1, 2, 5, 6, 7]], expected[:, [0, 1, 2, 5, 6, 7]])
    assert (scaled[:, 3] < 64).all()
    assert (scaled[:, 4] > 191).all()


def test_a_small_picture_grows(digits):
    image = stored(digits).draw("train", [0], 32, 0)
    assert image.shape == (1, 32, 32)
    assert image.std() > 20


@pytest.mark.parametrize(("invert", "threshold"), [(True, None), (False, 0.5), (True, 0.5), (False, 0.2)])
def test_invert_and_threshold(digits, invert, threshold):
    plain = stored(digits).draw("train", range(5), 8, 0) / 255
    changed = stored(digits, invert=invert, threshold=threshold).draw("train", range(5), 8, 0) / 255
    expected = 1 - plain if invert else plain
    np.testing.assert_allclose(changed, expected if threshold is None else expected > threshold, atol=0.003)


def test_what_decides_the_pixels_is_described_and_the_place_is_not(digits, tmp_path):
    first = stored(digits).describe()
    moved = tmp_path / "elsewhere.npz"
    moved.write_bytes(digits.read_bytes())
    assert stored(moved).describe() == first
    arrays = dict(np.load(digits))
    arrays["x"][0, 0, 0] ^= 1
    np.savez(moved, **arrays)
    changed = [stored(moved), stored(digits, leave_out=1), stored(digits, invert=True), stored(digits, held_out=["1"])]
    assert all(objects.describe() != first for objects in changed)


def test_several_files_are_one_set(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("one/a", "two/b", "two/c"):
        (tmp_path / folder).mkdir(parents=True)
        for k in range(6):
            Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8)).save(tmp_path / folder / f"{k}.png")
    objects = StoredObjects([str(tmp_path / "one"), str(tmp_path / "two")], held_out=["c"], validation_share=0.2)
    assert [objects.count(split) for split in SPLITS] == [10, 2, 6, 2, 1]


def test_without_held_out_classes_there_is_no_val_class(digits):
    assert stored(digits, held_out=()).count("val_class") == 0


def test_an_unknown_class_lists_those_that_are_there(digits):
    with pytest.raises(ValueError, match=r"held_out names \['7'\], but the classes of .* are 0, 1, 2, 3, 4"):
        stored(digits, held_out=["7"]).count("train")


def test_a_class_of_a_folder_that_has_none(tmp_path):
    for k in range(9):
        Image.new("L", (4, 4), k).save(tmp_path / f"{k}.png")
    with pytest.raises(ValueError, match="are none: it has no sub-folders or labels"):
        StoredObjects(str(tmp_path), held_out=["a"]).count("train")


def test_too_few_images(digits):
    with pytest.raises(ValueError, match=r"different images outside .* are too few to train and validate"):
        stored(digits, leave_out=39).count("train")


@pytest.mark.parametrize("path", [None, [None, None], []])
def test_files_that_are_not_part_of_the_repository(path):
    objects = StoredObjects(path)
    with pytest.raises(FileNotFoundError, match="Set the environment variable SPT_DATA"):
        objects.count("train")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation_share": 0}, r"validation_share must lie in \(0, 1\), got 0"),
        ({"validation_share": 1.0}, r"validation_share must lie in \(0, 1\)"),
        ({"leave_out": -1}, "leave_out must be 0 or more, got -1"),
        ({"threshold": 1.0}, r"threshold must lie in \[0, 1\)"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        StoredObjects("somewhere", **settings)


def test_mnist_leaves_the_objects_of_the_real_set_out(real_data):
    objects = stored(
        real_data / "objects_mnist" / "mnist.npz",
        images="x_train",
        labels="y_train",
        held_out=["4", "7"],
        leave_out=600,
    )
    numbers = [k for split in SPLITS for k in objects.identify(split, range(objects.count(split)), 0)]
    assert min(numbers) == 600
    real = np.load(real_data / "real_220grit" / "labels_recovered_mnist_train_0000_0599.npz")["object28"]
    mnist = np.load(real_data / "objects_mnist" / "mnist.npz")["x_train"]
    assert np.array_equal(mnist[:600], real)


def test_omniglot_holds_an_alphabet_out(real_data):
    zips = [str(real_data / "objects_omniglot" / f"images_background_small{k}.zip") for k in (1, 2)]
    objects = StoredObjects(zips, held_out=["Greek"], invert=True, threshold=0.5)
    assert [objects.count(split) for split in SPLITS] == [
        3924,
        436,
        480,
        436,
        218,
    ]  # 24 letters x 20 hands; 1000 are twice
    ink = objects.draw("val_class", range(20), 64, 0) > 0
    assert 0.02 < ink.mean() < 0.3  # white ink on black ground
