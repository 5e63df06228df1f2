"""A loss for each modality beside the joint one, all of equal weight: the "uniform baseline"."""

from dataclasses import dataclass

from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from examples.data.contract import UNSCORED, Batch
from examples.methods.base import Method
from examples.methods.complementary_mask import MaskedFusion
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights
from maskfusion import LossTerms


def unimodal_losses(output: FusionOutput, batch: Batch) -> dict[str, Tensor]:
    """Return the cross entropy of each modality's own head, by name."""
    return {
        name: cross_entropy(scores, batch.target, ignore_index=UNSCORED)
        for name, scores in output.unimodal.items()
    }


class WithUnimodalLosses(nn.Module):
    """L = L_joint + w * sum over modalities of the cross entropy of their own heads.

    Only `total` has them: `task` stays the cross entropy of the joint prediction, as for every other method.

    Args:
        joint: Loss that gives the other terms, such as `PaperLoss`.
        weight: w.
    """

    def __init__(self, joint: nn.Module, weight: float) -> None:
        super().__init__()
        self.joint, self.weight = joint, weight

    def forward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> LossTerms:
        """Return the terms of the joint loss, with the larger total."""
        terms: LossTerms = self.joint(model, output, batch)
        unimodal = sum(unimodal_losses(output, batch).values(), start=terms.total.new_zeros(()))
        return terms._replace(total=terms.total + self.weight * unimodal)


@dataclass(frozen=True)
class UniformLosses(Method):
    """Train a head on each modality's features too.

    Args:
        weight: Weight of each modality's cross entropy; that of the joint one is 1.
        vote: Whether all heads predict together, see `opinion_pool`; by default the joint head predicts alone, and the
            others only train the encoders.

    Reference: the baseline of Wei and Hu, "MMPareto: Boosting Multimodal Learning with Innocent Unimodal
    Assistance", ICML 2024. The vote is ours.
    """

    weight: NonNegativeFloat = 1.0
    vote: bool = False

    def configure(self, model: FusionModel) -> None:
        """Add the heads."""
        super().configure(model)
        model.add_unimodal_heads(vote=self.vote)

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return Eq. 1 and the cross entropies of the heads."""
        return WithUnimodalLosses(super().loss(weights), self.weight)


@dataclass(frozen=True)
class MaskedUniformLosses(UniformLosses, MaskedFusion):
    """The mask of the paper and uniform losses together.

    The mask closes channels for the joint head only: each modality's own head reads all of its features, so
    that an encoder learns while its channels are closed. Arguments are those of both.
    """
