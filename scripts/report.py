"""One HTML page on finished runs: result in words, tables, pictures, curves, data, cost, and how to repeat it.

python scripts/report.py outputs/2026-…                          report.html in the run folder
python scripts/report.py outputs/a outputs/b --out report.html   both, beside each other
"""

import argparse
import sys
from pathlib import Path

from spt.run.command import guarded


def main() -> None:
    """Parse, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="run folders, or folders of runs (run=<folder> works too)")
    parser.add_argument(
        "--out", type=Path, help="the page; report.html in the first folder unless it is named (out=<page> works too)"
    )
    arguments = parser.parse_args()
    if code := guarded(lambda: write(arguments)):
        sys.exit(code)


def write(arguments: argparse.Namespace) -> int:
    """Write the page; the exit code says whether runs were left out."""
    from spt.errors import InvalidValue
    from spt.run.report import report

    outs = [Path(text.removeprefix("out=")) for text in arguments.runs if text.startswith("out=")]
    outs += [arguments.out] if arguments.out else []
    runs = [Path(text.removeprefix("run=")).expanduser() for text in arguments.runs if not text.startswith("out=")]
    if not runs or len(outs) > 1:
        raise InvalidValue("give one run folder or more, and out=<page>.html at most once.")
    out = outs[0] if outs else runs[0] / "report.html"
    done = report(runs, out.expanduser())
    print(f"{done.out}: {done.runs} run{'' if done.runs == 1 else 's'}.")
    for line in done.problems:
        print(f"Left out: {line}", file=sys.stderr)
    return 1 if done.problems else 0


if __name__ == "__main__":
    main()
