"""What `penalize` refuses, and what it does not."""

import re

import pytest
import torch
from torch import nn

import maskfusion as mf
from tests.support.helpers import two
from tests.support.messages import INF, POSITIVE, Case, check, expect, number
from tests.support.penalizing import network


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def late() -> object:
    """An optimiser that was there before one of the masks (P8)."""
    model = network()
    optimizer = sgd(model)
    return mf.penalize(optimizer, model.append(two(4, 4)))


def twice(first: bool, second: bool) -> object:
    """On one optimiser, or on any that holds Omega."""
    model = network()
    optimizer = sgd(model)
    handle = mf.penalize(None if first else optimizer, model)
    try:
        return mf.penalize(None if second else optimizer, model[1])
    finally:
        handle.remove()


MESSAGES: list[Case] = [
    (
        lambda: mf.penalize("adam", network()),
        TypeError,
        "`optimizer` (='adam') must be a torch.optim.Optimizer, or None for whichever has Omega.",
    ),
    (lambda: mf.penalize(None, "model"), TypeError, "`model` (='model') must be a module."),
    (lambda: mf.penalize(None, nn.ReLU()), ValueError, "`model` (ReLU) must hold a ComplementaryMask."),
    (lambda: mf.total_penalty(nn.ReLU()), ValueError, "`model` (ReLU) must hold a ComplementaryMask."),
    *number(lambda weight: mf.penalize(None, network(), weight), "weight", POSITIVE, -1.0, INF),
    (
        lambda: mf.penalize(None, network(), penalty="sum"),
        TypeError,
        "`penalty` (='sum') must be a function of Omega.",
    ),
    (
        late,
        ValueError,
        "`optimizer` (SGD) must have the Omega of each mask; it lacks that of ['3']. If it was made before the mask, make it",
    ),
    *[
        (
            lambda first=first, second=second: twice(first, second),
            ValueError,
            "`model` has masks that are penalised already, ['']: call `remove()` on what the first `penalize` returned.",
        )
        for first, second in ((False, False), (True, False), (False, True), (True, True))
    ],
]


@pytest.mark.unchecked
@check(MESSAGES)
def test_message(case: Case) -> None:
    expect(case)


def test_twice_is_fine_on_different_optimizers() -> None:
    model = network()
    kept = mf.penalize(sgd(model), model)
    assert re.fullmatch("PenaltyHandle", type(kept).__name__)
    optimizers = [sgd(model), sgd(model)]
    for optimizer in optimizers:
        mf.penalize(optimizer, model)
    mf.penalize(sgd(model), model)
