"""Encoders by kind of modality. Each returns latent maps ``(batch, latent, height, width)``.

A sequence is ``length x 1`` and a vector ``1 x 1``, so that quantisers, masks and heads need one case only. An encoder
knows its `grids`, the sizes of its maps from input to latent, each half of the one before; a decoder goes back along them.
"""

from itertools import pairwise
from typing import TypeAlias

from torch import Tensor, nn
from torch.nn.functional import interpolate

from examples.data.contract import Modality
from examples.errors import UserError
from examples.nets.blocks import CONVOLUTION, NORM, POOL, residual_maps, residual_vectors
from examples.nets.resnet import ResNet18
from examples.recipes import Network

Grids: TypeAlias = tuple[tuple[int, ...], ...]

_SMALLEST = 4
_PLAIN_KERNEL = {1: 5, 2: 3}
"""Width of the plain convolutions, by rank."""


class MapEncoder(nn.Module):
    """The published encoder, for images and sequences: two convolutions of stride 2, one of stride 1, residuals.

    Args:
        shape: Shape of one sample, ``(channels, height, width)`` or ``(channels, length)``.
        network: Sizes.
        pooling: Number of times the maps are pooled before the residuals; once for the published spectrograms.

    Shape:
        - Input: ``(batch, *shape)``
        - Output: ``(batch, latent, height // 4, width // 4)``, or ``(batch, latent, length // 4, 1)``; each pooling
          halves the sizes once more, rounded up
    """

    def __init__(self, shape: tuple[int, ...], network: Network, pooling: int = 0) -> None:
        super().__init__()
        channels, *sizes = shape
        if min(sizes) < _SMALLEST:
            raise UserError(f"`shape` (={shape}) must be at least {_SMALLEST} wide, it is halved twice.")
        rank, width = len(sizes), network.width
        half = max(width // 2, 1)
        conv, norm = CONVOLUTION[rank], NORM[rank]
        self.grids = _pooled(tuple(tuple(size // 2**step for size in sizes) for step in range(3)), pooling)
        self.layers = nn.Sequential(
            conv(channels, half, 4, stride=2, padding=1),
            norm(half),
            nn.ReLU(inplace=True),
            conv(half, width, 4, stride=2, padding=1),
            norm(width),
            nn.ReLU(inplace=True),
            conv(width, width, 3, padding=1),
            *_pools(rank, pooling),
            residual_maps(rank, width, network.residual_width, network.residual_blocks),
            conv(width, network.latent, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode images or sequences."""
        latent: Tensor = self.layers(x)
        return latent if latent.ndim == 4 else latent.unsqueeze(3)


class ResNetEncoder(nn.Module):
    """ResNet-18 for images, and a 1 x 1 convolution to the latent's channels.

    Args:
        shape: Shape of one sample, ``(channels, height, width)``; any size.
        network: Sizes.
        pooling: Number of times the last maps are pooled.

    Shape:
        - Input: ``(batch, *shape)``
        - Output: ``(batch, latent, *grids[-1])``, for 4 stages 1/32 of the input, or 1/8 of a small one
    """

    def __init__(self, shape: tuple[int, ...], network: Network, pooling: int = 0) -> None:
        super().__init__()
        body = ResNet18(shape, width=network.resnet_width, stages=network.resnet_stages)
        self.grids = _pooled(body.grids, pooling)
        self.layers = nn.Sequential(body, *_pools(2, pooling), nn.Conv2d(body.widths[-1], network.latent, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Encode images."""
        latent: Tensor = self.layers(x)
        return latent


class PyramidEncoder(nn.Module):
    """ResNet-18 for images, and the way back to its first stage's grid, with a skip connection from each stage.

    Every stage goes through a 1 x 1 convolution to the latent's channels; from the last one on, maps are doubled in size and added
    to those of the stage before, and a 3 x 3 convolution smooths their sum.

    Args:
        shape: Shape of one sample, ``(channels, height, width)``; any size.
        network: Sizes.
        pooling: Number of times the last maps are pooled.

    Shape:
        - Input: ``(batch, *shape)``
        - Output: ``(batch, latent, *grids[-1])``, 1/4 of the input, or the whole of a small one

    Reference: T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", 2017, Fig. 3.
    """

    def __init__(self, shape: tuple[int, ...], network: Network, pooling: int = 0) -> None:
        super().__init__()
        self.body = ResNet18(shape, width=network.resnet_width, stages=network.resnet_stages)
        self.grids = _pooled(self.body.grids[: len(self.body.grids) - network.resnet_stages + 1], pooling)
        self.lateral = nn.ModuleList(nn.Conv2d(width, network.latent, 1) for width in self.body.widths)
        self.smooth = nn.Sequential(
            nn.Conv2d(network.latent, network.latent, 3, padding=1), *_pools(2, pooling)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode images."""
        maps = [lateral(stage) for lateral, stage in zip(self.lateral, self.body.maps(x), strict=True)]
        latent: Tensor = maps.pop()
        while maps:
            below = maps.pop()
            latent = below + interpolate(latent, size=below.shape[2:])
        smooth: Tensor = self.smooth(latent)
        return smooth


class PlainEncoder(nn.Module):
    """Convolutions of stride 2, each with batch norm, and the mean over their last maps, for images and sequences.

    The first has `width` channels, those between it and the last one twice as many.

    Args:
        shape: Shape of one sample, ``(channels, height, width)`` or ``(channels, length)``; any size.
        network: Sizes.

    Shape:
        - Input: ``(batch, *shape)``
        - Output: ``(batch, latent, 1, 1)``
    """

    def __init__(self, shape: tuple[int, ...], network: Network) -> None:
        super().__init__()
        channels, *sizes = shape
        rank = len(sizes)
        halvings = max((size - 1).bit_length() for size in sizes)
        # The mean counts as further halvings, which a decoder can undo.
        self.grids: Grids = tuple(
            tuple(-(-size // 2**step) for size in sizes) for step in range(max(halvings, 1) + 1)
        )
        widths = [network.width, *[2 * network.width] * network.plain_layers][: network.plain_layers - 1]
        layers: list[nn.Module] = []
        for before, after in pairwise([channels, *widths, network.latent]):
            layers += [
                CONVOLUTION[rank](
                    before, after, _PLAIN_KERNEL[rank], stride=2, padding=_PLAIN_KERNEL[rank] // 2, bias=False
                ),
                NORM[rank](after),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Encode images or sequences."""
        maps: Tensor = self.layers(x)
        return maps.flatten(2).mean(dim=2)[:, :, None, None]


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
        self.grids: Grids = ((),)
        self.layers = nn.Sequential(
            nn.Linear(features, network.width),
            residual_vectors(network.width, network.residual_width, network.residual_blocks),
            nn.Linear(network.width, network.latent),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode vectors."""
        latent: Tensor = self.layers(x)
        return latent[:, :, None, None]


Encoder: TypeAlias = MapEncoder | PlainEncoder | PyramidEncoder | ResNetEncoder | VectorEncoder


def build_encoder(modality: Modality, network: Network, pooling: int = 0) -> Encoder:
    """Return the encoder for a modality's kind: vectors have their own, and so have sequences beside ResNet-18 and its pyramid.

    Args:
        modality: Modality that goes in.
        network: Sizes.
        pooling: Extra halvings of the latent's grid.
    """
    if modality.kind == "vector":
        if pooling:
            raise UserError(f"`pooling` (={pooling}) of a vector must be 0, there is nothing to pool.")
        return VectorEncoder(modality.shape[0], network)
    if network.encoder == "plain":
        if pooling:
            raise UserError(
                f"`pooling` (={pooling}) beside `encoder: plain` must be 0, its maps are pooled wholly."
            )
        return PlainEncoder(modality.shape, network)
    if modality.kind == "image" and network.encoder == "resnet18":
        return ResNetEncoder(modality.shape, network, pooling)
    if modality.kind == "image" and network.encoder == "pyramid":
        return PyramidEncoder(modality.shape, network, pooling)
    return MapEncoder(modality.shape, network, pooling)


def latent_grid(encoder: Encoder) -> tuple[int, int]:
    """Return height and width of an encoder's latent."""
    height, width = (*encoder.grids[-1], 1, 1)[:2]
    return height, width


def _pools(rank: int, pooling: int) -> list[nn.Module]:
    return [POOL[rank](3, stride=2, padding=1) for _ in range(pooling)]


def _pooled(grids: Grids, pooling: int) -> Grids:
    """Append the grids of the poolings, which round up."""
    for _ in range(pooling):
        grids = (*grids, tuple(-(-size // 2) for size in grids[-1]))
    return grids
