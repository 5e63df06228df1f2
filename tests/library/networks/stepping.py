"""One step of a masked network, taken apart: what several test files of this folder share."""

import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.library.networks.networks import BATCH, CLASSES, NETWORKS
from tests.support.fusions import WIDTH
from tests.support.helpers import set_weight

TARGET = torch.arange(BATCH) % CLASSES
OMEGA = torch.linspace(0.02, 0.2, 2 * WIDTH)
"""Two channels of the first modality are closed."""


def masked(name: str) -> tuple[nn.Module, mf.ComplementaryMask, tuple]:
    """A network with some channels closed, its mask and a batch."""
    model = NETWORKS[name].build()
    mask = set_weight(NETWORKS[name].mask(model), OMEGA)
    return model, mask, NETWORKS[name].inputs()


def scores(name: str, model: nn.Module, inputs: tuple) -> Tensor:
    """What the model makes of a batch; equal random numbers each time."""
    torch.manual_seed(0)
    args, kwargs = inputs
    return NETWORKS[name].scores(model(*args, **kwargs))


def gradients(name: str, model: nn.Module, mask: mf.ComplementaryMask, inputs: tuple) -> dict[str, Tensor]:
    """Of the task and the penalty, by parameter."""
    loss = nn.functional.cross_entropy(scores(name, model, inputs).float(), TARGET) + 0.1 * mask.penalty()
    model.zero_grad()
    loss.backward()
    return {key: value.grad for key, value in model.named_parameters() if value.grad is not None}


def mask_of(model: nn.Module) -> mf.ComplementaryMask:
    """The one mask of a copy."""
    (mask,) = [module for module in model.modules() if isinstance(module, mf.ComplementaryMask)]
    return mask
