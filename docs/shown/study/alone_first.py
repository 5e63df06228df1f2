"""The table and the figure at the top of the page: where joining hurts, where it helps, and what recovers the accuracy."""

from collections.abc import Collection
from dataclasses import replace
from functools import cache, partial
from statistics import fmean

from docs.shown.claims import claim
from docs.shown.page import NOTHING, compared, draw, marked, points, say, score, table
from docs.shown.study.cases import plain, read
from docs.shown.study.start import start_claims
from examples.results import Interval, Results, interval
from examples.results.figures.cases import over_best_alone
from examples.results.rows import against, alone, best_alone, chosen, cost, mean_score

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
SURELY = ("hurts-grid-10db", "hurts-grid-5db", "hurts-utd-depth-skeleton")
"""Where joining costs points beyond the interval."""
WIDEST = 5
"""Cases of one table."""
OURS, LONG = "alone-joined-pooled", "concatenation-long"
MORE, LONGEST = "alone-together-joined-pooled", "concatenation-longest"
ROWS = {
    "concatenation": "concatenation",
    LONG: "concatenation, equal time",
    LONGEST: "concatenation, 75 epochs",
    "ogm-ge": "OGM-GE",
    "uniform-vote": "a loss each, all vote",
    "joined": "each alone, then joined",
    "joined-frozen": "each alone, then joined, encoders frozen",
    "joined-ogm-ge": "each alone, then OGM-GE",
    "joined-uniform-vote": "each alone, then a loss each, all vote",
    "pooled-experts": "each alone, then pooled",
    "joined-pooled": "ours without its mask",
    MORE: "ours with one more, trained together",
    OURS: "ours: alone, joined, pooled",
}
DRAWN = ("concatenation", LONG, "ogm-ge", "uniform-vote", "joined", "pooled-experts", MORE, OURS)
"""What the figure shows; the table has all."""


def over(case: str, row: str, base: str = "") -> str:
    """Return what a row gains against another in a case, as the page writes it; against the best modality alone by default."""
    results = read(case)
    return points(against(results, row, base or best_alone(results) or ""))


def reached(case: str, row: str) -> str:
    """Return the mean score of a row in a case."""
    return f"{mean_score(read(case).rows()[row]).mean:.1f}"


def validated(case: str, row: str) -> str:
    """Return the validation loss of a row on the tuning seed, with the better of its rates."""
    return f"{_loss(read(case), row):.3f}"


def open_share(case: str, modality: str) -> str:
    """Return how many of a modality's channels the joint network of ours leaves open, percent."""
    return f"{interval([run.kept[modality] for run in read(case).rows()[OURS]]).mean:.0f}"


def gains(row: str = OURS) -> str:
    """Return in how many cases a row is better than concatenation of equal time beyond the interval, of how many."""
    found = [compared(results, row, LONG) for results in cases().values()]
    return f"{found.count('better')} of {len(found)}"


def times() -> str:
    """Return how many times as long ours takes as concatenation, the least and the most of all cases."""
    found = [cost(results, OURS).time for results in cases().values()]
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


def what_stays_open() -> None:
    """Show the channels that the mask leaves open in the joint network of ours."""
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
        ["the best modality alone", *(marked(to_best(results)) for results in part)],
        *(
            [words, *(marked(against(results, OURS, name)) for results in part)]
            for name, words in ROWS.items()
            if name != OURS
        ),
        ["*time over concatenation*", *(f"{cost(results, OURS).time:.1f}" for results in part)],
        ["*parameters over concatenation*", *(f"{cost(results, OURS).parameters:.1f}" for results in part)],
    ]


def _loss(results: Results, row: str) -> float:
    (loss,) = (trial.loss for trial in results.trials if trial.row == row and trial.chosen)
    if loss is None:
        raise ValueError(f"the trial of {row!r} that was chosen failed.")
    return loss


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


def joining_claims() -> None:
    """Hold what the page says of these cases."""
    for name in SURELY:
        results = read(name)
        costs = [compared(results, row, best_alone(results) or "") for row in ("concatenation", LONG)]
        claim(f"joining costs points, with equal time too: {name}", *(each == "worse" for each in costs))
    for name in HURTS:
        claim(f"ours recovers them: {name}", compared(read(name), OURS, LONG) == "better")
    less = read("hurts-grid-5db")
    claim("with less noise better than the mouth alone", compared(less, OURS, "video") == "better")
    five = replace(less, runs=[run for run in less.runs if run.seed < 5])
    claim(
        "with five seeds this was within the interval",
        *(compared(five, row, "video") == "even" for row in ("concatenation", LONG)),
    )
    for title, results in cases().items():
        bases = (best_alone(results) or "", "concatenation", LONG)
        for row in (OURS, MORE):
            claim(
                f"{row} is never significantly worse than the best modality alone, nor than concatenation, but for ours on CWFID: {title}",
                (results is read(FIELDS) and row == OURS)
                or all(compared(results, row, base) in ("even", "better") for base in bases),
            )
    for name in HELPS:
        results = read(name)
        claim(
            f"joining brings points: {name}",
            compared(results, LONG, best_alone(results) or "") == "better",
        )
    _mask_claims()
    _confirmed()
    _fields()
    start_claims()


