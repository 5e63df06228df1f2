"""SteeredPenalty in training: the wanted share is met where each channel is of a little less use than the one before."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf

Optimizer = Callable[[nn.Module], torch.optim.Optimizer]
WIDTH = 32


def train(
    wanted: float, optimizer: Optimizer, penalty: Callable[[Tensor], Tensor] = mf.positive_sum, **settings
) -> Tensor:
    """Learn a sum in which each channel weighs less than the one before; which were open after each step, (steps, channels)."""
    generator = torch.Generator().manual_seed(0)
    use = torch.linspace(1.0, 0.1, WIDTH)
    mask = mf.ComplementaryMask(WIDTH)
    model = nn.Sequential(mask, nn.Linear(WIDTH, 1))
    schedule = mf.SteeredPenalty(model, wanted, **settings)
    moving = optimizer(model)
    kept = []
    for _ in range(1000):
        x = torch.randn(64, WIDTH, generator=generator)
        error = nn.functional.mse_loss(model(x), (x @ use)[:, None] / 3)
        loss = error + schedule.value * mf.functional.mask_penalty(mask.weight, penalty)
        moving.zero_grad()
        loss.backward()
        moving.step()
        schedule.step()
        kept.append(mask.kept)
    return torch.stack(kept).float()


def expect_share(kept: Tensor, wanted: float) -> None:
    """On average over the last steps, since channels near the threshold come and go."""
    last = kept[-300:].mean(0)
    assert last.mean().item() == pytest.approx(wanted, abs=0.03)
    assert last[: WIDTH // 2].sum() > last[WIDTH // 2 :].sum(), "what is kept is what is useful"


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(mf.parameter_groups(model, lr=1e-2))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(mf.parameter_groups(model, lr=0.1))


@pytest.mark.parametrize(("optimizer", "steps"), [(adam, 20), (sgd, 50)])
@pytest.mark.parametrize("wanted", [0.125, 0.25, 0.5, 0.75])
def test_steering_reaches_the_wanted_share(wanted: float, optimizer: Optimizer, steps: int) -> None:
    expect_share(train(wanted, optimizer, steps=steps), wanted)


def test_steering_with_a_penalty_without_floor() -> None:
    expect_share(train(0.25, adam, mf.signed_sum, steps=20), 0.25)


@pytest.mark.parametrize("optimizer", [adam, sgd])
def test_steering_opens_what_a_strong_start_has_closed(optimizer: Optimizer) -> None:
    kept = train(0.5, optimizer, start=0.5, steps=20)
    assert kept.sum(1).min() == 0
    expect_share(kept, 0.5)
