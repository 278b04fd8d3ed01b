"""The verb fit twin: a forward model of a set-up from measured pairs, and a page that shows how good it is."""

import logging
from pathlib import Path

from spt.data.datamodule import SpeckleDataModule
from spt.data.preparation import Spectra
from spt.data.twin import check_twin, fit_to_pairs
from spt.errors import InvalidValue
from spt.evaluation.metrics_file import write_json
from spt.evaluation.twin_page import as_numbers, draw, held_out, page_sentences
from spt.files import atomic, check_writable
from spt.optics.twin import save_twin

log = logging.getLogger(__name__)


def fit_twin_to(data: SpeckleDataModule, out: Path) -> list[Path]:
    """Fit a twin to the training pairs and look at it on those of ``val_seen``.

    Args:
        data: measured pairs, prepared as spectra.
        out: file of the twin, which ends in ``.h5``; the page has the same name with ``.png``, ``.md`` and ``.json``.
    Returns:
        What was written.
    Raises:
        UserError: if a file is there already, or the data cannot be used.
    """
    if out.suffix != ".h5":
        raise InvalidValue(f"out={out} must end in .h5.")
    files = [out, *(out.with_suffix(ending) for ending in (".png", ".md", ".json"))]
    there = [file for file in files if file.exists()]
    if there:
        raise InvalidValue(f"{there[0]} exists already. Choose another file with out=….")
    check_writable(out.parent)
    if data.twin is not None:
        raise InvalidValue("data.twin is for training. Leave it out: twin@data.twin=null.")
    check_twin(data.preparation, data.object_size)
    assert isinstance(data.preparation, Spectra)
    data.prepare_data()
    data.setup()
    log.info("Speckle: %s.", data.preparation.describe(data.source.frame_size, data.object_size))
    fitted = fit_to_pairs(data.splits["train"], data.preparation)
    known = held_out(fitted, data.splits["val_seen"], data.preparation)
    said = page_sentences(fitted, known)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_twin(out, fitted)
    draw(fitted, known, files[1])
    with atomic(files[2]) as part:
        text = "\n".join(f"- {sentence}" for sentence in said)
        part.write_text(f"# Twin of the set-up\n\n{text}\n\n![light, residuals, spectra]({files[1].name})\n")
    write_json(files[3], as_numbers(fitted, known))
    log.info("%s", "\n".join(said))
    return files
