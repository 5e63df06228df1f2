"""The figures of a report, each small enough for a phone; a page lays them side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from examples.plots import COLOURS, STYLES, kept_channels
from examples.report.inline import INK, RULE, chart
from examples.results import EpochRecord

_WIDTH, _HEIGHT = 3.5, 2.5  # inches
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.alpha": 0.6,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.7,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}
_MANY = 12  # classes whose names and shares still fit into a confusion matrix
_CLOSED = 0.16  # opacity

Lines = Mapping[str, Sequence[float | None]]


def curves(
    lines: Lines, label: str, description: str, *, log: bool = False, top: float | None = None
) -> Markup:
    """Draw values over the epochs.

    Args:
        lines: Name to a value an epoch; None where there is none.
        label: Of the vertical axis.
        description: For readers who do not see it.
        log: Whether the vertical axis is logarithmic.
        top: Of the vertical axis, which then starts at 0.
    """

    def draw(axis: Axes) -> None:
        for number, (name, values) in enumerate(lines.items()):
            heights = [np.nan if value is None else value for value in values]
            black = len(lines) == 1
            axis.plot(
                range(1, len(heights) + 1),
                heights,
                color=INK if black else _colour(number),
                linestyle=STYLES[number % len(STYLES)],
                label=name,
                marker="o" if len(heights) == 1 else None,
            )
        if log:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
        elif top is None:
            axis.set_ylim(bottom=0)
        else:
            axis.set_ylim(-0.03 * top, 1.03 * top)
        axis.grid(axis="y")
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.xaxis.set_major_locator(_whole())

    return _single(draw, description, legend=len(lines) > 1)


def mask_picture(records: Sequence[EpochRecord], channels: Mapping[str, int], description: str) -> Markup:
    """Draw which channels were open after each epoch, grouped by modality, those that were open longest first."""
    groups = kept_channels([record.mask for record in records], channels)
    image = np.empty((*groups.shape, 4))
    for number in range(len(channels)):
        image[groups == number] = (*to_rgb(_colour(number)), 1)
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
        axis.xaxis.set_major_locator(_whole())
        axis.spines[:].set_visible(False)
        axis.tick_params(left=False)

    return _single(draw, description, height=3.0)


def code_usage(usage: Mapping[str, NDArray[np.int64]], description: str) -> Markup:
    """Draw the share of each code among all vectors, most frequent first."""

    def draw(axis: Axes) -> None:
        for number, (name, counts) in enumerate(usage.items()):
            shares = np.sort(counts)[::-1] / max(counts.sum(), 1) * 100
            axis.step(
                np.arange(1, len(shares) + 1),
                shares,
                where="mid",
                color=_colour(number),
                linestyle=STYLES[number % len(STYLES)],
                label=name,
            )
        axis.set_ylim(bottom=0)
        axis.grid(axis="y")
        axis.set_xlabel("code, most frequent first")
        axis.set_ylabel("vectors, %")

    return _single(draw, description, legend=True)


def confusion(counts: NDArray[np.int64], classes: Sequence[str], description: str) -> Markup:
    """Draw which class was taken for which, in percent of the true one."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    image = np.empty((*shares.shape, 4))
    image[...] = (*to_rgb(COLOURS[0]), 1)
    image[..., 3] = 0.55 * shares / 100
    few = len(classes) <= _MANY

    def draw(axis: Axes) -> None:
        axis.imshow(image, interpolation="none")
        axis.set_xlabel("predicted class")
        axis.set_ylabel("true class")
        step = 1 if few else 5
        places, names = range(0, len(classes), step), classes[::step]
        turned = len(places) * max(map(len, names)) > 30
        axis.set_xticks(places, names, rotation=90 if turned else 0)
        axis.set_yticks(places, names)
        size = 8 if len(classes) <= 10 else 6.5
        for (row, column), share in np.ndenumerate(shares):
            if few and share >= 0.5:
                axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=size)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(True)
        axis.spines[:].set_color(RULE)

    return _single(draw, description, height=3.6)


def worth(values: Mapping[str, Mapping[str, float]], description: str) -> Markup:
    """Draw bars by modality, one group for each measure.

    Args:
        values: Measure to percent by modality.
        description: For readers who do not see it.
    """
    names = list(next(iter(values.values())))

    def draw(axis: Axes) -> None:
        width = 0.8 / len(values)
        for number, (measure, shares) in enumerate(values.items()):
            middles = np.arange(len(names)) + (number - (len(values) - 1) / 2) * width
            axis.bar(
                middles, [shares[name] for name in names], 0.9 * width, color=_colour(number), label=measure
            )
        axis.set_xticks(range(len(names)), names)
        axis.set_ylabel("%")
        axis.axhline(0, color=INK, linewidth=0.8)
        axis.grid(axis="y")
        axis.tick_params(bottom=False)

    return _single(draw, description, legend=True)


def _single(
    draw: Callable[[Axes], None], description: str, *, legend: bool = False, height: float = _HEIGHT
) -> Markup:
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axis = figure.subplots()
        draw(axis)
        if legend:
            handles, labels = axis.get_legend_handles_labels()
            longest = max(map(len, labels), default=1)
            figure.legend(
                handles, labels, loc="outside upper left", ncols=max(1, min(len(labels), 44 // (longest + 6)))
            )
        return chart(figure, description)


def _whole() -> MaxNLocator:
    return MaxNLocator(5, integer=True, steps=[1, 2, 5, 10])


def _colour(number: int) -> str:
    colour = COLOURS[number % len(COLOURS)]
    return INK if colour == "#000000" else colour
