"""ComplementarityTracker: what it reads and what it keeps."""

import math

import pytest
import torch

import maskfusion as mf
from tests.support import oracle
from tests.support.helpers import array, set_weight, two

WIDTHS = [[4], [4, 4], [2, 6], [3, 5, 7], [1, 1, 1, 1], [2, 3, 4, 5, 6], [8, 1, 3, 2, 5, 4]]


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("seed", range(3))
def test_against_the_equations(widths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    mask = mf.ComplementaryMask(widths)
    set_weight(mask, 0.05 + 0.1 * torch.randn(sum(widths)))
    omegas = {str(i): array(part) for i, part in enumerate(mask.weight.split(widths))}
    tracker = mf.ComplementarityTracker(mask)
    assert tracker.kept() == pytest.approx(oracle.kept(omegas, 0.05))
    assert tracker.complementary() == pytest.approx(oracle.complementary(omegas, 0.05))
    assert tracker.contradictory() == pytest.approx(oracle.contradictory(omegas, 0.05))
    shares = oracle.kept(omegas, 0.05)
    assert tracker.zeta() == pytest.approx(oracle.zeta(list(shares.values())), nan_ok=True)
    if len(widths) > 1:
        pair = oracle.zeta([shares["0"], shares["1"]])
        assert tracker.zeta("0", "1") == pytest.approx(pair, nan_ok=True)
        assert tracker.zeta("1", "0") == pytest.approx(pair, nan_ok=True)
    both = sum(tracker.complementary().values()) + sum(tracker.contradictory().values())
    assert both == pytest.approx(100)


@pytest.mark.parametrize(
    ("image", "audio", "expected"),
    [(4, 4, 1.0), (4, 1, 0.25), (1, 2, 0.5), (0, 3, 0.0), (0, 0, math.nan)],
)
def test_zeta_by_hand(image: int, audio: int, expected: float) -> None:
    tracker = mf.ComplementarityTracker(two(image, audio))
    assert isinstance(tracker.zeta(), float)
    assert tracker.zeta() == pytest.approx(expected, nan_ok=True)


def test_nothing_masked_is_table_two() -> None:
    tracker = mf.ComplementarityTracker(two(4, 4))
    assert tracker.complementary() == {"image": 50.0, "audio": 50.0}
    assert tracker.contradictory() == {"image": 0.0, "audio": 0.0}
    assert tracker.kept() == {"image": 100.0, "audio": 100.0}


def test_unequal_widths_compare_fairly() -> None:
    mask = set_weight(mf.ComplementaryMask({"image": 2, "audio": 6}), [1, -1, 1, 1, 1, -1, -1, -1])
    tracker = mf.ComplementarityTracker(mask)
    assert tracker.zeta() == 1.0
    assert tracker.complementary() == {"image": 12.5, "audio": 37.5}


def test_reading_keeps_no_record_and_changes_nothing() -> None:
    mask = two(1, 2)
    tracker = mf.ComplementarityTracker(mask)
    before = mask.weight.detach().clone()
    for read in (tracker.zeta, tracker.kept, tracker.complementary, tracker.contradictory, tracker.metrics):
        read()
    assert tracker.history == []
    assert torch.equal(mask.weight, before)


def test_records() -> None:
    mask = two(4, 4)
    tracker = mf.ComplementarityTracker(mask)
    tracker.update(step=10)
    with torch.no_grad():
        mask.weight[:3] = -1
    tracker.update(step=20)
    assert tracker.history == [
        {"step": 10, "mask": "", "complementary": {"image": 50.0, "audio": 50.0}, "zeta": 1.0, "flipped": 0},
        {"step": 20, "mask": "", "complementary": {"image": 12.5, "audio": 50.0}, "zeta": 0.25, "flipped": 3},
    ]
    with torch.no_grad():
        mask.weight[2] = 1
        mask.weight[7] = -1
    tracker.update(step=30)
    assert tracker.history[-1]["flipped"] == 2


def test_steps_count_by_themselves() -> None:
    tracker = mf.ComplementarityTracker(two(4, 4))
    for _ in range(3):
        tracker.update()
    steps = [record["step"] for record in tracker.history]
    assert [step - steps[0] for step in steps] == [0, 1, 2]


@pytest.mark.parametrize(("last", "expected"), [(1, 0.25), (2, 0.375), (3, 7 / 12), (5, 7 / 12)])
def test_mean_zeta(last: int, expected: float) -> None:
    mask = two(4, 4)
    tracker = mf.ComplementarityTracker(mask)
    for open_channels in (4, 2, 1):
        mask.load_state_dict(two(open_channels, 4).state_dict())
        tracker.update()
    assert tracker.mean_zeta(last=last) == pytest.approx(expected)


def test_mean_zeta_of_nothing() -> None:
    assert math.isnan(mf.ComplementarityTracker(two(4, 4)).mean_zeta())


def test_metrics_are_flat() -> None:
    tracker = mf.ComplementarityTracker(two(1, 2))
    tracker.update()
    metrics = tracker.metrics()
    assert metrics == {
        "zeta": 0.5,
        "compl/image": 12.5,
        "compl/audio": 25.0,
        "contr/image": 37.5,
        "contr/audio": 25.0,
        "kept/image": 25.0,
        "kept/audio": 50.0,
        "flipped": 0.0,
    }
    assert all(isinstance(value, float) for value in metrics.values())


def test_reset() -> None:
    mask = two(4, 4)
    tracker = mf.ComplementarityTracker(mask)
    tracker.update()
    mask.load_state_dict(two(0, 4).state_dict())
    tracker.reset()
    assert tracker.history == []
    tracker.update()
    assert tracker.history[0]["flipped"] == 0, "nothing is left to compare with"
