r"""Gradient Blending: weigh the joint loss and one loss per modality by how well each generalises.

Each loss k is trained alone for n epochs from the same weights. With L^T its value on the samples that it learns
from and L^V on held-out ones, its generalisation and its overfitting in that time, and its weight, are

.. math:: \Delta G_k = L^V_k - L'^V_k, \quad \Delta O_k = (L'^V_k - L'^T_k) - (L^V_k - L^T_k), \quad
    w_k \propto \Delta G_k / \Delta O_k^2, \quad \textstyle\sum_k w_k = 1,

which makes the square of the overfitting-to-generalisation ratio (OGR) of the blend as small as it can be.

Reference: Wang et al., What Makes Training Multi-Modal Classification Networks Hard?, CVPR 2020, Prop. 1 (weights),
Alg. 1 (estimate), Alg. 2 (offline and online).
"""

import copy
import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from examples.data.contract import UNSCORED, Batch, Samples
from examples.errors import UserError
from examples.methods.base import Method
from examples.methods.loss import PaperLoss
from examples.methods.processes import summed
from examples.methods.uniform_losses import unimodal_losses
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights
from maskfusion import LossTerms


@dataclass(frozen=True)
class GradientBlending(Method):
    """Train a head on each modality too, and blend the losses; only the joint head predicts.

    The losses of single modalities share no weights, so one copy of the network learns all of them at once and
    another one the joint loss: an estimate takes as long as 2n epochs, not as (modalities + 1) n. Copies learn with an
    optimiser of their own, at a constant rate, and with weights of 1 for L_recons and L_code.

    Args:
        estimate: "online", before the first epoch and after every `super_epoch` epochs; or "offline", once.
        super_epoch: n. Offline, the published number is all epochs of the recipe.
        held_out: Share of the training samples, drawn at random and always the same ones, that the network never
            learns from. They are neither validation nor test samples.
        gain: Measure of generalisation and overfitting: their "change" over n epochs, as published; or the "level"
            after them, L'^V and L'^V - L'^T, as in MultiBench.
        smallest: Floor of both, so that a loss that got worse has next to no weight, and one that does not overfit a
            finite one.
        optimizer: Optimiser of the copies; best the recipe's, like the two below.
        learning_rate: Learning rate of the copies.
        batch_size: Batch size of the copies.
    """

    estimate: Literal["online", "offline"] = "online"
    super_epoch: PositiveInt = 10
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    gain: Literal["change", "level"] = "change"
    smallest: PositiveFloat = 1e-4
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    batch_size: PositiveInt = 32

    def configure(self, model: FusionModel) -> None:
        """Add the heads, the weights (one a modality, the joint one last) and a counter of epochs."""
        super().configure(model)
        model.add_unimodal_heads()
        count = len(model.channels) + 1
        model.register_buffer("blend", torch.full((count,), 1 / count))
        model.register_buffer("blend_epochs", torch.tensor(0))

    def learns_from(self, train: Samples) -> Samples:
        """Leave out the samples that are held out."""
        return self.parts(super().learns_from(train))[0]

    def parts(self, train: Samples) -> tuple[Samples, Samples]:
        """Return the samples to learn from and those that are held out, at least one of each."""
        if len(train) < 2:
            raise UserError(f"`train` (={len(train)} samples) must have at least two, one to hold out.")
        count = min(max(1, round(self.held_out * len(train))), len(train) - 1)
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
        return train.part(order[count:].sort().values), train.part(order[:count].sort().values)

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return Eq. 1 of our paper with the blend in the place of L_task."""
        return Blend(super().loss(weights))

    def train_start(self, model: FusionModel, train: Samples) -> None:
        """Estimate the weights."""
        self._estimate(model, train)

    def epoch_end(self, model: FusionModel, train: Samples) -> None:
        """Count the epoch; online, estimate anew after every super-epoch."""
        epochs = model.get_buffer("blend_epochs").add_(1)
        if self.estimate == "online" and int(epochs) % self.super_epoch == 0:
            self._estimate(model, train)

    def weights(self, before: Tensor, after: Tensor) -> Tensor:
        """Return the weights of the losses.

        Args:
            before: L^T and L^V of each loss at the start, ``(2, losses)``.
            after: The same after n epochs.
        """
        gain, overfitting = after[1], after[1] - after[0]
        if self.gain == "change":
            gain, overfitting = before[1] - after[1], overfitting - (before[1] - before[0])
            overfitting = overfitting.abs()
        ratio = gain.clamp(min=self.smallest) / overfitting.clamp(min=self.smallest).square()
        return ratio / ratio.sum()

    def _estimate(self, model: FusionModel, train: Samples) -> None:
        learnt, held = self.parts(train)

        def measure(network: FusionModel) -> Tensor:
            return torch.stack([self._losses(network, learnt), self._losses(network, held)])

        alone, joint = (self._trained(model, learnt, alone=alone) for alone in (True, False))
        after = torch.cat([measure(alone)[:, :-1], measure(joint)[:, -1:]], dim=1)
        blend = summed(self.weights(measure(model), after))  # processes may round differently
        model.get_buffer("blend").copy_(blend / blend.sum())

    def _trained(self, model: FusionModel, samples: Samples, *, alone: bool) -> FusionModel:
        """Return a copy that has learnt for n epochs: each modality alone, or the joint loss."""
        torch.manual_seed(0)  # the same in every process; a step of the real training seeds anew
        network, criterion = copy.deepcopy(model).train(), PaperLoss(LossWeights())
        network.zero_grad()
        kept = [weight for weight in network.parameters() if weight.requires_grad]
        optimizer = (
            torch.optim.AdamW(kept, lr=self.learning_rate, weight_decay=0.0)
            if self.optimizer == "adamw"
            else torch.optim.SGD(kept, lr=self.learning_rate, momentum=0.9)
        )
        for epoch in range(self.super_epoch):
            for batch in samples.loader(self.batch_size, seed=epoch):
                placed = _placed(batch, network)
                output = network(placed.inputs)
                terms = criterion(network, output, placed)
                modalities = torch.stack(list(unimodal_losses(output, placed).values())).sum()
                loss = terms.total - terms.task + modalities if alone else terms.total
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return network

    @torch.no_grad()
    def _losses(self, model: FusionModel, samples: Samples) -> Tensor:
        """Return the mean cross entropy of each modality's head and, last, of the joint one."""
        training = model.training
        model.eval()
        total, count = torch.zeros_like(model.get_buffer("blend")), 0
        for batch in samples.loader(self.batch_size):
            placed = _placed(batch, model)
            output = model(placed.inputs)
            total += torch.stack(
                [
                    cross_entropy(scores, placed.target, reduction="sum", ignore_index=UNSCORED)
                    for scores in (*output.unimodal.values(), output.prediction)
                ]
            )
            count += int((placed.target != UNSCORED).sum())
        model.train(training)
        return total / (count or math.nan)


class Blend(nn.Module):
    """The joint loss with the weighted sum of all cross entropies in the place of its task term, in `total` only."""

    def __init__(self, joint: nn.Module) -> None:
        super().__init__()
        self.joint = joint

    def forward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> LossTerms:
        """Return the terms."""
        terms: LossTerms = self.joint(model, output, batch)
        losses = torch.stack([*unimodal_losses(output, batch).values(), terms.task])
        return terms._replace(total=terms.total - terms.task + model.get_buffer("blend") @ losses)


def _placed(batch: Batch, model: FusionModel) -> Batch:
    device = model.get_buffer("blend").device
    return Batch({name: values.to(device) for name, values in batch.inputs.items()}, batch.target.to(device))
