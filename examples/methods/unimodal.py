"""One modality alone, the first rows of Table 2, without and with a mask."""

from collections.abc import Sequence
from dataclasses import dataclass

from examples.errors import UserError
from examples.methods.base import Method
from examples.methods.complementary_mask import MaskedFusion


@dataclass(frozen=True)
class Unimodal(Method):
    """Train on one modality.

    Args:
        modality: Name of the modality.
    """

    modality: str

    def inputs(self, available: Sequence[str]) -> list[str]:
        """Choose the one modality."""
        if self.modality not in available:
            raise UserError(f"`modality` (='{self.modality}') must be one of {list(available)}.")
        return [self.modality]


@dataclass(frozen=True)
class MaskedUnimodal(MaskedFusion, Unimodal):
    """Train on one modality, under a mask and its penalty: where Table 2 has compl of a modality alone.

    In the published code the other modality's quantiser and decoder learn beside it; here the network has one modality. Tables
    count its channels in percent of all modalities', as the paper does.

    Args:
        modality: Name of the modality.
        mask_weight: Lambda.
        init: Start of Omega.
        threshold: t, a channel is open while its weight is above it.
        penalty: Sum over Omega, as in the mask of all modalities.
    """
