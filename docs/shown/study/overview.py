"""Sections "In short" to "Against concatenation", and the settings that were chosen."""

from collections.abc import Callable
from statistics import fmean

from docs.shown.page import NOTHING, bullets, draw, marked, points, say, score, table
from docs.shown.study.cases import (
    everywhere,
    open_channels,
    plain,
    studies,
    titles,
    to_best,
    to_concatenation,
)
from examples.results import Interval, Results
from examples.results.figures import studies as study_plots
from examples.results.rows import (
    alone,
    best_alone,
    chosen,
    concatenation,
    cost,
    mean_score,
    scores_alone,
    verdict,
)

SHORT = {
    "mask": "mask",
    "mask, strong penalty, uniform losses": "mask-strong-uniform",
    "mask, uniform losses, all heads vote": "mask-uniform-vote",
    "mask, quan\u00adtisers": "vq-mask",
}
BESIDE = 3
"""How many panels fit beside each other on a page."""


def in_short() -> None:
    """Show the few rows that answer the question, and all that differ from concatenation beyond the interval."""
    lines = [
        [
            plain(title),
            marked(to_best(results, concatenation(results) or "")),
            *(_with_share(results, name) for name in SHORT.values()),
        ]
        for title, results in studies().items()
    ]
    say(
        table(["", "joined, not alone", *SHORT], lines),
        bullets(
            [
                f"**Better than concatenation** beyond the interval: {_beyond('better')}.",
                f"**Worse**: {_beyond('worse')}.",
            ]
        ),
    )


def _with_share(results: Results, name: str) -> str:
    difference = to_concatenation(results, name)
    if difference is None:
        return NOTHING
    return f"{marked(difference)} ({open_channels(results.rows()[name]).mean:.0f}\u00a0%)"


def _beyond(word: str) -> str:
    found: dict[str, list[str]] = {}
    for title, results in studies().items():
        for name in everywhere():
            difference = to_concatenation(results, name)
            if difference is not None and verdict(difference) == word:
                found.setdefault(plain(title), []).append(f"{name} ({points(difference)})")
    return "; ".join(f"{title}: {', '.join(names)}" for title, names in found.items()) or "none"


def sizes() -> None:
    """Show how many samples, seeds, epochs and runs each study has, and what it took."""
    lines = [
        [
            plain(title),
            *(f"{results.samples[part]:,}" for part in ("train", "validation", "test")),
            results.recipe["seeds"],
            results.recipe["epochs"],
            f"{len(results.runs)} + {len(results.trials)} trials",
            f"{sum(run.processor_seconds for run in results.runs) / 3600:.2f}",
        ]
        for title, results in studies().items()
    ]
    head = ["", "training", "validation", "test", "seeds", "epochs", "runs", "hours of one core"]
    say(table(head, lines))


def adding() -> None:
    """Show each modality alone, all of them joined, and the difference."""
    lines = []
    for title, results in studies().items():
        best, base = best_alone(results) or "", concatenation(results) or ""
        singles = ", ".join(f"{name} {score(mean_score(runs))}" for name, runs in alone(results).items())
        joined = score(mean_score(results.rows()[base]))
        lines.append([plain(title), singles, joined, best, marked(to_best(results, base))])
    say(table(["", "each alone", "concatenated", "best alone", "what adding brings"], lines))


def rows() -> None:
    """Show every row of every study."""
    for title, results in studies().items():
        names = results.modalities
        head = ["", results.metric, "open", *names, "zeta", *(f"{name} inside" for name in names)]
        failed = [name for name in results.row_names() if name not in results.rows()]
        lines = [_row(results, name) for name in results.rows()]
        lines += [[f"{name}: failed", *[""] * (len(head) - 1)] for name in failed]
        say(f"**{plain(title)}**", table(head, lines))


def _row(results: Results, name: str) -> list[str]:
    runs, modalities = results.rows()[name], results.modalities
    line = [name, score(mean_score(runs))]
    if len(runs[0].channels) == 1:
        return [*line, *[""] * (2 + 2 * len(modalities))]
    defined = [run.zeta for run in runs if run.zeta is not None]
    inside = scores_alone(results, name)
    return [
        *line,
        f"{open_channels(runs).mean:.0f}",
        *(f"{fmean(run.complementary[key] for run in runs):.1f}" for key in modalities),
        f"{fmean(defined):.2f}" if defined else "",
        *(f"{inside[key].mean:.0f}" for key in modalities),
    ]


def forest() -> None:
    """Draw every row's difference to concatenation."""
    every = list(studies().items())
    for first in range(0, len(every), BESIDE):
        draw(study_plots.forest, dict(every[first : first + BESIDE]), everywhere())


def prices() -> None:
    """Show the differences to concatenation as numbers, and what each row costs."""
    lines = []
    for name in everywhere():
        costs = [cost(results, name) for results in studies().values() if name in results.rows()]
        middle = len(costs) // 2
        time = sorted(each.time for each in costs)[middle]
        parameters = sorted(each.parameters for each in costs)[middle]
        lines.append([name, *_differences(name, to_concatenation), f"{time:.2f}", f"{parameters:.2f}"])
    say(table(["", *titles(), "time", "parameters"], lines))


def best() -> None:
    """Show the differences to the best modality alone."""
    names = ["concatenation", *everywhere()]
    say(table(["", *titles()], ([name, *_differences(name, to_best)] for name in names)))


def _differences(name: str, to: Callable[[Results, str], Interval | None]) -> list[str]:
    return [marked(to(results, name)) for results in studies().values()]


def settings() -> None:
    """Show what was chosen for every row."""
    names = dict.fromkeys(name for results in studies().values() for name in results.rows())
    say(
        table(
            ["", *titles()],
            ([name, *(_chosen(results, name) for results in studies().values())] for name in names),
        )
    )


def _chosen(results: Results, name: str) -> str:
    values = chosen(results, name).items()
    return ", ".join(f"{key.removeprefix('arguments.')} {value:g}" for key, value in values) or NOTHING
