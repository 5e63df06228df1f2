"""The penalty where a trainer makes, prepares or wraps the optimiser (P17)."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

import maskfusion as mf
from tests.support.penalizing import LAMBDA, OPTIMIZERS, batches, close, expected, network, plain, same


def test_p17_a_trainer_that_makes_its_own_optimizer() -> None:
    def their_train(model: nn.Module) -> None:
        optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=0.01)
        other = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
        for x in batches():
            plain(model, optimizer, x)
            other.step()

    model = network()
    wanted = expected(OPTIMIZERS["adam"], model)
    schedule = mf.ConstantPenalty(LAMBDA)
    handle = mf.penalize(None, model, schedule)
    their_train(model)
    handle.remove()
    same(model, wanted)
    assert int(schedule.count) == 4
    again = expected(OPTIMIZERS["adam"], model, weight=0.0)
    their_train(model)
    same(model, again)


@pytest.fixture
def _accelerators_forgotten() -> Iterator[None]:
    state = pytest.importorskip("accelerate.state", reason="accelerate is not installed")

    def reset() -> None:
        state.AcceleratorState._reset_state(reset_partial_state=True)
        state.GradientState._reset_state()

    reset()
    yield
    reset()


@pytest.mark.usefixtures("_accelerators_forgotten")
@pytest.mark.parametrize("early", [True, False])
def test_accelerate(early: bool) -> None:
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    model = network()
    wanted = expected(OPTIMIZERS["adam"], model)
    optimizer = OPTIMIZERS["adam"](model)
    if early:
        mf.penalize(optimizer, model, LAMBDA)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=5)
    prepared, theirs = accelerator.prepare(model, optimizer)
    if not early:
        mf.penalize(theirs, prepared, LAMBDA)
    for x in batches():
        for part in x.split(1):
            with accelerator.accumulate(prepared):
                accelerator.backward(prepared(part).square().mean())
                theirs.step()
                theirs.zero_grad()
    same(model, wanted)


class Wrapper:
    """What a trainer puts around an optimiser, and no optimiser itself."""

    def __init__(self, optimizer: object) -> None:
        self.optimizer = optimizer


@pytest.mark.unchecked
def test_the_innermost_optimizer_is_the_one() -> None:
    model = network()
    optimizer = torch.optim.SGD(model[1].parameters(), lr=1.0)
    mf.penalize(Wrapper(Wrapper(optimizer)), model, 0.5)
    before = model[1].weight.detach().clone()
    optimizer.step()
    close(model[1].weight, before - 0.5)
