"""The typed roots, and the small functions that their yaml files call."""

import pytest
from conftest import composed
from hydra.errors import ConfigCompositionException

from spt.errors import InvalidValue
from spt.run.settings import _job, _short


def test_root_scalars_are_typed():
    with pytest.raises(ConfigCompositionException, match="seed"):
        composed("seed=abc")
    with pytest.raises(ConfigCompositionException, match="sead"):
        composed("sead=1")
    with pytest.raises(ConfigCompositionException, match="epsilon"):
        composed("loss.epsilon=1")


@pytest.mark.parametrize("group", ["logger", "callbacks"])
def test_a_group_can_be_left_out(group: str):
    assert composed(f"~{group}")[group] is None


def test_a_name_of_a_folder_has_at_most_200_bytes():
    assert _short("a/b") == "a-b"
    assert len(_short("光" * 100).encode()) <= 200
    assert _short("光" * 100) == "光" * 66


def test_processes_of_one_job_share_a_folder():
    assert _job("12-00-00", {}) == "12-00-00"
    assert _job("12-00-00", {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "7"}) == "12-00-00"
    assert _job("12-00-01", {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}) == "slurm-7-0"
    assert _job("12-00-02", {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "abc"}) == "torchrun-abc"
    with pytest.raises(InvalidValue, match="--rdzv-id"):
        _job("12-00-03", {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"})
