"""Compare finished runs with each other and with the simple methods: mean and spread over seeds.

python scripts/compare.py multirun/2026-…            every run below the folder
python scripts/compare.py outputs/a outputs/b --metrics pcc psnr
python scripts/compare.py multirun/2026-… --out results      also compare.md, .csv, .tex and .png in that folder
"""

import argparse
import sys
from pathlib import Path

from spt.run.command import guarded


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, or folders of runs")
    parser.add_argument("--metrics", nargs="+", default=["pcc", "ssim", "ji"])
    parser.add_argument("--format", choices=("markdown", "csv", "latex"), default="markdown", help="what is printed")
    parser.add_argument("--out", type=Path, help="folder for the tables in all formats, and the figure")
    arguments = parser.parse_args()
    if code := guarded(lambda: compare(arguments)):
        sys.exit(code)


def compare(arguments: argparse.Namespace) -> int:
    """Print the tables; the exit code says whether runs were left out."""
    from spt.run.compare import FORMATS, compare_runs

    done = compare_runs(arguments.runs, arguments.metrics, arguments.out)
    print(FORMATS[arguments.format](done.tables))
    for file in done.files:
        print(f"Written: {file}", file=sys.stderr)
    for line in done.problems:
        print(f"Left out: {line}", file=sys.stderr)
    return 1 if done.problems else 0


if __name__ == "__main__":
    main()
