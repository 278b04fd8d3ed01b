"""Convert weights of the published deep speckle network (Keras HDF5) into a checkpoint of spt.

python scripts/convert_keras_weights.py in.h5 out.ckpt
python train.py model=deep_speckle loss=ce weights=out.ckpt
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
    """Convert one file.

    Raises:
        FileExistsError: if the target is there already.
    """
    import torch

    from spt.files import atomic
    from spt.models.keras_weights import convert
    from spt.training.initial import PREFIX

    if target.exists():
        raise FileExistsError(f"{target} exists already. Name another file or remove it.")
    state = convert(source)
    with atomic(target) as part:
        torch.save({"state_dict": {PREFIX + name: array for name, array in state.items()}}, part)
    arrays = [array for array in state.values() if array.is_floating_point()]
    print(f"{target}: {len(arrays)} arrays, {sum(a.numel() for a in arrays):,} numbers.")
    print(f"Use it: python train.py model=deep_speckle loss=ce weights={target}")


if __name__ == "__main__":
    main()
