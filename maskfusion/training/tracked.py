"""What can be asked of one mask, or of all masks of a model as one."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, TypedDict

import torch
from typing_extensions import override

from maskfusion._checks import expect_int
from maskfusion._table import aligned
from maskfusion.mask.mask import ComplementaryMask, by_modality
from maskfusion.training.plot import Course, plot
from maskfusion.training.reading import Counts, Shares, read

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Record(TypedDict):
    """What one ``update`` saw of one mask."""

    step: int
    mask: str
    """Path of the mask in the model; empty if the tracker was given the mask itself."""
    complementary: dict[str, float]
    zeta: float
    flipped: int
    """Channels that opened or closed since the last record of this mask."""


class Tracked:
    """How much of each modality is open in one mask, or in all together: now, and at each update of the tracker.

    ``tracker["path"]`` and ``tracker.total`` return it. It has the reading methods of ``ComplementarityTracker``. In a total, modalities of
    the same name count as one.
    """

    def __init__(self, masks: Mapping[str, ComplementaryMask], records: Sequence[Record]) -> None:
        self._masks = masks
        self._records = records

    @property
    def history(self) -> list[Record]:
        """The records of this mask; of several masks, one for each update, over all of them."""
        records = [record for record in self._records if record["mask"] in self._masks]
        return records if len(self._masks) == 1 else _joined(records, self._masks)

    def zeta(self, *modalities: str) -> float:
        """Complementarity: the smallest over the largest open share of all modalities, or of those named (Eq. 7).

        Shares are of each modality's own channels, so that modalities of different width compare fairly.

        Returns:
            A number in [0, 1]; NaN if everything is closed, or there are fewer than two modalities.

        Raises:
            ValueError: If a modality is unknown.
        """
        return self._counts().zeta(*modalities)

    def complementary(self) -> Shares:
        """Open channels of each modality, in percent of all channels (Eq. 8, Table 2)."""
        return self._counts().complementary()

    def contradictory(self) -> Shares:
        """Closed channels of each modality, in percent of all channels; with ``complementary`` they add up to 100 (Eq. 8)."""
        return self._counts().contradictory()

    def kept(self) -> Shares:
        """Open channels of each modality, in percent of its own channels (Eq. 6 as printed); a mask's ``kept`` says which they are."""
        return self._counts().kept()

    def mean_zeta(self, last: int = 5) -> float:
        """Mean of zeta over the ``last`` updates, ignoring those where it was undefined; one channel of 64 moves zeta by .06.

        Returns:
            NaN if there were no updates, or zeta was undefined in all of them.

        Raises:
            ValueError: If ``last`` is below 1.
        """
        zetas = [record["zeta"] for record in self.history[-expect_int("last", last, least=1) :]]
        defined = [zeta for zeta in zetas if not math.isnan(zeta)]
        return sum(defined) / len(defined) if defined else math.nan

    def settled(self, last: int = 5) -> bool:
        """Whether channels have closed, and over the ``last`` updates no modality's open share has moved by more than 5 points, or one channel.

        Do not rank modalities by shares that still change, nor by those at a single lambda: compare with
        ``measure_contributions``.

        Returns:
            False if there were not so many updates, or every channel was open in all of them.

        Raises:
            ValueError: If ``last`` is below 1.
        """
        expect_int("last", last, least=1)
        return (
            len(self.history) > last
            and not self._untouched()
            and rests(self.history, self._counts().widths, last)
        )

    def _untouched(self) -> bool:
        """Whether every channel was open in all updates."""
        widths = self._counts().widths
        return all(_counted(record, widths).opened == widths for record in self.history)

    def metrics(self) -> dict[str, float]:
        """The present state as flat numbers for a logger: "zeta", "compl/image", "contr/image", "kept/image", ...

        "flipped" is from the last update.
        """
        counts = self._counts()
        metrics = {"zeta": counts.zeta(), "flipped": float(self._flipped())}
        for name, shares in (
            ("compl", counts.complementary()),
            ("contr", counts.contradictory()),
            ("kept", counts.kept()),
        ):
            metrics.update({f"{name}/{modality}": share for modality, share in shares.items()})
        return metrics

    def rows(self) -> list[dict[str, Any]]:
        """The history as flat rows for a data frame: "step", "mask", "zeta", "flipped", "compl/image", "kept/image", ..."""
        widths = self._counts().widths
        return [
            {name: value for name, value in record.items() if name != "complementary"}
            | {f"compl/{name}": share for name, share in record["complementary"].items()}
            | {f"kept/{name}": share for name, share in _counted(record, widths).kept().items()}
            for record in self.history
        ]

    @override
    def __str__(self) -> str:
        """The present state as a table, for ``print``."""
        counts = self._counts()
        kept, shares = counts.kept(), counts.complementary()
        rows = [("modality", "open", "of its own", "of all")]
        rows += [
            (name, f"{opened}/{counts.widths[name]}", f"{kept[name]:.1f} %", f"{shares[name]:.1f} %")
            for name, opened in counts.opened.items()
        ]
        updates = len(self.history)
        moves = ""
        if updates > 1:
            settled = "settled" if self.settled(min(5, updates - 1)) else "still moving"
            moves = ", nothing has closed yet" if self._untouched() else f", {settled}"
        return "\n".join([*aligned(rows), f"zeta {counts.zeta():.2f}; {updates} updates{moves}"])

    def plot(self) -> "Figure":
        """Draw the history, and which channels are open now, with matplotlib; as ``ComplementarityTracker.plot``."""
        return plot({"": self._course()})

    def _course(self) -> Course:
        opened: dict[str, list[bool]] = {}
        for mask in self._masks.values():
            for name, channels in by_modality(mask.channels, torch.tensor(read(mask).channels)).items():
                opened.setdefault(name, []).extend(channels.tolist())
        return Course(self.rows(), opened)

    def _counts(self) -> Counts:
        return reduce(add, (read(mask).counts for mask in self._masks.values()))

    def _flipped(self) -> int:
        """Channels that opened or closed at the last update."""
        last: dict[str, int] = {}
        for record in reversed(self._records):
            if record["mask"] in last:
                break
            last[record["mask"]] = record["flipped"]
        return sum(last.get(path, 0) for path in self._masks)


