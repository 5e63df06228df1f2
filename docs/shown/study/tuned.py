"""How surely the learning rates were chosen: what one of the tuning seeds alone would have taken."""

from docs.shown.claims import claim
from docs.shown.study.alone_first import CONFIRMS, OURS, cases
from docs.shown.study.cases import plain, read
from examples.results import Results
from examples.results.rows import chosen

SEEDS = 3
"""Tuning seeds of the cases that have more than one."""


def turned() -> str:
    """Return for how many rows the first tuning seed alone would have taken another rate, of how many."""
    found = [
        _first(results, row) != chosen(results, row) for results in _several() for row in _tuned(results)
    ]
    return f"{sum(found)} of {len(found)}"


def tuned_claims() -> None:
    """Hold what the page says of them."""
    for title, results in cases().items():
        claim(f"three tuning seeds: {plain(title)}", results.recipe["tuning_seeds"] in (1, SEEDS))
    moved = [results for results in _several() if _first(results, OURS) != chosen(results, OURS)]
    claim("ours on CREMA-D only", moved == [read(CONFIRMS)])


def _several() -> list[Results]:
    return [results for results in cases().values() if results.recipe["tuning_seeds"] > 1]


def _tuned(results: Results) -> list[str]:
    return list(dict.fromkeys(trial.row for trial in results.trials))


def _first(results: Results, row: str) -> dict[str, object]:
    tried = [trial for trial in results.trials if trial.row == row]
    return dict(min(tried, key=lambda trial: trial.losses[0]).settings)
