"""How much of each modality a network uses, now and over training."""

import math
import warnings
from copy import deepcopy
from itertools import accumulate
from typing import Any, TypedDict, TypeVar

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from typing_extensions import override

from maskfusion import functional
from maskfusion._checks import expect_int
from maskfusion.mask.mask import ComplementaryMask, by_modality, whole
from maskfusion.training.collapse import watch_collapse

T = TypeVar("T")
Shares = dict[str, float]


class Record(TypedDict):
    """What one ``update`` saw of one mask."""

    step: int
    mask: str
    """Path of the mask in the model; empty if the tracker was given the mask itself."""
    complementary: dict[str, float]
    zeta: float
    flipped: int
    """Channels that opened or closed since the last record of this mask."""


class ComplementarityTracker(nn.Module):
    r"""Read from the masks of a model how much of each modality it uses.

    It refers to the masks without owning them: it has no parameters, and may be part of the model it watches. Reading changes
    nothing; ``update()`` appends to ``history``, which goes into the ``state_dict``.

    A model with several masks gives every result as a dict by path of the mask.

    Args:
        model_or_mask: Model with one ``ComplementaryMask`` or more, or a mask.
        collapse_after: Number of updates in a row after which a modality without an open channel is warned of, once; None for never.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no mask, or ``collapse_after`` is below 1.

    Examples:
        >>> mask = ComplementaryMask({"image": 4, "audio": 4})
        >>> tracker = ComplementarityTracker(mask)
        >>> with torch.no_grad():
        ...     mask.weight[:3] = 0.0
        >>> tracker.zeta(), tracker.complementary(), tracker.kept()
        (0.25, {'image': 12.5, 'audio': 50.0}, {'image': 25.0, 'audio': 100.0})

    Reference: Sec. 3.4, Eqs. 6-8.
    """

    def __init__(self, model_or_mask: nn.Module, *, collapse_after: int | None = 5) -> None:
        super().__init__()
        if not isinstance(model_or_mask, nn.Module):
            raise TypeError(f"`model_or_mask` (={model_or_mask!r}) must be a module.")
        self.collapse_after = (
            None if collapse_after is None else expect_int("collapse_after", collapse_after, least=1)
        )
        self._watched = (model_or_mask,)  # in a tuple, so that it does not become a submodule
        self.history: list[Record] = []
        self._last: dict[str, list[bool]] = {}
        self._closed: dict[str, dict[str, int]] = {}
        if not self._masks():
            raise ValueError(
                f"`model_or_mask` ({type(model_or_mask).__name__}) must hold a ComplementaryMask."
            )

    def _masks(self) -> dict[str, ComplementaryMask]:
        (model,) = self._watched
        if isinstance(model, DistributedDataParallel):
            model = model.module
        return {
            ".".join(part for part in path.split(".") if part != "_orig_mod"): module
            for path, module in model.named_modules()
            if isinstance(module, ComplementaryMask)
        }

    def _read(self) -> "dict[str, _Reading]":
        return {path: _Reading(mask) for path, mask in self._masks().items()}

    def zeta(self, *modalities: str) -> float | dict[str, float]:
        """Complementarity: the smallest over the largest open share of all modalities, or of those named (Eq. 7).

        Shares are of each modality's own channels, so that modalities of different width compare fairly.

        Returns:
            A number in [0, 1]; NaN if everything is closed, or there are fewer than two modalities.

        Raises:
            ValueError: If a modality is unknown.
        """
        zetas = {path: reading.zeta(*modalities) for path, reading in self._read().items()}
        return _only(zetas)

    def complementary(self) -> Shares | dict[str, Shares]:
        """Open channels of each modality, in percent of all channels (Eq. 8, Table 2)."""
        shares = {path: reading.complementary() for path, reading in self._read().items()}
        return _only(shares)

    def contradictory(self) -> Shares | dict[str, Shares]:
        """Closed channels of each modality, in percent of all channels; with ``complementary`` they add up to 100 (Eq. 8)."""
        shares = {path: reading.contradictory() for path, reading in self._read().items()}
        return _only(shares)

    def kept(self) -> Shares | dict[str, Shares]:
        """Open channels of each modality, in percent of its own channels (Eq. 6 as printed)."""
        shares = {path: reading.kept() for path, reading in self._read().items()}
        return _only(shares)

    def update(self, step: int | None = None) -> None:
        """Append a record of each mask to ``history``.

        Args:
            step: Label of the record; the number of updates so far if None.

        Warns:
            RuntimeWarning: If an Omega has NaN; it names mask and modalities.
            CollapseWarning: If a modality has had no open channel for ``collapse_after`` updates; it says what to change. Once for
                each mask and modality, and on the first process only.
        """
        readings = self._read()
        step = len(self.history) // max(1, len(readings)) if step is None else expect_int("step", step)
        for path, reading in readings.items():
            _report_nan(path, self._masks()[path])
            before = self._last.get(path, reading.channels)
            self.history.append(
                {
                    "step": step,
                    "mask": path,
                    "complementary": reading.complementary(),
                    "zeta": reading.zeta(),
                    "flipped": sum(new != old for new, old in zip(reading.channels, before, strict=True)),
                }
            )
            self._last[path] = reading.channels
        # After everything is recorded, since a filter may turn the warning into an error.
        for path, reading in readings.items():
            watch_collapse(path, reading.kept(), self._closed.setdefault(path, {}), self.collapse_after)

    def metrics(self) -> dict[str, float]:
        """The present state as flat numbers for a logger: "zeta", "compl/image", "contr/image", "kept/image", ...

        "flipped" is from the last update. With several masks each name starts with the path of its mask.
        """
        readings = self._read()
        flipped = {record["mask"]: record["flipped"] for record in self.history}
        metrics: dict[str, float] = {}
        for path, reading in readings.items():
            prefix = f"{path}/" if len(readings) > 1 else ""
            metrics[f"{prefix}zeta"] = reading.zeta()
            metrics[f"{prefix}flipped"] = float(flipped.get(path, 0))
            for name, shares in (
                ("compl", reading.complementary()),
                ("contr", reading.contradictory()),
                ("kept", reading.kept()),
            ):
                metrics.update({f"{prefix}{name}/{modality}": share for modality, share in shares.items()})
        return metrics

    def mean_zeta(self, last: int = 5) -> float | dict[str, float]:
        """Mean of zeta over the ``last`` updates, ignoring those where it was undefined; one channel of 64 moves zeta by .06.

        Returns:
            NaN if there were no updates, or zeta was undefined in all of them.

        Raises:
            ValueError: If ``last`` is below 1.
        """
        expect_int("last", last, least=1)

        def mean(path: str) -> float:
            zetas = [record["zeta"] for record in self.history if record["mask"] == path][-last:]
            defined = [zeta for zeta in zetas if not math.isnan(zeta)]
            return sum(defined) / len(defined) if defined else math.nan

        means = {path: mean(path) for path in self._masks()}
        return _only(means)

    def reset(self) -> None:
        """Forget the history and which warnings were given."""
        self.history = []
        self._last = {}
        self._closed = {}

    @override
    def get_extra_state(self) -> dict[str, Any]:
        """The history, as plain lists, dicts and numbers."""
        return deepcopy({"history": self.history, "last": self._last, "closed": self._closed})

    @override
    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up a history."""
        state = {"closed": {}, **deepcopy(state)}  # states from before collapses were counted have none
        self.history, self._last, self._closed = state["history"], state["last"], state["closed"]

    @override
    def extra_repr(self) -> str:
        """What is watched, for ``print``."""
        return f"watches={type(self._watched[0]).__name__}, records={len(self.history)}"


class _Reading:
    """Which channels of a mask are open, read once."""

    def __init__(self, mask: ComplementaryMask) -> None:
        self.channels: list[bool] = mask.kept.tolist()
        self._widths = mask.channels
        ends = list(accumulate(mask.channels.values()))
        starts = [0, *ends]
        self._open = {
            name: sum(self.channels[a:b]) for name, a, b in zip(mask.channels, starts, ends, strict=False)
        }

    def complementary(self) -> Shares:
        return {name: 100 * count / len(self.channels) for name, count in self._open.items()}

    def contradictory(self) -> Shares:
        return {
            name: 100 * (self._widths[name] - count) / len(self.channels)
            for name, count in self._open.items()
        }

    def kept(self) -> Shares:
        return {name: 100 * count / self._widths[name] for name, count in self._open.items()}

    def zeta(self, *modalities: str) -> float:
        kept = self.kept()
        unknown = [name for name in modalities if name not in kept]
        if unknown:
            raise ValueError(f"`modalities` has {unknown}; the mask's are {list(kept)}.")
        return float(functional.complementarity([kept[name] for name in modalities or kept]))


def _only(results: dict[str, T]) -> T | dict[str, T]:
    """The result itself where there is one mask, else all by path."""
    return next(iter(results.values())) if len(results) == 1 else results


def _report_nan(path: str, mask: ComplementaryMask) -> None:
    missing = by_modality(mask.channels, whole(mask.weight).isnan())
    bad = ", ".join(f"{int(part.sum())} of {name!r}" for name, part in missing.items() if part.any())
    if bad:
        warnings.warn(
            f"Omega of mask {path!r} has NaN channels: {bad}. They are closed and cannot open again; look for NaN in the loss.",
            RuntimeWarning,
            stacklevel=3,
        )
