"""Decoders, the encoders in reverse: from latent maps back to the input's shape."""

from itertools import pairwise

from torch import Tensor, nn

from examples.data.contract import Modality
from examples.nets.blocks import CONVOLUTION, NORM, Doubling, residual_maps, residual_vectors
from examples.nets.encoders import Grids
from examples.recipes import Network


class MapDecoder(nn.Module):
    """The published decoder, for images and sequences: residuals, then one transposed convolution for each halving.

    Each of these has half the channels of the one before. So a pooling is undone by one transposed convolution more.

    Args:
        channels: Number of channels of the input.
        grids: Grids of the encoder, from the input's size to the latent's; any sizes, odd ones too.
        network: Sizes.

    Shape:
        - Input: ``(batch, latent, height, width)`` on the last of `grids`, ``(batch, latent, length, 1)`` for sequences
        - Output: ``(batch, channels, *grids[0])``
    """

    def __init__(self, channels: int, grids: Grids, network: Network) -> None:
        super().__init__()
        self.rank, width = len(grids[0]), network.width
        widths = [*(max(width >> step, 1) for step in range(len(grids) - 1)), channels]
        layers: list[nn.Module] = [
            CONVOLUTION[self.rank](network.latent, width, 3, padding=1),
            residual_maps(self.rank, width, network.residual_width, network.residual_blocks),
        ]
        for (before, after), (start, goal) in zip(pairwise(widths), pairwise(reversed(grids)), strict=True):
            layers += [
                Doubling((before, after), start, goal),
                NORM[self.rank](after),
                nn.ReLU(inplace=True),
            ]
        # The last convolution gives the reconstruction itself.
        if len(grids) > 1:
            del layers[-2:]
        else:
            layers.append(CONVOLUTION[self.rank](width, channels, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        """Decode latent maps."""
        out: Tensor = self.layers(latent if self.rank == 2 else latent.squeeze(3))
        return out


class VectorDecoder(nn.Module):
    """A residual perceptron back to the vector.

    Args:
        features: Length of the vector.
        network: Sizes.

    Shape:
        - Input: ``(batch, latent, 1, 1)``
        - Output: ``(batch, features)``
    """

    def __init__(self, features: int, network: Network) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(network.latent, network.width),
            residual_vectors(network.width, network.residual_width, network.residual_blocks),
            nn.Linear(network.width, features),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Decode latent vectors."""
        out: Tensor = self.layers(latent.flatten(1))
        return out


def build_decoder(modality: Modality, network: Network, grids: Grids) -> MapDecoder | VectorDecoder:
    """Return the decoder for a modality's kind.

    Args:
        modality: Modality that comes out.
        network: Sizes.
        grids: Grids of the modality's encoder.
    """
    if modality.kind == "vector":
        return VectorDecoder(modality.shape[0], network)
    return MapDecoder(modality.shape[0], grids, network)
