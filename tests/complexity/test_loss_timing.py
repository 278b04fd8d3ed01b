import builtins

import pytest
import torch

from spt.complexity.loss_timing import kept_buffers, loss_table, measure_loss, time_in_turn
from spt.complexity.rival_losses import PRINTED, plain, rivals
from spt.losses import DiceLoss

TIME = {"median": 0.1, "least": 0.09, "greatest": 0.3}


def test_kept_buffers_counts_storages_of_full_size_that_outlive_the_forward_pass():
    x = torch.randn(8, 8, requires_grad=True)
    assert kept_buffers(lambda: x.sum(), 64) == 0
    assert kept_buffers(lambda: x.sigmoid().sum(), 64) == 1
    assert kept_buffers(lambda: (x * x).sum(), 64) == 1  # one storage, saved twice
    assert kept_buffers(lambda: (x.sigmoid() * x.exp()).sum(), 64) == 2
    assert kept_buffers(lambda: x.sum(0).exp().sum(), 64) == 0  # a row is small
    assert kept_buffers(lambda: (x.exp(), x.sum())[1], 64) == 0  # its graph is gone


def test_calls_take_turns_and_the_first_rounds_do_not_count():
    order = []
    times = time_in_turn({name: lambda name=name: order.append(name) for name in "ab"}, repeats=3, warm_up=1)
    assert order == list("abbaabba")
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_dice_is_measured_beside_its_rivals():
    row = measure_loss("dice", DiceLoss(), 1, size=16, batch=2, repeats=3)
    assert row["shape"] == [2, 1, 16, 16]
    assert set(row["ratio"]) == {"plain", "SMP", "MONAI"}
    assert all(ratio > 0 for ratio in row["ratio"].values())
    assert row["buffers"] == 2  # the probabilities and the target
    assert 0 < row["time"]["least"] <= row["time"]["median"] <= row["time"]["greatest"]


def test_the_table_leaves_open_what_has_no_rival():
    row = {"loss": "npcc", "shape": [8, 1, 256, 256], "time": TIME, "ratio": {"plain": 0.5}, "buffers": 1}
    header, line = loss_table([row])
    assert dict(zip(header, line, strict=True)) == {
        "loss": "npcc",
        "logits": "(8, 1, 256, 256)",
        "CPU ms (min..max)": "100.0 (90.0..300.0)",
        "/ plain formula": "0.50",
        "/ SMP": "",
        "/ MONAI": "",
        "buffers kept": "1",
    }


def test_a_compound_is_the_sum_of_its_parts_also_where_a_name_has_two_words():
    logits, target = torch.randn(1, 1, 4, 4), torch.rand(1, 1, 4, 4)
    values = {name: plain(name)(logits, target) for name in ("weighted_bce", "bce", "dice")}
    torch.testing.assert_close(plain("bce_dice")(logits, target), values["bce"] + values["dice"])
    torch.testing.assert_close(plain("weighted_bce_dice")(logits, target), values["weighted_bce"] + values["dice"])
    with pytest.raises(ValueError, match="nothing"):
        plain("nothing")
    assert "weighted_bce" in PRINTED


def test_a_missing_rival_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without_monai(name: str, *arguments, **options):
        if name.startswith("monai"):
            raise ModuleNotFoundError("No module named 'monai'", name="monai")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_monai)
    with pytest.raises(ValueError, match=r"compares with SMP and MONAI, and monai is missing: pip install spt\[dev\]"):
        rivals("dice", 1)
