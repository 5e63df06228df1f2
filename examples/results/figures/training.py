"""Pictures from results and from nothing else: the mask over the epochs, compl and zeta over training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from examples.results.figures.style import CLOSED, COLOURS, STYLE, STYLES
from examples.results.records import Results, Run


def draw(results: Results, folder: Path) -> list[Path]:
    """Write both pictures and return their paths; none where no row has a mask over several modalities."""
    masked = {
        name: runs
        for name, runs in results.rows().items()
        if runs[0].epochs[0].mask and len(runs[0].channels) > 1
    }
    if not masked:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "mask.png", folder / "complementarity.png"]
    with rc_context(STYLE):
        mask_figure(masked, results).savefig(paths[0])
        complementarity_figure(masked, results).savefig(paths[1])
    return paths


def mask_figure(masked: dict[str, list[Run]], results: Results) -> Figure:
    """Draw which channels are open after each epoch, grouped by modality, of each row's first seed."""
    figure = Figure(figsize=(max(5.2, 1.0 + 3.7 * len(masked)), 5.2), layout="constrained")
    axes = figure.subplots(1, len(masked), squeeze=False)[0]
    for axis, (name, runs) in zip(axes, masked.items(), strict=True):
        run = runs[0]
        axis.imshow(
            _mask_image(run),
            aspect="auto",
            interpolation="nearest",
            extent=(0.5, len(run.epochs) + 0.5, sum(run.channels.values()), 0),
        )
        _label_groups(axis, run)
        axis.set_title(f"{name}, seed {run.seed}")
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.spines[:].set_visible(False)
        axis.tick_params(left=False)
    figure.suptitle(
        f"{results.data}: open (coloured) and closed (grey) channels of the mask",
        x=0.01,
        ha="left",
        fontsize=11.5,
    )
    return figure


def kept_channels(masks: Sequence[str], channels: Mapping[str, int]) -> NDArray[np.int64]:
    """Return the number of a channel's modality where the channel is open and -1 where not, ``(channels, epochs)``.

    The channels of each modality are sorted, those first that were open longest.

    Args:
        masks: One character a channel for each epoch, see `EpochRecord`.
        channels: Number of channels of each modality, in order.
    """
    kept = np.array([[flag == "1" for flag in mask] for mask in masks]).T
    groups = np.full(kept.shape, -1, dtype=np.int64)
    start = 0
    for index, count in enumerate(channels.values()):
        group = kept[start : start + count]
        group = group[np.argsort(-group.sum(axis=1), kind="stable")]  # longest open first
        groups[start : start + count][group] = index
        start += count
    return groups


def _mask_image(run: Run) -> NDArray[np.float64]:
    groups = kept_channels([record.mask for record in run.epochs], run.channels)
    palette = np.array([to_rgb(COLOURS[index % len(COLOURS)]) for index in range(len(run.channels))])
    image: NDArray[np.float64] = np.where((groups < 0)[..., None], to_rgb(CLOSED), palette[groups])
    return image


def _label_groups(axis: Axes, run: Run) -> None:
    ends = np.cumsum(list(run.channels.values()))
    middles = ends - np.array(list(run.channels.values())) / 2
    axis.set_yticks(middles, [f"{name}\n{run.kept[name]:.0f} %" for name in run.channels])
    for end in ends[:-1]:
        axis.axhline(float(end), color="white", linewidth=3)


def complementarity_figure(masked: dict[str, list[Run]], results: Results) -> Figure:
    """Draw compl of every modality, and zeta, after each epoch: means over seeds, and their range."""
    figure = Figure(figsize=(max(5.2, 1.0 + 3.7 * len(masked)), 5.0), layout="constrained")
    grid = figure.subplots(2, len(masked), squeeze=False, sharex="col", sharey="row", height_ratios=(3, 2))
    for (upper, lower), (name, runs) in zip(grid.T, masked.items(), strict=True):
        for index, modality in enumerate(results.modalities):
            values = [[record.complementary[modality] for record in run.epochs] for run in runs]
            _curve(upper, values, index, modality)
        zeta = [[np.nan if record.zeta is None else record.zeta for record in run.epochs] for run in runs]
        _curve(lower, zeta, len(COLOURS) - 1, "")
        upper.set_title(name)
        lower.set_xlabel("epoch")
        lower.set_ylim(-0.03, 1.03)
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axis in (upper, lower):
            axis.grid(axis="y", color="#E5E5E5", linewidth=0.8)
            axis.set_axisbelow(True)
    grid[0, 0].set_ylabel("compl, % of fused channels")
    grid[0, 0].set_ylim(bottom=0)
    grid[1, 0].set_ylabel("ζ")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", handlelength=2.8)
    figure.suptitle(
        f"{results.data}: open channels of each modality (line: mean, band: range over seeds)",
        x=0.01,
        ha="left",
        fontsize=11.5,
    )
    return figure


def _curve(axis: Axes, values: Sequence[Sequence[float]], index: int, label: str) -> None:
    longest = max(map(len, values))  # a run that stopped early is shorter
    table = np.ma.masked_invalid([[*run, *[np.nan] * (longest - len(run))] for run in values])
    epochs = np.arange(1, table.shape[1] + 1)
    colour = COLOURS[index % len(COLOURS)]
    style = STYLES[index % len(STYLES)] if label else "-"
    low, high, mean = (
        part.filled(np.nan) for part in (table.min(axis=0), table.max(axis=0), table.mean(axis=0))
    )
    axis.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.plot(epochs, mean, color=colour, linestyle=style, linewidth=1.8, label=label)
