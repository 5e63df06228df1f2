"""What joining costs or brings, case by case, from results and from nothing else."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from examples.results.figures.style import COLOURS
from examples.results.records import Results
from examples.results.rows import against, best_alone

_MARKERS = "sXP^vDo"
_SPREAD = 0.66  # of a case's width


def over_best_alone(cases: Mapping[str, Results], rows: Mapping[str, str], *, hurting: int) -> Figure:
    """Draw points over the best modality alone, paired by seed, with 95 % intervals: a group of markers per case.

    Args:
        cases: Title to results, those where concatenation is below the best modality alone first.
        rows: Row name to words for the legend, from left to right in each group; the last one is drawn larger. A row that a case
            lacks leaves a gap.
        hurting: Number of those.
    """
    figure = Figure(figsize=(max(9.2, 1.06 * len(cases)), 4.4), layout="constrained")
    axis = figure.subplots()
    places = np.linspace(-_SPREAD / 2, _SPREAD / 2, len(rows))
    for index, ((name, words), shift) in enumerate(zip(rows.items(), places, strict=True)):
        found = [
            (place + shift, difference)
            for place, results in enumerate(cases.values())
            if (difference := against(results, name, best_alone(results) or "")) is not None
        ]
        last = index == len(rows) - 1
        axis.errorbar(
            [place for place, _ in found],
            [difference.mean for _, difference in found],
            yerr=[difference.half_width for _, difference in found],
            color=COLOURS[-1] if last else COLOURS[index % (len(COLOURS) - 1)],
            marker="*" if last else _MARKERS[index % len(_MARKERS)],
            markersize=12 if last else 6,
            elinewidth=1.6 if last else 1.0,
            linestyle="none",
            label=words,
        )
    axis.axhline(0, color="#404040", linewidth=1.0)
    axis.axvline(hurting - 0.5, color="#C8C8C8", linewidth=0.8)
    axis.set_xticks(range(len(cases)), list(cases))
    axis.tick_params(bottom=False)
    axis.set_xlim(-0.5, len(cases) - 0.5)
    axis.set_ylabel("points over the best modality alone")
    axis.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    for start, words in ((0, "concatenation below the best alone"), (hurting, "concatenation above it")):
        axis.text(
            start - 0.45, 1.02, words, transform=axis.get_xaxis_transform(), fontsize=10.5, fontweight="bold"
        )
    figure.legend(loc="outside lower center", ncols=4)
    return figure
