"""A class for each pixel, laid over a picture."""

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from examples.data.contract import UNSCORED
from examples.pictures.base import Picture, Values, limits, png
from examples.results.figures.style import COLOURS

_OPACITY = 0.75


@dataclass(frozen=True)
class Overlay:
    """The first class is left as the picture below it, the others are coloured.

    Args:
        colours: Colours of the classes after the first, again from the start where there are more classes.
    """

    colours: tuple[str, ...] = (COLOURS[2], COLOURS[5], COLOURS[4], COLOURS[1], COLOURS[3], COLOURS[0])

    def draw(self, classes: NDArray[np.integer], below: Values) -> list[Picture]:
        """Return a picture for each sample.

        Args:
            classes: ``(samples, height, width)``; what is not scored stays uncoloured.
            below: ``(samples, channels, height, width)``.
        """
        low, high = limits(below)
        grey = np.clip((below.mean(axis=1) - low) / (high - low), 0, 1)[..., None].repeat(3, axis=-1)
        table = np.array([to_rgb(colour) for colour in self.colours])
        coloured = table[(classes - 1) % len(table)]
        there = ((classes > 0) & (classes != UNSCORED))[..., None]
        mixed = np.where(there, _OPACITY * coloured + (1 - _OPACITY) * grey, grey)
        return [Picture(png(image)) for image in mixed]

    def colour(self, number: int) -> str | None:
        """Return the colour of a class, None for the first."""
        return self.colours[(number - 1) % len(self.colours)] if number else None
