"""Pictures of studies beside each other, from results and from nothing else."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from examples.results.figures.style import COLOURS
from examples.results.records import Results, Run
from examples.results.rows import against, best_alone, concatenation, mean_score, verdict
from examples.results.statistics import interval

_VERDICTS = {"better": ("#0072B2", "o"), "even": ("#7F7F7F", "D"), "worse": ("#D55E00", "s")}
"""Colour and marker of each; the marker repeats the message."""
_MARKERS = "osD^vPX"


def forest(studies: Mapping[str, Results], rows: Sequence[str]) -> Figure:
    """Draw each row's difference to concatenation, paired by seed, with its 95 % interval; one column per study.

    Args:
        studies: Name to results.
        rows: Rows from the top; the best modality alone comes before them. A row that a study lacks leaves a gap.
    """
    figure = Figure(figsize=(1.6 + 2.0 * len(studies), 0.9 + 0.26 * (len(rows) + 1)), layout="constrained")
    axes = figure.subplots(1, len(studies), squeeze=False, sharey=True)[0]
    names = ["best alone", *rows]
    for axis, (title, results) in zip(axes, studies.items(), strict=True):
        base = concatenation(results)
        for place, name in enumerate([best_alone(results), *rows]):
            difference = against(results, name, base) if name and base else None
            if difference is not None:
                colour, marker = _VERDICTS[verdict(difference)]
                axis.errorbar(
                    difference.mean,
                    place,
                    xerr=difference.half_width,
                    color=colour,
                    marker=marker,
                    markersize=5,
                    capsize=2.5,
                    linewidth=1.4,
                )
        axis.axvline(0, color="#404040", linewidth=0.9)
        axis.axhline(0.5, color="#C8C8C8", linewidth=0.8)
        axis.set_title(title, fontsize=9.5)
        axis.set_xlabel("points")
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axis.grid(axis="x", color="#E5E5E5", linewidth=0.8)
        axis.tick_params(left=False)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=word)
        for word, (colour, marker) in _VERDICTS.items()
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=3)
    return figure


def sweep(results: Results, groups: Mapping[str, Mapping[str, str]]) -> Figure:
    """Draw score against open channels, one point per row, with the 95 % interval of both means.

    Args:
        results: Results of the sweep.
        groups: Words for the legend to row names to labels.
    """
    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axis = figure.subplots()
    rows = results.rows()
    for index, (words, members) in enumerate(groups.items()):
        points = [(rows[name], label) for name, label in members.items() if name in rows]
        kept = [interval([_kept(run) for run in runs]) for runs, _ in points]
        score = [mean_score(runs) for runs, _ in points]
        axis.errorbar(
            [value.mean for value in kept],
            [value.mean for value in score],
            xerr=[value.half_width for value in kept],
            yerr=[value.half_width for value in score],
            color=COLOURS[index % len(COLOURS)],
            marker=_MARKERS[index % len(_MARKERS)],
            linestyle="none",
            elinewidth=0.7,
            label=words,
        )
        for place, height, (_, label) in zip(kept, score, points, strict=True):
            axis.annotate(
                label,
                (place.mean, height.mean),
                (5, 4),
                textcoords="offset points",
                fontsize=8,
                color=COLOURS[index % len(COLOURS)],
            )
    base = concatenation(results)
    if base is not None:
        axis.axhline(mean_score(rows[base]).mean, color="#404040", linewidth=0.9, linestyle="--", label=base)
    axis.set_xlabel("open channels, %")
    axis.set_ylabel(f"{results.metric}, %")
    axis.set_xlim(-3, 104)
    axis.grid(color="#E5E5E5", linewidth=0.8)
    figure.legend(loc="outside right upper")
    return figure


def zetas(studies: Mapping[str, Results], rows: Sequence[str]) -> Figure:
    """Draw zeta after each epoch, one line per seed, the chosen epoch marked; one column per study, one line of panels per row."""
    figure = Figure(figsize=(1.0 + 2.1 * len(studies), 0.7 + 1.5 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(studies), squeeze=False, sharey=True, sharex="col")
    for column, (title, results) in zip(grid.T, studies.items(), strict=True):
        column[0].set_title(title, fontsize=9.5)
        column[-1].set_xlabel("epoch")
        for axis, row in zip(column, rows, strict=True):
            for index, run in enumerate(results.rows().get(row, ())):
                _zeta(axis, run, COLOURS[index % len(COLOURS)])
            axis.set_ylim(-0.04, 1.04)
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axis.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    for axis, row in zip(grid[:, 0], rows, strict=True):
        axis.set_ylabel(f"{row}\nζ", fontsize=9)
    return figure


def _zeta(axis: Axes, run: Run, colour: str) -> None:
    values = [np.nan if record.zeta is None else record.zeta for record in run.epochs]
    axis.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.1)
    if run.zeta is not None:
        axis.plot(run.chosen, run.zeta, "o", color=colour, markersize=4.5)


def _kept(run: Run) -> float:
    return sum(run.complementary.values())
