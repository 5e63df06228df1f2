"""Penalty schedules: lambda by step, where it may live, and what it does to a mask that is trained."""

import copy
import io
import math
import pickle
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.helpers import same_state, set_weight, two
from tests.support.messages import INF, NAN, POSITIVE, Case, check, expect, number

SHARE = "a finite number above 0 and below 1"


def values(schedule: mf.PenaltySchedule, steps: int) -> list[float]:
    """Lambda before each of so many steps."""
    found = []
    for _ in range(steps):
        found.append(schedule.value.item())
        schedule.step()
    return found


def steered(mask: nn.Module, share: float = 0.5, **settings) -> mf.SteeredPenalty:
    """A schedule that moves fast."""
    return mf.SteeredPenalty(mask, share, **{"start": 0.5, "steps": 2, **settings})


def every() -> list[mf.PenaltySchedule]:
    """One of each."""
    return [mf.ConstantPenalty(0.5), mf.WarmupPenalty(0.5, steps=4), steered(two(4, 4))]


def test_constant() -> None:
    assert values(mf.ConstantPenalty(), 2) == pytest.approx([1e-4, 1e-4])
    assert values(mf.ConstantPenalty(0.0), 2) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("steps", "delay", "expected"),
    [(4, 0, [0, 0.5, 1, 1.5, 2, 2]), (1, 0, [0, 2, 2]), (2, 3, [0, 0, 0, 0, 1, 2, 2])],
)
def test_warmup(steps: int, delay: int, expected: list[float]) -> None:
    assert values(mf.WarmupPenalty(2.0, steps=steps, delay=delay), len(expected)) == expected


def test_steering_goes_up_down_and_rests() -> None:
    mask = two(4, 4)
    schedule = steered(mask)
    schedule.step()
    assert schedule.value.item() == pytest.approx(0.5 * math.exp(0.5)), "all is open"
    set_weight(mask, [-1.0] * 7 + [1.0])
    schedule.step()
    schedule.step()
    assert schedule.value.item() == pytest.approx(0.5 * math.exp(-0.5)), "one of eight is open"
    set_weight(mask, [1.0, -1.0] * 4)
    schedule.step()
    assert schedule.value.item() == pytest.approx(0.5 * math.exp(-0.5)), "as wanted"


def test_steering_stays_in_its_bounds_and_leaves_them_at_once() -> None:
    mask = two(4, 4)
    schedule = steered(mask, lowest=0.1, highest=0.7)
    assert max(values(schedule, 50)) == pytest.approx(0.7)
    set_weight(mask, [-1.0] * 8)
    falling = values(schedule, 50)
    assert falling[2] < falling[0]
    assert min(falling) == pytest.approx(0.1)


def test_steering_counts_all_masks_and_what_min_channels_keeps() -> None:
    model = nn.Sequential(two(4, 4), mf.ComplementaryMask({"a": 4, "b": 4}, min_channels=2))
    set_weight(model[1], [-1.0] * 8)
    schedule = steered(model, 0.75)
    schedule.step()
    assert schedule.value.item() == 0.5, "8 of 8 and 4 of 8"


def test_the_mask_is_not_owned() -> None:
    model = nn.ModuleDict({"mask": two(4, 4)})
    model["schedule"] = steered(model)
    assert list(model["schedule"].children()) == []
    assert list(model["schedule"].parameters()) == []
    assert set(model.state_dict()) == {"mask.weight", "schedule.count", "schedule.level"}
    clone = copy.deepcopy(model)
    set_weight(clone["mask"], [-1.0] * 8)
    clone["schedule"].step()
    model["schedule"].step()
    assert clone["schedule"].value < 0.5 < model["schedule"].value, "a copy follows its copy"


