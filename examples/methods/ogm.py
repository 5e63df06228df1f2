r"""OGM and OGM-GE: slow down the encoder of the modality that leads.

.. math:: s_m = \sum_i \mathrm{softmax}(o_m)_{i, y_i}, \quad
    \rho_m = s_m / \min_j s_j, \quad
    k_m = 1 - \tanh(\alpha \rho_m) \text{ if } \rho_m > 1 \text{ else } 1, \quad
    g_m \leftarrow k_m g_m + \varepsilon, \ \varepsilon \sim N(0, \mathrm{std}(g_m)^2)

At a tie nobody is slowed, as in the paper's Eq. 10; the published code slows the audio there.

The paper has two modalities and one linear layer as its head, whose columns and a share of its bias give the
scores o_m. A head that is not linear cannot be cut that way; `contribution` says what takes the place of o_m.

Published with SGD. Adam divides a factor that stays the same out again, and leaves the noise.

Reference: Peng et al., Balanced Multimodal Learning via On-the-fly Gradient Modulation, CVPR 2022, Sec. 3.2 (OGM)
and 3.3 (GE). Where the published code says something else, an argument chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from examples.data.contract import UNSCORED, Batch, Samples
from examples.errors import UserError
from examples.methods.base import Method
from examples.methods.processes import summed
from examples.methods.uniform_losses import WithUnimodalLosses
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights


@dataclass(frozen=True)
class OGM(Method):
    """Scale the gradients of each encoder by how far its modality leads.

    Args:
        alpha: Strength with which a leading modality is slowed down; published: 0.8 for CREMA-D, 0.1 for VGGSound.
        noise: GE, published: normal noise on every gradient that may be scaled, with the standard deviation that
            the gradient had before.
        contribution: The scores o_m. "zeroed": of the head, in evaluation mode, with the features of all other
            modalities set to 0. "heads": of a head for each modality, which learns beside the network and sends
            no gradient into it.
        against: Reference of a modality: the "weakest" one, or its mean ratio to the "others". The same,
            and as published, for two modalities; for more, both are readings of followers.
        weights: Weights of the encoder that are scaled: "all", as in the paper, or the weights of its two-dimensional
            "convolutions", as in the published code.
        first: Epoch, from 0, in which it starts.
        last: Epoch in which it ends; published: 50.
    """

    alpha: NonNegativeFloat = 0.8
    noise: bool = True
    contribution: Literal["zeroed", "heads"] = "zeroed"
    against: Literal["weakest", "others"] = "weakest"
    weights: Literal["all", "convolutions"] = "all"
    first: int = 0
    last: int = 50

    def configure(self, model: FusionModel) -> None:
        """Add a counter of epochs and, where they are asked for, the heads."""
        super().configure(model)
        if len(model.channels) < 2:
            raise UserError(
                f"`modalities` (={list(model.channels)}) must be at least two for method 'ogm', which compares them."
            )
        lacking = [name for name, encoder in model.encoders.items() if not self._scaled(encoder)]
        if lacking:
            raise UserError(
                f"`weights` (='{self.weights}') leaves nothing to scale in the encoders of {lacking}."
            )
        model.register_buffer("epochs_seen", torch.tensor(0))
        if self.contribution == "heads":
            model.add_unimodal_heads()
            heads = {name: nn.Sequential(_Detached(), head) for name, head in model.unimodal_heads.items()}
            model.unimodal_heads = nn.ModuleDict(heads)

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return the loss of the network, and of the heads where there are some."""
        joint = super().loss(weights)
        return WithUnimodalLosses(joint, 1.0) if self.contribution == "heads" else joint

    def after_backward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> None:
        """Scale the gradients of the encoders and add noise, in the epochs from `first` to `last`."""
        if not self.first <= int(model.get_buffer("epochs_seen")) <= self.last:
            return
        scores = output.unimodal if self.contribution == "heads" else zeroed_scores(model, output.features)
        factors = self.coefficients(summed(right_scores(scores, batch.target)))
        draw = torch.Generator(output.fused.device)
        draw.manual_seed(int(summed(torch.randint(2**31, (), device=output.fused.device))))
        for name, factor in zip(scores, factors, strict=True):
            for gradient in (weight.grad for weight in self._scaled(model.encoders[name])):
                if gradient is None:
                    continue
                spread = gradient.std(correction=min(1, gradient.numel() - 1)) + 1e-8  # of one number it is 0
                gradient.mul_(factor)
                if self.noise:
                    normal = torch.empty_like(gradient).normal_(generator=draw)
                    gradient.add_(spread * normal)

    def epoch_end(self, model: FusionModel, train: Samples) -> None:
        """Count the epoch."""
        del train
        model.get_buffer("epochs_seen").add_(1)

    def coefficients(self, sums: Tensor) -> Tensor:
        """Return k of each modality from its s, both ``(modalities,)``."""
        sums = sums.clamp(min=torch.finfo(sums.dtype).tiny)
        if self.against == "weakest":
            ratio = sums / sums.min()
        else:
            ratio = (sums[:, None] / sums).fill_diagonal_(0).sum(dim=1) / (len(sums) - 1)
        return torch.where(ratio > 1, 1 - torch.tanh(self.alpha * ratio), torch.ones_like(ratio))

    def _scaled(self, encoder: nn.Module) -> list[nn.Parameter]:
        return [weight for weight in encoder.parameters() if self.weights == "all" or weight.ndim == 4]


@torch.no_grad()
def zeroed_scores(model: FusionModel, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the scores of the head for each modality alone; neither batch norm nor dropout notices."""
    training = model.head.training
    model.head.eval()
    scores: dict[str, Tensor] = {}
    for name in features:
        alone = {other: maps if other == name else torch.zeros_like(maps) for other, maps in features.items()}
        scores[name] = model.head(model.fusion(alone))
    model.head.train(training)
    return scores


@torch.no_grad()
def right_scores(scores: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """Return s of each modality: the probability of the right class, summed over all that counts."""
    counts = target != UNSCORED
    logs = [
        cross_entropy(each.float(), target, reduction="none", ignore_index=UNSCORED)
        for each in scores.values()
    ]
    return torch.stack([torch.exp(-each)[counts].sum() for each in logs])


class _Detached(nn.Module):
    """Let features through and no gradient back."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the features."""
        return features.detach()
