"""The scores of a comparison as a picture, from results and from nothing else: each modality alone, then the rows with several."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from examples.results.figures.style import COLOURS, STYLE
from examples.results.records import Results
from examples.results.rows import alone, best_alone, mean_score

_GREY = "#7F7F7F"
_SPREAD = 0.12  # between the scores of two seeds


def draw_scores(results: Results, folder: Path, *, title: str) -> list[Path]:
    """Write the picture and return its path; none where there is nothing to compare.

    Args:
        results: Results of a comparison.
        folder: Folder to write to.
        title: What stands above.
    """
    if len(results.rows()) < 2:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scores.png"
    with rc_context(STYLE):
        scores_figure(results, title=title).savefig(path)
    return [path]


def scores_figure(results: Results, *, title: str) -> Figure:
    """Draw the mean of each row with its 95 % interval, and the score of each seed below it; a line marks the best alone.

    Args:
        results: Results of a comparison.
        title: What stands above.
    """
    single = alone(results)
    rows = {**single, **results.rows()}  # those with one modality first
    figure = Figure(figsize=(7.2, 1.3 + 0.42 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for place, (name, runs) in enumerate(rows.items()):
        mean, colour = mean_score(runs), _GREY if name in single else COLOURS[0]
        axis.errorbar(
            mean.mean, place, xerr=mean.half_width, color=colour, marker="o", markersize=7, capsize=3
        )
        below = [place + _SPREAD + _SPREAD * number / len(runs) for number in range(len(runs))]
        axis.plot([run.score for run in runs], below, ".", color=colour, alpha=0.5, markersize=4)
        axis.annotate(f"{mean.mean:.1f}", (mean.mean, place), (0, 6), textcoords="offset points", ha="center")
    if (best := best_alone(results)) is not None:
        axis.axvline(mean_score(rows[best]).mean, color=_GREY, linestyle="--", linewidth=0.8)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.invert_yaxis()
    axis.set_xlabel(f"{results.metric}, percent: mean, 95 % interval and each seed; dashed, the best alone")
    axis.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    axis.set_axisbelow(True)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5)
    return figure
