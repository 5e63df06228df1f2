"""What accuracy smaller networks have: the figure, and the numbers of its sentences."""

from functools import cache

from docs.shown.claims import claim
from docs.shown.page import RESULTS, compared, draw, points
from examples.results import Results
from examples.results.rows import against
from examples.trade import figure
from examples.trade.figure import Case
from examples.trade.records import TradeResults

TITLES = {
    "utd-depth-skeleton": "UTD-MHAD:\ndepth, skeleton",
    "grid-10db": "GRID, noisy\nmicrophone",
    "utd-skeleton-inertial": "UTD-MHAD:\nskeleton, inertial",
    "crema-d-votes": "CREMA-D:\nvoice, votes on faces",
}
UTD = ("utd-depth-skeleton", "utd-skeleton-inertial")
SHARES = ("quarter", "eighth")
FAMILIES = {
    "mask": "kept by the mask's Omega",
    "contribution": "by weights times activations",
    "filters": "by filter norm",
    "random": "at random",
    "narrow": "narrower from scratch, last layers",
    "thin": "narrower from scratch, all layers",
}


@cache
def case(name: str) -> Case:
    """Return a comparison and the sizes of its networks."""
    folder = RESULTS / "trade"
    return Case(Results.read(folder / f"{name}.json"), TradeResults.read(folder / f"{name}-sizes.json"))


def picture() -> None:
    """Draw the figure."""
    rows = {words: [f"{family}-{share}" for share in ("half", *SHARES)] for family, words in FAMILIES.items()}
    draw(figure.draw, {title: case(name) for name, title in TITLES.items()}, rows)


def over(name: str, row: str, base: str) -> str:
    """Return what a row gains against another, paired by seed, as the page writes it."""
    return points(against(case(name).results, row, base))


def time(name: str, row: str) -> str:
    """Return the time of a row's networks, percent of that of the full network."""
    return f"{case(name).time(row):.0f}"


def without(name: str, family: str) -> str:
    """Return how many networks of a family do without a modality."""
    return closed(name, *(f"{family}-{share}" for share in SHARES))


def closed(name: str, *rows: str) -> str:
    """Return how many networks of some rows do without a modality."""
    found = [count for row in rows for count in case(name).unread(row)]
    return f"{sum(count > 0 for count in found)} of {len(found)}"


def seeds() -> str:
    """Return how many seeds each case has."""
    (count,) = {case(name).results.recipe["seeds"] for name in TITLES}
    return str(count)


def claims() -> None:
    """Hold what the page says in words."""
    for name in TITLES:
        for share in SHARES:
            claim(f"hardly any time: {name}", case(name).time(f"filters-{share}") > 85)
    for share in SHARES:
        for rival in ("filters", "random", "narrow"):
            claim(
                f"far better on the noisy microphone: {rival}", _mask("grid-10db", rival, share) == "better"
            )
            claim(f"no better than {rival} elsewhere", *(_mask(name, rival, share) == "even" for name in UTD))
        claim("level with it on the noisy microphone", _mask("grid-10db", "contribution", share) == "even")
    rest = {"utd-depth-skeleton": "worse", "utd-skeleton-inertial": "better"}
    for name, word in rest.items():
        claim(f"{word} than weights times activations: {name}", _mask(name, "contribution", "eighth") == word)
    votes = "crema-d-votes"
    for share in SHARES:
        for rival in ("filters", "contribution", "random", "narrow"):
            claim(f"all are level on CREMA-D: {rival}", _mask(votes, rival, share) == "even")
        for row in ("faces", f"mask-{share}"):
            claim(
                f"as good as the full network on CREMA-D: {row}",
                compared(case(votes).results, row, "concatenation") == "even",
            )
    both = case("utd-skeleton-inertial")
    costs = [both.score("concatenation").mean - both.score(row).mean for row in ("thin-half", "mask-quarter")]
    claim(
        "half of all channels costs about as much",
        abs(costs[0] - costs[1]) < 1.5,
        both.time("thin-half") < 70,
    )
    claim("a quarter saves hardly any time", both.time("mask-quarter") > 90)
    for name, best in (("utd-depth-skeleton", "skeleton"), ("grid-10db", "video")):
        here, there = (case(name).score(row).mean for row in (best, "mask-quarter"))
        claim("the better modality alone is better than any of these", here > there + 1)


def _mask(name: str, rival: str, share: str) -> str:
    return compared(case(name).results, f"mask-{share}", f"{rival}-{share}")