def _confirmed() -> None:
    """Hold what the page says of the case that nothing was chosen on."""
    results = read(CONFIRMS)
    best = best_alone(results) or ""
    claim("the votes are the best alone", best == "faces")
    for base in (best, "concatenation", LONG):
        claim(f"confirmed beyond its interval against {base}", compared(results, OURS, base) == "better")
    pair = read(PAIR)
    for base in (best_alone(pair) or "", LONG):
        claim(f"a new pair, better than {base}", compared(pair, OURS, base) == "better")
    for base in ("concatenation", "pooled-experts"):
        claim(f"a new pair, level with {base}", compared(pair, OURS, base) == "even")
    three = read(THREE)
    for base in (best_alone(three) or "", "concatenation", LONG, "ogm-ge", "joined-frozen", "joined-ogm-ge"):
        claim(f"three sensors, better than {base}", compared(three, OURS, base) == "better")
    for base in ("pooled-experts", "uniform-vote", "joined", "joined-uniform-vote"):
        claim(f"three sensors, level with {base}", compared(three, OURS, base) == "even")
    penn = read(PENN)
    claim("the pose is the best alone", best_alone(penn) == "pose")
    for row in ("concatenation", LONG):
        claim(f"joining neither costs nor brings: {row}", compared(penn, row, "pose") == "even")
    for base in ("pose", "concatenation", LONG):
        claim(f"on Penn Action better than {base}", compared(penn, OURS, base) == "better")
    kept = [fmean(run.kept[name] for run in penn.rows()[OURS]) for name in ("pose", "box", "visibility")]
    claim("most of what is worth least is closed", kept == sorted(kept, reverse=True), kept[-1] < 60)
    digits = read(AV)
    claim("the sound is the best alone", best_alone(digits) == "sound")
    for base in ("sound", LONG, "ogm-ge"):
        claim(f"on AV-digits better than {base}", compared(digits, OURS, base) == "better")
    for base in ("concatenation", "pooled-experts", "uniform-vote", "joined"):
        claim(f"on AV-digits level with {base}", compared(digits, OURS, base) == "even")
    few = read(FEW)
    for row in ("concatenation", LONG, "pooled-experts", OURS):
        claim(f"few actors cannot tell: {row}", compared(few, row, "faces") == "even")
    for row, base in (("concatenation", best), (OURS, "pooled-experts")):
        claim(f"within the interval: {row}, {base}", compared(results, row, base) == "even")


def _fields() -> None:
    """Hold what the page says of the case with a class for each pixel."""
    fields = read(FIELDS)
    claim("near infrared is the best alone", best_alone(fields) == "nir")
    for base, how in (("nir", "better"), ("concatenation", "worse"), ("joined", "worse")):
        claim(f"ours is {how} than {base}", compared(fields, OURS, base) == how)
    for row in ("joined", "pooled-experts", "uniform-vote"):
        claim(f"worse than concatenation: {row}", compared(fields, row, "concatenation") == "worse")
    for base, how in (("nir", "better"), ("concatenation", "even"), (LONG, "even")):
        claim(f"one more in the pool is {how} against {base}", compared(fields, MORE, base) == how)
    for title, results in cases().items():
        for base in ("pooled-experts", OURS):
            claim(f"one more is nowhere worse than {base}: {title}", compared(results, MORE, base) != "worse")
    timed = [name for name in (*HURTS, *HELPS) if LONGEST in read(name).rows()]
    claim("75 epochs were run in four cases", len(timed) == 4)
    claim(
        "and it is worse there in none", *(compared(read(name), MORE, LONGEST) != "worse" for name in timed)
    )
    claim("its validation loss is lower", _loss(fields, MORE) < _loss(fields, "concatenation"))


def _mask_claims() -> None:
    """Hold what the page says of the mask of ours, and of the noisy microphone."""
    noisy = read("hurts-grid-10db")
    claim("next to nothing", mean_score(noisy.rows()["sound"]).mean < 12)
    for base in (best_alone(noisy) or "", "pooled-experts"):
        claim(f"better than {base}", compared(noisy, OURS, base) == "better")
    for title, results in cases().items():
        for name in results.modalities:
            kept = interval([run.kept[name] for run in results.rows()[OURS]]).mean
            noise = name == "sound" and "snr" in results.recipe["data_options"]
            closes = noise or results in (read(CONFIRMS), read(PENN), read(FIELDS)) or name == "image"
            claim(
                f"it closes the noisy microphone, all on CREMA-D, Penn Action and CWFID, digits' images, and hardly anything else: {title}, {name}",
                kept < 95 if closes else kept > 99,
            )
    for title, results in cases().items():
        claim(f"level without a mask: {title}", compared(results, OURS, "joined-pooled") == "even")
    clean = read("helps-grid-clean")
    claim("level without noise", compared(clean, OURS, LONG) == "even")
    for row in ("pooled-experts", "joined", "uniform-vote"):
        claim(f"where it loses: {row}", compared(clean, OURS, row) == "worse")
    tried = [trial.loss or 0.0 for trial in clean.trials if trial.row == OURS]
    claim("both rates had the same validation loss", max(tried) - min(tried) < 0.005)
    taken = [trial.settings for trial in clean.trials if trial.row == OURS and trial.chosen]
    claim("the worse one for the sound alone", taken != [chosen(clean, "sound")])
    for name in ("hurts-utd-depth-skeleton", "helps-utd-skeleton-inertial", PAIR):
        claim(
            f"level with the pool: {name}",
            compared(read(name), OURS, "pooled-experts") == "even",
        )
