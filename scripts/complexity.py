"""What networks cost, and what the notes print: a table here; Markdown, CSV, JSON and TensorBoard in out=.

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
from spt.run.command import guarded


def report(cfg: DictConfig) -> None:
    """Measure what was asked for, print it and write it."""
    from rich.console import Console

    from spt.complexity.answers import check, command, sheets_of
    from spt.complexity.sheet import show, write
    from spt.evaluation.score_table import markdown
    from spt.run.building import network_builders

    check(cfg)
    stem, sheets = sheets_of(cfg, network_builders(cfg), Path(cfg.out))
    console = Console() if Console().is_terminal else Console(width=180)
    for sheet in sheets:
        show(sheet, console)
    *files, tensorboard = write(sheets, Path(cfg.out), stem, command(), markdown)
    print("Written:", ", ".join(map(str, files)), "and", tensorboard)


@hydra.main(version_base="1.3", config_path="../configs", config_name="complexity")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: report(cfg))


if __name__ == "__main__":
    main()
