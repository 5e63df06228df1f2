"""How much of each modality a network uses, now and over training."""

import math
import warnings
from typing import Any, TypedDict, TypeVar

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from typing_extensions import override

from maskfusion import functional
from maskfusion._checks import expect_int
from maskfusion._mask import ComplementaryMask, by_modality, whole

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
    r"""Read off the masks of a model how much of each modality it uses.

    It refers to the masks without owning them: it has no parameters, and may live inside the model it watches. Reading changes
    nothing; ``update()`` appends to ``history``, which goes into the ``state_dict``.

    A model with several masks gives every result as a dict by path of the mask.

    Args:
        model_or_mask: A model with one ``ComplementaryMask`` or more, or a mask.

    Raises:
        TypeError: If the argument is no module.
        ValueError: If it holds no mask.

    Examples:
        >>> mask = ComplementaryMask({"image": 4, "audio": 4})
        >>> tracker = ComplementarityTracker(mask)
        >>> with torch.no_grad():
        ...     mask.weight[:3] = 0.0
        >>> tracker.zeta(), tracker.complementary(), tracker.kept()
        (0.25, {'image': 12.5, 'audio': 50.0}, {'image': 25.0, 'audio': 100.0})

    Reference: Sec. 3.4, Eqs. 6-8.
    """

    def __init__(self, model_or_mask: nn.Module) -> None:
        super().__init__()
        if not isinstance(model_or_mask, nn.Module):
            raise TypeError(f"`model_or_mask` (={model_or_mask!r}) must be a module.")
        self._watched = (model_or_mask,)  # in a tuple, so that it does not become a submodule
        self.history: list[Record] = []
        self._last: dict[str, list[bool]] = {}
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

    def zeta(self, *modalities: str) -> float | dict[str, float]:
        """Complementarity: the smallest over the largest kept share of all modalities, or of those named (Eq. 7).

        Shares are of each modality's own channels, so that modalities of different width compare fairly.

        Returns:
            A number in [0, 1]; NaN if nothing is kept, or of fewer than two modalities.

        Raises:
            ValueError: If a modality is unknown.
        """
        zetas = {path: _zeta(mask, modalities) for path, mask in self._masks().items()}
        return _only(zetas)

    def complementary(self) -> Shares | dict[str, Shares]:
        """Open channels of each modality, in percent of all channels (Eq. 8, Table 2)."""
        shares = {path: _shares(mask, mask.kept, mask.weight.numel()) for path, mask in self._masks().items()}
        return _only(shares)

    def contradictory(self) -> Shares | dict[str, Shares]:
        """Closed channels of each modality, in percent of all channels; with ``complementary`` they add up to 100 (Eq. 8)."""
        shares = {
            path: _shares(mask, ~mask.kept, mask.weight.numel()) for path, mask in self._masks().items()
        }
        return _only(shares)

    def kept(self) -> Shares | dict[str, Shares]:
        """Open channels of each modality, in percent of its own channels (Eq. 6 as printed)."""
        shares = {path: _kept(mask) for path, mask in self._masks().items()}
        return _only(shares)

    def update(self, step: int | None = None) -> None:
        """Append a record of each mask to ``history``.

        Args:
            step: What to call this moment; the number of updates so far if None.

        Warns:
            RuntimeWarning: If an Omega has NaN; it names mask and modalities.
        """
        masks = self._masks()
        step = len(self.history) // len(masks) if step is None else expect_int("step", step)
        for path, mask in masks.items():
            self._report_nan(path, mask)
            kept = mask.kept.tolist()
            before = self._last.get(path, [True] * len(kept))
            self.history.append(
                {
                    "step": step,
                    "mask": path,
                    "complementary": _shares(mask, mask.kept, len(kept)),
                    "zeta": _zeta(mask, ()),
                    "flipped": sum(new != old for new, old in zip(kept, before, strict=True)),
                }
            )
            self._last[path] = kept

    def metrics(self) -> dict[str, float]:
        """The state of now as flat numbers for a logger: "zeta", "compl/image", "contr/image", "kept/image", ...

        With several masks each name starts with the path of its mask.
        """
        masks = self._masks()
        metrics: dict[str, float] = {}
        for path, mask in masks.items():
            prefix = f"{path}/" if len(masks) > 1 else ""
            metrics[f"{prefix}zeta"] = _zeta(mask, ())
            total = mask.weight.numel()
            for name, shares in (
                ("compl", _shares(mask, mask.kept, total)),
                ("contr", _shares(mask, ~mask.kept, total)),
                ("kept", _kept(mask)),
            ):
                metrics.update({f"{prefix}{name}/{modality}": share for modality, share in shares.items()})
        return metrics

    def mean_zeta(self, last: int = 5) -> float | dict[str, float]:
        """Mean of zeta over the ``last`` updates, without those where it was undefined; one channel of 64 moves zeta by .06.

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
        """Forget the history."""
        self.history = []
        self._last = {}

    def _report_nan(self, path: str, mask: ComplementaryMask) -> None:
        missing = {
            name: int(part.isnan().sum())
            for name, part in by_modality(mask.channels, whole(mask.weight)).items()
        }
        bad = ", ".join(f"{count} of {name!r}" for name, count in missing.items() if count)
        if bad:
            warnings.warn(
                f"Omega of mask {path!r} has NaN channels: {bad}. They are closed and cannot open again; look for NaN in the loss.",
                RuntimeWarning,
                stacklevel=3,
            )

    @override
    def get_extra_state(self) -> dict[str, Any]:
        """The history, as plain lists, dicts and numbers."""
        return {"history": self.history, "last": self._last}

    @override
    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up a history."""
        self.history = list(state["history"])
        self._last = dict(state["last"])

    @override
    def extra_repr(self) -> str:
        """What is watched, for ``print``."""
        return f"masks={list(self._masks())}, updates={len(self.history) // len(self._masks())}"


def _only(results: dict[str, T]) -> T | dict[str, T]:
    """The result itself where there is one mask, else all by path."""
    return next(iter(results.values())) if len(results) == 1 else results


def _shares(mask: ComplementaryMask, which: Tensor, total: int) -> dict[str, float]:
    return {name: 100 * int(part.sum()) / total for name, part in by_modality(mask.channels, which).items()}


def _kept(mask: ComplementaryMask) -> dict[str, float]:
    return {
        name: float(functional.kept_ratio(part))
        for name, part in by_modality(mask.channels, mask.kept).items()
    }


def _zeta(mask: ComplementaryMask, modalities: tuple[str, ...]) -> float:
    kept = _kept(mask)
    unknown = [name for name in modalities if name not in kept]
    if unknown:
        raise ValueError(f"`modalities` has {unknown}; the mask's are {list(kept)}.")
    return float(functional.complementarity([kept[name] for name in modalities or kept]))
