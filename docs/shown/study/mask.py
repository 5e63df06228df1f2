"""Sections on the mask: its parts, its settings, zeta, another architecture."""

from statistics import fmean, stdev

from docs.shown.page import draw, marked, say, score, table
from docs.shown.study.cases import (
    open_channels,
    own_share,
    read,
    studies,
    titles,
    to_concatenation,
)
from docs.shown.study.overview import BESIDE
from examples.results import Results, Run
from examples.results.figures import studies as study_plots
from examples.results.rows import against, mean_score

PARTS = {
    "ii, quantiser": "vq-concatenation",
    "iii, mask": "mask",
    "iii, mask without penalty": "mask-no-penalty",
    "both, without penalty": "vq-mask-no-penalty",
    "both, the whole method": "vq-mask",
}
LAMBDAS = ("0", "0.0001", "0.001", "0.003", "0.01")
SWEPT = {
    "start 0.01, threshold 0.005: lambda": {f"start-0.01-lambda-{weight}": weight for weight in LAMBDAS},
    "start 0.1, threshold 0.05: lambda": {f"start-0.1-lambda-{weight}": weight for weight in LAMBDAS},
    "start 0.01, lambda 0.001: threshold": {
        f"start-0.01-threshold-{height}": height for height in ("0", "0.0095")
    },
    "absolute sum: lambda": {f"absolute-lambda-{weight}": weight for weight in ("0.001", "0.01")},
    "positive sum: lambda": {f"positive-lambda-{weight}": weight for weight in ("0.001", "0.01")},
    "lambda 0.001: rate of Omega": {f"omega-rate-{rate}": rate for rate in ("0.0001", "0.004")},
    "SGD: rate of Omega, lambda": {
        f"sgd-omega-rate-{rate}-lambda-{weight}": f"{rate}, {weight}"
        for rate in ("0.05", "1")
        for weight in ("0.0001", "0.01")
    },
}
"""Words of each group of the sweep, to its rows, to their labels."""
MASKED = ("mask-no-penalty", "mask", "vq-mask", "mask-uniform-vote")
LAST = 5
"""How many epochs at the end of a run tell how far zeta still moves."""


def parts() -> None:
    """Show quantiser and mask, one without the other."""
    lines = [
        [words, *(marked(to_concatenation(results, name)) for results in studies().values())]
        for words, name in PARTS.items()
    ]
    added = (against(results, "vq-mask", "vq-concatenation") for results in studies().values())
    lines.append(["what the mask adds to the quantiser", *map(marked, added)])
    say(table(["", *titles()], lines))


def sweep() -> None:
    """Draw score against open channels for every setting, and show the numbers."""
    results = read("sweep")
    draw(study_plots.sweep, results, SWEPT)
    lines = [
        [
            f"{words} {label}",
            marked(to_concatenation(results, name)),
            f"{open_channels(results.rows()[name]).mean:.0f}",
            *_own_shares(results, results.rows()[name]),
        ]
        for words, members in SWEPT.items()
        for name, label in members.items()
    ]
    head = ["", "against concatenation", "open, %", *(f"of {key}, %" for key in results.modalities)]
    say(table(head, lines))


def zetas() -> None:
    """Draw zeta over training, and show how it spreads over seeds and over the last epochs."""
    every = list(studies().items())
    for first in range(0, len(every), BESIDE):
        draw(study_plots.zetas, dict(every[first : first + BESIDE]), MASKED)
    lines = [[name, *(_spread(results.rows()[name]) for results in studies().values())] for name in MASKED]
    say(
        f"Standard deviation of zeta over seeds / its range over the last {LAST} epochs of a run, mean over seeds:",
        table(["", *titles()], lines),
    )


def _spread(runs: list[Run]) -> str:
    defined = [run.zeta for run in runs if run.zeta is not None]
    deviation = stdev(defined) if len(defined) > 1 else float("nan")
    return f"{deviation:.2f} / {fmean(_wobble(run) for run in runs):.2f}"


def _wobble(run: Run) -> float:
    seen = [record.zeta for record in run.epochs[-LAST:] if record.zeta is not None]
    return max(seen) - min(seen) if seen else float("nan")


def resnet() -> None:
    """Show the mask behind encoders of another architecture."""
    results = read("resnet")
    lines = []
    for name, runs in results.rows().items():
        differs = to_concatenation(results, name) if name != "concatenation" else None
        line = [name, score(mean_score(runs)), marked(differs)]
        single = len(runs[0].channels) == 1
        lines.append([*line, *([""] * len(results.modalities) if single else _own_shares(results, runs))])
    head = ["", "accuracy", "against concatenation", *(f"open of {key}, %" for key in results.modalities)]
    say(table(head, lines))


def _own_shares(results: Results, runs: list[Run]) -> list[str]:
    return [f"{own_share(runs, key):.0f}" for key in results.modalities]
