"""The result of measuring contributions: numbers, a table, a dict."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from maskfusion._table import COLUMNS, aligned, wrapped
from maskfusion.contribution.shapley import Coalition

NOTICEABLE = 0.02, 0.1
"""What counts as an effect: these parts of the metric with all modalities, and of what they change in it together."""


@dataclass(frozen=True)
class Contributions:
    """What each modality contributes to a model; ``print`` shows a table.

    Reference: Shapley, 1953; utilisation: Wu et al., ICML 2022.
    """

    metric: str
    """Name of the metric."""
    absent: str
    """Name of what stood in for an absent modality."""
    modalities: tuple[str, ...]
    """Names, in order."""
    values: dict[Coalition, float]
    """The metric with each set of modalities that was run: ``values[("image", "audio")]``, and ``values[()]`` with none."""
    shapley: dict[str, float]
    """Shapley value of each modality; they add up to ``with_all - with_none``."""
    error: dict[str, float]
    """Standard error of the Shapley values over the sampled orders; 0 where they are exact. It tells nothing about other samples."""
    orders: int | None
    """How many orders of joining were sampled; None if the values are exact."""
    kept: dict[str, dict[str, float]]
    """Path of each mask in the model -> open channels of each modality, in percent of its own (Eq. 6)."""
    zeta: dict[str, float]
    """Path of each mask in the model -> zeta (Eq. 7)."""

    @property
    def with_all(self) -> float:
        """The metric with all modalities."""
        return self.values[self.modalities]

    @property
    def with_none(self) -> float:
        """The metric without any modality."""
        return self.values[()]

    @property
    def alone(self) -> dict[str, float]:
        """The metric with one modality only, inside the joint model."""
        return {name: self.values[(name,)] for name in self.modalities}

    @property
    def without(self) -> dict[str, float]:
        """The metric with all modalities but one."""
        return {
            name: self.values[tuple(other for other in self.modalities if other != name)]
            for name in self.modalities
        }

    @property
    def utilisation(self) -> dict[str, float]:
        """Conditional utilisation: the part of ``with_all`` that is lost without the modality; NaN if that is 0."""
        whole = self.with_all
        return {name: (whole - rest) / whole if whole else math.nan for name, rest in self.without.items()}

    @property
    def contradictions(self) -> list[str]:
        """Where contributions contradict the open channels, one sentence for each; ``print`` shows them below the table."""
        return [*self._deaf_ears(), *self._ranks()]

    def _deaf_ears(self) -> Iterator[str]:
        """Modalities that no mask leaves open, and that change the metric all the same."""
        for name in self.modalities:
            shares = [shares[name] for shares in self.kept.values() if name in shares]
            moved = max(abs(self.shapley[name]), abs(self.with_all - self.without[name]))
            if shares and not any(shares) and moved > self._noticeable():
                yield (
                    f"{name!r} has no open channel, yet its input changes the {self.metric} (Shapley {self.shapley[name]:.2f}): the mask is not "
                    f"where it comes in, or another way leads around the mask."
                )

    def _ranks(self) -> Iterator[str]:
        """Masks whose most open modality is not the one that contributes most."""
        for path, shares in self.kept.items():
            names = [name for name in self.modalities if name in shares]
            if len(names) > 1:
                most = max(names, key=self.shapley.__getitem__)
                widest = max(names, key=shares.__getitem__)
                mask = f"mask {path!r}" if path else "the mask"
                if shares[widest] > shares[most] > 0 and self._clearly_less(widest, most):
                    yield (
                        f"{most!r} contributes most (Shapley {self.shapley[most]:.2f}), but {mask} leaves {widest!r} more open "
                        f"({shares[widest]:.0f} against {shares[most]:.0f} %): do not rank modalities by these shares. They may not have settled, "
                        f"or need a larger lambda."
                    )

    def _clearly_less(self, name: str, other: str) -> bool:
        """Whether one contributes less than the other, beyond the error of sampled orders."""
        error = self.error[name] + self.error[other]
        return self.shapley[other] - self.shapley[name] > max(self._noticeable(), 3 * error)

    def _noticeable(self) -> float:
        of_all, of_change = NOTICEABLE
        return max(of_all * abs(self.with_all), of_change * abs(self.with_all - self.with_none))

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain dicts, lists, strings and numbers, for a JSON file or a logger."""
        return {
            "metric": self.metric,
            "absent": self.absent,
            "with_all": self.with_all,
            "with_none": self.with_none,
            "shapley": dict(self.shapley),
            "error": dict(self.error),
            "orders": self.orders,
            "alone": self.alone,
            "without": self.without,
            "utilisation": self.utilisation,
            "values": [{"present": list(present), "value": value} for present, value in self.values.items()],
            "kept": {path: dict(shares) for path, shares in self.kept.items()},
            "zeta": dict(self.zeta),
        }

    @override
    def __str__(self) -> str:
        """An aligned table, one line per modality, with the masks of the model beside it."""
        columns = {"modality": list(self.modalities), "Shapley": self._cells(self.shapley)}
        if self.orders is not None:
            columns["+/-"] = self._cells(self.error)
        columns |= {
            "alone": self._cells(self.alone),
            "without": self._cells(self.without),
            "utilisation": self._cells(self.utilisation),
        }
        score = f"{self.metric} {self.with_all:.4f} with all modalities, {self.with_none:.4f} with none ({self.absent})"
        opened = {_of("open %", path): self._cells(shares, ".1f") for path, shares in self.kept.items()}
        lines = [score, *_table({**columns, **opened})]
        zetas = [f"{_of('zeta', path)} {zeta:.4f}" for path, zeta in self.zeta.items()]
        if max(map(len, lines)) > COLUMNS:  # the masks in a table of their own, one per line
            masks = {"open %": list(self.kept)}
            masks |= {
                name: self._cells(
                    {path: shares[name] for path, shares in self.kept.items() if name in shares},
                    ".1f",
                    self.kept,
                )
                for name in self.modalities
            }
            masks["zeta"] = self._cells(self.zeta, among=self.kept)
            lines, zetas = [score, *_table(columns), *_table(masks)], []
        return "\n".join([*lines, *zetas, *map(wrapped, self.contradictions)])

    def _cells(
        self, numbers: dict[str, float], form: str = ".4f", among: Iterable[str] | None = None
    ) -> list[str]:
        """One number per modality, or per name among others; a dash where there is none."""
        names = self.modalities if among is None else among
        return [format(numbers[name], form) if name in numbers else "-" for name in names]


def _table(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines of a table, given by its columns."""
    return aligned(list(zip(*([head, *cells] for head, cells in columns.items()), strict=True)))


def _of(name: str, path: str) -> str:
    return f"{name} of {path}" if path else name
