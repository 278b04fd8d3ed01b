"""What several tests share."""

import io
import logging
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import jaxtyping
import lightning  # noqa: F401
import pytest
import timm  # noqa: F401
import torch
import torchmetrics  # noqa: F401
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

# Before anything of spt is imported, and after the large libraries: those that spt imports first under the hook are
# compiled anew, 8 seconds, since the hook has its own cache of byte code.
jaxtyping.install_import_hook("spt", "array_annotations.checked")
import spt  # noqa: E402, F401  registers the typed root and the resolvers
from spt.data.pairs import Pairs  # noqa: E402

ROOT = Path(__file__).parents[1]

TINY = [
    "data.source.train=24",
    "data.source.validation=8",
    "data.source.setup.window=32",
    "data.source.setup.grid=112",
    "data.batch_size=8",
    "model.width=4",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
]
"""Overrides that make the default configuration train in a second: 32 px, 24 pairs, 3 steps an epoch."""


PLAIN = ["~callbacks", "~logger", "baseline_pairs=0"]
"""Leaves out what takes most of the time of so short a run: pictures, TensorBoard, baselines."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated sets of the tests, away from the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SPT_CACHE"] = str(folder)
    return folder


def in_memory(splits: dict[str, Pairs]) -> dict[str, Pairs]:
    """The same pairs with every image read."""
    return {name: replace(pairs, speckle=pairs.speckle[:], target=pairs.target[:]) for name, pairs in splits.items()}


@pytest.fixture(autouse=True)
def _seeded_and_quiet() -> Iterator[None]:
    """The same random numbers in every test; a log that a test opens is closed behind it."""
    torch.manual_seed(0)
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small SpT UNet that was trained for an epoch, for tests that only read it."""
    from spt.run.folder import RunFolder
    from spt.run.train import train

    run = RunFolder(tmp_path_factory.mktemp("tiny") / "run")
    config = composed(*TINY, *PLAIN, "trainer.max_epochs=1")
    run.config.parent.mkdir(parents=True)
    OmegaConf.save(config, run.config)
    train(config, run)
    return run.path


@pytest.fixture
def own_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch enforced annotations off: the test is about what a function refuses by itself."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def real_data() -> Path:
    """Folder of the measured speckles; skips where there are none."""
    root = os.environ.get("SPT_DATA")
    if not root:
        pytest.skip("SPT_DATA is not set: the measured speckles are not part of the repository")
    return Path(root)


def composed(*overrides: str) -> DictConfig:
    """Compose the root configuration as the command line would."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return compose("train", list(overrides))


def train_py(*arguments: str, cwd: Path = ROOT, timeout: float = 240, **env: str) -> subprocess.CompletedProcess[str]:
    """Run train.py in a process of its own, as a user would: for signals, several jobs, what one import would hide."""
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def wait_for_an_epoch(folder: Path, process: subprocess.Popen[str]) -> None:
    """Return once a run is in its second epoch or later."""
    deadline = time.monotonic() + 180
    while not (folder / "metrics.csv").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)


def one_convolution(folder: Path) -> list[str]:
    """Arguments that choose a network without BatchNorm, whose configuration is written into ``folder``."""
    (folder / "model").mkdir()
    network = "{_target_: torch.nn.Conv2d, in_channels: 1, out_channels: 1, kernel_size: 5, padding: 2}"
    (folder / "model" / "one_convolution.yaml").write_text(network)
    return [f"--config-dir={folder}", "model=one_convolution"]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


def command(script: str, *arguments: str) -> Ended:
    """Run a script of the project in this process, from its first line on: no second import of torch."""
    out, err = io.StringIO(), io.StringIO()
    before, handlers, level = sys.argv, logging.root.handlers[:], logging.root.level
    sys.argv = [script, *arguments]
    try:
        # Hydra's logging set-up closes every handler there is; TensorBoard's would close pytest's own stderr.
        with redirect_stdout(out), redirect_stderr(err), patch("logging.shutdown"):
            runpy.run_path(str(ROOT / script), run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.argv = before
        logging.root.handlers[:], logging.root.level = handlers, level
    return Ended(code, out.getvalue(), err.getvalue())
