import torch
from torch import nn

from spt.complexity import tables
from spt.complexity.published import PUBLISHED
from spt.models import SpTUNet

CPU = torch.device("cpu")
TIME = {"median": 0.1, "least": 0.09, "greatest": 0.3}


def row(network: str, size: int = 256, **changes) -> dict:
    return {"network": network, "size": size, "batch": 2, "parameters": 7, "time": TIME, "bytes": 5_000_000, **changes}


def test_a_published_network_stands_beside_its_printed_figures():
    header, line = tables.network_table([row("sa_cnn"), row("sa_cnn", time={**TIME, "median": 0.4}, bytes=None)])
    shown = dict(zip(header, line, strict=True))
    assert shown["forward, ms a batch (min..max)"] == "100.0 (90.0..300.0)"
    assert shown["images/s"] == "5.0"  # of the training step, the later column of that name: 2 / 0.4
    assert shown["notes: ms"] == "49.0"
    assert shown["notes: images/s"] == "40.8"
    assert shown["peak memory forward"] == "5 MB"
    assert shown["peak memory training"] == "not measured"


def test_a_size_that_the_notes_do_not_print_stands_alone():
    header, line = tables.network_table([row("sa_cnn", 64), row("sa_cnn", 64)])
    shown = dict(zip(header, line, strict=True))
    assert shown["notes: ms"] == shown["notes: images/s"] == ""


def test_printed_throughput_is_the_batch_of_2_over_the_time_but_for_the_misprint():
    wrong = [
        name
        for name, printed in PUBLISHED.items()
        if abs(2e3 / printed.ms_per_batch - printed.images_per_second) > 0.06 * 1 + 0.001 * printed.images_per_second
    ]
    assert wrong == [("spt_unet", 256)]  # 62.5 printed, 63.8 by its own milliseconds


def test_ratios_of_the_attention_table():
    pooled = {"size": 64, "time": TIME, "bytes": 4_000_000}
    full = {"size": 64, "time": {**TIME, "median": 0.25}, "bytes": 10_000_000}
    _, line = tables.attention_table([pooled, full])
    assert (line[3], line[6]) == ("2.5", "2.5")


def test_ratios_of_the_memory_table():
    _, line = tables.memory_table([row("a"), row("a", time={**TIME, "median": 0.13}, bytes=1_000_000)])
    assert line[5] == "1.30"
    assert line[-1] == "80%"


def test_measuring_trains_or_infers():
    built = []

    def build() -> nn.Module:
        built.append(SpTUNet(width=4))
        return built[-1]

    inference = tables.measure_network(build, 32, 2, False, CPU, repeats=2)
    assert not built[0].training
    assert all(p.grad is None for p in built[0].parameters())
    training = tables.measure_network(build, 32, 2, True, CPU, torch.bfloat16, repeats=2)
    assert built[1].training
    assert all(p.grad is not None for p in built[1].parameters())
    fresh = SpTUNet(width=4).state_dict()["stem.0.weight"]
    assert built[1].state_dict()["stem.0.weight"].shape == fresh.shape
    for measured in (inference, training):
        assert measured["parameters"] == sum(p.numel() for p in built[0].parameters())
        assert 0 < measured["time"]["least"] <= measured["time"]["median"] <= measured["time"]["greatest"]


def test_attention_is_measured_with_the_same_weights():
    model = SpTUNet(width=4)
    before = [p.clone() for p in model.parameters()]
    measured = [tables.measure_attention(model, 32, full, CPU, 2) for full in (False, True)]
    assert [m["full"] for m in measured] == [False, True]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
