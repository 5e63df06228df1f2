"""What the start gives, encoders that were trained alone, and what the method: rivals from there, and ours."""

from docs.shown.claims import claim
from docs.shown.page import compared, points
from docs.shown.study.alone_first import DIGITS, LONG, OURS
from docs.shown.study.cases import read
from examples.results import Interval, Run
from examples.results.rows import mean_score, paired_difference, verdict

FROM_ALONE = ("joined", "joined-frozen", "joined-ogm-ge", "joined-uniform-vote")
"""Rows that begin with the encoders of each modality alone, without a pool."""
NOISY, DEPTH = "hurts-grid-10db", "hurts-utd-depth-skeleton"
SAME = "same-encoders-grid-10db"
OTHER = "other-rate-grid-10db"


def same_encoders(row: str) -> str:
    """Return what ours gains on the noisy letters against a row at the learning rate of its own encoders."""
    return points(_against_same(row))


def same_score(row: str) -> str:
    """Return the mean score of that row."""
    return f"{mean_score(_same(row)).mean:.1f}"


def other_rate(base: str) -> str:
    """Return what ours at the learning rate that tuning did not take gains on the noisy letters against a row."""
    return points(_at_other_rate(base))


def start_claims() -> None:
    """Hold what the page says of these rows."""
    noisy = read(NOISY)
    tried = [trial.loss or 0.0 for trial in noisy.trials if trial.row == OURS]
    claim("by less than 0.005", max(tried) - min(tried) < 0.005)
    claim("level with the mouth at the other rate", verdict(_at_other_rate("video")) == "even")
    claim("ahead of concatenation still", verdict(_at_other_rate(LONG)) == "better")
    for row in ("joined-frozen", "joined-ogm-ge"):
        claim(f"close to ours on the noisy letters: {row}", _to(NOISY, OURS, row) == "even")
    claim("ours is better than the vote from there", _to(NOISY, OURS, "joined-uniform-vote") == "better")
    for name in (NOISY, DIGITS, DEPTH):
        claim(f"OGM-GE gains by this start: {name}", _to(name, "joined-ogm-ge", "ogm-ge") == "better")
    for row in FROM_ALONE:
        claim(f"others from there come close: {row}", _to(DIGITS, row, LONG) == "better")
        claim(f"others from there are not below the mouth: {row}", _to(DIGITS, row, "video") != "worse")
    losses = [trial.loss or 0.0 for trial in noisy.trials if trial.row == "joined"]
    claim("less than 0.02 apart", max(losses) - min(losses) < 0.02)
    taken = {
        row: [trial.settings for trial in noisy.trials if trial.row == row and trial.chosen]
        for row in ("joined", "joined-frozen", OURS)
    }
    claim(
        "its tuning took other encoders than ours", taken["joined"] != taken[OURS] == taken["joined-frozen"]
    )
    claim("from those of ours it is level", verdict(_against_same("joined")) == "even")
    claim("the mouth alone at that rate is still behind", verdict(_against_same("video")) == "better")


def _same(row: str) -> list[Run]:
    return read(SAME).rows()[row]


def _against_same(row: str) -> Interval:
    return paired_difference(read(NOISY).rows()[OURS], _same(row))


def _at_other_rate(base: str) -> Interval:
    return paired_difference(read(OTHER).rows()[OURS], read(NOISY).rows()[base])


def _to(name: str, row: str, base: str) -> str:
    return compared(read(name), row, base)
