"""Memory and time of the baselines' scores, on random pairs.

python scripts/benchmarks/baselines.py --size 512 --pairs 6000
"""

import argparse
import resource
import time


def main() -> None:
    """Make the pairs, score the baselines, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the images [px]")
    parser.add_argument("--pairs", type=int, default=6000, help="training pairs")
    parser.add_argument("--images", type=int, default=256, help="images of each evaluated split")
    parser.add_argument("--splits", type=int, default=3, help="evaluated splits")
    measure(**vars(parser.parse_args()))


def measure(size: int, pairs: int, images: int, splits: int) -> None:
    """Print the memory that scoring adds to that of the pairs, and its time."""
    import torch

    from spt.data.pairs import Pairs
    from spt.data.preparation import Amplitude
    from spt.evaluation.baseline_scores import score_baselines

    def random(name: str, count: int) -> Pairs:
        speckle, target = (torch.randint(0, 256, (count, size, size), dtype=torch.uint8) for _ in range(2))
        return Pairs(name, speckle, target, torch.arange(count) % 8)

    train, evaluated = random("train", pairs), {f"split_{k}": random(f"split_{k}", images) for k in range(splits)}
    before, began = memory(), time.perf_counter()
    scores = score_baselines(train, evaluated, Amplitude(), pairs)
    seconds, after = time.perf_counter() - began, memory()
    print(f"{pairs} training pairs, {splits} splits of {images} images, {size} px, {torch.get_num_threads()} threads:")
    print(f"{seconds:.0f} s, peak memory {after - before:.2f} GB above the {before:.2f} GB of program and pairs.")
    print(f"Baselines: {', '.join(scores['split_0'])}.")


def memory() -> float:
    """Greatest memory that this process has had so far [GB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
