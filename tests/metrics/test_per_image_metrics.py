import math

import pytest
import torch
from torch.utils.data import DistributedSampler

from spt.metrics import METRICS, PerImageMetrics, per_image

N = 7  # does not divide by two processes


@pytest.fixture(scope="module")
def split() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(N, 1, 16, 16, generator=generator)
    noise = torch.linspace(0.05, 1, N).view(N, 1, 1, 1)
    return (target + noise * torch.rand(N, 1, 16, 16, generator=generator)).clamp(0, 1), target


@pytest.fixture(scope="module")
def expected(split) -> dict[str, float]:
    return {name: values.double().mean().item() for name, values in per_image(*split).items()}


def collect(split, *batches: list[int]) -> PerImageMetrics:
    metric = PerImageMetrics()
    for batch in batches:
        metric.update(split[0][batch], split[1][batch], torch.tensor(batch))
    return metric


def values(metric: PerImageMetrics) -> dict[str, float]:
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize(
    "batches",
    [
        [[0, 1, 2, 3, 4, 5, 6]],
        [[0, 1, 2], [3, 4, 5], [6]],
        [[6, 2], [5, 0, 1, 3], [4]],
        [[0, 1, 2, 3], [4, 5, 6, 0]],
        [[3, 3, 3, 1], [0, 6, 5, 4], [2, 6, 6]],
    ],
    ids=["one batch", "last batch short", "any order", "padded", "repeats everywhere"],
)
def test_every_image_counts_once_however_it_is_batched(split, expected, batches):
    assert values(collect(split, *batches)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shuffle", [False, True])
def test_two_processes_give_what_one_gives(split, expected, shuffle):
    samplers = [DistributedSampler(range(N), num_replicas=2, rank=r, shuffle=shuffle) for r in range(2)]
    shares = [list(sampler) for sampler in samplers]
    assert sum(len(share) for share in shares) == N + 1  # one image was repeated
    here, there = (collect(split, share[:3], share[3:]) for share in shares)
    other = {name: torch.cat(state) for name, state in there.metric_state.items()}
    gathered = iter(other.values())

    # What torch.distributed does: every process sends its concatenated states, in the order they were added.
    here.distributed_available_fn = lambda: True
    here.dist_sync_fn = lambda state, group: [state, next(gathered)]
    assert values(here) == pytest.approx(expected, abs=1e-5)


def test_two_merged_states_are_one_pass(split, expected):
    """The padding of a distributed sampler repeats image 0; it counts once."""
    here, there = collect(split, [0, 2], [4, 6]), collect(split, [1, 3], [5, 0])
    here.merge_state(there)
    assert values(here) == pytest.approx(expected, abs=1e-6)
    assert here.compute() == collect(split, list(range(N))).compute()


def test_further_values_of_each_image_are_averaged_too(split, expected):
    metric = PerImageMetrics()
    for batch in ([0, 1, 2, 3], [4, 5, 6, 0]):
        index = torch.tensor(batch)
        metric.update(split[0][batch], split[1][batch], index, {"top1": index / 10})
    result = values(metric)
    assert list(result) == [*METRICS, "top1"]
    assert result.pop("top1") == pytest.approx(0.3, abs=1e-6)
    assert result == pytest.approx(expected, abs=1e-5)


def test_every_batch_needs_the_same_values(split):
    metric = collect(split, [0, 1])
    with pytest.raises(ValueError, match=r"every batch needs the metrics pcc, .*recall; got pcc, .*recall, top1"):
        metric.update(split[0][:1], split[1][:1], torch.tensor([2]), {"top1": torch.zeros(1)})
    metric.reset()
    metric.update(split[0][:1], split[1][:1], torch.tensor([2]), {"top1": torch.zeros(1)})
    assert values(metric)["top1"] == 0


def test_calling_returns_the_batch_and_keeps_the_whole(split, expected):
    metric = PerImageMetrics()
    first = metric(split[0][:3], split[1][:3], torch.arange(3))
    metric(split[0][3:], split[1][3:], torch.arange(3, N))
    assert first["pcc"].item() == pytest.approx(per_image(split[0][:3], split[1][:3])["pcc"].mean().item(), abs=1e-6)
    assert values(metric) == pytest.approx(expected, abs=1e-5)


def test_one_image_with_nan_is_not_averaged_away(split):
    pred = split[0].clone()
    pred[3, 0, 5, 5] = float("nan")
    assert all(math.isnan(value) for value in values(collect((pred, split[1]), list(range(N)))).values())


def test_reset_forgets(split, expected):
    metric = collect(split, [0, 1, 2])
    metric.compute()
    metric.reset()
    metric.update(*split, torch.arange(N))
    assert values(metric) == pytest.approx(expected, abs=1e-5)


def test_names_and_shapes(split):
    result = collect(split, list(range(N))).compute()
    assert list(result) == list(METRICS)
    assert all(value.shape == () and value.dtype == torch.float32 for value in result.values())
