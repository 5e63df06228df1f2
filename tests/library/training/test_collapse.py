"""ComplementarityTracker says once, in words that help, that a modality has been closed for long."""

import copy
import re
import warnings

import pytest
from torch import distributed as dist
from torch import nn

import maskfusion as mf
from tests.support.helpers import set_weight, two

CURES = (
    "lambda",
    "WarmupPenalty",
    "SteeredPenalty",
    "learning rate",
    "weight decay",
    "`init`",
    "`min_channels`",
)


def follow(
    tracker: mf.ComplementarityTracker, mask: mf.ComplementaryMask, *opened: tuple[int, int]
) -> list[str]:
    """Update with so many channels of image and audio open each time; what was said, each with the number of its update."""
    said = []
    for number, (image, audio) in enumerate(opened, start=1):
        mask.load_state_dict(two(image, audio).state_dict())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tracker.update()
        assert all(warning.category is mf.CollapseWarning for warning in caught)
        said += [f"{number}: {warning.message}" for warning in caught]
    return said


def watched(after: int | None = 3) -> tuple[mf.ComplementarityTracker, mf.ComplementaryMask]:
    mask = two(4, 4)
    return mf.ComplementarityTracker(mask, collapse_after=after), mask


def test_once_after_so_many_updates_in_a_row() -> None:
    said = follow(*watched(), (0, 4), (0, 4), (1, 4), *[(0, 4)] * 9)
    assert len(said) == 1
    assert said[0].startswith(
        "6: The mask has had no open channel of 'image' for 3 updates. If the task should use it: "
    )
    assert [word for word in CURES if word not in said[0]] == []


def test_once_although_it_opened_again() -> None:
    said = follow(*watched(), *[(0, 4)] * 4, *[(2, 4)] * 4, *[(0, 4)] * 4)
    assert [text[:2] for text in said] == ["3:"]


def test_each_modality_and_then_everything() -> None:
    said = follow(*watched(), (0, 4), *[(0, 0)] * 5)
    assert [text[: text.index(" If")] for text in said] == [
        "3: The mask has had no open channel of 'image' for 3 updates. No other is open either, so the network no longer sees its input.",
        "4: The mask has had no open channel of 'audio' for 3 updates. No other is open either, so the network no longer sees its input.",
    ]


def test_everything_at_once_is_one_warning() -> None:
    said = follow(*watched(1), (0, 0), (0, 0))
    assert len(said) == 1
    assert "no open channel of 'image', 'audio' for 1 updates. No other" in said[0]


def test_not_by_default_before_five_and_never_if_unwanted() -> None:
    mask = two(4, 4)
    assert follow(mf.ComplementarityTracker(mask), mask, *[(0, 4)] * 4) == []
    assert follow(*watched(None), *[(0, 4)] * 30) == []


def test_masks_are_named_and_counted_apart() -> None:
    model = nn.ModuleDict({"early": two(0, 4), "late": two(4, 0)})
    tracker = mf.ComplementarityTracker(model, collapse_after=2)
    tracker.update()
    set_weight(model["early"], [1.0] * 8)
    with pytest.warns(
        mf.CollapseWarning, match=r"^Mask 'late' has had no open channel of 'audio' for 2 updates\. If"
    ):
        tracker.update()


def test_a_resumed_run_counts_on_and_does_not_say_it_again() -> None:
    tracker, mask = watched()
    follow(tracker, mask, (0, 4), (0, 4))
    early = copy.deepcopy(tracker.state_dict())
    assert len(follow(tracker, mask, (0, 4))) == 1
    for state, expected in ((early, 1), (tracker.state_dict(), 0)):
        resumed, mask = watched()
        resumed.load_state_dict(state)
        assert len(follow(resumed, mask, (0, 4), (0, 4))) == expected


@pytest.mark.parametrize("known", [{}, {"closed": {"": {"image": 2, "audio": 0}}}])
def test_a_state_from_before_loads(known: dict[str, object]) -> None:
    tracker, mask = watched()
    tracker.load_state_dict({"_extra_state": {"history": [], "last": {}, **known}})
    said = follow(tracker, mask, *[(0, 4)] * 5)
    assert [text[:2] for text in said] == ["1:" if known else "3:"]


def test_reset_forgets() -> None:
    tracker, mask = watched()
    assert len(follow(tracker, mask, *[(0, 4)] * 4)) == 1
    tracker.reset()
    assert len(follow(tracker, mask, *[(0, 4)] * 4)) == 1


def test_as_an_error_it_loses_nothing() -> None:
    tracker, mask = watched(1)
    set_weight(mask, [-1.0] * 8)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error", mf.CollapseWarning)
            if not tracker.history:
                with pytest.raises(mf.CollapseWarning):
                    tracker.update()
            else:
                tracker.update()
    assert len(tracker.history) == 2


@pytest.mark.unchecked
def test_it_points_at_the_line_that_updates() -> None:
    tracker, mask = watched(1)
    set_weight(mask, [-1.0] * 8)
    with pytest.warns(mf.CollapseWarning) as caught:
        tracker.update()
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("rank", "expected"), [(0, 1), (1, 0)])
def test_the_first_process_speaks_for_all(rank: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    assert len(follow(*watched(1), (0, 4))) == expected


def test_min_channels_prevent_it() -> None:
    mask = set_weight(mf.ComplementaryMask([4, 4], min_channels=1), [-1.0] * 8)
    tracker = mf.ComplementarityTracker(mask, collapse_after=1)
    tracker.update()
    assert tracker.kept() == {"0": 25.0, "1": 25.0}


@pytest.mark.unchecked
@pytest.mark.parametrize(("bad", "error"), [(0, ValueError), (2.5, TypeError), (True, TypeError)])
def test_setting(bad: float, error: type[Exception]) -> None:
    text = f"`collapse_after` (={bad!r}) must be an integer of at least 1."
    with pytest.raises(error, match=re.escape(text)):
        mf.ComplementarityTracker(mf.ComplementaryMask(4), collapse_after=bad)
