"""What a network knows before the first step: weights of a file, the share of light in its last bias."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, composed
from torch import nn

from spt.data.preparation import Amplitude
from spt.heads import BinaryHead, Head, TwoClassHead
from spt.models import SACNN, SpTUNet
from spt.run.building import build
from spt.training.initial import load_weights, set_output_prior, share_of_light

MODELS = sorted(path.stem for path in (ROOT / "configs" / "model").glob("*.yaml"))


def network(seed: int = 0, **settings: Any) -> SpTUNet:
    torch.manual_seed(seed)
    return SpTUNet(width=4, **settings)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def converted(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state_dict as a converter writes it."""
    return {f"model.{name}": tensor for name, tensor in model.state_dict().items()}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


# Weights --------------------------------------------------------------------------------------------------------------


def test_a_converters_file_is_loaded_whole(tmp_path: Path):
    theirs, ours = network(1), network(2)
    assert not same(state(ours), state(theirs))
    load_weights(ours, saved(tmp_path / "a.pt", {"state_dict": converted(theirs)}))
    assert same(state(ours), state(theirs))


def test_the_rest_of_a_runs_checkpoint_is_left_out(tmp_path: Path):
    theirs, ours = network(1), network(2)
    others = {"scores.val_seen.total": torch.ones(4), "loss.weight": torch.zeros(2)}
    run = {"epoch": 3, "state_dict": {**others, **converted(theirs)}, "optimizer_states": [{"state": {}}]}
    load_weights(ours, saved(tmp_path / "best.ckpt", run))
    assert same(state(ours), state(theirs))


def test_only_the_first_model_of_a_name_is_its_prefix(tmp_path: Path):
    theirs, ours = (nn.ModuleDict({"model": nn.Linear(2, 2)}) for _ in range(2))
    load_weights(ours, saved(tmp_path / "a.pt", {"state_dict": converted(theirs)}))
    assert same(state(ours), state(theirs))


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.ckpt: no such file"):
        load_weights(network(), tmp_path / "nothing.ckpt")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_weights(network(), tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello world\n",
        b"\x89PNG\r\n\x1a\n",
        b'{"epoch": 1}',
        b"seed: 0\n",
    ],
)
def test_a_file_that_torch_cannot_read_is_no_checkpoint(tmp_path: Path, content: bytes):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.yaml is no checkpoint of spt"):
        load_weights(network(), path)


@pytest.mark.parametrize(
    "kept",
    [0.5, 0.99, 0.1],
)
def test_a_truncated_checkpoint_is_none(tmp_path: Path, kept: float):
    path = saved(tmp_path / "a.pt", {"state_dict": converted(network())})
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"a\.pt is no checkpoint of spt"):
        load_weights(network(), path)


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": 1},
        [1, 2],
        5,
        {"state_dict": None},
        {"state_dict": [1]},
        {"state_dict": {1: 2}},
        torch.zeros(3),
    ],
)
def test_a_torch_file_without_a_state_dict_is_no_checkpoint(tmp_path: Path, content: object):
    path = saved(tmp_path / "a.pt", content)
    with pytest.raises(ValueError, match=r"a\.pt is no checkpoint of spt"):
        load_weights(network(), path)


def test_another_networks_weights_are_refused_by_the_first_missing_name_and_the_file(tmp_path: Path):
    path = saved(tmp_path / "sa_cnn.ckpt", {"state_dict": converted(SACNN(width=2))})
    model = network()
    before = state(model)
    with pytest.raises(ValueError, match=r"sa_cnn\.ckpt does not hold the weights of this SpTUNet") as refusal:
        load_weights(model, path)
    first = next(iter(before))
    assert f'Missing key(s) in state_dict: "{first}"' in str(refusal.value)
    assert "Choose the model=…" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600
    assert same(state(model), before)


