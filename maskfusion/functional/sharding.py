"""Reading a parameter that is cut into pieces, one per process (FSDP2)."""

from typing import Any, cast

from torch import Tensor


def gathered(weight: Tensor) -> Tensor:
    """Return the whole of a sharded weight, with its gradient, on every process; any other tensor is returned as it is.

    Every process must call it. The gradient of a piece is that of this process's own loss, not a mean over processes, so it is right
    for a loss that is the same on all, such as a penalty.
    """
    if not hasattr(weight, "full_tensor"):
        return weight
    return cast("Tensor", cast("Any", weight).full_tensor())
