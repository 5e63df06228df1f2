"""Rows against rows: paired differences, what each costs, what was chosen; from results and from nothing else."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from examples.recipes import Value
from examples.results.records import Results, Run
from examples.results.statistics import Interval, interval


@dataclass(frozen=True)
class Cost:
    """What a row costs, as ratios to plain concatenation.

    Args:
        time: Processor time of training and test, the median over seeds.
        parameters: Number of parameters of the network.
    """

    time: float
    parameters: float


def concatenation(results: Results) -> str | None:
    """Return the name of the row with plain concatenation, without quantisers where there are both; None without one."""
    rows = {name: runs[0] for name, runs in results.rows().items() if runs[0].method == "concatenation"}
    return min(rows, key=lambda name: rows[name].quantise, default=None)


def alone(results: Results) -> dict[str, list[Run]]:
    """Return the rows with one modality only."""
    return {name: runs for name, runs in results.rows().items() if len(runs[0].channels) == 1}


def best_alone(results: Results) -> str | None:
    """Return the row with one modality that has the highest mean score; None without such rows.

    It is chosen by the very scores that it is compared by, which favours it.
    """
    rows = alone(results)
    return max(rows, key=lambda name: mean_score(rows[name]).mean, default=None)


def mean_score(runs: Sequence[Run]) -> Interval:
    """Return mean and interval of the scores of a row."""
    return interval([run.score for run in runs])


def against(results: Results, row: str, base: str) -> Interval | None:
    """Return the paired difference in score between two rows, points; None where one of them has no runs."""
    rows = results.rows()
    return paired_difference(rows[row], rows[base]) if row in rows and base in rows else None


def paired_difference(runs: Iterable[Run], base: Iterable[Run]) -> Interval:
    """Return the mean difference in score to other runs on the same seeds, and its interval."""
    other = {run.seed: run.score for run in base}
    return interval([run.score - other[run.seed] for run in runs if run.seed in other])


def verdict(difference: Interval) -> str:
    """Return "better" or "worse" where the interval lies on one side of zero, else "even"; "even" for a single seed."""
    if math.isnan(difference.half_width) or abs(difference.mean) <= difference.half_width:
        return "even"
    return "better" if difference.mean > 0 else "worse"


def cost(results: Results, row: str) -> Cost:
    """Return what a row costs beside plain concatenation; NaN where there is none to compare with."""
    rows, base = results.rows(), concatenation(results)
    if base is None:
        return Cost(math.nan, math.nan)

    def ratio(of: str) -> float:
        here, there = (median(getattr(run, of) for run in rows[name]) for name in (row, base))
        return float(here / there)

    return Cost(ratio("processor_seconds"), ratio("parameters"))


def scores_alone(results: Results, row: str) -> dict[str, Interval]:
    """Return the score with each modality alone inside the joint network of a row."""
    runs = results.rows()[row]
    return {name: interval([run.alone[name] for run in runs]) for name in runs[0].channels}


def chosen(results: Results, row: str) -> dict[str, Value]:
    """Return the settings that were chosen for a row, by key; empty where nothing was tried."""
    return next((trial.settings for trial in results.trials if trial.row == row and trial.chosen), {})
