"""Layers that encoders, decoders and heads share, for one and two dimensions."""

from torch import Tensor, nn

CONVOLUTION: dict[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}
TRANSPOSED: dict[int, type[nn.ConvTranspose1d] | type[nn.ConvTranspose2d]] = {
    1: nn.ConvTranspose1d,
    2: nn.ConvTranspose2d,
}


class Residual(nn.Module):
    """Add what a few layers make of the input to the input.

    Args:
        layers: Keep the shape.

    Shape:
        - Input and output: any shape the layers take
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x + layers(x)``."""
        out: Tensor = x + self.layers(x)
        return out


def residual_maps(rank: int, width: int, hidden: int, blocks: int) -> nn.Sequential:
    """Return the residual stack of VQ-VAE: 3-wide and 1-wide convolutions, and a final ReLU.

    Args:
        rank: 1 for sequences, 2 for images.
        width: Channels in and out.
        hidden: Channels inside a block.
        blocks: How many.

    Shape:
        - Input and output: ``(batch, width, *spatial)``
    """
    conv = CONVOLUTION[rank]
    stack = [
        Residual(
            nn.ReLU(),
            conv(width, hidden, 3, padding=1, bias=False),
            nn.ReLU(),
            conv(hidden, width, 1, bias=False),
        )
        for _ in range(blocks)
    ]
    return nn.Sequential(*stack, nn.ReLU())


def residual_vectors(width: int, hidden: int, blocks: int) -> nn.Sequential:
    """Return the same stack for vectors, with linear layers.

    Shape:
        - Input and output: ``(batch, width)``
    """
    stack = [
        Residual(nn.ReLU(), nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        for _ in range(blocks)
    ]
    return nn.Sequential(*stack, nn.ReLU())
