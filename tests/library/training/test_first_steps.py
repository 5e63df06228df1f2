"""A mask that would close wholly before the network has learned anything is warned of in time, in a loop of one's own too."""

import copy
import gc
import re
import warnings
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import prune

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
    """Train with a tracker that is never updated: at the gradient of which step was said what."""
    x, y = torch.randn(64, 8), torch.arange(64) % 4
    tracker = mf.ComplementarityTracker(model, **settings)
    told: Told = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        task = cross_entropy(model(x), y) if loss is None else loss()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (task + lam * mf.total_penalty(model)).backward()
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
    assert [step for step, _ in told] == [3]
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
    assert [step for step, _ in told] == [33]
    assert re.search(r"will be by step 5[01], before", told[0][1])
    model = network()
    assert follow(model, adam(model, 1e-3), lam=1e-4, steps=60) == []


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_what_has_closed_already_is_said_so(kind: type[torch.optim.Optimizer]) -> None:
    model = network(init=0.01, threshold=0.005)
    told = follow(model, adam(model, 0.01, kind), lam=1.0)
    assert [step for step, _ in told] == [3]
    assert told[0][1].startswith(
        "Mask '2' has closed wholly: after 2 steps of its optimiser, 32 of 32 channels are closed or will be by step 2, before"
    )


def test_plain_sgd_is_seen_by_what_it_does() -> None:
    model = network()
    assert follow(model, torch.optim.SGD(model.parameters(), lr=1e-3), lam=0.1) == []
    model = network()
    told = follow(model, torch.optim.SGD(model.parameters(), lr=1e-2), lam=1.0)
    assert [step for step, _ in told] == [3]


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


def pulled(mask: mf.ComplementaryMask, optimizer: torch.optim.Optimizer, steps: int = 1) -> None:
    """Let steps push every Omega down."""
    for _ in range(steps):
        optimizer.zero_grad()
        mask.weight.sum().backward()
        optimizer.step()


def falling(**settings) -> tuple[mf.ComplementaryMask, torch.optim.Optimizer, mf.ComplementarityTracker]:
    mask = mf.ComplementaryMask(16, init=0.01, threshold=0.005)
    return mask, torch.optim.Adam([mask.weight], lr=1e-3), mf.ComplementarityTracker(mask, **settings)


@pytest.mark.unchecked
def test_it_points_at_the_line_that_makes_the_gradient() -> None:
    mask, optimizer, tracker = falling()
    pulled(mask, optimizer, 2)
    with pytest.warns(mf.CollapseWarning) as caught:
        mask.weight.sum().backward()
    assert caught[0].filename == __file__
    assert tracker.history == []


def test_a_filter_that_makes_an_error_of_it_stops_there() -> None:
    mask, optimizer, tracker = falling()
    with warnings.catch_warnings():
        warnings.simplefilter("error", mf.MaskWarning)
        with pytest.raises(mf.CollapseWarning, match=r"^The mask is about to close wholly"):
            pulled(mask, optimizer, 3)
    assert tracker.history == []


def test_accumulated_batches_are_one_step() -> None:
    mask, optimizer, tracker = falling()
    for step in range(3):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(5):
                mask.weight.sum().backward()
        assert len(caught) == (step == 2)
        optimizer.step()
        optimizer.zero_grad()
    assert tracker.history == []


def test_said_once_and_not_where_it_is_unwanted() -> None:
    model = network(init=0.01, threshold=0.005)
    assert len(follow(model, adam(model, 1e-3), 1.0)) == 1
    assert follow(network(), adam(model, 1e-3), 1.0, collapse_after=None) == []


