"""One step of a masked network, taken apart: what several test files of this folder share."""

from typing import Any

import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.library.networks.form import BATCH, CLASSES
from tests.library.networks.networks import NETWORKS
from tests.support.fusions import WIDTH
from tests.support.helpers import set_weight

TARGET = torch.arange(BATCH) % CLASSES
OMEGA = torch.linspace(0.02, 0.2, 2 * WIDTH)
"""Two channels of the first modality are closed."""


def masked(name: str) -> tuple[nn.Module, mf.ComplementaryMask, Any]:
    """A network with some channels closed, its mask and a batch."""
    model, batch = NETWORKS[name].build(), NETWORKS[name].batch()
    return model, set_weight(NETWORKS[name].mask(model, batch), OMEGA), batch


def scores(name: str, model: nn.Module, batch: Any) -> Tensor:
    """What the model makes of a batch; equal random numbers each time."""
    return NETWORKS[name].run(model, batch)


def gradients(name: str, model: nn.Module, mask: mf.ComplementaryMask, batch: Any) -> dict[str, Tensor]:
    """Of the task and the penalty, by parameter."""
    loss = nn.functional.cross_entropy(scores(name, model, batch).float(), TARGET) + 0.1 * mask.penalty()
    model.zero_grad()
    loss.backward()
    return {key: value.grad for key, value in model.named_parameters() if value.grad is not None}


def mask_of(model: nn.Module) -> mf.ComplementaryMask:
    """The one mask of a copy."""
    (mask,) = [module for module in model.modules() if isinstance(module, mf.ComplementaryMask)]
    return mask
