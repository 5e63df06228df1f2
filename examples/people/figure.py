"""The picture, from the records and from nothing else: what people know, what networks know, and whose it is."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from examples.people import worth
from examples.people.records import PeopleResults
from examples.results import Interval
from examples.results.figures.style import COLOURS

OURS, JOINED, MASK = "alone-joined-pooled", "concatenation", "mask"
_SOUND, _FACE, _BOTH, _ALL = COLOURS[0], COLOURS[1], "#000000", "all six"
_GIVEN = {"voice": (_SOUND, "o"), "face": (_FACE, "s"), "both": (_BOTH, "D")}
_SPREAD = 0.42  # of a line's height


def draw(results: PeopleResults) -> Figure:
    """Draw three panels with a line an emotion: informedness of people and of networks, and the voice's part of the worth."""
    figure = Figure(figsize=(9.8, 5.2), layout="constrained")
    people, networks, parts = figure.subplots(1, 3, sharey=True, width_ratios=(1, 1, 1.05))
    for (given, (colour, marker)), shift in zip(_GIVEN.items(), _shifts(len(_GIVEN)), strict=True):
        known = worth.of_people(results, given)
        _line(people, [*worth.by_class(known), worth.overall(known)], colour, marker, given, shift)
    rows = {
        worth.SOUND: (_SOUND, "o", "voice alone"),
        worth.FACES: (_FACE, "s", "votes on the face alone"),
        JOINED: ("#808080", "d", "both, concatenated"),
        OURS: (_BOTH, "D", "both: alone, joined, pooled"),
    }
    for (row, (colour, marker, words)), shift in zip(rows.items(), _shifts(len(rows)), strict=True):
        known = worth.of_row(results, row)
        _line(networks, [*worth.by_class(known), worth.overall(known)], colour, marker, words, shift)
    shares = {
        "to people": (worth.worth_to_people(results), COLOURS[2], "o"),
        "to networks, trained apart": (worth.worth_apart(results, OURS), COLOURS[3], "s"),
        "inside one network, under a mask": (worth.worth_inside(results, MASK), COLOURS[5], "^"),
    }
    for (words, (found, colour, marker)), shift in zip(shares.items(), _shifts(len(shares)), strict=True):
        _line(parts, worth.of_sound(found), colour, marker, words, shift)
    channels = worth.open_of_sound(results, MASK)
    parts.axvspan(
        channels.mean - channels.half_width,
        channels.mean + channels.half_width,
        color="#000000",
        alpha=0.12,
        linewidth=0,
    )
    parts.axvline(channels.mean, color="#000000", linestyle="--", label="of the open channels, under a mask")
    _finish(results, people, networks, parts)
    return figure


def _shifts(count: int) -> list[float]:
    """Return how far the markers of one line stand above and below it, so that none hides another."""
    return [float(shift) for shift in np.linspace(-_SPREAD / 2, _SPREAD / 2, count)]


def _line(axis: Axes, values: Sequence[Interval], colour: str, marker: str, label: str, shift: float) -> None:
    """Draw a marker with its interval for each emotion, and for all."""
    axis.errorbar(
        [value.mean for value in values],
        np.arange(len(values)) + shift,
        xerr=np.nan_to_num([value.half_width for value in values]),
        color=colour,
        marker=marker,
        markersize=5.5,
        elinewidth=1.0,
        linestyle="none",
        label=label,
    )


def _finish(results: PeopleResults, people: Axes, networks: Axes, parts: Axes) -> None:
    titles = {
        people: "What people know, given",
        networks: "What networks know, given",
        parts: "The voice's part",
    }
    for axis, words in titles.items():
        axis.set_title(words, fontweight="bold")
        axis.set_ylim(len(results.classes) + 0.5, -0.5)
        axis.grid(axis="x", color="#E5E5E5", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(left=False)
        axis.axhspan(len(results.classes) - 0.5, len(results.classes) + 0.5, color="#F4F4F4", zorder=0)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), handletextpad=0.3)
    for axis in (people, networks):
        axis.set_xlim(-0.02, 1.02)
        axis.set_xlabel("informedness: 0 is guessing, 1 is right")
    parts.set_xlabel("part of both Shapley values, %")
    people.set_yticks(range(len(results.classes) + 1), [*results.classes, _ALL])
