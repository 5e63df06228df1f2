"""What may go wrong with a mask in training: one rule each, with how it is seen and what cures it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor
from torch import distributed as dist

from maskfusion.mask.mask import ComplementaryMask, by_modality
from maskfusion.training.omega import omega_parameters
from maskfusion.training.reading import Reading
from maskfusion.training.tracked import Record, Tracked, drift, rests

STILL_FOR = 5
"""Updates without a change of Omega, or with a slow one, before that is said."""
TOO_LONG = 5000
"""Updates that the first channel may still need to close, over the updates there were: what is far off at first may be near in truth, since
learning rates and lambda rise; what is after many updates is not."""
UNSETTLED_AT = 50
"""Updates after which shares should rest; asked again each time the number has doubled."""


class MaskWarning(UserWarning):
    """Something that went wrong in a mask, seen by ``ComplementarityTracker``, with the cure; the base class of the others.

    Each is given once per mask, on the first process. ``warnings.simplefilter("error", MaskWarning)`` stops training there,
    ``"ignore"`` silences it.
    """


class NotFiniteWarning(MaskWarning, RuntimeWarning):
    """Omega has NaN or inf."""


class CollapseWarning(MaskWarning):
    """All channels of a modality have been closed for several updates: a finding, or a penalty that is too strong or came too early."""


class StuckWarning(MaskWarning):
    """Omega does not move, or so slowly that no channel will ever close."""


class UnusedMaskWarning(MaskWarning):
    """A layer with a mask of ``attach`` does not run, or runs without its hooks, so that nothing is masked there."""


class UnsettledWarning(MaskWarning):
    """Shares still change after many updates, so they say little about the modalities yet."""


@dataclass
class Memory:
    """What is remembered of a mask from one update to the next."""

    said: list[str] = field(default_factory=list)
    """What was reported."""
    closed: dict[str, int] = field(default_factory=dict)
    """Updates in a row in which a modality has had no open channel."""
    first: Tensor | None = None
    """Omega at the first update that this process has seen."""
    last: Tensor | None = None
    """Omega at the last one."""
    updates: int = -1
    """Updates since the first."""
    still: int = 0
    """Updates in a row in which Omega was the same."""

    def take_in(self, reading: Reading) -> None:
        """Go on by one update."""
        for modality, share in reading.counts.kept().items():
            self.closed[modality] = 0 if share else self.closed.get(modality, 0) + 1
        if self.first is None or self.last is None:
            self.first = self.last = reading.omega
        self.still = self.still + 1 if self.last.equal(reading.omega) else 0
        self.last = reading.omega
        self.updates += 1


class Sight(NamedTuple):
    """What the rules look at, of one mask at one update."""

    path: str
    mask: ComplementaryMask
    layers: Mapping[str, bool]
    """Layers that an attached mask sits on, and whether they have run."""
    reading: Reading
    memory: Memory
    records: Sequence[Record]
    """Those of all masks."""
    collapse_after: int | None

    @property
    def tracked(self) -> Tracked:
        """The mask with its records."""
        return Tracked({self.path: self.mask}, self.records)


class Rule(NamedTuple):
    """One thing that may go wrong."""

    kind: type[MaskWarning]
    finds: Callable[[Sight], Sequence[str]]
    """What it has befallen: modalities, or the mask itself, ``[""]``."""
    says: Callable[[Sight, Sequence[str]], str]
    """The rest of a sentence that begins with the mask, and the cure."""


def _not_finite(sight: Sight) -> list[str]:
    parts = by_modality(sight.mask.channels, sight.reading.omega.isfinite())
    return [name for name, part in parts.items() if not part.all()]


def _say_not_finite(sight: Sight, modalities: Sequence[str]) -> str:
    parts = by_modality(sight.mask.channels, sight.reading.omega.isfinite())
    bad = ", ".join(f"{int((~parts[name]).sum())} of {name!r}" for name in modalities)
    return (
        f"has NaN or inf in Omega: {bad}. Channels with NaN are closed and cannot open again; look for NaN in the loss, or a learning "
        f"rate of Omega that is too large."
    )


def _collapsed(sight: Sight) -> list[str]:
    after = sight.collapse_after
    return [name for name, updates in sight.memory.closed.items() if after is not None and updates >= after]


def _say_collapsed(sight: Sight, modalities: Sequence[str]) -> str:
    others = any(sight.reading.channels)
    blind = "" if others else " No other is open either, so the network no longer sees its input."
    return (
        f"has had no open channel of {_listed(modalities)} for {sight.collapse_after} updates.{blind} If the task should use it: lower lambda, "
        f"or let WarmupPenalty or SteeredPenalty set it; lower the learning rate of Omega and keep weight decay off it, both with "
        f"parameter_groups; start Omega further above the threshold (`init`); or set `min_channels`, so that no modality can close "
        f"completely. `collapse_after=None` turns this off."
    )


def _unused(sight: Sight) -> list[str]:
    """Layers that never ran while others did, or although Omega was trained."""
    memory = sight.memory
    trained = memory.first is not None and not memory.first.equal(sight.reading.omega)
    started = trained or any(sight.layers.values())
    return [layer for layer, ran in sight.layers.items() if started and not ran]


def _say_unused(_: Sight, layers: Sequence[str]) -> str:
    return (
        f"has masked nothing at {_listed(layers)} so far, since no call came through there. `check(model, example)` shows what is heard of "
        f"each modality; `attach` to layers that run."
    )


def _still(sight: Sight) -> list[str]:
    pulled = any(omega.grad is not None for omega in omega_parameters(sight.mask))
    return [""] if pulled and sight.memory.still >= STILL_FOR else []


def _say_still(sight: Sight, _: Sequence[str]) -> str:
    return (
        f"has an Omega that did not move in {sight.memory.still} updates although it has a gradient. Most often the optimiser was made "
        f"before the mask and does not have it: make it afterwards, or `optimizer.add_param_group({{'params': [mask.weight]}})`. Else its "
        f"learning rate is too small to be felt: `parameter_groups(mask_lr=...)`."
    )


def _remaining(sight: Sight) -> float:
    """Updates until the first channel closes, at the pace so far; 0 if one has, or if none is on its way."""
    memory = sight.memory
    if memory.first is None or memory.updates < STILL_FOR or not all(sight.reading.channels):
        return 0.0
    pace = (memory.first - sight.reading.omega) / memory.updates
    falling = pace > 0
    if not falling.any():
        return 0.0
    return float(((sight.reading.omega - sight.mask.threshold)[falling] / pace[falling]).min())


def _slow(sight: Sight) -> list[str]:
    updates = sight.memory.updates
    return [""] if updates and _remaining(sight) > max(TOO_LONG / updates, updates) else []


def _say_slow(sight: Sight, _: Sequence[str]) -> str:
    history = sight.tracked.history
    first, last = (history[place]["step"] for place in (-1 - sight.memory.updates, -1))
    passed = last - first or sight.memory.updates
    needed = _remaining(sight) * passed / sight.memory.updates
    unit = "updates of the tracker" if passed == sight.memory.updates else "steps"
    return (
        f"will close its first channel after about {needed:,.0f} more {unit} at this pace; there were {passed:,} so far. Under plain SGD the "
        f"penalty moves Omega by learning rate times lambda per step: let Adam have it, give it a learning rate of its own, "
        f"`parameter_groups(mask_lr=...)`, or raise lambda."
    )


def _unsettled(sight: Sight) -> list[str]:
    updates = sight.memory.updates
    asked = updates % UNSETTLED_AT == 0 and (updates // UNSETTLED_AT).bit_count() == 1
    moves = asked and not rests(sight.tracked.history, sight.mask.channels, updates // 2)
    return [""] if moves else []


def _say_unsettled(sight: Sight, _: Sequence[str]) -> str:
    last = sight.memory.updates // 2
    points = drift(sight.tracked.history, sight.mask.channels, last)
    moved = ", ".join(
        f"{name!r} from {share - points[name]:.0f} to {share:.0f} %"
        for name, share in sight.reading.counts.kept().items()
    )
    return (
        f"has shares that still move, {moved} in the last {last} updates. Do not rank modalities by them yet: train on "
        f"until `settled()`, or with a larger lambda, and compare with `measure_contributions`."
    )


RULES = (
    Rule(NotFiniteWarning, _not_finite, _say_not_finite),
    Rule(CollapseWarning, _collapsed, _say_collapsed),
    Rule(UnusedMaskWarning, _unused, _say_unused),
    Rule(StuckWarning, _still, _say_still),
    Rule(StuckWarning, _slow, _say_slow),
    Rule(UnsettledWarning, _unsettled, _say_unsettled),
)


class Watch:
    """All rules over all masks of a tracker, each reported once."""

    def __init__(self, collapse_after: int | None) -> None:
        self.collapse_after = collapse_after
        self.memories: dict[str, Memory] = {}
        self._untold: list[tuple[str, type[MaskWarning]]] = []

    def look(
        self,
        path: str,
        mask: ComplementaryMask,
        layers: Mapping[str, bool],
        reading: Reading,
        records: Sequence[Record],
    ) -> None:
        """Take in an update of one mask and note what there is to say."""
        memory = self.memories.setdefault(path, Memory())
        memory.take_in(reading)
        sight = Sight(path, mask, layers, reading, memory, records, self.collapse_after)
        for rule in RULES:
            fresh = [each for each in rule.finds(sight) if f"{rule.kind.__name__} {each}" not in memory.said]
            if fresh:
                self.say(path, rule.kind, fresh, rule.says(sight, fresh))

    def say(self, path: str, kind: type[MaskWarning], subjects: Sequence[str], text: str) -> None:
        """Note something, unless it has been said of all these subjects: ``text`` goes on after the name of the mask."""
        memory = self.memories.setdefault(path, Memory())
        fresh = [f"{kind.__name__} {subject}" for subject in subjects]
        if not set(fresh) <= set(memory.said):
            memory.said += fresh
            begin = f"Mask {path!r}" if path else "The mask"
            self._untold.append((f"{begin} {text}", kind))

    def tell(self, stacklevel: int) -> None:
        """Say it, on the first process only. Where a filter makes an error of it, the rest waits for the next time."""
        if dist.is_available() and dist.is_initialized() and dist.get_rank() != 0:
            self._untold.clear()
        while self._untold:
            text, kind = self._untold.pop(0)
            warnings.warn(text, kind, stacklevel=stacklevel + 1)

    def state(self) -> dict[str, dict[str, object]]:
        """What a resumed run has to know, as plain lists, dicts and numbers."""
        return {
            "said": {path: list(memory.said) for path, memory in self.memories.items()},
            "closed": {path: dict(memory.closed) for path, memory in self.memories.items()},
        }

    def resume(self, said: Mapping[str, Sequence[str]], closed: Mapping[str, Mapping[str, int]]) -> None:
        """Take up what another run knew."""
        self.memories = {
            path: Memory(list(said.get(path, ())), dict(closed.get(path, {}))) for path in [*said, *closed]
        }


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
