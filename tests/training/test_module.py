"""The LightningModule connects; a network it trains can learn one batch by heart."""

import pytest
import torch
from conftest import composed

from spt.data.preparation import Amplitude
from spt.heads import BinaryHead
from spt.losses import DiceLoss
from spt.metrics import METRICS, pcc
from spt.models import SpTUNet
from spt.run.building import build
from spt.training.module import SpeckleModule


def module(**model: int) -> SpeckleModule:
    cfg = composed()
    return SpeckleModule(
        SpTUNet(width=4, **model),
        DiceLoss(),
        BinaryHead(),
        build(cfg.optimizer),
        build(cfg.scheduler),
        ["val_seen"],
        (16, 16),
        {"preparation": Amplitude("none", "maximum").settings(), "frame_size": [16, 16]},
    )


def batch() -> dict[str, torch.Tensor]:
    target = torch.zeros(4, 1, 16, 16)
    target[:, :, 4:9, 3:12] = 1
    return {
        "speckle": torch.randn(4, 1, 16, 16),
        "target": target,
        "index": torch.arange(4),
        "diffuser": torch.zeros(4, dtype=torch.long),
    }


def test_forward_is_an_image():
    image = module().eval()(torch.randn(2, 1, 16, 16))
    assert image.shape == (2, 1, 16, 16)
    assert image.min() >= 0
    assert image.max() <= 1


def test_training_step_is_the_loss_of_the_logits():
    it, data = module().eval(), batch()
    expected = DiceLoss()(it.model(data["speckle"]), data["target"])
    assert torch.equal(it.training_step(data, 0), expected)  # type: ignore[arg-type]


def test_validation_collects_the_metrics_of_the_named_split():
    it, data = module().eval(), batch()
    it.validation_step(data, 0)  # type: ignore[arg-type]
    expected = pcc(it(data["speckle"]), data["target"]).mean()
    assert it.scores["val_seen"].compute()["pcc"] == pytest.approx(expected.item(), abs=1e-6)  # type: ignore[operator]


def test_validation_returns_the_images_for_the_callbacks():
    it, data = module().eval(), batch()
    assert torch.equal(it.validation_step(data, 0), it(data["speckle"]))  # type: ignore[arg-type]


class Graded(BinaryHead):
    """A head that reads something of its own from logits and encoded target."""

    def logit_metrics(self, logits: torch.Tensor, encoded: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"top1": ((logits > 0).float() == encoded).flatten(1).double().mean(1)}


def test_validation_collects_what_the_head_reads_from_the_logits():
    it, data = module().eval(), batch()
    it.head = Graded()
    it.validation_step(data, 0)  # type: ignore[arg-type]
    values = it.scores["val_seen"].compute()  # type: ignore[operator]
    assert list(values) == [*METRICS, "top1"]
    assert values["top1"] == values["accuracy"]
    assert 0 < values["top1"] < 1


def test_a_checkpoint_says_what_speckles_the_network_was_trained_on():
    checkpoint: dict[str, object] = {}
    module().on_save_checkpoint(checkpoint)
    assert checkpoint == {"preparation": Amplitude("none", "maximum").settings(), "frame_size": [16, 16]}


def test_logits_are_brought_to_the_size_of_the_objects():
    """Area means of the network's logits, which is what the loss then sees."""
    small = module()
    small.object_size = (8, 8)
    speckle = torch.rand(2, 1, 16, 16)
    small.eval()
    expected = torch.nn.functional.avg_pool2d(small.model(speckle), 2)
    assert torch.allclose(small.logits(speckle), expected, atol=1e-6)
    assert small(speckle).shape == (2, 1, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["dice", "bce", "bce_dice", "npcc_bce"])
def test_one_batch_overfits(loss: str):
    """Eight simulated pairs at 32 px are learnt by heart within 600 steps: PCC above .95 on the batch itself."""
    cfg = composed(
        "data.source.train=8",
        "data.source.validation=8",
        "data.source.setup.window=32",
        "data.source.setup.grid=112",
        "model.width=16",
        f"loss={loss}",
    )
    data = build(cfg.data)
    data.setup()
    pairs = data.splits["train"]
    speckle, target = data.preparation(pairs.speckle[:][:, None]), pairs.images()
    model, criterion = build(cfg.model), build(cfg.loss)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-4)  # at 2e-3 Dice saturates some pixels on the wrong side
    for step in range(600):
        optimizer.zero_grad()
        logits = model(speckle)
        criterion(logits, target).backward()
        if step % 25 == 0 and pcc(logits.detach().sigmoid(), target).mean() > 0.95:
            return
        optimizer.step()
    pytest.fail("600 steps were not enough")
