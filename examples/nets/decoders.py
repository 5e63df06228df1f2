"""Decoders, the encoders in reverse: from latent maps back to the input's shape."""

from torch import Tensor, nn

from examples.data.contract import Modality
from examples.nets.blocks import CONVOLUTION, TRANSPOSED, residual_maps, residual_vectors
from examples.recipe import Network


class MapDecoder(nn.Module):
    """The decoder of VQ-VAE for images and sequences: residuals, then two transposed convolutions.

    Args:
        shape: Of one sample, ``(channels, height, width)`` or ``(channels, length)``; any size, odd ones too.
        network: Sizes.

    Shape:
        - Input: ``(batch, latent, height // 4, width // 4)``, or ``(batch, latent, length // 4, 1)``
        - Output: ``(batch, *shape)``
    """

    def __init__(self, shape: tuple[int, ...], network: Network) -> None:
        super().__init__()
        channels, *sizes = shape
        rank, width = len(sizes), network.width
        half = max(width // 2, 1)
        self.sizes = ([size // 2 for size in sizes], sizes)
        self.layers = nn.Sequential(
            CONVOLUTION[rank](network.latent, width, 3, padding=1),
            residual_maps(rank, width, network.residual_width, network.residual_blocks),
        )
        self.first = TRANSPOSED[rank](width, half, 4, stride=2, padding=1)
        self.second = TRANSPOSED[rank](half, channels, 4, stride=2, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Decode latent maps."""
        maps = latent.squeeze(3) if len(self.sizes[0]) == 1 else latent
        maps = self.first(self.layers(maps), output_size=self.sizes[0])
        out: Tensor = self.second(maps.relu(), output_size=self.sizes[1])
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


def build_decoder(modality: Modality, network: Network) -> MapDecoder | VectorDecoder:
    """Return the decoder for a modality's kind."""
    if modality.kind == "vector":
        return VectorDecoder(modality.shape[0], network)
    return MapDecoder(modality.shape, network)
