"""The table of speckle statistics: a row a quantity, a column a diffuser."""

from collections.abc import Iterator, Sequence

from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from spt.evaluation.speckle.frame_statistics import SpeckleStatistics


def rows(
    measured: Sequence[SpeckleStatistics], across: Sequence[Float[Tensor, " _"]], pitch: float | None = None
) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        measured: one column each.
        across: correlations with the frames of the set's other diffusers, for each column; empty where there are none.
        pitch: of the camera [m]; adds the grain in micrometres.
    """
    yield ["", *(s.name for s in measured)]
    yield ["frames", *(f"{s.frames} of {s.size[0]}x{s.size[1]} px" for s in measured)]
    yield ["constant / repeated frames, hot pixels", *(f"{s.constant} / {s.duplicates}, {s.hot}" for s in measured)]
    yield ["contrast", *(_spread(s.contrast) for s in measured)]
    yield ["contrast, envelope removed", *(_spread(s.flat_contrast) for s in measured)]
    yield ["envelope, darkest / brightest", *(f"{s.uniformity:.2f}" for s in measured)]
    yield ["patterns added, M = 1 / contrast²", *(f"{s.order:.2f}" for s in measured)]
    yield [
        "KS distance from exponential / gamma of order M",
        *(f"{s.ks_exponential:.3f} / {s.ks_gamma:.3f}" for s in measured),
    ]
    yield ["grain FWHM y, x in px", *(f"{s.grain[0]:.2f}, {s.grain[1]:.2f}" for s in measured)]
    if pitch is not None:
        yield ["grain FWHM y, x in µm", *(", ".join(f"{1e6 * pitch * g:.1f}" for g in s.grain) for s in measured)]
    yield ["PCC of frames, same diffuser", *(_spread(s.correlations) for s in measured)]
    yield ["PCC of frames, other diffusers", *map(_spread, across)]
    yield ["brightest level / zero or less, %", *(f"{100 * s.saturated:.2f} / {100 * s.dark:.2f}" for s in measured)]
    yield ["grey levels a frame", *(str(s.levels) for s in measured)]
    yield ["PCC speckle - object, own / others", *(_leak(s, best=False) for s in measured)]
    yield ["the same after the blur that shows most", *(_leak(s, best=True) for s in measured)]


def _spread(values: Float[Tensor, " n"]) -> str:
    if len(values) == 0:
        return "–"
    return f"{values.mean():.3f} ± {values.std():.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def _leak(measured: SpeckleStatistics, best: bool) -> str:
    if not measured.leaks:
        return "–"
    leak = measured.leak if best else measured.leaks[0]
    assert leak is not None
    return f"{leak.own:.3f} / {leak.null:.3f}" + (f" ({leak.blur:g} px)" if best else "")


def print_table(table: Sequence[Sequence[str]]) -> None:
    """Print rows, the first being the header."""
    shown = Table(title="Speckle statistics; mean ± standard deviation over frames, or over pairs of frames")
    for k, name in enumerate(table[0]):
        shown.add_column(name, justify="right" if k else "left")
    for row in table[1:]:
        shown.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=50 + 30 * len(table[0][1:]))).print(shown)
