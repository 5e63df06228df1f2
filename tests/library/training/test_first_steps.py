"""A mask that would close wholly before the network has learned anything is warned of in time, in a loop of one's own too."""

import copy
import gc
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import maskfusion as mf
from tests.support.helpers import set_weight

CURES = ("`parameter_groups(mask_lr=...)`", "`init`", "lower lambda", "WarmupPenalty", "`min_channels`")
Told = list[tuple[int, str]]


def network(**settings) -> nn.Module:
    torch.manual_seed(0)
    mask = mf.ComplementaryMask({"image": 16, "audio": 16}, **settings)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), mask, nn.Linear(32, 4))


def follow(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    lam: float,
    steps: int = 40,
    loss: Callable[[], torch.Tensor] | None = None,
    **settings,
) -> Told:
    """Train with a tracker that is never updated: after which step was said what."""
    x, y = torch.randn(64, 8), torch.arange(64) % 4
    tracker = mf.ComplementarityTracker(model, **settings)
    told: Told = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        task = cross_entropy(model(x), y) if loss is None else loss()
        (task + lam * mf.total_penalty(model)).backward()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            optimizer.step()
        told += [(step, str(each.message)) for each in caught]
        assert all(each.category is mf.CollapseWarning for each in caught)
    assert tracker.history == []
    return told


def adam(model: nn.Module, rate: float, kind=torch.optim.Adam) -> torch.optim.Optimizer:
    return kind(mf.parameter_groups(model, lr=1e-3, mask_lr=rate))


def test_ten_steps_of_adam_are_told_of_after_two() -> None:
    model = network(init=0.01, threshold=0.005)
    told = follow(model, adam(model, 5e-4), lam=0.1)
    assert [step for step, _ in told] == [2]
    text = told[0][1]
    assert text.startswith(
        "Mask '2' is about to close wholly: after 2 steps of its optimiser, 32 of 32 channels are closed or will be by step 10, before the network "
        "can have learned what they are worth. "
    )
    assert [cure for cure in CURES if cure not in text] == []
    assert "a channel closes in (`init` - `threshold`) / learning rate steps" in text
    assert not bool(model[2].kept.any()), "it was true"


@pytest.mark.parametrize(
    "cure",
    [
        {"rate": 1e-4},
        {"lam": 1e-4},
        {"init": 0.1},
        {"min_channels": 1},
    ],
    ids=lambda cure: next(iter(cure)),
)
def test_each_cure_helps(cure: dict[str, float]) -> None:
    cure = dict(cure)
    rate, lam = cure.pop("rate", 5e-4), cure.pop("lam", 0.1)
    model = network(**{"init": 0.01, "threshold": 0.005, **cure})
    assert follow(model, adam(model, rate), lam, steps=20) == []
    assert bool(model[2].kept.any())


def test_by_default_it_takes_a_strong_penalty_and_is_told_of_in_time() -> None:
    model = network()
    told = follow(model, adam(model, 1e-3), lam=1.0, steps=60)
    assert [step for step, _ in told] == [32]
    assert re.search(r"will be by step 5[01], before", told[0][1])
    model = network()
    assert follow(model, adam(model, 1e-3), lam=1e-4, steps=60) == []


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_what_has_closed_already_is_said_so(kind: type[torch.optim.Optimizer]) -> None:
    model = network(init=0.01, threshold=0.005)
    told = follow(model, adam(model, 0.01, kind), lam=1.0)
    assert [step for step, _ in told] == [2]
    assert told[0][1].startswith(
        "Mask '2' has closed wholly: after 2 steps of its optimiser, 32 of 32 channels are closed or will be by step 2, before"
    )


def test_plain_sgd_is_seen_by_what_it_does() -> None:
    model = network()
    assert follow(model, torch.optim.SGD(model.parameters(), lr=1e-3), lam=0.1) == []
    model = network()
    told = follow(model, torch.optim.SGD(model.parameters(), lr=1e-2), lam=1.0)
    assert [step for step, _ in told] == [2]


def test_a_part_that_closes_is_no_matter() -> None:
    model = network(init=0.01, threshold=0.005)
    told = follow(model, adam(model, 5e-4), 0.1, loss=lambda: -0.5 * model[2].weight[:2].sum())
    assert told == []
    assert int(model[2].kept.sum()) == 2


def test_what_was_closed_before_is_no_matter() -> None:
    model = network()
    set_weight(model[2], [-1.0] * 16 + [1.0] * 16)
    assert follow(model, adam(model, 5e-4), 0.1) == []
    set_weight(model[2], [-1.0] * 32)
    assert follow(model, adam(model, 5e-4), 0.1) == []


def test_of_few_channels_all_may_fall_by_chance() -> None:
    for channels, told in ((14, 0), (16, 1)):
        model = nn.Sequential(
            nn.Linear(8, channels), mf.ComplementaryMask(channels, init=0.01, threshold=0.005)
        )
        assert len(follow(model, adam(model, 5e-4), lam=1.0, steps=4)) == told


