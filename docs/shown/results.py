"""The tables of comparisons on data that ships with the repository, and what another processor makes of them."""

import math
from functools import cache
from itertools import combinations
from statistics import fmean

from docs.shown.claims import claim
from docs.shown.page import RESULTS, bullets, points, provenance, say, score, table
from examples.results import Interval, Results, Run, interval, tables
from examples.results.rows import mean_score, paired_difference

FILES = ("mfeat",)
"""The others have pages of their own."""
PROCESSORS = {"AVX512": "mfeat", "AVX2": "processors/avx2", "neither": "processors/default"}
ROWS = ("concatenation", "mask")
EPOCHS = (1, 2, 5, 10, 20, 40)


def everything() -> None:
    """Show the table of every file, what it says, and what made it."""
    for name in FILES:
        results = Results.read(RESULTS / f"{name}.json")
        drawn = tables.table(results)
        lines = zip(*(column.cells for column in drawn.columns), strict=True)
        say(
            f"**{drawn.title}**",
            table([str(column.header) for column in drawn.columns], lines),
            bullets(tables.findings(results)),
            provenance(results.command, results.seconds, results.machine, results.versions),
        )


def processors() -> None:
    """Show the rows on each instruction set."""
    head = ["instructions", *ROWS, "mask - concatenation", "open, mask"]
    lines = [
        [
            name,
            *(score(mean_score(results.rows()[row])) for row in ROWS),
            points(ahead(results)),
            f"{opened(results).mean:.1f} %",
        ]
        for name, results in by_instructions().items()
    ]
    say(table(head, lines))


def growth() -> None:
    """Show how far the same run with other instructions is from itself, epoch by epoch."""
    lines = [
        [
            epoch,
            *(f"{100 * apart(row, epoch):.2g} %" for row in ROWS),
            f"{100 * flipped('mask', epoch):.1f} %",
        ]
        for epoch in EPOCHS
    ]
    head = ["epoch", *(f"loss, {row}" for row in ROWS), "channels, mask"]
    say(table(head, lines))


def difference() -> str:
    """Return mask against concatenation over all instruction sets, averaged per seed."""
    return points(over_all())


def over_all() -> Interval:
    """Return the paired difference between mask and concatenation, the mean over instruction sets of each seed."""
    runs = [results.rows() for results in by_instructions().values()]
    seeds = range(len(runs[0]["mask"]))
    return interval(
        [
            fmean(rows["mask"][seed].score - rows["concatenation"][seed].score for rows in runs)
            for seed in seeds
        ]
    )


def spread(row: str) -> tuple[float, float]:
    """Return root mean squared difference in score of a row: between instruction sets on a seed, and between seeds."""
    runs = [results.rows()[row] for results in by_instructions().values()]
    same = [a.score - b.score for a, b in pairs(row)]
    seeds = [a.score - b.score for each in runs for a, b in combinations(each, 2)]
    return _size(same), _size(seeds)


def between_instructions(row: str) -> str:
    """Return the first part of `spread`, in points."""
    return f"{spread(row)[0]:.2f}"


def between_seeds(row: str) -> str:
    """Return the second part of `spread`, in points."""
    return f"{spread(row)[1]:.2f}"


@cache
def by_instructions() -> dict[str, Results]:
    """Return the comparison on each instruction set."""
    return {name: Results.read(RESULTS / f"{file}.json") for name, file in PROCESSORS.items()}


def pairs(row: str) -> list[tuple[Run, Run]]:
    """Return all pairs of runs of a row with the same seed and other instructions."""
    runs = [results.rows()[row] for results in by_instructions().values()]
    return [pair for same in zip(*runs, strict=True) for pair in combinations(same, 2)]


def opened(results: Results) -> Interval:
    """Return the share of all channels that the mask leaves open, percent."""
    return interval([sum(run.complementary.values()) for run in results.rows()["mask"]])


def apart(row: str, epoch: int) -> float:
    """Return the mean relative difference of the training loss between the same runs with other instructions."""
    losses = [[run.epochs[epoch - 1].loss["total"] for run in pair] for pair in pairs(row)]
    return fmean(abs(a - b) / max(a, b) for a, b in losses)


def flipped(row: str, epoch: int) -> float:
    """Return the mean share of channels that are open in one of two such runs and closed in the other."""
    masks = [[run.epochs[epoch - 1].mask for run in pair] for pair in pairs(row)]
    return fmean(fmean(x != y for x, y in zip(a, b, strict=True)) for a, b in masks)


def claims() -> None:
    """Hold the words of the page against the numbers."""
    found = by_instructions().values()
    claim("enough", *(abs(each.mean) < 1.5 for each in map(ahead, found)))
    claim("fewer than a tenth", *(7 < opened(results).mean < 10 for results in found))
    claim("the last digits", *(apart(row, 1) < 1e-3 for row in ROWS))
    claim("grow", *(apart(row, EPOCHS[-1]) > 10 * apart(row, 1) for row in ROWS))
    claim("as fast", *(0.5 < apart("concatenation", epoch) / apart("mask", epoch) < 2 for epoch in EPOCHS))
    claim("little less than another seed", *(0.4 < same / other < 1.2 for same, other in map(spread, ROWS)))
    claim("that sign was chance", over_all().mean - over_all().half_width < 0)


def ahead(results: Results) -> Interval:
    """Return mask against concatenation, paired by seed."""
    rows = results.rows()
    return paired_difference(rows["mask"], rows["concatenation"])


def _size(differences: list[float]) -> float:
    return math.sqrt(fmean(each * each for each in differences))
