"""The table and the figure at the top of the page: where joining hurts, where it helps, and what recovers the accuracy."""

from collections.abc import Collection
from functools import cache, partial
from statistics import median

from docs.shown.page import NOTHING, compared, draw, marked, points, say, score, table
from docs.shown.study.cases import plain, read
from examples.results import Results, interval
from examples.results.figures.cases import over_best_alone
from examples.results.rows import against, alone, best_alone, cost, mean_score

CONFIRMS = "helps-crema-d-votes"
"""The case on data that nothing was chosen on."""
PAIR = "helps-utd-depth-inertial"
"""The pair of sensors that nothing was chosen on, of data that something was."""
THREE = "helps-utd-all"
"""Three sensors of that data."""
PENN = "even-penn-action"
"""Three modalities of other data, where joining neither costs nor brings points."""
AV = "helps-av-digits"
"""A digit written and spoken, few pairs: data of the first study, which nothing of the recipe was chosen on."""
FIELDS = "helps-cwfid"
"""The case with a class for each pixel, by mIoU."""
ROOMS = "helps-nyuv2"
"""A class for each pixel again, of three seeds and few rows: it is in no table."""
FEW = "even-crema-d-votes-few"
"""CREMA-D with fewer actors to learn from, where five seeds cannot tell."""
DIGITS = "hurts-grid-digits-10db"
"""The noisy microphone again, with another word: a case that hurts and that nothing was chosen on."""
HURTS = {
    "hurts-grid-10db": "GRID letters,\nnoisy\nmicrophone",
    DIGITS: "GRID digits,\nnoisy\nmicrophone",
    "hurts-grid-5db": "GRID letters,\nless noise",
    "hurts-utd-depth-skeleton": "UTD-MHAD:\ndepth,\nskeleton",
    PENN: "Penn Action:\npose, box,\nvisibility",
}
HELPS = {
    "helps-grid-clean": "GRID letters,\nno noise",
    "helps-utd-skeleton-inertial": "UTD-MHAD:\nskeleton,\ninertial",
    PAIR: "UTD-MHAD:\ndepth,\ninertial",
    THREE: "UTD-MHAD:\nall three",
    CONFIRMS: "CREMA-D:\nvoice, votes\non face",
    AV: "AV-digits:\nimage,\nsound",
    FIELDS: "CWFID:\nnear infrared,\nred (mIoU)",
}
UNSEEN = {
    DIGITS: "the word",
    CONFIRMS: "the data",
    PENN: "the data",
    AV: "the data",
    PAIR: "the pair",
    THREE: "the third sensor",
}
"""The cases that nothing of the recipe was chosen on, and what is new in each."""
SURELY = ("hurts-grid-10db", "hurts-grid-5db", DIGITS)
"""Where joining costs points beyond the interval."""
WIDEST = 5
"""Cases of one table."""
OURS, LONG = "alone-together-joined-pooled", "concatenation-longest"
"""The recipe, and concatenation of equal time."""
APART, LONGER = "alone-joined-pooled", "concatenation-long"
"""The recipe without a network trained together, and concatenation with as much time as that."""
ROWS = {
    "concatenation": "concatenation",
    LONGER: "concatenation, 45 epochs",
    LONG: "concatenation, equal time",
    "ogm-ge": "OGM-GE",
    "uniform-vote": "a loss each, all vote",
    "joined": "each alone, then joined",
    "joined-frozen": "each alone, then joined, encoders frozen",
    "joined-ogm-ge": "each alone, then OGM-GE",
    "joined-uniform-vote": "each alone, then a loss each, all vote",
    "pooled-experts": "each alone, then pooled",
    "joined-pooled": "each alone, joined, pooled",
    APART: "each alone, joined under a mask, pooled",
    OURS: "ours: alone and together, joined, pooled",
}
DRAWN = ("concatenation", LONG, "ogm-ge", "uniform-vote", "joined", "pooled-experts", APART, OURS)
"""What the figure shows; the table has all."""


def over(case: str, row: str, base: str = "") -> str:
    """Return what a row gains against another in a case, as the page writes it; against the best modality alone by default."""
    results = read(case)
    return points(against(results, row, base or best_alone(results) or ""))


