"""Correlations and spreads, from the records and from nothing else."""

import math
from collections.abc import Iterable, Sequence

from scipy.stats import spearmanr

from examples.results import Interval, interval
from examples.zeta.records import Trial, ZetaResults

CLEAR = 0.1
"""A difference of worth, in accuracy, that a measure should not miss."""


def rank_correlation(first: Sequence[float | None], second: Sequence[float | None]) -> float:
    """Return Spearman's rank correlation of the pairs in which both are defined; NaN where one of them is constant."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if any(len(set(column)) < 2 for column in zip(*pairs, strict=True)) or not pairs:
        return math.nan
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def zeta_along(results: ZetaResults, dial: str, weight: float) -> list[Interval | None]:
    """Return the mean zeta over seeds at every value of a dial; None where it is never defined."""
    return [
        _mean(trial.zeta for trial in results.of(dial, weight, value)) for value in results.dials[dial].values
    ]


def zeta_with_dial(results: ZetaResults, dial: str, weight: float) -> float:
    """Return the rank correlation of zeta with a dial, over its values and the seeds."""
    trials = results.of(dial, weight)
    return rank_correlation([trial.value for trial in trials], [trial.zeta for trial in trials])


def zeta_with_balance(results: ZetaResults, trials: Iterable[Trial]) -> float:
    """Return the rank correlation of zeta with the balance of the true worth."""
    chosen = list(trials)
    return rank_correlation(
        [results.truth(trial).balance for trial in chosen], [trial.zeta for trial in chosen]
    )


def spread_over_seeds(results: ZetaResults, dial: str, weight: float) -> float:
    """Return the standard deviation of zeta over seeds, pooled over the values of a dial.

    A value at which fewer than two seeds have a zeta is left out; NaN if all are.
    """
    squares, free = 0.0, 0
    for value in results.dials[dial].values:
        zetas = [trial.zeta for trial in results.of(dial, weight, value) if trial.zeta is not None]
        mean = math.fsum(zetas) / max(len(zetas), 1)
        squares += math.fsum((zeta - mean) ** 2 for zeta in zetas)
        free += max(len(zetas) - 1, 0)
    return math.sqrt(squares / free) if free else math.nan


def channels_with_worth(results: ZetaResults, trials: Iterable[Trial]) -> float:
    """Return the rank correlation of compl with the measured Shapley value, over trials and modalities."""
    pairs = [
        pair for trial in trials for pair in zip(results.complementary(trial), trial.shapley, strict=True)
    ]
    return rank_correlation([share for share, _ in pairs], [worth for _, worth in pairs])


def worth_with_truth(results: ZetaResults, trials: Iterable[Trial]) -> float:
    """Return the rank correlation of the measured Shapley value with the true one, over trials and modalities."""
    pairs = [
        pair for trial in trials for pair in zip(trial.shapley, results.truth(trial).shapley, strict=True)
    ]
    return rank_correlation([worth for worth, _ in pairs], [truth for _, truth in pairs])


def distance_from_truth(results: ZetaResults, trials: Iterable[Trial]) -> float:
    """Return the mean distance of the measured Shapley value from the true one, in accuracy, over trials and modalities."""
    pairs = [
        pair for trial in trials for pair in zip(trial.shapley, results.truth(trial).shapley, strict=True)
    ]
    return math.fsum(abs(worth - truth) for worth, truth in pairs) / len(pairs)


def ranked_right(trials: Iterable[Trial]) -> tuple[int, int]:
    """Return how often the modality that is worth clearly more has more open channels, and how often one is worth clearly more.

    Clearly is by `CLEAR`, in the Shapley value measured on the same network. A tie of channels counts as wrong.
    """
    right = clear = 0
    for trial in trials:
        worth = sorted(zip(trial.shapley, trial.open, strict=True))
        (low, fewest), (high, most) = worth[0], worth[-1]
        if high - low > CLEAR:
            clear += 1
            right += most > fewest
    return right, clear


def _mean(zetas: Iterable[float | None]) -> Interval | None:
    defined = [zeta for zeta in zetas if zeta is not None]
    return interval(defined) if defined else None
