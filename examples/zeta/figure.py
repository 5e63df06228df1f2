"""The pictures, from the records and from nothing else: one column per dial; zeta, open channels and worth below each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from examples.results import interval
from examples.results.figures.style import COLOURS
from examples.zeta.records import ZetaResults

FIGURES = {
    "information": ("redundancy", "copy", "unique", "synergy"),
    "nuisance": ("noise", "conflict", "scale", "samples"),
}
"""Dials by picture."""

_TRUTH = "#606060"
_LINES = (("-", "o"), ("--", "s"), ("-.", "^"), ((0, (5, 1, 1, 1)), "D"))
_LOOSE = 0.09  # how far lines of one place stand apart, so that their intervals can be told apart
_STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "figure.facecolor": "white",
    "legend.frameon": False,
    "lines.markersize": 4,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "zeta",  # the same file each time
}


def draw(results: ZetaResults, folder: Path) -> list[Path]:
    """Write a picture for each of `FIGURES` that has a dial in the results, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, dials in FIGURES.items():
        shown = [dial for dial in dials if dial in results.dials]
        if shown:
            paths.append(folder / f"zeta-{name}.svg")
            with rc_context(_STYLE):
                figure(results, shown).savefig(paths[-1], metadata={"Date": None})
    return paths


def figure(results: ZetaResults, dials: Sequence[str]) -> Figure:
    """Draw some dials: means over seeds with their 95 % interval, and what is true."""
    made = Figure(figsize=(max(5.6, 0.7 + 2.15 * len(dials)), 7.4), layout="constrained")
    grid = made.subplots(3, len(dials), squeeze=False, sharex="col", sharey="row")
    middle = results.weights[len(results.weights) // 2]
    for column, dial in zip(grid.T, dials, strict=True):
        turned = results.dials[dial]
        _zeta(column[0], results, dial)
        _kept(column[1], results, dial, middle)
        _worth(column[2], results, dial, middle)
        column[0].set_title(f"{dial}\n", loc="left", fontweight="bold", fontsize=10.5)
        column[0].text(0, 1.03, turned.title, transform=column[0].transAxes)
        column[2].set_xticks(range(len(turned.values)), [f"{value:g}" for value in turned.values])
        column[2].set_xlim(-0.4, len(turned.values) - 0.6)
        column[2].set_xlabel(turned.axis)
    grid[0, 0].set_ylim(-0.05, 1.05)
    grid[0, 0].set_ylabel("ζ")
    grid[1, 0].set_ylim(bottom=0)
    grid[1, 0].set_ylabel(f"open channels, %\n(λ = {middle:g})")
    grid[2, 0].set_ylabel(f"Shapley value of accuracy\n(λ = {middle:g})")
    true = Line2D([], [], color=_TRUTH, linestyle=":", linewidth=2, label="true")
    lines = [*grid[0, 0].get_legend_handles_labels()[0], *grid[1, 0].get_legend_handles_labels()[0], true]
    made.legend(
        handles=lines, loc="outside upper left", ncols=len(lines), handlelength=2.6, columnspacing=1.4
    )
    return made


def _zeta(axis: Axes, results: ZetaResults, dial: str) -> None:
    turned = results.dials[dial]
    _true(axis, [truth.balance for truth in turned.truth], _TRUTH)
    for index, weight in enumerate(results.weights):
        trials = [results.of(dial, weight, value) for value in turned.values]
        columns = [[trial.zeta for trial in column if trial.zeta is not None] for column in trials]
        shift = index - (len(results.weights) - 1) / 2
        _line(axis, columns, COLOURS[2 + index], index, f"ζ at λ = {weight:g}", shift)


def _kept(axis: Axes, results: ZetaResults, dial: str, weight: float) -> None:
    trials = [results.of(dial, weight, value) for value in results.dials[dial].values]
    for index, name in enumerate(results.modalities):
        columns = [[results.kept(trial)[index] for trial in column] for column in trials]
        _line(axis, columns, COLOURS[index], index, f"modality {name}", index - 0.5)


def _worth(axis: Axes, results: ZetaResults, dial: str, weight: float) -> None:
    turned = results.dials[dial]
    trials = [results.of(dial, weight, value) for value in turned.values]
    for index, name in enumerate(results.modalities):
        _true(axis, [truth.shapley[index] for truth in turned.truth], COLOURS[index])
        columns = [[trial.shapley[index] for trial in column] for column in trials]
        _line(axis, columns, COLOURS[index], index, f"modality {name}", index - 0.5)


def _true(axis: Axes, values: Sequence[float], colour: str) -> None:
    axis.plot(range(len(values)), values, color=colour, linestyle=":", linewidth=2)


def _line(
    axis: Axes, columns: Sequence[Sequence[float]], colour: str, index: int, label: str, shift: float
) -> None:
    """Draw one mean and interval a place; nothing where there are no numbers."""
    spots = [place for place, numbers in enumerate(columns) if numbers]
    values = [interval(columns[place]) for place in spots]
    style, marker = _LINES[index % len(_LINES)]
    axis.errorbar(
        [place + _LOOSE * shift for place in spots],
        [value.mean for value in values],
        yerr=[np.nan_to_num(value.half_width) for value in values],
        color=colour,
        linestyle=style,
        marker=marker,
        elinewidth=1.0,
        label=label,
    )