@pytest.mark.parametrize("index", range(3))
def test_copies_and_resume(index: int) -> None:
    schedule, fresh = every()[index], every()[index]
    values(schedule, 3)
    file = io.BytesIO()
    torch.save(schedule.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    for clone in (fresh, copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert same_state(clone, schedule)
        assert repr(clone) == repr(schedule)
        ahead = copy.deepcopy(schedule)
        assert values(clone, 5) == values(ahead, 5)


@pytest.mark.parametrize("index", range(3))
def test_reset(index: int) -> None:
    schedule, fresh = every()[index], every()[index]
    values(schedule, 3)
    schedule.reset_parameters()
    assert same_state(schedule, fresh)


@pytest.mark.parametrize("index", range(3))
def test_precision_and_device(index: int) -> None:
    schedule = every()[index].to(torch.bfloat16)
    assert schedule.value.dtype == torch.float32
    values(schedule, 400)
    assert int(schedule.count) == 400
    assert schedule.to("meta").value.is_meta


def test_a_step_between_forward_and_backward_is_fine() -> None:
    for schedule in every():
        weight = nn.Parameter(torch.ones(()))
        loss = schedule.value * weight
        expected = schedule.value
        schedule.step()
        loss.backward()
        assert weight.grad == expected
        assert not schedule.value.requires_grad


def test_in_the_loss() -> None:
    schedule = mf.WarmupPenalty(0.5, steps=2)
    loss = mf.ComplementaryLoss(mask_weight=schedule)
    assert set(loss.state_dict()) == {"mask_weight.count"}
    assert "as scheduled" in repr(loss)
    totals = []
    for _ in range(3):
        terms = loss(torch.zeros(1, 2), torch.tensor([0]), masks=two(4, 4))
        totals.append((terms.total - terms.task).item())
        schedule.step()
    assert totals == pytest.approx([0.0, 2.0, 4.0], abs=1e-6)


@pytest.mark.unchecked
def test_compiled_once_for_all_steps() -> None:
    for make in range(3):
        torch._dynamo.reset()
        schedule = every()[make]
        loss = mf.ComplementaryLoss(mask_weight=schedule)
        mask = two(4, 4)

        def total(scores: Tensor, labels: Tensor, loss=loss, mask=mask) -> Tensor:
            return loss(scores, labels, masks=mask).total

        compiled = torch.compile(total, fullgraph=True, backend="eager")
        scores, labels = torch.zeros(1, 2), torch.tensor([0])
        with torch._dynamo.config.patch(error_on_recompile=True):
            for _ in range(4):
                assert compiled(scores, labels) == total(scores, labels)
                schedule.step()


FACTORIES: list[tuple[Callable[..., object], dict[str, object]]] = [
    (mf.ConstantPenalty, {}),
    (mf.WarmupPenalty, {"steps": 1}),
]
MESSAGES: list[Case] = [
    *[
        case
        for make, rest in FACTORIES
        for case in number(
            lambda make=make, rest=rest, **bad: make(**rest, **bad), "weight", POSITIVE, -1.0, NAN
        )
    ],
    (
        lambda: mf.WarmupPenalty(steps=0),
        ValueError,
        "`steps` (=0) must be an integer of at least 1.",
    ),
    (
        lambda: mf.WarmupPenalty(steps=5, delay=-1),
        ValueError,
        "`delay` (=-1) must be an integer of at least 0.",
    ),
    (lambda: steered("mask"), TypeError, "`model_or_mask` (='mask') must be a module."),
    (lambda: steered(nn.ReLU()), ValueError, "`model_or_mask` (ReLU) must hold a ComplementaryMask."),
    *number(lambda share: steered(two(4, 4), share), "share", SHARE, 0.0, 1.0, 25.0, NAN),
    (
        lambda: steered(two(4, 4), 0.1),
        ValueError,
        "`share` (=0.1) must be at least 0.125: 1 of 8 channels is the least to keep.",
    ),
    (
        lambda: steered(mf.ComplementaryMask([4, 4], min_channels=2), 0.25),
        ValueError,
        "`share` (=0.25) must be at least 0.5: 4 of 8 channels is the least to keep.",
    ),
    (lambda: steered(two(4, 4), steps=1.5), TypeError, "`steps` (=1.5) must be an integer of at least 1."),
    *number(lambda lowest: steered(two(4, 4), lowest=lowest), "lowest", "a finite number above 0", 0.0, INF),
    (
        lambda: steered(two(4, 4), lowest=0.6),
        ValueError,
        "`start` (=0.5) must be a finite number at least 0.6.",
    ),
    (
        lambda: steered(two(4, 4), highest=0.4),
        ValueError,
        "`highest` (=0.4) must be a finite number at least 0.5.",
    ),
    (
        lambda: mf.ComplementaryLoss(mask_weight="warm up"),
        TypeError,
        "`mask_weight` (='warm up') must be a finite number at least 0.",
    ),
]


@pytest.mark.unchecked
@check(MESSAGES)
def test_message(case: Case) -> None:
    expect(case)


def test_shown() -> None:
    texts = [repr(schedule) for schedule in every()]
    assert texts == [
        "ConstantPenalty(weight=0.5)",
        "WarmupPenalty(weight=0.5, steps=4, delay=0)",
        "SteeredPenalty(share=0.5, start=0.5, steps=2, lowest=1e-08, highest=1.0)",
    ]


def test_the_base_has_no_value() -> None:
    with pytest.raises(TypeError, match=re.escape("abstract")):
        mf.PenaltySchedule()
