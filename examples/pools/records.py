"""Scores of runs that were pooled again, as one small JSON file: typed reading and writing."""

from typing import Literal

from pydantic.dataclasses import dataclass

from examples.results.file import ResultsFile
from examples.typed import WRITTEN

FORMAT: Literal[1] = 1


@dataclass(frozen=True, config=WRITTEN)
class Pooled:
    """One run, pooled in several ways.

    Args:
        row: Row of the run.
        seed: Seed of the run.
        scores: Way to score of the test part, percent.
    """

    row: str
    seed: int
    scores: dict[str, float]


@dataclass(frozen=True, config=WRITTEN)
class PoolResults(ResultsFile):
    """Runs of one comparison, each pooled in several ways.

    Args:
        data: Name of the data set.
        metric: What the scores are.
        modalities: Modalities of the data.
        seconds: Wall-clock time, without training.
        runs: One for each run.
        format: Format of this file.
    """

    ENTRIES = "runs"
    COMMAND = "python -m examples pools"

    data: str
    metric: str
    modalities: list[str]
    runs: list[Pooled]
    format: Literal[1] = FORMAT
