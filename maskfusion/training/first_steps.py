"""A mask that is about to close wholly in the first steps of training, before the network has learned what its channels are worth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from maskfusion.mask.mask import ComplementaryMask
from maskfusion.training.penalty import holds

LOOKS = 2, 4, 8, 16, 32
"""Steps of its optimiser after which Omega is looked at."""
SOON = 20
"""Steps in which no network learns much; what closes until then, or in as many steps again as there were, closes too early."""
NEARLY_ALL = 0.98
"""Part of the open channels that has to be on its way to the threshold: by chance it is about a half."""
FEWEST = 16
"""Open channels that it takes: of fewer, all may fall by chance."""
PATIENCE = 1000
"""Steps of any optimiser after which nobody looks any more."""


@runtime_checkable
class Watcher(Protocol):
    """A tracker, which has masks and can say something of them."""

    def _masks_there(self) -> Mapping[str, ComplementaryMask]:
        """The masks by path."""
        ...

    def _foretell(self, path: str, text: str) -> None:
        """Say of a mask what goes on after its name."""
        ...


class Seen(NamedTuple):
    """Omega before the first step, and at the last look."""

    start: Tensor
    omega: Tensor
    looked: int = 0
    """Step of the last look."""
    steps: int = 0


@dataclass
class Sights:
    """What a watcher has seen of each mask, in how many steps of any optimiser."""

    seen: dict[str, Seen] = field(default_factory=dict)
    steps: int = 0


WATCHERS: "WeakKeyDictionary[Watcher, Sights]" = WeakKeyDictionary()
"""Who watches the first steps, as long as it lives and has not seen enough."""


def watch_first_steps(watcher: Watcher) -> None:
    """Look at Omega in the first steps of whichever optimiser has it, from now on."""
    _hook()
    WATCHERS[watcher] = Sights()


@cache
def _hook() -> None:
    """Once, and for good: a hook of all optimisers cannot be taken off while they step."""
    register_optimizer_step_pre_hook(_before)
    register_optimizer_step_post_hook(_after)


def _before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    del args, kwargs
    if torch.compiler.is_compiling():
        return
    for watcher, sights in list(WATCHERS.items()):
        for path, mask in watcher._masks_there().items():
            if path not in sights.seen and _readable(mask) and holds(optimizer, mask):
                omega = mask.weight.detach().clone()
                sights.seen[path] = Seen(omega, omega)


def _after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    del args, kwargs
    if torch.compiler.is_compiling():
        return
    for watcher, sights in list(WATCHERS.items()):
        masks, seen = watcher._masks_there(), sights.seen
        for path in [path for path, mask in masks.items() if path in seen and holds(optimizer, mask)]:
            one = seen[path]._replace(steps=seen[path].steps + 1)
            if one.steps in LOOKS and _readable(masks[path]):
                if text := foreseen(one, masks[path]):
                    watcher._foretell(path, text)
                one = one._replace(omega=masks[path].weight.detach().clone(), looked=one.steps)
            seen[path] = one
        sights.steps += 1
        enough = masks.keys() == seen.keys() and all(one.steps >= LOOKS[-1] for one in seen.values())
        if enough or sights.steps >= PATIENCE:
            WATCHERS.pop(watcher)


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


def _readable(mask: ComplementaryMask) -> bool:
    """Whether Omega can be read here and now: it is in one piece, and no CUDA graph is being recorded."""
    omega = mask.weight
    recorded = omega.is_cuda and torch.cuda.is_current_stream_capturing()
    return not (recorded or omega.is_meta or hasattr(omega, "full_tensor"))
