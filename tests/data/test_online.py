"""Pairs simulated when they are asked for: new in every epoch, the same for any batches and workers."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import in_memory
from simulated_sources import RANGE

from spt.data.datamodule import SpeckleDataModule
from spt.data.hdf5 import SavedSpeckles
from spt.data.objects import SparseObjects
from spt.data.online import OnlinePairs
from spt.data.preparation import Amplitude, Correction
from spt.data.simulated import SimulatedSpeckles
from spt.optics import (
    Camera,
    DiffuserPsf,
    IncoherentSetup,
    RandomMatrixSetup,
    ThickDiffuser,
    ThickDiffuserSetup,
    ThinDiffuser,
)

SETUPS = {
    "thin": RANGE,
    "thick": ThickDiffuserSetup(16, 56, 4e-6, 532e-9, 0.5e-3, 0.5e-3, ThickDiffuser(1.0, 20e-6, 3, 0.5e-3)),
    "matrix": RandomMatrixSetup(window=16, inputs=8),
    "incoherent": IncoherentSetup(16, DiffuserPsf(31, 96, 4e-6, 532e-9, 2e-3, 0.1e-3, ThinDiffuser(3.0, 34e-6))),
}
CPU = torch.device("cpu")


@pytest.fixture
def source(cache):
    return SimulatedSpeckles(
        RANGE, Camera(), SparseObjects(), train=20, validation=4, train_diffusers=None, cache=str(cache)
    )


def module(source, world=1, rank=0, **settings):
    data = SpeckleDataModule(source, Amplitude(), online=True, **{"batch_size": 4, **settings})
    data.setup()
    strategy = SimpleNamespace(root_device=CPU)
    data.trainer = SimpleNamespace(world_size=world, global_rank=rank, strategy=strategy)
    return data


def pairs(data, epoch=0):
    """Pair number to (speckle, target, diffuser) of one epoch."""
    found, loader = {}, data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    for batch in loader:
        rows = zip(batch["speckle"], batch["target"], batch["diffuser"].tolist(), strict=True)
        found |= dict(zip(batch["index"].tolist(), rows, strict=True))
    return found


def equal(first, second):
    assert first.keys() == second.keys()
    for number, (speckle, target, diffuser) in first.items():
        assert torch.equal(speckle, second[number][0]), number
        assert torch.equal(target, second[number][1])
        assert diffuser == second[number][2]
    return True


def test_epoch_0_is_what_is_saved(source):
    """Also beside a set on disk, the same bits: one training run reads what the other simulates."""
    saved = in_memory(source.load())["train"]
    for number, (speckle, target, diffuser) in pairs(module(source)).items():
        assert torch.equal(speckle, Amplitude()(saved.speckle[number][None]))
        assert torch.equal(target, saved.images(number, number + 1)[0])
        assert diffuser == saved.diffuser[number]


@pytest.mark.parametrize("changed", [{"batch_size": 5}, {"batch_size": 20}, {"workers": 2}, {"seed": 1}])
def test_batches_order_and_workers_change_no_bit(source, changed):
    assert equal(pairs(module(source), 3), pairs(module(source, **changed), 3))


def test_a_continued_run_repeats_its_epoch(source):
    """A run that was not interrupted has been through other epochs with the same loader."""
    loader = module(source).train_dataloader()
    list(loader)
    loader.sampler.set_epoch(2)
    fresh = pairs(module(source), 2)
    for batch in loader:
        for number, speckle in zip(batch["index"].tolist(), batch["speckle"], strict=True):
            assert torch.equal(speckle, fresh[number][0])


def test_every_epoch_shows_the_objects_through_new_diffusers(source):
    epochs = [pairs(module(source), e) for e in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20 * e, 20 * e + 20)) for e in range(3)]
    assert len({diffuser for epoch in epochs for _, _, diffuser in epoch.values()}) == 60
    for number in range(20):
        speckles = [epoch[20 * e + number][0] for e, epoch in enumerate(epochs)]
        targets = [epoch[20 * e + number][1] for e, epoch in enumerate(epochs)]
        assert torch.equal(targets[0], targets[1])
        assert torch.equal(targets[0], targets[2])
        assert not torch.equal(speckles[0], speckles[1])


def test_unseen_diffusers_stay_unseen(source):
    unseen = set(module(source).splits["val_unseen"].diffuser.tolist())
    trained = {d for e in range(3) for _, _, d in pairs(module(source), e).values()}
    assert not unseen & trained


def test_validation_stays_what_it_is(source):
    data = module(source)
    saved = in_memory(source.load())
    for name, loader in zip(data.validation_splits, data.val_dataloader(), strict=True):
        speckle = torch.cat([batch["speckle"] for batch in loader])
        assert torch.equal(speckle, Amplitude()(saved[name].speckle[:, None]))


def test_two_ranks_share_an_epoch(source):
    halves = [pairs(module(source, world=2, rank=rank, batch_size=5), 1) for rank in (0, 1)]
    whole = pairs(module(source), 1)
    assert equal(halves[0] | halves[1], whole)
    assert not halves[0].keys() & halves[1].keys()


@pytest.mark.parametrize("name", SETUPS)
def test_every_physics_is_the_same_in_any_batch(source, name):
    one = replace(source, setup=SETUPS[name])
    objects = one.draw_objects("train", range(12))
    whole = one.simulate("train", range(12), objects, CPU)["speckle"]
    parts = [
        one.simulate("train", range(at, at + size), objects[at : at + size], CPU)
        for at, size in ((0, 1), (1, 4), (5, 7))
    ]
    assert torch.equal(torch.cat([part["speckle"] for part in parts]), whole)


def test_a_camera_with_larger_pixels(source):
    """Half the pixels: the targets are the objects averaged 2x2, online as on disk."""
    coarse = replace(source, camera=Camera(pixel=2.0))
    assert coarse.size == 8
    objects = coarse.draw_objects("train", range(20))
    for speckle, target, _ in pairs(module(coarse)).values():
        assert speckle.shape == target.shape == (1, 8, 8)
    averaged = objects.float().reshape(20, 8, 2, 8, 2).mean((2, 4))
    torch.testing.assert_close(in_memory(coarse.load())["train"].target.float(), averaged, rtol=0, atol=0.5)


def test_fixed_diffusers_cannot_be_drawn_fresh(source):
    with pytest.raises(ValueError, match=r"train_diffusers = 3 fixes them. Set data.source.train_diffusers=null"):
        SpeckleDataModule(replace(source, train_diffusers=3), Amplitude(), online=True)


def test_a_set_on_disk_cannot_be_drawn_fresh():
    with pytest.raises(ValueError, match="SavedSpeckles reads pairs that were recorded"):
        SpeckleDataModule(SavedSpeckles("a.h5"), Amplitude(), online=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", SETUPS)
def test_every_physics_is_the_same_in_any_batch_on_a_gpu(source, name):
    gpu = torch.device("cuda")
    one = replace(source, setup=SETUPS[name], device="cuda")
    train = in_memory(one.load())["train"]
    dataset = OnlinePairs(one, train, Amplitude("none", "none"), gpu)
    whole = dataset.__getitems__(list(range(20)))["speckle"]
    assert whole.device.type == "cuda"
    assert torch.equal(whole.cpu()[:, 0].byte(), train.speckle)
    parts = [dataset.__getitems__(list(range(at, at + size)))["speckle"] for at, size in ((0, 1), (1, 4), (5, 15))]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.gpu
def test_what_a_preparation_found_in_the_training_frames_goes_to_the_gpu(source):
    """Background and scale of the set are tensors of the CPU; frames that are simulated on a GPU stay there."""
    one = replace(source, device="cuda")
    train = in_memory(one.load())["train"]
    preparation = Amplitude("none", "set", correction=Correction(background="mean"))
    preparation.fit(train.speckle, (16, 16))
    batch = OnlinePairs(one, train, preparation, torch.device("cuda")).__getitems__([0, 1, 2])
    assert batch["speckle"].device.type == "cuda"
    assert torch.allclose(batch["speckle"].cpu(), preparation(train.speckle[:3, None]), atol=1e-4)
