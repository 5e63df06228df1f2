"""Images, and clips as a few of their frames."""

from dataclasses import dataclass

import numpy as np

from examples.pictures.base import Picture, Values, limits, png

_RGB = 3


@dataclass(frozen=True)
class Image:
    """One channel in a colour map, three as red, green and blue; of any other number their mean.

    Args:
        colours: Name of a colour map of Matplotlib.
    """

    colours: str = "gray"

    def draw(self, values: Values, like: Values) -> list[Picture]:
        """Return a picture for each sample, ``(samples, channels, height, width)``."""
        low, high = limits(like)
        if values.shape[1] == _RGB:
            shown = np.clip((values - low) / (high - low), 0, 1).transpose(0, 2, 3, 1)
            return [Picture(png(image)) for image in shown]
        return [Picture(png(image, cmap=self.colours, vmin=low, vmax=high)) for image in values.mean(axis=1)]


@dataclass(frozen=True)
class Frames:
    """A clip whose channels are its frames: some of them side by side.

    Args:
        colours: Name of a colour map of Matplotlib.
        count: Number of frames shown, evenly spaced.
    """

    colours: str = "gray"
    count: int = 4

    def draw(self, values: Values, like: Values) -> list[Picture]:
        """Return a picture for each sample, ``(samples, frames, height, width)``."""
        low, high = limits(like)
        chosen = moments(values.shape[1], self.count)
        strips = np.concatenate([values[:, frame] for frame in chosen], axis=2)
        return [Picture(png(strip, cmap=self.colours, vmin=low, vmax=high)) for strip in strips]


def moments(length: int, count: int) -> list[int]:
    """Return `count` positions in the middles of as many equal parts."""
    return [int((number + 0.5) * length / count) for number in range(count)]
