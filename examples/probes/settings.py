"""How it is probed."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from examples.typed import KNOWN_KEYS


@dataclass(frozen=True, config=KNOWN_KEYS)
class Settings:
    """How it is probed.

    Args:
        part: Samples to probe: "test", which the network has never learned from, "train", "validation" or "all".
        labels: Labels to ask for; all side labels and "target" when none are named.
        folds: Number of folds of the cross-validation.
        samples: Largest number of samples to use, drawn at random.
        draws: Number of control tasks, and of random subsets of channels, that are averaged.
        strength: C, the inverse weight of the squared norm of a probe's weights.
        seed: Seed of folds and draws.
    """

    part: str = "test"
    labels: tuple[str, ...] = ()
    folds: Annotated[int, Field(ge=2)] = 5
    samples: Annotated[int, Field(ge=2)] = 1500
    draws: PositiveInt = 3
    strength: PositiveFloat = 1.0
    seed: int = 0
