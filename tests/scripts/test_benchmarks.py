"""scripts/benchmarks: what is measured is the same for all, times are taken in turn, tables are ratios of a round."""

import importlib
import sys
import time
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from torch import nn

from spt.data.leaks.search import find_leaks
from spt.losses import DiceLoss
from spt.models import SpTUNet
from spt.optics import Camera, ThinDiffuser, ThinDiffuserSetup

BENCHMARKS = ROOT / "scripts" / "benchmarks"
SECONDS = [0.1, 0.09, 0.3]


def load(name: str) -> ModuleType:
    """Import a benchmark as python would when it runs it: its folder is first on the path."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


rounds, networks, memory, attention, losses, optics, data, leaks, loader, file_formats, once, framework, step = map(
    load,
    [
        "rounds",
        "networks",
        "memory",
        "attention",
        "losses",
        "optics",
        "data",
        "leaks",
        "loader",
        "file_formats",
        "prepared_once",
        "framework",
        "step",
    ],
)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_calls_take_turns_another_one_first_each_round():
    order: list[str] = []
    seconds = rounds.in_turn({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert "".join(order) == "aaabbb" + "bbbaaa" + "aaabbb"  # two calls warm up before each
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_times_of_calls_are_not_mixed_up():
    seconds = rounds.in_turn({"quick": lambda: None, "slow": lambda: time.sleep(0.01)}, 2)
    assert min(seconds["slow"]) >= 0.01 > max(seconds["quick"])


# Networks, memory, attention ------------------------------------------------------------------------------------------


def row(name: str, size: int = 256, **changes) -> dict:
    return {"name": name, "size": size, "batch": 2, "parameters": 7, "seconds": SECONDS, "bytes": 5_000_000, **changes}


def test_a_published_network_stands_next_to_its_printed_figures():
    header, line = networks.table([row("sa_cnn"), row("sa_cnn", seconds=[0.4], bytes=None)])
    shown = dict(zip(header, line, strict=True))
    assert shown["forward, ms a batch (min..max)"] == "100.0 (90.0..300.0)"
    assert shown["images/s"] == "5.0"  # of the training step, the later column of that name: 2 / 0.4
    assert (shown["notes: ms"], shown["notes: images/s"]) == ("49.0", "40.8")
    assert (shown["peak memory forward"], shown["peak memory training"]) == ("5 MB", "not measured")


def test_a_size_that_the_notes_do_not_print_stands_alone():
    header, line = networks.table([row("sa_cnn", 64), row("sa_cnn", 64)])
    shown = dict(zip(header, line, strict=True))
    assert shown["notes: ms"] == shown["notes: images/s"] == ""


def test_operations_of_a_training_step_are_counted_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    forward, weights, inputs = 4 * 9 + 4, 4 * 9 + 4, 4  # multiplications a pixel; the first layer's input needs none
    assert networks.training_flops(model, 16, 3) == 2 * 3 * 16**2 * (forward + weights + inputs)


def test_the_share_of_the_hardwares_rate():
    rows = [row("sa_cnn"), row("sa_cnn", seconds=[0.4], flops=8e12)]
    header, line = networks.table(rows, peak=80.0)
    shown = dict(zip(header, line, strict=True))
    assert (shown["training, TFLOP/s"], shown["share of 80 TFLOP/s"]) == ("20", "25 %")


def test_ratios_of_attention_and_memory():
    _, line = attention.table([row("a", bytes=4_000_000), row("a", seconds=[0.25], bytes=10_000_000)])
    assert (line[3], line[6]) == ("2.5", "2.5")
    _, line = memory.table([row("a"), row("a", seconds=[0.13], bytes=1_000_000)])
    assert (line[5], line[-1]) == ("1.30", "80%")


@pytest.mark.parametrize(("training", "precision"), [(False, "float32"), (True, "bfloat16")])
def test_measuring_trains_or_infers(training: bool, precision: str):
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    measured = networks.measure_network(lambda: model, "net", 16, 2, training, "cpu", precision, repeats=1)
    assert model.training == training
    assert all((p.grad is not None) == training for p in model.parameters())
    assert measured["parameters"] == 40 + 8 + 5
    assert min(measured["seconds"]) > 0


def test_the_plain_formula_of_attention_is_torchs():
    q, k, v = torch.randn(2, 4, 7, 5), torch.randn(2, 4, 9, 5), torch.randn(2, 4, 9, 3)
    torch.testing.assert_close(attention.softmax_attention(q, k, v), F.scaled_dot_product_attention(q, k, v))


def test_full_attention_equals_the_pooled_one_where_the_grid_holds_every_token():
    # At 16 px the largest attended map, H/2, is 8x8: pooling onto 8x8 is the identity.
    model = SpTUNet(width=8).eval()
    full, x = attention.with_full_attention(model), torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(full(x), model(x))


def test_full_attention_differs_where_the_grid_averages_and_leaves_the_model_alone():
    model = SpTUNet(width=4).eval().double()
    x = torch.randn(1, 1, 64, 64).double()
    with torch.no_grad():
        before = model(x)
        full = attention.with_full_attention(model)
        assert (full(x) - before).abs().max() > 1e-9
        assert torch.equal(model(x), before)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), full.parameters(), strict=True))


# Losses ---------------------------------------------------------------------------------------------------------------


def test_dice_is_measured_with_its_counterparts():
    measured = losses.measure_loss("dice", DiceLoss(), 1, size=16, batch=2, repeats=3)
    assert measured["shape"] == (2, 1, 16, 16)
    assert set(measured["ratio"]) == {"SMP", "MONAI"}
    assert all(ratio > 0 for ratio in measured["ratio"].values())
    assert len(measured["seconds"]) == 3


def test_the_table_of_losses_leaves_open_what_has_no_counterpart():
    measured = {"loss": "npcc", "shape": (8, 1, 256, 256), "seconds": SECONDS, "ratio": {"SMP": 0.5}}
    header, line = losses.table([measured])
    assert dict(zip(header, line, strict=True)) == {
        "loss": "npcc",
        "logits": "(8, 1, 256, 256)",
        "CPU ms (min..max)": "100.0 (90.0..300.0)",
        "/ SMP": "0.50",
        "/ MONAI": "",
    }


def test_a_missing_library_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(losses.importlib.util, "find_spec", lambda name: None if name == "monai" else name)
    monkeypatch.setattr(sys, "argv", ["losses.py"])
    with pytest.raises(SystemExit):
        losses.main()
    assert "compares with monai, which is missing: pip install -e '.[dev]'" in capsys.readouterr().err


# Optics ---------------------------------------------------------------------------------------------------------------

SETUP = ThinDiffuserSetup(32, 64, 4e-6, 532e-9, 0.2e-3, 0.3e-3, ThinDiffuser(2.0, 25e-6))


def test_every_way_sees_the_same_light():
    """torchoptics in float32 is only good to 1e-3; with padding what leaves the grid does not come back."""
    batch = optics.frames(SETUP, Camera(), 32, 3)
    medium = batch.setup.draw(3, batch.rng)
    ours = batch.setup.intensity(batch.objects, medium)
    bounds = dict(zip(optics.OTHERS, (1e-5, 1e-3, 0.05, 1e-5), strict=True))
    for name, way in optics.other_ways(batch.setup).items():
        difference = ((way(batch.objects, medium) - ours).norm() / ours.norm()).item()
        assert difference < bounds[name], name


def test_frames_are_exposed_and_each_has_its_own_screen():
    batch = optics.frames(SETUP, Camera(), 48, 2)
    assert batch.setup.grid == 96
    grey = batch.simulate(batch.setup.intensity)
    assert grey.shape == (2, 48, 48)
    assert grey.max() <= 255
    assert torch.equal(grey, grey.round())
    assert torch.corrcoef(grey.flatten(1))[0, 1] < 0.5


def test_ratios_are_of_the_same_round():
    seconds = {"frame, spt": [0.01, 0.02], "frame, torchoptics, same grid": [0.05, 0.12], "spt": [0.01, 0.02]}
    seconds |= {"torchoptics, same grid": [0.03, 0.1], "plain loop": [0.02, 0.04], "the same in float32": [0.02, 0.04]}
    _, row = optics.simulation_table([{"size": 256, "threads": 1, "batch": 2, "seconds": seconds}])
    assert row == [
        *("256", "1", "2", "75 (50..100)", "5.5 (5.0..6.0)", "4.0 (3.0..5.0)", "2.0 (2.0..2.0)"),
        *("not measured", "2.0 (2.0..2.0)"),
    ]


def test_share_is_of_simulation_and_step_together():
    seconds = {"simulation": [0.01, 0.02], "training step": [0.09, 0.18]}
    _, row = optics.share_table([{"size": 64, "threads": 2, "batch": 16, "seconds": seconds}])
    assert row == ["64", "2", "16", "15.0 (10.0..20.0)", "135 (90..180)", "10.0 (10.0..10.0) %"]


def test_measured_rows_make_tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(optics, "PIXELS", 8 * 32**2)
    row = optics.measure_simulation(SETUP, Camera(), 32, threads=1, repeats=1)
    assert row["batch"] == 8
    assert set(row["seconds"]) == {"frame, spt", "frame, torchoptics, same grid", "spt", *optics.OTHERS}
    assert row["seconds"][optics.PADDED][0] > row["seconds"]["spt"][0]
    header, cells = optics.simulation_table([row])
    assert len(header) == len(cells) == 9
    share = optics.measure_share(SETUP, Camera(), nn.Conv2d(1, 1, 3, padding=1), batch=2, threads=1, repeats=2)
    assert [len(times) for times in share["seconds"].values()] == [2, 2]


# Data -----------------------------------------------------------------------------------------------------------------


class Slow:
    """A source that sleeps, then burns processor time."""

    def __init__(self, sleep: float) -> None:
        self.sleep = sleep

    def load(self) -> dict[str, list[int]]:
        time.sleep(self.sleep)
        return {"train": [0] * 5, "val_seen": [0] * 2}


def test_each_start_counts_its_own_pairs_and_time():
    slow, quick = data.measure_starts([Slow(0.2), Slow(0.0)])
    assert slow["pairs"] == quick["pairs"] == 7
    assert slow["wall"] >= 0.2 > quick["wall"]
    assert slow["cpu"] < 0.2  # sleeping costs no processor time


def test_batches_number_the_pairs_in_turn_and_the_first_warms_up():
    asked: list[list[int]] = []

    def simulate(numbers: list[int]) -> None:
        time.sleep(0.2 if not asked else 0.0)
        asked.append(numbers)

    timed = data.measure_online(simulate, batch=3, batches=2)
    assert asked == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert timed["pairs"] == 6
    assert timed["wall"] < 0.2


def test_table_of_starts():
    header, row = data.table([{"what": "a set", "pairs": 1200, "cpu": 4.0, "wall": 8.0}])
    assert dict(zip(header, row, strict=True)) == {
        "what": "a set",
        "pairs": "1,200",
        "CPU s": "4.0",
        "wall s": "8.0",
        "pairs/s of CPU": "300",
    }


# Leaks ---------------------------------------------------------------------------------------------------------------


def test_the_splits_of_the_leak_check_are_drawn_alike_and_differ():
    made = leaks.splits(16, 8, pairs=600, evaluated=20)
    train = made["train"]
    assert {name: len(pairs) for name, pairs in made.items()} == {"train": 600, "val_seen": 20, "test_unseen": 20}
    assert torch.equal(train.speckle[599], train.speckle[[3, 599]][1])
    assert len(train.speckle[:].flatten(1).unique(dim=0)) == 600
    assert train.target.shape == (600, 8, 8)
    assert find_leaks(made) == []


def test_share_of_the_leak_check_in_an_epoch():
    """Steps of 0.5 s for 4 of 400 pairs make 50 s; 2 s of that are 4 %."""
    row = {"pairs": 400, "evaluated": 20, "size": 64, "seconds": [3.0, 2.0, 1.0], "reading": 0.5}
    header, cells = leaks.table([row | {"batch": 4, "step": [0.5, 0.5, 0.6]}])
    shown = dict(zip(header, cells, strict=True))
    assert shown["check, s (least..greatest)"] == "2.0 (1.0..3.0)"
    assert (shown["epoch, s"], shown["share"]) == ("50", "4.00 %")


# Loader --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(file_formats.FORMATS))
def test_every_format_of_the_loader_gives_its_frames_back(kind: str, tmp_path):
    frames = loader.speckles(5, 16)
    assert len(np.unique(frames)) > 50
    read = file_formats.write(kind, tmp_path, frames)[[4, 0, 2]].numpy()
    assert read.dtype == np.uint8
    if kind in ("JPEG", "JPEG 2000"):
        assert np.corrcoef(read.ravel(), frames[[4, 0, 2]].ravel())[0, 1] > 0.99
    else:
        assert np.array_equal(read, frames[[4, 0, 2]])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_of_the_loader_loads_every_frame(workers: int, tmp_path):
    call = loader.epoch(file_formats.write("npy", tmp_path, loader.speckles(10, 16)), workers, 4)
    assert call() == call() == 10
    assert loader.read_bytes([tmp_path / "x.npy"]) == (tmp_path / "x.npy").stat().st_size
    loader.forget([tmp_path / "x.npy"])


def test_ways_of_loading_take_turns():
    order: list[str] = []
    ways = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = loader.in_rounds(ways, 2, lambda: order.append("-"))
    assert "".join(order) == "ab" + "-a-b" + "-b-a"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_speed_of_the_loader_and_its_share():
    """100 frames in 0.5, 1 and 2 s are 200, 100 and 50 a second; the bytes take half of the time."""
    seconds = {"bytes alone": [0.25, 0.5, 1.0], "0 workers": [0.5, 1.0, 2.0]}
    row = {"format": "npy", "size": 256, "frames": 100, "bytes": 6_553_600, "seconds": seconds}
    rows = list(loader.table([row | {"format": "memory", "bytes": 0, "seconds": {"0 workers": [1.0] * 3}}, row]))
    assert rows[0] == ["format", "px", "kB a frame", "bytes alone, frames/s", "0 workers, frames/s"]
    assert rows[1] == ["memory", "256", "0.0", "", "100 (100..100)"]
    assert rows[2] == ["npy", "256", "65.5", "200 (100..400)", "100 (50..200) [0.50]"]


def test_pairs_prepared_once_against_batch_by_batch():
    """100 pairs in 1, 2 and 4 s, and ten times as quick."""
    row = {"size": 64, "pairs": 100, "seconds": {"batch by batch": [1.0, 2.0, 4.0], "once": [0.1, 0.2, 0.4]}}
    _, line = once.table([row])
    assert line == ["64", "50 (25..100)", "500 (250..1000)", "10.0 (10.0..10.0)"]
    measured = once.measure(16, 20, 4, "cpu", 2)["seconds"]
    assert {name: len(values) for name, values in measured.items()} == {"batch by batch": 2, "once": 2}


def test_what_a_step_costs_above_the_bare_loop_of_its_round():
    _, bare, ours = framework.table({"bare loop": [(4.0, 3.0), (6.0, 3.5)], "spt": [(5.0, 4.0), (6.5, 4.0)]})
    assert bare == ["bare loop", "5.00 (4.00..6.00)", "", "3.25 (3.00..3.50)", ""]
    assert ours == ["spt", "5.75 (5.00..6.50)", "0.75 (0.50..1.00)", "4.00 (4.00..4.00)", "0.75 (0.50..1.00)"]


def test_the_time_of_a_part_is_without_the_parts_inside_it(monkeypatch: pytest.MonkeyPatch):
    """optimizer_step runs the closure: 1 s of its own, forward 2 s, backward 4 s, and a callback of 8 s in it."""
    now = [0.0]
    monkeypatch.setattr(step, "timer", lambda: now[0])
    parts = step.Parts("cpu")
    ended = step.Steps(parts)
    for _ in range(2):
        with parts.profile("[LightningModule]SpeckleModule.optimizer_step"):
            now[0] += 1
            with parts.profile("[Strategy]SingleDeviceStrategy.training_step"), parts.profile("spt.forward"):
                now[0] += 2
            with parts.profile("[Strategy]SingleDeviceStrategy.backward"):
                now[0] += 4
            with parts.profile("[Callback]X.on_before_optimizer_step"):
                now[0] += 8
        now[0] += 16
        ended.on_train_batch_end()
    zero = {"loader": 0, "transfer": 0, "loss": 0}
    assert parts.steps[1] == zero | {"forward": 2, "backward": 4, "optimizer": 1, "callbacks": 8, "whole step": 31}


def test_the_table_of_a_step_and_its_share_of_the_peak():
    times = dict.fromkeys(step.PARTS, 10.0) | {"whole step": 80.0, "rest": 10.0}
    row = {"name": "a", "size": 64, "batch": 16, "times": times, "spread": (79.0, 90.0), "flops": 4e10}
    _, line = step.table([row], peak=2.0)
    assert line[-4:] == ["10.00", "80.0 (79.0..90.0)", "200.0", "25.0%"]


def test_the_clock_of_a_step_leaves_the_warm_up_out(monkeypatch: pytest.MonkeyPatch):
    """Each step takes 2 s on the wall and 1 s of the processor, the last one of the warm-up 100 s more."""
    now = {"wall": 0.0, "cpu": 0.0}
    monkeypatch.setattr(framework.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(framework.time, "process_time", lambda: now["cpu"])
    clock = framework.Clock()
    for step in range(1, framework.WARM_UP + 4):
        now["wall"] += 102 if step == framework.WARM_UP else 2
        now["cpu"] += 1
        clock.on_train_batch_end()
    assert clock.times == (2000, 1000)


# Commands -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("networks.py --models spt_unet --sizes 32 --repeats 1 --batch 1 --device cpu", "| spt_unet | 32 |"),
        ("networks.py --models spt_unet --sizes 32 --repeats 1 --device cpu --peak 1", "share of 1 TFLOP/s"),
        ("memory.py --models spt_unet --sizes 32 --repeats 1 --batch 1 --device cpu", "| spt_unet | 32 | 1 |"),
        ("attention.py --sizes 32 --repeats 1 --device cpu", "| 32 |"),
        ("losses.py --losses dice npcc --sizes 16 --repeats 1", "| npcc | (8, 1, 16, 16) |"),
        ("optics.py --sizes 32 --repeats 1", "| 32 | 1 | 128 |"),
        ("data.py --cases 3", "data=grit"),
        ("loader.py --formats memory PNG --sizes 32 --frames 40 --repeats 1 --workers 0 1", "| PNG | 32 |"),
        ("prepared_once.py --sizes 32 --pairs 40 --repeats 1 --device cpu", "| 32 |"),
        ("framework.py --steps 3 --rounds 1", "| spt |"),
        ("step.py --models spt_unet --sizes 32 --batches 2 --repeats 2 --device cpu --peak 1", "| spt_unet | 32 | 2 |"),
        (
            "step.py --models spt_unet --sizes 32 --batches 2 --repeats 1 --device cpu --operators",
            "| spt_unet | 32 | 2 | ",
        ),
        ("leaks.py --sizes 32 --pairs 50 --evaluated 10 --repeats 1 --device cpu", "| 50 + 20 | 32 |"),
    ],
)
def test_a_benchmark_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, words: str):
    script, *options = line.split()
    monkeypatch.syspath_prepend(BENCHMARKS)  # for the processes that it starts
    monkeypatch.setattr(sys, "argv", [script, *options])
    load(script.removesuffix(".py")).main()
    assert words in capsys.readouterr().out


def test_the_package_imports_no_benchmark():
    sources = [path.read_text() for path in (ROOT / "spt").rglob("*.py")]
    assert not any("benchmarks" in text for text in sources)
