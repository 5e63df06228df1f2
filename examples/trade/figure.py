"""Accuracy over what is left of the network: over the fused channels that are kept, and over the time of the whole network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from examples.results import Interval, Results, interval
from examples.results.figures.style import COLOURS, STYLES
from examples.results.rows import alone, mean_score
from examples.trade.records import Size, TradeResults

_MARKERS = "ovs^DP"
_GREY = "#7F7F7F"
_APART = 1.025  # from one family to the next, so that intervals at one place can be told apart
_TICKS = {
    "fused channels kept, %": (12.5, 25, 50, 100),
    "time of the whole network, %": (10, 20, 30, 50, 70, 100),
}


@dataclass(frozen=True)
class Case:
    """A comparison and the sizes of its networks."""

    results: Results
    sizes: TradeResults

    def full(self) -> str:
        """Return the row of the network that nothing was taken from: of those with plain concatenation, the largest."""
        plain = {
            name: runs[0].parameters
            for name, runs in self.results.rows().items()
            if runs[0].method == "concatenation"
        }
        return max(plain, key=lambda name: plain[name])

    def kept(self, row: str) -> float:
        """Return the fused channels of a row's networks, percent of those of the full network, the mean over seeds."""
        return self._share(row, lambda size: size.kept)

    def time(self, row: str) -> float:
        """Return the time of a row's networks, percent of that of the full network."""
        return self._share(row, lambda size: size.milliseconds)

    def score(self, row: str) -> Interval:
        """Return the score of a row."""
        return mean_score(self.results.rows()[row])

    def unread(self, row: str) -> list[int]:
        """Return how many modalities each network of a row does without, by seed."""
        return [len(size.unread) for size in self.sizes.row(row)]

    def _share(self, row: str, of: Callable[[Size], float]) -> float:
        here, there = (
            interval([of(size) for size in self.sizes.row(name)]).mean for name in (row, self.full())
        )
        return 100 * here / there


def draw(cases: Mapping[str, Case], families: Mapping[str, Sequence[str]]) -> Figure:
    """Draw one column per case: scores with 95 % intervals over the channels kept, and below over the time.

    Args:
        cases: Title to case.
        families: Words for the legend to rows, the largest first; a row that a case lacks is left out. The first is drawn stronger.
    """
    figure = Figure(figsize=(3.1 * len(cases), 6.2), layout="constrained")
    grid = figure.subplots(2, len(cases), squeeze=False, sharey="col")
    for column, (title, case) in zip(grid.T, cases.items(), strict=True):
        column[0].set_title(title)
        places = (case.kept, _APART), (case.time, 1.0)
        for axis, (words, ticks), (place, apart) in zip(column, _TICKS.items(), places, strict=True):
            _panel(axis, case, families, place, apart)
            _logarithmic(axis, ticks)
            axis.set_xlabel(words)
    for axis in grid[:, 0]:
        axis.set_ylabel("accuracy, %")
    handles: dict[str, Any] = {}
    for axis in grid.flat:
        found, labels = axis.get_legend_handles_labels()
        handles = dict(zip(labels, found, strict=True)) | handles
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3, handlelength=3)
    return figure


def _panel(
    axis: Axes,
    case: Case,
    families: Mapping[str, Sequence[str]],
    place: Callable[[str], float],
    apart: float,
) -> None:
    there = case.results.rows()
    for index, (words, rows) in enumerate(families.items()):
        names = [case.full(), *(name for name in rows if name in there)]
        scores = [case.score(name) for name in names]
        shift = apart ** (index - (len(families) - 1) / 2)
        axis.errorbar(
            [place(case.full()), *(shift * place(name) for name in names[1:])],
            [score.mean for score in scores],
            yerr=[score.half_width for score in scores],
            color=COLOURS[index % len(COLOURS)],
            linestyle=STYLES[index % len(STYLES)],
            marker=_MARKERS[index % len(_MARKERS)],
            linewidth=1.4 if index else 2.2,
            markersize=5,
            elinewidth=1.0,
            zorder=len(families) - index + 2,
            label=words,
        )
    full = case.score(case.full())
    axis.axhline(full.mean, color=_GREY, linewidth=0.8, linestyle=":")
    axis.plot(place(case.full()), full.mean, "s", color="black", zorder=20, label="the full network")
    for name in alone(case.results):
        score = case.score(name)
        axis.errorbar(
            place(name),
            score.mean,
            yerr=score.half_width,
            color="black",
            marker="x",
            markersize=6,
            linestyle="none",
            label="one modality alone",
        )
        axis.annotate(name, (place(name), score.mean), (5, 3), textcoords="offset points", fontsize=8)
    axis.grid(color="#E5E5E5", linewidth=0.8)
    axis.set_axisbelow(True)


def _logarithmic(axis: Axes, ticks: Sequence[float]) -> None:
    """Show halves as equal steps."""
    axis.set_xscale("log", base=2)
    low, high = axis.get_xlim()
    axis.set_xticks([tick for tick in ticks if low < tick < high])
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())
