"""A mask that is about to close completely in the first steps of training, before the network has learned what its channels are worth."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakMethod, ref

import torch
from torch import Tensor

from maskfusion.mask.mask import ComplementaryMask
from maskfusion.training.omega import omega_parameters

LOOKS = 2, 4, 8, 16, 32
"""Steps after which Omega is looked at."""
SOON = 20
"""Steps in which no network learns much; what closes until then, or in as many steps again as there were, closes too early."""
NEARLY_ALL = 0.98
"""Part of the open channels that has to be on its way to the threshold: by chance it is about a half."""
FEWEST = 16
"""Open channels that it takes: of fewer, all may fall by chance."""


class Seen(NamedTuple):
    """Omega before the first step, and at the last look."""

    start: Tensor
    omega: Tensor
    looked: int = 0
    """Step of the last look."""
    steps: int = 0


class FirstSteps:
    """Looks at one Omega as its gradients come, by a hook of that Omega alone, which goes after 32 steps or with who listens.

    A step is whatever has changed Omega in place between two gradients, so that accumulated batches are none.

    Args:
        path: Path of the mask.
        mask: Mask to look at.
        foretell: Method that says of the mask at a path what goes on after its name. Neither its object nor the mask is kept alive: what a
            tensor's hooks hold, no garbage collector finds.
    """

    def __init__(self, path: str, mask: ComplementaryMask, foretell: Callable[[str, str], None]) -> None:
        self.path = path
        self._mask = ref(mask)
        self._foretell = WeakMethod(foretell)
        self._seen: Seen | None = None
        self._version = 0
        omega: Any = omega_parameters(mask)[0]
        if omega.requires_grad:
            self._handle = omega.register_post_accumulate_grad_hook(self._look)

    def _look(self, omega: Tensor) -> None:
        """What the hook does: ``omega`` has its gradient, and is as the last step has left it."""
        mask, foretell = self._mask(), self._foretell()
        if mask is None or foretell is None:
            self._handle.remove()
        elif not torch.compiler.is_compiling() and _readable(omega):
            stepped, self._version = omega._version != self._version, omega._version
            if self._seen is None:
                now = mask.weight.detach().clone()
                self._seen = Seen(now, now)
            elif stepped and (text := self._stepped(mask, self._seen._replace(steps=self._seen.steps + 1))):
                foretell(self.path, text)

    def _stepped(self, mask: ComplementaryMask, seen: Seen) -> str:
        """Go on by a step; what there is to say, mostly nothing."""
        if seen.steps not in LOOKS:
            self._seen = seen
            return ""
        self._seen = seen._replace(omega=mask.weight.detach().clone(), looked=seen.steps)
        if seen.steps == LOOKS[-1]:
            self._handle.remove()
        return foreseen(seen, mask)


def foreseen(seen: Seen, mask: ComplementaryMask) -> str:
    """What there is to say of a mask after so many steps; nothing, mostly."""
    omega = mask.weight.detach()
    opened = seen.start > mask.threshold
    pace = (seen.omega - omega) / (seen.steps - seen.looked)
    left = torch.where(omega > mask.threshold, (omega - mask.threshold) / pace.clamp(min=0), 0.0)[opened]
    due = left[seen.steps + left <= max(SOON, 2 * seen.steps)]
    if mask.min_channels or len(left) < FEWEST or len(due) < NEARLY_ALL * len(left):
        return ""
    last = seen.steps + math.ceil(float(due.max()) - 0.01)
    fate = "has closed wholly" if last == seen.steps else "is about to close wholly"
    return (
        f"{fate}: after {seen.steps} steps of its optimiser, {len(due)} of {len(left)} channels are closed or will be by step {last}, before the "
        f"network can have learned what they are worth. Give Omega a smaller learning rate, `parameter_groups(mask_lr=...)`: under Adam a channel "
        f"closes in (`init` - `threshold`) / learning rate steps. Or start it further above the threshold (`init`); lower lambda, or let "
        f"WarmupPenalty raise it when the network has learned; or set `min_channels`. `collapse_after=None` turns this off."
    )


def _readable(omega: Tensor) -> bool:
    """Whether Omega can be read here and now: it is in one piece, and no CUDA graph is being recorded."""
    recorded = omega.is_cuda and torch.cuda.is_current_stream_capturing()
    return not (recorded or omega.is_meta or hasattr(omega, "full_tensor"))
