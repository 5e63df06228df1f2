"""The figure of the README and of the home page, from the study's results: ``python -m docs.shown.needed``.

For two pairs of modalities it shows what the second one brings, and how much of each the mask leaves open.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from examples.results import Interval, Results, Run, interval, paired_difference
from examples.results.figures.style import COLOURS, STYLE, STYLES
from examples.results.rows import alone, best_alone, mean_score

REPOSITORY = Path(__file__).parents[2]
PICTURE = REPOSITORY / "docs" / "figures" / "needed.png"
RESULTS = REPOSITORY / "examples" / "results" / "study"
TITLES = {"utd-depth-skeleton": "Depth and skeleton", "utd-skeleton-inertial": "Skeleton and wrist sensor"}
NAMES = {"inertial": "wrist sensor"}
LOOK = dict(zip(("depth", "skeleton", "inertial"), zip(COLOURS, STYLES, strict=False), strict=False))
"""Colour and line of each modality, the same in both pairs."""
BOTH, MASKED = "concatenation", "mask"
APART = 9
"""How far the names of two lines are from each other, where the lines end at the same height."""


def name_of(modality: str) -> str:
    """Return what readers call a modality."""
    return NAMES.get(modality, modality)


def kept_by_epoch(run: Run, modality: str) -> list[float]:
    """Return the percent of the modality's channels that are open after each epoch, from 100 before the first."""
    share = run.channels[modality] / sum(run.channels.values())
    return [100.0, *(record.complementary[modality] / share for record in run.epochs)]


def kept(results: Results, modality: str) -> Interval:
    """Return the percent of the modality's channels that are open in the weights that were chosen."""
    return interval([run.kept[modality] for run in results.rows()[MASKED]])


def accuracy(axis: Axes, results: Results) -> None:
    """Draw the score of each modality alone, of both, and of both with the mask."""
    rows = results.rows()
    lines = [(f"{name_of(name)} alone", name, LOOK[name][0]) for name in results.modalities]
    lines += [("both", BOTH, "#404040"), ("both, masked", MASKED, "#404040")]
    for place, (_, row, tone) in enumerate(lines):
        score = mean_score(rows[row])
        axis.errorbar(
            score.mean,
            place,
            xerr=score.half_width,
            color=tone,
            marker="o",
            markersize=6,
            capsize=3,
            linewidth=1.8,
        )
        axis.annotate(
            f"{score.mean:.1f}",
            (score.mean, place),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axis.set_yticks(range(len(lines)), [words for words, *_ in lines])
    axis.set_ylim(len(lines) - 0.5, -0.7)
    axis.set_xlim(30, 92)
    axis.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    axis.tick_params(left=False)
    axis.set_axisbelow(True)


def course(axis: Axes, results: Results) -> None:
    """Draw the open channels of each modality over training."""
    ends: dict[str, float] = {}
    for modality in results.modalities:
        table = np.array([kept_by_epoch(run, modality) for run in results.rows()[MASKED]])
        epochs = np.arange(table.shape[1])
        colour, style = LOOK[modality]
        axis.fill_between(epochs, table.min(0), table.max(0), color=colour, alpha=0.15, linewidth=0)
        axis.plot(epochs, table.mean(0), color=colour, linestyle=style, linewidth=2)
        ends[modality] = float(table.mean(0)[-1])
    height = float(-APART)
    for modality in sorted(ends, key=lambda name: ends[name]):
        height = max(ends[modality], height + APART)
        place = (epochs[-1] * 1.03, height)
        axis.annotate(name_of(modality), place, va="center", color=LOOK[modality][0], annotation_clip=False)
    axis.set_ylim(-3, 103)
    axis.set_xlim(0, epochs[-1])
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axis.set_xlabel("epoch")


def draw(studies: Mapping[str, Results]) -> Figure:
    """Draw a line of two panels for each pair: accuracy, and the open channels of each modality over training."""
    figure = Figure(figsize=(8.8, 2.45 * len(studies)), layout="constrained")
    grid = figure.subplots(len(studies), 2)
    for (left, right), (name, results) in zip(grid, studies.items(), strict=True):
        accuracy(left, results)
        course(right, results)
        left.set_title(f"{TITLES[name]}: accuracy, %")
        right.set_title("open channels of each, %")
    return figure


def words(studies: Mapping[str, Results]) -> str:
    """Return the figure in words, with its numbers: what those read who do not see it."""
    return "UTD-MHAD. " + " ".join(sentence(TITLES[name], results) for name, results in studies.items())


def sentence(title: str, results: Results) -> str:
    """Return one pair of modalities in words."""
    rows, best = results.rows(), best_alone(results) or ""
    brings = paired_difference(rows[BOTH], rows[best])
    masked = paired_difference(rows[MASKED], rows[BOTH])
    scores = ", ".join(
        f"{name_of(name)} {mean_score(runs).mean:.1f} %" for name, runs in alone(results).items()
    )
    shares = " and ".join(
        f"{kept(results, name).mean:.1f} % of {name_of(name)}" for name in results.modalities
    )
    return (
        f"{title}: {scores} alone; both bring {brings.mean:+.1f} ± {brings.half_width:.1f} points over the better one; "
        f"the mask leaves {shares} open, at {masked.mean:+.1f} ± {masked.half_width:.1f} points."
    )


def read() -> dict[str, Results]:
    """Return both studies."""
    return {name: Results.read(RESULTS / f"{name}.json") for name in TITLES}


if __name__ == "__main__":
    studies = read()
    with rc_context(STYLE):
        draw(studies).savefig(PICTURE, metadata={"Description": words(studies), "Software": None})
