"""Whole modalities dropped at random, so that none can be leant on alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from examples.errors import UserError
from examples.methods.base import Method
from examples.nets.model import FusionModel


class DroppedModalities(nn.Module):
    """Zero modalities of single samples before they are fused; in evaluation, do nothing.

    Every modality of every sample draws u in [0, 1) and is zeroed where u < p; the one that drew most always
    stays, so that no sample loses all. What stays is not rescaled.

    Args:
        fusion: Layer that fuses a mapping of features.
        p: Probability. 1 leaves each sample one modality.

    Shape:
        - Input: a mapping of modality name to ``(batch, latent, height, width)``
        - Output: as `fusion` gives it
    """

    def __init__(self, fusion: nn.Module, p: float) -> None:
        super().__init__()
        self.fusion, self.p = fusion, p

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Drop and fuse."""
        if self.training:
            some = next(iter(features.values()))
            drawn = torch.rand(len(features), len(some), device=some.device)
            stays = (drawn >= self.p) | (drawn == drawn.max(dim=0).values)
            features = {
                name: values * kept.to(values.dtype).view(-1, *[1] * (values.ndim - 1))
                for (name, values), kept in zip(features.items(), stays, strict=True)
            }
        fused: Tensor = self.fusion(features)
        return fused


@dataclass(frozen=True)
class ModalityDropout(Method):
    """Train with features of whole modalities missing from each sample; evaluate with all.

    Quantisers and decoders see every modality; only the fusion does not.

    Args:
        p: Probability that a sample loses a modality, before it is given one back if it lost all.

    Reference: Neverova et al., "ModDrop", TPAMI 2016; Xiao et al., "Audiovisual SlowFast Networks", 2020.
    """

    p: Annotated[float, Field(ge=0, le=1)] = 0.5

    def inputs(self, available: Sequence[str]) -> list[str]:
        """Take all, of which there must be two."""
        if len(available) < 2:
            raise UserError(f"`available` (={list(available)}) must be two modalities or more to drop one.")
        return super().inputs(available)

    def configure(self, model: FusionModel) -> None:
        """Drop in front of the fusion."""
        super().configure(model)
        model.fusion = DroppedModalities(model.fusion, self.p)
