"""What the page on choosing lambda measures and draws: how fast Omega moves, alone and in a small training."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from torch import nn

import maskfusion as mf

CHANNELS, STEPS, SHOWN = 24, 800, 4
RATE, LAMBDA, DECAY = 1e-3, 1e-4, 0.01


def by_hand(update):
    """Float32 in NumPy, which counts to half a million in a moment."""

    def count(start, threshold):
        omega, threshold, updates = np.float32(start), np.float32(threshold), 0
        while omega > threshold:
            omega, updates = update(omega), updates + 1
        return updates

    return count


def by_adam(gradient, **settings):
    def count(start, threshold):
        omega, updates = nn.Parameter(torch.tensor(start)), 0
        omega.grad = torch.tensor(gradient)
        optimizer = torch.optim.Adam([omega], lr=RATE, **settings)
        while omega.item() > threshold:
            optimizer.step()
            updates += 1
        return updates

    return count


def descend(omega):
    return omega - np.float32(RATE * LAMBDA)


def decay(omega):
    return omega * np.float32(1 - RATE * DECAY)


CASES = {
    "SGD, penalty": by_hand(descend),
    "Adam, penalty": by_adam(LAMBDA),
    "SGD or AdamW, weight decay, no penalty": by_hand(decay),
    "Adam, weight decay, no penalty": by_adam(0.0, weight_decay=DECAY),
}
USE = torch.linspace(1.0, 0.0, CHANNELS)
COLORS = LinearSegmentedColormap.from_list("use", ["#2f7fd1", "#8f8f8f", "#e0701a"])
plt.rcParams.update(
    {
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), "none"),
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor"), "#808080"),
        **dict.fromkeys(("xtick.color", "ytick.color"), "#808080"),
        "figure.dpi": 140,
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def adam(model, weight_decay=0.0):
    mask, head = model
    omega = {"params": [mask.weight], "lr": 1e-3, "weight_decay": weight_decay}
    return torch.optim.Adam([omega, {"params": head.parameters(), "lr": 1e-2}])


def sgd(model):
    mask, head = model
    return torch.optim.SGD([{"params": [mask.weight], "lr": 1e-3}, {"params": head.parameters(), "lr": 0.1}])


def train(schedule, optimizer=adam, penalty=mf.positive_sum):
    """Omega (steps, channels) and lambda (steps,) over a training."""
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
        loss.backward()
        moving.step()
        weight.step()
        omegas.append(mask.weight.detach().clone())
        lambdas.append(weight.value)
    return torch.stack(omegas), torch.stack(lambdas)


def draw(axis, omega, title):
    for channel in reversed(range(CHANNELS)):
        axis.plot(
            range(0, STEPS, SHOWN), omega[::SHOWN, channel], color=COLORS(float(USE[channel])), linewidth=0.9
        )
    axis.axhline(0.05, color="#808080", linewidth=1.2, linestyle="--")
    axis.set_title(title)
    axis.set_xlim(0, STEPS)


def key(figure, axes):
    bar = figure.colorbar(ScalarMappable(cmap=COLORS), ax=axes, ticks=[0, 1], aspect=40, pad=0.02)
    bar.ax.set_yticklabels(["no use", "most use"], rotation=90)
    bar.ax.get_yticklabels()[0].set_verticalalignment("bottom")
    bar.ax.get_yticklabels()[1].set_verticalalignment("top")
    bar.outline.set_visible(False)


def kept(omega):
    return 100 * (omega > 0.05).float().mean(1)


def together(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3)


def constant(weight):
    return lambda _: mf.ConstantPenalty(weight)
