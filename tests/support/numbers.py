"""Numbers in prose beside numbers that were measured: equal up to a margin, so that measuring again does not trip over the last digit."""

import re
from collections.abc import Sequence

import pytest

from examples.results import Interval

POINTS = 0.3
"""How far a score, a difference or its interval may be from what a page says, in points."""
SHARE = 2.0
"""The same of a share of channels, in percent."""
ZETA = 0.03
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_INTERVAL = re.compile(rf"({NUMBER.pattern}) ± ({NUMBER.pattern})")


def numbers(text: str) -> list[float]:
    """Every number of a text, in its order; commas between thousands do not part it."""
    return [float(number) for number in NUMBER.findall(re.sub(r"(?<=\d),(?=\d{3})", "", text))]


def says(text: str, *measured: float, within: float = POINTS) -> bool:
    """Whether the numbers of a text are these, one for one."""
    return numbers(text) == pytest.approx(list(measured), abs=within)


def holds(text: str, measured: Interval) -> bool:
    """Whether a text speaks of an interval somewhere: "+2.3 ± 1.5"."""
    wanted = pytest.approx([measured.mean, measured.half_width], abs=POINTS)
    return any([float(mean), float(half)] == wanted for mean, half in _INTERVAL.findall(text))


def wording(text: str) -> Sequence[str]:
    """The text between its numbers."""
    return NUMBER.split(text)
