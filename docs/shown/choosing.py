"""What lambda, threshold, optimiser and schedule do: the tables and figures of the page."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

import maskfusion as mf
from docs.shown.claims import claim
from docs.shown.omega import (
    CASES,
    CHANNELS,
    STEPS,
    THRESHOLD,
    USE,
    Course,
    adam,
    apart,
    constant,
    sgd,
    together,
    train,
)
from docs.shown.page import points, raster, say, table
from docs.shown.study.cases import open_channels, read, to_concatenation
from docs.shown.study.mask import LAMBDAS

STARTS = {"paper: 0.1 to 0.05": (0.1, 0.05), "published code: 0.01 to 0.005": (0.01, 0.005)}
GREY, BLUE, ORANGE = "#808080", "#2f7fd1", "#e0701a"
COLOURS = LinearSegmentedColormap.from_list("use", [BLUE, "#8f8f8f", ORANGE])
EVERY, WINDOW = 4, 50
"""Updates from one point of a line to the next, and updates that the thick line is a mean of."""
STYLE: dict[Any, Any] = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), "none"),
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor"), GREY),
    **dict.fromkeys(("xtick.color", "ytick.color"), GREY),
    "figure.dpi": 140,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
FREE, DECAYED = "Adam\nlambda 1e-4", "Adam, weight decay 0.01\nlambda 1e-4"
SLOW, SIGNED, FLOORED = "SGD\nlambda 1e-4", "Adam, signed_sum\nlambda 1e-2", "Adam, positive_sum\nlambda 1e-2"
HASTY = "the same, but network and\nOmega both with 1e-3"
FIXED, WARM, STEERED = (
    "ConstantPenalty(1e-2)", "WarmupPenalty(1e-2,\nsteps=300, delay=300)", "SteeredPenalty(model, 0.25,\nsteps=50)",
)  # fmt: skip


def _swept(start: str, weight: str) -> str:
    return f"start-{start}-lambda-{weight}"


def _open(start: str, weight: str) -> float:
    return open_channels(read("sweep").rows()[_swept(start, weight)]).mean


def on_real_data() -> None:
    """Show what lambda did to a network that was trained from start to end."""
    lines = []
    for weight in LAMBDAS:
        line = [weight]
        for start in ("0.01", "0.1"):
            difference = to_concatenation(read("sweep"), _swept(start, weight))
            line += [f"{_open(start, weight):.0f}", points(difference)]
        lines.append(line)
    head = [
        "lambda",
        "0.01 to 0.005: open, %",
        "against concatenation",
        "0.1 to 0.05: open, %",
        "against concatenation",
    ]
    say(table(head, lines, words=0))


@cache
def updates() -> dict[str, list[int]]:
    """Return how many updates each optimiser needs from start to threshold."""
    return {name: [count(*start) for start in STARTS.values()] for name, count in CASES.items()}


def speeds() -> None:
    """Show them."""
    say(
        table(
            ["", *STARTS], ([name, *(f"{count:,}" for count in found)] for name, found in updates().items())
        )
    )


@cache
def trainings() -> dict[str, Course]:
    """Return the same small training with one thing after the other changed."""
    return {
        SLOW: train(constant(1e-4), sgd, mf.signed_sum),
        FREE: train(constant(1e-4), adam, mf.signed_sum),
        DECAYED: train(constant(1e-4), lambda model: adam(model, 0.01), mf.signed_sum),
        SIGNED: train(constant(1e-2), adam, mf.signed_sum),
        FLOORED: train(constant(1e-2)),
        HASTY: train(constant(1e-2), together),
    }


@cache
def schedules() -> dict[str, Course]:
    """Return the same small training under three schedules."""
    return {
        FIXED: train(constant(1e-2)),
        WARM: train(lambda _: mf.WarmupPenalty(1e-2, steps=300, delay=300)),
        STEERED: train(lambda model: mf.SteeredPenalty(model, 0.25, steps=50)),
    }


def optimisers() -> None:
    """Draw Omega in each of the trainings."""
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 5.2), layout="constrained")
        axes = figure.subplots(2, 3, sharex=True, sharey="row")
        _lines(axes.flat, trainings())
        for axis in axes[:, 0]:
            axis.set_ylabel("Omega")
        for axis in axes[1]:
            axis.set_xlabel("updates")
        axes[0, 0].set_ylim(-0.1, 0.16)
        axes[1, 0].set_ylim(-0.6, 0.5)
        _note(axes[0, 0], "threshold", THRESHOLD, (0, -3), va="top")
        _show(figure, axes)


def scheduled() -> None:
    """Draw Omega, lambda and the share of open channels under each schedule."""
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 6), layout="constrained")
        axes = figure.subplots(3, 3, sharex=True, sharey="row", height_ratios=[2, 1, 1])
        _lines(axes[0], schedules())
        for (_, middle, low), course in zip(axes.T, schedules().values(), strict=True):
            middle.plot(course.weight, color=GREY)
            low.plot(course.open, color=GREY, linewidth=0.5, alpha=0.5)
            low.plot(
                range(WINDOW - 1, STEPS),
                course.open.unfold(0, WINDOW, 1).mean(1),
                color=ORANGE,
                linewidth=1.6,
            )
            low.set_xlabel("updates")
        axes[1, 0].set_yscale("log")
        axes[1, 0].set_ylim(5e-5, 0.2)
        axes[2, 0].set_ylim(0, 105)
        axes[2, 2].axhline(25, color=BLUE, linewidth=1.2, linestyle="--")
        _note(axes[2, 2], "wanted", 25, (0, 14), color=BLUE)
        _note(axes[0, 0], "threshold", THRESHOLD, (0, 8))
        for axis, name in zip(axes[:, 0], ("Omega", "lambda", "open (%)"), strict=True):
            axis.set_ylabel(name)
        figure.align_ylabels(axes[:, 0])
        _show(figure, axes)


def _lines(axes: NDArray[np.object_], courses: Mapping[str, Course]) -> None:
    for axis, (title, course) in zip(axes, courses.items(), strict=True):
        for channel in reversed(range(CHANNELS)):
            height = course.omega[::EVERY, channel]
            axis.plot(range(0, STEPS, EVERY), height, color=COLOURS(float(USE[channel])), linewidth=0.9)
        axis.axhline(THRESHOLD, color=GREY, linewidth=1.2, linestyle="--")
        axis.set_title(title)
        axis.set_xlim(0, STEPS)


def _note(axis: Axes, words: str, height: float, offset: tuple[float, float], **look: Any) -> None:
    axis.annotate(words, (STEPS, height), offset, textcoords="offset points", ha="right", **look)


def _show(figure: Figure, axes: NDArray[np.object_]) -> None:
    bar = figure.colorbar(ScalarMappable(cmap=COLOURS), ax=axes, ticks=[0, 1], aspect=40, pad=0.02)
    least, most = bar.ax.set_yticklabels(["no use", "most use"], rotation=90)
    least.set_verticalalignment("bottom")
    most.set_verticalalignment("top")
    bar.outline.set_visible(False)
    raster(figure)


def claims() -> None:
    """Hold what the page says without a number, or with a round one."""
    _about_data()
    _about_speeds()
    _about_optimisers()
    _about_schedules()


def _about_data() -> None:
    claim("lambda decides how many channels stay", _open("0.01", "0.01") < 10, _open("0.01", "0.0001") > 50)
    claim("with 1e-4 most channels stay open", *(_open(start, "0.0001") > 50 for start in ("0.01", "0.1")))
    claim("220 updates are too few from 0.1", _open("0.1", "0.001") > 99)
    for start in ("0.01", "0.1"):
        found = [to_concatenation(read("sweep"), _swept(start, weight)) for weight in LAMBDAS]
        claim(
            "no difference is beyond its interval",
            *(d is not None and abs(d.mean) <= d.half_width for d in found),
        )
    cost, level = (
        to_concatenation(read("utd-skeleton-inertial"), name)
        for name in ("mask-strong", "mask-strong-uniform")
    )
    claim("three points on skeleton and wrist sensor", cost is not None and abs(cost.mean + 3) < 1)
    claim("unless each modality has a loss of its own", level is not None and level.mean > -1)
    fields = to_concatenation(read("cwfid"), "mask-uniform-vote")
    claim("the vote lost twelve points", fields is not None and abs(fields.mean + 12) < 3)


def _about_speeds() -> None:
    claim("what is counted by hand is what PyTorch does", apart() < 1e-4)
    (descent, nearer), (adam_far, adam_near), (decay, _), (coupled, _) = updates().values()
    claim(
        "Adam's steps are about as long as the learning rate",
        abs(adam_far - 50) <= 2,
        abs(adam_near - 5) <= 2,
    )
    claim("seven times as fast as the penalty from 0.1", abs(descent / decay - 7) < 0.5)
    claim("slower than it from 0.01", decay > nearer)
    claim("Adam makes a full step of it", abs(coupled / adam_far - 1) < 0.2)
    claim("halves Omega every 0.69 / (rate x decay)", abs(decay * 1e-5 / 0.69 - 1) < 0.02)


def _about_optimisers() -> None:
    last = {title: course.omega[-1] for title, course in trainings().items()}
    claim("SGD: nothing comes near the threshold", bool((last[SLOW] - 0.1).abs().max() < 0.001))
    claim("weight decay pulls down useful channels too", bool((last[DECAYED][:12] < last[FREE][:12]).all()))
    claim("`signed_sum` has no floor", bool(last[SIGNED].min() < -0.5))
    for floored in (last[FLOORED], train(constant(1e-2), penalty=mf.absolute_sum).omega[-1]):
        claim("the others push no further than 0", bool(floored.min() > -0.03))
    claim("some of the most useful close for good", bool((last[HASTY][:12] < -0.1).sum() >= 3))


def _about_schedules() -> None:
    fixed, warm, steered = schedules().values()
    early, late = (int((course.open < 100).float().argmax()) for course in (fixed, warm))
    claim("here nothing closes before update 300", early < 300 < late)
    claim(
        "the share is met on average",
        abs(float(steered.open[-400:].mean()) - 25) < 3,
        bool(steered.open[-400:].std() < 10),
    )
    claim("lambda ended hundreds of times where it began", bool(steered.weight[-1] > 200 * 1e-4))
    swinging = train(lambda model: mf.SteeredPenalty(model, 0.5, start=1e-3), sgd)
    claim("under SGD lambda overshoots and closes everything", bool(swinging.open.min() == 0))
