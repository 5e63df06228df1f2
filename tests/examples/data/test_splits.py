"""Splits by sample and by group, and as files."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.data.splits import PARTS, Split, draw_groups, split_at_random, split_by_class, split_by_group
from examples.errors import UserError


def sizes(split: Split) -> list[int]:
    return [len(getattr(split, part)) for part in PARTS]


def test_at_random_by_seed():
    split = split_at_random(7442, 744, 744, seed=0)
    assert sizes(split) == [5954, 744, 744]
    assert len({*split.train, *split.validation, *split.test}) == 7442
    assert (split.test == split_at_random(7442, 744, 744, seed=0).test).all()
    assert (split.test != split_at_random(7442, 744, 744, seed=1).test).any()
    with pytest.raises(
        UserError, match=r"`validation` \(=5\) and `test` \(=5\) must leave some of 10 samples"
    ):
        split_at_random(10, 5, 5, seed=0)


def test_whole_groups():
    groups = ["a", "b", "c", "a", "b", "c"]
    split = split_by_group(groups, ["b"], ["c"])
    assert [getattr(split, part).tolist() for part in PARTS] == [[0, 3], [1, 4], [2, 5]]
    for wrong in (["b"], ["x"]):
        with pytest.raises(
            UserError, match=r"must be groups that are there and differ; there are \['a', 'b', 'c'\]"
        ):
            split_by_group(groups, wrong, ["b"])


def test_groups_are_drawn_whole():
    groups = np.repeat(np.arange(20), 5)
    split = draw_groups(groups, 0.1, 0.2, seed=3)
    found = [set(groups[getattr(split, part)]) for part in PARTS]
    assert [len(part) for part in found] == [14, 2, 4]
    assert not found[0] & found[1] | found[0] & found[2] | found[1] & found[2]
    with pytest.raises(UserError, match=r"must leave some of 2 groups"):
        draw_groups([0, 1], 0.1, 0.1, seed=0)


@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=6), seed=st.integers(0, 5))
def test_every_part_has_its_share_of_every_class(counts: list[int], seed: int):
    classes = np.repeat(np.arange(len(counts)), counts)
    if max(counts) < 2:  # nothing can be scored
        with pytest.raises(UserError, match="`test` of a split must hold at least one sample"):
            split_by_class(classes, 0.15, 0.3, seed=seed)
        return
    split = split_by_class(classes, 0.15, 0.3, seed=seed)
    found = [np.bincount(classes[getattr(split, part)], minlength=len(counts)) for part in PARTS]
    assert (sum(found) == counts).all()
    for train, validation, test, count in zip(*found, counts, strict=True):
        assert train >= 1
        assert test == min(max(1, round(0.3 * count)), count - 1)
        assert validation == min(max(1, round(0.15 * count)), count - 1 - test)
    again = split_by_class(classes, 0.15, 0.3, seed=seed)
    assert all((getattr(again, part) == getattr(split, part)).all() for part in PARTS)


def test_a_share_of_nothing_is_nothing():
    assert len(split_by_class([0, 0, 1, 1], 0, 0.5, seed=0).validation) == 0
    assert len(draw_groups([0, 0, 1, 1], 0, 0.5, seed=0).validation) == 0


def test_as_a_file(tmp_path: Path):
    names = [f"clip{number}" for number in range(6)]
    split = split_by_group([0, 1, 2, 0, 1, 2], [1], [2])
    split.write(tmp_path / "new" / "split.json", names)
    assert json.loads((tmp_path / "new" / "split.json").read_text())["train"] == ["clip0", "clip3"]
    again = Split.read(tmp_path / "new" / "split.json", names)
    assert all((getattr(again, part) == getattr(split, part)).all() for part in PARTS)
    with pytest.raises(UserError, match=r"names samples that are not there: \['clip5'\] \(1 in all\)"):
        Split.read(tmp_path / "new" / "split.json", names[:5])
    (tmp_path / "wrong.json").write_text("[]")
    with pytest.raises(UserError, match=r"must be a JSON object of \['train', 'validation', 'test'\]"):
        Split.read(tmp_path / "wrong.json", names)


def test_no_sample_twice_and_no_empty_part():
    one, two, none = (np.array(part, dtype=np.int64) for part in ([0], [1], []))
    with pytest.raises(UserError, match="must not hold a sample twice"):
        Split(one, one, two)
    with pytest.raises(UserError, match="`test` of a split must hold at least one sample"):
        Split(one, two, none)


@pytest.mark.parametrize("content", [b"no json", b'{"train": ["Zo\xeb"]}', b"{"])
def test_a_split_file_that_is_none(tmp_path: Path, content: bytes):
    path = tmp_path / "split.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"split\.json' is not JSON in UTF-8 \("):
        Split.read(path, ["a"])


def test_a_split_file_with_a_byte_order_mark_and_names_that_were_left_out(tmp_path: Path):
    path = tmp_path / "split.json"
    path.write_text(
        '{"train": ["a", "gone"], "validation": ["gone too"], "test": ["b"]}', encoding="utf-8-sig"
    )
    split = Split.read(path, ["b", "a"], left_out={"gone": "", "gone too": ""})
    assert [part.tolist() for part in (split.train, split.validation, split.test)] == [[1], [], [0]]
