"""The figures of a report whose cells are coloured: the mask over training, and the confusion matrix."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from examples.report.canvas import colour, drawn, whole
from examples.report.inline import INK, RULE
from examples.results import EpochRecord
from examples.results.figures.style import COLOURS
from examples.results.figures.training import kept_channels

_MANY = 12  # classes whose names and shares still fit into a confusion matrix
_CLOSED = 0.16  # opacity


def mask_picture(records: Sequence[EpochRecord], channels: Mapping[str, int], description: str) -> Markup:
    """Draw which channels were open after each epoch, grouped by modality, those that were open longest first."""
    groups = kept_channels([record.mask for record in records], channels)
    image = np.empty((*groups.shape, 4))
    for number in range(len(channels)):
        image[groups == number] = (*to_rgb(colour(number)), 1)
    image[groups < 0] = (0.5, 0.5, 0.5, _CLOSED)

    def draw(axis: Axes) -> None:
        axis.imshow(
            image, aspect="auto", interpolation="none", extent=(0.5, len(records) + 0.5, groups.shape[0], 0)
        )
        ends = np.cumsum(list(channels.values()))
        middles = ends - np.array(list(channels.values())) / 2
        axis.set_yticks(middles, list(channels), rotation=90 if len(channels) < 4 else 0, va="center")
        for end in ends[:-1]:
            axis.axhline(float(end), color=INK, linewidth=1)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(whole())
        axis.spines[:].set_visible(False)
        axis.tick_params(left=False)

    return drawn(draw, description)


def confusion(counts: NDArray[np.int64], classes: Sequence[str], description: str) -> Markup:
    """Draw which class was taken for which, in percent of the true one."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    image = np.empty((*shares.shape, 4))
    image[...] = (*to_rgb(COLOURS[0]), 1)
    few = len(classes) <= _MANY
    image[..., 3] = (0.55 if few else 0.95) * shares / 100  # numbers are written over a few

    def draw(axis: Axes) -> None:
        axis.imshow(image, interpolation="none", aspect="equal" if few else "auto")
        axis.set_xlabel("predicted class")
        axis.set_ylabel("true class")
        places, turned = range(len(classes)), len(classes) * max(map(len, classes)) > 30
        if few:
            axis.set_xticks(places, classes, rotation=90 if turned else 0)
            axis.set_yticks(places, classes)
        else:
            axis.set_xticks([])
            axis.set_xlabel("predicted class, in the same order")
            axis.set_yticks(places, classes, fontsize=max(5.0, min(8.5, 195 / len(classes))))
        size = 8 if len(classes) <= 10 else 6.5
        for (row, column), share in np.ndenumerate(shares):
            if few and share >= 0.5:
                axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=size)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(True)
        axis.spines[:].set_color(RULE)

    return drawn(draw, description, height=3.6)
