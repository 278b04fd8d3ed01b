"""Compare finished runs with each other and with the baselines, in a Markdown table.

python scripts/compare.py multirun/2026-…            every run below the folder
python scripts/compare.py outputs/a outputs/b --metrics pcc psnr
"""

import argparse
from pathlib import Path

from spt.run.command import guarded


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, or folders of runs")
    parser.add_argument("--metrics", nargs="+", default=["pcc", "ssim", "ji"])
    arguments = parser.parse_args()
    guarded(lambda: print(compare(arguments.runs, arguments.metrics)))


def compare(runs: list[Path], metrics: list[str]) -> str:
    """Return the table."""
    from spt.evaluation.compare import comparison, find_runs
    from spt.evaluation.score_table import markdown

    return markdown(comparison(find_runs(runs), metrics))


if __name__ == "__main__":
    main()
