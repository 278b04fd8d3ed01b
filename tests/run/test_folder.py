from pathlib import Path

import pytest

from spt.run.folder import RunFolder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("config", "runs/a/.hydra/config.yaml"),
        ("checkpoints", "runs/a/checkpoints"),
        ("best", "runs/a/checkpoints/best.ckpt"),
        ("last", "runs/a/checkpoints/last.ckpt"),
        ("history", "runs/a/metrics.csv"),
        ("metrics", "runs/a/metrics.json"),
        ("report", "runs/a/report.md"),
        ("figures", "runs/a/figures"),
    ],
)
def test_places(name, expected):
    """Users and scripts look for these names: changing one breaks the runs that exist."""
    assert getattr(RunFolder(Path("runs/a")), name) == Path(expected)


def test_asking_makes_nothing(tmp_path):
    folder = RunFolder(tmp_path / "a")
    assert not folder.best.exists()
    assert list(tmp_path.iterdir()) == []
