"""The method of the paper: a learned mask on the concatenated channels, and a penalty on keeping them."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from examples.methods.base import Method
from examples.methods.loss import PaperLoss
from examples.nets.model import FusionModel
from examples.recipes import LossWeights
from maskfusion import ComplementaryMask, absolute_sum, positive_sum, signed_sum

PENALTIES = {"signed": signed_sum, "absolute": absolute_sum, "positive": positive_sum}


@dataclass(frozen=True)
class MaskedFusion(Method):
    """Mask the fused channels (Sec. 3.2) and penalise the mask (Eq. 5).

    Args:
        mask_weight: Lambda; 0 is the row without regularisation of Table 2.
        init: Start of Omega.
        threshold: Limit t; a channel is open while its weight is above it.
        penalty: Sum over Omega: "signed", Eq. 5 as published; "absolute"; or "positive", which stops at zero.
    """

    mask_weight: float = 1e-4
    init: float = 0.1
    threshold: float = 0.05
    penalty: Literal["signed", "absolute", "positive"] = "signed"

    def configure(self, model: FusionModel) -> None:
        """Wrap the fusion in a mask."""
        model.fusion = ComplementaryMask(
            model.channels, fusion=model.fusion, init=self.init, threshold=self.threshold
        )

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return Eq. 1 with all four terms."""
        return PaperLoss(weights, mask_weight=self.mask_weight, penalty=PENALTIES[self.penalty])
