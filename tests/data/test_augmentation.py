"""Physical augmentation: each change has its own law, is repeatable, and is refused where it is wrong."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spt.data.augmentation import AugmentedPairs, PhysicalAugmentation, same_scene, shifted
from spt.data.datamodule import SpeckleDataModule
from spt.data.pairs import Pairs, whole
from spt.data.preparation import Amplitude
from spt.data.source import Source
from spt.errors import InvalidValue

PLAIN = Amplitude(transform="none", scale="none")


def pairs(n=6, size=(8, 12), target=(8, 12), diffusers=None, **parameters):
    speckle = torch.randint(1, 200, (n, *size), dtype=torch.uint8)
    objects = torch.rand(n, *target)
    numbers = torch.arange(n) if diffusers is None else torch.tensor(diffusers)
    return Pairs("train", speckle, objects, numbers, {k: torch.tensor(v) for k, v in parameters.items()})


def augmented(data, number=0, seed=0, **settings):
    change = PhysicalAugmentation(**settings)
    change.check(data, (data.target.shape[1], data.target.shape[2]))
    batch = AugmentedPairs(data, PLAIN, change, seed).__getitems__([number])
    return batch["speckle"][0, 0], batch["target"][0, 0]


def test_without_settings_nothing_changes():
    data = pairs()
    speckle, target = augmented(data, 2)
    assert torch.equal(speckle, data.speckle[2].float())
    assert torch.equal(target, data.target[2])


def test_jitter_multiplies_a_frame_by_a_number_of_its_range():
    data = pairs()
    factors = []
    for number in range(300):
        speckle, target = augmented(data, number, jitter=0.2)
        ratio = speckle / data.speckle[number % 6]
        assert ratio.max() - ratio.min() < 1e-5
        assert torch.equal(target, data.target[number % 6])
        factors.append(ratio.mean().item())
    assert 0.8 <= min(factors) < 0.82
    assert 1.18 < max(factors) <= 1.2


@pytest.mark.parametrize(("read_noise", "variance"), [(0.0, 100.0), (20.0, 500.0)])
def test_noise_has_the_variance_of_its_electrons(read_noise, variance):
    """A flat frame of 50 grey levels and 100 photoelectrons: variance 100 + read noise squared, in electrons."""
    data = Pairs("train", torch.full((1, 200, 200), 50.0), torch.zeros(1, 200, 200), torch.zeros(1, dtype=torch.int64))
    speckle, _ = augmented(data, photoelectrons=100, read_noise=read_noise)
    electrons = 2 * speckle
    assert electrons.mean().item() == pytest.approx(100, abs=0.5)
    assert electrons.var().item() == pytest.approx(variance, rel=0.03)
    assert speckle.min() >= 0


def test_dim_light_is_noisier():
    data = Pairs("train", torch.full((1, 200, 200), 50.0), torch.zeros(1, 200, 200), torch.zeros(1, dtype=torch.int64))
    speckle = [augmented(data, number, photoelectrons=100, jitter=0.9)[0] for number in range(8)]
    dim, bright = (pick(speckle, key=lambda frame: frame.mean()) for pick in (min, max))
    for frame in (dim, bright):
        assert (frame.var() / frame.mean()).item() == pytest.approx(0.5, rel=0.05)  # Poisson, 0.5 levels an electron
    assert dim.std() / dim.mean() > 1.3 * bright.std() / bright.mean()


def test_a_dark_frame_stays_dark():
    data = Pairs("train", torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), torch.zeros(1, dtype=torch.int64))
    assert augmented(data, photoelectrons=100, read_noise=5)[0].eq(0).all()


def test_levels_below_zero_hold_no_photons():
    data = Pairs(
        "train", torch.tensor([[[-3.0, 9.0], [5.0, 5.0]]]), torch.zeros(1, 2, 2), torch.zeros(1, dtype=torch.int64)
    )
    assert augmented(data, photoelectrons=100)[0][0, 0] == 0


def test_shifted_moves_down_and_right_and_mirrors_at_the_edge():
    image = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(shifted(image, (1, 0), "reflect"), image[[1, 0, 1]])
    assert torch.equal(shifted(image, (0, -1), "reflect"), image[:, [1, 2, 3, 2]])
    assert torch.equal(shifted(image, (-1, 1), "replicate"), image[[1, 2, 2]][:, [0, 0, 1, 2]])
    assert torch.equal(shifted(image, (0, 0), "reflect"), image)


@pytest.mark.parametrize(
    ("size", "target", "of_speckle", "of_target"),
    [((8, 12), (8, 12), 1, 1), ((16, 24), (8, 12), 2, 1), ((8, 12), (24, 36), 1, 3)],
)
def test_speckle_and_object_shift_by_the_same_part_of_the_field(size, target, of_speckle, of_target):
    data, seen = pairs(1, size, target), set()
    moves = list(itertools.product((-1, 0, 1), repeat=2))
    for number in range(60):
        speckle, image = augmented(data, number, shift=1)
        fits = [
            (dy, dx)
            for dy, dx in moves
            if torch.equal(speckle, shifted(data.speckle[0].float(), (dy * of_speckle, dx * of_speckle), "reflect"))
            and torch.equal(image, shifted(data.target[0], (dy * of_target, dx * of_target), "replicate"))
        ]
        assert len(fits) == 1
        seen.update(fits)
    assert seen == set(moves)


@pytest.mark.parametrize(
    ("flip", "axes"), [("horizontal", [(-1,)]), ("vertical", [(-2,)]), ("both", [(-1,), (-2,), (-2, -1)])]
)
def test_speckle_and_object_are_flipped_together(flip, axes):
    data, seen = pairs(1), set()
    for number in range(40):
        speckle, target = augmented(data, number, flip=flip)
        fits = [a for a in [(), *axes] if torch.equal(speckle, data.speckle[0].float().flip(a))]
        assert len(fits) == 1
        assert torch.equal(target, data.target[0].flip(fits[0]))
        seen.update(fits)
    assert seen == {(), *axes}


def test_exposures_of_the_same_scene_are_averaged():
    """Frames 0, 2, 3 show one scene; frame 4 shows the object through another diffuser; 1 and 5 other objects."""
    data = pairs(6, diffusers=[0, 0, 0, 0, 1, 0], object=[7, 1, 7, 7, 7, 2])
    means = {rows: data.speckle[list(rows)].float().mean(0) for rows in ((0, 2), (0, 3))}
    seen = [
        rows
        for number in range(0, 60, 6)
        for rows, mean in means.items()
        if torch.equal(augmented(data, number, average=2)[0], mean)
    ]
    assert len(seen) == 10
    assert set(seen) == set(means)
    torch.testing.assert_close(augmented(data, 2, average=9)[0], data.speckle[[0, 2, 3]].float().mean(0))
    for alone in (1, 4, 5):
        assert torch.equal(augmented(data, alone, average=3)[0], data.speckle[alone].float())
    assert torch.equal(augmented(data, 2, average=3)[1], data.target[2])


def test_a_scene_is_equal_in_everything_that_is_known():
    data = pairs(6, diffusers=[0, 0, 0, 1, 1, 1], object=[3, 3, 3, 3, 3, 4], distance=[0.1, 0.1, 0.2, 0.1, 0.1, 0.1])
    scene = same_scene(data).tolist()
    assert [[scene.index(number) for number in scene][k] for k in range(6)] == [0, 0, 2, 3, 3, 5]


# What decides the draws -----------------------------------------------------------------------------------------------

ALL = {"jitter": 0.1, "photoelectrons": 200, "read_noise": 2, "shift": 1, "flip": "both"}


def test_a_number_and_the_seed_alone_decide_what_is_drawn():
    data = pairs()
    change = AugmentedPairs(data, PLAIN, PhysicalAugmentation(**ALL), 3)
    together = change.__getitems__([13, 4, 9])
    torch.manual_seed(5)
    np.random.seed(5)
    for place, number in enumerate((13, 4, 9)):
        alone = change.__getitems__([number])
        assert torch.equal(alone["speckle"][0], together["speckle"][place])
        assert torch.equal(alone["target"][0], together["target"][place])
    assert together["index"].tolist() == [1, 4, 3]


def test_epochs_and_seeds_differ():
    data = pairs()
    drawn = [augmented(data, number, seed, **ALL)[0] for number, seed in ((1, 0), (7, 0), (1, 1))]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(drawn, 2))


def test_workers_change_nothing():
    change = AugmentedPairs(pairs(), PLAIN, PhysicalAugmentation(**ALL), 3)
    settings = {"batch_size": 4, "sampler": list(range(6, 18)), "collate_fn": whole}
    alone, helped = (list(DataLoader(change, num_workers=workers, **settings)) for workers in (0, 2))
    assert all(torch.equal(a[name], b[name]) for a, b in zip(alone, helped, strict=True) for name in a)


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jitter": 1.0}, r"data.augmentation.jitter must be a share from 0 to below 1, got 1\.0"),
        ({"jitter": float("nan")}, "data.augmentation.jitter must be"),
        ({"photoelectrons": 0}, "data.augmentation.photoelectrons must be above 0 or null, got 0"),
        ({"read_noise": -1}, "data.augmentation.read_noise must be 0 or more electrons, got -1"),
        ({"read_noise": 2.0}, "data.augmentation.read_noise=2 electrons needs data.augmentation.photoelectrons"),
        ({"shift": -1}, "data.augmentation.shift must be 0 or more pixels, got -1"),
        ({"flip": "left"}, "data.augmentation.flip must be one of horizontal, vertical, both or null, got 'left'"),
        ({"average": 0}, "data.augmentation.average must be 1 or more frames, got 0"),
    ],
)
@pytest.mark.usefixtures("own_checks")
def test_settings_out_of_range(settings, message):
    with pytest.raises(InvalidValue, match=message):
        PhysicalAugmentation(**settings)


@pytest.mark.parametrize("settings", [{"shift": 1}, {"flip": "both"}])
@pytest.mark.parametrize("diffusers", [[0] * 6, [0, 1, 2, 3, 4, 4]])
def test_moves_behind_a_diffuser_that_pairs_share(settings, diffusers):
    name, value = next(iter(settings.items()))
    message = (
        f"data.augmentation.{name}={value} moves the speckle .* 6 training pairs share {len(set(diffusers))} diffuser"
    )
    with pytest.raises(InvalidValue, match=message):
        augmented(pairs(diffusers=diffusers), **settings)


def test_noise_and_jitter_are_fine_behind_a_fixed_diffuser():
    augmented(pairs(diffusers=[0] * 6), jitter=0.1, photoelectrons=100)


@pytest.mark.parametrize("target", [(6, 9), (8, 24), (16, 12)])
def test_sizes_that_allow_no_joint_shift(target):
    with pytest.raises(InvalidValue, match=f"whole multiples of each other, got 8x12 and {target[0]}x{target[1]} px"):
        augmented(pairs(target=target), shift=1)


def test_a_shift_that_is_not_small():
    augmented(pairs(), shift=2)
    with pytest.raises(InvalidValue, match=r"shift=3 px is more than a quarter of the image. Use at most 2"):
        augmented(pairs(), shift=3)


@pytest.mark.parametrize("parameters", [{}, {"object": [0, 0, 1, 1, 2, 2], "distance": [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]}])
def test_nothing_to_average(parameters):
    with pytest.raises(InvalidValue, match=r"average=2 needs several training frames of the same object and diffuser"):
        augmented(pairs(diffusers=[0] * 6, **parameters), average=2)


class Fixed(Source):
    """Eight pairs behind one diffuser, in two splits."""

    size = 8

    def load(self):
        data = pairs(8, (8, 8), (8, 8), [0] * 8)
        return {"train": data, "val_seen": Pairs("val_seen", data.speckle, data.target, data.diffuser)}

    def simulation(self, fresh=False):
        return object()


def test_a_data_module_refuses_before_training():
    with pytest.raises(InvalidValue, match="behind a fixed diffuser"):
        SpeckleDataModule(Fixed(), PLAIN, augmentation=PhysicalAugmentation(shift=1)).setup()


def test_online_pairs_need_no_augmentation():
    with pytest.raises(InvalidValue, match=r"data\.online=true simulates every pair anew"):
        SpeckleDataModule(Fixed(), PLAIN, online=True, augmentation=PhysicalAugmentation(jitter=0.1))


def test_only_training_pairs_are_changed():
    data = SpeckleDataModule(Fixed(), PLAIN, 8, seed=2, augmentation=PhysicalAugmentation(jitter=0.5))
    data.setup()
    (train,), (seen,) = data.train_dataloader(), data.val_dataloader()[0]
    original = data.splits["train"].speckle[:, None].float()
    assert torch.equal(seen["speckle"], original)
    ratio = (train["speckle"] / original[train["index"]]).flatten(1)
    assert (ratio.amax(1) - ratio.amin(1)).max() < 1e-5
    assert len(set(ratio.mean(1).tolist())) == 8
