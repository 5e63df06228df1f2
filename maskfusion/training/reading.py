"""How many channels of each modality are open, in one mask or in several whose channels count as one space."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from maskfusion import functional
from maskfusion.mask.mask import ComplementaryMask, by_modality, whole

Shares = dict[str, float]
"""One number per modality, in percent."""


@dataclass(frozen=True)
class Counts:
    """Open channels and all channels of each modality."""

    opened: dict[str, int]
    widths: dict[str, int]

    def __add__(self, other: "Counts") -> "Counts":
        """Both together; modalities of the same name become one."""
        return Counts(_added(self.opened, other.opened), _added(self.widths, other.widths))

    def complementary(self) -> Shares:
        """Open channels in percent of all channels (Eq. 8)."""
        total = sum(self.widths.values())
        return {name: 100 * count / total for name, count in self.opened.items()}

    def contradictory(self) -> Shares:
        """Closed channels in percent of all channels (Eq. 8)."""
        total = sum(self.widths.values())
        return {name: 100 * (self.widths[name] - count) / total for name, count in self.opened.items()}

    def kept(self) -> Shares:
        """Open channels in percent of the modality's own (Eq. 6)."""
        return {name: 100 * count / self.widths[name] for name, count in self.opened.items()}

    def zeta(self, *modalities: str) -> float:
        """The smallest over the largest kept share (Eq. 7)."""
        kept = self.kept()
        unknown = [name for name in modalities if name not in kept]
        if unknown:
            raise ValueError(f"`modalities` has {unknown}; the mask's are {list(kept)}.")
        return float(functional.complementarity([kept[name] for name in modalities or kept]))


@dataclass(frozen=True)
class Reading:
    """One mask at one moment, on the CPU."""

    omega: Tensor
    """Shape ``(channels,)``."""
    channels: list[bool]
    """Which are open."""
    counts: Counts


def read(mask: ComplementaryMask) -> Reading:
    """Look at a mask; every process must ask if Omega is sharded."""
    with _at_hand(mask):
        kept = mask.kept.cpu()
        omega = whole(mask.weight).to("cpu", copy=True)
    parts = by_modality(mask.channels, kept)
    opened = {name: int(part.sum()) for name, part in parts.items()}
    return Reading(omega, kept.tolist(), Counts(opened, dict(mask.channels)))


@contextmanager
def _at_hand(mask: ComplementaryMask) -> Iterator[None]:
    """Bring Omega to where it can be read, if accelerate keeps it elsewhere between two forward passes."""
    hook: Any = getattr(mask, "_hf_hook", None)
    if hook is None or not mask.weight.is_meta:
        yield
        return
    hook.pre_forward(mask)
    try:
        yield
    finally:
        hook.post_forward(mask, None)


def _added(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in [*first, *second]}
