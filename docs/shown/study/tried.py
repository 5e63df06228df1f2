"""What else was tried: other pools of the same networks, other masks, a modality that is missing in the test."""

from functools import cache

from docs.shown.claims import claim
from docs.shown.page import RESULTS, compared, marked, points, say, score, table
from docs.shown.study.alone_first import CONFIRMS, FIELDS, HELPS, HURTS, OURS, THREE
from docs.shown.study.cases import plain, read
from examples.pools import ways
from examples.pools.records import PoolResults
from examples.results import Interval, interval
from examples.results.rows import against, verdict

NOISY, DEPTH, SENSORS = "hurts-grid-10db", "hurts-utd-depth-skeleton", "helps-utd-skeleton-inertial"
POOLED = (NOISY, DEPTH, SENSORS, CONFIRMS, FIELDS)
"""The cases whose networks were pooled again."""
MASKED = (NOISY, DEPTH, SENSORS, CONFIRMS)
"""Those whose networks had other masks."""
LACKING = (NOISY, SENSORS, CONFIRMS, THREE)
"""Those that lack a modality in the test."""
MORE = f"{FIELDS}-more"
"""Seeds of CWFID that nothing was chosen on."""
WORDS = {
    ways.NOT_JOINED: "without the joint network",
    ways.NOT_TOGETHER: "without the network trained together",
    ways.ALONE_ONLY: "those of single modalities only",
    ways.TOGETHER_ONLY: "only that one: concatenation",
    ways.BEST: "the best single head on validation",
    ways.EQUAL: "equal weights",
    ways.RIDGE_LOW: "a tenth of the ridge",
    ways.RIDGE_HIGH: "ten times the ridge",
    ways.OTHER_BALANCE: "`balanced` the other way",
    ways.ORACLE: "weights fitted to the *test* part",
}
MASKS = {
    "one-omega": "one Omega for each modality",
    "validated-mask": "Omega from the validation part, no lambda",
}


@cache
def pooled(case: str) -> PoolResults:
    """Return the runs of ours in a case, pooled again."""
    return PoolResults.read(RESULTS / f"pools-{case}.json")


def gains(case: str, way: str, base: str = ways.AS_TRAINED) -> Interval:
    """Return the paired difference between two ways of pooling, points."""
    return interval([run.scores[way] - run.scores[base] for run in pooled(case).runs])


def other_pool(case: str, way: str) -> str:
    """Return what another pool, a name in `ways`, gains over that of ours, as the page writes it."""
    return points(gains(case, getattr(ways, way)))


def other_pools() -> None:
    """Show what other pools of the same networks gain."""
    lines = [[words, *(marked(gains(case, way)) for case in POOLED)] for way, words in WORDS.items()]
    say(table(["", *_titles(POOLED)], lines))


def other_masks() -> None:
    """Show what other masks on the joint network gain, and what they leave open."""
    lines = [
        [words, *(marked(against(read(f"variants-{case}"), row, OURS)) for case in MASKED)]
        for row, words in MASKS.items()
    ]
    opened = [
        [f"*open: {words}*", *(_open(case, row) for case in MASKED)]
        for row, words in {OURS: "ours", **MASKS}.items()
    ]
    say(table(["", *_titles(MASKED)], [*lines, *opened]))


def one_missing() -> None:
    """Show the scores where a modality is missing in the test."""
    lines = [
        [
            plain(_title(case)),
            name,
            score(_mean(case, ways.AS_TRAINED)),
            score(_mean(case, ways.missing(name))),
            score(_mean(case, ways.missing_together(name))),
        ]
        for case in LACKING
        for name in pooled(case).modalities
    ]
    head = [
        "",
        "missing",
        "ours, nothing missing",
        "pool of the rest",
        "network trained together, at the mean",
    ]
    say(table(head, lines, words=2))


def _mean(case: str, way: str) -> Interval:
    return interval([run.scores[way] for run in pooled(case).runs])


def _open(case: str, row: str) -> str:
    results = read(f"variants-{case}")
    runs = results.rows()[row]
    return ", ".join(
        f"{name} {interval([run.kept[name] for run in runs]).mean:.0f}" for name in results.modalities
    )


def _titles(cases: tuple[str, ...]) -> list[str]:
    return [plain(_title(case)) for case in cases]


def _title(case: str) -> str:
    return {**HURTS, **HELPS}[case]


def tried_claims() -> None:
    """Hold what the page says of these."""
    worse, better = ({way: _where(way, how) for way in WORDS} for how in ("worse", "better"))
    claim("the joint network gains on the noisy letters", worse[ways.NOT_JOINED] == {NOISY})
    claim("the network trained together on CWFID", worse[ways.NOT_TOGETHER] == {FIELDS})
    claim("without both", worse[ways.ALONE_ONLY] == {NOISY, FIELDS})
    claim("together alone is behind", worse[ways.TOGETHER_ONLY] == {*POOLED} - {FIELDS})
    claim("equal weights lose", worse[ways.EQUAL] == {NOISY, FIELDS})
    claim("and gain", better[ways.EQUAL] == better[ways.RIDGE_HIGH] == {SENSORS})
    claim("better weights", better[ways.ORACLE] == {DEPTH, SENSORS, CONFIRMS})
    claim("pixels count the same", worse[ways.OTHER_BALANCE] == {FIELDS})
    left = (ways.NOT_JOINED, ways.NOT_TOGETHER, ways.ALONE_ONLY, ways.TOGETHER_ONLY, ways.OTHER_BALANCE)
    claim("no other is better", not any(better[way] for way in (*left, ways.BEST, ways.RIDGE_LOW)))
    for case in MASKED:
        results = read(f"variants-{case}")
        for name in results.modalities:
            ours, one, moved = (
                interval([run.kept[name] for run in results.rows()[row]]).mean for row in (OURS, *MASKS)
            )
            claim(f"closes nothing, closes more: {case}, {name}", one == 100, moved < ours - 10)
        costs = [compared(results, row, OURS) for row in MASKS]
        claim(f"costs accuracy there: {case}", costs == ["even", "worse" if case == NOISY else "even"])
    for case in LACKING:
        for name in pooled(case).modalities:
            claim(
                f"ahead in every line: {case}, {name}",
                gains(case, ways.missing(name), ways.missing_together(name)).mean > 2,
            )
    for way in (ways.OTHER_BALANCE, ways.TOGETHER_ONLY):
        claim(
            f"on four other seeds: {way}", verdict(gains(MORE, way)) != "better", len(pooled(MORE).runs) == 4
        )
    claim("level with all three", verdict(gains(THREE, ways.missing("depth"))) == "even")


def _where(way: str, how: str) -> set[str]:
    return {case for case in POOLED if verdict(gains(case, way)) == how}
