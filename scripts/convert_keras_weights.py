r"""Convert weights of the published deep speckle network (Keras HDF5) into a checkpoint of spt.

python scripts/convert_keras_weights.py in.h5 out.ckpt
python train.py model=deep_speckle loss=ce data.preparation.transform=none data.preparation.scale=maximum \
  weights=out.ckpt

The published network was trained on frames divided by their maximum. The checkpoint says so under `preparation`.
"""

import argparse
from pathlib import Path

from spt.run.command import guarded


def main() -> None:
    """Parse, convert, write, say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="save_weights of Keras 2 or 3, model.save as .h5, or .weights.h5")
    parser.add_argument("target", type=Path, help="checkpoint to write; must not exist")
    arguments = parser.parse_args()
    guarded(lambda: convert_file(arguments.source, arguments.target))


def convert_file(source: Path, target: Path) -> None:
    """Convert one file, and write with the weights the preparation they were trained with.

    Raises:
        InvalidValue: if the target is there already.
    """
    import torch

    from spt.errors import InvalidValue
    from spt.files import atomic
    from spt.models.keras_weights import PREPARATION, convert
    from spt.training.initial import PREFIX

    if target.exists():
        raise InvalidValue(f"{target} exists already. Name another file or remove it.")
    state = convert(source)
    with atomic(target) as part:
        weights = {PREFIX + name: array for name, array in state.items()}
        torch.save({"state_dict": weights, "preparation": PREPARATION}, part)
    arrays = [array for array in state.values() if array.is_floating_point()]
    print(f"{target}: {len(arrays)} arrays, {sum(a.numel() for a in arrays):,} numbers.")
    prepared = " ".join(f"data.preparation.{name}={value}" for name, value in PREPARATION.items())
    print(f"Use it: python train.py model=deep_speckle loss=ce {prepared} weights={target}")


if __name__ == "__main__":
    main()
