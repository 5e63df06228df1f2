"""Batches: order, epochs, and their share of several processes."""

from itertools import chain

import pytest
import torch

from examples.data.batches import Batches
from examples.data.contract import Samples


def tiny(samples: int) -> Samples:
    return Samples({"a": torch.arange(samples, dtype=torch.float)[:, None]}, torch.arange(samples))


def epochs(samples: int, size: int, count: int = 2, **settings: int) -> list[list[list[int]]]:
    batches = Batches(samples, size, **settings)
    seen = []
    for epoch in range(count):
        batches.set_epoch(epoch)
        seen.append([draw.positions for draw in batches])
    return seen


def test_in_order_gives_every_sample():
    batches = list(tiny(10).loader(4))
    assert [len(batch.target) for batch in batches] == [4, 4, 2]
    assert torch.cat([batch.target for batch in batches]).tolist() == list(range(10))


def test_a_shuffled_epoch_is_a_function_of_seed_and_epoch():
    first, second = epochs(10, 4, seed=7)
    assert [first, second] == epochs(10, 4, seed=7)
    later = Batches(10, 4, seed=7)
    later.set_epoch(1)
    assert [draw.positions for draw in later] == second
    assert first != second
    assert first != epochs(10, 4, seed=8)[0]
    assert [len(batch) for batch in first] == [4, 4]  # the last, smaller one is left out


def test_batch_larger_than_the_data():
    assert [len(batch) for batch in epochs(3, 32, seed=0)[0]] == [3]


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("samples", [9, 10, 11, 12, 13])
def test_several_processes_see_the_batches_of_one(samples: int, seed: int | None):
    alone = epochs(samples, 4, seed=seed)
    shares = [epochs(samples, 4, seed=seed, rank=rank, world=2) for rank in (0, 1)]
    for epoch, (first, second) in enumerate(zip(*shares, strict=True)):
        joined = [sorted(a + b) for a, b in zip(first, second, strict=True)]
        assert sorted(chain(*joined)) == sorted(chain(*alone[epoch]))
        assert all(first), "no process has an empty batch"
        assert all(second), "no process has an empty batch"
        if seed is not None:
            assert joined == [sorted(batch) for batch in alone[epoch]]


def test_too_few_for_all_processes_join_the_batch_before():
    assert epochs(9, 4, 1, rank=0, world=2) == [[[0, 2], [4, 6, 8]]]
    assert epochs(9, 4, 1, rank=1, world=2) == [[[1, 3], [5, 7]]]


def test_what_is_drawn_differs_by_batch_epoch_and_process():
    seeds = set()
    for rank in (0, 1):
        batches = Batches(8, 4, seed=0, rank=rank, world=2)
        for epoch in (0, 1):
            batches.set_epoch(epoch)
            seeds |= {draw.seed for draw in batches}
    assert len(seeds) == 8
    assert {draw.seed for draw in Batches(8, 4)} == {None}


def test_fewer_samples_than_processes():
    with pytest.raises(
        ValueError, match=r"`size` \(=2\) of a batch must be at least the number of processes, 4"
    ):
        Batches(10, 2, world=4)
