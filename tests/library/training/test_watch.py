"""What the tracker says that goes wrong, once, with the cure: Omega that does not move, shares that do, NaN."""

import re
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import maskfusion as mf
from tests.support.helpers import set_weight, two


def warned(action: Callable[[], object]) -> list[warnings.WarningMessage]:
    """What an action warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return caught


def train(
    mask: mf.ComplementaryMask,
    optimizer: torch.optim.Optimizer,
    updates: int,
    *,
    weight: float = 1e-4,
    steps: int = 1,
    tracker: mf.ComplementarityTracker | None = None,
) -> list[warnings.WarningMessage]:
    """Push Omega down for so many updates of so many steps; what was said."""
    tracker = tracker or mf.ComplementarityTracker(mask)

    def run() -> None:
        for update in range(updates):
            for _ in range(steps):
                optimizer.zero_grad()
                (weight * mf.functional.mask_penalty(mask.weight)).backward()
                optimizer.step()
            tracker.update((update + 1) * steps)

    return warned(run)


def test_p8_an_optimizer_made_before_the_mask() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters())
    model.insert(1, two(4, 4))
    tracker = mf.ComplementarityTracker(model)
    said = train(model[1], optimizer, 20, tracker=tracker)
    assert [each.category for each in said] == [mf.StuckWarning]
    text = str(said[0].message)
    assert text.startswith("Mask '1' has an Omega that did not move in 5 updates although it has a gradient.")
    assert "optimizer.add_param_group({'params': [mask.weight]})" in text
    assert "parameter_groups(mask_lr=...)" in text
    optimizer.add_param_group({"params": [model[1].weight]})
    assert train(model[1], optimizer, 20, tracker=tracker) == []
    assert not torch.equal(model[1].weight, two(4, 4).weight), "the cure helps"


@pytest.mark.parametrize("through", ["nothing", "pruning", "parametrization"])
def test_p8_whatever_omega_is_made_of(through: str) -> None:
    mask = two(4, 4)
    if through == "pruning":
        prune.identity(mask, "weight")
    elif through == "parametrization":
        parametrize.register_parametrization(mask, "weight", nn.Identity())
    tracker = mf.ComplementarityTracker(mask)

    def update() -> None:
        for _ in range(6):
            mask.weight.sum().backward() if through != "pruning" else mask(torch.ones(1, 8)).sum().backward()
            tracker.update()

    assert [each.category for each in warned(update)] == [mf.StuckWarning]


def test_p8_without_a_gradient_nothing_is_expected_to_move() -> None:
    tracker = mf.ComplementarityTracker(two(4, 4))
    assert warned(lambda: [tracker.update() for _ in range(20)]) == []


def test_p16_plain_sgd_says_how_many_steps_it_needs() -> None:
    mask = mf.ComplementaryMask({"image": 4, "audio": 4})
    said = train(mask, torch.optim.SGD([mask.weight], lr=1e-3), 20, steps=100)
    assert [each.category for each in said] == [mf.StuckWarning]
    match = re.match(
        r"The mask will close its first channel after about ([\d,]+) more steps at this pace; there were 500 so far",
        str(said[0].message),
    )
    assert match is not None
    assert int(match[1].replace(",", "")) == pytest.approx(500_000, rel=0.05)
    assert "parameter_groups(mask_lr=...)" in str(said[0].message)


def test_p16_also_where_the_task_moves_omega_a_little() -> None:
    mask = mf.ComplementaryMask({"image": 4, "audio": 4})
    tracker = mf.ComplementarityTracker(mask)

    def drift() -> None:
        for update in range(30):
            set_weight(mask, 0.1 - 0.005 * (1 - 0.9 ** torch.arange(update, update + 8)))
            tracker.update()

    said = warned(drift)
    assert [each.category for each in said] == [mf.StuckWarning]
    assert "there were 2" in str(said[0].message), "it seems fast at first, and comes to rest"


def test_p16_what_moves_fast_enough_is_left_alone() -> None:
    for optimizer, weight in ((torch.optim.Adam, 1e-4), (torch.optim.SGD, 1.0)):
        mask = mf.ComplementaryMask({"image": 4, "audio": 4})
        assert train(mask, optimizer([mask.weight], lr=1e-3), 20, weight=weight) == []


def test_p16_what_rises_or_has_closed_channels_is_left_alone() -> None:
    mask = mf.ComplementaryMask(8)
    optimizer = torch.optim.SGD([mask.weight], lr=1e-3)
    assert train(mask, optimizer, 20, weight=-1e-4) == [], "no channel is on its way down"
    set_weight(mask, [-1.0] + [1.0] * 7)
    assert train(mask, optimizer, 20) == [], "one is closed already"


def test_steps_are_updates_where_they_were_not_told() -> None:
    mask = mf.ComplementaryMask(8)
    tracker = mf.ComplementarityTracker(mask)

    def creep() -> None:
        for _ in range(6):
            tracker.update(step=7)
            set_weight(mask, mask.weight.detach() - 1e-6)

    match = re.search(
        r"after about ([\d,]+) more updates of the tracker at this pace; there were 5 so far\. Under plain SGD the penalty moves Omega",
        str(warned(creep)[0].message),
    )
    assert match is not None
    assert int(match[1].replace(",", "")) == pytest.approx(50_000, rel=0.01)


def follow(shares: list[int]) -> list[warnings.WarningMessage]:
    """Updates with so many channels of image open."""
    mask = two(4, 4)
    tracker = mf.ComplementarityTracker(mask)

    def run() -> None:
        for image in shares:
            mask.load_state_dict(two(image, 4).state_dict())
            tracker.update()

    return warned(run)


class Late(nn.Module):
    """Two encoders; what is attached to may be another layer of the right width."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.audio, self.unused = (nn.Linear(2, 4) for _ in range(3))
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.image(x), self.audio(x)], 1))


