"""Pairs of samples from two collections that share nothing but the class."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from examples.data.columns import Rows
from examples.data.splits import PARTS, Split
from examples.errors import UserError


class Collection(NamedTuple):
    """One side of the pairs.

    Attributes:
        values: Any numeric dtype, ``(samples, *shape)``.
        labels: Classes, int64, ``(samples,)``.
        split: Positions that may be paired in each part.
    """

    values: NDArray[Any]
    labels: NDArray[np.int64]
    split: Split


def last_tenth(training: int, test: int) -> Split:
    """Take the last tenth of the training samples for validation.

    It is a block and no draw, because neighbours in a file are often alike: digits of one writer, of one house number.

    Args:
        training: Number of training samples, the first ones.
        test: Number of test samples that follow.
    """
    everything = np.arange(training + test)
    return Split(*np.split(everything, [training - training // 10, training]))


def pair_up(
    first: Collection, second: Collection, counts: tuple[int, int, int], *, seed: int
) -> tuple[NDArray[np.int64], Split]:
    """Draw the pairs of every part.

    Args:
        first: One collection.
        second: The other one.
        counts: Pairs of each part: training, validation, test.
        seed: Seed of the training pairs; those of the other parts are the same for every seed.

    Returns:
        Positions in both collections, ``(pairs, 2)``, and the split of these pairs.

    Raises:
        UserError: See `draw_pairs`; names the part.
    """
    drawn = []
    for part, count in zip(PARTS, counts, strict=True):
        pools = getattr(first.split, part), getattr(second.split, part)
        try:
            chosen = draw_pairs(
                first.labels[pools[0]], second.labels[pools[1]], count, seed=seed if part == "train" else 0
            )
        except UserError as error:
            raise UserError(f"Part `{part}`: {error}") from error
        drawn.append(np.stack([pools[0][chosen[:, 0]], pools[1][chosen[:, 1]]], axis=1))
    starts = np.cumsum([len(pairs) for pairs in drawn])
    return np.concatenate(drawn), Split(*np.split(np.arange(starts[-1]), starts[:-1]))


def draw_pairs(first: ArrayLike, second: ArrayLike, count: int, *, seed: int) -> NDArray[np.int64]:
    """Draw pairs of the same class, every class and every sample of a class as often as the next, no pair twice.

    Both sides of a class are shuffled and walked through in step, each from the start again when it is used up; when
    both begin anew at once, the second side moves on by one.

    Args:
        first: Classes of the first collection, ``(samples,)``.
        second: Classes of the second one, the same classes.
        count: Number of pairs; with 0 there may be no samples either.
        seed: Seed of the draw.

    Returns:
        Positions in both collections, ``(count, 2)``, in random order.

    Raises:
        UserError: The classes differ, or there are fewer pairs than that.
    """
    random = np.random.default_rng(seed)
    left, right = np.asarray(first), np.asarray(second)
    if count == 0:
        return np.empty((0, 2), dtype=np.int64)
    classes = np.unique(left)
    if classes.tolist() != np.unique(right).tolist():
        raise UserError(
            f"both collections must have the same classes; they have {classes.tolist()} and "
            f"{np.unique(right).tolist()}."
        )
    drawn = []
    for number, label in enumerate(classes):
        one = random.permutation(np.flatnonzero(left == label))
        other = random.permutation(np.flatnonzero(right == label))
        wanted = count // len(classes) + (number < count % len(classes))
        if wanted > len(one) * len(other):
            raise UserError(
                f"{count} pairs take {wanted} of class {label}, and there are {len(one) * len(other)}."
            )
        step = np.arange(wanted)
        rounds = step // math.lcm(len(one), len(other))
        drawn.append(np.stack([one[step % len(one)], other[(step + rounds) % len(other)]], axis=1))
    pairs = np.concatenate(drawn)
    return pairs[random.permutation(len(pairs))]


class Picked:
    """Some rows of an array, any of them several times, without a copy of them.

    Args:
        rows: ``(samples, ...)``.
        positions: Positions of the rows, in order.
    """

    def __init__(self, rows: Rows, positions: NDArray[np.int64]) -> None:
        self.rows, self.positions = rows, positions

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all picked rows."""
        return (len(self.positions), *self.rows.shape[1:])

    def __len__(self) -> int:
        """Return how many rows are picked."""
        return len(self.positions)

    def __getitem__(self, index: Any) -> Any:
        """Read some of the picked rows."""
        return self.rows[self.positions[index]]