@pytest.mark.parametrize(("name", "value"), [("head.3.bias", None), ("head.3.extra", torch.zeros(1))])
def test_one_missing_or_unexpected_name_is_enough(tmp_path: Path, name: str, value: torch.Tensor | None):
    content = {**converted(network()), f"model.{name}": value}
    content = {key: tensor for key, tensor in content.items() if tensor is not None}
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_weights(network(), saved(tmp_path / "a.pt", {"state_dict": content}))


def test_other_widths_and_heads_are_refused_by_the_shape(tmp_path: Path):
    path = saved(tmp_path / "a.pt", {"state_dict": converted(network())})
    with pytest.raises(ValueError, match=r"a\.pt does not hold .*size mismatch for head\.3\.weight"):
        load_weights(network(out_channels=2), path)


def test_weights_without_the_prefix_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"Missing key\(s\)"):
        load_weights(network(), saved(tmp_path / "a.pt", {"state_dict": network().state_dict()}))


class Malice:
    """Runs when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path):
    content = {"state_dict": converted(network()), "extra": Malice(tmp_path / "owned")}
    path = saved(tmp_path / "a.pt", content)
    with pytest.raises(ValueError, match=r"a\.pt is no checkpoint of spt \(UnpicklingError\)"):
        load_weights(network(), path)
    assert not (tmp_path / "owned").exists()


# Prior ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", [BinaryHead(), TwoClassHead()])
def test_without_features_every_network_shows_the_share(name: str, head: Head):
    narrow = ["model.width=8"] if "width" in composed(f"model={name}").model else []
    model = build(composed(f"model={name}", f"head={head.name}", *narrow).model).eval()
    before = state(model)
    set_output_prior(model, head, 0.07)
    changed = [key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])]
    assert len(changed) == 1
    bias = changed[0]
    with torch.no_grad():
        model.get_parameter(bias.replace("bias", "weight")).zero_()
        image = head.decode(model(torch.randn(1, 1, 32, 32)))
    torch.testing.assert_close(image, torch.full((1, 1, 32, 32), 0.07))


def test_only_the_last_bias_moves_and_it_still_learns():
    model = network()
    set_output_prior(model, BinaryHead(), 0.25)
    bias = model.head[3].bias
    assert bias.item() == pytest.approx(-1.0986123)  # -ln 3
    assert bias.requires_grad
    assert bias.is_leaf


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0, float("nan"), float("inf")])
def test_a_share_out_of_range_is_refused(share: float):
    model = network()
    before = state(model)
    with pytest.raises(ValueError, match=f"output_prior must lie between 0 and 1, got {share}"):
        set_output_prior(model, BinaryHead(), share)
    assert same(state(model), before)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(4, 1)),
        nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 2, 1)),
        nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1, bias=False)),
    ],
)
def test_a_network_whose_last_convolution_does_not_fit_is_refused(model: nn.Module):
    before = state(model)
    with pytest.raises(ValueError, match=r"1 channel\(s\) and a bias; Sequential has not\. Set output_prior=null"):
        set_output_prior(model, BinaryHead(), 0.1)
    assert same(state(model), before)


def test_a_share_of_light_is_a_number():
    assert share_of_light(0.1) == 0.1
    assert share_of_light("1e-3") == 0.001


@pytest.mark.parametrize("share", ["abc", "train", "", "0,1"])
def test_a_prior_that_is_no_number_is_refused(share: str):
    with pytest.raises(ValueError, match=f"a number between 0 and 1, `data` or null, got '{share}'"):
        share_of_light(share)


def test_weights_trained_on_frames_prepared_otherwise_are_refused_with_the_settings(tmp_path: Path):
    theirs = Amplitude("none", "maximum")
    path = saved(tmp_path / "keras.ckpt", {"state_dict": converted(network()), "preparation": theirs.settings()})
    with pytest.raises(ValueError, match=r"Set data\.preparation\.transform=none data\.preparation\.scale=maximum\.$"):
        load_weights(network(), path, Amplitude())
    load_weights(network(), path, theirs)
