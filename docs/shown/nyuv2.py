"""Table 2's NYUv2, beside what the same rows give here."""

from functools import cache
from statistics import fmean
from typing import NamedTuple

from docs.shown.claims import claim
from docs.shown.page import NOTHING, RESULTS, compared, marked, points, provenance, say, score, table
from examples.results import Results, Run
from examples.results.rows import against, mean_score

BASE = "concatenation"
MULTI = 34.32
"""Score of that row in the paper."""


class Printed(NamedTuple):
    """A row of the paper: mIoU, compl of color and of depth, zeta; None where it prints none."""

    name: str
    score: float | None = None
    color: float | None = None
    depth: float | None = None
    zeta: float | None = None


PAPER = {
    "color": Printed("Color", 21.16, 19.53, 0.0, 0.0),
    "depth": Printed("Depth", 33.1, 0.0, 16.4, 0.0),
    BASE: Printed("Multi", MULTI, 50.0, 50.0, 1.0),
    "feature-dropout": Printed("Drop.", 37.28, 25.0, 25.0, 1.0),
    "gated": Printed("Gated", 34.41),
    "mask-no-penalty": Printed("Ours†", 36.78, 31.25, 45.31, 0.68),
    "mask": Printed("Ours", 38.66, 8.59, 10.94, 0.78),
    "vq-concatenation": Printed("Multi, with quantisers"),
}
"""The paper's Table 2, NYUv2, and one of its Table 4, which it has for CREMA-D alone."""


@cache
def results() -> Results:
    """Return the comparison."""
    return Results.read(RESULTS / "nyuv2-half.json")


def shown() -> None:
    """Show the paper's rows beside ours: scores, and what is open."""
    found = results()
    rows = found.rows()
    scores = [
        [
            printed.name,
            NOTHING if printed.score is None else f"{printed.score:.1f}",
            score(mean_score(rows[row])),
            NOTHING if printed.score is None or row == BASE else f"{printed.score - MULTI:+.1f}",
            NOTHING if row == BASE else marked(against(found, row, BASE)),
        ]
        for row, printed in PAPER.items()
    ]
    opened = [
        [
            printed.name,
            *_beside(printed.color, color, 1),
            *_beside(printed.depth, depth, 1),
            *_beside(printed.zeta, zeta, 2),
        ]
        for row, printed in PAPER.items()
        for color, depth, zeta in [_open(rows[row])]
    ]
    heads = (
        ["mIoU", "paper", "here", "over Multi, paper", "over Multi, here"],
        ["open", *(f"{what}, {where}" for what in ("color", "depth", "zeta") for where in ("paper", "here"))],
    )
    say(
        table(heads[0], scores),
        table(heads[1], opened),
        provenance(found.command, found.seconds, found.machine, found.versions),
    )


def over(row: str, base: str = BASE) -> str:
    """Return what a row gains against another, paired by seed, as the page writes it."""
    return points(against(results(), row, base))


def opened(row: str) -> str:
    """Return the channels that a row leaves open, percent of all."""
    color, depth, _ = _open(results().rows()[row])
    return f"{color + depth:.0f}"


def printed(row: str) -> str:
    """Return the same of the paper."""
    return f"{(PAPER[row].color or 0.0) + (PAPER[row].depth or 0.0):.0f}"


def gained() -> str:
    """Return what the mask gains over concatenation in the paper."""
    return f"{(PAPER['mask'].score or 0.0) - MULTI:.1f}"


def claims() -> None:
    """Hold what the page says in words."""
    claim("depth is worth more than color", compared(results(), "depth", "color") == "better")
    claim("both are worth more than depth", compared(results(), BASE, "depth") == "better")
    for row in ("mask", "mask-no-penalty"):
        color, depth, zeta = _open(results().rows()[row])
        claim(f"more of depth than of color: {row}", depth > color, zeta < 1)
    others = [row for row in PAPER if row != BASE]
    claim(
        "nothing is better than concatenation",
        *(compared(results(), row, BASE) in ("even", "worse") for row in others),
    )
    ratios = [
        paper.score / mean_score(results().rows()[row]).mean for row, paper in PAPER.items() if paper.score
    ]
    claim("three to five times as high", min(ratios) > 2.8, max(ratios) < 5.2)
    claim("the mask costs points here", compared(results(), "mask", BASE) == "worse")


def _open(runs: list[Run]) -> tuple[float, float, float]:
    """Return the open channels of color and depth, percent of both together as in the paper, and zeta; means over seeds."""
    whole = 2 * runs[0].channels[next(iter(runs[0].channels))]
    color, depth = (
        fmean(run.kept.get(name, 0.0) * run.channels.get(name, 0) / whole for run in runs)
        for name in ("color", "depth")
    )
    return color, depth, fmean(0.0 if run.zeta is None else run.zeta for run in runs)


def _beside(printed: float | None, found: float, digits: int) -> tuple[str, str]:
    return NOTHING if printed is None else f"{printed:.{digits}f}", f"{found:.{digits}f}"
