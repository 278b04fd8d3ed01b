"""The one LightningModule: it connects model, loss, head, metrics, optimizer and scheduler, and nothing more."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxtyping import Float
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spt.data.pairs import Sample
from spt.heads import Head
from spt.metrics import PerImageMetrics
from spt.optics.resampling import resized
from spt.training.schedules import parameter_groups, total_steps


class SpeckleModule(LightningModule):
    """Trains any network that maps speckle to logits.

    Args:
        model: the network.
        loss: called with (logits, encoded target).
        head: what the channels mean.
        optimizer: called with parameter groups.
        scheduler: called with (optimizer, total_steps).
        splits: names of the validation loaders, in their order.
        object_size: height and width of the objects, which the logits are brought to [px].
        facts: plain values and tensors that go into every checkpoint, such as the preparation of the speckles.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        head: Head,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        scheduler: Callable[[Optimizer, int], LRScheduler],
        splits: Sequence[str],
        object_size: tuple[int, int],
        facts: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.model, self.loss, self.head = model, loss, head
        self.optimizer, self.scheduler, self.splits = optimizer, scheduler, list(splits)
        self.object_size, self.facts = object_size, dict(facts)
        self.configured_groups: list[dict[str, Any]] = []
        self.scores = nn.ModuleDict({split: PerImageMetrics() for split in splits})

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Lightning sets the name of the running hook 40 times a step: that skips torch's checks."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, speckle: Float[Tensor, "b d h w"]) -> Float[Tensor, "b 1 p q"]:
        """Reconstruct images in [0, 1] from prepared speckles."""
        return self.head.decode(self.logits(speckle))

    def logits(self, speckle: Float[Tensor, "b d h w"]) -> Float[Tensor, "b c p q"]:
        """The network's output, at the size of the objects."""
        return resized(self.model(speckle), self.object_size)

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """Return the loss of a batch; :class:`spt.training.callbacks.TrainingLoss` logs it."""
        loss: Tensor = self.loss(self.logits(batch["speckle"]), self.head.encode(batch["target"]))
        return loss

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> Float[Tensor, "b 1 p q"]:
        """Collect metrics and loss of a batch of one split; return the images, for the callbacks."""
        split = self.splits[dataloader_idx]
        logits, encoded = self.logits(batch["speckle"]), self.head.encode(batch["target"])
        loss = self.loss(logits, encoded)
        scores = self.scores[split]
        assert isinstance(scores, PerImageMetrics)
        pred = self.head.decode(logits).float()
        scores.update(pred, batch["target"], batch["index"], self.head.logit_metrics(logits, encoded))
        self.log(f"{split}/loss", loss, add_dataloader_idx=False, batch_size=len(logits), sync_dist=True)
        return pred

    def on_validation_epoch_end(self) -> None:
        """Log the mean of every metric of every split."""
        for split, scores in self.scores.items():
            assert isinstance(scores, PerImageMetrics)
            for name, value in scores.compute().items():
                self.log(f"{split}/{name}", value, prog_bar=f"{split}/{name}" == "val_seen/pcc")
            scores.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build optimizer and scheduler, stepped once a batch."""
        optimizer = self.optimizer(parameter_groups(self.model))
        self.configured_groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
        scheduler = self.scheduler(optimizer, total_steps(self.trainer))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write down what speckles the network was trained on."""
        checkpoint |= self.facts
