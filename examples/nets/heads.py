"""Heads: what reads the masked features and solves the task."""

from torch import Tensor, nn

from examples.nets.blocks import residual_maps
from examples.recipe import Network


class ConvolutionalHead(nn.Module):
    """The published classifier: two convolutions of stride 2, residuals, one hidden layer.

    Args:
        channels: Of the fused features.
        grid: Height and width of the fused features.
        classes: How many.
        network: Sizes.

    Shape:
        - Input: ``(batch, channels, height, width)``
        - Output: ``(batch, classes)``
    """

    def __init__(self, channels: int, grid: tuple[int, int], classes: int, network: Network) -> None:
        super().__init__()
        width, hidden = network.head_width, network.head_hidden
        height, breadth = ((size + 3) // 4 for size in grid)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.Dropout(network.dropout),
            residual_maps(2, width, network.residual_width, network.residual_blocks),
            nn.Flatten(),
            nn.Linear(width * height * breadth, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(network.dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, fused: Tensor) -> Tensor:
        """Return one score a class."""
        out: Tensor = self.layers(fused)
        return out
