"""Pairs: of one class, evenly, none twice, each part within itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.data.pairs import Collection, Picked, draw_pairs, last_tenth, pair_up
from examples.data.splits import PARTS, Split
from examples.errors import UserError


@given(
    sizes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4),
    share=st.floats(0, 1),
    seed=st.integers(0, 100),
)
def test_same_class_evenly_and_none_twice(sizes: list[tuple[int, int]], share: float, seed: int):
    classes = np.arange(len(sizes))
    first, second = (np.repeat(classes, [size[side] for size in sizes]) for side in (0, 1))
    count = int(share * len(sizes) * min(one * other for one, other in sizes))
    pairs = draw_pairs(first, second, count, seed=seed)
    assert pairs.shape == (count, 2)
    assert len({tuple(pair) for pair in pairs.tolist()}) == count
    assert (first[pairs[:, 0]] == second[pairs[:, 1]]).all()
    if count:
        assert np.ptp(np.bincount(first[pairs[:, 0]], minlength=len(sizes))) <= 1
    for labels, positions in ((first, pairs[:, 0]), (second, pairs[:, 1])):
        used = np.bincount(positions, minlength=len(labels))
        assert all(np.ptp(used[labels == label]) <= 1 for label in classes)


def test_all_pairs_there_are():
    pairs = draw_pairs([0] * 4, [0] * 6, 24, seed=0)
    assert len({tuple(pair) for pair in pairs.tolist()}) == 24
    with pytest.raises(UserError, match="25 pairs take 25 of class 0, and there are 24"):
        draw_pairs([0] * 4, [0] * 6, 25, seed=0)


def test_seed_decides():
    labels = np.arange(100) % 10
    one, again, other = (draw_pairs(labels, labels, 200, seed=seed).tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_classes_must_agree():
    with pytest.raises(UserError, match=r"the same classes; they have \[0, 1\] and \[0, 2\]"):
        draw_pairs([0, 1], [0, 2], 2, seed=0)


def test_every_part_is_paired_within_itself():
    sides = [Collection(np.zeros(size), np.arange(size) % 2, last_tenth(size - 10, 10)) for size in (110, 70)]
    (pairs, split), (others, _) = (pair_up(*sides, (50, 12, 25), seed=seed) for seed in (0, 1))
    assert [len(getattr(split, part)) for part in PARTS] == [50, 12, 25]
    for part in PARTS:
        for column, side in enumerate(sides):
            assert set(pairs[getattr(split, part), column]) <= set(getattr(side.split, part).tolist())
    assert pairs[split.train].tolist() != others[split.train].tolist()
    held_out = np.concatenate([split.validation, split.test])
    assert pairs[held_out].tolist() == others[held_out].tolist()


def test_a_part_may_be_empty_and_errors_name_the_part():
    positions = np.arange(20)
    side = Collection(positions, positions % 2, Split(positions[:10], positions[:0], positions[10:]))
    assert len(pair_up(side, side, (10, 0, 10), seed=0)[1].validation) == 0
    with pytest.raises(UserError, match="Part `test`: 100 pairs take 50 of class 0, and there are 25"):
        pair_up(side, side, (10, 0, 100), seed=0)


def test_picked_rows_look_like_an_array():
    rows = np.arange(12).reshape(4, 3)
    picked = Picked(rows, np.array([3, 3, 0]))
    assert (len(picked), picked.shape) == (3, (3, 3))
    assert picked[np.array([2, 0])].tolist() == [[0, 1, 2], [9, 10, 11]]
