"""The dials that are turned, one at a time, and what every setting means for the data."""

from collections.abc import Callable
from dataclasses import dataclass

from examples.data.sets.synthetic import BACKGROUND, Dials


@dataclass(frozen=True)
class Case:
    """One setting of one dial.

    Args:
        data: Who knows what.
        train: Samples to learn from; as many as in all other cases if None.
    """

    data: Dials
    train: int | None = None


@dataclass(frozen=True)
class Dial:
    """One column of the picture.

    Args:
        title: Title of the dial, in a few words.
        axis: Meaning of a value, with its unit.
        values: Values from one end to the other.
        turn: Function from a value to its case. Modality "a" has no noise but the background, no conflict, and a scale of 1.
    """

    title: str
    axis: str
    values: tuple[float, ...]
    turn: Callable[[float], Case]


DIALS: dict[str, Dial] = {
    "redundancy": Dial(
        "both say the same",
        "share of the label in both;\nrest: half a, half b",
        (0.0, 0.25, 0.5, 0.75, 1.0),
        lambda share: Case(Dials(share, ((1 - share) / 2, (1 - share) / 2))),
    ),
    "copy": Dial(
        "b copies a part of a",
        "share of the label in both;\nrest: a",
        (0.0, 0.25, 0.5, 0.75, 1.0),
        lambda share: Case(Dials(share, (1 - share, 0.0))),
    ),
    "unique": Dial(
        "b knows its own part",
        "share of the label in b alone;\nrest: a",
        (0.0, 0.125, 0.25, 0.375, 0.5),
        lambda share: Case(Dials(0.0, (1 - share, share))),
    ),
    "synergy": Dial(
        "only both together know",
        "share that needs both;\nrest: half a, half b",
        (0.0, 0.25, 0.5, 0.75, 1.0),
        lambda share: Case(Dials(0.0, ((1 - share) / 2, (1 - share) / 2), share)),
    ),
    "noise": Dial(
        "b is noisy",
        "standard deviation of b's\nnoise; a's is 0.3",
        (BACKGROUND, 0.5, 1.0, 2.0, 4.0),
        lambda noise: Case(Dials(noise=(BACKGROUND, noise))),
    ),
    "conflict": Dial(
        "b shows another label",
        "share of samples in which b\nshows a random label",
        (0.0, 0.1, 0.25, 0.5, 1.0),
        lambda share: Case(Dials(conflict=(0.0, share))),
    ),
    "scale": Dial(
        "b in another unit",
        "what the values of b\nare multiplied by",
        (0.01, 0.1, 1.0, 10.0, 100.0),
        lambda scale: Case(Dials(scale=(1.0, scale))),
    ),
    "samples": Dial(
        "b is noisy, more samples",
        "samples to learn from;\nb's noise is 2",
        (512, 2048, 8192, 32768),
        lambda train: Case(Dials(noise=(BACKGROUND, 2.0)), int(train)),
    ),
}
"""By name. Where a dial says nothing else, half of the label is in both modalities and a quarter in each alone."""
