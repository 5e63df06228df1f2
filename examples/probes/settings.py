"""How it is probed."""

from dataclasses import dataclass


@dataclass(frozen=True)
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
    folds: int = 5
    samples: int = 1500
    draws: int = 3
    strength: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        for name, least in (("folds", 2), ("samples", 2), ("draws", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be at least {least}.")
        if self.strength <= 0:
            raise ValueError(f"`strength` (={self.strength}) must be above 0.")
