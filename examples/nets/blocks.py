"""Layers that encoders, decoders and heads share, for one and two dimensions."""

from torch import Tensor, nn

CONVOLUTION: dict[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}
TRANSPOSED: dict[int, type[nn.ConvTranspose1d] | type[nn.ConvTranspose2d]] = {
    1: nn.ConvTranspose1d,
    2: nn.ConvTranspose2d,
}
NORM: dict[int, type[nn.BatchNorm1d] | type[nn.BatchNorm2d]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
POOL: dict[int, type[nn.MaxPool1d] | type[nn.MaxPool2d]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}


class Residual(nn.Module):
    """Add what a few layers make of the input to the input.

    Args:
        layers: Layers that keep the shape.

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


class Doubling(nn.Module):
    """A transposed convolution, 4 wide of stride 2, to exactly the size that was halved, be it odd.

    Args:
        width: Channels in and out.
        start: Size of the input along each axis.
        goal: Size of the output; half of it is `start`, rounded up or down.

    Shape:
        - Input: ``(batch, width[0], *start)``
        - Output: ``(batch, width[1], *goal)``
    """

    def __init__(self, width: tuple[int, int], start: tuple[int, ...], goal: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = TRANSPOSED[len(goal)](*width, 4, stride=2, padding=1)
        self.goal = goal
        self.twice = [max(2 * half, size) for half, size in zip(start, goal, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """Double each axis, one less or one more as the goal wants it."""
        out: Tensor = self.layer(x, output_size=self.twice)
        for axis, size in enumerate(self.goal, start=2):
            out = out if out.shape[axis] == size else out.narrow(axis, 0, size)
        return out


def residual_maps(rank: int, width: int, hidden: int, blocks: int) -> nn.Sequential:
    """Return the published residual stack: each block normalises, then convolves 3 wide and 1 wide.

    Args:
        rank: 1 for sequences, 2 for images.
        width: Channels in and out.
        hidden: Channels inside a block.
        blocks: Number of blocks.

    Shape:
        - Input and output: ``(batch, width, *spatial)``
    """
    conv, norm = CONVOLUTION[rank], NORM[rank]
    stack = [
        Residual(
            norm(width),
            nn.ReLU(inplace=True),
            conv(width, hidden, 3, padding=1, bias=False),
            norm(hidden),
            nn.ReLU(inplace=True),
            conv(hidden, width, 1, bias=False),
        )
        for _ in range(blocks)
    ]
    return nn.Sequential(*stack, norm(width), nn.ReLU(inplace=True))


def residual_vectors(width: int, hidden: int, blocks: int) -> nn.Sequential:
    """Return a like stack for vectors, with linear layers and no normalisation.

    Shape:
        - Input and output: ``(batch, width)``
    """
    stack = [
        Residual(nn.ReLU(), nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        for _ in range(blocks)
    ]
    return nn.Sequential(*stack, nn.ReLU())
