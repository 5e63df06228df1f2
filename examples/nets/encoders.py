"""Encoders by kind of modality. Each returns latent maps ``(batch, latent, height, width)``.

A sequence is ``length x 1`` and a vector ``1 x 1``, so that quantisers, masks and heads need one case only.
"""

from torch import Tensor, nn

from examples.data.contract import Modality
from examples.nets.blocks import CONVOLUTION, residual_maps, residual_vectors
from examples.recipe import Network

_SMALLEST = 4


class MapEncoder(nn.Module):
    """The encoder of VQ-VAE for images and sequences: two convolutions of stride 2, one of stride 1, residuals.

    Args:
        shape: Of one sample, ``(channels, height, width)`` or ``(channels, length)``.
        network: Sizes.

    Shape:
        - Input: ``(batch, *shape)``
        - Output: ``(batch, latent, height // 4, width // 4)``, or ``(batch, latent, length // 4, 1)``
    """

    def __init__(self, shape: tuple[int, ...], network: Network) -> None:
        super().__init__()
        channels, *sizes = shape
        if min(sizes) < _SMALLEST:
            raise ValueError(f"`shape` (={shape}) must be at least {_SMALLEST} wide, it is halved twice.")
        conv = CONVOLUTION[len(sizes)]
        width = network.width
        self.grid = (sizes[0] // 4, sizes[1] // 4 if len(sizes) == 2 else 1)
        self.layers = nn.Sequential(
            conv(channels, max(width // 2, 1), 4, stride=2, padding=1),
            nn.ReLU(),
            conv(max(width // 2, 1), width, 4, stride=2, padding=1),
            nn.ReLU(),
            conv(width, width, 3, padding=1),
            residual_maps(len(sizes), width, network.residual_width, network.residual_blocks),
            conv(width, network.latent, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode images or sequences."""
        latent: Tensor = self.layers(x)
        return latent if latent.ndim == 4 else latent.unsqueeze(3)


class VectorEncoder(nn.Module):
    """A residual perceptron for vectors.

    Args:
        features: Length of the vector.
        network: Sizes.

    Shape:
        - Input: ``(batch, features)``
        - Output: ``(batch, latent, 1, 1)``
    """

    def __init__(self, features: int, network: Network) -> None:
        super().__init__()
        self.grid = (1, 1)
        self.layers = nn.Sequential(
            nn.Linear(features, network.width),
            residual_vectors(network.width, network.residual_width, network.residual_blocks),
            nn.Linear(network.width, network.latent),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode vectors."""
        latent: Tensor = self.layers(x)
        return latent[:, :, None, None]


def build_encoder(modality: Modality, network: Network) -> MapEncoder | VectorEncoder:
    """Return the encoder for a modality's kind."""
    if modality.kind == "vector":
        return VectorEncoder(modality.shape[0], network)
    return MapEncoder(modality.shape, network)