def reached(case: str, row: str) -> str:
    """Return the mean score of a row in a case."""
    return f"{mean_score(read(case).rows()[row]).mean:.1f}"


def open_share(case: str, modality: str) -> str:
    """Return how many of a modality's channels the joint network of ours leaves open, percent."""
    return f"{interval([run.kept[modality] for run in read(case).rows()[OURS]]).mean:.0f}"


def ahead(base: str, row: str = OURS) -> str:
    """Return in how many cases a row is better than another beyond the interval, of how many."""
    found = [compared(results, row, base) for results in cases().values()]
    return f"{found.count('better')} of {len(found)}"


def times() -> str:
    """Return how many times as long ours takes as concatenation of equal time, the least and the most of all cases."""
    found = [_times(results) for results in cases().values()]
    return f"{min(found):.1f} to {max(found):.1f} times"


def seeds() -> str:
    """Return how many seeds each case has."""
    counts = sorted({results.recipe["seeds"] for results in cases().values()})
    return " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


@cache
def cases() -> dict[str, Results]:
    """Return every case by its title, those that hurt first."""
    return {title: read(name) for name, title in {**HURTS, **HELPS}.items()}


def joining() -> None:
    """Draw the figure and show the tables."""
    draw(partial(over_best_alone, hurting=len(HURTS)), cases(), {name: ROWS[name] for name in DRAWN})
    say(*(table(["", *map(plain, part)], _scores(part.values())) for part in _parts()))


def ours_against() -> None:
    """Show what ours gains against each baseline, and what it costs."""
    say(*(table(["ours against", *map(plain, part)], _gains(part.values())) for part in _parts()))


def unseen() -> None:
    """Show what ours gains in the cases that nothing was chosen on."""
    bases = {"": "the best modality alone", LONG: ROWS[LONG], "pooled-experts": ROWS["pooled-experts"]}
    lines = [
        [plain({**HURTS, **HELPS}[name]), what, *(_gain(read(name), base) for base in bases)]
        for name, what in UNSEEN.items()
    ]
    say(table(["", "new", *(f"over {words}" for words in bases.values())], lines, words=2))


def what_stays_open() -> None:
    """Show the channels that the mask leaves open in the joint network of ours."""
    lines = []
    for title, results in cases().items():
        runs = results.rows()[OURS]
        for name in results.modalities:
            kept = interval([run.kept[name] for run in runs])
            lines.append([plain(title), name, f"{kept.mean:.0f} ± {kept.half_width:.0f}"])
    say(table(["", "", "open, % of its own channels"], lines, words=2))


def _parts() -> list[dict[str, Results]]:
    """Return the cases of each side of the figure, some at a time, by title: more in one table are wider than a page."""
    sides = [list(side.items()) for side in (HURTS, HELPS)]
    parts = [side[at : at + WIDEST] for side in sides for at in range(0, len(side), WIDEST)]
    return [{title: read(name) for name, title in part} for part in parts]


def _scores(part: Collection[Results]) -> list[list[str]]:
    singles = [
        [f"*{name}*", *(_single(results, name) for results in part)] for name in ("best alone", "other alone")
    ]
    return singles + [[words, *(_score(results, name) for results in part)] for name, words in ROWS.items()]


def _gains(part: Collection[Results]) -> list[list[str]]:
    return [
        ["the best modality alone", *(_gain(results) for results in part)],
        *(
            [words, *(_gain(results, name) for results in part)]
            for name, words in ROWS.items()
            if name != OURS
        ),
        ["*time over concatenation of equal time*", *(f"{_times(results):.1f}" for results in part)],
        ["*parameters over concatenation*", *(f"{cost(results, OURS).parameters:.1f}" for results in part)],
    ]


def _gain(results: Results, base: str = "") -> str:
    return marked(against(results, OURS, base or best_alone(results) or ""))


def _times(results: Results) -> float:
    ours, base = (median(run.processor_seconds for run in results.rows()[row]) for row in (OURS, LONG))
    return ours / base


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