def test_each_mask_at_its_own_optimizer() -> None:
    model = nn.Sequential(network(), mf.ComplementaryMask(16, init=0.01, threshold=0.005))
    masks = model[0][2], model[1]
    optimizers = [torch.optim.Adam([mask.weight], lr=1e-3) for mask in masks]
    tracker = mf.ComplementarityTracker(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(40):
            for mask, optimizer, begin in zip(masks, optimizers, (0, 5), strict=True):
                if step >= begin:
                    pulled(mask, optimizer)
    assert [str(each.message)[:33] for each in caught] == [
        "Mask '1' is about to close wholly",
        "Mask '0.2' is about to close whol",
    ]
    assert list(tracker) == ["0.2", "1"]


def test_a_state_that_knows_of_it_does_not_say_it_again() -> None:
    mask, optimizer, tracker = falling()
    with pytest.warns(mf.CollapseWarning, match="^The mask is about to close wholly"):
        pulled(mask, optimizer, 3)
    tracker.update()
    mask, optimizer, resumed = falling()
    resumed.load_state_dict(tracker.state_dict())
    pulled(mask, optimizer, 4)


def hooks(mask: mf.ComplementaryMask) -> int:
    return len(mask.weight._post_accumulate_grad_hooks or ())


@pytest.mark.unchecked  # the checker keeps what it has seen
@pytest.mark.parametrize("end", ["enough", "collected"])
def test_it_leaves_nothing_behind(end: str) -> None:
    mask = mf.ComplementaryMask(4)
    optimizer = torch.optim.SGD([mask.weight], lr=1e-6)
    tracker = mf.ComplementarityTracker(mask)
    assert hooks(mask) == 1
    copies = [copy.deepcopy(tracker), copy.deepcopy(mask)]  # which nobody trains yet
    assert hooks(copies[1]) == 0
    if end == "collected":
        del tracker
        gc.collect()
        pulled(mask, optimizer)
    else:
        pulled(mask, optimizer, 32)
        assert hooks(mask) == 1
        pulled(mask, optimizer)
        assert tracker.history == []
    assert hooks(mask) == 0
    assert len(copies) == 2


def test_nothing_is_kept_of_a_mask_that_is_gone() -> None:
    model = nn.Sequential(mf.ComplementaryMask(4))
    tracker, gone = mf.ComplementarityTracker(model), weakref.ref(model[0])
    model[0] = nn.Identity()
    gc.collect()
    assert gone() is None
    assert tracker.history == []


def test_a_frozen_omega_is_not_looked_at() -> None:
    mask = mf.ComplementaryMask(16)
    mask.weight.requires_grad_(False)
    assert mf.ComplementarityTracker(mask).kept() == {"0": 100.0, "1": 100.0}
    assert hooks(mask) == 0


def test_an_omega_that_was_loaded_begins_there() -> None:
    """Far above the threshold: what it was before does not count."""
    mask, optimizer, tracker = falling()
    set_weight(mask, 5.0)
    pulled(mask, optimizer, 40)
    assert tracker.history == []


@pytest.mark.unchecked
def test_while_somebody_compiles_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    mask, optimizer, tracker = falling()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    pulled(mask, optimizer, 4)
    assert tracker.history == []


def test_sharded_and_absent_omegas_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    mask, optimizer, tracker = falling()
    monkeypatch.setattr(mask.weight, "full_tensor", lambda: None, raising=False)
    pulled(mask, optimizer, 8)
    assert tracker.history == []


@pytest.mark.unchecked
@pytest.mark.parametrize("what", ["step", "network"])
def test_what_is_compiled_is_looked_at_too(what: str) -> None:
    torch._dynamo.reset()
    model = network(init=0.01, threshold=0.005)
    tracker, optimizer = mf.ComplementarityTracker(model), adam(model, 1e-3)
    step = torch.compile(optimizer.step, backend="eager") if what == "step" else optimizer.step
    run = torch.compile(model, backend="aot_eager", fullgraph=True) if what == "network" else model

    def train() -> None:
        for _ in range(4):
            optimizer.zero_grad()
            (run(torch.ones(2, 8)).sum() + mf.total_penalty(model)).backward()
            step()

    with pytest.warns(mf.CollapseWarning, match="is about to close wholly"):
        train()
    assert tracker.history == []


def test_a_pruned_omega_is_looked_at() -> None:
    model = network(init=0.01, threshold=0.005)
    prune.random_unstructured(model[2], "weight", amount=1)
    tracker, optimizer = mf.ComplementarityTracker(model), adam(model, 1e-3)

    def train() -> None:
        for _ in range(4):
            optimizer.zero_grad()
            (model(torch.ones(2, 8)).sum() + mf.total_penalty(model)).backward()
            optimizer.step()

    with pytest.warns(mf.CollapseWarning, match="31 of 31 channels"):
        train()
    assert tracker.history == []
