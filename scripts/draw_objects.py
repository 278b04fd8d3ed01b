"""A sheet of objects: for every family one row of training objects and one of classes never trained.

python scripts/draw_objects.py sparse faces                        docs/images/objects.png
SPT_DATA=/folder python scripts/draw_objects.py mnist omniglot --out stored.png
"""

import argparse
from pathlib import Path

from spt.run.command import guarded

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    """Parse, draw, say what was drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(path.stem for path in (CONFIGS / "objects").glob("*.yaml"))
    parser.add_argument("families", nargs="+", choices=names, metavar="FAMILY", help=", ".join(names))
    parser.add_argument("--size", type=int, default=96, help="side of an object [px]")
    parser.add_argument("--count", type=int, default=12, help="objects in a row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/images/objects.png"))
    arguments = parser.parse_args()
    guarded(lambda: draw(arguments.families, arguments.size, arguments.count, arguments.seed, arguments.out))


def draw(families: list[str], size: int, count: int, seed: int, out: Path) -> None:
    """Draw the sheet.

    Raises:
        InvalidValue: if size or count is not positive.
    """
    import numpy as np
    from hydra import compose, initialize_config_dir

    from spt.errors import InvalidValue
    from spt.evaluation.pictures import save
    from spt.run.building import build

    if min(size, count) < 1:
        raise InvalidValue(f"--size and --count must be 1 or more, got {size} and {count}.")
    rows = []
    for family in families:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            source = build(compose(f"objects/{family}").objects)
        for split in ("train", "val_class"):
            if source.count(split) != 0:
                rows.append(np.concatenate(list(source.draw(split, range(count), size, seed)), axis=1))
                print(f"row {len(rows)}: {family}, {split}")
    save(np.concatenate(rows)[..., None].repeat(3, axis=2), out)
    print(out)


if __name__ == "__main__":
    main()
