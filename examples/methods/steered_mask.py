"""The mask with lambda steered, so that a given share of the fused channels stays open."""

from dataclasses import dataclass
from typing import Annotated, Literal, cast

from pydantic import Field, PositiveInt
from torch import nn

from examples.data.contract import Batch
from examples.methods.complementary_mask import PENALTIES, MaskedFusion
from examples.methods.loss import PaperLoss
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights
from maskfusion import LossTerms, SteeredPenalty

Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class SteeredMask(MaskedFusion):
    """Mask the fused channels, and let lambda rise and fall until a given share of them is open.

    It begins low and rises slowly by default: Omega then has time to tell the channels apart before they close.

    Args:
        mask_weight: Lambda at the start.
        penalty: Sum over Omega; "positive" by default, so that a closed channel is not pushed further away.
        share: Share of all fused channels that is to stay open.
        steps: Steps in which lambda changes by a factor of e.

    Reference: `maskfusion.SteeredPenalty`.
    """

    mask_weight: Annotated[float, Field(gt=0)] = 1e-5
    penalty: Literal["signed", "absolute", "positive"] = "positive"
    share: Share = 0.5
    steps: PositiveInt = 50

    def configure(self, model: FusionModel) -> None:
        """Wrap the fusion in a mask, and put beside it what steers lambda."""
        super().configure(model)
        steering = SteeredPenalty(model, self.share, start=self.mask_weight, steps=self.steps)
        model.add_module("steering", steering)

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return Eq. 1, lambda as it is steered."""
        return _SteeredLoss(weights, penalty=PENALTIES[self.penalty])

    def after_backward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> None:
        """Count the open channels and move lambda."""
        super().after_backward(model, output, batch)
        steering_of(model).step()


class _SteeredLoss(PaperLoss):
    """Eq. 1 with the lambda of this step."""

    def forward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> LossTerms:
        """Return the four terms by name and their weighted sum."""
        terms = super().forward(model, output, batch)
        return terms._replace(total=terms.total + steering_of(model).value * terms.mask)


def steering_of(model: FusionModel) -> SteeredPenalty:
    """Return what `SteeredMask.configure` has put into a network."""
    return cast("SteeredPenalty", model.get_submodule("steering"))