def rests(history: Sequence[Record], widths: Mapping[str, int], last: int) -> bool:
    """Whether no kept share has moved by more than 5 points, or one channel, over the ``last`` updates."""
    return not any(
        abs(points) > max(5.0, 100 / widths[name] + 1e-6)
        for name, points in drift(history, widths, last).items()
    )


def drift(history: Sequence[Record], widths: Mapping[str, int], last: int) -> Shares:
    """Points by which each kept share has changed over the ``last`` updates."""
    before, now = (_counted(history[place], widths).kept() for place in (-1 - last, -1))
    return {name: share - before[name] for name, share in now.items()}


def _joined(records: Iterable[Record], masks: Mapping[str, ComplementaryMask]) -> list[Record]:
    """One record for each update; a mask that comes again begins the next one."""
    updates: list[dict[str, Record]] = []
    for record in records:
        if not updates or record["mask"] in updates[-1]:
            updates.append({})
        updates[-1][record["mask"]] = record
    return [_sum(update, masks) for update in updates]


def _sum(update: Mapping[str, Record], masks: Mapping[str, ComplementaryMask]) -> Record:
    counts = reduce(add, (_counted(record, masks[path].channels) for path, record in update.items()))
    return {
        "step": max(record["step"] for record in update.values()),
        "mask": "",
        "complementary": counts.complementary(),
        "zeta": counts.zeta(),
        "flipped": sum(record["flipped"] for record in update.values()),
    }


def _counted(record: Record, widths: Mapping[str, int]) -> Counts:
    """The channels behind a record's percents."""
    total = sum(widths.values())
    opened = {name: round(share * total / 100) for name, share in record["complementary"].items()}
    return Counts(opened, dict(widths))
