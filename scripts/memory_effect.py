"""Memory-effect curves, simulated against theory: a thin screen shifted, a multi-slice medium under tilted light.

python scripts/memory_effect.py                                    the table, and docs/images/memory_effect.png
python scripts/memory_effect.py --media 4 --out curves.png         fewer media, another file
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spt.run.command import guarded

if TYPE_CHECKING:
    from torch import Tensor

THIN, THICK = (2.92, 20e-6), (1.0, 15e-6, 5, 4e-3)
SHIFTS = [k * 1e-6 for k in range(0, 13)]
CYCLES = list(range(0, 17))
GRID, PITCH, WAVELENGTH, DISTANCE = 256, 4e-6, 532e-9, 7.6e-3


def main() -> None:
    """Parse, simulate, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=int, default=16, help="independent diffusers that are averaged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/images/memory_effect.png"))
    arguments = parser.parse_args()
    guarded(lambda: print(memory_effect(arguments.media, arguments.seed, arguments.out)))


def memory_effect(media: int, seed: int, out: Path) -> str:
    """Simulate both curves, write the figure and return the table.

    Raises:
        InvalidValue: if there are fewer than 2 media.
    """
    import math

    import numpy as np

    from spt.errors import InvalidValue
    from spt.evaluation.score_table import markdown
    from spt.optics import ThickDiffuser, ThinDiffuser
    from spt.optics.memory_effect import shift_law, simulated_shift, simulated_tilt, tilt_law

    if media < 2:
        raise InvalidValue(f"--media must be at least 2, to show a spread, got {media}.")
    rng, thin, thick = np.random.default_rng(seed), ThinDiffuser(*THIN), ThickDiffuser(*THICK)
    # The thin screen at 3.8 mm: beyond its caustics, where the law holds.
    shifted = simulated_shift(thin, SHIFTS, GRID, PITCH, WAVELENGTH, DISTANCE / 2, media, rng)
    tilted = simulated_tilt(thick, CYCLES, GRID, PITCH, WAVELENGTH, DISTANCE, media, rng)
    angles = [k * WAVELENGTH / (GRID * PITCH) for k in CYCLES]
    panels = [
        ("thin screen, shift [µm]", [s * 1e6 for s in SHIFTS], shifted, [shift_law(thin, s) for s in SHIFTS]),
        (
            "five slices over 4 mm, tilt [degree]",
            [math.degrees(a) for a in angles],
            tilted,
            [tilt_law(thick, a) for a in angles],
        ),
    ]
    draw(panels, out)
    rows = [
        [name, f"{x:.3g}", f"{y.mean():.3f} ± {y.std() / media**0.5:.3f}", f"{law:.3f}"]
        for name, xs, ys, laws in panels
        for x, y, law in list(zip(xs, ys, laws, strict=True))[::2]
    ]
    return markdown([["change", "by", f"simulated, {media} media", "theory"], *rows])


def draw(panels: list[tuple[str, list[float], "Tensor", list[float]]], out: Path) -> None:
    """Draw simulated points with their standard error on the theoretical curve, a panel a change."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, (name, xs, ys, laws) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        axes.plot(xs, laws, color="0.4", label="theory")
        error = ys.std(1) / ys.shape[1] ** 0.5
        axes.errorbar(xs, ys.mean(1), error, fmt="o", markersize=4, color="C0", label=f"simulated, {ys.shape[1]} media")
        axes.set(xlabel=name, ylim=(-0.05, 1.05))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("correlation of the speckle")
    figure.axes[0].legend()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
