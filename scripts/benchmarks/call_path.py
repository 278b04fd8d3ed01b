"""How many functions of spt, in how many files, a sample passes on its way to a batch, and a run to its first gradient.

python scripts/benchmarks/call_path.py                          the default set
python scripts/benchmarks/call_path.py data=weak_scatter data.online=true
python scripts/benchmarks/call_path.py --list                   names them

Counted are the functions that Python enters: after everything was built, while a set is simulated, written, read and
loaded as one batch; then for one more batch alone; then from the beginning of a training to its first gradient, with
the data made already. Functions without a name and comprehensions are not counted.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Build a small set, count, print."""
    from hydra import compose, initialize_config_dir

    import spt  # noqa: F401  registers the typed root
    from spt.run.building import build

    overrides = [argument for argument in sys.argv[1:] if "=" in argument]
    with tempfile.TemporaryDirectory() as cache:
        small = ["data.source.train=64", "data.source.validation=8", f"data.source.cache={cache}"]
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            data = build(compose("train", [*small, *overrides]).data)
        report("from the objects to the first batch", entered_by(lambda: first_batch(data)))
        batches = iter(data.train_dataloader())
        next(batches)
        report("one more batch", entered_by(lambda: next(batches)))
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            config = compose("train", [*small, *overrides, "model.width=4", "trainer.accelerator=cpu"])
        report("from train() to the first gradient", entered_by(lambda: first_gradient(config, Path(cache))))


def first_batch(data: Any) -> None:
    """Simulate, write, read and load."""
    data.prepare_data()
    data.setup()
    next(iter(data.train_dataloader()))


def first_gradient(config: Any, folder: Path) -> None:
    """Train until the first backward pass has ended."""
    from spt.run.folder import RunFolder
    from spt.run.train import train
    from spt.training.module import SpeckleModule

    def stop(module: Any) -> None:
        raise KeyboardInterrupt

    SpeckleModule.on_after_backward = stop  # type: ignore[assignment, method-assign]
    with suppress(KeyboardInterrupt):
        train(config, RunFolder(folder / "run"))


def report(what: str, entered: set[tuple[str, str]]) -> None:
    """Print the numbers, and with ``--list`` the names."""
    if "--list" in sys.argv:
        print(*sorted(f"{file}  {name}" for file, name in entered), sep="\n")
    files = Counter(file for file, _ in entered)
    each = ", ".join(f"{file} {n}" for file, n in files.most_common())
    print(f"{what}: {len(entered)} functions in {len(files)} files: {each}")


def entered_by(task: Callable[[], Any]) -> set[tuple[str, str]]:
    """Files and names of the functions that a task enters."""
    package, entered = str(ROOT / "spt"), set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(package) and not code.co_name.startswith("<"):
            entered.add((code.co_filename.removeprefix(package + "/"), code.co_qualname))

    sys.setprofile(note)
    try:
        task()
    finally:
        sys.setprofile(None)
    return entered


if __name__ == "__main__":
    main()
