"""The figures of a report with axes, each small enough for a phone; a page lays them side by side."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from examples.report.canvas import colour, drawn, whole
from examples.report.inline import INK
from examples.results import interval
from examples.results.figures.style import STYLES

_DECADES = 50.0  # largest over smallest value that still leaves room for 1, 2 and 5 on an axis

Lines = Mapping[str, Sequence[float | None]]


def curves(
    lines: Lines, label: str, description: str, *, log: bool = False, top: float | None = None
) -> Markup:
    """Draw values over the epochs.

    Args:
        lines: Name to a value an epoch; None where there is none.
        label: Label of the vertical axis.
        description: Description for readers who do not see it.
        log: Whether the vertical axis is logarithmic.
        top: Top of the vertical axis, which then starts at 0.
    """

    def draw(axis: Axes) -> None:
        for number, (name, values) in enumerate(lines.items()):
            heights = [np.nan if value is None else value for value in values]
            black = len(lines) == 1
            axis.plot(
                range(1, len(heights) + 1),
                heights,
                color=INK if black else colour(number),
                linestyle=STYLES[number % len(STYLES)],
                label=name,
                marker="o" if len(heights) == 1 else None,
            )
        if log:
            axis.set_yscale("log")
            low, high = axis.get_ylim()
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _DECADES * low else (1,)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
        elif top is None:
            axis.set_ylim(bottom=0)
        else:
            axis.set_ylim(-0.03 * top, 1.03 * top)
        axis.grid(axis="y")
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.xaxis.set_major_locator(whole())

    return drawn(draw, description, legend=len(lines) > 1)


def code_usage(usage: Mapping[str, NDArray[np.int64]], description: str) -> Markup:
    """Draw the share of each code among all vectors, most frequent first."""

    def draw(axis: Axes) -> None:
        for number, (name, counts) in enumerate(usage.items()):
            shares = np.sort(counts)[::-1] / max(counts.sum(), 1) * 100
            axis.step(
                np.arange(1, len(shares) + 1),
                shares,
                where="mid",
                color=colour(number),
                linestyle=STYLES[number % len(STYLES)],
                label=name,
            )
        axis.set_ylim(bottom=0)
        axis.grid(axis="y")
        axis.set_xlabel("code, most frequent first")
        axis.set_ylabel("vectors, %")

    return drawn(draw, description, legend=True)


def worth(values: Mapping[str, Mapping[str, float]], description: str) -> Markup:
    """Draw bars by measure, one for each modality, in its colour.

    Args:
        values: Measure to percent by modality.
        description: Description for readers who do not see it.
    """
    names = list(next(iter(values.values())))

    def draw(axis: Axes) -> None:
        width = 0.8 / len(names)
        for number, name in enumerate(names):
            middles = np.arange(len(values)) + (number - (len(names) - 1) / 2) * width
            heights = [shares[name] for shares in values.values()]
            axis.bar(middles, heights, 0.9 * width, color=colour(number), label=name)
        axis.set_xticks(range(len(values)), ["\n".join(measure.rsplit(" ", 1)) for measure in values])
        axis.set_ylabel("%")
        axis.axhline(0, color=INK, linewidth=0.8)
        axis.grid(axis="y")
        axis.tick_params(bottom=False)

    return drawn(draw, description, legend=True)


def scores(rows: Mapping[str, Sequence[float]], base: str | None, label: str, description: str) -> Markup:
    """Draw the score of every seed, and the mean of each row with its interval.

    The axis shows all seeds; an interval that is wider goes to its edge.

    Args:
        rows: Name to the score of each seed, percent.
        base: Row whose mean is drawn through all of them.
        label: Label of the axis.
        description: Description for readers who do not see it.
    """
    found = {name: interval(values) for name, values in rows.items()}
    every = [value for values in rows.values() for value in values]
    margin = max(0.08 * (max(every) - min(every)), 0.5)

    def draw(axis: Axes) -> None:
        for place, (name, values) in enumerate(rows.items()):
            mean, half = found[name].mean, found[name].half_width
            if not math.isnan(half):
                axis.hlines(place, mean - half, mean + half, color=INK, linewidth=1.3)
                axis.plot(mean, place, "|", color=INK, markersize=12, markeredgewidth=2)
            axis.plot(
                values,
                [place] * len(values),
                "o",
                color=colour(0),
                markeredgecolor="white",
                markeredgewidth=0.5,
                markersize=5,
            )
        if base is not None:
            axis.axvline(found[base].mean, color=INK, linewidth=0.9, linestyle=":", zorder=0)
        axis.set_yticks(range(len(rows)), list(rows))
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_xlim(min(every) - margin, max(every) + margin)
        axis.set_xlabel(label)
        axis.grid(axis="x")
        axis.spines["left"].set_visible(False)
        axis.tick_params(left=False)

    return drawn(draw, description, height=0.8 + 0.27 * max(len(rows), 4))
