"""A configuration from somebody else's folder builds only what configs/ names, or what the user trusts."""

from pathlib import Path

import pytest
from conftest import composed
from omegaconf import OmegaConf

from spt.errors import InvalidValue
from spt.run.trust import own_targets, trusted

SUBPROCESS = "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler"


@pytest.mark.parametrize(
    "target",
    [
        SUBPROCESS,
        "os.system",
        "torch.load",
        "torch.hub.load",
        "spt.run.trust.re.compile",
        "nowhere.Thing",
        "torch.nn.ReLU",
    ],
)
def test_a_class_that_configs_does_not_name_is_refused(target: str):
    with pytest.raises(InvalidValue, match=target):
        trusted(OmegaConf.create({"model": {"parts": [{"_target_": target}]}}))


def test_a_class_behind_an_interpolation_is_found(tmp_path: Path):
    """`${oc.create:…}` makes a node while it is resolved."""
    created = OmegaConf.create({"model": {"a": "${oc.create:{_target_:" + SUBPROCESS + ",entrypoint:/bin/sh}}"}})
    with pytest.raises(InvalidValue, match="SubprocessHandler"):
        trusted(created)
    named = OmegaConf.create({"x": SUBPROCESS, "model": {"_target_": "${x}"}})
    with pytest.raises(InvalidValue, match="SubprocessHandler"):
        trusted(named)


def test_what_is_returned_has_nothing_left_to_resolve():
    config = trusted(composed("model.width=16"))
    assert not any(OmegaConf.is_interpolation(config.model, key) for key in config.model)
    assert config.model.out_channels == 1


def test_every_class_of_configs_is_on_the_list():
    assert {"spt.models.SpTUNet", "spt.losses.DiceLoss", "timm.optim.Muon", "lightning.Trainer"} <= own_targets()


@pytest.mark.parametrize("trust", ["fractions.Fraction", "mylab, fractions"])
def test_spt_trust_adds_a_class_or_a_package(monkeypatch: pytest.MonkeyPatch, trust: str):
    node = OmegaConf.create({"_target_": "fractions.Fraction"})
    with pytest.raises(InvalidValue, match=r"SPT_TRUST=fractions\.Fraction"):
        trusted(node)
    monkeypatch.setenv("SPT_TRUST", trust)
    assert trusted(node) == node


def test_spt_trust_is_no_prefix_of_a_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPT_TRUST", "frac")
    with pytest.raises(InvalidValue):
        trusted(OmegaConf.create({"_target_": "fractions.Fraction"}))


def test_the_progress_bar_of_earlier_runs_is_still_trusted():
    earlier = OmegaConf.create({"progress": {"_target_": "lightning.pytorch.callbacks.RichProgressBar"}})
    assert trusted(earlier) == earlier
