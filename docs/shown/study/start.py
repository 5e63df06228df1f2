"""What the start gives, encoders that were trained alone, and what the method: rivals from there, and ours."""

from docs.shown.claims import claim
from docs.shown.page import compared
from docs.shown.study.alone_first import DIGITS, LONG, OURS
from docs.shown.study.cases import read

FROM_ALONE = ("joined", "joined-frozen", "joined-ogm-ge", "joined-uniform-vote")
"""Rows that begin with the encoders of each modality alone, without a pool."""
NOISY, DEPTH = "hurts-grid-10db", "hurts-utd-depth-skeleton"


def start_claims() -> None:
    """Hold what the page says of these rows."""
    for row in ("joined-frozen", "joined-ogm-ge"):
        claim(f"close to ours on the noisy letters: {row}", _to(NOISY, OURS, row) == "even")
    claim("ours is better than the vote from there", _to(NOISY, OURS, "joined-uniform-vote") == "better")
    for name in (NOISY, DIGITS, DEPTH):
        claim(f"OGM-GE gains by this start: {name}", _to(name, "joined-ogm-ge", "ogm-ge") == "better")
    for row in FROM_ALONE:
        claim(f"others from there come close: {row}", _to(DIGITS, row, LONG) == "better")
        claim(f"others from there are not below the mouth: {row}", _to(DIGITS, row, "video") != "worse")


def _to(name: str, row: str, base: str) -> str:
    return compared(read(name), row, base)