@pytest.mark.unchecked
def test_it_points_at_the_line_that_steps() -> None:
    mask = mf.ComplementaryMask(16, init=0.01, threshold=0.005)
    tracker, optimizer = mf.ComplementarityTracker(mask), torch.optim.Adam([mask.weight], lr=1e-3)
    mask.weight.grad = torch.ones_like(mask.weight)
    optimizer.step()
    with pytest.warns(mf.CollapseWarning) as caught:
        optimizer.step()
    assert caught[0].filename == __file__
    assert tracker.history == []


def test_said_once_and_not_where_it_is_unwanted() -> None:
    model = network(init=0.01, threshold=0.005)
    assert len(follow(model, adam(model, 1e-3), 1.0)) == 1
    assert follow(network(), adam(model, 1e-3), 1.0, collapse_after=None) == []


def test_each_mask_at_its_own_optimizer() -> None:
    model = nn.Sequential(network(), mf.ComplementaryMask(16, init=0.01, threshold=0.005))
    first, second = (torch.optim.Adam([mask.weight], lr=1e-3) for mask in (model[0][2], model[1]))
    tracker = mf.ComplementarityTracker(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(40):
            for mask in (model[0][2], model[1]):
                mask.weight.grad = torch.ones_like(mask.weight)
            first.step()
            if step >= 5:
                second.step()
    assert [str(each.message)[:33] for each in caught] == [
        "Mask '1' is about to close wholly",
        "Mask '0.2' is about to close whol",
    ]
    assert list(tracker) == ["0.2", "1"]


def test_a_state_that_knows_of_it_does_not_say_it_again() -> None:
    mask = mf.ComplementaryMask(16, init=0.01, threshold=0.005)
    tracker, optimizer = mf.ComplementarityTracker(mask), torch.optim.Adam([mask.weight], lr=1e-3)
    mask.weight.grad = torch.ones_like(mask.weight)
    optimizer.step()
    with pytest.warns(mf.CollapseWarning, match="^The mask is about to close wholly"):
        optimizer.step()
    tracker.update()
    mask = mf.ComplementaryMask(16, init=0.01, threshold=0.005)
    resumed, optimizer = mf.ComplementarityTracker(mask), torch.optim.Adam([mask.weight], lr=1e-3)
    resumed.load_state_dict(tracker.state_dict())
    mask.weight.grad = torch.ones_like(mask.weight)
    for _ in range(4):
        optimizer.step()


def looks(optimizer: torch.optim.Optimizer) -> int:
    """How often the groups are read in a step by others than the optimiser itself."""
    groups, count = optimizer.param_groups, 0

    class Groups(list):
        def __iter__(self) -> Iterator[Any]:
            nonlocal count
            count += 1
            return super().__iter__()

    optimizer.param_groups = Groups(groups)
    optimizer.step()
    optimizer.param_groups = groups
    return count


@pytest.mark.unchecked  # the checker keeps what it has seen
@pytest.mark.parametrize("end", ["enough", "collected", "patience"])
def test_it_stops_looking(end: str) -> None:
    mask, parameter = mf.ComplementaryMask(4), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter if end == "patience" else mask.weight], lr=0.0)
    alone = looks(optimizer)
    tracker = mf.ComplementarityTracker(mask)
    assert looks(optimizer) > alone
    copies = [copy.deepcopy(tracker)]  # which has a mask of its own that nobody trains yet
    if end == "collected":
        del tracker
        gc.collect()
    else:
        for _ in range(30 if end == "enough" else 997):
            optimizer.step()
        assert looks(optimizer) > alone
        optimizer.step()
        assert tracker.history == []
    assert looks(optimizer) == alone
    assert len(copies) == 1


@pytest.mark.unchecked
def test_while_somebody_compiles_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = mf.ComplementaryMask(16, init=0.01, threshold=0.005)
    tracker, optimizer = mf.ComplementarityTracker(mask), torch.optim.Adam([mask.weight], lr=1e-3)
    mask.weight.grad = torch.ones_like(mask.weight)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for _ in range(4):
        optimizer.step()
    assert tracker.history == []


def test_a_model_that_loses_its_mask_is_let_go() -> None:
    model = nn.Sequential(mf.ComplementaryMask(4))
    tracker = mf.ComplementarityTracker(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    model[0] = nn.Identity()
    optimizer.step()
    assert tracker.history == []


def test_sharded_and_absent_omegas_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = mf.ComplementaryMask(16, init=0.01, threshold=0.005)
    tracker, optimizer = mf.ComplementarityTracker(mask), torch.optim.Adam([mask.weight], lr=1e-3)
    monkeypatch.setattr(mask.weight, "full_tensor", lambda: None, raising=False)
    mask.weight.grad = torch.ones_like(mask.weight)
    for _ in range(8):
        optimizer.step()
    assert tracker.history == []


@pytest.mark.unchecked
def test_a_compiled_step_is_left_alone() -> None:
    torch._dynamo.reset()
    mask = mf.ComplementaryMask(16, init=0.01, threshold=0.005)
    tracker, optimizer = mf.ComplementarityTracker(mask), torch.optim.Adam([mask.weight], lr=1e-3)
    mask.weight.grad = torch.ones_like(mask.weight)

    @torch.compile(backend="eager")
    def step() -> None:
        optimizer.step()

    for _ in range(4):
        step()
    assert tracker.history == []
    assert bool((mask.weight < 0.01).all())
