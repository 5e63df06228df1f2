"""How fast Omega moves: alone, by each optimiser, and in a small training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

import maskfusion as mf

CHANNELS, STEPS = 24, 800
RATE, LAMBDA, DECAY = 1e-3, 1e-4, 0.01
THRESHOLD = 0.05
USE = torch.linspace(1.0, 0.0, CHANNELS)
"""How much of each channel the target of the small training holds."""

Schedule = mf.ConstantPenalty | mf.WarmupPenalty | mf.SteeredPenalty
Step = Callable[[np.float32], np.float32]
Count = Callable[[float, float], int]
"""From a start and a threshold to the updates in between."""


def descend(omega: np.float32) -> np.float32:
    """One step of SGD by the penalty alone."""
    return np.float32(omega - np.float32(RATE * LAMBDA))


def decay(omega: np.float32) -> np.float32:
    """One step of SGD or AdamW by weight decay alone."""
    return np.float32(omega * np.float32(1 - RATE * DECAY))


def _by_hand(step: Step) -> Count:
    """Float32 in NumPy, which counts to half a million in a moment."""

    def count(start: float, threshold: float) -> int:
        omega, low, updates = np.float32(start), np.float32(threshold), 0
        while omega > low:
            omega, updates = step(omega), updates + 1
        return updates

    return count


def _by_adam(gradient: float, weight_decay: float = 0.0) -> Count:
    def count(start: float, threshold: float) -> int:
        omega, updates = nn.Parameter(torch.tensor(start)), 0
        omega.grad = torch.tensor(gradient)
        optimizer = Adam([omega], lr=RATE, weight_decay=weight_decay)
        while omega.item() > threshold:
            optimizer.step()
            updates += 1
        return updates

    return count


CASES = {
    "SGD, penalty": _by_hand(descend),
    "Adam, penalty": _by_adam(LAMBDA),
    "SGD or AdamW, weight decay, no penalty": _by_hand(decay),
    "Adam, weight decay, no penalty": _by_adam(0.0, weight_decay=DECAY),
}


def apart(steps: int = 1000) -> float:
    """Return how far the steps by hand are from those of PyTorch's optimisers, as a share of Omega, at most."""
    cases: list[tuple[Callable[[nn.Parameter], Optimizer], Step, float]] = [
        (lambda omega: SGD([omega], lr=RATE), descend, LAMBDA),
        (lambda omega: SGD([omega], lr=RATE, weight_decay=DECAY), decay, 0.0),
        (lambda omega: AdamW([omega], lr=RATE, weight_decay=DECAY), decay, 0.0),
    ]
    distances = []
    for make, step, gradient in cases:
        theirs, ours = nn.Parameter(torch.tensor(0.1)), np.float32(0.1)
        theirs.grad = torch.tensor(gradient)
        optimizer = make(theirs)
        for _ in range(steps):
            optimizer.step()
            ours = step(ours)
        distances.append(abs(theirs.item() / float(ours) - 1))
    return max(distances)


@dataclass(frozen=True)
class Course:
    """What a training did.

    Args:
        omega: Omega after each step, ``(steps, channels)``.
        weight: Lambda after each step, ``(steps,)``.
    """

    omega: Tensor
    weight: Tensor

    @property
    def open(self) -> Tensor:
        """Share of open channels after each step, percent."""
        return 100 * (self.omega > THRESHOLD).float().mean(1)


def adam(model: nn.Sequential, weight_decay: float = 0.0) -> Optimizer:
    """Adam, with Omega ten times as slow as the network."""
    mask, head = model
    omega = {"params": list(mask.parameters()), "lr": RATE, "weight_decay": weight_decay}
    return Adam([omega, {"params": list(head.parameters()), "lr": 10 * RATE}])


def sgd(model: nn.Sequential) -> Optimizer:
    """SGD, with Omega a hundred times as slow as the network."""
    mask, head = model
    omega = {"params": list(mask.parameters()), "lr": RATE}
    return SGD([omega, {"params": list(head.parameters()), "lr": 100 * RATE}])


def together(model: nn.Sequential) -> Optimizer:
    """Adam, with Omega as fast as the network."""
    return Adam(model.parameters(), lr=RATE)


def constant(weight: float) -> Callable[[nn.Module], Schedule]:
    """Return what makes a constant lambda."""
    return lambda _: mf.ConstantPenalty(weight)


def train(
    schedule: Callable[[nn.Module], Schedule],
    optimizer: Callable[[nn.Sequential], Optimizer] = adam,
    penalty: Callable[[Tensor], Tensor] = mf.positive_sum,
) -> Course:
    """Train a mask and a linear head on channels each of a little less use than the one before."""
    torch.manual_seed(0)
    mask = mf.ComplementaryMask(CHANNELS)
    model = nn.Sequential(mask, nn.Linear(CHANNELS, 1))
    weight, moving = schedule(model), optimizer(model)
    omegas, lambdas = [], []
    for _ in range(STEPS):
        x = torch.randn(64, CHANNELS)
        y = (x @ USE)[:, None] / 3 + torch.randn(64, 1) / 3
        cost = weight.value * mf.functional.mask_penalty(mask.weight, penalty)
        loss = nn.functional.mse_loss(model(x), y) + cost
        moving.zero_grad()
        torch.autograd.backward(loss)
        moving.step()
        weight.step()
        omegas.append(mask.weight.detach().clone())
        lambdas.append(weight.value)
    return Course(torch.stack(omegas), torch.tensor([float(each) for each in lambdas]))
