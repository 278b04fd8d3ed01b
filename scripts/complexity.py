"""What networks cost, beside the notes' figures: a table here, Markdown, CSV, JSON and TensorBoard in out=.

python scripts/complexity.py models=all size=[200,224,256] batch=2
python scripts/complexity.py model=spt_unet model.width=16 layers=true      one network, with overrides of its own
python scripts/complexity.py survey=true                                    the notes' 91 rows of backbones
python scripts/complexity.py scaling=true                                   growth with size and batch
python scripts/complexity.py timing=true                                    throughput and inference time as well
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

import spt  # noqa: F401  registers the typed root
from spt.command import guarded


def report(cfg: DictConfig) -> None:
    """Measure what was asked for, print it and write it."""
    from rich.console import Console

    from spt.complexity.reports import Settings, command, sheets_of
    from spt.complexity.sheet import show, to_tensorboard, write
    from spt.config import network_builders
    from spt.evaluation.score_table import markdown

    settings, out = Settings.checked(cfg), Path(cfg.out)
    stem, sheets = sheets_of(settings, network_builders(cfg), out)
    console = Console() if Console().is_terminal else Console(width=180)
    for sheet in sheets:
        show(sheet, console)
    written = write(sheets, out, stem, command(), markdown)
    to_tensorboard(sheets, out / "tensorboard" / stem, markdown)
    print("Written:", ", ".join(map(str, written)), "and", out / "tensorboard")


@hydra.main(version_base="1.3", config_path="../configs", config_name="complexity")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: report(cfg))


if __name__ == "__main__":
    main()
