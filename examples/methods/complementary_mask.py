"""The method of the paper: a learned mask on the concatenated channels, and a penalty on keeping them."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from examples.data.contract import Batch
from examples.methods.base import Method
from examples.methods.loss import PaperLoss
from examples.nets.model import FusionModel, FusionOutput
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
        tied: Whether each modality has one Omega for all its channels: they get the mean of their gradients.
    """

    mask_weight: float = 1e-4
    init: float = 0.1
    threshold: float = 0.05
    penalty: Literal["signed", "absolute", "positive"] = "signed"
    tied: bool = False

    def configure(self, model: FusionModel) -> None:
        """Wrap the fusion in a mask."""
        model.fusion = ComplementaryMask(
            model.channels, fusion=model.fusion, init=self.init, threshold=self.threshold
        )

    def after_backward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> None:
        """Let the channels of a modality move together if wanted."""
        super().after_backward(model, output, batch)
        if self.tied and model.mask is not None and model.mask.weight.grad is not None:
            for gradients in torch.split(model.mask.weight.grad, list(model.channels.values())):
                gradients.fill_(gradients.mean())

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return Eq. 1 with all four terms."""
        return PaperLoss(weights, mask_weight=self.mask_weight, penalty=PENALTIES[self.penalty])
