"""The history of masks as a picture."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#000000")
"""Okabe and Ito's, told apart with any kind of colour vision; the style of the line says the same again."""
LINES = ("-", "--", "-.", ":")
CLOSED = "#ECECEC"
WIDTH, HEIGHT = 9.5, 2.4
"""Inches of a row."""


class Course(NamedTuple):
    """What is drawn of one mask, or of several as one."""

    rows: Sequence[Mapping[str, Any]]
    """The history, flat."""
    opened: Mapping[str, Sequence[bool]]
    """Which channels of each modality are open now."""


def plot(courses: Mapping[str, Course]) -> "Figure":
    """Draw a row for each: open channels of each modality, zeta, and which channels are open now.

    Args:
        courses: What to draw, by the words above its row.

    Raises:
        ImportError: If there is no matplotlib.
        RuntimeError: If there is no record to draw.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "`plot` needs matplotlib, which is not here: `pip install matplotlib`. `rows()` gives the same numbers for another library."
        ) from error
    if not all(course.rows for course in courses.values()):
        raise RuntimeError(
            "`history` is empty, there is nothing to draw: call `update()` after each epoch, then `plot()`."
        )
    figure, grid = pyplot.subplots(
        len(courses),
        3,
        figsize=(WIDTH, HEIGHT * len(courses)),
        layout="constrained",
        squeeze=False,
        width_ratios=(5, 4, 4),
    )
    for (name, course), (shares, zeta, now) in zip(courses.items(), grid, strict=True):
        looks = dict(zip(course.opened, _looks(), strict=False))
        _shares(shares, course.rows, looks, f"{name}: " if name else "")
        _zeta(zeta, course.rows)
        _now(now, course.opened, looks)
    return figure


def _looks() -> Iterable[tuple[str, str]]:
    """Colours and lines that tell modalities apart, without end."""
    return zip(cycle(COLOURS), cycle(LINES), strict=False)


def _over_steps(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E5E5E5")
    axes.set_xlabel("step")


def _shares(
    axes: "Axes", rows: Sequence[Mapping[str, Any]], looks: Mapping[str, tuple[str, str]], before: str
) -> None:
    steps = [row["step"] for row in rows]
    for name, (colour, line) in looks.items():
        shares = [row[f"kept/{name}"] for row in rows]
        axes.plot(steps, shares, line, color=colour, label=name, marker=".", markersize=4)
    axes.set_ylim(-4, 104)
    axes.set_title(f"{before}open channels of each, %", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    _over_steps(axes)


def _zeta(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    axes.plot(
        [row["step"] for row in rows],
        [row["zeta"] for row in rows],
        color="#404040",
        marker=".",
        markersize=4,
    )
    axes.set_ylim(-0.04, 1.04)
    axes.set_title("zeta", loc="left", fontsize=10)
    _over_steps(axes)


def _now(axes: "Axes", opened: Mapping[str, Sequence[bool]], looks: Mapping[str, tuple[str, str]]) -> None:
    """A row for each modality and a field for each channel, coloured where it is open."""
    for place, (name, channels) in enumerate(opened.items()):
        colour, _ = looks[name]
        width = 1 / len(channels)
        tones = [colour if is_open else CLOSED for is_open in channels]
        starts = [width * number for number in range(len(channels))]
        axes.barh([place] * len(channels), width, left=starts, height=0.7, color=tones)
    words = [f"{name} {sum(channels)}/{len(channels)}" for name, channels in opened.items()]
    axes.set_yticks(range(len(opened)), words, fontsize=8)
    axes.set_ylim(len(opened) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(left=False)
    axes.set_title("open now", loc="left", fontsize=10)
