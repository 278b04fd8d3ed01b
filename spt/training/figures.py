"""Pictures of a training: contact sheets, reliability diagrams, the network's graph."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from spt.data.pairs import Pairs, Sample, images
from spt.errors import InvalidValue
from spt.evaluation import pictures
from spt.evaluation.reliability import reliability_diagram
from spt.metrics import Reliability, calibration_error
from spt.metrics.calibration import BINS
from spt.training.loggers import show_picture, step_of_scalars

log = logging.getLogger(__name__)


def tensorboard(trainer: Trainer) -> Any | None:
    """The SummaryWriter of the first TensorBoard logger, if there is one on this process."""
    writers = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return writers[0] if writers and trainer.is_global_zero else None


def _due(trainer: Trainer, every: int) -> bool:
    """Whether this epoch is drawn: one in ``every``, and the last."""
    done = trainer.current_epoch + 1
    return done % every == 0 or done == trainer.max_epochs


class ContactSheets(Callback):
    """Draws speckle | prediction | truth | error of every watched split to the loggers and to ``figures/``.

    Args:
        every: epochs between two sheets; the last epoch always has one.
        images: images of a sheet.
    """

    def __init__(self, every: int = 1, images: int = 8) -> None:
        if every < 1 or images < 1:
            raise InvalidValue(f"callbacks.contact_sheets needs every >= 1 and images >= 1, got {every} and {images}.")
        self.every, self.images = every, images
        self.folder: Path | None = None
        self.splits: dict[str, Pairs] = {}
        self.drawn: list[dict[int, Tensor | None]] = []  # of every split, the number of an image to its prediction

    def bind(self, folder: Path, splits: dict[str, Pairs], processes: int = 1) -> None:
        """Tell where to draw and from which pairs; of several processes the first one sees every such number."""
        self.folder, self.splits = folder, splits
        numbers = [pictures.evenly(len(pairs), self.images) for pairs in splits.values()]
        self.drawn = [dict.fromkeys(number - number % processes for number in few) for few in numbers]

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the images that will be drawn, as the validation step returned them."""
        if self._draws(trainer):
            drawn = self.drawn[dataloader_idx]
            for image, number in zip(outputs, batch["index"].tolist(), strict=True):
                if number in drawn:
                    drawn[number] = image.float().cpu()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, on the first process."""
        if not self._draws(trainer):
            return
        epoch, step = trainer.current_epoch, step_of_scalars(trainer)
        for (name, pairs), drawn in zip(self.splits.items(), self.drawn, strict=True):
            shown = {number: image for number, image in drawn.items() if image is not None}
            numbers, pred = list(shown), torch.stack(list(shown.values()))
            sheet = pictures.contact_sheet(
                pairs.speckle[numbers], pred, images(pairs.target[numbers]), f"{name}, epoch {epoch}"
            )
            pictures.save(sheet, self.folder / f"{name}_last_epoch.png")  # type: ignore[operator]
            show_picture(trainer.loggers, f"contact_sheet/{name}", sheet, step)

    def _draws(self, trainer: Trainer) -> bool:
        return bool(self.folder) and trainer.is_global_zero and _due(trainer, self.every)


class ReliabilityDiagrams(Callback):
    """Logs the calibration error of every watched split, and draws its reliability to the loggers and ``figures/``.

    Does nothing for a head whose images are no probabilities: such a head is not bound.

    Args:
        every: epochs between two diagrams; the last epoch always has one. The error is logged every epoch.
        bins: bins of equal width.
    """

    def __init__(self, every: int = 1, bins: int = BINS) -> None:
        if every < 1 or bins < 1:
            raise InvalidValue(f"callbacks.reliability needs every >= 1 and bins >= 1, got {every} and {bins}.")
        self.every, self.bins = every, bins
        self.folder: Path | None = None
        self.splits: dict[str, Reliability] = {}

    def bind(self, folder: Path, splits: Sequence[str]) -> None:
        """Tell where to draw and what the validation loaders are called, in their order."""
        self.folder, self.splits = folder, {name: Reliability(self.bins) for name in splits}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Sort the pixels of the images that the validation step returned into bins."""
        if self.splits:
            list(self.splits.values())[dataloader_idx].update(outputs, batch["target"], batch["index"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the error; draw, on the first process."""
        epoch = trainer.current_epoch
        draws = _due(trainer, self.every) and trainer.is_global_zero
        for name, split in self.splits.items():
            sums = split.compute()
            split.reset()
            pl_module.log(f"{name}/ece", calibration_error(sums).float())
            if draws and self.folder:
                diagram = reliability_diagram(sums, f"{name}, epoch {epoch}")
                pictures.save(diagram, self.folder / f"{name}_reliability_last_epoch.png")
                show_picture(trainer.loggers, f"reliability/{name}", diagram, step_of_scalars(trainer))


class ModelGraph(Callback):
    """Writes the network's graph to TensorBoard when training starts."""

    def __init__(self, speckle: Tensor) -> None:
        self.speckle = speckle

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Trace one sample; a network that cannot be traced costs the graph, not the run."""
        writer = tensorboard(trainer)
        if writer is None:
            return
        was_training = pl_module.training
        pl_module.eval()
        try:
            with warnings.catch_warnings(), _any_algorithm():
                # The size checks are constants of the one traced sample, as intended.
                warnings.simplefilter("ignore", torch.jit.TracerWarning)
                warnings.simplefilter("ignore", FutureWarning)
                warnings.simplefilter("ignore", UserWarning)  # that a traced network is not traced again
                speckle = self.speckle.to(pl_module.device)
                traced = torch.jit.trace(pl_module, speckle, strict=False, check_trace=False)
                writer.add_graph(traced, speckle)
        except RuntimeError as error:
            log.warning("No model graph in TensorBoard: %s", str(error).splitlines()[0])
        pl_module.train(was_training)


@contextmanager
def _any_algorithm() -> Iterator[None]:
    """Allow algorithms that are not deterministic: torch cannot trace its deterministic upsampling on a GPU."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
