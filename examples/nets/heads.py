"""Heads: what reads the masked features and solves the task."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import interpolate

from examples.nets.blocks import residual_maps
from examples.recipes import Network


class ClassificationHead(nn.Module):
    """The published classifier: two convolutions of stride 2, residuals, one hidden layer.

    Args:
        channels: Number of channels of the fused features.
        grid: Height and width of the fused features; any.
        classes: Number of classes.
        network: Sizes.

    Shape:
        - Input: ``(batch, channels, *grid)``
        - Output: ``(batch, classes)``
    """

    def __init__(self, channels: int, grid: tuple[int, int], classes: int, network: Network) -> None:
        super().__init__()
        width, hidden = network.head_width, network.head_hidden
        height, breadth = ((size + 3) // 4 for size in grid)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.Dropout(network.dropout),
            residual_maps(2, width, network.head_residual_width, network.residual_blocks),
            nn.Flatten(),
            nn.Linear(width * height * breadth, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(network.dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, fused: Tensor) -> Tensor:
        """Return one score per class."""
        out: Tensor = self.layers(fused)
        return out


class PlainHead(nn.Module):
    """Two layers on features without a grid.

    Args:
        channels: Number of channels of the fused features.
        classes: Number of classes.
        network: Sizes.

    Shape:
        - Input: ``(batch, channels, 1, 1)``
        - Output: ``(batch, classes)``
    """

    def __init__(self, channels: int, classes: int, network: Network) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(network.dropout),
            nn.Linear(channels, network.head_hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(network.dropout),
            nn.Linear(network.head_hidden, classes),
        )

    def forward(self, fused: Tensor) -> Tensor:
        """Return one score per class."""
        out: Tensor = self.layers(fused)
        return out


class SegmentationHead(nn.Module):
    """Residuals on the features' grid, then convolutions on grids of twice the size, up to the target's.

    Args:
        channels: Number of channels of the fused features.
        grid: Height and width of the fused features.
        classes: Number of classes.
        size: Height and width of the target.
        network: Sizes.

    Shape:
        - Input: ``(batch, channels, *grid)``
        - Output: ``(batch, classes, *size)``
    """

    def __init__(
        self, channels: int, grid: tuple[int, int], classes: int, size: tuple[int, int], network: Network
    ) -> None:
        super().__init__()
        self.sizes = _doublings(grid, size)
        widths = [max(network.head_width >> step, 1) for step in range(len(self.sizes) + 1)]
        self.first = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, padding=1),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
            nn.Dropout(network.dropout),
            residual_maps(2, widths[0], network.head_residual_width, network.residual_blocks),
        )
        self.larger = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
            )
            for before, after in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], classes, 1)

    def forward(self, fused: Tensor) -> Tensor:
        """Return one score per class for each pixel."""
        maps: Tensor = self.first(fused)
        for size, layers in zip(self.sizes, self.larger, strict=True):
            maps = layers(interpolate(maps, size=size))
        out: Tensor = self.last(maps)
        return out


def _doublings(grid: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the grids between the features' and the target's, the target's being the last."""
    sizes = [size]
    while any(now > 2 * start for now, start in zip(sizes[0], grid, strict=True)):
        height, width = sizes[0]
        sizes.insert(0, ((height + 1) // 2, (width + 1) // 2))
    return sizes
