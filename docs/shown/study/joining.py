"""The table and the figure at the top of the page: where joining hurts, where it helps, and what gets the points back."""

from functools import cache

from docs.shown.page import NOTHING, draw, marked, say, score, table
from docs.shown.study.cases import plain, read
from examples.results import Interval, Results, interval
from examples.results.figures.cases import over_best_alone
from examples.results.rows import against, alone, best_alone, cost, mean_score

HURTS = {
    "hurts-grid-10db": "GRID, noisy\nmicrophone",
    "hurts-utd-depth-skeleton": "UTD-MHAD:\ndepth, skeleton",
}
HELPS = {
    "hurts-grid-5db": "GRID, less\nnoise",
    "helps-grid-clean": "GRID,\nno noise",
    "helps-utd-skeleton-inertial": "UTD-MHAD:\nskeleton, inertial",
}
OURS, LONG = "alone-joined-pooled", "concatenation-long"
ROWS = {
    "concatenation": "concatenation",
    LONG: "concatenation, equal time",
    "ogm-ge": "OGM-GE",
    "uniform-vote": "a loss each, all vote",
    "joined": "each alone, then joined",
    "pooled-experts": "each alone, then pooled",
    OURS: "ours: alone, joined, pooled",
}


@cache
def cases() -> dict[str, Results]:
    """Return every case by its title, those that hurt first."""
    return {title: read(name) for name, title in {**HURTS, **HELPS}.items()}


def joining() -> None:
    """Draw the figure and show the table."""
    draw(lambda: over_best_alone(cases(), ROWS, hurting=len(HURTS)))
    lines = [
        [f"*{name}*", *(_single(results, name) for results in cases().values())]
        for name in ("best alone", "other alone")
    ]
    lines += [
        [words, *(_score(results, name) for results in cases().values())] for name, words in ROWS.items()
    ]
    say(table(["", *map(plain, cases())], lines))


def ours_against() -> None:
    """Show what ours gains against each baseline, and what it costs."""
    lines = [
        [words, *(marked(against(results, OURS, name)) for results in cases().values())]
        for name, words in ROWS.items()
        if name != OURS
    ]
    best = ["the best modality alone", *(marked(to_best(results)) for results in cases().values())]
    time = ["*time over concatenation*", *(f"{cost(results, OURS).time:.1f}" for results in cases().values())]
    size = [
        "*parameters over concatenation*",
        *(f"{cost(results, OURS).parameters:.1f}" for results in cases().values()),
    ]
    say(table(["ours against", *map(plain, cases())], [best, *lines, time, size]))


def what_stays_open() -> None:
    """Show the channels that the mask leaves open in the joint network of ours, and the score of each modality inside it."""
    lines = []
    for title, results in cases().items():
        runs = results.rows()[OURS]
        for name in results.modalities:
            kept = interval([run.kept[name] for run in runs])
            lines.append([plain(title), name, f"{kept.mean:.0f} ± {kept.half_width:.0f}"])
    say(table(["", "", "open, % of its own channels"], lines, words=2))


def to_best(results: Results) -> Interval | None:
    """Return what ours gains against the best modality alone."""
    return against(results, OURS, best_alone(results) or "")


def _single(results: Results, which: str) -> str:
    best = best_alone(results)
    names = [name for name in alone(results) if (name == best) == (which == "best alone")]
    return ", ".join(f"{name} {score(mean_score(alone(results)[name]))}" for name in names)


def _score(results: Results, name: str) -> str:
    rows = results.rows()
    if name not in rows:
        return NOTHING
    value = score(mean_score(rows[name]))
    return f"**{value}**" if name == OURS else value
