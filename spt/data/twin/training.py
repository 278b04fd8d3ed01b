"""Training pairs from a twin of the set-up: the fit, and the simulation of new objects behind new diffusers."""

import logging
from pathlib import Path

from spt.data.files.frames import Frames, digest
from spt.data.objects import ObjectSource
from spt.data.pairs import Pairs
from spt.data.preparation import Spectra
from spt.data.settings import describe
from spt.data.twin.fitting import fit_to_pairs, in_sentences
from spt.data.twin.jitter import Jitter
from spt.data.twin.pairs import TwinPairs
from spt.data.twin.simulation import Simulation
from spt.errors import InvalidValue
from spt.optics.twin import FittedTwin, open_twin, save_twin

log = logging.getLogger(__name__)

VERSION = 2
"""Of the recipe of the fit: another version fits again."""


class TwinTraining:
    """Makes training pairs from a twin of the set-up. Measured pairs are for the fit, for validation and for tests.

    Args:
        objects: what the simulated pairs show; those of its split ``train``.
        file: a twin from ``scripts/fit_twin.py``; None fits one to the measured training pairs, once, and keeps it in
            the cache folder.
        pairs: simulated pairs of an epoch; their noise is new in every epoch.
        a_diffuser: so many objects are behind one diffuser.
        measured: share of the training pairs that are measured ones.
        jitter: how diffusers and objects differ.
        grey: whether the simulated objects let through the share of light that their grey value says; the fitted twin
            has a threshold.
    Raises:
        InvalidValue: if a number is out of range.
    """

    def __init__(
        self,
        objects: ObjectSource,
        file: str | None = None,
        pairs: int = 24000,
        a_diffuser: int = 50,
        measured: float = 0.0,
        jitter: Jitter | None = None,
        grey: bool = False,
    ) -> None:
        for name, value in (("pairs", pairs), ("a_diffuser", a_diffuser)):
            if value < 1:
                raise InvalidValue(f"data.twin.{name} must be at least 1, got {value}.")
        if not 0 <= measured < 1:
            raise InvalidValue(f"data.twin.measured must lie in [0, 1), got {measured}.")
        self.objects, self.file, self.pairs, self.a_diffuser = objects, file, pairs, a_diffuser
        self.measured, self.jitter, self.grey = measured, jitter or Jitter(), grey

    def dataset(self, train: Pairs, inputs: Pairs, preparation: Spectra, seed: int, cache: Path) -> TwinPairs:
        """Fit or open the twin and simulate.

        Args:
            train: measured training pairs, with prepared objects.
            inputs: the same with prepared speckles.
            preparation: fitted to them.
            seed: of the run.
            cache: folder where a fitted twin is kept.
        Raises:
            UserError: if a file cannot be used, or the fit does not converge.
        """
        fitted = self._twin(train, preparation, cache)
        known, trained = set(fitted.facts["diffusers"]), set(train.diffuser.tolist())
        if not known <= trained:
            other = ", ".join(map(str, sorted(known - trained)))
            raise InvalidValue(
                f"data.twin.file={self.file} was fitted to frames of diffuser {other}, which does not train here: the "
                "network would learn from a diffuser that counts as unseen. Fit a twin with the splits of this run "
                "(data.twin.file=null). Where it is another piece of glass, give the diffusers other numbers."
            )
        if not fitted.twin.grid.is_like(preparation.grid()) or fitted.twin.side != train.target.shape[1]:
            raise InvalidValue(
                f"data.twin.file={self.file} was fitted to other spectra or objects: {fitted.twin.grid}, objects of "
                f"{fitted.twin.side} px; here {preparation.grid()}, objects of {train.target.shape[1]} px. Fit it to "
                "these data, or set data.preparation.reach, size and lags as there."
            )
        fitted.twin.grey = self.grey
        made = Simulation(fitted, self.jitter, self.a_diffuser, seed).predict(self.objects, "train", self.pairs)
        share = 100 * (1 - self.measured)
        log.info("Training pairs: %d simulated by the twin, %.0f %% of an epoch.", self.pairs, share)
        return TwinPairs(made, fitted, preparation, inputs, self.measured, seed)

    def _twin(self, train: Pairs, preparation: Spectra, cache: Path) -> FittedTwin:
        if self.file is not None:
            return open_twin(Path(self.file).expanduser())
        speckle, target = (
            values.fingerprint() if isinstance(values, Frames) else describe(values)
            for values in (train.speckle, train.target)
        )
        state = describe(dict(preparation.state_dict()))
        name = digest("twin", VERSION, speckle, target, train.diffuser.tolist(), preparation.settings(), state)
        path = cache / f"twin-{name}.h5"
        if path.is_file():
            log.info("Twin of the set-up: %s", path)
            return open_twin(path)
        fitted = fit_to_pairs(train, preparation)
        cache.mkdir(parents=True, exist_ok=True)
        save_twin(path, fitted)
        log.info("Twin of the set-up, kept in %s:\n%s", path, "\n".join(in_sentences(fitted)))
        return fitted
