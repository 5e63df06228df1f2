"""What the figures of a report have in common: their size, their style, their colours."""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from examples.report.inline import INK, RULE, chart
from examples.results.figures.style import COLOURS

WIDTH, HEIGHT = 3.5, 2.5  # inches
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


def drawn(
    draw: Callable[[Axes], None], description: str, *, legend: bool = False, height: float = HEIGHT
) -> Markup:
    """Return a figure with one pair of axes.

    Args:
        draw: Draws into them.
        description: Description for readers who do not see it.
        legend: Whether the names of what was drawn stand above it.
        height: Inches.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axis = figure.subplots()
        draw(axis)
        if legend:
            handles, labels = axis.get_legend_handles_labels()
            longest = max(map(len, labels), default=1)
            figure.legend(
                handles, labels, loc="outside upper left", ncols=max(1, min(len(labels), 44 // (longest + 6)))
            )
        return chart(figure, description)


def whole() -> MaxNLocator:
    """Return what places a few ticks, at whole numbers."""
    return MaxNLocator(5, integer=True, steps=[1, 2, 5, 10])


def colour(number: int) -> str:
    """Return the colour of a modality, or of a row, by its number."""
    chosen = COLOURS[number % len(COLOURS)]
    return INK if chosen == "#000000" else chosen
