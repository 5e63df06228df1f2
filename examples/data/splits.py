"""Who learns from what: splits drawn by sample or by group, and as small JSON files of names."""

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from examples.errors import UserError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Positions of the samples of each part.

    Args:
        train: Positions of what the network learns from.
        validation: Positions of what chooses the epoch; may be empty.
        test: Positions of what is scored once.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse a sample in two parts, and a part to learn from or to score that is empty."""
        for name in ("train", "test"):
            if not len(getattr(self, name)):
                raise UserError(f"`{name}` of a split must hold at least one sample.")
        everything = np.concatenate([self.train, self.validation, self.test])
        if len(np.unique(everything)) < len(everything):
            raise UserError("A split must not hold a sample twice.")

    def write(self, path: Path, names: Sequence[str]) -> None:
        """Write the names of the samples of each part as JSON."""
        named = {part: [names[position] for position in getattr(self, part)] for part in PARTS}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path, names: Sequence[str], *, left_out: Container[str] = ()) -> "Split":
        """Read what `write` wrote.

        Args:
            path: Path of the file.
            names: Names of the samples.
            left_out: Names that the file may hold and that are not among them; they are in no part.

        Raises:
            UserError: The file is no such file, lacks a part, or names a sample that is not there.
        """
        try:
            named = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise UserError(f"'{path}' is not JSON in UTF-8 ({error}).") from error
        if not isinstance(named, dict) or set(named) != set(PARTS):
            raise UserError(f"'{path}' must be a JSON object of {list(PARTS)}.")
        named = {part: [name for name in named[part] if name not in left_out] for part in PARTS}
        position = {name: number for number, name in enumerate(names)}
        unknown = sorted({name for part in PARTS for name in named[part]} - set(position))
        if unknown:
            raise UserError(
                f"'{path}' names samples that are not there: {unknown[:5]} ({len(unknown)} in all)."
            )
        return cls(*(_positions([position[name] for name in named[part]]) for part in PARTS))


def split_at_random(samples: int, validation: int, test: int, *, seed: int) -> Split:
    """Draw a split by sample.

    Args:
        samples: Number of samples.
        validation: Number of samples that choose the epoch.
        test: Number of samples that are scored; all others are learned from.
        seed: Seed of the draw.
    """
    if min(validation, test) < 0 or validation + test >= samples:
        raise UserError(
            f"`validation` (={validation}) and `test` (={test}) must leave some of {samples} samples."
        )
    order = np.random.default_rng(seed).permutation(samples)
    return Split(
        *(
            np.sort(part)
            for part in (order[validation + test :], order[test : validation + test], order[:test])
        )
    )


def split_by_class(classes: ArrayLike, validation: float, test: float, *, seed: int) -> Split:
    """Draw a split by sample, class by class, so that every part has its share of each class.

    A part that has a share at all gets at least one sample of each class, as long as there are enough: training comes
    first, then the test.

    Args:
        classes: The class of every sample.
        validation: Share of the samples that choose the epoch.
        test: Share of the samples that are scored; all others are learned from.
        seed: Seed of the draw.
    """
    values = np.asarray(classes)
    random, parts = np.random.default_rng(seed), []
    for value in np.unique(values):
        order = random.permutation(np.flatnonzero(values == value))
        last = min(_count(test, len(order)), len(order) - 1)
        middle = min(_count(validation, len(order)), len(order) - 1 - last)
        parts.append(np.split(order, [len(order) - last - middle, len(order) - last]))
    return Split(*(np.sort(np.concatenate(part)) for part in zip(*parts, strict=True)))


def split_by_group(groups: ArrayLike, validation: Sequence[int | str], test: Sequence[int | str]) -> Split:
    """Keep each group, such as a speaker or a subject, in one part.

    Args:
        groups: The group of every sample.
        validation: Groups that choose the epoch.
        test: Groups that are scored; all others are learned from.
    """
    values = np.asarray(groups)
    there = set(values.tolist())
    absent = [group for group in (*validation, *test) if group not in there]
    both = sorted(set(map(str, validation)) & set(map(str, test)))
    if absent or both:
        raise UserError(
            f"`validation` (={list(validation)}) and `test` (={list(test)}) must be groups that are there and "
            f"differ; there are {np.unique(values).tolist()}."
        )
    parts = np.isin(values, list(validation)), np.isin(values, list(test))
    return Split(*(np.flatnonzero(part) for part in (~(parts[0] | parts[1]), *parts)))


def draw_groups(groups: ArrayLike, validation: float, test: float, *, seed: int) -> Split:
    """Draw whole groups until each part has its share of them, at least one group where that is not 0.

    Args:
        groups: The group of every sample.
        validation: Share of the groups that choose the epoch.
        test: Share of the groups that are scored.
        seed: Seed of the draw.
    """
    names = np.unique(np.asarray(groups))
    counts = [_count(share, len(names)) for share in (validation, test)]
    if sum(counts) >= len(names):
        raise UserError(
            f"`validation` (={validation}) and `test` (={test}) must leave some of {len(names)} groups."
        )
    order = np.random.default_rng(seed).permutation(names)
    first, second = counts
    return split_by_group(groups, order[:first].tolist(), order[first : first + second].tolist())


def _count(share: float, of: int) -> int:
    return max(1, round(share * of)) if share else 0


def _positions(values: Sequence[int]) -> NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)
