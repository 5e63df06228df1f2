"""Gated attention, twice: the baseline "Gated" of Table 2, and what the literature calls gated fusion."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from examples.methods.base import Method
from examples.methods.complementary_mask import MaskedFusion
from examples.nets.model import FusionModel
from maskfusion import ComplementaryMask, soft_gate


@dataclass(frozen=True)
class RawGate(MaskedFusion):
    """Multiply the fused channels by Omega itself, f = z-hat * Omega, as the published code does.

    One weight a channel, the same for every input, no sigmoid, still penalised by Eq. 5. Arguments are those of
    the mask; `threshold` decides only which channels are counted as open.

    Reference: Sec. 4.1, row "Gated".
    """

    def configure(self, model: FusionModel) -> None:
        """Wrap the fusion in a mask without binarisation."""
        model.fusion = ComplementaryMask(
            model.channels, fusion=model.fusion, init=self.init, threshold=self.threshold, gate=soft_gate
        )


class GatedUnits(nn.Module):
    """h_m = tanh(W_m z_m), g = sigmoid(U [z_1, ..., z_M]), f = g * [h_1, ..., h_M], at each place of the grid.

    The published unit adds its gated parts up, f = sum over m of g_m * h_m. Here they stay side by side, so that
    the head keeps its width and modalities may differ in theirs; the head's first layer can learn the sum.

    Args:
        channels: Number of channels of each modality.
        fusion: Brings modalities to one grid, channels one after the other.

    Shape:
        - Input: a mapping of modality name to ``(batch, channels, height, width)``
        - Output: as `fusion` gives it
    """

    def __init__(self, channels: Mapping[str, int], fusion: nn.Module) -> None:
        super().__init__()
        total = sum(channels.values())
        self.fusion = fusion
        self.values = nn.ModuleDict(
            {name: nn.Conv2d(count, count, 1, bias=False) for name, count in channels.items()}
        )
        self.gates = nn.Conv2d(total, total, 1, bias=False)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Gate and fuse."""
        hidden = {name: torch.tanh(layer(features[name])) for name, layer in self.values.items()}
        gate: Tensor = torch.sigmoid(self.gates(self.fusion(features)))
        fused: Tensor = gate * self.fusion(hidden)
        return fused


@dataclass(frozen=True)
class GatedFusion(Method):
    """Let every sample's features, of all modalities together, decide how much of each channel passes.

    Reference: Arevalo et al., "Gated Multimodal Units for Information Fusion", 2017, the unit for any number of
    modalities (Fig. 2a).
    """

    def configure(self, model: FusionModel) -> None:
        """Put gated units around the fusion."""
        super().configure(model)
        model.fusion = GatedUnits(model.channels, model.fusion)
