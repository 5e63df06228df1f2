"""What to say when all channels of a modality close and stay closed."""

import warnings
from collections.abc import Mapping

from torch import distributed as dist

REPORTED = -1
"""In place of a number of updates: not to be reported again."""
CURE = (
    "If the task should use it: lower lambda, or let WarmupPenalty or SteeredPenalty set it; lower the learning rate of Omega and "
    "keep weight decay off it, both with parameter_groups; start Omega further above the threshold (`init`); or set `min_channels`, "
    "so that no modality can close completely. Reported once; `collapse_after=None` turns it off."
)


class CollapseWarning(UserWarning):
    """All channels of a modality have been closed for several updates of a ``ComplementarityTracker``.

    That can be a finding, or a penalty that is too strong or came too early. ``warnings.simplefilter("error", CollapseWarning)``
    stops the training there.
    """


def watch_collapse(path: str, shares: Mapping[str, float], closed: dict[str, int], after: int | None) -> None:
    """Count in ``closed`` for how many updates each modality of a mask has had no open channel; warn once after ``after``.

    The warning points to the caller of ``update``, and comes from the first process only.
    """
    fresh = []
    for modality, share in shares.items():
        updates = closed.get(modality, 0)
        if updates != REPORTED:
            updates = updates + 1 if share == 0 else 0
            if after is not None and updates >= after:
                fresh.append(repr(modality))
                updates = REPORTED
        closed[modality] = updates
    if not fresh or (dist.is_available() and dist.is_initialized() and dist.get_rank() != 0):
        return
    mask = f"Mask {path!r}" if path else "The mask"
    blind = (
        "" if any(shares.values()) else " No other is open either, so the network no longer sees its input."
    )
    warnings.warn(
        f"{mask} has had no open channel of {', '.join(fresh)} for {after} updates.{blind} {CURE}",
        CollapseWarning,
        stacklevel=3,
    )
