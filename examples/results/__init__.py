"""Results: what a comparison wrote down, read with types; statistics, tables and figures made from it. The files lie here."""

from examples.results.epochs import EpochRecord
from examples.results.records import FORMAT, METRICS, Failure, Results, Run, Trial
from examples.results.rows import paired_difference
from examples.results.statistics import Interval, interval

__all__ = [
    "FORMAT",
    "METRICS",
    "EpochRecord",
    "Failure",
    "Interval",
    "Results",
    "Run",
    "Trial",
    "interval",
    "paired_difference",
]
