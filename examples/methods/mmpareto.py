"""Joint and unimodal gradients of each encoder, weighed so that neither works against the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from examples.data.contract import Batch
from examples.methods.base import Method
from examples.methods.uniform_losses import WithUnimodalLosses, unimodal_losses
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights
from maskfusion import LossTerms


def pareto_gradient(joint: Sequence[Tensor], unimodal: Sequence[Tensor], boost: float) -> list[Tensor]:
    """Return what replaces the sum of two gradients of one encoder, tensor by tensor.

    g = 2 (a g_j + (1 - a) g_u), with a = 1/2 where the two agree (their cosine over the whole encoder is above
    0), else the a of the shortest such vector, a = g_u . (g_u - g_j) / |g_j - g_u|^2. A tensor of g that is
    shorter than that of g_j + g_u is stretched to its length; all are then multiplied by `boost`.

    Args:
        joint: g_j, a tensor for each parameter.
        unimodal: g_u, the same.
        boost: Gamma.

    Reference: Wei and Hu 2024, in the form of their published code, which compares lengths tensor by tensor.
    """
    g_j, g_u = (torch.cat([part.flatten() for part in parts]) for parts in (joint, unimodal))
    apart = (g_u - g_j).square().sum().clamp_min(torch.finfo(g_u.dtype).tiny)
    shortest = (g_u @ (g_u - g_j)) / apart
    a = torch.where(g_j @ g_u > 0, 0.5, shortest)
    found = []
    for j, u in zip(joint, unimodal, strict=True):
        g = 2 * (a * j + (1 - a) * u)
        stretch = (j + u).norm() / g.norm().clamp_min(torch.finfo(g.dtype).tiny)
        found.append(boost * stretch.clamp_min(1) * g)
    return found


class ParetoLoss(nn.Module):
    """Uniform losses, whose gradient with respect to the encoders is `pareto_gradient`.

    The value is that of the uniform losses, and so is the gradient of everything but the encoders; what
    reconstruction and codes give to an encoder stays as it is. An encoder's gradient is changed by a term of
    value zero, d . (w - w'), with w' its weights held constant and d the change that is wanted: so nothing is
    kept from one call to the next, and scaled, clipped and averaged gradients come out right.

    With several processes each weighs the gradients of its own share of the batch; the results are averaged.

    Args:
        joint: Loss that gives the terms of Eq. 1.
        boost: Gamma.
    """

    def __init__(self, joint: nn.Module, boost: float) -> None:
        super().__init__()
        self.uniform, self.boost = WithUnimodalLosses(joint, 1.0), boost

    def forward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> LossTerms:
        """Return the terms; the total carries the change of the gradient."""
        terms: LossTerms = self.uniform(model, output, batch)
        total = terms.total
        for name, own in unimodal_losses(output, batch).items():
            weights = [weight for weight in model.encoders[name].parameters() if weight.requires_grad]
            joint, unimodal = (
                torch.autograd.grad(loss, weights, retain_graph=True, materialize_grads=True)
                for loss in (terms.task, own)
            )
            wanted = pareto_gradient(joint, unimodal, self.boost)
            for weight, g, j, u in zip(weights, wanted, joint, unimodal, strict=True):
                total = total + ((g - j - u) * (weight - weight.detach())).sum()
        return terms._replace(total=total)


@dataclass(frozen=True)
class MMPareto(Method):
    """Train a head on each modality too, and settle what it and the joint head want of the encoder.

    Args:
        boost: Gamma, by which an encoder's gradient is multiplied. With Adam it changes next to nothing, and
            with SGD it is a larger learning rate of the encoders.

    Reference: Wei and Hu, "MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance", ICML
    2024.
    """

    boost: PositiveFloat = 1.5

    def configure(self, model: FusionModel) -> None:
        """Add the heads."""
        super().configure(model)
        model.add_unimodal_heads()

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return Eq. 1 and the cross entropies of the heads, with the settled gradient."""
        return ParetoLoss(super().loss(weights), self.boost)