def test_p3_a_layer_that_carries_the_mask_does_not_run() -> None:
    model = Late()
    mf.attach(model, {"image": "image", "audio": "unused"}, channels={"image": 4, "audio": 4}, channel_dim=1)
    tracker = mf.ComplementarityTracker(model)
    assert warned(tracker.update) == [], "nothing has run yet"
    model(torch.ones(2, 2))
    said = warned(lambda: [tracker.update() for _ in range(3)])
    assert [each.category for each in said] == [mf.UnusedMaskWarning]
    assert str(said[0].message) == (
        "Mask 'complementary_mask' has masked nothing at 'unused' so far, since no call came through there. `check(model, example)` shows "
        "what is heard of each modality; `attach` to layers that run."
    )


def test_p3_no_layer_runs_although_omega_is_trained() -> None:
    model = Late()
    mask = mf.attach(model, "unused", channels={"image": 2, "audio": 2}, channel_dim=1)
    tracker = mf.ComplementarityTracker(model)
    said = train(mask, torch.optim.Adam([mask.weight], lr=1e-3), 5, tracker=tracker)
    assert [each.category for each in said] == [mf.UnusedMaskWarning]


def test_p3_layers_that_run_are_left_alone() -> None:
    model = Late()
    mf.attach(model, {"image": "image", "audio": "audio"}, channels={"image": 4, "audio": 4}, channel_dim=1)
    tracker = mf.ComplementarityTracker(model)
    model(torch.ones(2, 2))
    assert warned(lambda: [tracker.update() for _ in range(3)]) == []


def test_p15_shares_that_still_move_are_not_to_be_ranked() -> None:
    said = follow([4] * 40 + [2] * 12)
    assert [each.category for each in said] == [mf.UnsettledWarning]
    text = str(said[0].message)
    assert text.startswith(
        "The mask has shares that still move, 'image' from 100 to 50 %, 'audio' from 100 to 100 % in the last 25 updates. "
    )
    assert "Do not rank modalities by them yet" in text
    assert "`settled()`" in text
    assert "larger lambda" in text
    assert "`measure_contributions`" in text


def test_p15_asked_again_each_time_the_number_has_doubled() -> None:
    assert follow([4] * 20 + [2] * 70) == [], "moved early, rested at 50"
    assert len(follow([4] * 20 + [2] * 55 + [1] * 140)) == 0, "one channel of four is no more than a step"
    assert len(follow([4] * 80 + [1] * 200)) == 1, "moved between 50 and 100"


def test_each_class_can_be_filtered() -> None:
    mask = set_weight(mf.ComplementaryMask({"image": 2, "audio": 2}), [float("nan")] * 2 + [1.0] * 2)
    tracker = mf.ComplementarityTracker(mask, collapse_after=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", mf.NotFiniteWarning)
        tracker.update()
    assert [each.category for each in caught] == [mf.CollapseWarning]
    assert issubclass(mf.NotFiniteWarning, RuntimeWarning)
    for kind in (mf.NotFiniteWarning, mf.CollapseWarning, mf.StuckWarning, mf.UnsettledWarning):
        assert issubclass(kind, mf.MaskWarning)


def test_as_an_error_each_stops_once_and_nothing_is_lost() -> None:
    mask = set_weight(mf.ComplementaryMask({"image": 2, "audio": 2}), [float("nan")] * 2 + [1.0] * 2)
    tracker = mf.ComplementarityTracker(mask, collapse_after=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", mf.MaskWarning)
        with pytest.raises(mf.NotFiniteWarning):
            tracker.update()
        with pytest.raises(mf.CollapseWarning):
            tracker.update()
        tracker.update()
    assert len(tracker.history) == 3


def test_infinite_omega_is_reported_and_named() -> None:
    mask = set_weight(mf.ComplementaryMask({"image": 2, "audio": 2}), [1.0, float("inf"), 1.0, 1.0])
    with pytest.warns(mf.NotFiniteWarning, match="^The mask has NaN or inf in Omega: 1 of 'image'"):
        mf.ComplementarityTracker(mask).update()
