"""Means and their intervals, and numbers as they are written down."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True)
class Interval:
    """A mean and the half-width of its 95 % interval.

    Args:
        mean: Over the seeds.
        half_width: Half of the interval by Student's t; NaN for a single seed.
        count: Number of values.
    """

    mean: float
    half_width: float
    count: int


def interval(values: Sequence[float]) -> Interval:
    """Return the mean and its 95 % interval, t(0.975, n - 1) * s / sqrt(n)."""
    count = len(values)
    if count == 0:
        raise ValueError("`values` (=[]) must hold at least one number.")
    mean = math.fsum(values) / count
    if count == 1:
        return Interval(mean, math.nan, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    return Interval(mean, float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count), count)


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values with six digits that count: enough to draw and to compare, and short in a file."""
    return {name: float(f"{value:.6g}") for name, value in values.items()}


def finite(value: float) -> float | None:
    """Return None for NaN: JSON has no NaN."""
    return value if math.isfinite(value) else None
