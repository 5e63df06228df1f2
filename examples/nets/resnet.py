"""ResNet-18 for any number of input channels, up to its last feature maps."""

from torch import Tensor, nn

SMALL = 64
"""Images with a side below this keep their size in the stem."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions past a shortcut, which is 1 x 1 where the shape changes.

    Args:
        channels: Number of input channels.
        width: Out.
        stride: Stride of the first convolution and of the shortcut.

    Shape:
        - Input: ``(batch, channels, height, width)``
        - Output: ``(batch, width, ceil(height / stride), ceil(width / stride))``
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        same = channels == width and stride == 1
        self.shortcut = nn.Sequential(
            *() if same else (nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``relu(shortcut(x) + layers(x))``."""
        out: Tensor = self.shortcut(x) + self.layers(x)
        return out.relu_()


class ResNet18(nn.Module):
    """The stem and up to four stages of two blocks each; a stage has twice the channels on half the grid.

    The stem is 7 x 7 of stride 2 and a max-pool, for images with a side below 64 one 3 x 3 convolution of stride 1.

    Args:
        shape: Shape of one image, ``(channels, height, width)``.
        width: Channels of the first stage, 64 in the standard network.
        stages: Number of stages, 4 in the standard network.

    Shape:
        - Input: ``(batch, channels, height, width)``
        - Output: ``(batch, widths[-1], *grids[-1])``; stage ``i`` has ``widths[i]`` channels

    Reference: He et al., "Deep Residual Learning for Image Recognition", 2016, Table 1.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 64, stages: int = 4) -> None:
        super().__init__()
        channels, *sizes = shape
        small = min(sizes) < SMALL
        widths = [width * 2**stage for stage in range(stages)]
        halvings = stages - 1 if small else stages + 1
        self.grids = tuple(tuple(-(-size // 2**step) for size in sizes) for step in range(halvings + 1))
        self.widths = widths
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False)
            if small
            else nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            *() if small else (nn.MaxPool2d(3, stride=2, padding=1),),
        )
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    BasicBlock(before, after, 1 if before == after else 2), BasicBlock(after, after, 1)
                )
                for before, after in zip([width, *widths], widths, strict=False)
            )
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of the last stage."""
        return self.maps(x)[-1]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the maps of every stage, the first one first."""
        found = [self.stem(x)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found[1:]
