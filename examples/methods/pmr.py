r"""PMR: draw the features of the slow modality to the prototypes of their classes, keep the fast one uncertain.

A prototype c_k is the mean of a modality's features over class k, p_m the softmax of the negative distances.

.. math:: p_m(k) \propto \exp(-\lVert z_m - c_{m,k} \rVert_2), \quad s_m = \sum_i p_{m,i}(y_i), \quad
    \beta_m = \mathrm{clip}(\max_j s_j / s_m - 1,\, 0,\, 1), \quad \gamma_m = \mathrm{clip}(s_m / \min_j s_j - 1,\, 0,\, 1)

    L = L_\mathrm{joint} + \alpha \sum_m \beta_m \mathrm{PCE}_m
        - \mu \sum_m \gamma_m H(p_m) \text{ (PER, in the first epochs)}

For two modalities these are the published coefficients; for more they are a generalisation of ours. Features are
averaged over their grid.

Reference: Fan et al., PMR: Prototypical Modal Rebalance for Multimodal Learning, CVPR 2023, Eqs. 6 to 13, Alg. 1.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, cast

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn
from torch.nn.functional import one_hot

from examples.data.batches import Draw
from examples.data.contract import UNSCORED, Batch, Samples
from examples.errors import UserError
from examples.methods.base import Method
from examples.methods.processes import summed
from examples.nets.heads import SegmentationHead
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights
from maskfusion import LossTerms

_AT_ONCE = 64  # samples that are encoded together
_FAR = 1e9  # the distance to a prototype that there is not


@dataclass(frozen=True)
class PMR(Method):
    """Add prototype losses by how far a modality is behind, and take away entropy by how far it leads.

    Args:
        alpha: Weight of the prototype losses; published: 1 or 2 by data set, and 0.5 to 5 in the scripts of the code.
        entropy: Mu, weight of PER; published: 0.01 or 0.001. 0 is PMR without PER, as in the released code.
        entropy_epochs: Number of epochs of PER; not published.
        prototype_epochs: Number of epochs of the prototype losses; the published script for CREMA-D counts from 0 to 70, so
            71 of 130; others end with epoch 60 or 100.
        momentum: Momentum of the prototypes, from epoch to epoch; the published code says 0.2, its scripts 0, 0.2 or 0.5.
            The first epoch forgets those of the untrained network, as there.
        share: Share of the training samples, always the same ones, that make the prototypes. A class that none of them has gets
            no prototype, and its samples no prototype loss.
        coefficients: "paper", beta as above; or "code", 1 for every modality that is behind the first one.
    """

    alpha: NonNegativeFloat = 1.0
    entropy: NonNegativeFloat = 0.01
    entropy_epochs: NonNegativeInt = 10
    prototype_epochs: int | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    coefficients: Literal["paper", "code"] = "paper"

    def configure(self, model: FusionModel) -> None:
        """Add the prototypes."""
        super().configure(model)
        if len(model.channels) < 2:
            raise UserError(
                f"`modalities` (={list(model.channels)}) must be at least two for method 'pmr', which compares them."
            )
        if isinstance(model.head, SegmentationHead):
            raise UserError("`task` must be classification for method 'pmr': a sample needs one class.")
        model.add_module("prototypes", Prototypes(model.channels, model.classes))

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return Eq. 1 of our paper and the terms of PMR."""
        return _PMRLoss(super().loss(weights), self)

    def train_start(self, model: FusionModel, train: Samples) -> None:
        """Make the prototypes of the untrained network."""
        prototypes_of(model).update(*self._means(model, train), momentum=0.0)

    def epoch_end(self, model: FusionModel, train: Samples) -> None:
        """Make the prototypes anew and count the epoch."""
        prototypes = prototypes_of(model)
        momentum = self.momentum if prototypes.epochs else 0.0
        prototypes.update(*self._means(model, train), momentum=momentum)
        prototypes.epochs += 1

    def weights(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Return beta and gamma of each modality from its s, all ``(modalities,)``."""
        sums = sums.clamp(min=torch.finfo(sums.dtype).tiny)
        behind = (sums.max() / sums - 1).clamp(0, 1)
        if self.coefficients == "code":
            behind = (sums < sums.max()).to(sums)
        return behind, (sums / sums.min() - 1).clamp(0, 1)

    @torch.no_grad()
    def _means(self, model: FusionModel, train: Samples) -> tuple[dict[str, Tensor], Tensor]:
        """Return the mean features of each class, by modality, and how many samples each class has."""
        training, device = model.training, next(model.parameters()).device
        totals = {
            name: torch.zeros(model.classes, count, device=device) for name, count in model.channels.items()
        }
        number = torch.zeros(model.classes, device=device)
        model.eval()
        for inputs, target in self._some(train):
            features = model({name: values.to(device) for name, values in inputs.items()}).features
            members = _members(target.to(device), model.classes)
            number += members.sum(dim=1)
            for name in totals:
                totals[name] += members @ pooled(features[name])
        model.train(training)
        return {name: total / number.clamp(min=1)[:, None] for name, total in totals.items()}, number

    def _some(self, train: Samples) -> Iterator[Batch]:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
        chosen = order[: math.ceil(self.share * len(train))].tolist()
        for start in range(0, len(chosen), _AT_ONCE):
            yield train[Draw(chosen[start : start + _AT_ONCE], None)]


class Prototypes(nn.Module):
    """One point a class for each modality, kept in the checkpoint.

    Args:
        channels: Features of each modality.
        classes: Number of classes.
    """

    seen: Tensor
    epochs: Tensor

    def __init__(self, channels: Mapping[str, int], classes: int) -> None:
        super().__init__()
        for name, count in channels.items():
            self.register_buffer(f"points_{name}", torch.zeros(classes, count))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))
        self.register_buffer("epochs", torch.tensor(0))

    def points(self, name: str) -> Tensor:
        """Return the prototypes of one modality, ``(classes, channels)``."""
        return self.get_buffer(f"points_{name}")

    def update(self, means: Mapping[str, Tensor], number: Tensor, *, momentum: float) -> None:
        """Move the prototypes of the classes that there are samples of; new ones jump."""
        keep = torch.where(self.seen, momentum, 0.0)[:, None]
        found = (number > 0)[:, None]
        for name, mean in means.items():
            points = self.points(name)
            points.copy_(torch.where(found, keep * points + (1 - keep) * mean, points))
        self.seen |= number > 0

    def measure(self, name: str, features: Tensor, target: Tensor) -> "Measure":
        """Compare one modality's features, ``(batch, channels)``, with its prototypes."""
        distance = torch.cdist(features, self.points(name), compute_mode="donot_use_mm_for_euclid_dist")
        logs = (-distance).masked_fill(~self.seen, -_FAR).log_softmax(dim=1)
        counts = (target != UNSCORED) & self.seen[target.clamp(min=0)]
        right = logs[counts, target[counts]]
        loss = -right.sum() / counts.sum().clamp(min=1)
        entropy = -(logs.exp() * logs).sum(dim=1).mean()
        return Measure(right.detach().exp().sum(), loss, entropy)


class Measure(NamedTuple):
    """How one modality stands to its prototypes.

    Attributes:
        score: s, the probability of the right class, summed.
        loss: PCE, the mean cross entropy.
        entropy: H, the mean entropy.
    """

    score: Tensor
    loss: Tensor
    entropy: Tensor


def prototypes_of(model: FusionModel) -> Prototypes:
    """Return what `PMR.configure` has put into a network."""
    return cast("Prototypes", model.get_submodule("prototypes"))


def pooled(maps: Tensor) -> Tensor:
    """Return the mean over the grid, ``(batch, channels)``."""
    return maps.float().mean(dim=(2, 3))


def _members(target: Tensor, classes: int) -> Tensor:
    """Return 1 where a sample belongs to a class, ``(classes, batch)``."""
    return (one_hot(target.clamp(min=0), classes) * (target != UNSCORED)[:, None]).float().T


class _PMRLoss(nn.Module):
    """The joint loss, prototype losses, and PER."""

    def __init__(self, joint: nn.Module, method: PMR) -> None:
        super().__init__()
        self.joint, self.method = joint, method

    def forward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> LossTerms:
        """Return the terms of the joint loss; only `total` has those of PMR."""
        terms: LossTerms = self.joint(model, output, batch)
        method, prototypes = self.method, prototypes_of(model)
        measures = [
            prototypes.measure(name, pooled(maps), batch.target) for name, maps in output.features.items()
        ]
        behind, ahead = method.weights(summed(torch.stack([each.score for each in measures])))
        total, epoch = terms.total, int(prototypes.epochs)
        if method.prototype_epochs is None or epoch < method.prototype_epochs:
            total = total + method.alpha * (behind @ torch.stack([each.loss for each in measures]))
        if epoch < method.entropy_epochs:
            total = total - method.entropy * (ahead @ torch.stack([each.entropy for each in measures]))
        return terms._replace(total=total)
