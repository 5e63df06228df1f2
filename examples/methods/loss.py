"""The loss of the paper, Eq. 1, on the output of a `FusionModel`."""

from collections.abc import Callable

from torch import Tensor, nn

from examples.data.contract import Batch
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights
from maskfusion import ComplementaryLoss, LossTerms, signed_sum


class PaperLoss(nn.Module):
    """L = L_recons + L_code + L_task + L_compl.

    A network without quantisers has no L_recons and no L_code, one without a mask no L_compl.

    Args:
        weights: Weights of L_recons and L_code.
        mask_weight: Lambda, the weight of L_compl.
        penalty: Function from Omega to L_compl, ``(channels,)``.

    Reference: Eq. 1.
    """

    def __init__(
        self,
        weights: LossWeights,
        *,
        mask_weight: float = 0.0,
        penalty: Callable[[Tensor], Tensor] = signed_sum,
    ) -> None:
        super().__init__()
        self.terms = ComplementaryLoss(
            nn.CrossEntropyLoss(),
            reconstruction_weight=weights.reconstruction,
            code_weight=weights.code,
            mask_weight=mask_weight,
            penalty=penalty,
        )

    def forward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> LossTerms:
        """Return the four terms by name and their weighted sum, `total`."""
        terms: LossTerms = self.terms(
            # Eq. 4, L_task: cross entropy of the prediction.
            output.prediction,
            batch.target,
            # Eq. 2, L_recons: mean square error between each modality and its reconstruction.
            inputs={name: batch.inputs[name] for name in output.reconstructions},
            reconstructions=output.reconstructions,
            # Eq. 3, L_code: distance between each modality's features and their codes.
            quantized=output.quantized,
            # Eq. 5, L_compl: lambda times the sum of Omega.
            masks=model.mask,
        )
        return terms
