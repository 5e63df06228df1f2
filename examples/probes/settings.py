"""How it is probed."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from examples.typed import KNOWN_KEYS


@dataclass(frozen=True, config=KNOWN_KEYS)
class Settings:
    """How it is probed.

    Args:
        part: Which samples: "test", which the network has never learned from, "train", "validation" or "all".
        labels: What is asked; all side labels and "target" when none are named.
        folds: Of the cross-validation.
        samples: At most so many are used, drawn.
        draws: How many control tasks, and random subsets of channels, are averaged.
        strength: C, the inverse weight of the squared norm of a probe's weights.
        seed: Of folds and draws.
    """

    part: str = "test"
    labels: tuple[str, ...] = ()
    folds: Annotated[int, Field(ge=2)] = 5
    samples: Annotated[int, Field(ge=2)] = 1500
    draws: PositiveInt = 3
    strength: PositiveFloat = 1.0
    seed: int = 0
