"""How much of each modality a network uses, now and over training."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from maskfusion._checks import expect_int
from maskfusion.mask.attached import AttachedMask, MaskHook, hooks_of
from maskfusion.mask.find import expect_masks, masks_of
from maskfusion.mask.mask import ComplementaryMask
from maskfusion.training.first_steps import FirstSteps
from maskfusion.training.plot import plot
from maskfusion.training.reading import Shares, read
from maskfusion.training.tracked import Record, Tracked
from maskfusion.training.watch import CollapseWarning, Watch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ComplementarityTracker(nn.Module):
    r"""Report how much of each modality a model uses, by its masks.

    It refers to the masks without owning them: it has no parameters, and may be part of the model it watches. Reading changes
    nothing; ``update()`` appends to ``history``, which is part of the ``state_dict``. During the first 32 steps it also watches the gradients of
    the masks that exist when it is made, and warns if a whole mask is about to close.

    For a model with several masks, ``tracker["path"]`` reports one, ``tracker.total`` all their channels together, and iterating
    gives the paths. ``tracker.zeta()`` and the like need a single mask; with several, the error names the paths.

    Args:
        model_or_mask: Model with one ``ComplementaryMask`` or more, or a mask.
        collapse_after: Number of successive updates without an open channel after which there is a warning for that modality, once. None
            turns this off, and the check of the first steps too.

    Attributes:
        history: A ``Record`` for each update and mask.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no mask, or ``collapse_after`` is below 1; on reading, if there are several masks and none is named.
        RuntimeError: On reading, if the model has no mask any more.

    Examples:
        >>> mask = ComplementaryMask({"image": 4, "audio": 4})
        >>> tracker = ComplementarityTracker(mask)
        >>> with torch.no_grad():
        ...     mask.weight[:3] = 0.0
        >>> tracker.zeta(), tracker.complementary(), tracker.kept()
        (0.25, {'image': 12.5, 'audio': 50.0}, {'image': 25.0, 'audio': 100.0})
        >>> model = nn.ModuleDict({"early": mask, "late": ComplementaryMask({"image": 4, "audio": 4})})
        >>> several = ComplementarityTracker(model)
        >>> several["early"].zeta(), several.total.zeta(), list(several)
        (0.25, 0.625, ['early', 'late'])

    Reference: Sec. 3.4, Eqs. 6-8.
    """

    def __init__(self, model_or_mask: nn.Module, *, collapse_after: int | None = 5) -> None:
        super().__init__()
        masks = expect_masks("model_or_mask", model_or_mask)
        self.collapse_after = (
            None if collapse_after is None else expect_int("collapse_after", collapse_after, least=1)
        )
        self._watched = (model_or_mask,)  # in a tuple, so that it does not become a submodule
        self.reset()
        if self.collapse_after is not None:
            for path, mask in masks.items():
                FirstSteps(path, mask, self._foretell)

    def __iter__(self) -> Iterator[str]:
        """Paths of the masks."""
        return iter(self._masks())

    def __getitem__(self, path: str) -> Tracked:
        """What there is to ask of the mask at this path.

        Raises:
            KeyError: If there is no mask at this path.
        """
        masks = self._masks()
        if path not in masks:
            raise KeyError(f"`path` (={path!r}) must be that of a mask: {', '.join(map(repr, masks))}.")
        return Tracked({path: masks[path]}, self.history)

    @property
    def total(self) -> Tracked:
        """The same for all masks together, as if their channels were one space."""
        return Tracked(self._masks(), self.history)

    def zeta(self, *modalities: str) -> float:
        """Complementarity of all modalities, or of those named (Eq. 7); as ``Tracked.zeta``."""
        return self._only("zeta").zeta(*modalities)

    def complementary(self) -> Shares:
        """Open channels of each modality, in percent of all channels (Eq. 8, Table 2)."""
        return self._only("complementary").complementary()

    def contradictory(self) -> Shares:
        """Closed channels of each modality, in percent of all channels; with ``complementary`` they add up to 100 (Eq. 8)."""
        return self._only("contradictory").contradictory()

    def kept(self) -> Shares:
        """Open channels of each modality, in percent of its own channels (Eq. 6 as printed); a mask's ``kept`` says which they are."""
        return self._only("kept").kept()

    def mean_zeta(self, last: int = 5) -> float:
        """Mean of zeta over the ``last`` updates; as ``Tracked.mean_zeta``."""
        return self._only("mean_zeta").mean_zeta(last)

    def settled(self, last: int = 5) -> bool:
        """Whether the shares have come to rest; as ``Tracked.settled``."""
        return self._only("settled").settled(last)

    def metrics(self) -> dict[str, float]:
        """The present state as flat numbers for a logger: "zeta", "compl/image", "contr/image", "kept/image", ...

        "flipped" is from the last update. With several masks these are the numbers of all together, and those of each mask follow,
        with its path before the name.
        """
        masks = self._masks()
        metrics = Tracked(masks, self.history).metrics()
        if len(masks) > 1:
            for path, mask in masks.items():
                one = Tracked({path: mask}, self.history).metrics()
                metrics.update({f"{path}/{name}": number for name, number in one.items()})
        return metrics

    def rows(self) -> list[dict[str, Any]]:
        """The history as flat rows for a data frame, one per update and mask: "step", "mask", "zeta", "flipped", "compl/image", "kept/image", ..."""
        return [row for path in self for row in self[path].rows()]

    def plot(self) -> "Figure":
        """Draw for each mask the open channels of each modality and zeta over the updates, and which channels are open now.

        Returns:
            The figure of matplotlib; ``tracker.plot().savefig("mask.png")`` writes it.

        Raises:
            ImportError: If there is no matplotlib.
            RuntimeError: If there was no update yet.
        """
        paths = list(self)
        return plot({path if len(paths) > 1 else "": self[path]._course() for path in paths})

    def update(self, step: int | None = None) -> None:
        """Append a record of each mask to ``history``.

        Args:
            step: Label of the record; the number of updates so far if None.

        Warns:
            MaskWarning: If something has gone wrong, with what to change: ``NotFiniteWarning``, ``CollapseWarning``,
                ``StuckWarning``, ``UnusedMaskWarning``, ``UnsettledWarning``. Each once per mask, on the first process only.
        """
        masks = self._masks()
        readings = {path: read(mask) for path, mask in masks.items()}
        attached = any(isinstance(mask, AttachedMask) for mask in masks.values())
        hooks = list(chain.from_iterable(hooks_of(self._watched[0]).values())) if attached else []
        step = len(self.history) // len(masks) if step is None else expect_int("step", step)
        for path, reading in readings.items():
            before = self._last.get(path, reading.channels)
            self.history.append(
                {
                    "step": step,
                    "mask": path,
                    "complementary": reading.counts.complementary(),
                    "zeta": reading.counts.zeta(),
                    "flipped": sum(new != old for new, old in zip(reading.channels, before, strict=True)),
                }
            )
            self._last[path] = reading.channels
            self._watch.look(path, masks[path], _ran(masks[path], hooks), reading, self.history)
        self._watch.tell(stacklevel=2)

    def reset(self) -> None:
        """Delete the history, and allow each warning again."""
        self.history: list[Record] = []
        self._last: dict[str, list[bool]] = {}
        self._watch = Watch(self.collapse_after)

    def _foretell(self, path: str, text: str) -> None:
        self._watch.say(path, CollapseWarning, ["soon"], text)
        self._watch.tell(stacklevel=6)  # the line of `loss.backward()`

    def _masks(self) -> dict[str, ComplementaryMask]:
        (model,) = self._watched
        masks = masks_of(model)
        if not masks:
            raise RuntimeError(
                f"The tracker's {type(model).__name__} has no mask any more: it was detached, unwrapped or replaced. Put one in, or make "
                f"a tracker of the model that has it; `history` is still there."
            )
        return masks

    def _only(self, method: str) -> Tracked:
        if len(paths := list(self)) > 1:
            raise ValueError(
                f"The tracker watches several masks, {', '.join(map(repr, paths))}: ask one, as in tracker[{paths[0]!r}].{method}(), or all "
                f"together, tracker.total.{method}()."
            )
        return self[paths[0]]

    @override
    def get_extra_state(self) -> str | Tensor:
        """The history and what was reported, as JSON: one text under one key, whose size a distributed checkpoint does not ask for.

        Before the first update it is an empty tensor, which code that makes room for missing state can handle.
        """
        if not self.history:
            return torch.empty(0, device="cpu")
        return json.dumps({"history": self.history, "last": self._last, **self._watch.state()})

    @override
    def set_extra_state(self, state: str | Tensor | dict[str, Any]) -> None:
        """Take up a history."""
        self.reset()
        if isinstance(state, Tensor):
            return
        taken = json.loads(state if isinstance(state, str) else json.dumps(state))
        self.history, self._last = taken["history"], taken["last"]
        self._watch.resume(taken.get("said", {}), taken.get("closed", {}))

    @override
    def __str__(self) -> str:
        """The present state of each mask as a table, for ``print``."""
        paths = list(self)
        return "\n\n".join(f"{path}\n{self[path]}" if len(paths) > 1 else str(self[path]) for path in paths)

    @override
    def extra_repr(self) -> str:
        """What is watched."""
        return f"watches={type(self._watched[0]).__name__}, records={len(self.history)}"


def _ran(mask: ComplementaryMask, hooks: Iterable[MaskHook]) -> dict[str, bool]:
    """The layers that a mask sits on, and whether they have run."""
    layers: dict[str, bool] = {}
    for hook in hooks:
        for place in hook.places if hook.mask is mask else ():
            layers[place.path] = hook.ran or layers.get(place.path, False)
    return layers
