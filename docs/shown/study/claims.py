"""What the page says of the studies in words, held against the files."""

from docs.shown.claims import claim
from docs.shown.study.cases import (
    open_channels,
    own_share,
    read,
    studies,
    thirty,
    to_best,
    to_concatenation,
)
from docs.shown.study.vote import choice
from examples.results import Interval, Results
from examples.results.rows import against, alone, verdict

VOTE, ALONE = "mask-uniform-vote", "uniform-vote"
HELD_BACK = {"concatenation", ALONE, VOTE}
"""Rows that the sentence on small sets does not speak of."""


def claims() -> None:
    """Hold them all."""
    _in_short()
    _cwfid()
    _three_modalities()
    _vote()
    _decision()


def _is(word: str, difference: Interval | None) -> bool:
    return difference is not None and verdict(difference) == word


def _beats_both(results: Results, row: str) -> bool:
    return _is("better", to_concatenation(results, row)) and _is("better", to_best(results, row))


def _in_short() -> None:
    penn, fields = read("penn-action"), read("cwfid")
    for name in ("uniform", "mmpareto", "mask-uniform", "mask-strong-uniform"):
        claim(f"{name} helps on Penn Action", _beats_both(penn, name))
    for title, results in studies().items():
        small = open_channels(results.rows()["mask-strong-uniform"]).mean <= 20
        claim(
            f"a fifth of the channels or fewer is level or better but on CWFID: {title}",
            not _is("worse", to_concatenation(results, "mask-strong-uniform")),
            small != (results is fields),
        )
        if results is not penn:
            others = set(results.rows()) - set(alone(results)) - HELD_BACK
            better = [name for name in others if _is("better", to_concatenation(results, name))]
            claim(f"no rival and no mask beats concatenation: {title}", better == [])


def _cwfid() -> None:
    fields = read("cwfid")
    scores = {name: [run.score for run in runs] for name, runs in fields.rows().items()}
    every = [score for row in scores.values() for score in row]
    claim("most runs end at 51 to 54", sum(50.5 <= score <= 54.5 for score in every) > 0.6 * len(every))
    claim("some at 31", sum(30 <= score <= 32 for score in every) >= 5)
    high = [sum(58.5 <= score <= 66.5 for score in row) for row in scores.values()]
    claim("one of most methods' five at 59 to 66", high.count(1) > len(high) / 2)
    claim("PMR is shown as failed", {failure.row for failure in fields.failures} == {"pmr"})


def _three_modalities() -> None:
    masked = read("utd-all").rows()["mask"]
    claim("fewer than one in a hundred of depth's channels", own_share(masked, "depth") < 1)
    claim("a quarter of the skeleton's", abs(own_share(masked, "skeleton") - 25) < 4)
    claim("a third of the wrist sensor's", abs(own_share(masked, "inertial") - 33) < 5)


def _vote() -> None:
    depth, first, again, digits = (
        read(f"confirm-{name}")
        for name in (
            "utd-depth-skeleton",
            "utd-skeleton-inertial",
            "again-utd-skeleton-inertial",
            "av-digits-300",
        )
    )
    claim("it beats both on two of these", _beats_both(again, VOTE), _beats_both(digits, VOTE))
    claim(
        "with depth it beats concatenation, and the skeleton alone not beyond the interval",
        _is("better", to_concatenation(depth, VOTE)),
        _is("even", to_best(depth, VOTE)),
    )
    missed = to_concatenation(first, VOTE)
    claim("missed by a hair", missed is not None and 0 < missed.half_width - missed.mean < 0.05)
    claim("over all thirty", thirty().count == 30, _is("better", thirty()))
    for name in ("utd-all", "penn-action"):
        claim(f"ahead of both on {name} as well", _beats_both(read(name), VOTE))
    claim("below concatenation on CWFID", _near(to_concatenation(read("cwfid"), VOTE), -12, within=3))
    claim("level with it without the vote", _is("even", to_concatenation(read("cwfid"), "mask-uniform")))
    for results in (depth, first, again):
        claim("level on UTD-MHAD", _is("even", against(results, VOTE, ALONE)))
        claim("a third of its channels or fewer", open_channels(results.rows()[VOTE]).mean < 36)
    claim("better on AV-digits", _is("worse", against(digits, VOTE, ALONE)))


def _decision() -> None:
    both = [results.data for results in studies().values() if _beats_both(results, choice(results))]
    claim("beats both beyond the interval on three of the seven", len(both) == 3, len(studies()) == 7)
    for title, results in studies().items():
        name = choice(results)
        differences = (to_concatenation(results, name), to_best(results, name))
        claim(f"nowhere worse than either: {title}", *(not _is("worse", each) for each in differences))


def _near(difference: Interval | None, said: float, *, within: float) -> bool:
    return difference is not None and abs(difference.mean - said) <= within
