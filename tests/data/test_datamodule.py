from types import SimpleNamespace

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from spt.data.datamodule import SpeckleDataModule
from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.data.source import Source
from spt.errors import InvalidValue


class Numbered(Source):
    """A source of ``count`` training pairs and five of every other split."""

    size = 4

    def __init__(self, count=24):
        self.count, self.calls = count, []

    def prepare(self):
        self.calls.append("prepare")

    def load(self):
        self.calls.append("load")
        counts = {"train": self.count, "val_seen": 5, "val_class": 5, "test_unseen": 5}
        return {
            name: Pairs(name, torch.rand(n, 4, 4), torch.rand(n, 4, 4), torch.zeros(n).long())
            for name, n in counts.items()
        }


def module(count=24, world=None, rank=0, **settings):
    data = SpeckleDataModule(Numbered(count), Amplitude(), **{"batch_size": 4, **settings})
    data.setup()
    if world:
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        data.trainer = SimpleNamespace(world_size=world, global_rank=rank, strategy=strategy)
    return data


def batches(loader, epoch=0):
    loader.sampler.set_epoch(epoch)
    return [batch["index"].tolist() for batch in loader]


def order(loader, epoch=0):
    return [i for batch in batches(loader, epoch) for i in batch]


def test_order_depends_on_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = order(module(seed=3).train_dataloader(), 2)
    torch.manual_seed(2)
    loader = module(seed=3).train_dataloader()
    order(loader)  # a run that was not interrupted has been through other epochs
    assert order(loader, 2) == first
    assert order(module(seed=3, batch_size=6).train_dataloader(), 2) == first


def test_order_differs_between_epochs_and_seeds():
    orders = [order(module(seed=s).train_dataloader(), e) for s, e in ((0, 0), (0, 1), (1, 0))]
    assert len({tuple(o) for o in orders}) == 3
    assert all(sorted(o) == list(range(24)) != o for o in orders)


def test_two_ranks_share_every_split():
    halves = [module(world=2, rank=rank) for rank in (0, 1)]
    trained = [order(half.train_dataloader(), 1) for half in halves]
    assert [len(half) for half in trained] == [12, 12]
    assert sorted(trained[0] + trained[1]) == list(range(24))
    for first, second in zip(*(half.val_dataloader() for half in halves), strict=True):
        assert order(first) == [0, 2, 4]
        assert order(second) == [1, 3, 0]  # five do not divide by two: one is repeated, and its index says so


@pytest.mark.parametrize(
    ("count", "world", "batch_size", "expected"),
    [
        (24, 1, 4, [4] * 6),
        (23, 1, 5, [5] * 4),
        (24, 1, 24, [24]),
        (3, 1, 5, [3]),
        (24, 2, 5, [5, 5]),
        (9, 2, 5, [5]),
        (7, 2, 5, [4]),
    ],
    ids=[
        "even",
        "rest dropped",
        "one full",
        "one short kept",
        "rest of a rank dropped",
        "rank just full",
        "rank short kept",
    ],
)
def test_an_incomplete_last_batch_is_dropped_unless_it_is_the_only_one(count, world, batch_size, expected):
    loader = module(count, world, batch_size=batch_size).train_dataloader()
    assert [len(batch) for batch in batches(loader)] == expected
    assert len(loader) == len(expected)


def test_validation_is_in_order_and_whole():
    data = module()
    assert data.validation_splits == ["val_seen", "val_class"]
    loaders = data.val_dataloader()
    assert [loader.dataset.dataset.pairs.name for loader in loaders] == ["val_seen", "val_class"]
    assert [batches(loader) for loader in loaders] == [[[0, 1, 2, 3], [4]]] * 2


def test_batches_hold_prepared_speckles_and_their_targets():
    data = module()
    train = data.splits["train"]
    for batch in data.train_dataloader():
        torch.testing.assert_close(batch["speckle"], Amplitude()(train.speckle[batch["index"], None]))
        assert torch.equal(batch["target"], train.target[batch["index"], None])


def test_values_that_would_poison_a_run_stop_the_loader():
    data = module()
    data.splits["val_seen"].speckle[4, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"val_seen pair 4 "):
        batches(data.val_dataloader()[0])


def test_the_source_prepares_and_loads_once():
    data = SpeckleDataModule(Numbered(), Amplitude())
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    assert data.source.calls == ["prepare", "load"]


@pytest.mark.parametrize("size", [0, -1])
def test_batch_size_below_1(size):
    with pytest.raises(ValueError, match=f"data.batch_size must be at least 1, got {size}"):
        SpeckleDataModule(Numbered(), Amplitude(), batch_size=size)


def test_workers_below_0():
    with pytest.raises(ValueError, match=r"data\.workers must be 0 or more, got -1"):
        SpeckleDataModule(Numbered(), Amplitude(), workers=-1)


@pytest.mark.parametrize("missing", ["train", "val_seen"])
def test_a_split_that_training_needs(monkeypatch, missing):
    splits = Numbered().load()
    del splits[missing]
    monkeypatch.setattr(Numbered, "load", lambda self: splits)
    with pytest.raises(InvalidValue, match=f"the data have no split '{missing}', which .*; they have "):
        SpeckleDataModule(Numbered(), Amplitude()).setup()


def test_a_source_that_defines_nothing_else_is_no_simulation():
    with pytest.raises(InvalidValue, match="Numbered reads pairs that were recorded"):
        SpeckleDataModule(Numbered(), Amplitude(), online=True)


class Remembers(LightningModule):
    """Learns nothing and notes the pairs of every step."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.zeros(1)), []

    def training_step(self, batch, step):
        self.seen.append((self.current_epoch, batch["index"].tolist()))
        return self.weight.sum()

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches > 0  # as a schedule asks; it makes Lightning's first iterator
        return torch.optim.SGD(self.parameters(), 0.1)


def fitted(epochs, folder, workers, resumed=None):
    module_, data = Remembers(), SpeckleDataModule(Numbered(12), Amplitude(), 4, workers)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        default_root_dir=str(folder),
        callbacks=[ModelCheckpoint(folder, save_last=True, save_on_train_epoch_end=True)],
    )
    trainer.fit(module_, datamodule=data, ckpt_path=resumed, weights_only=True)
    return module_.seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_continued_run_sees_the_pairs_of_an_undisturbed_one(tmp_path, workers):
    """Two epochs, then two more from the checkpoint, against four epochs: with and without worker processes."""
    undisturbed = fitted(4, tmp_path / "whole", workers)
    assert len({tuple(index) for _, index in undisturbed}) == 12
    fitted(2, tmp_path / "begun", workers)
    resumed = fitted(4, tmp_path / "more", workers, tmp_path / "begun" / "last.ckpt")
    assert resumed == undisturbed[6:]
