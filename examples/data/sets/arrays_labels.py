"""Arrays that are no modality: the label, the group that samples belong to, the part that they are in."""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.data.contract import UNSCORED
from examples.data.splits import PARTS, Split, draw_groups, split_at_random, split_by_class
from examples.errors import UserError

_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
    "0": "train",
    "1": "validation",
    "2": "test",
}
"""What `split` may hold, to the part that it means."""
_LEAST = 3  # samples of a class: one for each part
_SHOWN = 5
_RANKS = (1, 3)  # of labels: of samples, of pixels


def classes_of(name: str, values: NDArray[Any]) -> tuple[NDArray[np.integer[Any]], tuple[str, ...]]:
    """Return the number of each label among the classes, or `UNSCORED`, and the names of the classes, in order.

    Args:
        name: Name of the array.
        values: Whole numbers, truth values or texts, ``(samples,)``, or ``(samples, height, width)`` for the classes of pixels.

    Raises:
        UserError: They are no labels, or only one class, or too few samples of one.
    """
    values = _discrete(name, values)
    if values.ndim not in _RANKS:
        raise UserError(
            f"'{name}' must have the shape (n,), a class for a sample, or (n, height, width), one for a pixel, not "
            f"{values.shape}. Of scores or ones by class take the largest: argmax(axis=1)."
        )
    known = values != (str(UNSCORED) if values.dtype.kind == "U" else UNSCORED)
    if values.ndim == 1 and not known.all():
        raise UserError(
            f"'{name}' must name a class for every sample; row {int(known.argmin())} has {UNSCORED}."
        )
    found, counts = np.unique(values[known], return_counts=True)
    if len(found) < 2:
        raise UserError(
            f"'{name}' must hold at least two classes; it holds {found.tolist()} only. There is nothing to tell apart."
        )
    few = [(str(value), int(count)) for value, count in zip(found, counts, strict=True) if count < _LEAST]
    if few and values.ndim == 1:
        some = ", ".join(f"{value} ({count})" for value, count in few[:_SHOWN])
        more = f" and {len(few) - _SHOWN:,} more" if len(few) > _SHOWN else ""
        raise UserError(
            f"Every class of '{name}' must have at least {_LEAST} samples, one for each part; these have fewer: {some}{more}. "
            "Leave their samples out, or join classes. (To predict a number, sort it into classes first.)"
        )
    numbers = np.searchsorted(found, values)
    numbers[~known] = UNSCORED
    return numbers.astype(np.int16 if len(found) < 2**15 else np.int64), tuple(map(str, found.tolist()))


def numbered(name: str, values: NDArray[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the number of the group of each sample, from 0, and the names of the groups.

    Args:
        name: Name of the array.
        values: Whole numbers, truth values or texts, ``(samples,)``.

    Raises:
        UserError: They are something else.
    """
    found, numbers = np.unique(_by_sample(name, values), return_inverse=True)
    return numbers.astype(np.int64), list(map(str, found.tolist()))


def split_of(
    parts: tuple[str, NDArray[Any]] | None,
    groups: tuple[str, NDArray[Any]] | None,
    classes: NDArray[np.integer[Any]],
    *,
    validation: float,
    test: float,
    seed: int,
) -> Split:
    """Return which samples are in which part.

    Args:
        parts: Name and values of the array that says it; a validation part that it lacks is drawn from the training part.
        groups: Name and values of the array that says which samples go together, each group into one part.
        classes: Of all samples. Where there are neither parts nor groups, and each sample has one, it is drawn class by class.
        validation: Share of the samples, or of the groups, that choose the epoch.
        test: Share that is scored.
        seed: Seed of the draw.

    Raises:
        UserError: A part cannot be told or is empty, or a group is in several.
    """
    together = None if groups is None else numbered(*groups)[0]
    if parts is None:
        return _drawn(together, classes, validation, test, seed)
    name, values = parts
    told = [_WORDS.get(str(value).strip().lower(), "") for value in _by_sample(name, values).tolist()]
    if "" in told:
        row = told.index("")
        raise UserError(
            f"'{name}' must hold train, validation or test (or 0, 1, 2) for every sample; row {row} has '{values[row]}'."
        )
    positions = [np.flatnonzero(np.asarray(told) == part) for part in PARTS]
    for part, chosen in zip(PARTS, positions, strict=True):
        if not len(chosen) and part != "validation":
            raise UserError(f"'{name}' puts no sample into the part {part}.")
    if validation and not len(positions[1]):
        train = positions[0]
        held, own = classes[train], None if together is None else together[train]
        try:
            inner = _drawn(own, held, 0.0, validation, seed)  # whose test part is validation here
        except UserError as error:
            raise UserError(
                f"'{name}' has no validation part, and none can be drawn from its {len(train)} training samples: {error}"
            ) from error
        positions[:2] = train[inner.train], train[inner.test]
    split = Split(*positions)
    if together is not None and groups is not None:
        _expect_apart(together, split, name, groups[0])
    return split


def _drawn(
    together: NDArray[np.int64] | None,
    classes: NDArray[np.integer[Any]],
    validation: float,
    test: float,
    seed: int,
) -> Split:
    if together is not None:
        return draw_groups(together, validation, test, seed=seed)
    if classes.ndim == 1:
        return split_by_class(classes, validation, test, seed=seed)
    counts = (max(1, round(share * len(classes))) if share else 0 for share in (validation, test))
    return split_at_random(len(classes), *counts, seed=seed)


def _expect_apart(together: NDArray[np.int64], split: Split, name: str, group: str) -> None:
    """Refuse a group in several parts: what is alike would be learned from and scored."""
    members = [set(together[getattr(split, part)].tolist()) for part in PARTS]
    both = sum(len(one & other) for one, other in combinations(members, 2))
    if both:
        raise UserError(
            f"'{name}' puts {both:,} groups of '{group}' into several parts, so that what is scored is like what is learned from. "
            "Mend one of the two arrays, or remove it."
        )


def _by_sample(name: str, values: NDArray[Any]) -> NDArray[Any]:
    values = _discrete(name, values)
    if values.ndim != 1:
        raise UserError(f"'{name}' must have the shape (n,), a value for a sample, not {values.shape}.")
    return values


def _discrete(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers or texts of any shape, without an axis of one behind the samples.

    Raises:
        UserError: They are something else.
    """
    if values.ndim in (2, 4) and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "U":
        blank = np.char.strip(values) == ""
        if blank.any():
            raise UserError(f"'{name}' must not be blank; row {int(np.argwhere(blank)[0, 0])} is.")
        return values
    if values.dtype.kind not in "biuf":
        raise UserError(f"'{name}' must hold whole numbers or texts, not {values.dtype}.")
    if values.dtype.kind == "f":
        whole = values == np.round(values)  # which NaN is not
        if not whole.all():
            place = tuple(np.argwhere(~whole)[0].tolist())
            raise UserError(
                f"'{name}' must hold whole numbers or texts; it holds {values[place]} in row {place[0]}, counted from 0."
            )
        return values.astype(np.int64)
    return values
