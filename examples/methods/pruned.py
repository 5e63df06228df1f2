"""Train, keep a given share of the fused channels for good, and train on: by the mask's Omega, and by what others prune by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

import maskfusion as mf
from examples.data.contract import Samples
from examples.methods.base import Method
from examples.methods.steered_mask import Share
from examples.nets.model import FusionModel
from examples.recipes import Recipe, Row
from maskfusion import ComplementaryMask

_AT_ONCE = 128
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True)
class Pruned(Method):
    """Train a network, keep the best of its fused channels under a mask that no longer learns, and train on.

    Args:
        by: What makes a channel good. "omega": the network is trained under a mask, see `SteeredMask`; the largest Omega. The others begin
            with plain concatenation. "filters": sum of the absolute weights of the filter that makes the channel, the same share of each
            modality (Li et al.). "contribution": norm of the weights that read the channel, times its standard deviation over the
            training samples (as Sun et al., who take the norm of the activations; a bias can replace their mean). "random": the seed.
        share: Share of all fused channels that is kept.
        steered_to: Share that the mask is steered to before, for "omega". Its Omega ranks the channels for any `share`.
        epochs_after: Epochs of the training that follows, over those before it. The learning rate begins anew (Renda et al.).

    References:
        H. Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017. M. Sun et al., "A Simple and Effective Pruning Approach for Large
        Language Models", ICLR 2024. A. Renda et al., "Comparing Rewinding and Fine-tuning in Neural Network Pruning", ICLR 2020.
    """

    by: Literal["omega", "filters", "contribution", "random"] = "omega"
    share: Share = 0.5
    steered_to: Share = 0.125
    epochs_after: PositiveFloat = 0.5

    def stages(self, available: Sequence[str]) -> dict[str, Row]:
        """Train the network that is pruned."""
        del available
        if self.by == "omega":
            return {"masked": Row("steered_mask", quantise=False, arguments={"share": self.steered_to})}
        return {"whole": Row("concatenation", quantise=False)}

    def schedule(self, recipe: Recipe) -> Recipe | None:
        """Shorten the training that follows."""
        return replace(recipe, epochs=max(round(self.epochs_after * recipe.epochs), 1))

    def configure(self, model: FusionModel) -> None:
        """Wrap the fusion in a mask that does not learn."""
        super().configure(model)
        mask = ComplementaryMask(model.channels, fusion=model.fusion)
        mask.weight.requires_grad = False
        model.fusion = mask

    def start(self, model: FusionModel, stages: Mapping[str, FusionModel]) -> None:
        """Take over the network, and its Omega if it has one."""
        super().start(model, stages)
        (before,) = stages.values()
        mf.warm_start(model, {"encoders": before.encoders, "head": before.head})
        if before.mask is not None:
            with torch.no_grad():
                mask_of(model).weight.copy_(before.mask.weight)

    @torch.no_grad()
    def train_start(self, model: FusionModel, train: Samples) -> None:
        """Choose the channels."""
        super().train_start(model, train)
        kept = [_best(scores, self.share) for scores in _SCORES[self.by](model, train)]
        mask_of(model).weight.copy_(torch.cat(kept))


def mask_of(model: FusionModel) -> ComplementaryMask:
    """Return the mask of a network that has one."""
    if model.mask is None:
        raise ValueError("`model` has no mask.")
    return model.mask


def omega(model: FusionModel, train: Samples) -> list[Tensor]:
    """Return Omega, ``(channels,)``, of all modalities together."""
    del train
    return [mask_of(model).weight]


def filters(model: FusionModel, train: Samples) -> list[Tensor]:
    """Return the sum of the absolute weights that make each channel, ``(channels,)`` by modality."""
    del train
    return [_layers(encoder)[-1].weight.abs().flatten(1).sum(dim=1) for encoder in model.encoders.values()]


def contribution(model: FusionModel, train: Samples) -> list[Tensor]:
    """Return the norm of the weights that read each channel, times its standard deviation, ``(channels,)``, of all modalities together."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    seen = [
        model({name: values.to(device) for name, values in batch.inputs.items()}).fused
        for batch in train.loader(_AT_ONCE)
    ]
    model.train(training)
    fused = torch.cat(seen).transpose(0, 1).flatten(1)
    read = _layers(model.head)[0].weight.transpose(0, 1).flatten(1)
    return [read.norm(dim=1) * fused.std(dim=1)]


def random(model: FusionModel, train: Samples) -> list[Tensor]:
    """Return numbers that the seed of the run decides, ``(channels,)``, of all modalities together."""
    del train
    weight = mask_of(model).weight
    return [torch.rand(len(weight)).to(weight)]


_SCORES: dict[str, Callable[[FusionModel, Samples], list[Tensor]]] = {
    "omega": omega,
    "filters": filters,
    "contribution": contribution,
    "random": random,
}


def _best(scores: Tensor, share: float) -> Tensor:
    """Return 1 for the best, a share of them, and 0 for the others."""
    best = scores.topk(max(round(share * len(scores)), 1)).indices
    return torch.zeros_like(scores).index_fill(0, best, 1.0)


def _layers(part: nn.Module) -> list[Any]:
    """Return the layers that multiply by weights, in order."""
    return [layer for layer in part.modules() if isinstance(layer, _LAYERS)]
