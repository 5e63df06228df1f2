"""A network to penalise, loops that know nothing of masks, and the same loop with the penalty in the loss."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.helpers import set_weight, two

close = torch.testing.assert_close
LAMBDA = 0.3


def network(masks: int = 1) -> nn.Sequential:
    """One mask or more, behind each other, and a head."""
    torch.manual_seed(1)
    made = [two(4, 4) for _ in range(masks)]
    for mask in made:
        set_weight(mask, torch.linspace(-0.2, 0.5, 8))
    return nn.Sequential(nn.Linear(6, 8), *made, nn.Linear(8, 1))


def batches(count: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(5, 6, generator=generator) for _ in range(count)]


def plain(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    """A step of a loop that knows nothing of masks."""
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()


def expected(
    make: Callable[[nn.Module], torch.optim.Optimizer],
    model: nn.Module,
    weight: float = LAMBDA,
    penalty: Callable[[Tensor], Tensor] = mf.signed_sum,
) -> nn.Module:
    """The model after a loop with the penalty in the loss."""
    model = copy.deepcopy(model)
    optimizer = make(model)
    for x in batches():
        optimizer.zero_grad()
        (model(x).square().mean() + weight * mf.total_penalty(model, penalty)).backward()
        optimizer.step()
    return model


def same(first: nn.Module, second: nn.Module) -> None:
    close(first.state_dict(), second.state_dict())


OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
    "adam": lambda model: torch.optim.Adam(model.parameters(), lr=0.01),
    "foreach": lambda model: torch.optim.AdamW(mf.parameter_groups(model, lr=0.01), foreach=True),
    "fused": lambda model: torch.optim.Adam(model.parameters(), lr=0.01, fused=True),
}
